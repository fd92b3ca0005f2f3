//! Waiting for a decision. What was decided is the exit code.

use std::process::ExitCode;
use std::time::Duration;

use gateway_client::text::one_line;
use gateway_config::duration::{format_duration, parse_duration};
use gateway_types::wire::approvals::Approval;
use tokio::time::{Instant, sleep_until};

use super::{outcome, said};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::Remote;
use crate::stop::StopSignals;

/// How often the gateway is asked.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long to wait, as it was typed.
///
/// # Errors
/// When it is no length of time.
pub(super) fn patience(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).ok_or_else(|| Failure::new(Exit::Usage, "write how long to wait as 90s, 15m or 1h"))
}

/// Waits until somebody decided, and says what.
pub(super) async fn until_decided(
    context: &Context,
    remote: &Remote,
    id: &str,
    patience: Duration,
) -> Result<ExitCode, Failure> {
    let mut signals = StopSignals::listen()?;
    let decided = tokio::select! {
        decided = decision(context, remote, id, patience) => decided?,
        _ = signals.next() => {
            return Err(Failure::new(Exit::Failed, "the waiting was given up; the request stays as it is")
                .hint(again(id)));
        }
    };
    let (approval, code) = decided;
    context.output.answer(&approval, || said::decided(&approval))?;
    Ok(code)
}

async fn decision(
    context: &Context,
    remote: &Remote,
    id: &str,
    patience: Duration,
) -> Result<(Approval, ExitCode), Failure> {
    let end = Instant::now() + patience;
    let mut progress = Progress { is_shown: context.terminal.is_there, last: String::new() };
    loop {
        match remote.ask(async |client| client.approval(id).await).await {
            Ok(approval) => {
                if let Some(code) = outcome(&approval.state)? {
                    return Ok((approval, code));
                }
                progress.tell(said::progress(&approval));
            }
            // A gateway that restarts is back in a moment, and nothing is lost by asking it again.
            Err(failure) if failure.exit() == Exit::Unreachable => progress.tell(failure.sentence()),
            Err(failure) => return Err(failure),
        }
        let next = Instant::now() + INTERVAL;
        if next >= end {
            let text = format!("nobody decided within {}", format_duration(patience));
            return Err(Failure::new(Exit::Failed, text).hint(again(id)));
        }
        sleep_until(next).await;
    }
}

/// What is told while it waits: each thing once, and only where somebody sits.
struct Progress {
    is_shown: bool,
    last: String,
}

impl Progress {
    fn tell(&mut self, text: String) {
        if self.is_shown && text != self.last {
            remark(&text);
            self.last = text;
        }
    }
}

fn again(id: &str) -> String {
    format!("go on with `rack-gateway approvals wait {}`", one_line(id))
}
