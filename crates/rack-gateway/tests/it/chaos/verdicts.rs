//! The judgement at the end: what the clients, the rack and the log say is laid side by side.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway_audit::{Event, Phase};
use gateway_store::{EventFilter, Store};

use super::load::Ledger;
use super::site::Site;

/// How long a revocation may take to reach every instance.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

/// What the scenario itself saw.
#[derive(Default)]
pub(super) struct Seen {
    /// How long after its answer each revocation held on all instances.
    pub(super) revocations: Vec<Duration>,
    /// Sessions that went on although their instance was restarted gracefully, or the database was away.
    pub(super) kept_sessions: usize,
    /// Sessions that could not be recorded for long, and ended with that reason.
    pub(super) ended_with_reason: usize,
    /// Sessions that ended and should not have, with what they showed.
    pub(super) lost_sessions: Vec<String>,
    /// Sessions whose process was killed.
    pub(super) killed_sessions: usize,
    /// Of those, what the ones showed that read as success.
    pub(super) false_successes: Vec<String>,
}

/// One line of the table.
struct Verdict {
    about: &'static str,
    found: String,
    faults: Vec<String>,
}

impl Verdict {
    fn new(about: &'static str, found: String, faults: Vec<String>) -> Self {
        Self { about, found, faults }
    }
}

/// Every event of the log, in its order.
pub(super) async fn events(store: &Store) -> Vec<Event> {
    let (mut events, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.events().page(&EventFilter::default(), cursor.as_deref(), 1000).await.unwrap();
        events.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    events.sort_by_key(|(index, _)| *index);
    events.into_iter().map(|(_, event)| event).collect()
}

/// How often each of these was there.
fn counted<T: Ord>(all: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    counts
}

fn unique_of(command: &str) -> String {
    command.trim_start_matches("echo ").to_owned()
}

/// Judges, prints the table, and fails the test when a verdict is not as promised.
pub(super) async fn judge(site: &Site, ledger: &Ledger, seen: Seen) {
    let (is_whole, said) = site.verified().await;
    let store = site.store().await;
    let events = events(&store).await;
    store.close().await;
    let verdicts = [
        reads(ledger),
        changes(site, ledger, &events),
        duplicates(site, &events),
        Verdict::new(
            "one order, and the log verifies",
            format!("{} events", events.len()),
            if is_whole { Vec::new() } else { vec![said] },
        ),
        revocations(&seen),
        kept_sessions(&seen),
        killed_sessions(&seen, &events),
        sign_ins(ledger),
    ];
    println!("\n{:<36} {:<58} verdict", "", "found");
    for Verdict { about, found, faults } in &verdicts {
        let verdict = if faults.is_empty() { "ok".to_owned() } else { format!("{} FAULTS", faults.len()) };
        println!("{about:<36} {found:<58} {verdict}");
    }
    let faults: Vec<String> = verdicts
        .iter()
        .flat_map(|verdict| {
            verdict.faults.iter().take(10).map(move |fault| format!("{}: {fault}", verdict.about))
        })
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn reads(ledger: &Ledger) -> Verdict {
    let (count, slowest) = (ledger.reads.load(Ordering::Relaxed), *ledger.slowest_read.lock().unwrap());
    let mut faults = ledger.failed_reads.lock().unwrap().clone();
    if count == 0 {
        faults.push("nothing was read".to_owned());
    }
    let found = format!("{count} answered, the slowest in {:.1} s", slowest.as_secs_f64());
    Verdict::new("no read failed", found, faults)
}

/// What the rack was made to do, by what tells each change from all others.
fn effects(site: &Site) -> BTreeMap<String, usize> {
    let seen = site.rack.requests();
    assert!(seen.len() < 100_000, "the rack remembers no more");
    let effects = seen.iter().filter(|request| request.method == "POST");
    counted(effects.map(|request| unique_of(request.header("Command").unwrap())))
}

fn intents(events: &[Event]) -> BTreeMap<String, usize> {
    let intents = events
        .iter()
        .filter(|event| event.phase == Phase::Intent && event.action.as_str() == "convox:process:start");
    counted(
        intents
            .map(|event| unique_of(event.parameters.get("Command").map(String::as_str).unwrap_or_default())),
    )
}

fn changes(site: &Site, ledger: &Ledger, events: &[Event]) -> Verdict {
    let (effects, intents) = (effects(site), intents(events));
    let answered = ledger.answered_changes.lock().unwrap().clone();
    let mut faults: Vec<String> = effects
        .iter()
        .filter(|(unique, times)| intents.get(*unique).is_none_or(|recorded| recorded < times))
        .map(|(unique, _)| format!("the rack did {unique}, and the log does not have it"))
        .collect();
    faults.extend(
        answered
            .iter()
            .filter(|unique| !effects.contains_key(*unique))
            .map(|unique| format!("{unique} was answered, and the rack never did it")),
    );
    faults.extend(ledger.odd.lock().unwrap().clone());
    if answered.is_empty() {
        faults.push("nothing was changed".to_owned());
    }
    let asked = ledger.asked_changes.load(Ordering::Relaxed);
    let found = format!(
        "{asked} asked, {} answered, {} done, {} recorded",
        answered.len(),
        effects.len(),
        intents.len()
    );
    Verdict::new("no change without a record", found, faults)
}

fn duplicates(site: &Site, events: &[Event]) -> Verdict {
    let twice = |counts: BTreeMap<String, usize>, what: &str| -> Vec<String> {
        let repeated = counts.into_iter().filter(|(_, times)| *times > 1);
        repeated.map(|(name, times)| format!("{what} {name} {times} times")).collect()
    };
    let mut faults = twice(effects(site), "the rack did");
    faults.extend(twice(intents(events), "the log has the intent of"));
    faults.extend(twice(counted(events.iter().map(|event| event.id.to_string())), "the log has the event"));
    Verdict::new("nothing twice", format!("{} events looked at", events.len()), faults)
}

fn revocations(seen: &Seen) -> Verdict {
    let late = seen.revocations.iter().filter(|took| **took > REVOKED_WITHIN);
    let mut faults: Vec<String> =
        late.map(|took| format!("one held after {:.1} s", took.as_secs_f64())).collect();
    if seen.revocations.is_empty() {
        faults.push("nothing was revoked".to_owned());
    }
    let slowest = seen.revocations.iter().max().copied().unwrap_or_default();
    let found =
        format!("{} on all instances, the slowest after {} ms", seen.revocations.len(), slowest.as_millis());
    Verdict::new("revocations hold within 5 s", found, faults)
}

fn kept_sessions(seen: &Seen) -> Verdict {
    let mut faults = seen.lost_sessions.clone();
    if seen.kept_sessions == 0 {
        faults.push("no session went on".to_owned());
    }
    let found = format!("{} went on, {} ended with a reason", seen.kept_sessions, seen.ended_with_reason);
    Verdict::new("sessions outlive graceful restarts", found, faults)
}

fn killed_sessions(seen: &Seen, events: &[Event]) -> Verdict {
    let of = |action: &str| events.iter().filter(|event| event.action.as_str() == action).count();
    let (begun, ended, cut) =
        (of("gateway:recording:begin"), of("gateway:recording:end"), of("gateway:recording:cut"));
    let mut faults = seen.false_successes.clone();
    if begun != ended + cut {
        faults.push(format!("{begun} recordings began, {ended} ended and {cut} are marked as cut"));
    }
    if seen.killed_sessions == 0 || cut < seen.killed_sessions {
        faults.push(format!("{} sessions were killed, {cut} are marked so", seen.killed_sessions));
    }
    let found = format!("{} killed; {begun} begun, {ended} ended, {cut} cut", seen.killed_sessions);
    Verdict::new("kills end sessions honestly", found, faults)
}

fn sign_ins(ledger: &Ledger) -> Verdict {
    let count = ledger.sign_ins.load(Ordering::Relaxed);
    let again = ledger.repeated_sign_ins.load(Ordering::Relaxed);
    let stopped = ledger.stopped_sign_in.lock().unwrap().clone();
    let faults = if count == 0 { stopped } else { Vec::new() };
    Verdict::new("people sign in", format!("{count} times; {again} had to begin again"), faults)
}
