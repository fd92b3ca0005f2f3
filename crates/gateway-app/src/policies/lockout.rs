//! Whether somebody could take a set of policies back: a set that locks every admin out is refused before it
//! is in force, because after that only somebody with the database could mend it.

use std::net::{IpAddr, Ipv4Addr};

use gateway_policy::PolicyEngine;
use gateway_store::Store;
use gateway_types::{Caller, Channel, Facts, Principal, Resource, Role};

use super::PolicyChangeError;
use crate::{App, explain};

/// What it takes to sign in, before anybody is known.
const TO_SIGN_IN: [&str; 2] = ["gateway:auth:login", "gateway:auth:token"];

/// What it takes to take a set back, once signed in and with every factor given.
const TO_UNDO: [&str; 4] =
    ["gateway:auth:step_up", "gateway:policy:list", "gateway:policy:update", "gateway:policy:remove"];

/// Refuses a set under which no unlocked admin could sign in and change policy.
pub(super) async fn check(app: &App, engine: &PolicyEngine) -> Result<(), PolicyChangeError> {
    let nobody = Caller {
        principal: Principal::Anonymous,
        channel: Channel::Api,
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    for action in TO_SIGN_IN {
        if let Some(reason) = hindrance(app, engine, &nobody, action) {
            return Err(PolicyChangeError::NobodyCouldUndo {
                hindrance: format!("nobody could sign in ({action}: {reason})"),
            });
        }
    }
    let mut hindrance = "there is no unlocked admin".to_owned();
    for admin in admins(&app.store).await? {
        match TO_UNDO.iter().find_map(|action| Some((action, self::hindrance(app, engine, &admin, action)?)))
        {
            None => return Ok(()),
            Some((action, reason)) => {
                hindrance = format!("{} could not do {action} ({reason})", admin.principal.display_name());
            }
        }
    }
    Err(PolicyChangeError::NobodyCouldUndo { hindrance })
}

/// Why not every row of this action is allowed on the API or the pages, from whatever network; `None` when it is
/// from outside of the named networks, or from one of them.
fn hindrance(app: &App, engine: &PolicyEngine, caller: &Caller, action: &str) -> Option<String> {
    let outside = hindrance_from(engine, caller, action, None)?;
    let is_free = |name: &str| hindrance_from(engine, caller, action, Some(name)).is_none();
    if app.networks.names().any(is_free) { None } else { Some(outside) }
}

fn hindrance_from(
    engine: &PolicyEngine,
    caller: &Caller,
    action: &str,
    network: Option<&str>,
) -> Option<String> {
    let networks = network.map(str::to_owned).into_iter().collect();
    let facts = Facts { networks, mfa_window: true, mfa_bound: true, mfa_enrolled: true, ..Facts::default() };
    // A challenge of a second factor is always one's own.
    let facts = Facts { own_object: action == "gateway:auth:step_up", ..facts };
    let channels = [Channel::Api, Channel::Web];
    let asked = |channel| Caller { channel, ..caller.clone() };
    engine.operations_of(action).into_iter().find_map(|operation| {
        channels
            .into_iter()
            .map(|channel| engine.decide(&asked(channel), operation, &Resource::gateway(), &facts))
            .find(|verdict| !verdict.is_allowed())
            .map(|verdict| verdict.reason)
    })
}

/// The people who are admins and not locked, as policy sees them.
async fn admins(store: &Store) -> Result<Vec<Caller>, PolicyChangeError> {
    let mut admins = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.users().list(None, cursor.as_deref(), 1000).await?;
        let able = page.items.iter().filter(|user| !user.locked && user.roles.contains(Role::Admin));
        admins.extend(able.map(explain::person));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(admins);
        }
    }
}
