//! `/metrics` of the second listener, in the text format of OpenMetrics: what the data plane counted, and how the
//! parts of this instance stand when somebody asks (`docs/metrics.md`).

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_app::{sentinel, vantage};
use gateway_proxy::Metrics;
use gateway_types::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::timeout;

use crate::admin::Probes;
use crate::sinks::Sinks;

/// What the text is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long the database has to tell how something stands.
pub(crate) const ASK_LIMIT: Duration = Duration::from_secs(2);

/// The kernel tells times of processes in hundredths of a second, whatever its own tick is (proc(5), `utime`).
const TICKS_PER_SECOND: f64 = 100.0;

type Float = Gauge<f64, AtomicU64>;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Named {
    name: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Of {
    of: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// How the sinks of the audit log stand, by the names that the configuration gives them.
#[derive(Debug, Default)]
struct SinkFamilies {
    lag: Family<Named, Gauge>,
    up: Family<Named, Gauge>,
    delivered: Family<Named, Counter>,
}

impl SinkFamilies {
    fn register(registry: &mut Registry) -> Self {
        let families = Self::default();
        registry.register(
            "audit_sink_lag_entries",
            "Entries of the log that a sink has not got yet",
            families.lag.clone(),
        );
        registry.register(
            "audit_sink_up",
            "1 while the last delivery to a sink succeeded",
            families.up.clone(),
        );
        registry.register(
            "audit_sink_delivered",
            "Entries that this instance gave a sink",
            families.delivered.clone(),
        );
        families
    }

    fn look(&self, sinks: &Sinks) {
        for sink in sinks.iter() {
            let name = || Named { name: sink.name.clone() };
            if let Some(lag) = sink.lag() {
                self.lag.get_or_create(&name()).set(i64::try_from(lag).unwrap_or(i64::MAX));
            }
            self.up.get_or_create(&name()).set(sink.fault().is_none().into());
            self.delivered.get_or_create(&name()).inner().store(sink.delivered(), Ordering::Relaxed);
        }
    }
}

/// How the comparison of the rack with the log stands, over all instances.
#[derive(Debug, Default)]
struct SentinelGauges {
    look: Float,
    bypass: Float,
    bypasses: Counter,
}

impl SentinelGauges {
    fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        registry.register_with_unit(
            "sentinel_last_look",
            "When the rack was last compared with the audit log, since 1970; 0 = never",
            Unit::Seconds,
            gauges.look.clone(),
        );
        registry.register_with_unit(
            "sentinel_last_bypass",
            "When a change past the gateway was last found in the rack, since 1970; 0 = never",
            Unit::Seconds,
            gauges.bypass.clone(),
        );
        registry.register(
            "sentinel_bypasses",
            "Changes in the rack that nobody asked for through the gateway",
            gauges.bypasses.clone(),
        );
        gauges
    }

    /// While the store is away the last numbers stay.
    async fn look(&self, probes: &Probes) {
        let Ok(Ok(Some(standing))) = timeout(ASK_LIMIT, sentinel::standing(&probes.store)).await else {
            return;
        };
        self.look.set(seconds(standing.looked));
        self.bypass.set(standing.last_bypass.map_or(0.0, |(at, _what)| seconds(at)));
        self.bypasses.inner().store(standing.bypasses, Ordering::Relaxed);
    }
}

/// What vantage points see, over all instances. Their names are the operator's, and no labels.
#[derive(Debug, Default)]
struct VantageGauges {
    points: Family<InState, Gauge>,
    open: Gauge,
    own_look: Float,
}

impl VantageGauges {
    fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        registry.register("vantage_points", "Vantage points by state", gauges.points.clone());
        registry.register(
            "vantage_open_targets",
            "Targets that answer a vantage point and should not",
            gauges.open.clone(),
        );
        registry.register_with_unit(
            "exposure_probe_last_look",
            "When the gateway itself last looked whether anything answers past it, since 1970; 0 = never",
            Unit::Seconds,
            gauges.own_look.clone(),
        );
        gauges
    }

    /// While the store is away the last numbers stay.
    async fn look(&self, probes: &Probes) {
        let Ok(Ok(points)) = timeout(ASK_LIMIT, vantage::list(&probes.store)).await else { return };
        for state in vantage::VantageState::ALL {
            let standing = points.iter().filter(|one| one.state == state).count();
            self.points.get_or_create(&InState { state: state.name() }).set(count(standing));
        }
        self.open.set(count(points.iter().map(|one| one.open.len()).sum()));
        let own = points.iter().find(|one| one.name == vantage::OWN);
        self.own_look.set(own.map_or(0.0, |own| seconds(own.reported)));
    }
}

/// Everything that can be scraped of this instance.
#[derive(Debug)]
pub(crate) struct Telemetry {
    registry: Registry,
    store_up: Gauge,
    draining: Gauge,
    read_only: Gauge,
    open_connections: Gauge,
    connection_places: Gauge,
    open_sockets: Gauge,
    audit_writable: Gauge,
    audit_queued: Gauge,
    audit_dropped: Counter,
    audit_commits: Counter,
    anchored: Gauge,
    first_kept: Gauge,
    faults: Family<Of, Gauge>,
    certificates: Family<Named, Gauge>,
    sinks: SinkFamilies,
    sentinel: SentinelGauges,
    vantage: VantageGauges,
    jobs: Family<InState, Gauge>,
    store_connections: Family<InState, Gauge>,
    store_connection_places: Gauge,
    job_lag: Float,
    memory: Gauge,
    handles: Gauge,
    cpu: Counter<f64, AtomicU64>,
}

impl Telemetry {
    /// All of it, and the data plane's part. `started`: since when this process runs.
    pub(crate) fn new(started: Timestamp) -> (Self, Arc<Metrics>) {
        let mut registry = Registry::default();
        let (memory, handles) = (Gauge::default(), Gauge::default());
        let (cpu, start) = (Counter::<f64, AtomicU64>::default(), Float::default());
        start.set(seconds(started));
        // The names that every exporter has for these.
        registry.register_with_unit("process_resident_memory", "Memory in use", Unit::Bytes, memory.clone());
        registry.register("process_open_fds", "Open file descriptors", handles.clone());
        registry.register_with_unit("process_cpu", "Processor time used", Unit::Seconds, cpu.clone());
        registry.register_with_unit(
            "process_start_time",
            "When the process started, since 1970",
            Unit::Seconds,
            start,
        );
        let own = registry.sub_registry_with_prefix("rack_gateway");
        let metrics = Arc::new(Metrics::register(own));
        let builds = Family::<Build, Gauge>::default();
        builds.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        own.register("build", "The version that runs", builds);
        let gauge = |registry: &mut Registry, name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let (faults, certificates, jobs) = (Family::default(), Family::default(), Family::default());
        own.register("fault", "1 while this part is not as the operator declared it", faults.clone());
        own.register_with_unit(
            "certificate_end",
            "When a certificate of a listener ends, since 1970",
            Unit::Seconds,
            certificates.clone(),
        );
        own.register("jobs", "Jobs by state", jobs.clone());
        let store_connections: Family<InState, Gauge> = Family::default();
        own.register(
            "store_connections",
            "Connections to the database by state: used or idle",
            store_connections.clone(),
        );
        let sinks = SinkFamilies::register(own);
        let sentinel = SentinelGauges::register(own);
        let vantage = VantageGauges::register(own);
        let job_lag = Float::default();
        own.register_with_unit(
            "job_lag",
            "For how long the oldest waiting job has been due",
            Unit::Seconds,
            job_lag.clone(),
        );
        let telemetry = Self {
            store_up: gauge(own, "store_up", "1 while the database answers"),
            store_connections,
            store_connection_places: gauge(
                own,
                "store_connection_places",
                "The most connections to the database",
            ),
            draining: gauge(own, "draining", "1 while this instance is stopping"),
            read_only: gauge(own, "read_only", "1 while nothing can be changed on purpose"),
            open_connections: gauge(own, "open_connections", "Connections of clients"),
            connection_places: gauge(own, "connection_places", "The most connections of clients"),
            open_sockets: gauge(own, "open_sockets", "Sockets and tunnels that are open"),
            audit_writable: gauge(own, "audit_writable", "1 while the audit log can be written"),
            audit_queued: gauge(own, "audit_queued_events", "Events that wait to be written"),
            audit_dropped: counter(own, "audit_dropped_reads", "Plain reads that were not written down"),
            audit_commits: counter(own, "audit_commits", "Transactions of the audit log"),
            anchored: gauge(
                own,
                "audit_anchored_entries",
                "Entries that the last anchor of this instance has",
            ),
            first_kept: gauge(
                own,
                "audit_first_kept_entry",
                "The first entry of the audit log that has its body; those before were pruned",
            ),
            faults,
            certificates,
            sinks,
            sentinel,
            vantage,
            jobs,
            job_lag,
            memory,
            handles,
            cpu,
            registry,
        };
        (telemetry, metrics)
    }

    /// How everything stands now.
    pub(crate) async fn text(&self, probes: &Probes) -> String {
        self.look(probes).await;
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "metrics could not be written");
                String::new()
            }
        }
    }

    async fn look(&self, probes: &Probes) {
        let health = &probes.health;
        let audit = probes.store.audit().health();
        self.audit_writable.set(audit.writable.into());
        self.audit_queued.set(count(audit.queued));
        self.audit_dropped.inner().store(audit.dropped_reads, Ordering::Relaxed);
        self.audit_commits.inner().store(audit.commits, Ordering::Relaxed);
        self.anchored.set(i64::try_from(probes.anchors.anchored()).unwrap_or(i64::MAX));
        // While the store is away the last number stays.
        if let Ok(Ok(first)) = timeout(ASK_LIMIT, probes.store.audit_retention().first_kept()).await {
            self.first_kept.set(i64::try_from(first).unwrap_or(i64::MAX));
        }
        self.draining.set(health.is_draining().into());
        self.read_only.set(health.read_only().is_some().into());
        self.open_connections.set(count(probes.connections.len()));
        self.connection_places.set(count(probes.connection_places));
        self.open_sockets.set(count(probes.plane.open_sockets()));
        let connections = probes.store.connections();
        self.store_connections.get_or_create(&InState { state: "used" }).set(i64::from(connections.used));
        self.store_connections.get_or_create(&InState { state: "idle" }).set(i64::from(connections.idle));
        self.store_connection_places.set(i64::from(connections.most));
        for (of, fault) in [
            ("policies", health.policy_fault()),
            ("services", health.service_fault()),
            ("rack_credential", health.credential_fault()),
            ("audit_anchors", probes.anchors.fault()),
            ("audit_search", health.search_fault()),
            ("audit_retention", health.retention_fault()),
            ("sentinel", health.sentinel_fault()),
            ("service_discovery", health.discovery_fault()),
            ("exposure_probe", health.probe_fault()),
        ] {
            self.faults.get_or_create(&Of { of }).set(fault.is_some().into());
        }
        self.certificates.clear();
        if let Some((status, _)) = &probes.certificates {
            for (name, end) in status.ends() {
                self.certificates.get_or_create(&Named { name }).set(end.micros() / 1_000_000);
            }
        }
        self.sinks.look(&probes.sinks);
        self.sentinel.look(probes).await;
        self.vantage.look(probes).await;
        self.look_at_jobs(probes).await;
        self.look_at_process();
    }

    async fn look_at_jobs(&self, probes: &Probes) {
        let standing = timeout(ASK_LIMIT, probes.store.jobs().standing()).await;
        self.store_up.set(matches!(standing, Ok(Ok(_))).into());
        let Ok(Ok(standing)) = standing else { return };
        self.jobs.clear();
        self.job_lag.set(0.0);
        for of_state in standing {
            let state = of_state.state.name();
            self.jobs
                .get_or_create(&InState { state })
                .set(i64::try_from(of_state.count).unwrap_or(i64::MAX));
            if of_state.state == gateway_store::JobState::Waiting
                && let Some(late) = probes.clock.now().checked_since(of_state.oldest)
            {
                self.job_lag.set(late.as_secs_f64());
            }
        }
    }

    /// What the kernel tells of this process. Where it does not, the metrics stay at nothing.
    fn look_at_process(&self) {
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<i64>().ok());
            self.memory.set(kilobytes.unwrap_or_default() * 1024);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            self.handles.set(count(open.count()) - 1);
        }
        if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
            self.cpu.inner().store(processor_seconds(&stat).to_bits(), Ordering::Relaxed);
        }
    }
}

/// User and system time out of `/proc/self/stat`: fields 14 and 15, counted behind the name, which may hold spaces.
fn processor_seconds(stat: &str) -> f64 {
    let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
    let ticks = behind.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u32>().ok());
    ticks.map(f64::from).sum::<f64>() / TICKS_PER_SECOND
}

fn seconds(time: Timestamp) -> f64 {
    Duration::from_micros(u64::try_from(time.micros()).unwrap_or_default()).as_secs_f64()
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_hostile_name() {
        let stat = "7 (a) R 9 (b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 100 1 1";
        assert!((processor_seconds(stat) - 3.0).abs() < 1e-9);
        assert!(processor_seconds("").abs() < 1e-9);
    }

    #[test]
    fn names_are_those_of_the_documents() {
        let (telemetry, _metrics) = Telemetry::new(Timestamp::from_micros(1_500_000));
        telemetry.look_at_process();
        let mut text = String::new();
        encode(&mut text, &telemetry.registry).unwrap();
        assert!(text.contains("\nprocess_start_time_seconds 1.5\n"), "{text}");
        assert!(
            text.contains(&format!("rack_gateway_build{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))),
            "{text}"
        );
        for name in ["process_resident_memory_bytes", "process_open_fds"] {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            assert!(
                line.is_some_and(|value| value.parse::<f64>().is_ok_and(|value| value > 0.0)),
                "{name}: {text}"
            );
        }
        let document = include_str!("../../../docs/metrics.md");
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().unwrap_or_default();
            assert!(document.contains(&format!("`{name}`")), "docs/metrics.md does not tell of {name}");
        }
    }
}
