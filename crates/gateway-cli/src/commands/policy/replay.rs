//! Recorded decisions of a period, asked again piece by piece: each request is bounded, and how far it came is said on
//! the way.

use std::collections::BTreeMap;

use gateway_types::wire::policy::{
    CheckPolicy, ObservedRefusal, ObservedRefusals, PolicyCheck, ReplayChange,
};

use crate::failure::Failure;
use crate::output::remark;
use crate::remote::Remote;

/// Decisions of one request.
const PIECE: u32 = 5000;

/// The most examples of one change.
const EXAMPLES: usize = 3;

/// What a change would do, over the whole period: `question` asks for it, at most `most` decisions.
pub(super) async fn plan(
    remote: &Remote,
    mut question: CheckPolicy,
    most: Option<u64>,
) -> Result<PolicyCheck, Failure> {
    let mut left = most.unwrap_or(u64::MAX);
    question.replay = Some(piece(left));
    let mut whole = remote.ask(async |client| client.check_policy(&question).await).await?;
    let mut changes = Merged::default();
    changes.add(std::mem::take(&mut whole.replay.changes));
    left = left.saturating_sub(whole.replay.replayed + whole.replay.skipped);
    while let Some(next) = whole.replay.next.filter(|_| left > 0 && whole.acceptable) {
        told(whole.replay.replayed + whole.replay.skipped, whole.replay.oldest.as_deref());
        (question.before, question.replay) = (Some(next), Some(piece(left)));
        let part = remote.ask(async |client| client.check_policy(&question).await).await?;
        // A gateway that names the same place again would be asked for ever.
        if part.replay.next.is_some_and(|later| later >= next) {
            break;
        }
        left = left.saturating_sub(part.replay.replayed + part.replay.skipped);
        whole.replay.replayed += part.replay.replayed;
        whole.replay.skipped += part.replay.skipped;
        whole.replay.oldest = part.replay.oldest.or(whole.replay.oldest);
        whole.replay.next = part.replay.next;
        changes.add(part.replay.changes);
    }
    whole.replay.changes = changes.0.into_values().collect();
    Ok(whole)
}

/// What would have been refused over the whole period.
pub(super) async fn observed(remote: &Remote, since: Option<&str>) -> Result<ObservedRefusals, Failure> {
    let mut whole = remote.ask(async |client| client.observed_refusals(since, None).await).await?;
    let mut items: BTreeMap<[String; 4], ObservedRefusal> = BTreeMap::new();
    add_refusals(&mut items, std::mem::take(&mut whole.items));
    while let Some(next) = whole.next {
        told(whole.decisions, whole.oldest.as_deref());
        let part = remote.ask(async |client| client.observed_refusals(since, Some(next)).await).await?;
        if part.next.is_some_and(|later| later >= next) {
            break;
        }
        whole.decisions += part.decisions;
        whole.oldest = part.oldest.or(whole.oldest);
        whole.next = part.next;
        add_refusals(&mut items, part.items);
    }
    whole.items = items.into_values().collect();
    Ok(whole)
}

fn piece(left: u64) -> u32 {
    u32::try_from(left).unwrap_or(PIECE).min(PIECE)
}

fn told(decisions: u64, oldest: Option<&str>) {
    let oldest = oldest.and_then(|oldest| oldest.get(..16)).unwrap_or_default().replace('T', " ");
    remark(&format!("{decisions} decisions, back to {oldest}"));
}

/// The same change of several pieces is one.
#[derive(Default)]
struct Merged(BTreeMap<[String; 5], ReplayChange>);

impl Merged {
    fn add(&mut self, changes: Vec<ReplayChange>) {
        for change in changes {
            let key = [&change.actor, &change.action, &change.resource, &change.before, &change.after];
            let key = key.map(String::clone);
            match self.0.get_mut(&key) {
                Some(known) => {
                    known.count += change.count;
                    known.newest = known.newest.max(change.newest);
                    fill(&mut known.examples, change.examples);
                }
                None => drop(self.0.insert(key, change)),
            }
        }
    }
}

fn add_refusals(items: &mut BTreeMap<[String; 4], ObservedRefusal>, more: Vec<ObservedRefusal>) {
    for refusal in more {
        let key = [&refusal.rule, &refusal.actor, &refusal.action, &refusal.resource].map(String::clone);
        match items.get_mut(&key) {
            Some(known) => {
                known.count += refusal.count;
                known.newest = known.newest.max(refusal.newest);
                fill(&mut known.examples, refusal.examples);
            }
            None => drop(items.insert(key, refusal)),
        }
    }
}

fn fill(examples: &mut Vec<String>, more: Vec<String>) {
    examples.extend(more);
    examples.truncate(EXAMPLES);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(actor: &str, count: u64, examples: &[&str]) -> ReplayChange {
        ReplayChange {
            actor: actor.to_owned(),
            action: "convox:app:list".to_owned(),
            resource: "App::web".to_owned(),
            before: "yes".to_owned(),
            after: "role".to_owned(),
            effect: "loses".to_owned(),
            count,
            newest: count,
            examples: examples.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn pieces_of_one_change_are_one() {
        let mut merged = Merged::default();
        merged.add(vec![change("ann", 2, &["a", "b"]), change("bo", 1, &[])]);
        merged.add(vec![change("ann", 5, &["c", "d"])]);
        let found: Vec<_> = merged.0.into_values().collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].count, found[0].newest), (7, 5));
        assert_eq!(found[0].examples, ["a", "b", "c"]);
    }

    #[test]
    fn a_piece_is_bounded() {
        assert_eq!((piece(u64::MAX), piece(10), piece(0)), (PIECE, 10, 0));
    }
}
