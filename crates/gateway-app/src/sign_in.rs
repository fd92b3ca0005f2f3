//! Signing people in: at an identity provider in a browser, for a command line beside that browser, and for
//! a device that has none.
//!
//! It knows providers, people and sessions; it knows neither cookies' headers nor pages. What a browser began
//! is kept here, sealed, and bound to that browser by a secret of its own; nothing of it travels through the
//! provider but a random state. Start reading at [`begin_web`] and [`finish`]; a command line goes on at
//! [`tokens`], a device at [`devices`].
//!
//! Source: OpenID Connect Core 1.0; RFC 6749; RFC 7636; RFC 8252; RFC 8628; RFC 9207; RFC 9700.

mod addresses;
pub mod backchannel;
mod callback;
pub mod devices;
mod error;
pub(crate) mod events;
mod factor;
pub(crate) mod place;
pub mod refresh;
mod roles;
mod session;
pub mod tokens;
mod who;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use gateway_audit::text::is_hazard;
use gateway_identity::oidc::{Kept, Provider};
use gateway_store::{Admission, NewSignIn};
use gateway_types::{RequestId, Secret};
use serde::{Deserialize, Serialize};

pub use addresses::{CliRequest, HOME, return_to};
pub use callback::{Finished, finish};
pub use error::SignInError;
pub(crate) use events::record_refused;
pub use factor::{FactorGiven, ask_passkey, give_factor};
pub(crate) use place::kept as kept_origin;
pub use place::origin;
pub use session::{provider_logout, sign_out};

use crate::App;
use crate::origin::Origin;

/// The cookie that binds a sign-in to the browser that began it.
pub const BROWSER_COOKIE: &str = "__Host-rgw-login";

/// The cookie of a browser that needs no second factor to sign in.
pub const TRUSTED_COOKIE: &str = "__Host-rgw-device";

/// How long that cookie holds, in seconds: as long as a person has at the provider.
const BROWSER_COOKIE_SECONDS: u64 = gateway_store::SIGN_IN_TIME.as_secs();

/// The longest name of a device that is kept, in characters.
const DEVICE_CHARACTERS: usize = 100;

/// Whoever asks: a browser, or a command line.
#[derive(Clone, Copy)]
pub struct Visitor<'a> {
    /// The value of [`BROWSER_COOKIE`], when the browser brought exactly one.
    pub browser: Option<&'a str>,
    /// The value of [`TRUSTED_COOKIE`], when the browser brought exactly one.
    pub trusted: Option<&'a str>,
    /// From which address.
    pub source_ip: IpAddr,
    /// What kind of browser or command line it is, for people.
    pub device: &'a str,
    /// The program, as it says: its `User-Agent`.
    pub client: &'a str,
    /// In which request.
    pub request_id: RequestId,
}

/// A sign-in that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where the browser is sent.
    pub location: String,
    /// The value of `Set-Cookie` that binds it to the browser.
    pub cookie: Secret<String>,
}

/// What is kept, sealed, of a sign-in until the browser comes back.
#[derive(Serialize, Deserialize)]
struct KeptSignIn {
    provider: String,
    purpose: Purpose,
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
}

/// What a sign-in is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
enum Purpose {
    /// A web session, and then this page.
    Web { return_to: String },
    /// A code for a command line on the browser's own machine.
    Cli(CliRequest),
}

/// Begins a sign-in for a web session. `wish` is the page that the person wanted to see; anything but a page
/// of the gateway's own becomes [`HOME`].
///
/// # Errors
/// [`SignInError`]; nothing is then kept.
pub async fn begin_web(
    app: &App,
    provider: &str,
    wish: Option<&str>,
    claimed: &Origin,
    visitor: Visitor<'_>,
) -> Result<Begun, SignInError> {
    let return_to = return_to(&app.own, &app.rules.services(), wish);
    begin(app, provider, Purpose::Web { return_to }, claimed, visitor).await
}

/// Begins a sign-in for a command line.
///
/// # Errors
/// [`SignInError`]; nothing is then kept.
pub async fn begin_cli(
    app: &App,
    provider: &str,
    request: CliRequest,
    claimed: &Origin,
    visitor: Visitor<'_>,
) -> Result<Begun, SignInError> {
    begin(app, provider, Purpose::Cli(request), claimed, visitor).await
}

async fn begin(
    app: &App,
    provider: &str,
    purpose: Purpose,
    claimed: &Origin,
    visitor: Visitor<'_>,
) -> Result<Begun, SignInError> {
    let provider = provider_of(app, provider)?;
    let origin = place::holding(app, claimed).await?;
    let redirect_uri = origin.join(&format!("/auth/callback/{}", provider.name()));
    let begun = provider.begin(&*app.fetch, app.clock.now(), &*app.entropy, &redirect_uri).await?;
    // One secret for all tabs of a browser, so that its cookies do not grow with them.
    let browser = match visitor.browser_secret() {
        Some(secret) => Secret::new(secret.to_owned()),
        None => new_browser_secret(app),
    };
    let state = begun.kept.state.expose().clone();
    let kept = seal_form(provider.name(), purpose, begun.kept)?;
    let new =
        NewSignIn { state: &state, browser: browser.expose(), kept: &kept, source_ip: visitor.source_ip };
    match app.store.sign_ins().begin(new).await? {
        Admission::Admitted => Ok(Begun { location: begun.url, cookie: browser_cookie(&browser) }),
        Admission::TooMany => Err(SignInError::TooMany),
    }
}

fn seal_form(provider: &str, purpose: Purpose, kept: Kept) -> Result<Secret<Vec<u8>>, SignInError> {
    let form = KeptSignIn {
        provider: provider.to_owned(),
        purpose,
        state: kept.state.expose().clone(),
        nonce: kept.nonce.expose().clone(),
        verifier: kept.verifier.expose().clone(),
        redirect_uri: kept.redirect_uri.clone(),
    };
    serde_json::to_vec(&form).map(Secret::new).map_err(|_unwritable| SignInError::Kept)
}

fn provider_of<'a>(app: &'a App, name: &str) -> Result<&'a Arc<Provider>, SignInError> {
    app.providers.iter().find(|provider| provider.name() == name).ok_or(SignInError::UnknownProvider)
}

impl fmt::Debug for Visitor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the browser's secret.
        f.debug_struct("Visitor").field("source_ip", &self.source_ip).finish_non_exhaustive()
    }
}

impl<'a> Visitor<'a> {
    /// The browser's secret, when it can be one of ours; anything else is replaced.
    fn browser_secret(&self) -> Option<&'a str> {
        let value = self.browser?;
        (value.len() == 43 && BASE64URL_NOPAD.decode(value.as_bytes()).is_ok()).then_some(value)
    }
}

fn new_browser_secret(app: &App) -> Secret<String> {
    let mut random = [0u8; 32];
    app.entropy.fill(&mut random);
    Secret::new(BASE64URL_NOPAD.encode(&random))
}

/// `SameSite=Lax`, not `Strict`: the browser comes back from the provider's site.
fn browser_cookie(secret: &Secret<String>) -> Secret<String> {
    Secret::new(format!(
        "{BROWSER_COOKIE}={}; Path=/; Max-Age={BROWSER_COOKIE_SECONDS}; Secure; HttpOnly; SameSite=Lax",
        secret.expose()
    ))
}

/// A device's name as it is kept and shown: short, one line, nothing hidden.
pub fn device_name(said: &str) -> String {
    let visible: String = said.chars().filter(|c| !is_hazard(*c)).take(DEVICE_CHARACTERS).collect();
    let name = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() { "an unnamed device".to_owned() } else { name }
}

/// The longest name of a program that is kept, in characters.
const CLIENT_CHARACTERS: usize = 200;

/// A program's name as it is kept and shown; empty when it said none.
fn client_name(said: &str) -> String {
    let visible: String = said.chars().filter(|c| !is_hazard(*c)).take(CLIENT_CHARACTERS).collect();
    visible.trim().to_owned()
}
