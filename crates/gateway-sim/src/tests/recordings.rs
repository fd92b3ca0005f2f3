//! The rack against the recordings of the real one.

use std::collections::BTreeSet;
use std::path::Path;

use crate::replay::{self, Target};
use crate::transcript::{Ids, Item, Kind, Transcript, groups};
use crate::{SimOptions, SimRack};

/// Where the simulated rack differs from the recorded one, and why.
const EXPECTED: &[(&str, &str, &str)] = &[];

#[tokio::test]
async fn the_simulated_rack_answers_as_the_recorded_one() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway-testkit/transcripts");
    let all = Transcript::read_all(&directory).unwrap();
    assert_eq!(all.len(), 164);
    let is_request = |item: &&Item| matches!(item.kind, Kind::Request { .. });
    let requests: usize =
        all.iter().map(|transcript| transcript.items.iter().filter(is_request).count()).sum();
    let mut played = 0;
    let mut surprises = Vec::new();
    let mut met = BTreeSet::new();
    for group in groups(all) {
        let flavour = group.first().unwrap().flavour();
        let rack = SimRack::start(SimOptions { flavour, ..SimOptions::for_tests() }).await.unwrap();
        let target = Target::rack(rack.addr());
        let mut ids = Ids::default();
        for transcript in &group {
            replay::prepare(transcript, &rack.state());
            let outcome = replay::play_on(transcript, &target, &mut ids).await;
            played += outcome.exchanges.len();
            for difference in outcome.differences() {
                let expected = EXPECTED.iter().position(|(recording, request, _)| {
                    difference.recording == *recording && difference.request.starts_with(request)
                });
                match expected {
                    Some(position) => drop(met.insert(position)),
                    None => surprises.push(difference.to_string()),
                }
            }
        }
    }
    assert_eq!(played, requests);
    assert!(surprises.is_empty(), "{} differences:\n{}", surprises.len(), surprises.join("\n"));
    assert_eq!(met.len(), EXPECTED.len(), "an expected difference is gone");
}
