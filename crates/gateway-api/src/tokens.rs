//! API tokens: `/tokens`.

use gateway_app::control::OwnRequest;
use gateway_app::tokens::{self, Expiry, Issue, Narrowing, OwnedToken, Scope, USUAL_OVERLAP};
use gateway_app::{App, PeopleError};
use gateway_identity::ClientCertificate;
use gateway_store::{PresentedBy, TokenFilter};
use gateway_types::wire::Listing;
use gateway_types::wire::tokens::{CreateToken, RotateToken, Token, TokenSecret, UpdateToken};
use gateway_types::{Timestamp, TokenId, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input::{self, bad};
use crate::paging::{self, bare, no_query};
use crate::reply::{self, Answer};

/// The query of the listing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TokenQuery {
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    limit: Option<u32>,
    /// Only tokens whose name contains this.
    #[serde(default)]
    q: Option<String>,
    /// Everybody's, not only one's own.
    #[serde(default)]
    all: bool,
    /// With `all`: only those of this person.
    #[serde(default)]
    owner: Option<String>,
    /// Only those that are neither revoked nor expired.
    #[serde(default)]
    live: bool,
}

fn shown(owned: OwnedToken, now: Timestamp) -> Token {
    let OwnedToken { token, owner_email } = owned;
    let moment = |time: Option<Timestamp>| time.map(Timestamp::to_rfc3339);
    let state = match (token.revoked, token.is_live(now)) {
        (Some(_), _) => "revoked",
        (None, false) => "expired",
        (None, true) => "live",
    };
    Token {
        id: token.id.to_string(),
        name: token.name,
        state: state.to_owned(),
        roles: token.roles,
        grants: token.grants.into_iter().map(Into::into).collect(),
        owner: token.creator.to_string(),
        owner_email,
        created: token.created.to_rfc3339(),
        expires: moment(token.expires),
        last_used: moment(token.last_used),
        last_used_ip: token.last_used_ip.map(|ip| ip.to_string()),
        revoked: moment(token.revoked),
        overlap_ends: moment(token.overlap_ends.filter(|ends| now < *ends)),
        of_certificate: token.presented_by == PresentedBy::Certificate,
        networks: token.networks.iter().map(ToString::to_string).collect(),
        version: token.version,
    }
}

/// One's own tokens, or everybody's.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", params(TokenQuery),
    responses((status = 200, body = Listing<Token>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    let asked: TokenQuery = input::query(request)?;
    let scope = if asked.all { Scope::All } else { Scope::Own };
    let creator = match (asked.owner.as_deref(), scope) {
        (None, _) => None,
        (Some(_), Scope::Own) => return Err(bad("`owner` goes with `all=true`")),
        (Some(id), Scope::All) => {
            Some(id.parse::<UserId>().map_err(|_none| bad("`owner` is the id of a person"))?)
        }
    };
    let filter = TokenFilter {
        creator,
        search: asked.q,
        live_only: asked.live,
        cursor: asked.cursor,
        limit: paging::limit(asked.limit)?,
    };
    let page = tokens::page(app, &request.caller, &request.facts, scope, filter).await?;
    let now = app.clock.now();
    reply::json(&paging::listing(page, |token| shown(token, now)))
}

/// Makes a token; its secret is told this once. With a client certificate it has none.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = 201, body = TokenSecret)))]
pub(crate) async fn create(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: CreateToken = input::json(request)?;
    let issue = Issue {
        name: asked.name,
        roles: asked.roles,
        grants: asked.grants.into_iter().map(Into::into).collect(),
        expiry: asked.expires.as_deref().map_or(Ok(Expiry::Usual), str::parse)?,
        owner: asked.owner,
        networks: asked.networks,
    };
    let operator = app.operator(&request.caller, request.request_id);
    let (caller, facts) = (&request.caller, &request.facts);
    let (owned, secret) = match asked.certificate {
        None => {
            let (owned, secret) = tokens::issue(app, &operator, caller, facts, issue).await?;
            (owned, Some(secret.expose().clone()))
        }
        Some(pem) => {
            let certificate = ClientCertificate::from_pem(&pem).map_err(PeopleError::from)?;
            let owned =
                tokens::issue_for_certificate(app, &operator, caller, facts, issue, &certificate).await?;
            (owned, None)
        }
    };
    let (location, version) = (format!("/api/v1/tokens/{}", owned.token.id), owned.token.version);
    let told = TokenSecret { token: shown(owned, app.clock.now()), secret };
    Ok(reply::tagged(reply::created(&location, &told)?, version))
}

/// Takes rights or time from a token, or names it anew.
#[utoipa::path(put, path = "/api/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = UpdateToken,
    responses((status = 200, body = Token)))]
pub(crate) async fn update(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let id: TokenId = input::path(request, "id")?;
    let expected = input::if_match(request)?;
    let asked: UpdateToken = input::json(request)?;
    let narrowing = Narrowing {
        name: asked.name,
        roles: asked.roles,
        grants: asked.grants.map(|grants| grants.into_iter().map(Into::into).collect()),
        expiry: asked.expires.as_deref().map(str::parse).transpose()?,
        networks: asked.networks,
    };
    let operator = app.operator(&request.caller, request.request_id);
    let owned = tokens::narrow(app, &operator, id, expected, narrowing).await?;
    let version = owned.token.version;
    Ok(reply::tagged(reply::json(&shown(owned, app.clock.now()))?, version))
}

/// Gives a token a new secret, or binds it to another certificate; what it had is good for a while more.
#[utoipa::path(post, path = "/api/v1/tokens/{id}/rotate", tag = "tokens", params(("id" = String, Path)),
    request_body = RotateToken, responses((status = 200, body = TokenSecret)))]
pub(crate) async fn rotate(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let id: TokenId = input::path(request, "id")?;
    let RotateToken { overlap, certificate } = input::json_or_default(request)?;
    let certificate = certificate.as_deref().map(ClientCertificate::from_pem).transpose();
    let certificate = certificate.map_err(PeopleError::from)?;
    let overlap = overlap.as_deref().map_or(Ok::<_, PeopleError>(USUAL_OVERLAP), tokens::overlap)?;
    let operator = app.operator(&request.caller, request.request_id);
    let rotated = tokens::rotate(app, &operator, &request.caller, id, overlap, certificate.as_ref());
    let (owned, secret) = rotated.await?;
    let version = owned.token.version;
    let secret = secret.map(|secret| secret.expose().clone());
    let told = TokenSecret { token: shown(owned, app.clock.now()), secret };
    Ok(reply::tagged(reply::json(&told)?, version))
}

/// Ends a token.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    tokens::end(app, &operator, input::path(request, "id")?).await?;
    Ok(reply::no_content())
}
