//! `why`, asked of a gateway.

use gateway_audit::Event;
use gateway_client::{Client, ClientError};
use gateway_types::wire::policy::Why;
use gateway_types::{ProblemKind, RequestId};
use tokio::time::{Instant, sleep};

use super::{PATIENCE, text};
use crate::Context;
use crate::failure::{Failure, Problem};
use crate::remote::{Remote, Target};

/// Answers.
pub(super) async fn run(context: &Context, target: Target, request_id: RequestId) -> Result<(), Failure> {
    let remote = Remote::at(context, target)?;
    let asked = request_id.to_string();
    let why = remote.ask(async |client| patiently(client, &asked).await).await?;
    let mut told = String::new();
    for indexed in &why.events {
        let event: Event = serde_json::from_value(indexed.event.clone()).problem(format!(
            "event {} cannot be understood; this program may be older than the gateway",
            indexed.index
        ))?;
        told.push_str(&text(&context.output, indexed.index, &event));
    }
    context.output.answer(&why, || {
        let other = if why.same_policies { "" } else { "\nThe policies were changed since.\n" };
        format!("request {request_id}\n{told}{other}")
    })
}

/// Plain reads and refusals reach the log a moment after their reply: somebody who asks at once waits.
async fn patiently(client: &Client, request_id: &str) -> Result<Why, ClientError> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match client.why(request_id).await {
            Err(error) if error.kind() == Some(ProblemKind::NotFound) && Instant::now() < patience => {
                sleep(PATIENCE / 8).await;
            }
            answer => return answer,
        }
    }
}
