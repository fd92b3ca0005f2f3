//! The authorization endpoint: a page on which somebody is chosen, and the code for the choice.

use std::time::Duration;

use askama::Template;
use data_encoding::BASE64URL_NOPAD;
use gateway_types::Timestamp;
use url::Url;
use url::form_urlencoded::Serializer;

use super::server::{Request, Shared, once};
use super::{DevClient, DevPerson, IdpFault};
use crate::options::random_bytes;
use crate::reply::{Body, Reply};

/// How long a code works.
pub(super) const CODE_LIVES: Duration = Duration::from_secs(60);

/// No script, nothing from elsewhere. There is no `form-action`: browsers apply it to every redirect that
/// follows the form, also to those of the client, whose ways are its own.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a code stands for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) client: String,
    pub(super) redirect_uri: String,
    /// The PKCE challenge, S256.
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) person: DevPerson,
    pub(super) given_at: Timestamp,
}

/// A request whose client and way back are known, so that errors can be told there.
struct Asked<'a> {
    client: &'a DevClient,
    redirect_uri: &'a str,
    back: Url,
    state: Option<&'a str>,
}

/// What a code is asked for with.
struct Terms<'a> {
    challenge: &'a str,
    nonce: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "sign_in_as.html")]
struct SignInAs<'a> {
    client: &'a str,
    back: String,
    action: String,
    people: &'a [DevPerson],
}

/// `GET /authorize`.
pub(super) fn page(shared: &Shared, request: &Request) -> Reply {
    let asked = match asked(shared, request) {
        Ok(asked) => asked,
        Err(reply) => return reply,
    };
    if let Err((error, description)) = terms(request) {
        return refuse(shared, &asked, error, description);
    }
    let query = Serializer::new(String::new()).extend_pairs(&request.query).finish();
    let page = SignInAs {
        client: &asked.client.id,
        back: asked.back.origin().ascii_serialization(),
        action: format!("/authorize?{query}"),
        people: &shared.options.people,
    };
    match page.render() {
        Ok(html) => Reply::stream(Body::Bytes(html.into_bytes()), Some("text/html; charset=utf-8"))
            .with("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            .with("Referrer-Policy", "no-referrer"),
        Err(_) => Reply::text(500, "the page cannot be written\n"),
    }
}

/// `POST /authorize`, with the same query and the field `person`: an address, or nothing to refuse.
pub(super) fn chosen(shared: &Shared, request: &Request) -> Reply {
    let asked = match asked(shared, request) {
        Ok(asked) => asked,
        Err(reply) => return reply,
    };
    let terms = match terms(request) {
        Ok(terms) => terms,
        Err((error, description)) => return refuse(shared, &asked, error, description),
    };
    let Some(email) = once(&request.form, "person") else {
        return refuse(shared, &asked, "access_denied", "nobody was chosen");
    };
    let Some(person) = shared.options.people.iter().find(|person| person.email == email) else {
        return Reply::text(400, "nobody here has this address\n");
    };
    let code = BASE64URL_NOPAD.encode(&random_bytes::<32>());
    let now = shared.now();
    let grant = Grant {
        client: asked.client.id.clone(),
        redirect_uri: asked.redirect_uri.to_owned(),
        challenge: terms.challenge.to_owned(),
        nonce: terms.nonce.map(str::to_owned),
        person: person.clone(),
        given_at: now,
    };
    let mut state = shared.state();
    state.grants.retain(|_, grant| is_fresh(grant, now));
    state.grants.insert(code.clone(), grant);
    drop(state);
    send_back(shared, &asked, &[("code", &code)])
}

/// The page's stylesheet.
pub(super) fn style() -> Reply {
    let style = include_str!("style.css").as_bytes().to_vec();
    Reply::stream(Body::Bytes(style), Some("text/css; charset=utf-8"))
}

/// Whether a code still works.
pub(super) fn is_fresh(grant: &Grant, now: Timestamp) -> bool {
    now.checked_since(grant.given_at).is_none_or(|age| age < CODE_LIVES)
}

/// Who asks, and where people are sent back to. As long as that is not known, nobody is sent anywhere.
fn asked<'a>(shared: &'a Shared, request: &'a Request) -> Result<Asked<'a>, Reply> {
    let refused = |text: &str| Err(Reply::text(400, format!("{text}\n")));
    let client = once(&request.query, "client_id")
        .and_then(|id| shared.options.clients.iter().find(|client| client.id == id));
    let Some(client) = client else { return refused("this client_id is not known here") };
    let redirect_uri = once(&request.query, "redirect_uri").unwrap_or_default();
    match client.redirect(redirect_uri) {
        Some(back) => Ok(Asked { client, redirect_uri, back, state: once(&request.query, "state") }),
        None => refused("this redirect_uri is not registered for the client"),
    }
}

/// What is asked for, or the error and its description.
fn terms(request: &Request) -> Result<Terms<'_>, (&'static str, &'static str)> {
    let value = |name: &str| once(&request.query, name);
    if value("response_type") != Some("code") {
        return Err(("unsupported_response_type", "response_type must be code"));
    }
    if value("response_mode").is_some_and(|mode| mode != "query") {
        return Err(("invalid_request", "response_mode must be query"));
    }
    if !value("scope").unwrap_or_default().split(' ').any(|scope| scope == "openid") {
        return Err(("invalid_scope", "scope must have openid"));
    }
    // RFC 7636, section 4.3: without a method it is `plain`, which is not taken here.
    if value("code_challenge_method") != Some("S256") {
        return Err(("invalid_request", "code_challenge_method must be S256"));
    }
    let challenge = value("code_challenge")
        .filter(|challenge| challenge.len() == 43 && BASE64URL_NOPAD.decode(challenge.as_bytes()).is_ok());
    match challenge {
        Some(challenge) => Ok(Terms { challenge, nonce: value("nonce") }),
        None => Err(("invalid_request", "code_challenge must be the base64url form of a SHA-256")),
    }
}

fn refuse(shared: &Shared, asked: &Asked<'_>, error: &str, description: &str) -> Reply {
    send_back(shared, asked, &[("error", error), ("error_description", description)])
}

/// Source: RFC 6749, section 4.1.2; RFC 9207, section 2.
fn send_back(shared: &Shared, asked: &Asked<'_>, parameters: &[(&str, &str)]) -> Reply {
    let mut iss = Some(shared.issuer().to_owned());
    let mut state = asked.state.map(str::to_owned);
    for fault in &shared.state().faults {
        match fault {
            IdpFault::CallbackIssuer(other) => iss.clone_from(other),
            IdpFault::CallbackState(other) => state = Some(other.clone()),
            _ => {}
        }
    }
    let mut back = asked.back.clone();
    back.query_pairs_mut()
        .extend_pairs(parameters)
        .extend_pairs(state.map(|state| ("state", state)))
        .extend_pairs(iss.map(|iss| ("iss", iss)));
    Reply::empty(303).with("Location", back.to_string()).with("Referrer-Policy", "no-referrer")
}
