//! What came back, against what was recorded.

use std::collections::{BTreeMap, BTreeSet};

use gateway_sim::replay::{Answer, Difference, Exchange, Outcome, What};
use gateway_sim::transcript::{Kind, Transcript, normalise};
use gateway_sim::{EXIT_MARKER, RackState};

use super::expected::{Change, EXCHANGES, Expected, PLANTED, Planted};
use super::{Findings, fits};

/// What must not be in the log, not even as a parameter of a request.
pub(super) const SECRETS_OF_THE_LOG: [&str; 8] = [
    "s3cr3t-myapp",
    "s3cr3t-other",
    "registry-pa55word",
    "dbpa55",
    "hooks.example.test/",
    "pr0xy",
    "PRIVATE KEY",
    "Y29udm94OnNlY3JldA",
];

/// The value that each handle was seen for; one handle never stands for two values.
pub(super) type Meanings = BTreeMap<String, String>;

/// The names of all rows that must be met.
pub(super) fn rows() -> impl Iterator<Item = String> {
    let of_row = |row: &'static Expected| {
        let values: &[&str] = match row.change {
            Change::Handles(values) => values,
            Change::Refused(..)
            | Change::RefusedInSocket(_)
            | Change::AnsweredHere(..)
            | Change::Follows(..) => &[""],
        };
        values.iter().map(|value| name(row, value))
    };
    let planted = PLANTED.iter().map(|planted| planted_name(planted.secret));
    EXCHANGES.iter().flat_map(of_row).chain(planted)
}

fn name(row: &Expected, value: &str) -> String {
    format!("exchange {} {} {value} ({})", row.recording, row.request, row.reason)
}

fn planted_name(secret: &str) -> String {
    format!("planted {secret}")
}

/// Compares all of a recording. Gives the positions of the exchanges that the rack does not see.
pub(super) fn compare(
    outcome: &Outcome,
    meanings: &mut Meanings,
    findings: &mut Findings,
) -> BTreeSet<usize> {
    let mut unseen = BTreeSet::new();
    for (position, exchange) in outcome.exchanges.iter().enumerate() {
        leaks(&outcome.name, exchange, findings);
        // Several exchanges of a recording may have the same request; so each is looked at by itself.
        let alone = Outcome { name: outcome.name.clone(), exchanges: vec![exchange.clone()] };
        let request = format!("{} {}", exchange.method, exchange.target);
        let own = alone.differences();
        let fitting = |row: &&Expected| {
            fits(row.recording, &outcome.name)
                && fits(row.request, &request)
                && holds(row, exchange, &own).is_some()
        };
        let Some(row) = EXCHANGES.iter().find(fitting) else {
            own.iter().for_each(|difference| findings.surprise("client", difference));
            continue;
        };
        let found = holds(row, exchange, &own).unwrap_or_default();
        for (value, handle) in found {
            findings.meet(name(row, &value));
            if handle.is_empty() {
                continue;
            }
            let known = meanings.entry(handle.clone()).or_insert_with(|| value.clone());
            if *known != value {
                findings.surprise(&outcome.name, format!("{handle} stands for {known} and for {value}"));
            }
        }
        match row.change {
            Change::Refused(..) | Change::RefusedInSocket(_) | Change::AnsweredHere(..) => {
                unseen.insert(position);
            }
            Change::Handles(_) | Change::Follows(..) => {}
        }
    }
    unseen
}

/// What of a row is true of an exchange: values with their handles, or one empty pair; `None` when it does not hold.
fn holds(row: &Expected, exchange: &Exchange, differences: &[Difference]) -> Option<Vec<(String, String)>> {
    let met = Some(vec![(String::new(), String::new())]);
    let actual = &exchange.actual;
    match row.change {
        Change::Handles(values) => {
            let body_only = matches!(differences, [Difference { what: What::Body, .. }]);
            body_only.then_some(())?;
            let pairs = handles(&text(&exchange.recorded), &text(actual))?;
            pairs.iter().all(|(value, _)| values.contains(&value.as_str())).then_some(pairs)
        }
        Change::Refused(status, kind) => {
            let problem: serde_json::Value = serde_json::from_slice(&actual.body).ok()?;
            let sentence = problem.get("error")?.as_str()?;
            let fits = exchange.trouble.is_none()
                && actual.status == status
                && actual.header("content-type") == Some("application/problem+json")
                && problem.get("type")?.as_str() == Some(format!("/problems/{kind}").as_str())
                && !sentence.is_empty()
                && !sentence.contains('%');
            met.filter(|_| fits)
        }
        Change::RefusedInSocket(reason) => {
            let [told, code, ..] = actual.frames.as_slice() else { return None };
            let told = String::from_utf8(told.payload.clone()).ok()?;
            let fits = exchange.trouble.is_none()
                && actual.status == 101
                && told.starts_with(&format!("ERROR: {reason}"))
                && told.ends_with('\n')
                && code.payload == format!("{EXIT_MARKER}1\n").as_bytes();
            met.filter(|_| fits)
        }
        Change::AnsweredHere(status, body) => {
            let fits =
                exchange.trouble.is_none() && actual.status == status && actual.body == body.as_bytes();
            met.filter(|_| fits)
        }
        Change::Follows(status, start) => {
            let fits = exchange.trouble.is_none()
                && actual.status == status
                && actual.body.starts_with(start.as_bytes());
            met.filter(|_| fits)
        }
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&normalise(&answer.body)).into_owned()
}

const HANDLE_START: &str = "rgw-hidden-";
const HANDLE_BYTES: usize = HANDLE_START.len() + 16;

/// The values that stand in `recorded` where `actual` has handles; `None` when anything else differs too.
fn handles(recorded: &str, actual: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let (mut recorded, mut actual) = (recorded, actual);
    while let Some(at) = actual.find(HANDLE_START) {
        let handle = actual.get(at..at + HANDLE_BYTES)?;
        let letters = handle.strip_prefix(HANDLE_START)?;
        letters.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')).then_some(())?;
        recorded = recorded.strip_prefix(actual.get(..at)?)?;
        actual = actual.get(at + HANDLE_BYTES..)?;
        let value_ends = match actual.find(HANDLE_START) {
            Some(next) => recorded.find(actual.get(..next)?)?,
            None => recorded.len().checked_sub(actual.len())?,
        };
        let value = recorded.get(..value_ends)?;
        pairs.push((value.to_owned(), handle.to_owned()));
        recorded = recorded.get(value.len()..)?;
    }
    (recorded == actual && !pairs.is_empty()).then_some(pairs)
}

/// Looks for planted secrets in everything that came back.
fn leaks(recording: &str, exchange: &Exchange, findings: &mut Findings) {
    let Answer { headers, body, frames, .. } = &exchange.actual;
    let mut bytes = body.clone();
    frames.iter().for_each(|frame| bytes.extend_from_slice(&frame.payload));
    headers.iter().for_each(|(name, value)| bytes.extend(format!("\n{name}: {value}").into_bytes()));
    let came = String::from_utf8_lossy(&bytes);
    for planted in PLANTED.iter().filter(|planted| fits(planted.recording, recording)) {
        if came.contains(planted.secret) {
            let Exchange { method, target, .. } = exchange;
            findings.surprise(recording, format!("{method} {target}: {} came back", planted.secret));
        }
    }
}

/// Notes which planted secrets are there to be found: in what was recorded, or in what the rack holds.
pub(super) fn planted(recorded: &Transcript, rack: &RackState, findings: &mut Findings) {
    let mut there = String::new();
    for item in &recorded.items {
        match &item.kind {
            Kind::Request { headers, .. } | Kind::Response { headers, .. } => {
                there.extend(headers.iter().map(|(_, value)| value.as_str()));
            }
            Kind::Body { bytes, .. } => there.push_str(&String::from_utf8_lossy(bytes)),
            Kind::Frame(frame) => there.push_str(&String::from_utf8_lossy(&frame.payload)),
            Kind::Close => {}
        }
    }
    rack.apps().iter().for_each(|app| there.push_str(&rack.env_of(app)));
    let to_find =
        |planted: &&Planted| fits(planted.recording, &recorded.name) && there.contains(planted.secret);
    PLANTED.iter().filter(to_find).for_each(|planted| findings.meet(planted_name(planted.secret)));
}

#[test]
fn handles_are_found_where_nothing_else_differs() {
    let one = "rgw-hidden-aaaaaaaaaaaaaaaa";
    let two = "rgw-hidden-bbbbbbbbbbbbbbbb";
    let check = |recorded: &str, actual: &str, expected: Option<&[(&str, &str)]>| {
        let expected = expected.map(|pairs| {
            pairs
                .iter()
                .map(|(value, handle)| ((*value).to_owned(), (*handle).to_owned()))
                .collect::<Vec<_>>()
        });
        assert_eq!(handles(recorded, actual), expected, "{recorded} | {actual}");
    };
    check("a=1,b=2.", &format!("a={one},b={two}."), Some(&[("1", one), ("2", two)]));
    check("a=1.", &format!("a={one}."), Some(&[("1", one)]));
    check("a=1", &format!("a={one}"), Some(&[("1", one)]));
    check("a=1,b=2.", &format!("a={one},c={two}."), None);
    check("a=1,b=2.", &format!("a={one},b=3."), None);
    check("a=1", "a=1", None);
    check("a=1", "a=rgw-hidden-AAAAAAAAAAAAAAAA", None);
    check("a=1", "a=rgw-hidden-aaaa", None);
}
