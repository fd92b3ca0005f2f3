//! How a zone stands.

use std::collections::BTreeMap;

use gateway_types::Timestamp;
use serde::Serialize;

use super::Drift;
use crate::name::DnsName;
use crate::store::ZoneState;

/// What is said when a back end took an edit and does not have its records.
pub(super) const NOT_TAKEN: &str = "the back end does not have all that is desired; /drift says which";

/// A look at the back end that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub error: String,
}

/// What is known of a zone since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ZoneStatus {
    /// Whether the back end was seen at all.
    pub looked: bool,
    /// The revision of each name that the back end has as desired.
    pub applied: BTreeMap<DnsName, u64>,
    /// What it has otherwise.
    pub drift: Vec<Drift>,
    /// Why it must be written although its records are right.
    pub stale: Option<String>,
    /// Some names that the shim does not hold.
    pub foreign: Vec<String>,
    /// How many there are.
    pub foreign_count: usize,
    /// The last failure, if the last look failed.
    pub failure: Option<Failure>,
    /// How many looks failed.
    pub failures: u64,
    /// How many names somebody else had changed.
    pub repaired: u64,
    /// When it is tried again.
    pub retry_at: Option<Timestamp>,
    /// When all was as desired.
    pub succeeded_at: Option<Timestamp>,
}

/// How a change stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The back end does not have it yet, or it is not known.
    Pending,
    /// The back end had it when it was looked at last.
    Applied,
    /// The back end would not take it. It is tried again.
    Refused,
    /// A later change of the name stands in its place.
    Superseded,
}

impl ZoneStatus {
    /// How the change of this revision to this name stands, and the back end's words.
    pub fn standing(&self, state: &ZoneState, name: &DnsName, revision: u64) -> (Standing, Option<String>) {
        match state.names.get(name) {
            Some(held) if held.revision > revision => return (Standing::Superseded, None),
            Some(_) => {}
            None => {
                // Removals are forgotten when they are done, so the last one is.
                let last = state.changes.iter().rev().find(|change| change.name == *name);
                let is_last = last.is_none_or(|last| last.revision == revision);
                return (if is_last { Standing::Applied } else { Standing::Superseded }, None);
            }
        }
        let is_applied = self.applied.get(name).is_some_and(|applied| *applied == revision);
        let is_told = self.stale.is_none();
        let is_this = |drift: &&Drift| drift.name == name.as_str() && drift.revision == revision;
        let refused = self.drift.iter().find(is_this);
        match refused.and_then(|drift| drift.refused.clone()) {
            Some(words) => (Standing::Refused, Some(words)),
            None if is_applied && is_told => (Standing::Applied, None),
            None => (Standing::Pending, self.failure.as_ref().map(|failure| failure.error.clone())),
        }
    }

    /// How many names wait.
    pub fn pending(&self, state: &ZoneState) -> usize {
        let waits = |(name, held): &(&DnsName, &crate::store::Held)| {
            self.applied.get(*name).is_none_or(|applied| *applied != held.revision)
        };
        state.names.iter().filter(waits).count()
    }
}
