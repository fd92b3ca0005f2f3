//! What a write of the rack's parameters changes: found out before it is made, so that the intent holds it, and told
//! to whoever made it and to the admins once the rack took it.
//!
//! # Security
//! The log gets handles of the values, of a scope of the log's own; the mail gets the names alone.

use gateway_app::Notice;
use gateway_convox::RackRequest;
use gateway_secrets::mask_for_log;
use gateway_types::{Principal, Problem};
use serde_json::{Map, Value};

use crate::environment;
use crate::phases::inspect::{RACK_SCOPE, log_key};
use crate::plane::DataPlane;

/// How many names a mail lists; of more it says how many.
const MOST_NAMES: usize = 50;

/// What is other after the write than before it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Difference {
    /// The values before, as handles; `null` = there was none.
    pub(crate) before: Value,
    /// The values that were asked for, as handles.
    pub(crate) after: Value,
    names: Vec<String>,
}

/// What this request changes of the rack's parameters; `None` when it writes none.
///
/// # Errors
/// When the rack cannot tell the present values: a change whose difference cannot be recorded is not made.
pub(crate) async fn difference(
    plane: &DataPlane,
    principal: &Principal,
    request: &RackRequest,
) -> Result<Option<Difference>, Problem> {
    if request.operation().action.as_str() != "convox:rack:update" {
        return Ok(None);
    }
    let Some(asked) = request.map("parameters") else { return Ok(None) };
    let rack = environment::read_present(plane, principal, "/system").await?.unwrap_or_default();
    let held = |name: &str| match rack.get("parameters").and_then(|held| held.get(name)) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let (shown, logged) = (plane.parts.keyring.scope(RACK_SCOPE), log_key(plane, RACK_SCOPE));
    let (mut before, mut after, mut names) = (Map::new(), Map::new(), Vec::new());
    for (name, value) in asked {
        let present = held(&name);
        // Whoever read the rack has handles, and writes those back that are to stay.
        let stays = present.as_ref().is_some_and(|held| *held == value || shown.handle(&name, held) == value);
        if stays {
            continue;
        }
        let was = present.map_or(Value::Null, |held| mask_for_log(&logged, &name, &held).into());
        before.insert(name.clone(), was);
        after.insert(name.clone(), mask_for_log(&logged, &name, &value).into());
        names.push(name);
    }
    Ok(Some(Difference { before: before.into(), after: after.into(), names }))
}

impl Difference {
    /// What people are told of it; nothing when everything stays as it is.
    pub(crate) fn notice(mut self, principal: &Principal) -> Option<Notice> {
        let more = self.names.len().saturating_sub(MOST_NAMES);
        self.names.truncate(MOST_NAMES);
        if more > 0 {
            self.names.push(format!("and {more} more"));
        }
        if self.names.is_empty() {
            return None;
        }
        let (email, by) = match principal {
            Principal::User { email, .. } => (Some(email.to_string()), email.to_string()),
            Principal::ApiToken { name, creator_email, .. } => {
                (Some(creator_email.to_string()), format!("{creator_email} (token {name})"))
            }
            Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => {
                (None, principal.display_name())
            }
        };
        Some(Notice::RackParametersChanged { email, by, names: self.names })
    }
}
