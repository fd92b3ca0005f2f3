//! The stories of the log, page by page, each whole as far as what surrounds its page tells it.

use gateway_audit::{Actor, Event};
use gateway_store::{EventFilter, Page, Store};
use gateway_types::Timestamp;

use super::story::{Story, stories};
use super::{AuditError, Whose};

/// Events read at once.
const PIECE: u32 = 1000;

/// The most pieces of one page: what it costs at the most, however few stories there are.
const MOST_PIECES: usize = 4;

/// When a page has as many stories, it ends with the piece.
const ENOUGH: usize = 25;

/// Which stories; what is left out matches all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoryFilter {
    /// In which this actor took part.
    pub actor: Option<String>,
    /// Of this app.
    pub app: Option<String>,
    /// Of which something happened at this moment or later.
    pub since: Option<Timestamp>,
    /// Of which something happened before this moment.
    pub until: Option<Timestamp>,
}

impl StoryFilter {
    /// The events that such stories are made of: of everybody, since others took part in them.
    fn events(&self) -> EventFilter {
        EventFilter { app: self.app.clone(), ..EventFilter::default() }
    }

    fn takes(&self, story: &Story) -> bool {
        self.actor.as_ref().is_none_or(|actor| story.actors.contains(actor))
            && self.since.is_none_or(|since| story.ended >= since)
            && self.until.is_none_or(|until| story.began < until)
    }
}

/// One page of stories, those with the newest end first, of those that ended before index `before`. A page can be
/// short, even empty, and still have a `next`. A story is told from at most 1,000 events before its page and as many after it.
///
/// # Errors
/// Only the store's.
pub async fn list(
    store: &Store,
    whose: Whose<'_>,
    filter: &StoryFilter,
    before: Option<u64>,
) -> Result<Page<Story>, AuditError> {
    let (events, asked) = (store.events(), filter.events());
    let within = EventFilter { until: filter.until, ..asked.clone() };
    let mut found: Vec<(u64, Event)> = Vec::new();
    let mut next = before;
    let mut start = 0;
    for _piece in 0..MOST_PIECES {
        let page = events.search(&within, next, PIECE).await?;
        found.extend(page.items);
        next = super::cursor(page.next.as_deref())?;
        start = next.unwrap_or(0);
        let is_past = found.last().zip(filter.since).is_some_and(|((_, event), since)| event.time < since);
        if is_past {
            next = None;
        }
        if next.is_none() || told(&found, whose).len() >= ENOUGH {
            break;
        }
    }
    if start > 0 {
        found.extend(events.search(&asked, Some(start), PIECE).await?.items);
    }
    // What ended on the page before was told there; on the first page nothing was.
    let end = before.or_else(|| found.first().map(|(index, _event)| index.saturating_add(1)));
    found.reverse();
    if let Some(end) = end {
        found.extend(events.following(&asked, end, PIECE).await?);
    }
    let mut items = stories(&visible(found, whose));
    let is_here = |story: &Story| story.last() >= start && before.is_none_or(|before| story.last() < before);
    items.retain(|story| is_here(story) && filter.takes(story));
    items.sort_by_key(|story| std::cmp::Reverse(story.last()));
    Ok(Page { items, next: next.map(|next| next.to_string()) })
}

/// The story that the entry `index` belongs to, with its events.
///
/// # Errors
/// [`AuditError::Pruned`]; [`AuditError::NoSuchStory`] when it belongs to none, or to none of the caller's; or the store's.
pub async fn one(
    store: &Store,
    whose: Whose<'_>,
    index: u64,
) -> Result<(Story, Vec<(u64, Event)>), AuditError> {
    let events = store.events();
    let missing = AuditError::NoSuchStory { index };
    super::pruned(store, index).await?;
    let here = events.following(&EventFilter::default(), index, 1).await?.into_iter().next();
    let Some((found, event)) = here else { return Err(missing) };
    let Some(of_app) = event.resource.app_name().filter(|_app| found == index) else { return Err(missing) };
    let filter = EventFilter { app: Some(of_app.to_owned()), ..EventFilter::default() };
    let mut around = events.search(&filter, Some(index), PIECE).await?.items;
    around.reverse();
    around.extend(events.following(&filter, index, PIECE).await?);
    let around = visible(around, whose);
    let story = stories(&around).into_iter().find(|story| story.events.contains(&index)).ok_or(missing)?;
    let told = around.into_iter().filter(|(index, _event)| story.events.contains(index)).collect();
    Ok((story, told))
}

/// How many stories there are in events that were read newest first.
fn told(found: &[(u64, Event)], whose: Whose<'_>) -> Vec<Story> {
    let mut events = visible(found.to_vec(), whose);
    events.reverse();
    stories(&events)
}

/// Without those of others, for somebody who may see their own only.
fn visible(mut events: Vec<(u64, Event)>, whose: Whose<'_>) -> Vec<(u64, Event)> {
    if let Whose::Own(caller) = whose {
        let own = Actor::of(&caller.principal).id;
        events.retain(|(_, event)| own.is_some() && event.actor.id == own);
    }
    events
}
