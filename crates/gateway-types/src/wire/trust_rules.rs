//! How machines without secrets sign in: `/trust-rules`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tokens::Grant;
use crate::RoleSet;

/// A trust rule. The `ETag` of a reply with one is the version in quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrustRule {
    /// Its name.
    pub name: String,
    /// `github`, `gitlab`, `circleci`, `buildkite` or `certificate`.
    pub kind: String,
    /// The issuer of tokens; absent for certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The audience that tokens must be made for: this gateway; absent for certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// What must hold: every claim, with one of its values.
    pub claims: BTreeMap<String, Vec<String>>,
    /// All of it in a sentence.
    pub in_words: String,
    /// The certificates in PEM that must have signed a client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// What a machine may be.
    #[schema(value_type = Vec<String>)]
    pub roles: RoleSet,
    /// What it is granted.
    pub grants: Vec<Grant>,
    /// From which networks what it gets may be used; empty = from everywhere.
    pub networks: Vec<String>,
    /// How long what it gets lives, such as `15m`; absent for certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
    /// When it was first written.
    pub created: String,
    /// Who wrote it last.
    pub updated_by: String,
    /// When it was written last.
    pub updated: String,
    /// When a machine was last let in by it, to about a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_ip: Option<String>,
    /// What `If-Match` is compared against.
    pub version: i64,
}

/// `GET /trust-rules`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrustRules {
    /// By name.
    pub items: Vec<TrustRule>,
    /// The audience that a CI system must be asked to make tokens for.
    pub audience: String,
}

/// `PUT /trust-rules/{id}`: all of a rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteTrustRule {
    /// `github`, `gitlab`, `circleci`, `buildkite` or `certificate`.
    pub kind: String,
    /// The issuer of tokens; absent = the CI system's usual one, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What must hold: every claim, with one of its values.
    pub claims: BTreeMap<String, Vec<String>>,
    /// For certificates: those in PEM that must have signed a client's. Not needed for a fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// What a machine may be: at least one, never admin or auditor.
    #[schema(value_type = Vec<String>)]
    pub roles: RoleSet,
    /// What it is granted: at least one.
    pub grants: Vec<Grant>,
    /// From which networks what it gets may be used; empty = from everywhere.
    #[serde(default)]
    pub networks: Vec<String>,
    /// How long what it gets lives: `1m` to `1h`; absent = `15m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<String>,
}

/// One thing that keeps a token from being exchanged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Mismatch {
    /// The rule; absent when none is for this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The claim that does not fit.
    pub claim: String,
    /// What the token says; absent when it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yours: Option<String>,
}
