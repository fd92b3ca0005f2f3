//! Pages of signing in: the choice of a provider, the way back from it, and signing out.
//!
//! What a sign-in is and whether it counts is the business of `gateway_app::sign_in`; here are addresses,
//! cookies and words.

pub(crate) mod factor;
#[cfg(test)]
mod tests;

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::sign_in::{
    self, BROWSER_COOKIE, CliRequest, Finished, HOME, SignInError, TRUSTED_COOKIE, Visitor, device_name,
};
use gateway_app::{App, cookies};
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE, USER_AGENT};

use crate::page::Frame;
use crate::{Web, reply};

/// The choice of a provider.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct ChoicePage {
    frame: Frame,
    choices: Vec<Choice>,
    /// The command line that asks; empty for a browser's own session.
    device: String,
    signed_out: bool,
}

/// A provider that can be chosen.
struct Choice {
    label: String,
    href: String,
}

/// `GET /auth/login`.
pub(crate) async fn login(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, query) = (web.app(), Pairs::of(request));
    let cli = match query.one("client").as_deref() {
        None => None,
        Some("cli") => Some(CliRequest::read(|name| query.one(name))?),
        Some(_) => return Err(bad("client can only be cli")),
    };
    let Some(provider) = query.one("provider") else {
        return choose(web, request, &query, cli.as_ref()).await;
    };
    asked_by_a_person(request)?;
    let (origin, device) = (&request.head.origin, browser_name(request));
    let visitor = visitor(request, &device);
    let begun = match cli {
        Some(cli) => sign_in::begin_cli(app, &provider, cli, origin, visitor).await?,
        None => {
            let wish = query.one("return_to");
            sign_in::begin_web(app, &provider, wish.as_deref(), origin, visitor).await?
        }
    };
    Ok(unstored(reply::see_other(&begun.location)).with_header(SET_COOKIE, begun.cookie.expose()))
}

async fn choose(
    web: &Web,
    request: &OwnRequest,
    query: &Pairs,
    cli: Option<&CliRequest>,
) -> Result<OwnReply, Problem> {
    // Said before anybody goes to a provider that could not bring them back.
    sign_in::origin(web.app(), &request.head.origin).await?;
    let page = ChoicePage {
        frame: Frame::of(web, request, "Sign in").narrow(),
        choices: choices(web.app(), query.one("return_to").as_deref(), cli),
        device: cli.map(|cli| cli.device().to_owned()).unwrap_or_default(),
        signed_out: query.is_there("signed_out"),
    };
    Ok(unstored(reply::html(&page)?))
}

fn choices(app: &App, wish: Option<&str>, cli: Option<&CliRequest>) -> Vec<Choice> {
    let return_to = sign_in::return_to(&app.own, &app.rules.services(), wish);
    let choice = |name: &str| {
        let mut link = form_urlencoded::Serializer::new(String::new());
        link.append_pair("provider", name);
        match cli {
            Some(cli) => {
                link.extend_pairs(cli.parameters());
            }
            None if return_to == HOME => {}
            None => {
                link.append_pair("return_to", &return_to);
            }
        }
        Choice { label: title_of(app, name), href: format!("/auth/login?{}", link.finish()) }
    };
    app.providers.iter().map(|provider| choice(provider.name())).collect()
}

/// What people read of a provider.
fn title_of(app: &App, name: &str) -> String {
    let configured = app.identity.providers.iter().find(|provider| provider.name == name);
    match configured.and_then(|provider| provider.title.clone()) {
        Some(title) => title,
        None if name == "github" => "GitHub".to_owned(),
        None => title(name),
    }
}

/// A provider's name as a title.
fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `GET /auth/callback/{provider}`.
pub(crate) async fn callback(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    asked_by_a_person(request)?;
    let provider = request.parameter("provider").unwrap_or_default();
    let query = request.head.query.as_deref().unwrap_or_default();
    let device = browser_name(request);
    let done = sign_in::finish(web.app(), provider, query, visitor(request, &device)).await?;
    Ok(finished(done))
}

/// Where a browser goes with what its sign-in came to.
fn finished(done: Finished) -> OwnReply {
    match done {
        Finished::Web { secret, return_to } => {
            unstored(reply::see_other(&return_to)).with_header(SET_COOKIE, &cookies::session(&secret))
        }
        Finished::Factor { location } => unstored(reply::see_other(&location)),
        Finished::Cli { redirect_to } => unstored(reply::see_other(&redirect_to)),
    }
}

/// What a browser reads that is signed out here and not at the provider.
#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutPage {
    frame: Frame,
    provider: String,
    at_provider: String,
}

/// `POST /auth/logout`.
pub(crate) async fn logout(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let provider = sign_in::sign_out(app, &request.caller, request.request_id).await?;
    let at_provider = match &provider {
        Some(provider) => sign_in::provider_logout(app, provider, &request.head.origin).await,
        None => None,
    };
    let done = match (provider, at_provider) {
        // By a link: a page's policy lets no form's answer lead to another site.
        (Some(provider), Some(at_provider)) => reply::html(&SignedOutPage {
            frame: Frame::of_nobody(web, request, "Signed out").narrow(),
            provider: title_of(app, &provider),
            at_provider,
        })?,
        (Some(_) | None, _) => reply::see_other("/auth/login?signed_out"),
    };
    Ok(unstored(done)
        .with_header(SET_COOKIE, &cookies::removed(cookies::SESSION))
        .with_header(SET_COOKIE, &cookies::removed(BROWSER_COOKIE)))
}

fn unstored(reply: OwnReply) -> OwnReply {
    reply.with_header(CACHE_CONTROL, "no-store")
}

fn bad(detail: &str) -> Problem {
    Problem::new(ProblemKind::BadParameter, Layer::Network, detail)
}

/// Refuses a browser that asks ahead of time or for a part of a page: a state is spent only for somebody who
/// looks. Browsers that do not say are old, and do neither for this address.
pub(crate) fn asked_by_a_person(request: &OwnRequest) -> Result<(), SignInError> {
    let header = |name: &str| {
        request.head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let ahead =
        ["sec-purpose", "purpose", "x-moz", "x-purpose"].into_iter().filter_map(header).any(|value| {
            let value = value.to_ascii_lowercase();
            ["prefetch", "prerender", "preview"].iter().any(|word| value.contains(word))
        });
    let part = header("sec-fetch-dest").is_some_and(|dest| dest != "document");
    let not_followed = header("sec-fetch-mode").is_some_and(|mode| mode != "navigate");
    if ahead || part || not_followed { Err(SignInError::NotAPerson) } else { Ok(()) }
}

fn visitor<'a>(request: &'a OwnRequest, device: &'a str) -> Visitor<'a> {
    Visitor {
        browser: cookie(request, BROWSER_COOKIE),
        trusted: cookie(request, TRUSTED_COOKIE),
        source_ip: request.caller.source_ip,
        device,
        client: agent(request),
        request_id: request.request_id,
    }
}

/// A cookie of the gateway's own; one that comes twice counts for nothing.
pub(crate) fn cookie<'a>(request: &'a OwnRequest, wanted: &str) -> Option<&'a str> {
    let headers = request.head.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = headers
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == wanted)
        .map(|(_, value)| value);
    let first = values.next();
    if values.next().is_some() { None } else { first }
}

/// What people call their browser: a version number in it would make a new device each month.
fn browser_name(request: &OwnRequest) -> String {
    named(agent(request))
}

fn agent(request: &OwnRequest) -> &str {
    request.head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The first that is found counts: each browser also claims to be those after it.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("HeadlessChrome/", "Chrome without a window"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

const SYSTEMS: &[(&str, &str)] = &[
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

fn named(agent: &str) -> String {
    let find = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(BROWSERS), find(SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => device_name(agent),
    }
}

/// The pairs of a query, decoded and otherwise as they came.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn of(request: &OwnRequest) -> Self {
        let query = request.head.query.as_deref().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The value of a parameter that is there exactly once.
    fn one(&self, name: &str) -> Option<String> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        let first = values.next();
        if values.next().is_some() { None } else { first.cloned() }
    }

    fn is_there(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}
