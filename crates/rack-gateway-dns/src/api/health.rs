//! How the shim and its back ends do, for balancers and scrapers. Neither takes a token, so neither names a record.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use super::handlers::word;
use super::problem::json as reply;
use super::{Reply, Shared};

/// Whether the shim can be asked. A back end that is away or drifted is told and is no reason to ask no more: what is
/// desired is kept meanwhile.
pub fn health(shared: &Shared, has_keys: bool) -> Reply {
    let mut counts = std::collections::BTreeMap::new();
    let (mut pending, mut drift) = (0usize, 0usize);
    for zone in shared.zones.values() {
        let (state, status) = (zone.store.state(), zone.status.borrow().clone());
        *counts.entry(word(&state, &status)).or_insert(0u32) += 1;
        pending = pending.saturating_add(status.pending(&state));
        drift = drift.saturating_add(status.drift.len());
    }
    let is_in_sync = counts.keys().all(|word| *word == "in_sync");
    let word = match (has_keys, is_in_sync) {
        (false, _) => "no_keys",
        (true, true) => "ok",
        (true, false) => "degraded",
    };
    let code = if has_keys { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply(code, &json!({"status": word, "zones": counts, "pending": pending, "drift": drift}))
}

/// Numbers in the text format of Prometheus.
pub fn metrics(shared: &Shared) -> Reply {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&super::ZoneApi) -> u64| {
        let _never_fails =
            writeln!(text, "# HELP rack_gateway_dns_{name} {help}\n# TYPE rack_gateway_dns_{name} {kind}");
        for (zone, api) in &shared.zones {
            let _never_fails = writeln!(text, "rack_gateway_dns_{name}{{zone=\"{zone}\"}} {}", value(api));
        }
    };
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    family("names", "gauge", "Names that are held.", &|zone| count(zone.store.state().names.len()));
    family("pending", "gauge", "Names that the back end does not have as desired yet.", &|zone| {
        count(zone.status.borrow().pending(&zone.store.state()))
    });
    family("drift", "gauge", "Record sets that were otherwise when the back end was last seen.", &|zone| {
        count(zone.status.borrow().drift.len())
    });
    family("foreign", "gauge", "Names of the zone that are not held.", &|zone| {
        count(zone.status.borrow().foreign_count)
    });
    family("failing", "gauge", "Whether the last look at the back end failed.", &|zone| {
        u64::from(zone.status.borrow().failure.is_some())
    });
    family("failures_total", "counter", "Looks at the back end that failed.", &|zone| {
        zone.status.borrow().failures
    });
    family(
        "repaired_total",
        "counter",
        "Names that somebody else changed, and that were put back.",
        &|zone| zone.status.borrow().repaired,
    );
    family(
        "in_sync_seconds",
        "gauge",
        "When all was as desired, in seconds since 1970; 0: never.",
        &|zone| {
            let at = zone.status.borrow().succeeded_at.map_or(0, crate::reconcile::seconds);
            u64::try_from(at).unwrap_or_default()
        },
    );
    let mut reply = Response::new(Full::new(Bytes::from(text)));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}
