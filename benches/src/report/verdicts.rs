//! What was aimed at, and whether it was reached. The targets are those of `docs/scaling.md`.

use super::Summaries;
use crate::cases::Who;

/// Something that is measured once, beside the cases.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    /// Short, as [`verdicts`] looks it up.
    pub(crate) id: &'static str,
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// One target and what was measured.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) measure: String,
    pub(crate) target: String,
    pub(crate) measured: String,
    pub(crate) is_met: bool,
}

/// Whether a value must not be less, or not be more.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(least) => value >= least,
            Bound::AtMost(most) => value <= most,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Bound::AtLeast(least) => format!("≥ {least}{unit}"),
            Bound::AtMost(most) => format!("≤ {most}{unit}"),
        }
    }
}

/// Every target of which both sides were measured.
pub(crate) fn verdicts(all: &Summaries, fixed: &[Fixed]) -> Vec<Verdict> {
    let rate = |case, who| all.get(&(case, who)).map(|summary| summary.rate);
    let p50 = |case, who| all.get(&(case, who)).map(|summary| summary.p50_us);
    let p99 = |case, who| all.get(&(case, who)).map(|summary| summary.p99_us);
    let once = |id| fixed.iter().find(|value| value.id == id).map(|value| value.value);
    let ratio = |a: Option<f64>, b: Option<f64>| Some(a? / b?.max(1e-9));
    let added = |who| Some(p50("get-1", who)? - p50("get-1", Who::Direct)?);
    let mut list = Verdicts::default();
    let get = |who| ratio(rate("get-32", Who::Gateway), rate("get-32", who));
    list.add("GET, c = 32, against the bare hyper hop", get(Who::Hop), Bound::AtLeast(0.85), " ×");
    list.add("the same against nginx proxy_pass", get(Who::Nginx), Bound::AtLeast(0.6), " ×");
    list.add("the same against nginx auth_request", get(Who::NginxAuth), Bound::AtLeast(1.0), " ×");
    list.add("the same against Caddy forward_auth", get(Who::Caddy), Bound::AtLeast(2.0), " ×");
    let latency = ratio(added(Who::Gateway), added(Who::Nginx));
    list.add("added p50 at c = 1, against what nginx adds", latency, Bound::AtMost(2.0), " ×");
    let tail = ratio(p99("get-half", Who::Gateway), p50("get-half", Who::Gateway));
    list.add("p99 at half of the maximum rate, in its own p50", tail, Bound::AtMost(3.0), " ×");
    let commit = |who, id| ratio(p50("change-1", who), once(id));
    let name = "POST with durable intent, p50, in commits of the database";
    list.add(&format!("{name} (SQLite)"), commit(Who::Gateway, "commit-sqlite"), Bound::AtMost(1.5), " ×");
    let postgres = commit(Who::GatewayPostgres, "commit-postgres");
    list.add(&format!("{name} (PostgreSQL)"), postgres, Bound::AtMost(1.5), " ×");
    let changes = rate("change-64", Who::Gateway);
    list.add("POST with durable intent, c = 64", changes, Bound::AtLeast(10_000.0), " /s");
    for (case, name) in [("upload", "upload"), ("download", "download")] {
        let against = ratio(rate(case, Who::Gateway), rate(case, Who::Nginx));
        list.add(&format!("{name} of 100 MB against nginx"), against, Bound::AtLeast(0.9), " ×");
    }
    let scale = |who| ratio(rate("scale", who), rate("scale", Who::Gateway));
    list.add("10⁶ tokens against 1", scale(Who::GatewayTokens), Bound::AtLeast(0.95), " ×");
    list.add("10⁴ policies against the default set", scale(Who::GatewayPolicies), Bound::AtLeast(0.9), " ×");
    list.add("memory, idle", once("memory-idle"), Bound::AtMost(30.0), " MiB");
    list.add("memory, 1,000 idle WebSockets", once("memory-1000"), Bound::AtMost(60.0), " MiB");
    list.add("memory, 9,000 idle WebSockets", once("memory-9000"), Bound::AtMost(250.0), " MiB");
    list.add("`serve` ready, existing database", once("start"), Bound::AtMost(150.0), " ms");
    list.add("release binary", once("binary"), Bound::AtMost(40.0), " MB");
    list.0
}

#[derive(Default)]
struct Verdicts(Vec<Verdict>);

impl Verdicts {
    /// Adds a target, unless one side of it was not measured in this run.
    fn add(&mut self, measure: &str, value: Option<f64>, bound: Bound, unit: &str) {
        let Some(value) = value else { return };
        self.0.push(Verdict {
            measure: measure.to_owned(),
            target: bound.text(unit),
            measured: format!("{value:.2}{unit}"),
            is_met: bound.holds(value),
        });
    }
}
