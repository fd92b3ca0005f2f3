//! API tokens: listed, made, rotated, narrowed, revoked.
//!
//! # Security
//! A secret is in the one reply that makes it and in no other: that page answers the POST itself, is not to
//! be kept by any cache, and nothing here can read a secret again.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::error::PeopleError;
use gateway_app::rights::{Expected, beyond_owner};
use gateway_app::tokens::{self, Expiry, Issue, Narrowing, OwnedToken, Scope};
use gateway_identity::ClientCertificate;
use gateway_store::{PresentedBy, TokenFilter};
use gateway_types::{
    Grant, Layer, Principal, Problem, ProblemKind, Role, RoleSet, Secret, Timestamp, TokenId, UserId,
};
use http::header::CACHE_CONTROL;

use super::choices::{self, Choice};
use super::event::Badge;
use super::grants::{self, GrantRow};
use super::versions;
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/tokens";
const PAGE_SIZE: u32 = 50;
const LIFETIMES: &[(&str, &str)] = &[
    ("90d", "in 90 days"),
    ("1d", "in a day"),
    ("7d", "in a week"),
    ("30d", "in 30 days"),
    ("365d", "in a year"),
    ("never", "never"),
];
const OVERLAPS: &[(&str, &str)] =
    &[("1h", "an hour"), ("0s", "not at all"), ("10m", "ten minutes"), ("24h", "a day")];
const STANDINGS: &[(&str, &str)] = &[("live", "live"), ("all", "also revoked and ended")];

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    may_see_all: bool,
    all: bool,
    text: String,
    owner: String,
    standings: Vec<Choice>,
    tokens: Vec<TokenRow>,
    overlaps: Vec<Choice>,
    pager: Pager,
    draft: Draft,
}

struct TokenRow {
    id: TokenId,
    name: String,
    standing: Option<Badge>,
    live: bool,
    created: Timestamp,
    roles: Vec<&'static str>,
    grants: Vec<GrantRow>,
    owner: String,
    last_used: Option<Timestamp>,
    last_used_ip: Option<String>,
    ends: Option<Timestamp>,
    networks: Vec<String>,
    of_certificate: bool,
    version: i64,
    rotate_refused: Option<String>,
    narrow_refused: Option<String>,
    revoke_refused: Option<String>,
    change: ChangeForm,
}

/// The form that narrows a token, as it was filled in.
#[derive(Clone, Default)]
struct ChangeForm {
    open: bool,
    roles: Vec<Choice>,
    roles_fault: String,
    grants: String,
    grants_fault: String,
}

/// The form of a new token, as it was filled in.
#[derive(Default)]
struct Draft {
    /// Why this person may not make one.
    refused: Option<String>,
    name: String,
    name_fault: String,
    roles: Vec<Choice>,
    roles_fault: String,
    grants: String,
    grants_fault: String,
    lifetimes: Vec<Choice>,
    expiry_fault: String,
    critical: bool,
    critical_fault: String,
    owner: String,
    owner_fault: String,
    networks: String,
    networks_fault: String,
    /// Why it can be for nobody else.
    others_refused: Option<String>,
}

impl Draft {
    fn new(web: &Web, request: &OwnRequest, chosen: RoleSet) -> Self {
        let (app, caller) = (web.app(), &request.caller);
        let others_refused = gate::refusal(app, caller, "POST /app/tokens", false);
        let own = match &caller.principal {
            Principal::User { roles, .. } => *roles,
            Principal::ApiToken { .. }
            | Principal::AccessToken { .. }
            | Principal::Workload { .. }
            | Principal::Anonymous => RoleSet::EMPTY,
        };
        let offered =
            |role: Role| others_refused.is_none() || beyond_owner(own, RoleSet::of(role)).is_empty();
        Self {
            refused: gate::refusal(app, caller, "POST /app/tokens", true),
            roles: choices::of_roles(offered, chosen),
            lifetimes: choices::one_of(LIFETIMES, ""),
            others_refused,
            ..Self::default()
        }
    }

    /// Puts what is wrong where it is wrong; what is not about a field comes back.
    fn at_its_field(&mut self, error: PeopleError) -> Result<(), PeopleError> {
        let text = error.to_string();
        let field = match error {
            PeopleError::BadTokenName => &mut self.name_fault,
            PeopleError::NoRole | PeopleError::AboveOwn(_) | PeopleError::AboveOwner { .. } => {
                &mut self.roles_fault
            }
            PeopleError::BadGrant(_) | PeopleError::TooManyGrants(_) => &mut self.grants_fault,
            PeopleError::BadExpiry => &mut self.expiry_fault,
            PeopleError::CriticalGrant | PeopleError::CriticalForever => &mut self.critical_fault,
            PeopleError::NobodyCalled(_) | PeopleError::NoSuchPerson => &mut self.owner_fault,
            PeopleError::BadNetwork(_) => &mut self.networks_fault,
            other => return Err(other),
        };
        *field = text;
        Ok(())
    }
}

/// `GET /app/tokens`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let draft = Draft::new(web, request, RoleSet::EMPTY);
    let query = Query::of(request);
    let all = query.one("all").as_deref() == Some("true");
    reply::html(&page(web, request, &query, all, draft).await?)
}

async fn page(
    web: &Web,
    request: &OwnRequest,
    query: &Query,
    all: bool,
    draft: Draft,
) -> Result<TokensPage, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let standing = query.one("standing").unwrap_or_default();
    let owner = query.one("owner").unwrap_or_default();
    let filter = TokenFilter {
        creator: owner.parse::<UserId>().ok().filter(|_owner| all),
        search: query.one("q"),
        live_only: standing != "all",
        cursor: query.one("cursor"),
        limit: PAGE_SIZE,
    };
    let scope = if all { Scope::All } else { Scope::Own };
    let text = filter.search.clone().unwrap_or_default();
    let found = tokens::page(app, caller, &request.facts, scope, filter).await?;
    Ok(TokensPage {
        frame: Frame::of(web, request, "API tokens"),
        may_see_all: gate::could_use(app, caller, "GET /app/tokens", false),
        all,
        text,
        owner,
        standings: choices::one_of(STANDINGS, &standing),
        tokens: found.items.iter().map(|owned| row(web, request, owned)).collect(),
        overlaps: choices::one_of(OVERLAPS, ""),
        pager: Pager::new(PATH, query, found.next.as_deref()),
        draft,
    })
}

fn row(web: &Web, request: &OwnRequest, owned: &OwnedToken) -> TokenRow {
    let (app, caller, token) = (web.app(), &request.caller, &owned.token);
    let own = matches!(&caller.principal, Principal::User { id, .. } if *id == token.creator);
    let refusal = |page: &str| gate::refusal(app, caller, page, own);
    let now = app.clock.now();
    let standing = match token.revoked {
        Some(_revoked) => Some(Badge { text: "revoked", tone: "bad" }),
        None if !token.is_live(now) => Some(Badge { text: "ended", tone: "bad" }),
        None if token.overlap_ends.is_some_and(|ends| now < ends) => {
            Some(Badge { text: "old secret still works", tone: "warn" })
        }
        None => None,
    };
    TokenRow {
        id: token.id,
        name: token.name.clone(),
        standing,
        live: token.is_live(now),
        created: token.created,
        roles: token.roles.iter().map(Role::name).collect(),
        grants: grants::rows(&token.grants),
        owner: owned.owner_email.clone().unwrap_or_else(|| "somebody who was removed".to_owned()),
        last_used: token.last_used,
        last_used_ip: token.last_used_ip.map(|ip| ip.to_string()),
        ends: token.expires,
        networks: token.networks.iter().map(ToString::to_string).collect(),
        of_certificate: token.presented_by == PresentedBy::Certificate,
        version: token.version,
        rotate_refused: refusal("POST /app/tokens/{id}/rotate"),
        narrow_refused: refusal("POST /app/tokens/{id}"),
        revoke_refused: refusal("POST /app/tokens/{id}/revoke"),
        change: ChangeForm {
            roles: choices::of_roles(|role| token.roles.contains(role), token.roles),
            grants: grants::written(&token.grants),
            ..ChangeForm::default()
        },
    }
}

#[derive(Template)]
#[template(path = "token_secret.html")]
struct SecretPage<'a> {
    frame: Frame,
    name: String,
    owner: String,
    roles: Vec<&'static str>,
    grants: Vec<GrantRow>,
    ends: Option<Timestamp>,
    old_until: Option<Timestamp>,
    secret: &'a str,
    rack_url: String,
}

/// The one page that has the secret.
fn secret_page(
    web: &Web,
    request: &OwnRequest,
    title: &str,
    made: OwnedToken,
    secret: &Secret<String>,
) -> Result<OwnReply, Problem> {
    let origin = &request.head.origin;
    let (scheme, host) = (origin.scheme.name(), &origin.authority);
    let secret = secret.expose();
    let now = web.app().clock.now();
    let page = SecretPage {
        frame: Frame::of(web, request, title),
        name: made.token.name,
        owner: made.owner_email.unwrap_or_default(),
        roles: made.token.roles.iter().map(Role::name).collect(),
        grants: grants::rows(&made.token.grants),
        ends: made.token.expires,
        old_until: made.token.overlap_ends.filter(|ends| now < *ends),
        secret,
        rack_url: format!("export RACK_URL={scheme}://convox:{secret}@{host}/api/v1/rack-proxy"),
    };
    Ok(reply::html(&page)?.with_header(CACHE_CONTROL, "no-store"))
}

/// `POST /app/tokens`.
pub(crate) async fn create(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let (mut draft, asked) = drafted(web, request);
    if let Some(asked) = asked {
        let operator = app.operator(&request.caller, request.request_id);
        match tokens::issue(app, &operator, &request.caller, &request.facts, asked).await {
            Ok((made, secret)) => return secret_page(web, request, "Your new token", made, &secret),
            Err(error) => draft.at_its_field(error)?,
        }
    }
    // The verdict was about making a token: of others' tokens it says nothing.
    let page = page(web, request, &Query::default(), false, draft).await?;
    reply::html_with_status(400, &page)
}

/// The form as it was filled in, and what it asks for when that can be read.
fn drafted(web: &Web, request: &OwnRequest) -> (Draft, Option<Issue>) {
    let field = |name| request.field(name).unwrap_or_default().trim().to_owned();
    let roles = choices::ticked(&request.form);
    let mut draft = Draft::new(web, request, roles.clone().unwrap_or_default());
    (draft.name, draft.grants, draft.owner) = (field("name"), field("grants"), field("for"));
    draft.critical = request.field("critical").is_some();
    draft.networks = field("networks");
    let lifetime = field("expires");
    draft.lifetimes = choices::one_of(LIFETIMES, &lifetime);
    let roles = roles.map_err(|fault| draft.roles_fault = fault).ok();
    let expiry = if lifetime.is_empty() { Ok(Expiry::Usual) } else { lifetime.parse::<Expiry>() };
    let expiry = expiry.map_err(|error| draft.expiry_fault = error.to_string()).ok();
    let granted = grants::read(&draft.grants).map_err(|fault| draft.grants_fault = fault).ok();
    let (Some(roles), Some(expiry), Some(granted)) = (roles, expiry, granted) else { return (draft, None) };
    let asked = Issue {
        name: draft.name.clone(),
        roles,
        grants: with_critical(granted, draft.critical),
        expiry,
        owner: Some(draft.owner.clone()).filter(|owner| !owner.is_empty()),
        networks: draft.networks.split_whitespace().map(str::to_owned).collect(),
    };
    (draft, Some(asked))
}

/// The tick reaches every grant, and stands for all that the roles may when none is written.
fn with_critical(mut granted: Vec<Grant>, critical: bool) -> Vec<Grant> {
    if critical {
        if granted.is_empty() {
            granted.push(Grant::everything());
        }
        granted.iter_mut().for_each(|grant| grant.critical = true);
    }
    granted
}

/// `POST /app/tokens/{id}`.
pub(crate) async fn narrow(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let version = versions::expected(request)?;
    let entered = request.field("grants").unwrap_or_default();
    let (roles, granted) = (choices::ticked(&request.form), grants::read(entered));
    let mut form = ChangeForm { open: true, grants: entered.to_owned(), ..ChangeForm::default() };
    form.roles_fault = roles.as_ref().err().cloned().unwrap_or_default();
    form.grants_fault = granted.as_ref().err().cloned().unwrap_or_default();
    if let (Ok(roles), Ok(granted)) = (roles.clone(), granted) {
        let asked = Narrowing { roles: Some(roles), grants: Some(granted), ..Narrowing::default() };
        let operator = app.operator(&request.caller, request.request_id);
        match tokens::narrow(app, &operator, id, Expected::Version(version), asked).await {
            Ok(_narrowed) => return Ok(reply::done(PATH, "token-changed")),
            Err(error) => match &error {
                PeopleError::NoRole | PeopleError::Wider("roles") => form.roles_fault = error.to_string(),
                PeopleError::BadGrant(_) | PeopleError::TooManyGrants(_) | PeopleError::Wider(_) => {
                    form.grants_fault = error.to_string();
                }
                _ => return Err(versions::told(error.into(), PATH)),
            },
        }
    }
    not_narrowed(web, request, id, roles.unwrap_or_default(), form).await
}

/// The listing with that one token and its form, as it was filled in.
async fn not_narrowed(
    web: &Web,
    request: &OwnRequest,
    id: TokenId,
    ticked: RoleSet,
    mut form: ChangeForm,
) -> Result<OwnReply, Problem> {
    let owned = tokens::read(web.app(), id).await?;
    form.roles = choices::of_roles(|role| owned.token.roles.contains(role), ticked);
    let mut row = row(web, request, &owned);
    row.change = form;
    let page = TokensPage {
        frame: Frame::of(web, request, "API tokens"),
        may_see_all: gate::could_use(web.app(), &request.caller, "GET /app/tokens", false),
        all: false,
        text: String::new(),
        owner: String::new(),
        standings: choices::one_of(STANDINGS, ""),
        tokens: vec![row],
        overlaps: choices::one_of(OVERLAPS, ""),
        pager: Pager::default(),
        draft: Draft::new(web, request, RoleSet::EMPTY),
    };
    reply::html_with_status(400, &page)
}

/// `POST /app/tokens/{id}/rotate`.
pub(crate) async fn rotate(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let overlap = match request.field("overlap").filter(|text| !text.is_empty()) {
        Some(text) => tokens::overlap(text)?,
        None => tokens::USUAL_OVERLAP,
    };
    let operator = app.operator(&request.caller, request.request_id);
    let pem = request.field("certificate").map(str::trim).filter(|text| !text.is_empty());
    let certificate = pem.map(ClientCertificate::from_pem).transpose().map_err(PeopleError::from)?;
    let rotated = tokens::rotate(app, &operator, &request.caller, id, overlap, certificate.as_ref());
    match rotated.await? {
        (rotated, Some(secret)) => secret_page(web, request, "The token's new secret", rotated, &secret),
        (_bound, None) => Ok(reply::done(PATH, "token-changed")),
    }
}

/// `POST /app/tokens/{id}/revoke`.
pub(crate) async fn revoke(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let operator = app.operator(&request.caller, request.request_id);
    tokens::end(app, &operator, id).await?;
    Ok(reply::done(PATH, "token-revoked"))
}

fn id_of(request: &OwnRequest) -> Result<TokenId, Problem> {
    let id = request.parameter("id").and_then(|id| id.parse::<TokenId>().ok());
    id.ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, Layer::Authorization, "There is no token with this id.")
    })
}
