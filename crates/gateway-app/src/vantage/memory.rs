//! What is remembered of a vantage point, and how the next report differs. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use gateway_types::Timestamp;
use gateway_types::wire::vantage::{Found, Sighting, VantageReport};
use serde::{Deserialize, Serialize};

use super::VantageState;

/// Targets that could not be looked at and are remembered by name.
const UNCLEAR_KEPT: usize = 20;

/// How late a report may be beside three of its intervals: of a machine that starts again.
const GRACE: Duration = Duration::from_secs(30);

/// What is remembered from one report to the next.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) every_seconds: u64,
    /// Whether it was told that its reports stay away.
    pub(super) silent: bool,
    pub(super) looked: u64,
    /// What answers and should not, by target.
    pub(super) open: BTreeMap<String, Open>,
    /// The first targets that could not be looked at.
    pub(super) unclear: Vec<String>,
}

/// What is remembered of a target that answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) meaning: String,
    /// Since when, in microseconds since 1970.
    pub(super) since: i64,
}

/// What is news of a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// A target answers that should not, since now.
    Opened {
        /// Which.
        target: String,
        /// What is there, or how it answers.
        meaning: String,
    },
    /// A target that answered does no more.
    Closed {
        /// Which.
        target: String,
        /// Since when it had answered.
        since: Timestamp,
        /// Why it is no finding any more.
        why: Cleared,
    },
    /// Reports come again that had stayed away.
    Returned,
}

/// Why a target is no finding any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cleared {
    /// It takes no connection.
    Closed,
    /// It is not looked at any more.
    NotLookedAt,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Turn::Opened { target, meaning } => write!(f, "{target} answers: {meaning}"),
            Turn::Closed { target, why: Cleared::Closed, .. } => write!(f, "{target} answers no more"),
            Turn::Closed { target, why: Cleared::NotLookedAt, .. } => {
                write!(f, "{target} answered, and is not looked at any more")
            }
            Turn::Returned => f.write_str("its reports come again"),
        }
    }
}

impl Memory {
    /// What is remembered after a report, and what is news of it. A target that could not be looked at stays what it was.
    pub(super) fn after(&self, report: &VantageReport, now: Timestamp) -> (Memory, Vec<Turn>) {
        let mut turns = if self.silent { vec![Turn::Returned] } else { Vec::new() };
        let mut next = Memory {
            every_seconds: report.every_seconds,
            looked: u64::try_from(report.sightings.len()).unwrap_or(u64::MAX),
            ..Memory::default()
        };
        for Sighting { target, meaning, found } in &report.sightings {
            let known = self.open.get(target);
            match (found, known) {
                (Found::Closed, _) => {}
                (Found::Open, Some(known)) => {
                    let open = Open { meaning: meaning.clone(), since: known.since };
                    next.open.insert(target.clone(), open);
                }
                (Found::Open, None) => {
                    let open = Open { meaning: meaning.clone(), since: now.micros() };
                    if next.open.insert(target.clone(), open).is_none() {
                        turns.push(Turn::Opened { target: target.clone(), meaning: meaning.clone() });
                    }
                }
                (Found::Unclear, known) => {
                    if let Some(known) = known {
                        next.open.insert(target.clone(), known.clone());
                    }
                    if next.unclear.len() < UNCLEAR_KEPT {
                        next.unclear.push(target.clone());
                    }
                }
            }
        }
        for (target, known) in self.open.iter().filter(|(target, _)| !next.open.contains_key(*target)) {
            let is_looked_at = report.sightings.iter().any(|one| one.target == *target);
            let why = if is_looked_at { Cleared::Closed } else { Cleared::NotLookedAt };
            let since = Timestamp::from_micros(known.since);
            turns.push(Turn::Closed { target: target.clone(), since, why });
        }
        (next, turns)
    }

    /// Whether reports stay away that were last heard at `reported`.
    pub(super) fn is_overdue(&self, reported: Timestamp, now: Timestamp) -> bool {
        let patience = Duration::from_secs(self.every_seconds.saturating_mul(3)).saturating_add(GRACE);
        now.checked_since(reported).unwrap_or_default() > patience
    }

    /// How it stands.
    pub(super) fn state(&self) -> VantageState {
        match (self.silent, self.open.is_empty(), self.unclear.is_empty()) {
            (true, _, _) => VantageState::Silent,
            (false, false, _) => VantageState::Open,
            (false, true, false) => VantageState::Unclear,
            (false, true, true) => VantageState::Quiet,
        }
    }
}
