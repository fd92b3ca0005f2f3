//! One question to Cedar and its answer.
//!
//! Its job: entities, context and slice of a decision, and what Cedar made of them. It must not know
//! remedies, sentences or the cache.

use std::collections::BTreeSet;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Policy, PolicySet, Request,
    RestrictedExpression, Schema,
};
use gateway_types::{Class, Facts, Grant, Operation, ResourceKind};

use crate::decision_key::{DecisionKey, Seen};
use crate::error::PolicyError;
use crate::schema::Leaf;
use crate::slices::Slices;
use crate::vocabulary::{PrincipalKind, Vocabulary};

/// What Cedar made of one question. The sets hold rule ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// These permit, and nothing forbids.
    Permitted(BTreeSet<String>),
    /// These forbid.
    Forbidden(BTreeSet<String>),
    /// Nothing permits and nothing forbids.
    Unpermitted,
    /// These could not be evaluated (none: the question could not be put). A refusal, whatever the
    /// others say: Cedar skips a policy that fails, and a skipped forbid would be a yes.
    Failed(BTreeSet<String>),
}

/// Ids of the policies that apply, and of those that could not be evaluated.
#[derive(Default)]
struct Votes {
    permits: BTreeSet<String>,
    forbids: BTreeSet<String>,
    failures: BTreeSet<String>,
}

/// What only the engine knows about a token.
#[derive(Clone, Copy, Default)]
struct TokenFacts {
    granted: bool,
    granted_critical: bool,
    creator_may: bool,
}

/// Everything that evaluation needs and that never changes.
#[derive(Debug)]
pub(crate) struct Evaluator {
    pub(crate) operations: Vec<Operation>,
    pub(crate) leaves: Vec<Leaf>,
    vocabulary: Vocabulary,
    schema: Schema,
    /// By operation: its action with its groups, and the roles. Only principal and resource are added
    /// for a decision.
    bases: Vec<Entities>,
    slices: Slices,
    /// Forbids of the operator's own: not enforced while policies are only observed.
    own_forbids: Slices,
    /// Forbids in observe mode: never enforced.
    observed: Slices,
    authorizer: Authorizer,
}

/// The policies, cut by scope: what always counts, the operator's own forbids, those in observe mode.
pub(crate) struct Cut {
    pub(crate) always: Slices,
    pub(crate) own_forbids: Slices,
    pub(crate) observed: Slices,
}

impl Evaluator {
    pub(crate) fn new(
        operations: Vec<Operation>,
        leaves: Vec<Leaf>,
        vocabulary: Vocabulary,
        schema: Schema,
        cut: Cut,
    ) -> Result<Self, PolicyError> {
        let bases =
            leaves.iter().map(|leaf| base(leaf, &vocabulary)).collect::<Result<Vec<_>, PolicyError>>()?;
        let Cut { always: slices, own_forbids, observed } = cut;
        let authorizer = Authorizer::new();
        Ok(Self { operations, leaves, vocabulary, schema, bases, slices, own_forbids, observed, authorizer })
    }

    /// Whether an operation can be about this kind of resource.
    pub(crate) fn is_about(&self, operation: usize, kind: ResourceKind) -> bool {
        self.leaves.get(operation).is_some_and(|leaf| leaf.kinds.contains(&kind))
    }

    /// Evaluates a decision. For a token its creator is asked first, as a person with every second factor
    /// given: the token's rights end where its creator's present rights do.
    pub(crate) fn evaluate(&self, key: &DecisionKey) -> Outcome {
        let Some(operation) = self.operations.get(key.operation) else {
            return Outcome::Failed(BTreeSet::new());
        };
        let grants = match &key.seen {
            Seen::ApiToken { grants, .. } => grants,
            // Nobody stands behind a workload: an admin's second factor gave its rule, or the codes its use.
            Seen::Workload { grants, .. } => {
                return self.evaluate_alone(key, granted(grants, operation, key, true));
            }
            Seen::Anonymous | Seen::User { .. } | Seen::AccessToken { .. } => {
                return self.evaluate_alone(key, TokenFacts::default());
            }
        };
        let creator = self.evaluate_creator(key);
        // A token does not rise with its creator.
        let key = &key.without_grants();
        let token = |creator_may| granted(grants, operation, key, creator_may);
        match creator {
            Outcome::Permitted(_) => self.evaluate_alone(key, token(true)),
            Outcome::Unpermitted => self.evaluate_alone(key, token(false)),
            Outcome::Failed(_) => creator,
            // What forbids it to the creator may forbid it to the token in its own name; then that is the
            // answer, and saying that the creator may not either would only mislead.
            Outcome::Forbidden(creators) => match self.evaluate_alone(key, token(true)) {
                Outcome::Forbidden(own) if own.is_superset(&creators) => Outcome::Forbidden(own),
                failed @ Outcome::Failed(_) => failed,
                Outcome::Forbidden(_) | Outcome::Permitted(_) | Outcome::Unpermitted => {
                    self.evaluate_alone(key, token(false))
                }
            },
        }
    }

    /// What the creator of a token may: what they are forbidden for a role that a grant gives them holds, what such
    /// a role permits does not.
    fn evaluate_creator(&self, key: &DecisionKey) -> Outcome {
        let Some(creator) = key.as_creator() else { return Outcome::Failed(BTreeSet::new()) };
        let whole = self.evaluate_alone(&creator, TokenFacts::default());
        match whole {
            Outcome::Forbidden(_) | Outcome::Failed(_) => whole,
            Outcome::Permitted(_) | Outcome::Unpermitted if creator.facts.roles_here.is_empty() => whole,
            Outcome::Permitted(_) | Outcome::Unpermitted => {
                self.evaluate_alone(&creator.without_grants(), TokenFacts::default())
            }
        }
    }

    /// Ids of the forbids that are only observed and would refuse this, of a token also to its creator; also of those
    /// that could not be evaluated.
    pub(crate) fn observed(&self, key: &DecisionKey) -> BTreeSet<String> {
        match key.as_creator() {
            Some(creator) => &self.observed_alone(&creator) | &self.observed_alone(&key.without_grants()),
            None => self.observed_alone(key),
        }
    }

    fn observed_alone(&self, key: &DecisionKey) -> BTreeSet<String> {
        let mut sets = self.select(&self.observed, key);
        if key.facts.observing {
            sets.extend(self.select(&self.own_forbids, key));
        }
        if sets.is_empty() {
            return BTreeSet::new();
        }
        let token = match (&key.seen, self.operations.get(key.operation)) {
            (Seen::ApiToken { grants, .. } | Seen::Workload { grants, .. }, Some(operation)) => {
                granted(grants, operation, key, true)
            }
            (Seen::ApiToken { .. } | Seen::Workload { .. }, None)
            | (Seen::Anonymous | Seen::User { .. } | Seen::AccessToken { .. }, _) => TokenFacts::default(),
        };
        let votes = self.votes(key, token, &sets).unwrap_or_default();
        &votes.forbids | &votes.failures
    }

    fn evaluate_alone(&self, key: &DecisionKey, token: TokenFacts) -> Outcome {
        self.answer(key, token, &self.slice(key))
    }

    fn answer(&self, key: &DecisionKey, token: TokenFacts, sets: &[&PolicySet]) -> Outcome {
        let Some(Votes { permits, forbids, failures }) = self.votes(key, token, sets) else {
            return Outcome::Failed(BTreeSet::new());
        };
        if !failures.is_empty() {
            Outcome::Failed(failures)
        } else if !forbids.is_empty() {
            Outcome::Forbidden(forbids)
        } else if !permits.is_empty() {
            Outcome::Permitted(permits)
        } else {
            Outcome::Unpermitted
        }
    }

    /// What each policy says; `None` when the question could not be put.
    fn votes(&self, key: &DecisionKey, token: TokenFacts, sets: &[&PolicySet]) -> Option<Votes> {
        let (request, entities) = self.question(key, token)?;
        let mut votes = Votes::default();
        for set in sets {
            let response = self.authorizer.is_authorized(&request, set, &entities);
            let diagnostics = response.diagnostics();
            votes.failures.extend(
                diagnostics
                    .errors()
                    .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().to_string()),
            );
            let reasons = diagnostics.reason().map(ToString::to_string);
            match response.decision() {
                Decision::Allow => votes.permits.extend(reasons),
                Decision::Deny => votes.forbids.extend(reasons),
            }
        }
        Some(votes)
    }

    /// Whether the slice and `whole`, the uncut set, answer alike.
    #[cfg(test)]
    pub(crate) fn agrees_with(&self, key: &DecisionKey, whole: &PolicySet) -> bool {
        let token = TokenFacts { granted: true, granted_critical: true, creator_may: true };
        self.evaluate_alone(key, token) == self.answer(key, token, &[whole])
    }

    /// The policies whose scope can match this decision.
    pub(crate) fn policies(&self, key: &DecisionKey) -> impl Iterator<Item = &Policy> {
        self.slice(key).into_iter().flat_map(PolicySet::policies)
    }

    fn slice(&self, key: &DecisionKey) -> Vec<&PolicySet> {
        let mut sets = self.select(&self.slices, key);
        if !key.facts.observing && !self.own_forbids.is_empty() {
            sets.extend(self.select(&self.own_forbids, key));
        }
        sets
    }

    fn select<'a>(&self, slices: &'a Slices, key: &DecisionKey) -> Vec<&'a PolicySet> {
        if slices.is_empty() {
            return Vec::new();
        }
        let principal = self.vocabulary.principal_uid(&key.seen);
        let resource = self.vocabulary.resource_uid(&key.resource);
        slices.select(key.operation, kind_of(&key.seen), &principal, &resource)
    }

    /// The question in Cedar's terms; `None` when it does not agree with the schema.
    fn question(&self, key: &DecisionKey, token: TokenFacts) -> Option<(Request, Entities)> {
        let leaf = self.leaves.get(key.operation)?;
        let request = Request::new(
            self.vocabulary.principal_uid(&key.seen),
            self.vocabulary.action(&leaf.name),
            self.vocabulary.resource_uid(&key.resource),
            context(key, token)?,
            Some(&self.schema),
        )
        .ok()?;
        let added = [self.vocabulary.principal(&key.seen)?, self.vocabulary.resource(&key.resource)];
        let entities = self.bases.get(key.operation)?.clone().add_entities(added, None).ok()?;
        Some((request, entities))
    }
}

/// What a machine's grants say of this decision.
fn granted(grants: &[Grant], operation: &Operation, key: &DecisionKey, creator_may: bool) -> TokenFacts {
    let covers = |class| grants.iter().any(|grant| grant.covers(&operation.action, class, &key.resource));
    TokenFacts {
        granted: covers(Class::Read) || covers(Class::Critical),
        granted_critical: covers(Class::Critical),
        creator_may,
    }
}

fn base(leaf: &Leaf, vocabulary: &Vocabulary) -> Result<Entities, PolicyError> {
    let groups = leaf.groups.iter().map(|group| vocabulary.action(group)).collect();
    let action = cedar_policy::Entity::new_no_attrs(vocabulary.action(&leaf.name), groups);
    Entities::from_entities(vocabulary.roles().into_iter().chain([action]), None)
        .map_err(|error| PolicyError::Entities(Box::new(error)))
}

const fn kind_of(seen: &Seen) -> PrincipalKind {
    match seen {
        Seen::Anonymous => PrincipalKind::Anonymous,
        Seen::User { .. } => PrincipalKind::User,
        Seen::ApiToken { .. } => PrincipalKind::ApiToken,
        Seen::AccessToken { .. } => PrincipalKind::AccessToken,
        Seen::Workload { .. } => PrincipalKind::Workload,
    }
}

fn context(key: &DecisionKey, token: TokenFacts) -> Option<Context> {
    // Taken apart without `..`, so that a new fact cannot be forgotten here.
    let Facts {
        mfa_window,
        mfa_bound,
        mfa_enrolled,
        mfa_off,
        mfa_required,
        own_object,
        approval_matches,
        destructive_allowed,
        external_builds_allowed,
        sensitive_parameters,
        networks,
        labels,
        hour,
        weekday,
        elevated,
        roles_here,
        // What could be asked for is for remedies; no policy sees it.
        elevation_possible: _,
        observing,
    } = &key.facts;
    let booleans = [
        ("mfa_window", *mfa_window),
        ("mfa_bound", *mfa_bound),
        ("mfa_enrolled", *mfa_enrolled),
        ("mfa_off", *mfa_off),
        ("mfa_required", *mfa_required),
        ("own_object", *own_object),
        ("approval_matches", *approval_matches),
        ("destructive_allowed", *destructive_allowed),
        ("external_builds_allowed", *external_builds_allowed),
        ("granted", token.granted),
        ("granted_critical", token.granted_critical),
        ("creator_may", token.creator_may),
        ("observing", *observing),
    ];
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let names = |names: &BTreeSet<String>| RestrictedExpression::new_set(names.iter().map(|name| text(name)));
    let elevated: BTreeSet<String> = elevated.iter().map(|role| role.name().to_owned()).collect();
    // No hour is -1 and no day is 0: a rule that asks for a range of them does not hold when they are not known.
    let number =
        |value: Option<u8>, unknown| RestrictedExpression::new_long(value.map_or(unknown, i64::from));
    let pairs = booleans
        .into_iter()
        .map(|(name, value)| (name.to_owned(), RestrictedExpression::new_bool(value)))
        .chain([
            ("channel".to_owned(), text(key.channel.name())),
            ("sensitive_parameters".to_owned(), names(sensitive_parameters)),
            ("networks".to_owned(), names(networks)),
            ("labels".to_owned(), names(labels)),
            ("elevated".to_owned(), names(&elevated)),
            ("roles_here".to_owned(), names(roles_here)),
            ("hour".to_owned(), number(*hour, -1)),
            ("weekday".to_owned(), number(*weekday, 0)),
        ]);
    Context::from_pairs(pairs).ok()
}
