//! `top`: what a gateway is doing, told anew every few seconds, from the numbers of its second listener.

mod numbers;
#[cfg(test)]
mod tests;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gateway_client::{TlsOptions, elsewhere};
use tokio::time::{Instant, sleep_until};
use url::Url;

use crate::Context;
use crate::failure::{Exit, Failure, Problem as _};
use crate::output::Format;
use crate::stop::StopSignals;
use numbers::Numbers;
use view::Activity;

/// What empties a terminal and goes to its first place.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// The arguments of `top`.
#[derive(Args, Debug)]
#[command(
    after_help = "The second listener needs no sign-in, and is asked on this machine or over https only. Where a pipe or a file is written to instead of a terminal, it tells once."
)]
pub(crate) struct TopArguments {
    /// The second listener of the gateway (ADMIN_ADDRESS and ADMIN_PORT)
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9443", value_parser = address)]
    pub(crate) address: Url,
    /// How long each look takes, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) every: u64,
    /// Tell once, and end
    #[arg(long)]
    pub(crate) once: bool,
}

fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|fault| fault.to_string())?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some() => {
            url.join("/metrics").map_err(|fault| fault.to_string())
        }
        _ => Err("it is no address such as http://127.0.0.1:9443".to_owned()),
    }
}

/// Looks, and tells, until it is told to stop.
pub(crate) async fn run(context: &Context, arguments: TopArguments) -> Result<ExitCode, Failure> {
    let mut signals = StopSignals::listen()?;
    let (is_json, is_terminal) = (context.output.format == Format::Json, std::io::stdout().is_terminal());
    let once = arguments.once || !(is_terminal || is_json);
    let every = Duration::from_secs(arguments.every);
    let mut before = look(&arguments.address).await?;
    loop {
        let until = Instant::now() + every;
        tokio::select! {
            () = sleep_until(until) => {}
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
        }
        let now = match look(&arguments.address).await {
            Ok(now) => now,
            // Somebody watches: a gateway that is started anew is shown again.
            Err(failure) if is_terminal && !once && !is_json => {
                context.output.line(&format!("{CLEAR}{}", failure.sentence()))?;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let activity = Activity::between(&before, &now);
        match is_json {
            true => context.output.line(&serde_json::to_string(&activity)?)?,
            false => {
                let clear = if is_terminal && !once { CLEAR } else { "" };
                let text = activity.text(|tone, word| context.output.toned(tone, word));
                context.output.line(&format!("{clear}{text}"))?;
            }
        }
        if once {
            return Ok(ExitCode::SUCCESS);
        }
        before = now;
    }
}

async fn look(address: &Url) -> Result<Numbers, Failure> {
    let began = std::time::Instant::now();
    let text = elsewhere::text(address, &TlsOptions::default())
        .await
        .problem("the gateway's second listener gave no numbers")
        .map_err(|failure| failure.hint("is it running, and is this its ADMIN_ADDRESS and ADMIN_PORT?"))?;
    Numbers::parse(&text, began).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("{address} does not answer as a gateway's second listener does"))
    })
}
