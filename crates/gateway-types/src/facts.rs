//! What policy is told about a request beside who, what and on what.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::role::RoleSet;

/// The facts of one request. Each is a boolean or a small bucket, so that a decision can be cached
/// under exactly what it saw. The default is the most careful value of each: nothing is known,
/// nothing is switched on.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// A second factor was given within the window of this credential.
    pub mfa_window: bool,
    /// A fresh second factor was given for this very action and resource.
    pub mfa_bound: bool,
    /// The person has a second factor at all. Decides between the remedies `step_up` and `enrol`.
    pub mfa_enrolled: bool,
    /// Second factors are switched off for this gateway (`mfa_step_up = false`).
    pub mfa_off: bool,
    /// Everybody must have a second factor (`mfa_required = true`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mfa_required: bool,
    /// The object acted on is the caller's own.
    pub own_object: bool,
    /// A live approval names exactly this request.
    pub approval_matches: bool,
    /// Destructive actions are switched on for this resource.
    pub destructive_allowed: bool,
    /// External builds, whose reply holds the rack's password, are switched on.
    pub external_builds_allowed: bool,
    /// Names of parameters present in the request that ask for more than the operation usually
    /// does, such as `Image` of a process start. Lower case.
    pub sensitive_parameters: BTreeSet<String>,
    /// The names of the networks that the caller's address is in, as the configuration names them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub networks: BTreeSet<String>,
    /// The labels of the app that it is about.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// The hour of the day in the gateway's time zone, 0 to 23.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<u8>,
    /// The day of the week there, 1 = Monday to 7 = Sunday (ISO 8601).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekday: Option<u8>,
    /// Roles that a live elevation gives the person on this resource.
    #[serde(skip_serializing_if = "is_no_role")]
    pub elevated: RoleSet,
    /// Names of roles, the built-in ones and others, that grants give the person on this resource.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub roles_here: BTreeSet<String>,
    /// The person could ask for an elevation that reaches this resource. Only looked at for a refusal.
    #[serde(skip_serializing_if = "is_off")]
    pub elevation_possible: bool,
    /// Forbids of the operator's own are recorded and not enforced (the setting `observe_policies`).
    #[serde(skip_serializing_if = "is_off")]
    pub observing: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_no_role(roles: &RoleSet) -> bool {
    roles.is_empty()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_off(switch: &bool) -> bool {
    !*switch
}
