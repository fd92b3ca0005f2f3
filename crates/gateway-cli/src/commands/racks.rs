//! `rack`, `racks`, `switch`: the gateways that are known on this machine.

use std::process::ExitCode;

use clap::Args;
use gateway_client::Client;
use serde::Serialize;

use super::completion;
use super::native::system::{self, SystemCommand};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::output::{Tone, remark};
use crate::racks::{Kept, Rack, Racks};
use crate::remote::{Remote, Target};
use crate::skew;
use crate::table::Rows;
use crate::witness;

/// The arguments of `rack`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RackArguments {
    /// What to do with the rack itself; without it, show the gateway in front of it.
    #[command(subcommand)]
    pub(crate) command: Option<SystemCommand>,
    /// Take the gateway's log as it is now, whatever was seen of it before
    #[arg(long)]
    pub(crate) forget_log: bool,
}

/// The arguments of `switch`.
#[derive(Args, Debug)]
pub(crate) struct SwitchArguments {
    /// The rack's name, as `rack-gateway racks` shows it
    #[arg(value_name = "NAME", add = completion::racks())]
    pub(crate) name: String,
}

/// One rack.
#[derive(Serialize)]
struct Shown {
    name: String,
    url: String,
    current: bool,
    signed_in: bool,
    email: Option<String>,
    gateway_id: Option<String>,
    kept: Option<Kept>,
}

impl Shown {
    fn of(rack: &Rack, current: bool) -> Self {
        Self {
            name: rack.name.clone(),
            url: rack.url.to_string(),
            current,
            signed_in: rack.kept.is_some(),
            email: Some(rack.email.clone()),
            gateway_id: Some(rack.gateway_id.clone()),
            kept: rack.kept,
        }
    }
}

/// The rack that is meant, as its gateway tells it.
#[derive(Serialize)]
struct Current {
    name: String,
    url: String,
    gateway_id: String,
    rack: String,
    version: Option<String>,
    checkpoint: Option<witness::Seen>,
}

/// Shows the rack that commands are about now, and whether its log still holds what was seen of it.
pub(crate) async fn current(context: &Context, arguments: RackArguments) -> Result<ExitCode, Failure> {
    if let Some(command) = arguments.command {
        system::run(context, command).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let target = Target::of(context)?;
    let client = Client::new(target.address.clone(), None, &target.tls())?;
    let gateway = client.discovery().await?;
    skew::tell(gateway.version.as_deref());
    if let Some(rack) = target.rack.as_ref().filter(|rack| rack.gateway_id != gateway.gateway_id) {
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "{} is another gateway now than the one that was signed in to ({} then, {} now)",
                rack.url, rack.gateway_id, gateway.gateway_id
            ),
        )
        .hint(format!("when that is meant, sign in to it with `rack-gateway login {}`", rack.url)));
    }
    let checkpoint = match target.credential(context) {
        Ok(_) => {
            let remote = Remote::at(context, target.clone())?;
            if arguments.forget_log {
                witness::forget(&remote)?;
            }
            Some(witness::look(&remote).await?)
        }
        Err(_) => {
            remark("nobody is signed in, so the log was not looked at");
            None
        }
    };
    let answer = Current {
        name: target.name(),
        url: target.address.to_string(),
        gateway_id: gateway.gateway_id,
        rack: gateway.rack,
        version: gateway.version,
        checkpoint,
    };
    context.output.answer(&answer, || text(context, &answer))?;
    Ok(ExitCode::SUCCESS)
}

fn text(context: &Context, answer: &Current) -> String {
    let mut lines = Lines::default();
    lines.line("address", &answer.url);
    lines.line("gateway", &answer.gateway_id);
    lines.line("rack", &answer.rack);
    lines.some("version", answer.version.as_deref());
    if let Some(seen) = &answer.checkpoint {
        lines.own(
            "log",
            &format!("{}: {} entries", context.output.toned(Tone::Good, "consistent"), seen.size),
        );
    }
    format!("{}\n{lines}", answer.name)
}

/// Lists the known racks.
pub(crate) fn list(context: &Context) -> Result<ExitCode, Failure> {
    let book = Racks::of(&context.environment)?.book()?;
    let shown: Vec<Shown> = book
        .racks
        .iter()
        .map(|rack| Shown::of(rack, book.current.as_deref() == Some(rack.name.as_str())))
        .collect();
    let mut rows = Rows::new(&["NAME", "ADDRESS", "WHO", "SESSION", ""]);
    for rack in &shown {
        let session = rack.kept.map_or("signed out", Kept::name);
        let mark = if rack.current { "current" } else { "" };
        rows.add(vec![
            rack.name.clone(),
            rack.url.clone(),
            rack.email.clone().unwrap_or_default(),
            session.to_owned(),
            mark.to_owned(),
        ]);
    }
    context.output.listing(
        &shown,
        &rows,
        "no rack is known; sign in with `rack-gateway login https://GATEWAY`",
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Makes another rack the current one.
pub(crate) fn switch(context: &Context, arguments: &SwitchArguments) -> Result<ExitCode, Failure> {
    let rack = Racks::of(&context.environment)?.change(|book| {
        let rack = book.named(&arguments.name)?.clone();
        book.current = Some(rack.name.clone());
        Ok(rack)
    })?;
    if context.environment.url.is_some() {
        remark("warning: RACK_GATEWAY_URL is set and comes first; unset it to use the rack that was chosen");
    }
    let shown = Shown::of(&rack, true);
    context.output.answer(&shown, || format!("{} ({}) is the current rack", shown.name, shown.url))?;
    Ok(ExitCode::SUCCESS)
}
