//! `audit sinks`: how far each sink is, as the database has it; and forgetting one that is declared no longer.

use clap::{Args, Subcommand};
use gateway_app::reading;
use gateway_client::text::one_line;
use gateway_store::SinkPosition;
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::local::{DataPlace, LocalStore};
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The arguments of `audit sinks`.
#[derive(Args, Debug)]
#[command(
    after_help = "Why a sink stands still is known to the instance that delivers to it: its /readyz says so."
)]
pub(crate) struct SinksArguments {
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
    /// What to do; without it, they are listed.
    #[command(subcommand)]
    pub(crate) command: Option<SinksCommand>,
}

/// What to do with sinks.
#[derive(Subcommand, Debug)]
pub(crate) enum SinksCommand {
    /// Forget how far a sink is that is declared no longer: what it has not got holds `audit prune` back
    Forget {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A sink that was forgotten, for programs.
#[derive(Serialize)]
struct Forgotten {
    name: String,
    position: u64,
}

/// One sink, for programs.
#[derive(Serialize, PartialEq, Eq, Debug)]
struct Shown {
    name: String,
    /// How many entries of the log it has got, or may do without.
    position: u64,
    /// How many entries it has not got yet.
    lag: u64,
    /// When it last got on.
    moved: String,
}

impl Shown {
    fn of(sink: SinkPosition, size: u64) -> Self {
        let lag = size.saturating_sub(sink.position);
        Self { name: sink.name, position: sink.position, lag, moved: sink.moved.to_rfc3339() }
    }
}

/// Lists them, or forgets one.
pub(super) async fn run(context: &Context, arguments: &SinksArguments) -> Result<(), Failure> {
    let local = LocalStore::open(context, &arguments.place).await?;
    if let Some(SinksCommand::Forget { name, yes }) = &arguments.command {
        let done = forget(context, &local, name, Assent::of(*yes)).await;
        local.close().await;
        return done;
    }
    // The positions first: entries that come in between are lag, and never a sink that is ahead of the log.
    let positions = local.store.audit_sinks().all().await?;
    let size = local.store.audit().head().await?.size;
    local.close().await;
    let shown: Vec<Shown> = positions.into_iter().map(|sink| Shown::of(sink, size)).collect();
    let mut rows = Rows::new(&["SINK", "POSITION", "LAG", "MOVED"]);
    for sink in &shown {
        rows.add(vec![
            sink.name.clone(),
            sink.position.to_string(),
            sink.lag.to_string(),
            sink.moved.clone(),
        ]);
    }
    context.output.listing(&shown, &rows, "no sink has begun; they are declared under [[audit.sinks]]")
}

/// Forgets a sink, once that is recorded.
async fn forget(context: &Context, local: &LocalStore, name: &str, assent: Assent) -> Result<(), Failure> {
    let sinks = local.store.audit_sinks();
    let known = sinks.all().await?.into_iter().find(|sink| sink.name == name).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("no sink `{}` has begun", one_line(name)))
            .hint("`rack-gateway audit sinks` lists those that have")
    })?;
    let lag = local.store.audit().head().await?.size.saturating_sub(known.position);
    let what = format!(
        "the sink `{}` is forgotten with {lag} entries that it has not got; a gateway that still declares it begins anew",
        one_line(name)
    );
    waiting(|| context.terminal.confirm(&what, assent))?;
    let position = known.position.to_string();
    let said = [("sink", name), ("position", position.as_str())];
    reading::announce(&local.store, &local.operator(), "gateway:audit:forget_sink", &said).await?;
    if !sinks.forget(name, known.position).await? {
        let said = [("sink", name), ("position", position.as_str()), ("state", "kept")];
        reading::announce(&local.store, &local.operator(), "gateway:audit:forget_sink", &said).await?;
        return Err(Failure::new(
            Exit::Failed,
            "the sink got on meanwhile: a gateway delivers to it, and it was kept",
        )
        .hint("remove it from [[audit.sinks]] and restart the gateway first"));
    }
    let forgotten = Forgotten { name: name.to_owned(), position: known.position };
    context
        .output
        .answer(&forgotten, || format!("forgotten: {}, which was at {}", one_line(name), known.position))
}

/// Why a gateway is not asked for it.
pub(super) fn not_here() -> Failure {
    Failure::new(Exit::Usage, "a gateway is asked here, and how far sinks are is read from its database")
        .hint("run this on the gateway's machine with --database-url or --config, or look at its metrics rack_gateway_audit_sink_*")
}

#[cfg(test)]
mod tests {
    use gateway_types::Timestamp;

    use super::*;

    #[test]
    fn what_a_sink_has_not_got_is_its_lag() {
        let sink = |position| SinkPosition {
            name: "siem".to_owned(),
            position,
            moved: Timestamp::parse_rfc3339("2026-11-23T00:00:00Z").unwrap(),
        };
        assert_eq!((Shown::of(sink(7), 12).lag, Shown::of(sink(12), 12).lag), (5, 0));
        assert_eq!(Shown::of(sink(13), 12).lag, 0, "of a database that was put back");
        assert_eq!(Shown::of(sink(7), 12).moved, "2026-11-23T00:00:00.000000Z");
    }
}
