//! What policies in observe mode would have refused: who would lose what once they are enforced.

use std::collections::BTreeMap;

use super::PolicyChangeError;
use super::recorded::{self, MOST_TOLD, Period, Reached, Seen};
use crate::App;

/// A refusal that was not one, because its policy is only observed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedRefusal {
    /// The policy.
    pub rule: String,
    /// Who asked.
    pub actor: String,
    /// For what.
    pub action: String,
    /// On what.
    pub resource: String,
    /// How often, and in which requests.
    pub seen: Seen,
}

/// What was observed in a period.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observed {
    /// How many decisions were looked at.
    pub decisions: u64,
    /// What would have been refused.
    pub refusals: Vec<ObservedRefusal>,
    /// How far it came.
    pub reached: Reached,
}

/// What policies in observe mode would have refused.
///
/// # Errors
/// Only the store's.
pub async fn observed(app: &App, period: Period) -> Result<Observed, PolicyChangeError> {
    let page = recorded::decisions(app, period).await?;
    let mut seen: BTreeMap<[String; 4], Seen> = BTreeMap::new();
    for (index, event) in &page.decisions {
        for rule in event.verdict.iter().flat_map(|verdict| &verdict.observed) {
            let (actor, action) = (event.actor.name.clone(), event.action.to_string());
            let key = [rule.clone(), actor, action, event.resource.to_string()];
            if seen.len() < MOST_TOLD || seen.contains_key(&key) {
                seen.entry(key).or_default().add(*index, event);
            }
        }
    }
    let refusals = seen.into_iter().map(|([rule, actor, action, resource], seen)| ObservedRefusal {
        rule,
        actor,
        action,
        resource,
        seen,
    });
    let decisions = u64::try_from(page.decisions.len()).unwrap_or(u64::MAX);
    Ok(Observed { decisions, refusals: refusals.collect(), reached: page.reached })
}
