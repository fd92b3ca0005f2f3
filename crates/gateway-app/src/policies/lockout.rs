//! Whether somebody could take a set of policies back: a set that locks every admin out is refused before it
//! is in force, because after that only somebody with the database could mend it.

use std::net::{IpAddr, Ipv4Addr};

use gateway_policy::PolicyEngine;
use gateway_store::Store;
use gateway_types::{Caller, Channel, Facts, Principal, Resource, Role};

use super::PolicyChangeError;
use crate::{App, explain};

/// What it takes to sign in, before anybody is known.
const TO_SIGN_IN: [&str; 3] = ["gateway:auth:login", "gateway:auth:factor", "gateway:auth:token"];

/// What it takes to take a set back, once signed in and with every factor given.
const TO_UNDO: [&str; 4] =
    ["gateway:auth:step_up", "gateway:policy:list", "gateway:policy:update", "gateway:policy:remove"];

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A moment of the local calendar; `None` = one that no calendar has.
type Moment = Option<(u8, u8)>;

/// Refuses a set under which no unlocked admin could sign in and change policy. There must be an hour of every weekday
/// at which somebody could: a rule may close some hours, and nobody waits for longer than a day.
pub(super) async fn check(app: &App, engine: &PolicyEngine) -> Result<(), PolicyChangeError> {
    let admins = admins(&app.store).await?;
    let refused = |hindrance| Err(PolicyChangeError::NobodyCouldUndo { hindrance });
    if let Some(hindrance) = hindrance_at(app, engine, &admins, None) {
        return refused(hindrance);
    }
    for (weekday, day) in (1..=7).zip(WEEKDAYS) {
        let mut last = None;
        for hour in 0..24 {
            // With many admins and many policies a whole week takes a while.
            tokio::task::yield_now().await;
            last = hindrance_at(app, engine, &admins, Some((hour, weekday)));
            if last.is_none() {
                break;
            }
        }
        if let Some(hindrance) = last {
            return refused(format!("at no hour of {day}: {hindrance}"));
        }
    }
    Ok(())
}

/// Why nobody could sign in at this moment and change policy.
fn hindrance_at(app: &App, engine: &PolicyEngine, admins: &[Caller], moment: Moment) -> Option<String> {
    let nobody = Caller {
        principal: Principal::Anonymous,
        channel: Channel::Api,
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    for action in TO_SIGN_IN {
        if let Some(reason) = hindrance(app, engine, &nobody, action, moment) {
            return Some(format!("nobody could sign in ({action}: {reason})"));
        }
    }
    let mut told = "there is no unlocked admin".to_owned();
    for admin in admins {
        let hindered =
            |action: &&'static str| Some((*action, hindrance(app, engine, admin, action, moment)?));
        let (action, reason) = TO_UNDO.iter().find_map(hindered)?;
        told = format!("{} could not do {action} ({reason})", admin.principal.display_name());
    }
    Some(told)
}

/// Why not every row of this action is allowed on the API or the pages, from whatever network; `None` when it is
/// from outside of the named networks, or from one of them.
fn hindrance(
    app: &App,
    engine: &PolicyEngine,
    caller: &Caller,
    action: &str,
    moment: Moment,
) -> Option<String> {
    let outside = hindrance_from(engine, caller, action, None, moment)?;
    let is_free = |name: &str| hindrance_from(engine, caller, action, Some(name), moment).is_none();
    if app.networks.names().any(is_free) { None } else { Some(outside) }
}

fn hindrance_from(
    engine: &PolicyEngine,
    caller: &Caller,
    action: &str,
    network: Option<&str>,
    moment: Moment,
) -> Option<String> {
    let networks = network.map(str::to_owned).into_iter().collect();
    let (hour, weekday) = moment.unzip();
    let facts = Facts { hour, weekday, networks, ..Facts::default() };
    let facts = Facts { mfa_window: true, mfa_bound: true, mfa_enrolled: true, ..facts };
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
