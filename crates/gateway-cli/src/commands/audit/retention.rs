//! `audit prune` and `audit hold`: which entries of the log keep their bodies.

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::audit::{AuditRetention, SetHold};
use serde::Serialize;

use crate::Context;
use crate::commands::listing::minute;
use crate::failure::{Exit, Failure};
use crate::remote::Remote;

/// The arguments of `audit prune`.
#[derive(Args, Debug)]
#[command(
    after_help = "Bodies older than the setting audit_retention are removed by the gateway itself each hour; this does it now. Hashes stay: the log still verifies, and every entry still has its proof."
)]
pub(crate) struct PruneArguments {
    /// Show what would be removed, and what keeps the rest
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Remove it; it cannot be brought back
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The arguments of `audit hold`.
#[derive(Args, Debug)]
pub(crate) struct HoldArguments {
    /// What to do; without it, the hold is shown.
    #[command(subcommand)]
    pub(crate) command: Option<HoldCommand>,
}

/// What to do with the legal hold.
#[derive(Subcommand, Debug)]
pub(crate) enum HoldCommand {
    /// Show whether there is one, why, and since when
    Show,
    /// Keep every body from now on
    Set {
        /// Why, for whoever asks
        #[arg(value_name = "REASON")]
        reason: String,
    },
    /// Let the gateway remove old bodies again
    Lift,
}

#[derive(Serialize)]
struct Lifted {
    lifted: bool,
}

/// Shows what pruning would remove, or removes it.
pub(super) async fn prune(context: &Context, arguments: &PruneArguments) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    if arguments.yes {
        let pruned = remote.ask(async |client| client.prune_audit().await).await?;
        return context.output.answer(&pruned, || {
            if pruned.to > pruned.from {
                format!("pruned: entries {} to {} have only their hash left", pruned.from, pruned.to - 1)
            } else {
                format!("nothing was pruned; bodies begin at entry {}", pruned.to)
            }
        });
    }
    if !arguments.dry_run {
        return Err(Failure::new(
            Exit::Usage,
            "say --dry-run to see what would be removed, or --yes to remove it: it cannot be brought back",
        ));
    }
    let state = remote.ask(async |client| client.audit_retention().await).await?;
    context.output.answer(&state, || planned(&state))
}

fn planned(state: &AuditRetention) -> String {
    let would = if state.would_keep_from > state.first_kept {
        format!("would prune: entries {} to {}", state.first_kept, state.would_keep_from - 1)
    } else {
        "would prune: nothing".to_owned()
    };
    format!(
        "{would}\n  bodies     from entry {} on\n  kept by    {}\n  anchored   {} entries",
        state.first_kept,
        one_line(&state.kept_by),
        state.anchored
    )
}

/// Shows, sets or lifts the legal hold.
pub(super) async fn hold(context: &Context, arguments: HoldArguments) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    match arguments.command.unwrap_or(HoldCommand::Show) {
        HoldCommand::Show => {
            let state = remote.ask(async |client| client.audit_retention().await).await?;
            context.output.answer(&state.hold, || match &state.hold {
                Some(hold) => format!(
                    "held since {} by {}: {}",
                    minute(Some(&hold.since), ""),
                    one_line(&hold.set_by),
                    one_line(&hold.reason)
                ),
                None => "there is no legal hold".to_owned(),
            })
        }
        HoldCommand::Set { reason } => {
            let asked = SetHold { reason };
            let hold = remote.ask(async |client| client.hold_audit(&asked).await).await?;
            context.output.answer(&hold, || format!("held: {}", one_line(&hold.reason)))
        }
        HoldCommand::Lift => {
            remote.ask(async |client| client.lift_audit_hold().await).await?;
            context.output.answer(&Lifted { lifted: true }, || "the legal hold is lifted".to_owned())
        }
    }
}
