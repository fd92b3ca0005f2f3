//! Recorded decisions, read back from the log, newest first: a bounded number of them at a time, and from where to
//! go on.

use gateway_audit::{Event, Phase};
use gateway_store::EventFilter;
use gateway_types::Timestamp;

use super::{MOST_REPLAYED, PolicyChangeError};
use crate::App;
use crate::tokens::days_or_duration;

/// The most pages of the log that one question reads. Much of the log has no verdict at all.
const MOST_PAGES: u32 = 20;

/// The most different things that one answer tells.
pub(super) const MOST_TOLD: usize = 1000;

/// The most requests that are named as examples of one thing.
const EXAMPLES: usize = 3;

/// Which recorded decisions are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Period {
    /// Those at this moment and later.
    pub since: Option<Timestamp>,
    /// Those before this place of the log: where an earlier answer ended.
    pub before: Option<u64>,
    /// At most so many.
    pub most: u32,
}

impl From<u32> for Period {
    fn from(most: u32) -> Self {
        Self { most, ..Self::default() }
    }
}

/// The beginning of a period, as people write it: `7d`, `12h`, or a moment in RFC 3339. `None` for anything else.
pub fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
    match days_or_duration(text) {
        Some(ago) => {
            let micros = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
            Some(Timestamp::from_micros(now.micros().saturating_sub(micros)))
        }
        None => Timestamp::parse_rfc3339(text),
    }
}

/// How far a question came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reached {
    /// The time of the oldest decision that was looked at.
    pub oldest: Option<Timestamp>,
    /// Where to go on; `None` at the end of the period.
    pub next: Option<u64>,
}

/// A page of decisions: of each request one, that which its first event has.
pub(super) struct Page {
    pub(super) decisions: Vec<(u64, Event)>,
    pub(super) reached: Reached,
}

/// The decisions of a period, at most [`MOST_REPLAYED`] of them.
pub(super) async fn decisions(app: &App, period: Period) -> Result<Page, PolicyChangeError> {
    let most = usize::try_from(period.most.min(MOST_REPLAYED)).unwrap_or(usize::MAX);
    let filter = EventFilter { since: period.since, ..EventFilter::default() };
    let mut page = Page { decisions: Vec::new(), reached: Reached::default() };
    let mut before = period.before;
    if most == 0 {
        return Ok(page);
    }
    for _page in 0..MOST_PAGES {
        let found = app.store.events().search(&filter, before, 1000).await?;
        let next = found.next.and_then(|next| next.parse::<u64>().ok());
        for (index, event) in found.items {
            if page.decisions.len() == most {
                // The one before is the last that was looked at.
                page.reached.next = page.decisions.last().map(|(index, _)| *index);
                return Ok(page);
            }
            if event.verdict.is_some() && event.phase != Phase::Outcome {
                page.reached.oldest = Some(event.time);
                page.decisions.push((index, event));
            }
        }
        page.reached.next = next;
        before = next;
        if next.is_none() {
            break;
        }
    }
    Ok(page)
}

/// How often something was seen, and some of the requests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// The newest, as an index into the log.
    pub newest: u64,
    /// The ids of the newest requests, three at most.
    pub examples: Vec<String>,
}

impl Seen {
    /// Counts one more; the newest comes first.
    pub(super) fn add(&mut self, index: u64, event: &Event) {
        self.count += 1;
        self.newest = self.newest.max(index);
        if self.examples.len() < EXAMPLES {
            self.examples.extend(event.request_id.map(|id| id.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_written_as_people_do() {
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        let check = |text: &str, expected: Option<i64>| {
            let found = since(text, now).map(|since| (now.micros() - since.micros()) / 1_000_000);
            assert_eq!(found, expected, "{text}");
        };
        check("7d", Some(7 * 24 * 3600));
        check("90m", Some(90 * 60));
        check(&now.to_rfc3339(), Some(0));
        check("never", None);
        check("", None);
    }
}
