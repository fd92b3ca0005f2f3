//! `logout`: ends sessions, at the gateway and on this machine.

use std::process::ExitCode;

use clap::Args;
use gateway_client::{Client, ClientError, TlsOptions};
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::racks::{Rack, Racks};
use crate::remote::Target;

/// The arguments of `logout`.
#[derive(Args, Debug)]
pub(crate) struct LogoutArguments {
    /// At every known gateway
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Serialize)]
struct Answer {
    name: String,
    url: String,
    /// Whether the gateway itself ended it; else it ends there when its time is over.
    ended_at_gateway: bool,
}

/// Signs out. What is kept on this machine is forgotten even when the gateway does not answer.
pub(crate) async fn run(context: &Context, arguments: LogoutArguments) -> Result<ExitCode, Failure> {
    let racks = Racks::of(&context.environment)?;
    let mut answers = Vec::new();
    for rack in which(context, &racks, &arguments)? {
        let ended_at_gateway = sign_out(&racks, &rack).await?;
        answers.push(Answer { name: rack.name, url: rack.url.to_string(), ended_at_gateway });
    }
    context.output.answer(&answers, || text(&answers))?;
    let all_ended = answers.iter().all(|answer| answer.ended_at_gateway);
    Ok(if all_ended { ExitCode::SUCCESS } else { Exit::Unreachable.code() })
}

fn which(context: &Context, racks: &Racks, arguments: &LogoutArguments) -> Result<Vec<Rack>, Failure> {
    if arguments.all {
        return Ok(racks.book()?.racks.into_iter().filter(|rack| rack.kept.is_some()).collect());
    }
    let target = Target::of(context)?;
    match target.rack {
        Some(rack) if rack.kept.is_some() => Ok(vec![rack]),
        Some(_) | None => Err(Failure::new(
            Exit::NotSignedIn,
            format!("no session of {} is kept on this machine", target.address),
        )),
    }
}

/// Whether the gateway knows of it.
async fn sign_out(racks: &Racks, rack: &Rack) -> Result<bool, Failure> {
    let Some(kept) = rack.kept else { return Ok(true) };
    let ended = match racks.vault().find(&rack.url, kept)? {
        Some(session) => {
            let client =
                Client::new(rack.url.clone(), Some(session), &TlsOptions { ca_file: rack.ca_file.clone() })?;
            client.sign_out().await
        }
        None => Ok(()),
    };
    racks.vault().forget(&rack.url, kept)?;
    racks.change(|book| {
        if let Some(known) = book.at_mut(&rack.url) {
            known.kept = None;
        }
        Ok(())
    })?;
    match ended {
        // It was over already.
        Ok(()) | Err(ClientError::NotSignedIn { .. }) => Ok(true),
        Err(error) => {
            remark(&Failure::from(error).to_string());
            Ok(false)
        }
    }
}

fn text(answers: &[Answer]) -> String {
    if answers.is_empty() {
        return "no session is kept on this machine".to_owned();
    }
    let line = |answer: &Answer| match answer.ended_at_gateway {
        true => format!("signed out of {} ({})\n", answer.name, answer.url),
        false => format!(
            "forgot the session of {} ({}), but the gateway did not end it: it lives there until its time is over, or somebody revokes it\n",
            answer.name, answer.url
        ),
    };
    answers.iter().map(line).collect()
}
