//! One person: what they may be, whether they are locked, and where they are signed in.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::error::PeopleError;
use gateway_app::rights::{Expected, person_behind};
use gateway_app::sessions::{self, ListedSession};
use gateway_app::users;
use gateway_store::{User, UserChange};
use gateway_types::{CredentialKind, Layer, Problem, ProblemKind, SessionId, Timestamp, UserId};

use super::choices::{self, Choice};
use super::users::PersonRow;
use super::{command, versions};
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, confirm, filters, gate, reply};

const PAGE_SIZE: u32 = 50;

#[derive(Template)]
#[template(path = "user.html")]
struct PersonPage {
    frame: Frame,
    id: UserId,
    person: PersonRow,
    version: i64,
    remove_to: String,
    shown_name: String,
    name_fault: String,
    roles: Vec<Choice>,
    roles_fault: String,
    change_refused: Option<String>,
    lock_refused: Option<String>,
    unlock_refused: Option<String>,
    reset_refused: Option<String>,
    remove_refused: Option<String>,
    sessions_href: Option<String>,
    tokens_href: Option<String>,
    audit_href: Option<String>,
    commands: Vec<String>,
}

/// `GET /app/users/{id}`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let user = users::read(web.app(), id_of(request)?).await?;
    reply::html(&page(web, request, &user))
}

fn page(web: &Web, request: &OwnRequest, user: &User) -> PersonPage {
    let (app, caller) = (web.app(), &request.caller);
    let oneself = person_behind(caller) == Some(user.id);
    // What nobody does to themselves is refused whatever their role is.
    let refusal = |page: &str| {
        let own = || "Nobody does this to themselves; ask another admin.".to_owned();
        gate::refusal(app, caller, page, false).or_else(|| oneself.then(own))
    };
    let email = command::word(&user.email);
    let commands =
        [("show", ""), ("roles", " deployer"), ("lock", " --reason 'left the team'"), ("remove", "")];
    PersonPage {
        frame: Frame::of(web, request, &user.email),
        id: user.id,
        person: PersonRow::of(user),
        version: user.version,
        remove_to: format!("{}/remove", address(user.id)),
        shown_name: user.name.clone(),
        name_fault: String::new(),
        roles: choices::of_roles(choices::for_people, user.roles),
        roles_fault: String::new(),
        change_refused: refusal("POST /app/users/{id}"),
        lock_refused: refusal("POST /app/users/{id}/lock"),
        unlock_refused: refusal("POST /app/users/{id}/unlock"),
        reset_refused: refusal("POST /app/users/{id}/reset-factors"),
        remove_refused: refusal("POST /app/users/{id}/remove"),
        sessions_href: gate::could_use(app, caller, "GET /app/users/{id}/sessions", false)
            .then(|| format!("/app/users/{}/sessions", user.id)),
        tokens_href: gate::could_use(app, caller, "GET /app/tokens", false).then(|| {
            Query::default().with("all", "true").with("owner", &user.id.to_string()).link("/app/tokens")
        }),
        audit_href: gate::could_use(app, caller, "GET /app/audit", false)
            .then(|| Query::default().with("actor", &user.email).link("/app/audit")),
        commands: commands.map(|(verb, rest)| format!("rack-gateway users {verb} {email}{rest}")).into(),
    }
}

/// `POST /app/users/{id}`.
pub(crate) async fn update(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let version = versions::expected(request)?;
    let user = users::read(app, id).await?;
    let mut page = page(web, request, &user);
    let roles = match choices::ticked(&request.form) {
        Ok(roles) => roles,
        Err(fault) => {
            page.roles_fault = fault;
            return reply::html_with_status(400, &page);
        }
    };
    let name = request.field("name").map(|name| name.trim().to_owned());
    page.roles = choices::of_roles(choices::for_people, roles);
    page.shown_name = name.clone().unwrap_or_default();
    let operator = app.operator(&request.caller, request.request_id);
    let change = UserChange { name, roles: Some(roles) };
    match users::update(app, &operator, &request.caller, id, Expected::Version(version), change).await {
        Ok(_changed) => Ok(reply::done(&address(id), "saved")),
        Err(error) => {
            let text = error.to_string();
            match error {
                PeopleError::BadName => page.name_fault = text,
                PeopleError::NoRole | PeopleError::MachineRole | PeopleError::AboveOwn(_) => {
                    page.roles_fault = text
                }
                other => return Err(versions::told(other.into(), &address(id))),
            }
            reply::html_with_status(400, &page)
        }
    }
}

/// `POST /app/users/{id}/lock`.
pub(crate) async fn lock(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let operator = app.operator(&request.caller, request.request_id);
    users::lock(app, &operator, &request.caller, id, request.field("reason")).await?;
    Ok(reply::done(&address(id), "locked"))
}

/// `POST /app/users/{id}/unlock`.
pub(crate) async fn unlock(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let operator = app.operator(&request.caller, request.request_id);
    users::unlock(app, &operator, id).await?;
    Ok(reply::done(&address(id), "unlocked"))
}

/// `POST /app/users/{id}/reset-factors`.
pub(crate) async fn reset_factors(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let operator = app.operator(&request.caller, request.request_id);
    users::reset_factors(app, &operator, &request.caller, id).await?;
    Ok(reply::done(&address(id), "factors-reset"))
}

/// `POST /app/users/{id}/remove`.
pub(crate) async fn remove(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let user = users::read(app, id).await?;
    confirm::typed(request, &user.email)?;
    let operator = app.operator(&request.caller, request.request_id);
    users::remove(app, &operator, &request.caller, id).await?;
    Ok(reply::done("/app/users", "removed"))
}

#[derive(Template)]
#[template(path = "user_sessions.html")]
struct SessionsPage {
    frame: Frame,
    id: UserId,
    email: String,
    sessions: Vec<SessionRow>,
    /// Why this person may not end them.
    refused: Option<String>,
    pager: Pager,
    command: String,
}

struct SessionRow {
    /// Where the form that ends it goes.
    end_at: String,
    device: String,
    kind: &'static str,
    ip: Option<String>,
    /// The program that opened it, as it says.
    client: String,
    /// From where it was last used, when that is another address.
    last_ip: Option<String>,
    created: Timestamp,
    last_seen: Timestamp,
    expires: Timestamp,
    current: bool,
}

impl SessionRow {
    fn of(listed: &ListedSession) -> Self {
        let session = &listed.session;
        Self {
            end_at: format!("{}/sessions/{}/revoke", address(session.user), session.id),
            device: session.device.clone(),
            kind: match session.kind {
                CredentialKind::CliSession => "command line",
                CredentialKind::WebSession
                | CredentialKind::None
                | CredentialKind::ApiToken
                | CredentialKind::AccessToken
                | CredentialKind::Workload => "web",
            },
            ip: session.ip.map(|ip| ip.to_string()),
            client: session.client.clone(),
            last_ip: session.last_ip.filter(|last| session.ip != Some(*last)).map(|ip| ip.to_string()),
            created: session.created,
            last_seen: session.last_seen,
            expires: session.expires,
            current: listed.current,
        }
    }
}

/// `GET /app/users/{id}/sessions`.
pub(crate) async fn sessions(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id, query) = (web.app(), id_of(request)?, Query::of(request));
    let user = users::read(app, id).await?;
    let cursor = query.one("cursor");
    let found = sessions::of_person(app, &request.caller, id, cursor.as_deref(), PAGE_SIZE).await?;
    reply::html(&SessionsPage {
        frame: Frame::of(web, request, "Sessions"),
        id,
        sessions: found.items.iter().map(SessionRow::of).collect(),
        refused: gate::refusal(app, &request.caller, "POST /app/users/{id}/sessions/{sid}/revoke", false),
        pager: Pager::new(&format!("{}/sessions", address(id)), &query, found.next.as_deref()),
        command: format!("rack-gateway sessions list --user {}", command::word(&user.email)),
        email: user.email,
    })
}

/// `POST /app/users/{id}/sessions/{sid}/revoke`.
pub(crate) async fn end_session(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let session = request.parameter("sid").and_then(|sid| sid.parse::<SessionId>().ok());
    let session = session.ok_or(PeopleError::NoSuchSession)?;
    let operator = app.operator(&request.caller, request.request_id);
    sessions::revoke(app, &operator, &request.caller, id, session).await?;
    Ok(reply::done(&format!("{}/sessions", address(id)), "session-revoked"))
}

/// `POST /app/users/{id}/sessions/revoke-all`.
pub(crate) async fn end_all_sessions(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let operator = app.operator(&request.caller, request.request_id);
    sessions::revoke_all_of(app, &operator, id).await?;
    Ok(reply::done(&format!("{}/sessions", address(id)), "sessions-revoked"))
}

fn id_of(request: &OwnRequest) -> Result<UserId, Problem> {
    let id = request.parameter("id").and_then(|id| id.parse::<UserId>().ok());
    id.ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, Layer::Authorization, "There is nobody with this id.")
    })
}

fn address(id: UserId) -> String {
    format!("/app/users/{id}")
}
