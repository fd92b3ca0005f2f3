//! The engine: one function that says yes or no to everything.
//!
//! Its job: [`PolicyEngine::decide`]. Start reading there. It must not know where facts come from nor
//! what happens after a verdict.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use gateway_types::{
    ActionName, Caller, Decision, Facts, Layer, Operation, Remedy, RemedyKind, Resource, Verdict,
};
use moka::sync::Cache;

use crate::decision_key::{DecisionKey, Seen};
use crate::error::PolicyError;
use crate::evaluation::{Cut, Evaluator, Outcome};
use crate::rule::{self, Effect, PolicySource, Rule};
use crate::schema::Leaf;
use crate::slices::Slices;
use crate::vocabulary::Vocabulary;
use crate::{reason, remedies, schema};

#[cfg(test)]
mod tests;

/// How many verdicts are kept. One is about a kilobyte.
const CACHED_VERDICTS: u64 = 20_000;

/// A checked set of policies over a fixed set of operations.
///
/// It never changes: new policies make a new engine, with a new version and an empty cache.
pub struct PolicyEngine {
    evaluator: Evaluator,
    rules: BTreeMap<String, Rule>,
    places: HashMap<(Arc<str>, ActionName), usize>,
    version: String,
    verdicts: Cache<DecisionKey, Arc<Verdict>>,
}

impl PolicyEngine {
    /// The default policies and `extra` over `operations`, which must be those of both tables: the default
    /// policies name actions of both.
    ///
    /// # Errors
    /// When a policy is malformed, has no `@id` or one that is taken, or does not agree strictly with
    /// the schema made from the operations. Nothing is left out silently.
    pub fn new(operations: Vec<Operation>, extra: &[PolicySource]) -> Result<Self, PolicyError> {
        let rules = rule::read_all(extra)?;
        let places = places(&operations)?;
        let vocabulary = Vocabulary::new()?;
        let leaves = schema::leaves(&operations);
        let json = schema::schema_json(&leaves);
        let version = version(&json.to_string(), &operations, &rules);
        schema::validate(&leaves, &rules)?;
        let schema = schema::read(json)?;
        let cut = cut(&rules, &leaves, &vocabulary)?;
        let evaluator = Evaluator::new(operations, leaves, vocabulary, schema, cut)?;
        Ok(Self { evaluator, rules, places, version, verdicts: Cache::new(CACHED_VERDICTS) })
    }

    /// 16 hex digits that change with any policy or operation.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The operations, in the order given.
    pub fn operations(&self) -> &[Operation] {
        &self.evaluator.operations
    }

    /// The first operation of this action.
    pub fn operation(&self, action: &str) -> Option<&Operation> {
        self.operations().iter().find(|operation| operation.action.as_str() == action)
    }

    /// Every operation of this action, or the one row named as policies name it (`ACTION@METHOD /path`).
    pub fn operations_of(&self, action: &str) -> Vec<&Operation> {
        let leaves = &self.evaluator.leaves;
        let named = |operation: &Operation, leaf: &str| operation.action.as_str() == action || leaf == action;
        self.operations()
            .iter()
            .zip(leaves)
            .filter(|(operation, leaf)| named(operation, &leaf.name))
            .map(|(operation, _)| operation)
            .collect()
    }

    /// Every policy, sorted by id.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.values()
    }

    /// What it was made of beside the compiled-in policies, one source for each name: with the same
    /// operations they make an engine of the same version.
    pub fn sources(&self) -> Vec<PolicySource> {
        let mut sources: BTreeMap<&str, String> = BTreeMap::new();
        for rule in self.rules().filter(|rule| !rule.is_built_in()) {
            let text = sources.entry(&rule.source_name).or_default();
            text.push_str(&rule.text);
            text.push('\n');
        }
        sources.into_iter().map(|(name, text)| PolicySource { name: name.to_owned(), text }).collect()
    }

    /// The policy of this id: what `why` shows beside a verdict's rules.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.get(id)
    }

    /// Whether `caller` may do `operation` on `resource`, given `facts`.
    ///
    /// # Security
    /// Refuses what it does not know: an operation that is not one of its own, to the last property; a
    /// question that does not agree with the schema; any policy that fails to evaluate.
    pub fn decide(
        &self,
        caller: &Caller,
        operation: &Operation,
        resource: &Resource,
        facts: &Facts,
    ) -> Verdict {
        let Some((place, operation)) = self.place(operation) else {
            return self.refusal(Layer::Authorization, BTreeSet::new(), [], reason::UNKNOWN.to_owned());
        };
        if !self.evaluator.is_about(place, resource.kind) {
            return self.refusal(Layer::Authorization, BTreeSet::new(), [], reason::WRONG_KIND.to_owned());
        }
        let key = DecisionKey::new(caller, place, resource, facts);
        if let Some(verdict) = self.verdicts.get(&key) {
            return verdict.as_ref().clone();
        }
        let verdict = self.judge(&key, operation);
        self.verdicts.insert(key, Arc::new(verdict.clone()));
        verdict
    }

    fn place(&self, operation: &Operation) -> Option<(usize, &Operation)> {
        let place = *self.places.get(&(Arc::clone(&operation.route), operation.action.clone()))?;
        let known = self.operations().get(place)?;
        (known == operation).then_some((place, known))
    }

    fn judge(&self, key: &DecisionKey, operation: &Operation) -> Verdict {
        let outcome = self.evaluator.evaluate(key);
        match outcome {
            Outcome::Permitted(rules) => Verdict {
                decision: Decision::Allow,
                layer: Layer::Authorization,
                reason: reason::allowed(&rules),
                rules: rules.into_iter().collect(),
                observed: self.evaluator.observed(key).into_iter().collect(),
                remedies: Vec::new(),
                policy_version: self.version.clone(),
            },
            Outcome::Failed(rules) => {
                self.refusal(Layer::Authorization, rules, [], reason::FAILED.to_owned())
            }
            Outcome::Forbidden(rules) if key.seen == Seen::Anonymous => {
                self.refusal(Layer::Authentication, rules, [], reason::SIGN_IN.to_owned())
            }
            Outcome::Forbidden(_) | Outcome::Unpermitted => self.explain(key, operation, &outcome),
        }
    }

    /// The second evaluation: with every remediable fact true, is it allowed, and what leads there?
    fn explain(&self, key: &DecisionKey, operation: &Operation, refused: &Outcome) -> Verdict {
        let best = self.evaluator.evaluate(&remedies::best_case(key));
        let cure = match &best {
            Outcome::Permitted(_) => remedies::cure(&self.evaluator, &self.rules, key, refused),
            Outcome::Forbidden(_) | Outcome::Unpermitted | Outcome::Failed(_) => None,
        };
        if let Some(cure) = cure {
            let only_a_factor = cure.kinds.iter().all(|kind| is_second_factor(*kind));
            let layer = if only_a_factor { Layer::Mfa } else { Layer::Authorization };
            let text = reason::curable(&self.rules, &cure);
            return self.refusal(layer, ids(refused), cure.kinds, text);
        }
        let text = reason::incurable(&self.rules, &best, &key.seen, operation);
        let deciding = if matches!(best, Outcome::Permitted(_)) { refused } else { &best };
        self.refusal(Layer::Authorization, ids(deciding), [RemedyKind::Role], text)
    }

    fn refusal(
        &self,
        layer: Layer,
        rules: BTreeSet<String>,
        remedies: impl IntoIterator<Item = RemedyKind>,
        reason: String,
    ) -> Verdict {
        Verdict {
            decision: Decision::Refuse,
            layer,
            rules: rules.into_iter().collect(),
            observed: Vec::new(),
            remedies: remedies.into_iter().map(Remedy::new).collect(),
            reason,
            policy_version: self.version.clone(),
        }
    }
}

impl fmt::Debug for PolicyEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyEngine")
            .field("version", &self.version)
            .field("operations", &self.operations().len())
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

fn ids(outcome: &Outcome) -> BTreeSet<String> {
    match outcome {
        Outcome::Permitted(ids) | Outcome::Forbidden(ids) | Outcome::Failed(ids) => ids.clone(),
        Outcome::Unpermitted => BTreeSet::new(),
    }
}

const fn is_second_factor(kind: RemedyKind) -> bool {
    match kind {
        RemedyKind::StepUp | RemedyKind::StepUpBound | RemedyKind::Enrol => true,
        RemedyKind::Approval | RemedyKind::Elevation | RemedyKind::Role | RemedyKind::Setting => false,
    }
}

/// The rules by whether they count always, while policies are enforced, or never.
fn cut(rules: &BTreeMap<String, Rule>, leaves: &[Leaf], vocabulary: &Vocabulary) -> Result<Cut, PolicyError> {
    let is_own_forbid = |rule: &Rule| !rule.is_built_in() && rule.effect == Effect::Forbid;
    let of = |takes: &dyn Fn(&Rule) -> bool| {
        let rules: Vec<&Rule> = rules.values().filter(|rule| takes(rule)).collect();
        Slices::new(&rules, leaves, vocabulary)
    };
    Ok(Cut {
        always: of(&|rule| !rule.observed && !is_own_forbid(rule))?,
        own_forbids: of(&|rule| !rule.observed && is_own_forbid(rule))?,
        observed: of(&|rule| rule.observed)?,
    })
}

/// Where each operation stands. A row given twice is one; two rows that differ under one name are refused.
fn places(operations: &[Operation]) -> Result<HashMap<(Arc<str>, ActionName), usize>, PolicyError> {
    let mut places: HashMap<(Arc<str>, ActionName), usize> = HashMap::new();
    for (place, operation) in operations.iter().enumerate() {
        let name = (Arc::clone(&operation.route), operation.action.clone());
        let first = *places.entry(name).or_insert(place);
        if operations.get(first) != Some(operation) {
            return Err(PolicyError::DuplicateOperation {
                route: operation.route.to_string(),
                action: operation.action.to_string(),
            });
        }
    }
    Ok(places)
}

/// SHA-256 over schema, operations and policies, each text with its length before it, so that no two
/// different sets read the same. The order of sources and of policies in them does not matter.
fn version(schema: &str, operations: &[Operation], rules: &BTreeMap<String, Rule>) -> String {
    let mut lines: Vec<String> = operations.iter().map(|operation| format!("{operation:?}")).collect();
    lines.sort();
    lines.dedup();
    let policies = rules.values().flat_map(|rule| [rule.id.as_str(), rule.text.as_str()]);
    let mut hash = digest::Context::new(&digest::SHA256);
    for text in [schema].into_iter().chain(lines.iter().map(String::as_str)).chain(policies) {
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let full = data_encoding::HEXLOWER.encode(hash.finish().as_ref());
    full.chars().take(16).collect()
}
