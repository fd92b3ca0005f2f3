//! Plain reads that come together: of those of one actor, with one action on one resource in one minute, a sink gets one, with
//! how many they are and when the first and the last of them were.
//!
//! They are counted within a window, a stretch of the log: whoever delivers remembers where it begins and ends before it sends
//! anything of it, so that it is the same at each attempt, and so are its records and their numbers.
//!
//! # Security
//! As with sampling: what has an effect, was refused or failed is never among them, whatever the rules say.

use std::collections::{HashMap, HashSet};

use gateway_audit::Event;
use gateway_types::Timestamp;
use serde::Serialize;

use crate::record::Record;
use crate::sampling::{Action, is_plain_read};

/// Microseconds of a minute.
const MINUTE: i64 = 60_000_000;

/// The actions whose plain reads come together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Aggregation {
    actions: Vec<Action>,
}

impl Aggregation {
    /// Of these actions, or of those that begin with what stands before a final `*`.
    pub fn new<'a>(actions: impl IntoIterator<Item = &'a str>) -> Self {
        Self { actions: actions.into_iter().map(Action::new).collect() }
    }

    /// Whether nothing comes together.
    pub fn is_none(&self) -> bool {
        self.actions.is_empty()
    }

    /// Whether this event may stand together with others.
    pub fn is_about(&self, event: &Event) -> bool {
        self.actions.iter().any(|action| action.is_about(event.action.as_str())) && is_plain_read(event)
    }
}

/// What one record stands for: itself, and like ones before it in its window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Together {
    /// How many, itself among them.
    pub count: u64,
    /// When the first of them was.
    pub first: Timestamp,
    /// When the last of them was.
    pub last: Timestamp,
    /// Where the first of them is in the log.
    pub first_index: u64,
}

/// The same as it stands in a line of JSON.
#[derive(Serialize)]
pub(crate) struct TogetherLine {
    count: u64,
    first: String,
    last: String,
    first_index: u64,
}

impl Together {
    pub(crate) fn of_one(index: u64, event: &Event) -> Self {
        Self { count: 1, first: event.time, last: event.time, first_index: index }
    }

    pub(crate) fn line(&self) -> TogetherLine {
        TogetherLine {
            count: self.count,
            first: self.first.to_rfc3339(),
            last: self.last.to_rfc3339(),
            first_index: self.first_index,
        }
    }

    fn with(self, other: Together) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            first_index: self.first_index.min(other.first_index),
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    actor: Option<String>,
    name: String,
    action: String,
    resource: String,
    minute: i64,
}

impl Key {
    fn of(event: &Event) -> Self {
        Self {
            actor: event.actor.id.clone(),
            name: event.actor.name.clone(),
            action: event.action.as_str().to_owned(),
            resource: event.resource.to_string(),
            minute: event.time.micros().div_euclid(MINUTE),
        }
    }
}

/// The records of one whole window, in the order of the log, with those that come together as one: the last of them, so
/// that what was sent of a window is everything before a place in it.
pub fn gather(records: Vec<Record>) -> Vec<Record> {
    let mut groups: HashMap<Key, Together> = HashMap::new();
    for record in &records {
        if let Some(one) = record.together {
            groups.entry(Key::of(&record.event)).and_modify(|all| *all = all.with(one)).or_insert(one);
        }
    }
    let mut sent = HashSet::new();
    let mut kept = Vec::with_capacity(records.len());
    for mut record in records.into_iter().rev() {
        if record.together.is_some() {
            let key = Key::of(&record.event);
            // One that came alone stands for itself.
            record.together = groups.get(&key).copied().filter(|all| all.count > 1);
            if !sent.insert(key) {
                continue;
            }
        }
        kept.push(record);
    }
    kept.reverse();
    kept
}
