//! Which entries a sink gets. The log has all of them; a sink may do with a share of the plain reads.
//!
//! # Security
//! What has an effect, what was refused, what failed and what a policy in observe mode would have refused is never left out, whatever
//! the rules say. Which reads are left out nobody can steer: it follows from the leaf's hash, which is over a random nonce,
//! and so it is the same at each attempt and on each instance.

use std::num::NonZeroU64;

use gateway_audit::{End, Event, Hash, Phase};
use gateway_types::Decision;

use crate::aggregation::Aggregation;

/// A rule: of reads whose action is like this, one in so many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SampleRule {
    action: Action,
    one_in: NonZeroU64,
}

/// An action, or how it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Is(String),
    BeginsWith(String),
}

impl Action {
    pub(crate) fn new(action: &str) -> Self {
        match action.strip_suffix('*') {
            Some(prefix) => Action::BeginsWith(prefix.to_owned()),
            None => Action::Is(action.to_owned()),
        }
    }

    pub(crate) fn is_about(&self, action: &str) -> bool {
        match self {
            Action::Is(name) => name == action,
            Action::BeginsWith(prefix) => action.starts_with(prefix),
        }
    }
}

impl SampleRule {
    /// The rule about this action, or about those that begin with what stands before a final `*`.
    pub fn new(action: &str, one_in: NonZeroU64) -> Self {
        Self { action: Action::new(action), one_in }
    }

    fn is_about(&self, action: &str) -> bool {
        self.action.is_about(action)
    }
}

/// The rules of a sink; the first one that is about an action counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sampling {
    rules: Vec<SampleRule>,
    together: Aggregation,
}

/// What becomes of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// It is sent, and stands for itself.
    Whole,
    /// It is sent, and stands for so many.
    OneIn(NonZeroU64),
    /// It is sent together with like ones, as one.
    Together,
    /// Another one stands for it.
    LeftOut,
}

impl Sampling {
    /// These rules.
    pub fn new(rules: Vec<SampleRule>) -> Self {
        Self { rules, together: Aggregation::default() }
    }

    /// The same, and these come together: what does is counted, and so not sampled.
    pub fn with(self, together: Aggregation) -> Self {
        Self { together, ..self }
    }

    /// Whether some entries come together.
    pub fn is_aggregating(&self) -> bool {
        !self.together.is_none()
    }

    /// What becomes of this entry.
    pub fn share(&self, event: &Event, hash: &Hash) -> Share {
        if !is_plain_read(event) {
            return Share::Whole;
        }
        if self.together.is_about(event) {
            return Share::Together;
        }
        let Some(rule) = self.rules.iter().find(|rule| rule.is_about(event.action.as_str())) else {
            return Share::Whole;
        };
        if drawn(hash) % rule.one_in == 0 { Share::OneIn(rule.one_in) } else { Share::LeftOut }
    }
}

/// A number that is as good as drawn: the first eight bytes of the leaf's hash.
fn drawn(hash: &Hash) -> u64 {
    let (first, _rest) = hash.as_bytes().split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*first)
}

/// Whether an entry is nothing but a read that was allowed and went well. Whatever else it may be, this says no.
pub fn is_plain_read(event: &Event) -> bool {
    let is_allowed = event
        .verdict
        .as_ref()
        .is_some_and(|verdict| verdict.decision == Decision::Allow && verdict.observed.is_empty());
    let is_reading =
        event.route.as_deref().is_some_and(|route| route.starts_with("GET ") || route.starts_with("HEAD "));
    let went_well = event.end == Some(End::Completed) && event.status.is_some_and(|status| status < 400);
    let is_bare = event.before.is_none()
        && event.after.is_none()
        && event.count.is_none()
        && event.approval.is_none()
        && event.step_up.is_none()
        && event.intent.is_none();
    event.phase == Phase::Single && is_allowed && is_reading && went_well && is_bare
}
