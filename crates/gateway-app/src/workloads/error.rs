//! Why trust rules were not written or removed, as facts.

use gateway_identity::CertificateFault;
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind, RoleSet};

use super::kinds::UnknownKind;
use super::rules::{LONGEST_LIFE, MOST_RULES, SHORTEST_LIFE};
use crate::error::{AppError, PeopleError};
use crate::problems;

/// Why a trust rule was not written or removed. What is in force is as it was.
#[derive(Debug, thiserror::Error)]
pub enum TrustRuleError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// Its grants or roles are not acceptable.
    #[error(transparent)]
    Rights(#[from] PeopleError),
    /// There is no such rule.
    #[error("there is no trust rule `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// Its name is none.
    #[error(
        "a trust rule's name has 1 to 63 lower-case letters, digits, `-`, `.` and `_`, and begins with a letter or digit; `break-glass` is taken"
    )]
    BadName,
    /// Its kind is none.
    #[error(transparent)]
    BadKind(#[from] UnknownKind),
    /// Its issuer is none, or one is needed.
    #[error(
        "`issuer` is the address of the CI system's issuer, which begins with https:// and has neither query nor fragment; {kind} needs {what}"
    )]
    BadIssuer {
        /// The kind.
        kind: &'static str,
        /// What it needs.
        what: &'static str,
    },
    /// It does not say whose tokens it takes, or where they come from.
    #[error("a rule of the kind {kind} names at least one of these claims: {}", claims.join(", "))]
    Unpinned {
        /// The kind.
        kind: &'static str,
        /// The claims.
        claims: &'static [&'static str],
    },
    /// A condition that is none.
    #[error("the claim `{name}` cannot be a condition: {why}")]
    BadClaim {
        /// The claim.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// The authority is none, or not needed, or missing.
    #[error("`authority`: {0}")]
    BadAuthority(#[from] CertificateFault),
    /// An authority where there is nothing to sign, or none where something is to be signed.
    #[error(
        "`authority` goes with names of certificates: give the certificate in PEM that signs them, and none with other rules or with a fingerprint alone"
    )]
    AuthorityMisplaced,
    /// Roles that no machine gets without a person.
    #[error(
        "a machine by a trust rule is never {0}; give it viewer, ops, deployer or cicd, and the grants it needs"
    )]
    TooHigh(RoleSet),
    /// No grant.
    #[error("name what the machine may do: at least one grant, with its actions and apps")]
    NoGrant,
    /// The lifetime.
    #[error("`lifetime` is from {SHORTEST_LIFE:?} to {LONGEST_LIFE:?}, written as 15m")]
    BadLifetime,
    /// A network.
    #[error("`{0}` is no network: write it as 203.0.113.0/24, and at most 50 of them")]
    BadNetwork(String),
    /// There are too many.
    #[error("there are {MOST_RULES} trust rules, which is the most; remove one first")]
    TooMany,
}

impl From<TrustRuleError> for Problem {
    fn from(error: TrustRuleError) -> Self {
        let (kind, layer) = match error {
            TrustRuleError::Store(error) => return problems::of_store(&error),
            TrustRuleError::Record(error) => return error.into(),
            TrustRuleError::Rights(error) => return error.into(),
            TrustRuleError::Unknown { .. } => (ProblemKind::NotFound, Layer::Authorization),
            TrustRuleError::TooMany => (ProblemKind::NotPossible, Layer::Authorization),
            TrustRuleError::BadName
            | TrustRuleError::BadKind(_)
            | TrustRuleError::BadIssuer { .. }
            | TrustRuleError::Unpinned { .. }
            | TrustRuleError::BadClaim { .. }
            | TrustRuleError::BadAuthority(_)
            | TrustRuleError::AuthorityMisplaced
            | TrustRuleError::TooHigh(_)
            | TrustRuleError::NoGrant
            | TrustRuleError::BadLifetime
            | TrustRuleError::BadNetwork(_) => (ProblemKind::BadParameter, Layer::Network),
        };
        let said: String = error.to_string().chars().filter(|c| !c.is_control()).take(1000).collect();
        Problem::new(kind, layer, said)
    }
}
