//! Signing in on another device: a code here, a browser there (RFC 8628).

use std::time::Duration;

use gateway_client::Client;
use gateway_client::sign_in::{DeviceAnswer, DeviceSignIn, SignInError, SignedIn};
use gateway_client::text::one_line;
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::browser::this_device;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::stop::StopSignals;

/// What is added to the interval each time the gateway asks for it (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// Shows a code and waits until somebody confirmed it.
pub(super) async fn sign_in(client: &Client) -> Result<SignedIn, Failure> {
    let begun = client.begin_device(&this_device()).await?;
    say(client, &begun)?;
    let mut signals = StopSignals::listen()?;
    tokio::select! {
        signed_in = wait(client, &begun) => signed_in,
        _ = signals.next() => Err(Failure::new(Exit::Failed, "the sign-in was given up")),
    }
}

/// What the person is told. The address is the gateway's own or is not shown (M1).
fn say(client: &Client, begun: &DeviceSignIn) -> Result<(), Failure> {
    let own = |text: &str| Url::parse(text).ok().filter(|url| client.address().owns(url));
    let page = own(&begun.verification_uri).ok_or_else(|| {
        Failure::new(Exit::Failed, "the gateway names a page that is not its own to confirm the code at")
            .hint("sign in at the address that the gateway knows itself by")
    })?;
    let code = one_line(&begun.user_code);
    let mut text = format!("Open {page}\nand confirm this code: {code}\n");
    if let Some(complete) = begun.verification_uri_complete.as_deref().and_then(own) {
        text.push_str(&format!("\nWith the code in it: {complete}\n"));
    }
    text.push_str(&format!("\nIt is good for {} minutes.", begun.lifetime().as_secs().div_ceil(60)));
    remark(&text);
    Ok(())
}

async fn wait(client: &Client, begun: &DeviceSignIn) -> Result<SignedIn, Failure> {
    let end = Instant::now() + begun.lifetime();
    let mut interval = begun.interval();
    loop {
        let next = Instant::now() + interval;
        if next >= end {
            return Err(SignInError::Expired.into());
        }
        sleep_until(next).await;
        match client.poll_device(begun).await {
            Ok(DeviceAnswer::SignedIn(signed_in)) => return Ok(*signed_in),
            Ok(DeviceAnswer::Pending) => {}
            Ok(DeviceAnswer::SlowDown) => interval += SLOWER,
            Err(error) => return Err(error.into()),
        }
    }
}
