//! Policies as the gateway reads them: Cedar text with an id, a remedy and a few plain words.
//!
//! Its job: parse sources and refuse what cannot be explained to a caller. Whether a policy agrees with
//! the schema is [`crate::schema`]'s business.

use std::collections::BTreeMap;

use cedar_policy::{Policy, PolicyId, PolicySet};
use gateway_types::RemedyKind;

use crate::error::PolicyError;

/// The name of the compiled-in source.
const BUILT_IN_SOURCE: &str = "default.cedar";
const DEFAULT_TEXT: &str = include_str!("../policies/default.cedar");

/// Cedar text from somewhere: a file of the operator, or a row of the database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicySource {
    /// Where it comes from, for error messages.
    pub name: String,
    /// One or more policies.
    pub text: String,
}

/// Whether a policy says yes or no.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// It allows, unless something forbids.
    Permit,
    /// It forbids, whatever permits.
    Forbid,
}

/// One policy, as shown by `why` and in the list of policies.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its `@id`, unique over all policies.
    pub id: String,
    /// The source it stands in.
    pub source_name: String,
    /// Yes or no.
    pub effect: Effect,
    /// Its `@remedy`: what would make a permit apply or a forbid stop applying.
    pub remedy: Option<RemedyKind>,
    /// Its `@needs`: completes "This needs …".
    pub needs: Option<String>,
    /// Whether it is in observe mode (`@mode("observe")`): what it would refuse is recorded and not refused.
    pub observed: bool,
    /// Its text.
    pub text: String,
    pub(crate) policy: Policy,
    pub(crate) built_in: bool,
}

impl Rule {
    /// Whether it is compiled in.
    pub const fn is_built_in(&self) -> bool {
        self.built_in
    }
}

/// The default rules and those of `extra`, by id.
pub(crate) fn read_all(extra: &[PolicySource]) -> Result<BTreeMap<String, Rule>, PolicyError> {
    let default = PolicySource { name: BUILT_IN_SOURCE.to_owned(), text: DEFAULT_TEXT.to_owned() };
    let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
    for (built_in, source) in std::iter::once((true, &default)).chain(extra.iter().map(|one| (false, one))) {
        for mut rule in read(source)? {
            rule.built_in = built_in;
            if let Some(first) = rules.get(&rule.id) {
                return Err(PolicyError::DuplicateId {
                    id: rule.id,
                    first: first.source_name.clone(),
                    second: source.name.clone(),
                });
            }
            rules.insert(rule.id.clone(), rule);
        }
    }
    Ok(rules)
}

fn read(source: &PolicySource) -> Result<Vec<Rule>, PolicyError> {
    let set: PolicySet = source.text.parse().map_err(|errors| PolicyError::Parse {
        source_name: source.name.clone(),
        errors: Box::new(errors),
    })?;
    if set.templates().next().is_some() {
        return Err(PolicyError::Template { source_name: source.name.clone() });
    }
    set.policies().map(|policy| rule(&source.name, policy)).collect()
}

fn rule(source_name: &str, policy: &Policy) -> Result<Rule, PolicyError> {
    let Some(id) = policy.annotation("id") else {
        return Err(PolicyError::MissingId {
            source_name: source_name.to_owned(),
            policy: policy.to_string(),
        });
    };
    let id = id.to_owned();
    if !is_acceptable_id(&id) {
        return Err(PolicyError::BadId { source_name: source_name.to_owned(), id });
    }
    Ok(Rule {
        remedy: remedy(&id, policy)?,
        needs: needs(&id, policy)?,
        observed: observed(&id, policy)?,
        source_name: source_name.to_owned(),
        effect: match policy.effect() {
            cedar_policy::Effect::Permit => Effect::Permit,
            cedar_policy::Effect::Forbid => Effect::Forbid,
        },
        text: policy.to_string(),
        policy: policy.new_id(PolicyId::new(&id)),
        built_in: false,
        id,
    })
}

fn is_acceptable_id(id: &str) -> bool {
    (1..=100).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Whether a policy is only observed. A permit that does not permit would be nothing at all.
fn observed(id: &str, policy: &Policy) -> Result<bool, PolicyError> {
    match (policy.annotation("mode"), policy.effect()) {
        (None | Some("enforce"), _) => Ok(false),
        (Some("observe"), cedar_policy::Effect::Forbid) => Ok(true),
        (Some(mode), _) => Err(PolicyError::UnknownMode { policy: id.to_owned(), mode: mode.to_owned() }),
    }
}

/// The remedy of a policy. `enrol` and `role` are never written: the engine finds them itself.
fn remedy(id: &str, policy: &Policy) -> Result<Option<RemedyKind>, PolicyError> {
    let Some(text) = policy.annotation("remedy") else { return Ok(None) };
    match RemedyKind::parse(text) {
        Some(
            kind @ (RemedyKind::StepUp
            | RemedyKind::StepUpBound
            | RemedyKind::Approval
            | RemedyKind::Elevation
            | RemedyKind::Setting),
        ) => Ok(Some(kind)),
        Some(RemedyKind::Enrol | RemedyKind::Role) | None => {
            Err(PolicyError::UnknownRemedy { policy: id.to_owned(), remedy: text.to_owned() })
        }
    }
}

/// The plain words of a policy.
///
/// # Security
/// They reach terminals, HTTP headers and clients that format them: control characters and `%` are refused.
fn needs(id: &str, policy: &Policy) -> Result<Option<String>, PolicyError> {
    let Some(text) = policy.annotation("needs") else { return Ok(None) };
    let fits = (1..=200).contains(&text.chars().count());
    if fits && !text.chars().any(|c| c.is_control() || c == '%') {
        Ok(Some(text.to_owned()))
    } else {
        Err(PolicyError::BadNeeds { policy: id.to_owned() })
    }
}
