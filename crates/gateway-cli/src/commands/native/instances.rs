//! `instances`: the machines of the rack.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::Instance;
use gateway_client::text::one_line;

use super::Place;
use super::place::{Fetched, moment};
use crate::commands::exec::{self, ShellArguments};
use crate::failure::Failure;
use crate::table::Rows;

/// The arguments of `instances`.
#[derive(Args, Debug)]
pub(crate) struct InstancesArguments {
    /// What to do; without it, list the instances.
    #[command(subcommand)]
    command: Option<InstancesCommand>,
}

/// What to do with instances.
#[derive(Subcommand, Debug)]
pub(crate) enum InstancesCommand {
    /// Open a shell on an instance, or run a command there
    Ssh {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// A command instead of a shell; flags of its own stand in quotes with it, or behind --
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Terminate an instance
    Terminate {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: InstancesArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Some(InstancesCommand::Ssh { id: instance, command }) => {
            return exec::shell(place.context, ShellArguments { instance, command }).await;
        }
        None => {
            let Fetched { raw, value } =
                place.fetch::<Vec<Instance>>(&RackRequest::get(&["instances"])).await?;
            let mut rows = Rows::new(&["ID", "STATUS", "STARTED", "PS", "CPU", "MEM", "PUBLIC", "PRIVATE"]);
            for one in value {
                rows.add(vec![
                    one.id,
                    one.status,
                    moment(&one.started),
                    one.processes.to_string(),
                    share(one.cpu, one.cpu_capacity),
                    share(one.memory, one.memory_capacity),
                    one.public_ip,
                    one.private_ip,
                ]);
            }
            place.listing(&raw, &rows, "there are no instances")
        }
        Some(InstancesCommand::Terminate { id, yes }) => {
            place.confirm(&format!("the instance {} is terminated", one_line(&id)), yes)?;
            place.order(&RackRequest::delete(&["instances", &id])).await?;
            place.done("Terminating instance", None)
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

/// How much of what there is, in percent. v2 racks tell the share itself.
fn share(taken: f64, capacity: f64) -> String {
    let share = if capacity > 0.0 { taken / capacity } else { taken };
    format!("{:.2}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn what_is_taken_is_a_share() {
        assert_eq!((share(0.5, 2.0).as_str(), share(0.4, 0.0).as_str()), ("25.00%", "40.00%"));
    }
}
