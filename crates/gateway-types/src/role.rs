//! Roles and sets of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A built-in role. `viewer < ops < deployer < admin`; `auditor` stands beside them; `cicd` is for machines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads what holds no secret.
    Viewer,
    /// Operates running apps: logs, processes, exec, restarts.
    Ops,
    /// Changes apps: builds, releases, promotions, scale.
    Deployer,
    /// Everything, with a second factor where it matters.
    Admin,
    /// Reads the audit log and recordings; may be held beside another role.
    Auditor,
    /// A machine that deploys; held by tokens and workloads only.
    Cicd,
}

impl Role {
    /// All roles, lowest first, then the two that stand beside.
    pub const ALL: [Role; 6] =
        [Role::Viewer, Role::Ops, Role::Deployer, Role::Admin, Role::Auditor, Role::Cicd];

    /// The name used in configuration, commands, policy and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Ops => "ops",
            Role::Deployer => "deployer",
            Role::Admin => "admin",
            Role::Auditor => "auditor",
            Role::Cicd => "cicd",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no role.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown role `{0}`; roles are viewer, ops, deployer, admin, auditor, cicd")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// A set of roles. Stored and printed as names joined by commas, in the order of [`Role::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RoleSet(u8);

impl RoleSet {
    /// No role at all: allowed nothing but the public operations.
    pub const EMPTY: RoleSet = RoleSet(0);

    /// The set of one role.
    pub const fn of(role: Role) -> Self {
        Self(role.bit())
    }

    /// The set with `role` added.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }

    /// Whether `role` itself is in the set; inheritance is policy's business.
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether no role is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles in the set.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(RoleSet::EMPTY, RoleSet::with)
    }
}

impl fmt::Display for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for role in self.iter() {
            write!(f, "{separator}{role}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoleSet({self})")
    }
}

impl FromStr for RoleSet {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Role::from_str).collect()
    }
}

impl Serialize for RoleSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for RoleSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Role>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_print_and_parse() {
        let set: RoleSet = "auditor, deployer".parse().unwrap();
        assert_eq!(set.to_string(), "deployer,auditor");
        assert_eq!("root".parse::<RoleSet>(), Err(UnknownRole("root".to_owned())));
        assert!("".parse::<RoleSet>().unwrap().is_empty());
    }
}
