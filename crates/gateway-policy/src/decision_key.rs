//! Exactly what a decision sees, as one value: the key that verdicts are cached under.
//!
//! What is not in here cannot influence a decision: the session, the credential's kind and the source
//! address are not, since no policy can name them. The version of the policies is not either, because
//! each engine has its own cache and its policies never change.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_types::{
    Caller, Channel, Facts, Grant, Principal, Resource, Role, RoleSet, TokenId, UserId, WorkloadOrigin,
};

/// A principal as policy sees it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Seen {
    Anonymous,
    User {
        id: UserId,
        email: Arc<str>,
        /// Never with `cicd`, which is for machines.
        roles: RoleSet,
    },
    ApiToken {
        id: TokenId,
        name: Arc<str>,
        roles: RoleSet,
        grants: Arc<[Grant]>,
        creator: UserId,
        creator_email: Arc<str>,
        creator_roles: RoleSet,
    },
    AccessToken {
        issuer: Arc<str>,
        subject: Arc<str>,
        service: Arc<str>,
        role: Role,
    },
    Workload {
        /// Not its id: all machines of one trust rule are one to policy.
        name: Arc<str>,
        subject: Arc<str>,
        origin: WorkloadOrigin,
        roles: RoleSet,
        grants: Arc<[Grant]>,
    },
}

impl Seen {
    pub(crate) fn of(principal: &Principal) -> Self {
        match principal {
            Principal::Anonymous => Seen::Anonymous,
            Principal::User { id, email, roles, session: _, kind: _ } => {
                Seen::person(*id, Arc::clone(email), *roles)
            }
            Principal::AccessToken { issuer, subject, service, role, expires: _ } => Seen::AccessToken {
                issuer: Arc::clone(issuer),
                subject: Arc::clone(subject),
                service: Arc::clone(service),
                role: *role,
            },
            Principal::Workload { id: _, name, subject, origin, roles, grants } => Seen::Workload {
                name: Arc::clone(name),
                subject: Arc::clone(subject),
                origin: *origin,
                roles: *roles,
                grants: Arc::clone(grants),
            },
            Principal::ApiToken { id, name, roles, grants, creator, creator_email, creator_roles } => {
                Seen::ApiToken {
                    id: *id,
                    name: Arc::clone(name),
                    roles: *roles,
                    grants: Arc::clone(grants),
                    creator: *creator,
                    creator_email: Arc::clone(creator_email),
                    creator_roles: *creator_roles,
                }
            }
        }
    }

    /// A person. `cicd` is taken away: a person who held it could skip the step-up of the role beside it.
    pub(crate) fn person(id: UserId, email: Arc<str>, roles: RoleSet) -> Self {
        Seen::User { id, email, roles: roles.iter().filter(|role| *role != Role::Cicd).collect() }
    }
}

/// What one decision sees.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct DecisionKey {
    pub(crate) seen: Seen,
    pub(crate) channel: Channel,
    /// The row, as its place in the engine's list.
    pub(crate) operation: usize,
    pub(crate) resource: Resource,
    pub(crate) facts: Facts,
}

impl DecisionKey {
    pub(crate) fn new(caller: &Caller, operation: usize, resource: &Resource, facts: &Facts) -> Self {
        let seen = Seen::of(&caller.principal);
        let facts = facts_of(&seen, facts);
        Self { seen, channel: caller.channel, operation, resource: resource.clone(), facts }
    }

    /// The same decision without what grants of roles give.
    pub(crate) fn without_grants(&self) -> Self {
        Self { facts: Facts { roles_here: BTreeSet::new(), ..self.facts.clone() }, ..self.clone() }
    }

    /// Of a token, the same decision for whoever made it, as a person with every second factor given.
    pub(crate) fn as_creator(&self) -> Option<Self> {
        match &self.seen {
            Seen::ApiToken { creator, creator_email, creator_roles, .. } => Some(Self {
                seen: Seen::person(*creator, Arc::clone(creator_email), *creator_roles),
                facts: Facts { mfa_window: true, mfa_bound: true, mfa_enrolled: true, ..self.facts.clone() },
                ..self.clone()
            }),
            Seen::Anonymous | Seen::User { .. } | Seen::AccessToken { .. } | Seen::Workload { .. } => None,
        }
    }

    /// The same decision with other facts.
    pub(crate) fn with_facts(&self, facts: &Facts) -> Self {
        Self { facts: facts_of(&self.seen, facts), ..self.clone() }
    }
}

/// The facts that may be believed of this principal: only a person has a second factor and elevations. Of a token the
/// grants of roles are those of its creator, for what is forbidden to them.
fn facts_of(seen: &Seen, facts: &Facts) -> Facts {
    match seen {
        Seen::User { .. } => facts.clone(),
        Seen::ApiToken { .. } => of_machine(facts),
        Seen::Anonymous | Seen::AccessToken { .. } | Seen::Workload { .. } => {
            Facts { roles_here: BTreeSet::new(), ..of_machine(facts) }
        }
    }
}

fn of_machine(facts: &Facts) -> Facts {
    Facts {
        mfa_window: false,
        mfa_bound: false,
        mfa_enrolled: false,
        elevated: RoleSet::EMPTY,
        elevation_possible: false,
        ..facts.clone()
    }
}
