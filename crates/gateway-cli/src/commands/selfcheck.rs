//! `selfcheck`: a scan of one gateway through whatever stands in front of it.
//!
//! It needs a one-time permit of an admin of that very gateway, talks to nobody else, follows no redirect, and is
//! bounded in requests and time. The gateway tells what arrived of each probe, so that what a proxy rewrites on the
//! way is seen. Start reading at [`checks::run`]; [`wire`] sends bytes, [`report`] shows what was found.

mod checks;
mod hello;
mod http2;
mod report;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::{Remote, Target, typed_address};
use crate::terminal::{Assent, waiting};

use wire::Wire;

/// How long a scan may take.
const SCAN_LIMIT: Duration = Duration::from_secs(180);

/// The arguments of `selfcheck`.
#[derive(Args, Debug)]
#[command(
    after_help = "The scan sends about seventy requests, some of them malformed, to this host and to nobody else, and asks\nfirst. An admin of the gateway under test must be signed in, with a second factor for this very scan.\nExit codes: 0 nothing found, 1 something found."
)]
pub(crate) struct SelfcheckArguments {
    /// The gateway's address, as its callers write it
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Do not ask before the scan
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Scans.
pub(crate) async fn run(context: &Context, arguments: SelfcheckArguments) -> Result<ExitCode, Failure> {
    let address = typed_address(&arguments.url)?;
    let target = Target::named(context, address.clone())?;
    let tls = target.tls();
    let remote = Remote::at(context, target)?;
    let what =
        format!("This scans {address}: about seventy requests, some of them malformed, to this host only");
    waiting(|| context.terminal.confirm(&what, Assent::of(arguments.yes)))?;
    let wire = Wire::to(&address, &tls).await?;
    let permit = remote.ask(async |client| client.scan_permit(wire.authority()).await).await?;
    let scan = remote.client().begin_scan(&permit.permit).await?;
    let progress = |done: usize, all: usize, title: &str| {
        if context.terminal.is_there {
            remark(&format!("{done}/{all} {title}"));
        }
    };
    let scanned = timeout(SCAN_LIMIT, checks::run(&wire, &scan.permit, progress)).await;
    let Ok(found) = scanned else {
        return Err(Failure::new(
            Exit::Failed,
            format!("the scan was ended after {} seconds", SCAN_LIMIT.as_secs()),
        )
        .hint("something in front of the gateway holds requests open; look at its time limits"));
    };
    let report = report::Report::of(&address, &wire, found?);
    context.output.answer(&report, || report.text(&context.output))?;
    Ok(if report.findings == 0 { ExitCode::SUCCESS } else { Exit::Failed.code() })
}
