//! What the rack saw, against what the recorded client sent.

use std::collections::{BTreeMap, BTreeSet};

use gateway_sim::SeenRequest;
use gateway_sim::replay::{Exchange, Outcome, RECORDED_AUTHORIZATION};
use gateway_sim::transcript::{Ids, Item, Kind, Side, Transcript};
use gateway_testkit::TestGateway;

use super::expected::{
    ExpectedHeader, ExpectedParameter, HEADERS, HeaderChange, OWN_READS, OwnRead, PARAMETERS, ParameterChange,
};
use super::{Findings, fits};

/// Who the rack is told acts: [`TestGateway::critical_token`] in the rack's words.
const ACTOR: &str = "admin@example.com (token admin for tests)";
/// The same in the gateway's.
const CALLER: &str = "token:admin for tests";

/// The names of all rows that must be met.
pub(super) fn rows() -> impl Iterator<Item = String> {
    let headers = HEADERS.iter().map(header_name);
    headers.chain(PARAMETERS.iter().map(parameter_name)).chain(OWN_READS.iter().map(own_name))
}

fn header_name(row: &ExpectedHeader) -> String {
    format!("header {} of {} ({})", row.name, row.request, row.reason)
}

fn parameter_name(row: &ExpectedParameter) -> String {
    format!("parameter {} of {} ({})", row.name, row.request, row.reason)
}

fn own_name(row: &OwnRead) -> String {
    format!("own read {} in {} ({})", row.request, row.recording, row.reason)
}

/// A request in a form that does not depend on how it was written down.
#[derive(Debug)]
struct Plain {
    /// Method and recorded target, to name it.
    name: String,
    method: String,
    /// Percent-decoded.
    path: String,
    /// Decoded, sorted: where, name, value.
    parameters: Vec<(&'static str, String, String)>,
    headers: BTreeMap<String, String>,
    /// What is no form.
    body: Vec<u8>,
}

impl Plain {
    fn new(method: &str, target: &str, headers: &[(String, String)], body: &[u8]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: BTreeMap<String, String> =
            headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        let is_form = headers
            .get("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let form = if is_form { body } else { &[] };
        let pairs = |from: &'static str, bytes: &[u8]| {
            form_urlencoded::parse(bytes)
                .map(|(name, value)| (from, name.into_owned(), value.into_owned()))
                .collect::<Vec<_>>()
        };
        let mut parameters = pairs("query", query.as_bytes());
        parameters.extend(pairs("form", form));
        parameters.sort();
        Self {
            name: format!("{method} {target}"),
            method: method.to_owned(),
            path: percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned(),
            parameters,
            headers,
            body: if is_form { Vec::new() } else { body.to_vec() },
        }
    }

    fn seen(seen: &SeenRequest) -> Self {
        Self::new(&seen.method, &seen.target, &seen.headers, &seen.body)
    }
}

/// Compares what a recording made the rack see.
pub(super) fn compare(
    recorded: &Transcript,
    outcome: &Outcome,
    unseen: &BTreeSet<usize>,
    ids: &Ids,
    gateway: &TestGateway,
    findings: &mut Findings,
) {
    let recording = recorded.name.as_str();
    let mut seen: Vec<Option<SeenRequest>> = gateway.rack.requests().into_iter().map(Some).collect();
    own_reads(recording, &mut seen, findings);
    let mut last: BTreeMap<u32, usize> = BTreeMap::new();
    for (position, (connection, wanted)) in sent(recorded, &outcome.exchanges, ids).iter().enumerate() {
        if unseen.contains(&position) {
            continue;
        }
        let is_it = |seen: &Option<SeenRequest>| {
            seen.as_ref()
                .map(Plain::seen)
                .is_some_and(|seen| seen.method == wanted.method && seen.path == wanted.path)
        };
        let Some(at) = seen.iter().position(is_it) else {
            findings.surprise(recording, format!("{}: the rack did not see it", wanted.name));
            continue;
        };
        let Some(came) = seen.get_mut(at).and_then(Option::take) else { continue };
        if last.insert(*connection, at).is_some_and(|before| before > at) {
            findings.surprise(recording, format!("{}: the rack saw it out of turn", wanted.name));
        }
        same(recording, wanted, &came, gateway, findings);
    }
    for more in seen.iter().flatten() {
        findings
            .surprise(recording, format!("{} {}: the rack saw it, nobody sent it", more.method, more.target));
    }
}

/// What the client sent, in order, with the number of its connection.
fn sent(recorded: &Transcript, exchanges: &[Exchange], ids: &Ids) -> Vec<(u32, Plain)> {
    let mut exchanges = exchanges.iter();
    let mut all = Vec::new();
    for (position, item) in recorded.items.iter().enumerate() {
        let Kind::Request { method, headers, .. } = &item.kind else { continue };
        let target = exchanges.next().map(|exchange| exchange.target.as_str()).unwrap_or_default();
        let body = body_of(recorded, position, item).map(|bytes| ids.apply(bytes)).unwrap_or_default();
        let mut plain = Plain::new(method, target, headers, &body);
        // The player sent the caller's token instead.
        plain.headers.insert("authorization".to_owned(), "the caller's".to_owned());
        all.push((item.connection, plain));
    }
    all
}

fn body_of<'a>(recorded: &'a Transcript, position: usize, item: &Item) -> Option<&'a [u8]> {
    let mut later = recorded.items.iter().skip(position + 1);
    match later.find(|later| later.connection == item.connection) {
        Some(Item { kind: Kind::Body { bytes, .. }, from: Side::Client, .. }) => Some(bytes),
        _ => None,
    }
}

/// Takes the gateway's own reads out: those without a `User-Agent`.
fn own_reads(recording: &str, seen: &mut [Option<SeenRequest>], findings: &mut Findings) {
    for slot in seen {
        let Some(request) = slot.take_if(|seen| seen.header("user-agent").is_none()) else { continue };
        let name = format!("{} {}", request.method, request.target);
        match OWN_READS.iter().find(|row| fits(row.recording, recording) && fits(row.request, &name)) {
            Some(row) => findings.meet(own_name(row)),
            None => findings.surprise(recording, format!("{name}: a read of the gateway's own")),
        }
        if request.header("convox-actor") != Some(ACTOR) {
            findings.surprise(recording, format!("{name}: for {:?}", request.header("convox-actor")));
        }
    }
}

fn same(recording: &str, wanted: &Plain, came: &SeenRequest, gateway: &TestGateway, findings: &mut Findings) {
    let plain = Plain::seen(came);
    let name = wanted.name.as_str();
    if came.body_sha256.is_empty() && !came.is_socket {
        findings.surprise(recording, format!("{name}: its body did not come to its end"));
    }
    if plain.body != wanted.body {
        findings.surprise(
            recording,
            format!(
                "{name}: the body\n  recorded: {}\n  seen:     {}",
                shown(&wanted.body),
                shown(&plain.body)
            ),
        );
    }
    let parameters = expected_parameters(wanted, &plain, findings);
    if plain.parameters != parameters {
        findings.surprise(
            recording,
            format!("{name}: parameters\n  expected: {parameters:?}\n  seen:     {:?}", plain.parameters),
        );
    }
    let fill = |value: &str| {
        value
            .replace("{rack}", &gateway.rack.addr().to_string())
            .replace("{password}", RECORDED_AUTHORIZATION)
            .replace("{actor}", ACTOR)
            .replace("{length}", &came.body_bytes.to_string())
    };
    let names: BTreeSet<&String> = wanted.headers.keys().chain(plain.headers.keys()).collect();
    for header in names {
        let (before, after) = (wanted.headers.get(header), plain.headers.get(header));
        if before == after {
            continue;
        }
        let holds = |row: &&ExpectedHeader| {
            let changed = match row.change {
                HeaderChange::Dropped => {
                    after.is_none() && (header != "content-type" || came.body_bytes == 0)
                }
                HeaderChange::Becomes(values) => {
                    after.is_some_and(|after| values.iter().any(|value| fill(value) == *after))
                }
                HeaderChange::Fresh => before.is_some() && after.is_some(),
            };
            row.name == header && fits(row.request, name) && changed
        };
        match HEADERS.iter().find(holds) {
            Some(row) => findings.meet(header_name(row)),
            None => findings.surprise(
                recording,
                format!("{name}: {header}\n  recorded: {before:?}\n  seen:     {after:?}"),
            ),
        }
    }
}

/// The recorded parameters as the rack should see them.
fn expected_parameters(
    wanted: &Plain,
    came: &Plain,
    findings: &mut Findings,
) -> Vec<(&'static str, String, String)> {
    let mut expected = wanted.parameters.clone();
    for row in PARAMETERS.iter().filter(|row| fits(row.request, &wanted.name)) {
        let was_sent = expected.iter().any(|(_, name, _)| name == row.name);
        let value = match row.change {
            ParameterChange::Set(value) => Some(value.replace("{caller}", CALLER)),
            ParameterChange::Dropped => None,
        };
        // Rows that take such a parameter get it, whether the client sent it or not.
        let is_there = came.parameters.iter().any(|(_, name, _)| name == row.name);
        if !was_sent && !is_there {
            continue;
        }
        expected.retain(|(_, name, _)| name != row.name);
        expected.extend(value.map(|value| ("form", row.name.to_owned(), value)));
        findings.meet(parameter_name(row));
    }
    expected.sort();
    expected
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().chars().take(400).collect()
}
