//! The wire types of the JSON API: what handlers answer with and what clients read, written once.
//!
//! They are plain data. Times are RFC 3339 text in UTC, ids are UUID text, roles are names. Unknown
//! members of a request are refused; unknown members of a reply are ignored, so that an older client
//! can talk to a newer gateway. Start reading at [`Listing`].

pub mod approvals;
pub mod audit;
pub mod break_glass;
pub mod elevations;
pub mod environments;
pub mod factors;
pub mod groups;
pub mod integrations;
pub mod jobs;
pub mod log;
pub mod me;
pub mod meta;
pub mod modes;
pub mod policy;
pub mod rack_credential;
pub mod recordings;
pub mod selfcheck;
pub mod services;
pub mod sessions;
pub mod settings;
pub mod step_up;
pub mod tokens;
pub mod trust_rules;
pub mod users;
pub mod vantage;
pub mod zone;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a listing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Listing<T> {
    /// The items, in the listing's order.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
