//! What happened between two looks, and how it is shown. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gateway_client::text::one_line;
use serde::Serialize;

use super::numbers::{Number, Numbers};
use crate::output::Tone;

/// What a gateway did between two looks, and how it stands.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Activity {
    version: String,
    /// Seconds between the looks.
    seconds: f64,
    requests_per_second: f64,
    /// Refused by the gateway itself.
    refused_per_second: f64,
    /// Lost or failed: the rack or a service went away, or the gateway could not.
    failed_per_second: f64,
    classes: Vec<Class>,
    stages: Vec<Stage>,
    cpu_percent: f64,
    memory_bytes: f64,
    connections: f64,
    connection_places: f64,
    sockets: f64,
    log: Log,
    sinks: Vec<Sink>,
    jobs: BTreeMap<String, f64>,
    job_lag_seconds: f64,
    /// What is wrong, in words.
    troubles: Vec<String>,
}

/// Requests of one class.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Class {
    class: String,
    per_second: f64,
    /// Milliseconds; absent where there were none.
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// A stage of requests.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Stage {
    stage: String,
    mean_ms: Option<f64>,
}

/// The audit log.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Log {
    queued: f64,
    commits_per_second: f64,
    dropped_reads: f64,
}

/// A sink of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Sink {
    name: String,
    up: bool,
    lag: f64,
}

/// How much a counter grew; a gateway that was started anew counts from 0.
fn grew(before: f64, now: f64) -> f64 {
    if now >= before { now - before } else { now }
}

impl Activity {
    /// What happened from one look to the next.
    pub(super) fn between(before: &Numbers, now: &Numbers) -> Self {
        let seconds = now.read.duration_since(before.read).as_secs_f64().max(0.001);
        let rate = |name: &str, wanted: &dyn Fn(&Number) -> bool| {
            grew(before.sum(name, wanted), now.sum(name, wanted)) / seconds
        };
        let requests = "rack_gateway_requests_total";
        let one = |name: &str| now.one(name).unwrap_or_default();
        let failures = ["failed", "upstream_lost", "panicked"];
        Self {
            version: now
                .all("rack_gateway_build")
                .first()
                .map_or("", |build| build.label("version"))
                .to_owned(),
            seconds,
            requests_per_second: rate(requests, &|_any| true),
            refused_per_second: rate(requests, &|number| number.label("end") == "refused"),
            failed_per_second: rate(requests, &|number| failures.contains(&number.label("end"))),
            classes: classes(before, now, seconds),
            stages: stages(before, now),
            cpu_percent: rate("process_cpu_seconds_total", &|_any| true) * 100.0,
            memory_bytes: one("process_resident_memory_bytes"),
            connections: one("rack_gateway_open_connections"),
            connection_places: one("rack_gateway_connection_places"),
            sockets: one("rack_gateway_open_sockets"),
            log: Log {
                queued: one("rack_gateway_audit_queued_events"),
                commits_per_second: rate("rack_gateway_audit_commits_total", &|_any| true),
                dropped_reads: one("rack_gateway_audit_dropped_reads_total"),
            },
            sinks: sinks(now),
            jobs: now
                .all("rack_gateway_jobs")
                .iter()
                .map(|number| (number.label("state").to_owned(), number.value))
                .collect(),
            job_lag_seconds: one("rack_gateway_job_lag_seconds"),
            troubles: troubles(now),
        }
    }

    /// For people; `toned` colours a word where colours are wanted.
    pub(super) fn text(&self, toned: impl Fn(Tone, &str) -> String) -> String {
        let mut text = format!(
            "rack-gateway {}: {:.1} requests/s, {:.1} refused/s, {:.1} failed/s; {:.0} % of a core, {:.0} MiB\n\
             {:.0} of {:.0} connections, {:.0} sockets; log: {:.0} waiting, {:.1} commits/s\n\n\
             {:<10} {:>10} {:>10} {:>10}\n",
            one_line(&self.version),
            self.requests_per_second,
            self.refused_per_second,
            self.failed_per_second,
            self.cpu_percent,
            self.memory_bytes / f64::from(1 << 20),
            self.connections,
            self.connection_places,
            self.sockets,
            self.log.queued,
            self.log.commits_per_second,
            "CLASS",
            "PER SECOND",
            "P50",
            "P99"
        );
        for class in &self.classes {
            let (p50, p99) = (milliseconds(class.p50_ms), milliseconds(class.p99_ms));
            let _fits = writeln!(
                text,
                "{:<10} {:>10.1} {p50:>10} {p99:>10}",
                one_line(&class.class),
                class.per_second
            );
        }
        let stages: Vec<String> = self
            .stages
            .iter()
            .map(|stage| format!("{} {}", one_line(&stage.stage), milliseconds(stage.mean_ms)))
            .collect();
        let jobs: Vec<String> =
            self.jobs.iter().map(|(state, count)| format!("{count:.0} {}", one_line(state))).collect();
        let _fits = writeln!(text, "\nstages: {}\njobs: {}", stages.join(", "), jobs.join(", "));
        for sink in &self.sinks {
            let state = if sink.up { toned(Tone::Good, "up") } else { toned(Tone::Bad, "away") };
            let _fits =
                writeln!(text, "sink {}: {state}, {:.0} entries behind", one_line(&sink.name), sink.lag);
        }
        for trouble in &self.troubles {
            let _fits = writeln!(text, "{}", toned(Tone::Bad, &one_line(trouble)));
        }
        text.trim_end().to_owned()
    }
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} ms"))
}

fn classes(before: &Numbers, now: &Numbers, seconds: f64) -> Vec<Class> {
    let bucket = "rack_gateway_request_duration_seconds_bucket";
    let mut names: Vec<&str> = now.all(bucket).iter().map(|number| number.label("class")).collect();
    names.sort_unstable();
    names.dedup();
    let class = |name: &str| {
        let of_class = |number: &Number| number.label("class") == name;
        let requests = "rack_gateway_requests_total";
        let buckets = grown_buckets(bucket, before, now, name);
        Class {
            class: name.to_owned(),
            per_second: grew(before.sum(requests, of_class), now.sum(requests, of_class)) / seconds,
            p50_ms: quantile(&buckets, 0.5).map(|seconds| seconds * 1000.0),
            p99_ms: quantile(&buckets, 0.99).map(|seconds| seconds * 1000.0),
        }
    };
    names.into_iter().map(class).collect()
}

/// Upper bounds in seconds and how many requests of a class came below each, in order; cumulative.
fn grown_buckets(name: &str, before: &Numbers, now: &Numbers, class: &str) -> Vec<(f64, f64)> {
    let at = |numbers: &Numbers| {
        let mut found: BTreeMap<String, f64> = BTreeMap::new();
        for number in numbers.all(name).iter().filter(|number| number.label("class") == class) {
            *found.entry(number.label("le").to_owned()).or_default() += number.value;
        }
        found
    };
    let (then, now) = (at(before), at(now));
    let mut buckets: Vec<(f64, f64)> = now
        .into_iter()
        .filter_map(|(bound, count)| {
            let bound_seconds = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound_seconds, grew(then.get(&bound).copied().unwrap_or_default(), count)))
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets
}

/// Where this share of the requests lies, taken as spread evenly within a bucket, as PromQL's `histogram_quantile` does.
fn quantile(buckets: &[(f64, f64)], share: f64) -> Option<f64> {
    let total = buckets.last()?.1;
    if total <= 0.0 {
        return None;
    }
    let wanted = total * share;
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if *count >= wanted {
            if bound.is_infinite() {
                return Some(low);
            }
            let within = if *count > below { (wanted - below) / (*count - below) } else { 1.0 };
            return Some(low + (bound - low) * within);
        }
        (low, below) = (*bound, *count);
    }
    Some(low)
}

fn stages(before: &Numbers, now: &Numbers) -> Vec<Stage> {
    // In the order in which a request goes through them.
    ["admit", "authenticate", "inspect", "policy", "audit", "upstream"]
        .into_iter()
        .map(|stage| {
            let of_stage = |number: &Number| number.label("stage") == stage;
            let gain = |name: &str| grew(before.sum(name, of_stage), now.sum(name, of_stage));
            let count = gain("rack_gateway_stage_duration_seconds_count");
            let spent = gain("rack_gateway_stage_duration_seconds_sum");
            Stage { stage: stage.to_owned(), mean_ms: (count > 0.0).then(|| spent / count * 1000.0) }
        })
        .collect()
}

fn sinks(now: &Numbers) -> Vec<Sink> {
    let lag =
        |name: &str| now.sum("rack_gateway_audit_sink_lag_entries", |number| number.label("name") == name);
    now.all("rack_gateway_audit_sink_up")
        .iter()
        .map(|number| {
            let name = number.label("name").to_owned();
            Sink { up: number.value > 0.0, lag: lag(&name), name }
        })
        .collect()
}

fn troubles(now: &Numbers) -> Vec<String> {
    let is = |name: &str, value: f64| now.one(name).is_some_and(|found| (found - value).abs() < 0.5);
    let mut troubles = Vec::new();
    let mut say = |applies: bool, words: &str| {
        if applies {
            troubles.push(words.to_owned());
        }
    };
    say(is("rack_gateway_store_up", 0.0), "the database is away: known callers read, changes are refused");
    say(is("rack_gateway_audit_writable", 0.0), "the audit log cannot be written: changes are refused");
    say(is("rack_gateway_read_only", 1.0), "read-only on purpose (rack-gateway mode)");
    say(is("rack_gateway_draining", 1.0), "draining: this instance is stopping");
    say(
        now.one("rack_gateway_audit_dropped_reads_total").is_some_and(|count| count > 0.0),
        "reads were not recorded since the start (gateway:audit:gap)",
    );
    say(
        now.sum("rack_gateway_jobs", |number| number.label("state") == "dead") > 0.0,
        "jobs were given up (rack-gateway jobs --state dead)",
    );
    for fault in now.all("rack_gateway_fault").iter().filter(|number| number.value > 0.0) {
        troubles.push(format!("{} not as declared: /readyz says why", fault.label("of").replace('_', " ")));
    }
    troubles
}
