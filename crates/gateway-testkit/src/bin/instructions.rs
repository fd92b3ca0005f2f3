//! One piece of the gateway's work, again and again, for `scripts/instructions` to count the instructions of.
//!
//! `instructions WORK COUNT` does it COUNT times after one set-up. Whoever counts runs it with two counts and takes
//! the difference, so that the set-up is in neither.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a tool of the checks: it stops at what it does not know, and its arguments are its only input"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use gateway_audit::{Actor, End, Event, VerdictRecord};
use gateway_convox::{RequestKind, RouteTable};
use gateway_policy::{OwnTable, PolicyEngine};
use gateway_secrets::{HandleKeyring, KnownValues, Labels, PlainKeys, Redaction, redact_json};
use gateway_types::id::{SessionId, UserId};
use gateway_types::{
    Caller, Channel, Clock as _, CredentialKind, Decision, EventId, Facts, Layer, OsEntropy, Principal,
    Resource, Role, Secret, SystemClock, Verdict,
};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, work, count] = arguments.as_slice() else { panic!("usage: instructions WORK COUNT") };
    let count: usize = count.parse().expect("a count");
    match work.as_str() {
        "parse" => parse(count),
        "decide" => decide(count, Remembered::Yes),
        "decide-anew" => decide(count, Remembered::No),
        "append" => append(count),
        "redact" => redact(count),
        other => panic!("there is no work of the name {other}"),
    }
}

/// A request of the rack, from its path to what goes upstream.
fn parse(count: usize) {
    let table = RouteTable::builtin().expect("the routes");
    for _ in 0..count {
        let route =
            table.identify("GET", "/apps/web/releases/R00000001", RequestKind::Plain).expect("a route");
        let request = route.complete(Some("limit=20"), std::iter::empty(), None, None);
        black_box(request.map(|request| request.serialise()).ok());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Remembered {
    Yes,
    No,
}

fn person() -> Caller {
    let entropy = OsEntropy;
    let now = SystemClock.now();
    Caller {
        principal: Principal::User {
            id: UserId::new(now, &entropy),
            email: "ops@example.com".into(),
            roles: [Role::Ops].into_iter().collect(),
            session: SessionId::new(now, &entropy),
            kind: CredentialKind::CliSession,
        },
        channel: Channel::RackProxy,
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn engine() -> PolicyEngine {
    let rack = RouteTable::builtin().expect("the routes");
    let own = OwnTable::builtin().expect("the operations");
    let operations = rack.operations().into_iter().chain(own.operations()).collect();
    PolicyEngine::new(operations, &[]).expect("the policies")
}

/// One verdict: the same question each time, or a new app each time.
fn decide(count: usize, remembered: Remembered) {
    let engine = engine();
    let operation = engine.operation("convox:app:read").expect("an operation").clone();
    let (caller, facts) = (person(), Facts::default());
    for number in 0..count {
        let app = if remembered == Remembered::Yes { "web".to_owned() } else { format!("app-{number}") };
        let verdict: Verdict = engine.decide(&caller, &operation, &Resource::app(&app), &facts);
        assert!(verdict.is_allowed(), "{verdict:?}");
    }
}

/// One event as a leaf of the log.
fn append(count: usize) {
    let (caller, now) = (person(), SystemClock.now());
    let rack = RouteTable::builtin().expect("the routes");
    let operations = rack.operations();
    let operation = operations.iter().find(|operation| operation.action.as_str() == "convox:app:read");
    let operation = operation.expect("an operation");
    let verdict = Verdict {
        decision: Decision::Allow,
        layer: Layer::Authorization,
        rules: vec!["ops-may-read".to_owned()],
        observed: Vec::new(),
        remedies: Vec::new(),
        reason: "ops may read".to_owned(),
        policy_version: "0123456789abcdef".to_owned(),
    };
    for _ in 0..count {
        let id = EventId::new(now, &OsEntropy);
        let actor = Actor::of(&caller.principal);
        let mut event = Event::new(now, id, operation.action.clone(), Resource::app("web"), actor);
        event.verdict = Some(VerdictRecord::new(&verdict, &Facts::default()));
        event.route = Some(operation.route.to_string());
        event.source_ip = Some(caller.source_ip);
        event.status = Some(200);
        event.bytes_out = Some(1234);
        event.duration_us = Some(56_789);
        event.end = Some(End::Completed);
        black_box(event.to_leaf([7; 16]).expect("a leaf"));
    }
}

/// A list of releases whose environments hold secrets: 20 kB.
fn redact(count: usize) {
    let releases: Vec<_> = (0..20)
        .map(|number| {
            let env: String = (0..12)
                .map(|key| format!("SECRET_KEY_{key}=value-{number:04}-{key:02}-aVerySecretValueOfTheApp\n"))
                .collect();
            serde_json::json!({"id": format!("R{number:08}"), "app": "web", "env": env, "manifest": "services:\n"})
        })
        .collect();
    let body = serde_json::Value::Array(releases).to_string();
    let labels = Labels::parse("[].env,[].manifest~").expect("the labels");
    let keyring = HandleKeyring::new(&Secret::new(vec![9; 32]));
    let (plain, known) = (PlainKeys::default(), KnownValues::default());
    let redaction = Redaction {
        labels: &labels,
        keyring: &keyring,
        scope: "web",
        item_scope_field: None,
        plain: &plain,
        known: &known,
    };
    for _ in 0..count {
        black_box(redact_json(body.as_bytes(), &redaction).expect("a list"));
    }
}
