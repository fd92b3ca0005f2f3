//! Configuration as code: what files declare, compared with what a gateway has, made so change by change.
//!
//! [`document`] is the file, [`present`] what the gateway has, [`difference`] the changes between the two (pure), and
//! [`making`] the only place that makes them. Nothing here decides who may do what: each change is a request of its
//! own, under its own verdict.

pub(crate) mod difference;
pub(crate) mod document;
pub(crate) mod making;
pub(crate) mod present;
#[cfg(test)]
mod tests;

use clap::ValueEnum;

/// A kind of thing that can be declared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Services behind the gateway.
    Services,
    /// People.
    Users,
    /// Groups of identity providers and what their members get.
    Groups,
    /// Roles of persons and groups on single apps, or everywhere.
    Grants,
    /// How machines without secrets sign in.
    TrustRules,
    /// Settings, of the gateway and of apps.
    Settings,
    /// Policy documents.
    Policies,
}

impl Kind {
    /// All of them, in the order in which they are made.
    pub(crate) const ALL: [Kind; 7] = [
        Kind::Services,
        Kind::Users,
        Kind::Groups,
        Kind::Grants,
        Kind::TrustRules,
        Kind::Settings,
        Kind::Policies,
    ];

    /// One of it, for people.
    pub(crate) const fn singular(self) -> &'static str {
        match self {
            Kind::Services => "service",
            Kind::Users => "user",
            Kind::Groups => "group",
            Kind::Grants => "grant",
            Kind::TrustRules => "trust rule",
            Kind::Settings => "setting",
            Kind::Policies => "policy",
        }
    }
}
