//! Whether what is asked for is the caller's own: the fact `own_object` of policy.
//!
//! # Security
//! Unsure means no. A yes must hold for whatever the operation will do with the same bytes, so that what
//! is read here is read in the one way that the handlers read it: a body that they would refuse may count
//! as one's own, a body that they could read otherwise never does. Where the two could still differ the
//! application functions compare again.

use form_urlencoded::parse;
use gateway_types::{
    ApprovalId, ElevationId, Principal, RevealId, SavedSearchId, SessionId, TokenId, UserId,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::control::OwnQuestion;
use crate::tokens::names_oneself;
use crate::{App, approvals};

#[cfg(test)]
mod tests;

/// Whether the question is about the caller or the caller's own.
pub async fn is_own(app: &App, question: OwnQuestion<'_>) -> bool {
    let person = matches!(question.principal, Principal::User { .. });
    let signed_in = !matches!(question.principal, Principal::Anonymous);
    match question.route.operation.action.as_str() {
        // About the caller by nature, or filtered by whoever answers.
        "gateway:me:read" | "gateway:policy:why"
        // Whose session it is, is compared where it is held.
        | "gateway:session:resume" => signed_in,
        "gateway:session:list"
        | "gateway:factor:list"
        | "gateway:factor:enrol"
        | "gateway:factor:backup_codes"
        | "gateway:auth:logout"
        | "gateway:auth:handoff"
        | "gateway:auth:sign_out_page"
        | "gateway:auth:device_confirm"
        // Whose challenge it is, is compared where it is found.
        | "gateway:auth:step_up" => person,
        "gateway:session:revoke" => match parameter(&question, "id") {
            // Without an id it is about all of one's own others.
            None => person,
            Some(id) => session(app, &question, id).await,
        },
        "gateway:factor:remove_device" => trusted_device(app, &question).await,
        "gateway:factor:rename" | "gateway:factor:remove" => factor(app, &question).await,
        "gateway:token:create" => token_for_oneself(&question),
        "gateway:token:list" => signed_in && switch(question.query, "all") == Switch::Off,
        "gateway:token:update" | "gateway:token:revoke" => token(app, &question, Itself::No).await,
        "gateway:token:rotate" => token(app, &question, Itself::Yes).await,
        "gateway:elevation:list" => signed_in && switch(question.query, "all") == Switch::Off,
        "gateway:elevation:approve" | "gateway:elevation:end" => elevation(app, &question).await,
        // A list without others' in it.
        "gateway:approval:list" => signed_in && switch(question.query, "mine") == Switch::On,
        "gateway:approval:read" | "gateway:approval:approve" | "gateway:approval:withdraw" => {
            approval(app, &question).await
        }
        "gateway:recording:list" => person_or_token(question.principal) && switch(question.query, "all") == Switch::Off,
        "gateway:secret:list_reveals" => signed_in && switch(question.query, "all") == Switch::Off,
        "gateway:secret:end_reveal" => reveal(app, &question).await,
        "gateway:audit:search" | "gateway:audit:story" => signed_in && switch(question.query, "mine") == Switch::On,
        // One's own, and what others shared.
        "gateway:audit:list_searches" | "gateway:audit:save_search" => person,
        "gateway:audit:remove_search" => saved_search(app, &question).await,
        "gateway:policy:can" => signed_in && asks_about_oneself(&question),
        // Everything else: somebody else's, or served by nobody yet.
        _ => false,
    }
}

/// Whether sessions are somebody's: a person's, or of a token of theirs.
fn person_or_token(principal: &Principal) -> bool {
    match principal {
        Principal::User { .. } | Principal::ApiToken { .. } => true,
        Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => false,
    }
}

fn parameter<'a>(question: &OwnQuestion<'a>, name: &str) -> Option<&'a str> {
    question.route.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

async fn session(app: &App, question: &OwnQuestion<'_>, id: &str) -> bool {
    let (Principal::User { id: user, .. }, Ok(id)) = (question.principal, id.parse::<SessionId>()) else {
        return false;
    };
    matches!(app.store.sessions().by_id(id).await, Ok(Some(session)) if session.user == *user)
}

/// Whether the elevation is of the person, or of the one whose token asks: what nobody may do to their own, their
/// token may not do either.
async fn elevation(app: &App, question: &OwnQuestion<'_>) -> bool {
    let Some(Ok(id)) = parameter(question, "id").map(str::parse::<ElevationId>) else { return false };
    let person = match question.principal {
        Principal::User { id, .. } => *id,
        Principal::ApiToken { creator, .. } => *creator,
        Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => return false,
    };
    matches!(app.store.elevations().by_id(id).await, Ok(Some(found)) if found.user == person)
}

/// Whether the caller asked for the approval, itself or by a token of theirs.
async fn approval(app: &App, question: &OwnQuestion<'_>) -> bool {
    let Some(Ok(id)) = parameter(question, "id").map(str::parse::<ApprovalId>) else { return false };
    let found = app.store.approvals().by_id(id).await;
    matches!(found, Ok(Some(row)) if approvals::is_own(question.principal, &row))
}

/// The app that a request about an approval is about: what its verdict is about.
pub async fn app_of(app: &App, question: OwnQuestion<'_>) -> Option<String> {
    match question.route.operation.action.as_str() {
        "gateway:approval:request" => object::<OfApp>(question.body).map(|of| of.app),
        "gateway:approval:read" | "gateway:approval:approve" | "gateway:approval:withdraw" => {
            let id = parameter(&question, "id")?.parse::<ApprovalId>().ok()?;
            app.store.approvals().by_id(id).await.ok().flatten().map(|row| row.app)
        }
        _ => None,
    }
}

/// The one member of the body that says which app it is about.
#[derive(Deserialize)]
struct OfApp {
    app: String,
}

async fn reveal(app: &App, question: &OwnQuestion<'_>) -> bool {
    let Some(Ok(id)) = parameter(question, "id").map(str::parse::<RevealId>) else { return false };
    let found = app.store.reveals().by_id(id).await;
    matches!(found, Ok(Some(found)) if crate::reveals::is_of(&found, question.principal))
}

async fn saved_search(app: &App, question: &OwnQuestion<'_>) -> bool {
    let Principal::User { id: user, .. } = question.principal else { return false };
    let Some(Ok(id)) = parameter(question, "id").map(str::parse::<SavedSearchId>) else { return false };
    let found = app.store.saved_searches().by_id(id).await;
    matches!(found, Ok(Some(found)) if found.user == *user)
}

async fn factor(app: &App, question: &OwnQuestion<'_>) -> bool {
    let Principal::User { id: user, .. } = question.principal else { return false };
    let Some(id) = parameter(question, "id") else { return false };
    let factors = app.store.factors().list(*user).await;
    factors.is_ok_and(|factors| factors.iter().any(|factor| factor.id.to_string() == id))
}

async fn trusted_device(app: &App, question: &OwnQuestion<'_>) -> bool {
    let Principal::User { id: user, .. } = question.principal else { return false };
    let Some(id) = parameter(question, "id") else { return false };
    let devices = app.store.trusted_devices().list(*user).await;
    devices.is_ok_and(|devices| devices.iter().any(|device| device.id.to_string() == id))
}

/// Whether a token may be meant by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Itself {
    Yes,
    No,
}

async fn token(app: &App, question: &OwnQuestion<'_>, itself: Itself) -> bool {
    let Some(Ok(id)) = parameter(question, "id").map(str::parse::<TokenId>) else { return false };
    match question.principal {
        Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => false,
        Principal::ApiToken { id: own, .. } => itself == Itself::Yes && *own == id,
        Principal::User { id: user, .. } => is_creator(app, *user, id).await,
    }
}

async fn is_creator(app: &App, user: UserId, id: TokenId) -> bool {
    matches!(app.store.tokens().by_id(id).await, Ok(Some(token)) if token.creator == user)
}

/// The one member of the body that says whose the token will be. A member that stands twice is an error
/// of serde's, and so no.
#[derive(Deserialize)]
struct ForWhom {
    #[serde(default, rename = "for")]
    owner: Option<String>,
}

fn token_for_oneself(question: &OwnQuestion<'_>) -> bool {
    let principal = question.principal;
    if !matches!(principal, Principal::User { .. }) {
        return false;
    }
    if question.route.page.is_some() {
        let mut named = question.form.iter().filter(|(name, _)| name == "for").map(|(_, value)| value.trim());
        return match (named.next(), named.next()) {
            (None, _) => true,
            (Some(one), None) => one.is_empty() || names_oneself(principal, one),
            (Some(_), Some(_)) => false,
        };
    }
    match object::<ForWhom>(question.body) {
        Some(ForWhom { owner: None }) => true,
        Some(ForWhom { owner: Some(named) }) => names_oneself(principal, &named),
        None => false,
    }
}

/// Some members of a JSON object. serde would read an array as well, member by member in the order of the
/// type, which is another one where the body is used.
fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    if body.trim_ascii_start().first() == Some(&b'{') { serde_json::from_slice(body).ok() } else { None }
}

/// The one member that says about whom it is asked.
#[derive(Deserialize)]
struct AboutWhom {
    #[serde(default)]
    subject: Option<serde::de::IgnoredAny>,
}

fn asks_about_oneself(question: &OwnQuestion<'_>) -> bool {
    question.route.page.is_none()
        && object::<AboutWhom>(question.body).is_some_and(|about| about.subject.is_none())
}

/// A parameter of a query that is `true` or `false`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    On,
    Off,
    Unsure,
}

fn switch(query: Option<&str>, name: &str) -> Switch {
    let mut values = parse(query.unwrap_or_default().as_bytes()).filter(|(known, _)| known == name);
    match (values.next(), values.next()) {
        (None, _) => Switch::Off,
        (Some((_, value)), None) if value == "true" => Switch::On,
        (Some((_, value)), None) if value == "false" => Switch::Off,
        _ => Switch::Unsure,
    }
}
