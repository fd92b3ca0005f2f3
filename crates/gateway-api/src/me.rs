//! The caller themselves: `/me`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::me::{self, OwnObjects, SecondFactor as Standing};
use gateway_store::Session;
use gateway_types::wire::me::{CurrentSession, Me, SecondFactor};
use gateway_types::{Principal, RoleSet, Timestamp};

use crate::paging::no_query;
use crate::reply::{self, Answer};

/// Who asks, and what they can do.
#[utoipa::path(get, path = "/api/v1/me", tag = "me", responses((status = 200, body = Me)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let principal = &request.caller.principal;
    let known = me::read(app, &request.caller).await?;
    let (id, roles, on_behalf_of) = match principal {
        Principal::Anonymous => (String::new(), RoleSet::EMPTY, None),
        Principal::AccessToken { subject, issuer, role, .. } => {
            (subject.to_string(), RoleSet::of(*role), Some(issuer.to_string()))
        }
        Principal::User { id, roles, .. } => (id.to_string(), *roles, None),
        Principal::Workload { id, subject, roles, .. } => (id.to_string(), *roles, Some(subject.to_string())),
        Principal::ApiToken { id, roles, creator_email, .. } => {
            (id.to_string(), *roles, Some(creator_email.to_string()))
        }
    };
    reply::json(&Me {
        id,
        name: principal.display_name(),
        credential: principal.credential_kind().name().to_owned(),
        roles,
        on_behalf_of,
        permissions: me::permissions(app, &request.caller, OwnObjects::Count),
        second_factor: known.second_factor.map(|standing| second_factor(standing, app.clock.now())),
        session: known.session.map(current),
        expires: known.expires.map(Timestamp::to_rfc3339),
        rack: app.rack_name.clone(),
        gateway_id: app.store.gateway_id().to_string(),
    })
}

fn second_factor(standing: Standing, now: Timestamp) -> SecondFactor {
    let age = |opened| now.checked_since(opened).unwrap_or_default().as_secs();
    SecondFactor {
        asked_for: standing.asked_for,
        enrolled: standing.factors > 0,
        factors: u64::try_from(standing.factors).unwrap_or(u64::MAX),
        backup_codes_left: standing.backup_codes_left,
        window_seconds: standing.window.as_secs(),
        step_up_age_seconds: standing.stepped_up.map(age),
    }
}

fn current(session: Session) -> CurrentSession {
    CurrentSession {
        id: session.id.to_string(),
        created: session.created.to_rfc3339(),
        device: session.device,
        idle_limit_seconds: session.idle_limit.as_secs(),
    }
}
