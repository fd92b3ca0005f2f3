//! `audit sinks`: how far each sink is, as the database has it.

use clap::Args;
use gateway_store::SinkPosition;
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::local::{DataPlace, LocalStore};
use crate::table::Rows;

/// The arguments of `audit sinks`.
#[derive(Args, Debug)]
#[command(
    after_help = "Why a sink stands still is known to the instance that delivers to it: its /readyz says so."
)]
pub(crate) struct SinksArguments {
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
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

/// Lists them.
pub(super) async fn run(context: &Context, arguments: &SinksArguments) -> Result<(), Failure> {
    let local = LocalStore::open(context, &arguments.place).await?;
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
