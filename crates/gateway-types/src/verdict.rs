//! The answer of policy, and what would turn a no into a yes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Yes or no.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The request may go on.
    Allow,
    /// The request is refused.
    Refuse,
}

/// The layer that decided: each must be passed, and every refusal names the one that stopped it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Layer 1: where from, and is it well-formed.
    Network,
    /// Layer 2: who.
    Authentication,
    /// Layer 3: may they.
    Authorization,
    /// Layer 4: with a second factor.
    Mfa,
    /// Layer 5: could it be recorded.
    Audit,
}

impl Layer {
    /// The name shown to people and kept in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Layer::Network => "network",
            Layer::Authentication => "authentication",
            Layer::Authorization => "authorization",
            Layer::Mfa => "mfa",
            Layer::Audit => "audit",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kind of thing that would turn a refusal into a yes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyKind {
    /// A second factor, once per window.
    StepUp,
    /// A second factor for this very action and resource.
    StepUpBound,
    /// Enrolling a second factor first.
    Enrol,
    /// An approval of this deploy.
    Approval,
    /// A temporary higher role.
    Elevation,
    /// A higher role, or a grant, given by an admin.
    Role,
    /// A setting that an admin may change.
    Setting,
}

impl RemedyKind {
    /// All kinds.
    pub const ALL: [RemedyKind; 7] = [
        RemedyKind::StepUp,
        RemedyKind::StepUpBound,
        RemedyKind::Enrol,
        RemedyKind::Approval,
        RemedyKind::Elevation,
        RemedyKind::Role,
        RemedyKind::Setting,
    ];

    /// The name used in policy annotations, problems and the log.
    pub const fn name(self) -> &'static str {
        match self {
            RemedyKind::StepUp => "step_up",
            RemedyKind::StepUpBound => "step_up_bound",
            RemedyKind::Enrol => "enrol",
            RemedyKind::Approval => "approval",
            RemedyKind::Elevation => "elevation",
            RemedyKind::Role => "role",
            RemedyKind::Setting => "setting",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<RemedyKind> {
        RemedyKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One thing that would turn the refusal into a yes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Remedy {
    /// What kind of thing.
    pub kind: RemedyKind,
    /// A page that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A command that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Remedy {
    /// A remedy of this kind, with no page or command known yet.
    pub const fn new(kind: RemedyKind) -> Self {
        Self { kind, url: None, command: None }
    }
}

/// What policy said about one request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Yes or no.
    pub decision: Decision,
    /// The layer that decided: `Mfa` when only a factor is missing, else `Authorization`.
    pub layer: Layer,
    /// Ids of the policies that decided, sorted. Empty on a refusal means that nothing permitted it.
    pub rules: Vec<String>,
    /// Ids of the policies in observe mode that would have refused; empty on a refusal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    /// What would turn a refusal into a yes; empty on a yes.
    pub remedies: Vec<Remedy>,
    /// One sentence that is safe to show to the caller.
    pub reason: String,
    /// The version (content hash) of the policy set that decided.
    pub policy_version: String,
}

impl Verdict {
    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        self.decision == Decision::Allow
    }
}
