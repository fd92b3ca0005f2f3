//! What would turn a refusal into a yes.
//!
//! Its job: try remedies on the facts until Cedar permits. A remedy is only promised when it was seen to
//! work; it must not know what the remedies mean to people.

use std::collections::{BTreeMap, BTreeSet};

use gateway_types::{Facts, RemedyKind, Role, RoleSet};

use crate::decision_key::{DecisionKey, Seen};
use crate::evaluation::{Evaluator, Outcome};
use crate::rule::{Effect, Rule};

/// Remedies that were seen to turn a refusal into a yes.
#[derive(Debug)]
pub(crate) struct Cure {
    /// What is missing.
    pub(crate) kinds: BTreeSet<RemedyKind>,
    /// The rules that asked for it.
    pub(crate) rules: BTreeSet<String>,
}

/// The decision with every remediable fact true.
pub(crate) fn best_case(key: &DecisionKey) -> DecisionKey {
    key.with_facts(&RemedyKind::ALL.into_iter().fold(key.facts.clone(), applied))
}

/// The facts once this remedy was taken.
pub(crate) fn applied(facts: Facts, kind: RemedyKind) -> Facts {
    match kind {
        RemedyKind::StepUp => Facts { mfa_enrolled: true, mfa_window: true, ..facts },
        // A fresh factor for one action also opens the window of its credential (DESIGN 4.4).
        RemedyKind::StepUpBound => Facts { mfa_enrolled: true, mfa_window: true, mfa_bound: true, ..facts },
        RemedyKind::Approval => Facts { approval_matches: true, ..facts },
        RemedyKind::Setting => Facts { destructive_allowed: true, external_builds_allowed: true, ..facts },
        RemedyKind::Elevation if facts.elevation_possible => Facts { elevated: ELEVATED, ..facts },
        // These change the caller, not the facts.
        RemedyKind::Enrol | RemedyKind::Elevation | RemedyKind::Role => facts,
    }
}

/// Every role that an elevation can give.
const ELEVATED: RoleSet = RoleSet::of(Role::Ops).with(Role::Deployer).with(Role::Admin);

/// The remedies of a decision that is refused and that the best case would allow; `None` when
/// the annotations do not lead there.
///
/// Each round takes the remedies of what refuses and looks again, because a forbid hides that nothing
/// permits yet: a deploy may need a factor and an approval.
pub(crate) fn cure(
    evaluator: &Evaluator,
    rules: &BTreeMap<String, Rule>,
    key: &DecisionKey,
    refused: &Outcome,
) -> Option<Cure> {
    let mut cure = Cure { kinds: BTreeSet::new(), rules: BTreeSet::new() };
    let mut facts = key.facts.clone();
    let mut outcome = refused.clone();
    for _round in RemedyKind::ALL {
        let asking: Vec<&Rule> = match &outcome {
            Outcome::Permitted(_) => return Some(finished(needed(evaluator, rules, key, cure), key)),
            Outcome::Failed(_) => return None,
            Outcome::Forbidden(ids) => ids.iter().filter_map(|id| rules.get(id)).collect(),
            Outcome::Unpermitted => evaluator
                .policies(key)
                .filter_map(|policy| rules.get(AsRef::<str>::as_ref(policy.id())))
                .filter(|rule| rule.effect == Effect::Permit)
                .collect(),
        };
        let known = cure.kinds.len();
        for rule in asking {
            if let Some(kind) = rule.remedy {
                cure.kinds.insert(kind);
                cure.rules.insert(rule.id.clone());
                facts = applied(facts, kind);
            }
        }
        if cure.kinds.len() == known {
            return None;
        }
        outcome = evaluator.evaluate(&key.with_facts(&facts));
    }
    None
}

/// Without what is offered beside an elevation and does not help this caller: of two permits that a remedy is for,
/// one may be for others (an approval is for machines).
fn needed(evaluator: &Evaluator, rules: &BTreeMap<String, Rule>, key: &DecisionKey, mut cure: Cure) -> Cure {
    if !cure.kinds.contains(&RemedyKind::Elevation) {
        return cure;
    }
    for kind in [RemedyKind::Approval, RemedyKind::Setting, RemedyKind::Elevation] {
        let others = cure.kinds.iter().filter(|other| **other != kind);
        let facts = others.fold(key.facts.clone(), |facts, other| applied(facts, *other));
        if matches!(evaluator.evaluate(&key.with_facts(&facts)), Outcome::Permitted(_)) {
            cure.kinds.remove(&kind);
            cure.rules.retain(|id| rules.get(id).is_some_and(|rule| rule.remedy != Some(kind)));
        }
    }
    cure
}

/// A bound factor opens the window too; and who has no factor must enrol one first.
fn finished(mut cure: Cure, key: &DecisionKey) -> Cure {
    if cure.kinds.contains(&RemedyKind::StepUpBound) {
        cure.kinds.remove(&RemedyKind::StepUp);
    }
    let person = matches!(key.seen, Seen::User { .. });
    if person && !key.facts.mfa_enrolled {
        let missing = [RemedyKind::StepUp, RemedyKind::StepUpBound];
        let removed = missing.iter().filter(|kind| cure.kinds.remove(kind)).count();
        if removed > 0 {
            cure.kinds.insert(RemedyKind::Enrol);
        }
    }
    cure
}
