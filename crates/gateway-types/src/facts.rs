//! What policy is told about a request beside who, what and on what.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The facts of one request. Each is a boolean or a small bucket, so that a decision can be cached
/// under exactly what it saw. The default is the most careful value of each: nothing is known,
/// nothing is switched on.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
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
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub networks: BTreeSet<String>,
}
