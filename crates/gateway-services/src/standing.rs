//! How the instances of a service stand, as it is told to people.

use gateway_types::Timestamp;

use crate::service::UpstreamAddress;

/// Whether an instance takes requests, and why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InstanceState {
    /// It takes requests: nothing that is known speaks against it.
    Healthy,
    /// Its health checks fail; it takes requests only when no other does.
    Unhealthy,
    /// Requests to it failed in a row; it takes requests only when no other does.
    Ejected {
        /// Until then.
        until: Timestamp,
    },
    /// Its share is 0: it takes no new requests.
    Draining,
    /// It is of a TCP service, whose connections nobody counts: a tunnel finds out.
    Unwatched,
}

impl InstanceState {
    /// Its name in replies.
    pub const fn name(self) -> &'static str {
        match self {
            InstanceState::Healthy => "healthy",
            InstanceState::Unhealthy => "unhealthy",
            InstanceState::Ejected { .. } => "ejected",
            InstanceState::Draining => "draining",
            InstanceState::Unwatched => "unwatched",
        }
    }
}

/// How one instance stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstanceStanding {
    /// Which one.
    pub address: UpstreamAddress,
    /// How.
    pub state: InstanceState,
    /// Since when; `None` when nobody watches.
    pub since: Option<Timestamp>,
}
