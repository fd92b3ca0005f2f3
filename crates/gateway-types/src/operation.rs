//! What can be asked of the gateway: one [`Operation`] for each row of the two route tables.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::role::Role;

/// The full name of an action: `convox:app:list`, `gateway:user:update`, `service:grafana:read`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionName(Arc<str>);

impl ActionName {
    /// An action of this full name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much harm an operation can do, and so what it asks of its caller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Needs no credential.
    Open,
    /// Reads what holds no secret.
    Read,
    /// Secrets or bulk data leave.
    Reveal,
    /// Changes something that can be changed back.
    Change,
    /// Runs a command or opens a channel into the rack.
    Execute,
    /// Hard to undo.
    Critical,
}

impl Class {
    /// All classes, least harmful first.
    pub const ALL: [Class; 6] =
        [Class::Open, Class::Read, Class::Reveal, Class::Change, Class::Execute, Class::Critical];

    /// The name used in the tables, in policy and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Open => "open",
            Class::Read => "read",
            Class::Reveal => "reveal",
            Class::Change => "change",
            Class::Execute => "execute",
            Class::Critical => "critical",
        }
    }

    /// Whether a durable intent must be committed before the effect.
    pub const fn needs_intent(self) -> bool {
        match self {
            Class::Open | Class::Read => false,
            Class::Reveal | Class::Change | Class::Execute | Class::Critical => true,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether the `cicd` role may call an operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cicd {
    /// Always.
    Yes,
    /// Only inside an approved deploy that names it.
    Approval,
    /// Never.
    No,
}

/// The lowest role that may call an operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LowestRole {
    /// Anyone, without a credential.
    Public,
    /// Any signed-in caller, about their own objects only.
    Own,
    /// Holders of this role or a higher one.
    Role(Role),
}

/// What second factor an operation asks of a person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StepUp {
    /// None.
    None,
    /// A factor within the window of this credential.
    Window,
    /// A factor made for this very action and resource.
    Bound,
}

/// One row of a route table, as policy sees it: who may, how dangerous, what else it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// `METHOD /template`, as printed in the tables, the matrix and the log.
    pub route: Arc<str>,
    /// The action's full name.
    pub action: ActionName,
    /// Its class.
    pub class: Class,
    /// The lowest role that may.
    pub lowest_role: LowestRole,
    /// Whether machines with the `cicd` role may.
    pub cicd: Cicd,
    /// Whether only a person's session may, never a token or workload.
    pub people_only: bool,
    /// The second factor asked of people.
    pub step_up: StepUp,
}
