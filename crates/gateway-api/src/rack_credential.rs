//! What the gateway signs in to the rack with: how it stands, and that it is looked for at once.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::rack_credential::{self, Access, RoleToken, Standing, Tokens};
use gateway_types::Timestamp;
use gateway_types::wire::rack_credential::{CredentialAccess, RackCredential, RackToken, RackTokens};

use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn text(moment: Option<Timestamp>) -> Option<String> {
    moment.map(Timestamp::to_rfc3339)
}

fn document(standing: Standing, now: Timestamp) -> RackCredential {
    let (error_since, error) = standing.fault.unzip();
    RackCredential {
        source: standing.source,
        fingerprint: standing.fingerprint,
        since: standing.since.to_rfc3339(),
        age_seconds: now.checked_since(standing.since).unwrap_or_default().as_secs(),
        read: text(standing.read),
        next_read: text(standing.next_read),
        error,
        error_since: text(error_since),
        refused: text(standing.refused),
        access: standing.access.map(|Access { kind, expires, renews }| CredentialAccess {
            kind: kind.to_owned(),
            expires: text(expires),
            renews: text(renews),
        }),
        tokens: standing.tokens.map(|Tokens { roles, fault }| RackTokens {
            roles: roles.into_iter().map(token).collect(),
            error: fault,
        }),
    }
}

fn token(one: RoleToken) -> RackToken {
    RackToken {
        role: one.role.to_owned(),
        minted: one.minted.to_rfc3339(),
        renews: one.renews.to_rfc3339(),
        expires: one.expires.to_rfc3339(),
    }
}

/// How the rack's credential stands on this instance. Never the credential.
#[utoipa::path(get, path = "/api/v1/rack-credential", tag = "rack credential",
    responses((status = 200, body = RackCredential)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    reply::json(&document(app.rack_credential.standing(), app.clock.now()))
}

/// Reads the rack's credential at once where it is kept, and mints tokens anew when they are next needed.
#[utoipa::path(post, path = "/api/v1/rack-credential/refresh", tag = "rack credential",
    responses((status = 200, body = RackCredential)))]
pub(crate) async fn refresh(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let standing = rack_credential::refresh(app, &operator).await?;
    reply::json(&document(standing, app.clock.now()))
}
