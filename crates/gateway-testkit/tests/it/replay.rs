//! The recordings of the real client, played through a gateway in front of the simulated rack.
//!
//! Compared are what comes back ([`client_side`]) and what the rack saw ([`rack_side`]), against what
//! was recorded without a gateway. Every difference that is meant to be is in [`expected`].

#[path = "replay/client_side.rs"]
mod client_side;
#[path = "replay/expected.rs"]
mod expected;
#[path = "replay/handles.rs"]
mod handles;
#[path = "replay/rack_side.rs"]
mod rack_side;

use std::collections::BTreeSet;
use std::path::Path;

use gateway_sim::SimOptions;
use gateway_sim::replay::{self, Target};
use gateway_sim::transcript::{Ids, Item, Kind, Transcript, groups};
use gateway_testkit::TestGateway;
use gateway_testkit::raw::basic;

/// How the client reaches the rack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// `RACK_URL=https://convox:TOKEN@host/api/v1/rack-proxy`.
    Prefix,
    /// `RACK_URL=https://convox:TOKEN@host`, on a host whose root is the rack.
    Host,
}

/// What the client writes back of what it read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writes {
    /// The values, as in the recordings: somebody typed them.
    Values,
    /// The handles that it read: what a client behind a gateway does.
    Handles,
}

/// What was found: differences that no row expects, and which rows were met.
#[derive(Default, Debug)]
struct Findings {
    surprises: Vec<String>,
    met: BTreeSet<String>,
}

impl Findings {
    fn surprise(&mut self, recording: &str, text: impl std::fmt::Display) {
        self.surprises.push(format!("{recording}: {text}"));
    }

    fn meet(&mut self, row: impl Into<String>) {
        self.met.insert(row.into());
    }
}

/// Whether `pattern`, in which `*` stands for anything, is all of `text`.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|at| text.get(at..).is_some_and(|end| fits(rest, end)))),
    }
}

const RACK_HOST: &str = "rack.example.test";

async fn play_all(way: Way, writes: Writes) {
    let all = Transcript::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts")).unwrap();
    assert_eq!(all.len(), 164);
    let is_request = |item: &&Item| matches!(item.kind, Kind::Request { .. });
    let requests: usize =
        all.iter().map(|transcript| transcript.items.iter().filter(is_request).count()).sum();
    let mut findings = Findings::default();
    let mut played = 0;
    for group in groups(all) {
        played += play_group(&group, way, writes, &mut findings).await;
    }
    assert_eq!(played, requests);
    let stale: Vec<String> = expected_rows().difference(&findings.met).cloned().collect();
    assert!(
        findings.surprises.is_empty() && stale.is_empty(),
        "{} differences that are not expected:\n{}\n{} expectations that were not met:\n{}",
        findings.surprises.len(),
        findings.surprises.join("\n"),
        stale.len(),
        stale.join("\n")
    );
}

fn expected_rows() -> BTreeSet<String> {
    client_side::rows().chain(rack_side::rows()).collect()
}

async fn play_group(group: &[Transcript], way: Way, writes: Writes, findings: &mut Findings) -> usize {
    let flavour = group.first().expect("a group has recordings").flavour();
    let mut builder = TestGateway::builder()
        .rack(SimOptions { flavour, ..SimOptions::for_tests() })
        .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "true");
    if way == Way::Host {
        builder = builder.env("PROXY_HOSTS", RACK_HOST);
    }
    let gateway = builder.start().await;
    let token = gateway.critical_token().await;
    let target = Target {
        addr: gateway.addr(),
        prefix: if way == Way::Prefix { "/api/v1/rack-proxy".to_owned() } else { String::new() },
        authorization: basic(&token),
        host: if way == Way::Prefix { gateway.addr().to_string() } else { RACK_HOST.to_owned() },
    };
    let mut ids = Ids::default();
    let mut meanings = client_side::Meanings::default();
    let mut played = 0;
    for recorded in group {
        replay::prepare(recorded, &gateway.rack.state());
        client_side::planted(recorded, &gateway.rack.state(), findings);
        let mut sent = recorded.clone();
        if writes == Writes::Handles {
            handles::put_into(&mut sent, &gateway).await;
        }
        gateway.rack.clear_requests();
        let outcome = replay::play_on(&sent, &target, &mut ids).await;
        played += outcome.exchanges.len();
        let unseen = client_side::compare(&outcome, &mut meanings, findings);
        rack_side::compare(recorded, &outcome, &unseen, &ids, &gateway, findings);
    }
    let log = format!("{:?}", gateway.events().await);
    for secret in client_side::SECRETS_OF_THE_LOG {
        if log.contains(secret) {
            findings.surprise("the audit log", format!("holds {secret}"));
        }
    }
    gateway.finish().await;
    played
}

#[tokio::test]
async fn the_recordings_play_below_the_prefix() {
    play_all(Way::Prefix, Writes::Values).await;
}

#[tokio::test]
async fn the_recordings_play_on_a_host_of_the_rack() {
    play_all(Way::Host, Writes::Values).await;
}

#[tokio::test]
async fn the_recordings_play_below_the_prefix_with_handles_written_back() {
    play_all(Way::Prefix, Writes::Handles).await;
}

#[tokio::test]
async fn the_recordings_play_on_a_host_of_the_rack_with_handles_written_back() {
    play_all(Way::Host, Writes::Handles).await;
}
