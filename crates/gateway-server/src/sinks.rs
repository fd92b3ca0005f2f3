//! Sinks of the audit log: each has a task of its own that reads the log from where it is, delivers, and remembers how
//! far it came. The log is the outbox, so a sink that is away costs nothing but its lag.
//!
//! What an entry looks like elsewhere is gateway-sinks' business; positions are the store's.

mod pump;
mod receiver;
mod stdout;
mod syslog;
mod web;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use gateway_config::AuditSink;
use gateway_sinks::{Aggregation, SampleRule, Sampling, Source};
use gateway_store::Store;
use gateway_types::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fetch::FetchSetupError;

use pump::Pump;
pub(crate) use pump::with_causes;
pub(crate) use receiver::DeliveryError;
use receiver::Receiver;
pub(crate) use web::Place;

/// Why a sink cannot be as it is declared.
#[derive(Debug, thiserror::Error)]
pub enum SinkSetupError {
    /// The way over HTTP cannot be made.
    #[error(transparent)]
    Web(#[from] FetchSetupError),
    /// The host of a syslog server is no name that a certificate can have.
    #[error("`{host}` is no name that a certificate can have")]
    ServerName {
        /// The host.
        host: String,
    },
}

/// The lag of a sink of which nothing is known yet.
const UNKNOWN: u64 = u64::MAX;

/// How one sink stands, as this instance sees it.
#[derive(Debug)]
pub(crate) struct SinkStatus {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    lag: AtomicU64,
    delivered: AtomicU64,
    fault: ArcSwapOption<String>,
}

impl SinkStatus {
    fn new(sink: &AuditSink) -> Self {
        Self {
            name: sink.name.clone(),
            kind: sink.target.kind(),
            lag: AtomicU64::new(UNKNOWN),
            delivered: AtomicU64::new(0),
            fault: ArcSwapOption::empty(),
        }
    }

    /// Entries of the log that it has not got yet; `None` before the first look.
    pub(crate) fn lag(&self) -> Option<u64> {
        Some(self.lag.load(Ordering::Relaxed)).filter(|lag| *lag != UNKNOWN)
    }

    /// Entries that this instance gave it.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Why the last attempt failed; `None` when it did not.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.load().as_deref().cloned()
    }

    /// What an operator should know.
    fn note(&self) -> Option<String> {
        let (fault, name) = (self.fault()?, &self.name);
        Some(match self.lag() {
            Some(lag) => format!("the audit sink `{name}` is {lag} entries behind: {fault}"),
            None => format!("the audit sink `{name}` has not begun: {fault}"),
        })
    }
}

/// The rules of a sink.
fn sampling(sink: &AuditSink) -> Sampling {
    let rules = sink.sample.iter().map(|rule| SampleRule::new(&rule.action, rule.one_in));
    let together = Aggregation::new(sink.aggregate.iter().map(String::as_str));
    Sampling::new(rules.collect()).with(together)
}

/// All sinks of this instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sinks {
    all: Vec<Arc<SinkStatus>>,
}

impl Sinks {
    /// Starts a task for each.
    ///
    /// # Errors
    /// [`SinkSetupError`] with the sink's name; none is then running.
    pub(crate) fn start(
        declared: &[AuditSink],
        source: Source,
        store: &Arc<Store>,
        clock: &Arc<dyn Clock>,
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) -> Result<Self, (String, SinkSetupError)> {
        let source = Arc::new(source);
        let mut pumps = Vec::new();
        for sink in declared {
            let receiver = Receiver::new(&sink.target, source.clone(), clock.clone())
                .map_err(|error| (sink.name.clone(), error))?;
            pumps.push(Pump {
                status: Arc::new(SinkStatus::new(sink)),
                start: sink.start,
                sampling: sampling(sink),
                receiver,
                store: store.clone(),
                stopping: stopping.clone(),
                window_since: None,
            });
        }
        let all = pumps.iter().map(|pump| pump.status.clone()).collect();
        for pump in pumps {
            tasks.spawn(pump.run());
        }
        Ok(Self { all })
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SinkStatus> {
        self.all.iter().map(|status| &**status)
    }

    /// What an operator should know of them.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.iter().filter_map(SinkStatus::note)
    }
}
