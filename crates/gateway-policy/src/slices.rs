//! Which policies a decision has to look at.
//!
//! Cedar evaluates every policy of a set, about a microsecond each. So the set is cut beforehand by what
//! the scopes say: kind of principal, action, and a principal or app named outright. Leaving out a
//! policy whose scope cannot match changes no decision; ten thousand policies that each name another
//! user cost a decision nothing.
//!
//! The parts of a slice are evaluated one after another and joined by [`crate::evaluation`], which
//! is sound because in Cedar any forbid wins and policies do not see each other.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint};

use crate::error::PolicyError;
use crate::rule::Rule;
use crate::schema::{Leaf, scope_takes};
use crate::vocabulary::{PrincipalKind, Vocabulary};

/// The principal and the app that scopes name outright.
type Named = (Option<EntityUid>, Option<EntityUid>);

/// All policies, cut by scope.
#[derive(Debug)]
pub(crate) struct Slices {
    /// There is no policy at all.
    none: bool,
    /// Policies that name nobody and no app, over every action.
    any_action: HashMap<PrincipalKind, Arc<PolicySet>>,
    /// Policies that name nobody and no app, by operation.
    by_operation: HashMap<(usize, PrincipalKind), Arc<PolicySet>>,
    /// Policies that name a principal, an app, or both.
    by_name: HashMap<Named, PolicySet>,
}

/// Whom and what a scope can match.
struct Reach {
    kinds: Vec<PrincipalKind>,
    named: Named,
}

impl Slices {
    pub(crate) fn new(
        rules: &[&Rule],
        leaves: &[Leaf],
        vocabulary: &Vocabulary,
    ) -> Result<Self, PolicyError> {
        let mut by_name: HashMap<Named, Vec<&Policy>> = HashMap::new();
        let mut general: Vec<(&Policy, Reach)> = Vec::new();
        for rule in rules {
            let reach = reach(&rule.policy, vocabulary);
            match reach.named {
                (None, None) => general.push((&rule.policy, reach)),
                named => by_name.entry(named).or_default().push(&rule.policy),
            }
        }
        let (everywhere, somewhere): (Vec<_>, Vec<_>) =
            general.into_iter().partition(|(policy, _)| is_for_any_action(policy));
        let mut any_action = HashMap::new();
        for kind in PrincipalKind::ALL {
            any_action.insert(kind, Arc::new(set_of(of_kind(&everywhere, kind))?));
        }
        Ok(Self {
            none: rules.is_empty(),
            any_action,
            by_operation: by_operation(&somewhere, leaves, vocabulary)?,
            by_name: by_name
                .into_iter()
                .map(|(named, policies)| Ok((named, set_of(policies)?)))
                .collect::<Result<_, PolicyError>>()?,
        })
    }

    /// Whether there is no policy at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.none
    }

    /// The sets that together hold every policy whose scope can match.
    pub(crate) fn select(
        &self,
        operation: usize,
        kind: PrincipalKind,
        principal: &EntityUid,
        resource: &EntityUid,
    ) -> Vec<&PolicySet> {
        let general = [self.any_action.get(&kind), self.by_operation.get(&(operation, kind))];
        let named = [
            (Some(principal.clone()), None),
            (None, Some(resource.clone())),
            (Some(principal.clone()), Some(resource.clone())),
        ];
        general
            .into_iter()
            .flatten()
            .map(Arc::as_ref)
            .chain(named.iter().filter_map(|named| self.by_name.get(named)))
            .filter(|set| !set.is_empty())
            .collect()
    }
}

/// Operations of the same class, role and so on have the same slice, which is then kept once.
fn by_operation(
    policies: &[(&Policy, Reach)],
    leaves: &[Leaf],
    vocabulary: &Vocabulary,
) -> Result<HashMap<(usize, PrincipalKind), Arc<PolicySet>>, PolicyError> {
    let scopes: Vec<_> = policies.iter().map(|(policy, _)| policy.action_constraint()).collect();
    let mut kept: HashMap<Vec<String>, Arc<PolicySet>> = HashMap::new();
    let mut slices = HashMap::new();
    for (operation, leaf) in leaves.iter().enumerate() {
        let taken: Vec<bool> = scopes.iter().map(|scope| scope_takes(scope, leaf, vocabulary)).collect();
        for kind in PrincipalKind::ALL {
            let chosen: Vec<&Policy> = policies
                .iter()
                .zip(&taken)
                .filter(|((_, reach), taken)| **taken && reach.kinds.contains(&kind))
                .map(|((policy, _), _)| *policy)
                .collect();
            let ids: Vec<String> = chosen.iter().map(|policy| policy.id().to_string()).collect();
            let set = match kept.get(&ids) {
                Some(set) => Arc::clone(set),
                None => {
                    let set = Arc::new(set_of(chosen)?);
                    kept.insert(ids, Arc::clone(&set));
                    set
                }
            };
            slices.insert((operation, kind), set);
        }
    }
    Ok(slices)
}

fn is_for_any_action(policy: &Policy) -> bool {
    policy.action_constraint() == cedar_policy::ActionConstraint::Any
}

fn of_kind<'a>(policies: &[(&'a Policy, Reach)], kind: PrincipalKind) -> Vec<&'a Policy> {
    policies.iter().filter(|(_, reach)| reach.kinds.contains(&kind)).map(|(policy, _)| *policy).collect()
}

fn set_of(policies: Vec<&Policy>) -> Result<PolicySet, PolicyError> {
    PolicySet::from_policies(policies.into_iter().cloned()).map_err(|error| PolicyError::Set(Box::new(error)))
}

fn reach(policy: &Policy, vocabulary: &Vocabulary) -> Reach {
    let all = PrincipalKind::ALL.to_vec();
    let holders = vec![
        PrincipalKind::User,
        PrincipalKind::ApiToken,
        PrincipalKind::AccessToken,
        PrincipalKind::Workload,
    ];
    let of_type = |name| {
        let is_type = |kind: &PrincipalKind| vocabulary.principal_type(*kind) == name;
        PrincipalKind::ALL.into_iter().filter(is_type).collect::<Vec<_>>()
    };
    // Only roles have members, so `in` a user is being that user.
    let (kinds, principal) = match policy.principal_constraint() {
        PrincipalConstraint::Any => (all, None),
        PrincipalConstraint::Is(name) => (of_type(&name), None),
        PrincipalConstraint::In(role) if vocabulary.is_role(role.type_name()) => (holders, None),
        PrincipalConstraint::IsIn(name, role) if vocabulary.is_role(role.type_name()) => {
            (of_type(&name), None)
        }
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            (all, Some(uid))
        }
    };
    let app = match policy.resource_constraint() {
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            vocabulary.is_app(uid.type_name()).then_some(uid)
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    };
    Reach { kinds, named: (principal, app) }
}
