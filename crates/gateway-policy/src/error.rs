//! Why a set of policies was not accepted.

use cedar_policy::entities_errors::EntitiesError;
use cedar_policy::ffi::DetailedError;
use cedar_policy::{ParseErrors, PolicySetError, SchemaError, ValidationError, ValidationWarning};

/// Why an engine could not be made. The gateway does not start, or keeps the engine it has.
///
/// Fault side: whoever wrote the policy named in it; for [`PolicyError::DuplicateOperation`],
/// [`PolicyError::Names`], [`PolicyError::Schema`] and [`PolicyError::Entities`] the gateway itself.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Two different rows have the same route and action.
    #[error("two operations with different properties are both called `{action}` at `{route}`")]
    DuplicateOperation {
        /// The route.
        route: String,
        /// The action.
        action: String,
    },
    /// A name of the fixed vocabulary is no Cedar name.
    #[error("a built-in entity type name is not acceptable to Cedar")]
    Names(#[source] Box<ParseErrors>),
    /// The schema made from the operations is not acceptable.
    #[error("the schema made from the operations is not acceptable to Cedar")]
    Schema(#[source] Box<SchemaError>),
    /// The fixed entities are not acceptable.
    #[error("the built-in entities are not acceptable to Cedar")]
    Entities(#[source] Box<EntitiesError>),
    /// A source is not Cedar policy text.
    #[error("the policies of `{source_name}` are not well-formed Cedar: {errors}")]
    Parse {
        /// The source's name.
        source_name: String,
        /// Where and why.
        #[source]
        errors: Box<ParseErrors>,
    },
    /// A source holds a template, which would never apply.
    #[error(
        "`{source_name}` holds a policy template (with ?principal or ?resource); write the policy out instead"
    )]
    Template {
        /// The source's name.
        source_name: String,
    },
    /// A policy has no `@id`.
    #[error("a policy of `{source_name}` has no @id(\"…\"); give it a unique one: {policy}")]
    MissingId {
        /// The source's name.
        source_name: String,
        /// The policy's text.
        policy: String,
    },
    /// An `@id` is not 1 to 100 of `[A-Za-z0-9._-]`.
    #[error("`{source_name}`: the @id `{id}` must be 1 to 100 letters, digits, dots, dashes or underscores")]
    BadId {
        /// The source's name.
        source_name: String,
        /// The id.
        id: String,
    },
    /// Two policies have the same `@id`.
    #[error("the @id `{id}` is used in `{first}` and again in `{second}`; each policy needs its own")]
    DuplicateId {
        /// The id.
        id: String,
        /// The source that had it first.
        first: String,
        /// The source that has it again.
        second: String,
    },
    /// A `@remedy` is no remedy.
    #[error(
        "policy `{policy}` has the unknown @remedy `{remedy}`; use step_up, step_up_bound, approval, elevation or setting"
    )]
    UnknownRemedy {
        /// The policy.
        policy: String,
        /// What stands there.
        remedy: String,
    },
    /// A `@mode` is none, or stands at a permit.
    #[error(
        "policy `{policy}` has the @mode `{mode}`; a forbid can have @mode(\"observe\"), and everything else is enforced"
    )]
    UnknownMode {
        /// The policy.
        policy: String,
        /// What stands there.
        mode: String,
    },
    /// A `@needs` cannot be shown to a caller.
    #[error("policy `{policy}`: @needs must be 1 to 200 printable characters without a percent sign")]
    BadNeeds {
        /// The policy.
        policy: String,
    },
    /// A policy's scope names an action that does not exist.
    #[error("policy `{policy}` names the action `{action}`, which no operation of this gateway has")]
    UnknownAction {
        /// The policy.
        policy: String,
        /// The action.
        action: String,
    },
    /// A policy's scope says `action ==` of a group, and would never apply.
    #[error(
        "policy `{policy}` says `action == Action::\"{action}\"`, but that is a group of operations; write `action in`"
    )]
    ActionIsGroup {
        /// The policy.
        policy: String,
        /// The action.
        action: String,
    },
    /// A policy does not agree with the schema.
    #[error("policy `{policy}` does not agree with the schema: {error}")]
    Invalid {
        /// The policy.
        policy: String,
        /// Why.
        #[source]
        error: Box<ValidationError>,
    },
    /// A policy agrees with the schema, but cannot do what it seems to say.
    #[error("policy `{policy}` is not accepted: {warning}")]
    Doubtful {
        /// The policy.
        policy: String,
        /// Why: it can never apply, or its text is easily mistaken for another.
        #[source]
        warning: Box<ValidationWarning>,
    },
    /// Policies could not be put into one set.
    #[error("the policies cannot be put into one set")]
    Set(#[source] Box<PolicySetError>),
}

/// One thing that is wrong with a source of policies, for whoever wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyFault {
    /// What is wrong, and how to mend it where that is known.
    pub message: String,
    /// Where in the source, in bytes from its start, when that is known.
    pub offset: Option<usize>,
}

impl PolicyFault {
    /// Cedar's own words; `before` says what they are about.
    fn of(error: &DetailedError, before: &str) -> Self {
        let help = error.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
        Self {
            message: format!("{before}{}{help}", error.message),
            offset: error.source_locations.first().map(|label| label.loc.start),
        }
    }
}

impl PolicyError {
    /// What is wrong, one by one, with the place in the source where that is known.
    pub fn faults(&self) -> Vec<PolicyFault> {
        match self {
            PolicyError::Parse { errors, .. } => {
                let first = DetailedError::from(errors.as_ref());
                let related: Vec<PolicyFault> =
                    first.related.iter().map(|error| PolicyFault::of(error, "")).collect();
                [PolicyFault::of(&first, "")].into_iter().chain(related).collect()
            }
            PolicyError::Invalid { policy, error } => {
                vec![PolicyFault::of(&DetailedError::from(error.as_ref()), &format!("policy `{policy}`: "))]
            }
            PolicyError::Doubtful { policy, warning } => {
                vec![PolicyFault::of(&DetailedError::from(warning.as_ref()), &format!("policy `{policy}`: "))]
            }
            PolicyError::DuplicateOperation { .. }
            | PolicyError::Names(_)
            | PolicyError::Schema(_)
            | PolicyError::Entities(_)
            | PolicyError::Template { .. }
            | PolicyError::MissingId { .. }
            | PolicyError::BadId { .. }
            | PolicyError::DuplicateId { .. }
            | PolicyError::UnknownRemedy { .. }
            | PolicyError::UnknownMode { .. }
            | PolicyError::BadNeeds { .. }
            | PolicyError::UnknownAction { .. }
            | PolicyError::ActionIsGroup { .. }
            | PolicyError::Set(_) => vec![PolicyFault { message: self.to_string(), offset: None }],
        }
    }
}
