//! Tampering of every kind, and what the verifier says of it.

use proptest::prelude::*;

use super::*;
use crate::event::tests::{event, full_event};

const ORIGIN: &str = "rack-gateway/test";

/// A stored row.
#[derive(Clone)]
struct Row {
    index: u64,
    bytes: Option<Vec<u8>>,
    hash: Hash,
}

/// A log as a store has it, with honest checkpoints of the sizes asked for.
#[derive(Clone)]
struct Log {
    rows: Vec<Row>,
    head: Head,
    checkpoints: Vec<Checkpoint>,
}

fn row(index: u64, event: &Event) -> Row {
    let leaf = event.to_leaf([7; 16]).unwrap();
    Row { index, bytes: Some(leaf.bytes), hash: leaf.hash }
}

fn checkpoint(head: Head) -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size: head.size, root: head.root, extensions: Vec::new() }
}

fn log(size: u64, signed: &[u64]) -> Log {
    log_of((0..size).map(|index| row(index, &event(index))).collect(), signed)
}

/// What the log says when retention removes the bodies before `to`.
pub(crate) fn prune_event(number: u64, to: u64) -> Event {
    let mut event = event(number);
    event.action = gateway_types::ActionName::new(PRUNE_ACTION);
    event.parameters.insert("to".to_owned(), to.to_string());
    event
}

/// A log of 20 entries, of which the 16th says what the pruning of so many bodies says.
fn pruning(said: u64, signed: &[u64]) -> Log {
    let rows = (0..20).map(|index| match index {
        15 => row(15, &prune_event(15, said)),
        index => row(index, &event(index)),
    });
    log_of(rows.collect(), signed)
}

fn log_of(rows: Vec<Row>, signed: &[u64]) -> Log {
    let size = rows.len() as u64;
    let mut frontier = Frontier::new();
    let mut checkpoints = Vec::new();
    for row in &rows {
        if signed.contains(&row.index) {
            checkpoints.push(checkpoint(frontier.head()));
        }
        frontier.push(row.hash);
    }
    if signed.contains(&size) {
        checkpoints.push(checkpoint(frontier.head()));
    }
    Log { rows, head: frontier.head(), checkpoints }
}

impl Log {
    fn verify(&self) -> Result<Report, Fault> {
        let mut verifier = LogVerifier::new(ORIGIN);
        for checkpoint in &self.checkpoints {
            verifier.checkpoint(checkpoint)?;
        }
        for row in &self.rows {
            match &row.bytes {
                Some(bytes) => verifier.entry(row.index, bytes, &row.hash)?,
                None => verifier.pruned(row.index, &row.hash)?,
            }
        }
        verifier.finish(&self.head)
    }

    fn alter(mut self, alter: impl FnOnce(&mut Vec<Row>)) -> Self {
        alter(&mut self.rows);
        self
    }

    /// The head as a forger who owns the database would set it.
    fn with_forged_head(mut self) -> Self {
        let mut frontier = Frontier::new();
        self.rows.iter().for_each(|row| frontier.push(row.hash));
        self.head = frontier.head();
        self
    }

    fn renumbered(self) -> Self {
        self.alter(|rows| (0..).zip(rows).for_each(|(index, row)| row.index = index))
    }
}

fn check_fault(log: &Log, expected: &str, first_bad: Option<(u64, u64)>) {
    let fault = log.verify().unwrap_err();
    let text = format!("{fault:?}");
    assert!(text.starts_with(expected), "{text} is not {expected}");
    assert_eq!(fault.first_bad(), first_bad, "{text}");
}

#[test]
fn an_honest_log_verifies() {
    let report = log(20, &[0, 1, 13]).verify().unwrap();
    assert_eq!((report.size, report.signed_size, report.checkpoints, report.pruned), (20, 13, 3, 0));
    assert_eq!(report.root, log(20, &[]).head.root);
    assert_eq!(report.first_time, Some(Timestamp::from_micros(0)));
    assert_eq!(report.last_time, Some(Timestamp::from_micros(19_000_000)));
    let empty = log(0, &[0]).verify().unwrap();
    assert_eq!((empty.size, empty.first_time, empty.checkpoints), (0, None, 1));
}

#[test]
fn a_flipped_bit_names_its_index() {
    let honest = log(8, &[8]);
    let length = honest.rows[3].bytes.as_ref().unwrap().len();
    let bits = (0..length * 8).map(|bit| (3, bit)).chain((0..8).map(|at| (at, 100 * at)));
    for (at, bit) in bits {
        let flip = |rows: &mut Vec<Row>| rows[at].bytes.as_mut().unwrap()[bit / 8] ^= 1 << (bit % 8);
        check_fault(&honest.clone().alter(flip), "LeafHash", Some((at as u64, at as u64)));
    }
}

#[test]
fn a_flipped_bit_of_a_stored_hash_names_its_index() {
    for at in 0..8 {
        let log = log(8, &[8]).alter(|rows| {
            let mut bytes = *rows[at].hash.as_bytes();
            bytes[at] ^= 0x10;
            rows[at].hash = Hash::from_bytes(bytes);
        });
        check_fault(&log, "LeafHash", Some((at as u64, at as u64)));
    }
}

#[test]
fn a_deleted_row_names_its_index() {
    for at in 0..7 {
        let log = log(8, &[8]).alter(|rows| drop(rows.remove(at)));
        check_fault(&log, "Gap", Some((at as u64, at as u64)));
    }
}

#[test]
fn an_inserted_row_names_the_index_it_disturbs() {
    for at in 0..8 {
        let log = log(8, &[]).alter(|rows| rows.insert(at, row(at as u64, &event(99))));
        check_fault(&log, "Gap", Some((at as u64 + 1, at as u64 + 1)));
    }
}

#[test]
fn rows_out_of_order_name_the_first() {
    let log = log(8, &[8]).alter(|rows| rows.swap(2, 5));
    check_fault(&log, "Gap { expected: 2, found: 5 }", Some((2, 2)));
}

#[test]
fn a_cut_tail_is_noticed_by_the_head_and_by_checkpoints() {
    let cut = |signed: &[u64]| log(8, signed).alter(|rows| rows.truncate(5));
    check_fault(&cut(&[]), "Truncated { have: 5, head: 8 }", Some((5, 5)));
    check_fault(&cut(&[7]).with_forged_head(), "RolledBack { have: 5, checkpoint: 7 }", Some((5, 5)));
    assert!(cut(&[]).with_forged_head().verify().is_ok(), "only a checkpoint can know better");
}

#[test]
fn rows_behind_the_head_are_noticed() {
    let log = log(8, &[8]).alter(|rows| rows.push(row(8, &event(8))));
    check_fault(&log, "BeyondHead { have: 9, head: 8 }", Some((8, 8)));
}

#[test]
fn rewritten_bytes_and_hash_are_narrowed_down_by_checkpoints() {
    let rewritten = |signed: &[u64]| log(20, signed).alter(|rows| rows[9] = row(9, &event(1000)));
    check_fault(&rewritten(&[]), "Root { size: 20, good: 0 }", Some((0, 19)));
    check_fault(&rewritten(&[4, 8, 16]), "CheckpointRoot { size: 16, good: 8 }", Some((8, 15)));
    check_fault(&rewritten(&[9, 10]), "CheckpointRoot { size: 10, good: 9 }", Some((9, 9)));
    check_fault(&rewritten(&[4]), "Root { size: 20, good: 4 }", Some((4, 19)));
    check_fault(&rewritten(&[20]).with_forged_head(), "CheckpointRoot { size: 20, good: 0 }", Some((0, 19)));
}

#[test]
fn deletion_and_reordering_with_new_numbers_are_caught_by_checkpoints() {
    let deleted = log(20, &[8, 16]).alter(|rows| drop(rows.remove(10))).renumbered().with_forged_head();
    check_fault(&deleted, "CheckpointRoot { size: 16, good: 8 }", Some((8, 15)));
    let inserted =
        log(20, &[8, 16]).alter(|rows| rows.insert(3, row(3, &event(99)))).renumbered().with_forged_head();
    check_fault(&inserted, "CheckpointRoot { size: 8, good: 0 }", Some((0, 7)));
    let swapped = log(20, &[8, 16]).alter(|rows| rows.swap(9, 14)).renumbered().with_forged_head();
    check_fault(&swapped, "CheckpointRoot { size: 16, good: 8 }", Some((8, 15)));
}

#[test]
fn bytes_that_are_no_event_are_named() {
    let log = log(4, &[]).alter(|rows| {
        let bytes = b"{\"v\":1}".to_vec();
        rows[2] = Row { index: 2, hash: leaf_hash(&bytes), bytes: Some(bytes) };
    });
    check_fault(&log, "NotCanonical { index: 2", Some((2, 2)));
}

#[test]
fn a_pruned_prefix_keeps_its_hashes() {
    let pruned = |count: usize, signed: &[u64]| {
        pruning(12, signed).alter(|rows| rows.iter_mut().take(count).for_each(|row| row.bytes = None))
    };
    let report = pruned(8, &[8]).verify().unwrap();
    assert_eq!((report.pruned, report.signed_size), (8, 8));
    assert_eq!(report.first_time, Some(Timestamp::from_micros(8_000_000)));
    check_fault(&pruned(9, &[8]), "PrunedUnsigned { pruned: 9, signed: 8 }", None);
    let inside = pruned(3, &[8]).alter(|rows| rows[5].bytes = None);
    check_fault(&inside, "PrunedInside { index: 5 }", Some((5, 5)));
    let forged = pruned(8, &[4, 8]).alter(|rows| rows[6].hash = leaf_hash(b"forged")).with_forged_head();
    check_fault(&forged, "CheckpointRoot { size: 8, good: 4 }", Some((4, 7)));
}

#[test]
fn bodies_that_the_log_does_not_say_were_pruned_are_an_alarm() {
    let missing = |log: Log, count: usize| {
        log.alter(|rows| rows.iter_mut().take(count).for_each(|row| row.bytes = None)).verify()
    };
    assert_eq!(missing(pruning(7, &[20]), 7).unwrap().pruned, 7);
    let fault = missing(pruning(7, &[20]), 8).unwrap_err();
    assert!(matches!(fault, Fault::PrunedUndeclared { pruned: 8, declared: 7 }), "{fault:?}");
    let fault = missing(log(20, &[20]), 1).unwrap_err();
    assert!(matches!(fault, Fault::PrunedUndeclared { pruned: 1, declared: 0 }), "{fault:?}");
    // Who removes the entry that says so removes the only proof.
    let fault = missing(pruning(16, &[20]), 16).unwrap_err();
    assert!(matches!(fault, Fault::PrunedUndeclared { pruned: 16, declared: 0 }), "{fault:?}");
    // Another action with the same parameter says nothing.
    let other =
        Event { action: gateway_types::ActionName::new("gateway:audit:prune_now"), ..prune_event(1, 9) };
    assert_eq!((pruned_before(&other), pruned_before(&prune_event(1, 9))), (None, Some(9)));
}

#[test]
fn checkpoints_of_others_forks_and_latecomers_are_faults() {
    let mut foreign = log(4, &[4]);
    foreign.checkpoints[0].origin = "rack-gateway/other".to_owned();
    check_fault(&foreign, "ForeignGateway", None);

    let mut forked = log(4, &[4]);
    forked.checkpoints.push(checkpoint(Head { size: 4, root: leaf_hash(b"other") }));
    check_fault(&forked, "Forked { size: 4 }", None);

    let honest = log(4, &[2, 4]);
    let mut verifier = LogVerifier::new(ORIGIN);
    for row in &honest.rows {
        verifier.entry(row.index, row.bytes.as_ref().unwrap(), &row.hash).unwrap();
    }
    verifier.checkpoint(&honest.checkpoints[1]).unwrap();
    let fork = checkpoint(Head { size: 4, root: leaf_hash(b"other") });
    assert!(matches!(verifier.checkpoint(&fork), Err(Fault::Forked { size: 4 })));
    let late = verifier.checkpoint(&honest.checkpoints[0]);
    assert!(matches!(late, Err(Fault::CheckpointTooLate { size: 2, have: 4 })));
}

#[test]
fn intents_are_matched_with_outcomes() {
    let intent = |number| Event { phase: Phase::Intent, ..event(number) };
    let outcome = |of| Event { phase: Phase::Outcome, intent: of, ..event(50) };
    let events = [
        intent(0),
        intent(1),
        event(2),
        outcome(Some(1)),
        outcome(Some(1)),
        outcome(Some(2)),
        outcome(None),
        intent(7),
    ];
    let honest = |log: Log| log.with_forged_head().verify().unwrap();
    let rows = |rows: &mut Vec<Row>| {
        *rows = (0..).zip(&events).map(|(index, event)| row(index, event)).collect();
    };
    let report = honest(log(0, &[]).alter(rows));
    assert_eq!((report.intents_without_outcome, report.outcomes_without_intent), (2, 3));
    // Full events are outcomes of 41: out of reach in a log of one entry.
    let report = honest(log(0, &[]).alter(|rows| rows.push(row(0, &full_event()))));
    assert_eq!((report.intents_without_outcome, report.outcomes_without_intent), (0, 1));
}

#[test]
fn outcomes_of_pruned_intents_are_not_blamed() {
    let outcome = Event { phase: Phase::Outcome, intent: Some(1), ..event(50) };
    let mut log = log(2, &[2]).alter(|rows| {
        rows.iter_mut().for_each(|row| row.bytes = None);
        rows.push(row(2, &outcome));
        rows.push(row(3, &prune_event(3, 2)));
    });
    log = log.with_forged_head();
    assert_eq!(log.verify().unwrap().outcomes_without_intent, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is done to the rows behind the back of a signed log is a fault, and the first
    /// altered index is inside the range that the fault names.
    #[test]
    fn no_tampering_goes_unnoticed(
        size in 1u64..24, signed in prop::collection::btree_set(0u64..24, 0..4),
        at in any::<prop::sample::Index>(), kind in 0u8..5, bit in any::<prop::sample::Index>(), renumber in any::<bool>(),
    ) {
        let mut signed: Vec<u64> = signed.into_iter().filter(|signed| *signed < size).collect();
        signed.push(size);
        let at = at.index(size as usize);
        let mut log = log(size, &signed).alter(|rows| match kind {
            0 => {
                let bytes = rows[at].bytes.as_mut().unwrap();
                let bit = bit.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            1 => drop(rows.remove(at)),
            2 => rows.insert(at, row(at as u64, &event(77))),
            3 => rows.truncate(at),
            _ => rows[at] = row(at as u64, &event(78)),
        });
        if renumber {
            log = log.renumbered().with_forged_head();
        }
        let fault = log.verify().unwrap_err();
        let (first, last) = fault.first_bad().unwrap();
        let touched = at as u64 + u64::from(matches!(fault, Fault::Gap { .. }) && kind == 2);
        prop_assert!((first..=last).contains(&touched) || matches!(fault, Fault::RolledBack { .. } | Fault::Truncated { .. }), "{fault:?} for {touched}");
    }
}
