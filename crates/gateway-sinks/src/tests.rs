//! Entries through every form; rules over many of them; files of every size.

mod files;
mod forms;
mod rules;
mod together;

use std::sync::atomic::{AtomicU64, Ordering};

use gateway_audit::{Actor, End, Event, Phase, VerdictRecord};
use gateway_types::{ActionName, Decision, Entropy, EventId, Facts, Resource, Timestamp};

use crate::{Record, SampleRule, Sampling, Source};

/// Numbers that look drawn and are the same in each run.
#[derive(Debug)]
struct Numbers(AtomicU64);

impl Entropy for Numbers {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            // SplitMix64.
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z >> 56) as u8;
        }
    }
}

fn numbers() -> Numbers {
    Numbers(AtomicU64::new(7))
}

fn source() -> Source {
    Source {
        gateway: "0190a0b0-0000-7000-8000-000000000001".parse().unwrap(),
        host: "gateway.example.com".to_owned(),
    }
}

/// A read as pollers make it.
fn poll(entropy: &dyn Entropy) -> Event {
    let time = Timestamp::from_micros(1_795_000_000_123_456);
    let id = EventId::new(time, entropy);
    let action = ActionName::new("convox:process:list");
    let mut event = Event::new(time, id, action, Resource::app("web"), Actor::system());
    event.actor.name = "ada@example.com".to_owned();
    event.route = Some("GET /apps/{app}/processes".to_owned());
    event.end = Some(End::Completed);
    event.status = Some(200);
    event.verdict = Some(verdict(Decision::Allow));
    event
}

fn verdict(decision: Decision) -> VerdictRecord {
    VerdictRecord {
        decision,
        facts: Facts::default(),
        observed: Vec::new(),
        policy_version: "v".to_owned(),
        remedies: Vec::new(),
        rules: Vec::new(),
    }
}

fn read(event: &Event, index: u64, sampling: &Sampling, entropy: &dyn Entropy) -> Option<Record> {
    let mut nonce = [0; 16];
    entropy.fill(&mut nonce);
    let leaf = event.to_leaf(nonce).unwrap();
    Record::read(index, leaf.bytes, leaf.hash, sampling).unwrap()
}

fn record(event: &Event) -> Record {
    read(event, 4711, &Sampling::default(), &numbers()).unwrap()
}

/// The same, of a read of which one in 100 is kept.
fn sampled() -> Record {
    let sampling = Sampling::new(vec![SampleRule::new("convox:*", 100.try_into().unwrap())]);
    let numbers = numbers();
    (0..10_000).find_map(|index| read(&poll(&numbers), index, &sampling, &numbers)).unwrap()
}

fn change() -> Event {
    let mut event = poll(&numbers());
    event.phase = Phase::Intent;
    event.route = Some("POST /apps/{app}/releases".to_owned());
    event.end = None;
    event.status = None;
    event
}
