//! The log in numbers: how many requests were allowed and refused, by day and by action.

use std::collections::BTreeMap;

use gateway_store::{AuditCount, AuditCounts, Store};
use gateway_types::{Decision, Timestamp};

use super::AuditError;

/// The most pieces that are counted in one go.
const MOST_PIECES: usize = 100;

/// How many were allowed, and how many refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdicts {
    /// Allowed.
    pub allowed: u64,
    /// Refused.
    pub refused: u64,
}

impl Verdicts {
    /// Both together.
    pub const fn all(self) -> u64 {
        self.allowed.saturating_add(self.refused)
    }

    fn add(&mut self, count: &AuditCount) {
        let place = match count.decision {
            Decision::Allow => &mut self.allowed,
            Decision::Refuse => &mut self.refused,
        };
        *place = place.saturating_add(count.number);
    }
}

/// What is counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SummaryFilter {
    /// Of this app.
    pub app: Option<String>,
    /// By this actor.
    pub actor: Option<String>,
    /// From the day of this moment on.
    pub since: Option<Timestamp>,
    /// Up to the day before this moment, or its own when it is not its first.
    pub until: Option<Timestamp>,
}

/// The log in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// By day on which something was decided, oldest first; each day is its first moment.
    pub days: Vec<(Timestamp, Verdicts)>,
    /// By action, the most frequent one first.
    pub actions: Vec<(String, Verdicts)>,
    /// Everything.
    pub total: Verdicts,
    /// From which entry on it is counted.
    pub from: u64,
    /// Up to which entry, which is not counted itself.
    pub to: u64,
}

/// Counts what was written since it was counted last.
///
/// # Errors
/// Only the store's.
pub async fn tend(store: &Store) -> Result<(), AuditError> {
    for _piece in 0..MOST_PIECES {
        if !store.audit_tallies().tend().await? {
            break;
        }
    }
    Ok(())
}

/// The numbers: over the whole log, or of an app or an actor over the newest 20,000 of their entries.
///
/// # Errors
/// Only the store's.
pub async fn summary(store: &Store, filter: &SummaryFilter) -> Result<Summary, AuditError> {
    let tallies = store.audit_tallies();
    let counts = match (filter.app.as_deref(), filter.actor.as_deref()) {
        (None, None) => tallies.of_all(filter.since, filter.until).await?,
        (app, actor) => {
            let mut counts = tallies.of_some(app, actor).await?;
            let first = filter.since.map(day_of);
            counts.counts.retain(|count| {
                first.is_none_or(|first| count.day >= first)
                    && filter.until.is_none_or(|until| count.day < until)
            });
            counts
        }
    };
    Ok(summed(&counts))
}

fn day_of(moment: Timestamp) -> Timestamp {
    const DAY: i64 = 86_400_000_000;
    Timestamp::from_micros(moment.micros().div_euclid(DAY).saturating_mul(DAY))
}

fn summed(counts: &AuditCounts) -> Summary {
    let (mut days, mut actions) = (BTreeMap::<_, Verdicts>::new(), BTreeMap::<_, Verdicts>::new());
    let mut total = Verdicts::default();
    for count in &counts.counts {
        days.entry(count.day).or_default().add(count);
        actions.entry(count.action.clone()).or_default().add(count);
        total.add(count);
    }
    let mut actions: Vec<_> = actions.into_iter().collect();
    // Stable: those of one number stay in their order by name.
    actions.sort_by_key(|(_, verdicts)| std::cmp::Reverse(verdicts.all()));
    Summary { days: days.into_iter().collect(), actions, total, from: counts.from, to: counts.to }
}
