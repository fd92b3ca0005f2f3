//! Sign-on over hosts: one sign-in at the gateway opens services at hosts of their own, and one sign-out
//! closes them all.
//!
//! A browser without a session at a service's host is sent to the gateway with a random name ([`begin`]).
//! There it has a session, or signs in, and is sent back with a code ([`hand_over`]). The code becomes a
//! secret of that same session at that one host ([`finish`]). It knows neither pages nor cookies' headers.
//!
//! # Security
//! A code is good once, for 30 seconds, at the host it was made for, in the browser that began there: a
//! secret that this browser alone holds at that host is presented with it. Where to go back to is kept
//! here, taken from the request that was refused, so that no link can name another place.

use std::fmt;
use std::net::IpAddr;

use data_encoding::BASE64URL_NOPAD;
use gateway_audit::{Actor, ActorKind, bounded};
use gateway_store::{Admission, HandoffFault, NewHandoff, WayBack};
use gateway_types::{Caller, Channel, Principal, RequestId, Secret, SessionId};

use crate::origin::{Origin, Scheme};
use crate::sign_in::{SignInError, kept_origin};
use crate::{App, Operator, record};

/// The cookie that binds a way to the browser that began it, at a service's host.
pub const BROWSER_COOKIE: &str = "__Host-rgw-handoff";

/// Where a browser comes back to, at the service's host.
pub const CALLBACK: &str = "/.rack-gateway/callback";

/// The page at which the gateway hands over.
pub const HAND_OVER: &str = "/auth/handoff";

/// The action of a session at a service's host.
const OPENED: &str = "gateway:auth:handoff_callback";

/// The longest address that is come back to, in bytes; what is longer leads to the service's first page.
const LONGEST_TARGET: usize = 8 * 1024;

/// A browser at a service's host.
#[derive(Clone, Copy)]
pub struct Visit<'a> {
    /// The origin as the browser has it.
    pub origin: &'a Origin,
    /// Path and query of what it asked for.
    pub target: &'a str,
    /// The value of [`BROWSER_COOKIE`], when it brought exactly one.
    pub browser: Option<&'a str>,
    /// From which address.
    pub source_ip: IpAddr,
}

impl fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the browser's secret.
        f.debug_struct("Visit").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A way to the gateway that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where the browser is sent.
    pub location: String,
    /// The value of `Set-Cookie` that binds the way to the browser.
    pub cookie: Secret<String>,
}

/// The gateway's own origin, for a browser that is at the origin `at` of one of its services; `None` when
/// it is not known yet, or secrets must not travel so.
///
/// # Errors
/// Only the store's.
pub async fn gateway_origin(app: &App, at: &Origin) -> Result<Option<Origin>, SignInError> {
    if !at.is_trustworthy() {
        return Ok(None);
    }
    if let Some(domain) = app.domain.as_deref() {
        // The same listener, or the same front, answers for both names.
        return Ok((at.scheme == Scheme::Https).then(|| at.with_host(domain)));
    }
    if let Some(kept) = kept_origin(app).await? {
        return Ok(Some(kept));
    }
    let is_local = at.scheme == Scheme::Http && at.host().ends_with(".localhost");
    Ok(is_local.then(|| at.with_host("localhost")))
}

/// Begins a way to the gateway. `None` when there is no way: the gateway's own origin is not known.
///
/// # Errors
/// [`SignInError::TooMany`], or the store's.
pub async fn begin(app: &App, visit: Visit<'_>) -> Result<Option<Begun>, SignInError> {
    let Some(gateway) = gateway_origin(app, visit.origin).await? else { return Ok(None) };
    // One secret for all tabs of a browser, so that none of them makes another's useless.
    let browser = match visit.browser.filter(|value| is_secret(value)) {
        Some(secret) => Secret::new(secret.to_owned()),
        None => random(app),
    };
    let id = keep(app, visit, browser.expose()).await?;
    let cookie = Secret::new(format!(
        "{BROWSER_COOKIE}={}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Lax",
        browser.expose(),
        gateway_store::HANDOFF_TIME.as_secs()
    ));
    let location = gateway.join(&format!("{HAND_OVER}?id={}", id.expose()));
    Ok(Some(Begun { location, cookie }))
}

/// Keeps where a browser comes back to, without any session in view: the `id` for [`way_back`].
///
/// # Errors
/// As [`begin`].
pub async fn keep_way_back(app: &App, visit: Visit<'_>) -> Result<Secret<String>, SignInError> {
    // No browser has this secret, so that no code of it is ever good.
    keep(app, visit, random(app).expose()).await
}

async fn keep(app: &App, visit: Visit<'_>, browser: &str) -> Result<Secret<String>, SignInError> {
    let id = random(app);
    let is_fine = visit.target.starts_with('/') && visit.target.len() <= LONGEST_TARGET;
    let new = NewHandoff {
        id: id.expose(),
        browser,
        origin: &visit.origin.to_string(),
        host: visit.origin.host(),
        target: if is_fine { visit.target } else { "/" },
        source_ip: visit.source_ip,
    };
    match app.store.handoffs().begin(new).await? {
        Admission::Admitted => Ok(id),
        Admission::TooMany => Err(SignInError::TooMany),
    }
}

/// Where a kept way leads back to, as an address; `None` when it is over or its host is no service's any more.
///
/// # Errors
/// Only the store's.
pub async fn way_back(app: &App, id: &str) -> Result<Option<String>, SignInError> {
    let way = app.store.handoffs().way_back(id).await?;
    Ok(way.filter(|way| leads_to_service(app, way)).map(|way| format!("{}{}", way.origin, way.target)))
}

/// Sends the browser of `caller`, who is signed in at the gateway, back to the service's host with a code.
///
/// # Errors
/// [`SignInError::Handoff`] when the way is over; [`SignInError::NotASession`]; the store's.
pub async fn hand_over(app: &App, caller: &Caller, id: &str) -> Result<String, SignInError> {
    let Principal::User { session, .. } = &caller.principal else { return Err(SignInError::NotASession) };
    let unknown = SignInError::Handoff { fault: HandoffFault::Unknown };
    if !is_secret(id) {
        return Err(unknown);
    }
    let Some((code, way)) = app.store.handoffs().issue(id, *session).await? else { return Err(unknown) };
    if !leads_to_service(app, &way) {
        return Err(unknown);
    }
    Ok(format!("{}{CALLBACK}?code={}", way.origin, code.expose()))
}

/// Whether a way leads to a host that is a service's now: one that lost its host must not be sent codes.
fn leads_to_service(app: &App, way: &WayBack) -> bool {
    let authority = way.origin.split_once("://").map_or("", |(_, authority)| authority);
    let origin = Origin { scheme: Scheme::Https, authority: authority.to_owned() };
    app.rules.services().owns_host(origin.host())
}

/// A session at a service's host.
pub struct Arrived {
    /// Its secret there, for the cookie.
    pub secret: Secret<String>,
    /// Path and query to go to, at the same host.
    pub target: String,
}

impl fmt::Debug for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrived").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Turns a code into a session at the host of `visit`; the event of it is written before.
///
/// # Errors
/// [`SignInError::Handoff`]; no session is opened, and the refusal is an event.
pub async fn finish(
    app: &App,
    visit: Visit<'_>,
    code: Option<&str>,
    request_id: RequestId,
) -> Result<Arrived, SignInError> {
    let refused = |fault| SignInError::Handoff { fault };
    let code = code.filter(|code| is_secret(code)).ok_or(refused(HandoffFault::Unknown))?;
    let session = app.store.handoffs().session_of(code).await?.ok_or(refused(HandoffFault::Unknown))?;
    let operator = operator(app, session, visit.source_ip, request_id).await?;
    let about = |session: SessionId| {
        let mut event = operator.event(OPENED);
        event.parameters.insert("host".to_owned(), bounded(visit.origin.host()));
        event.parameters.insert("session".to_owned(), session.to_string());
        event
    };
    record(&app.store, about(session)).await?;
    let browser = visit.browser.unwrap_or_default();
    match app.store.handoffs().take(code, browser, visit.origin.host()).await? {
        Ok(arrived) => Ok(Arrived { secret: arrived.secret, target: arrived.target }),
        Err(fault) => {
            let error = refused(fault);
            crate::sign_in::record_refused(app, about(session), &error).await;
            Err(error)
        }
    }
}

/// The context of the event: whose session it is.
async fn operator<'a>(
    app: &'a App,
    session: SessionId,
    source_ip: IpAddr,
    request_id: RequestId,
) -> Result<Operator<'a>, SignInError> {
    let owner = match app.store.sessions().by_id(session).await? {
        Some(session) => app.store.users().by_id(session.user).await?,
        None => None,
    };
    let actor = owner.map_or_else(Actor::anonymous, |user| Actor {
        credential_id: Some(session.to_string()),
        id: Some(user.id.to_string()),
        kind: ActorKind::User,
        name: bounded(&user.email),
        on_behalf_of: None,
    });
    Ok(Operator {
        actor,
        channel: Channel::Service,
        request_id: Some(request_id),
        source_ip: Some(source_ip),
        clock: &*app.clock,
        entropy: &*app.entropy,
    })
}

/// Whether a text can be one of these secrets: 256 bits in base64url.
fn is_secret(text: &str) -> bool {
    text.len() == 43 && BASE64URL_NOPAD.decode(text.as_bytes()).is_ok()
}

fn random(app: &App) -> Secret<String> {
    let mut random = [0u8; 32];
    app.entropy.fill(&mut random);
    Secret::new(BASE64URL_NOPAD.encode(&random))
}
