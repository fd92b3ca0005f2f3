//! Addresses that other people's links carry: the page to go to after signing in, and where a command line
//! listens. Both are parsed strictly and never repaired.

use gateway_policy::OwnTable;
use gateway_services::{CanonicalPath, ServiceTable};
use serde::{Deserialize, Serialize};

use super::{SignInError, device_name};

/// Where a sign-in leads that has no better place.
pub const HOME: &str = "/app";

/// The longest page address that is kept, in bytes.
const LONGEST: usize = 2048;

/// The page to go to after signing in: `wish`, when it is exactly the path of one of the gateway's own pages
/// for signed-in people, or of a service on the gateway's own hosts, with or without a query; else [`HOME`].
///
/// # Security
/// An open redirect would lend the gateway's name to any site. So this accepts a closed language instead of
/// refusing known tricks: one slash, then a path that the table of pages has with GET, in which nothing is
/// encoded; a query of plain characters; no fragment. A path of a service is in its one spelling, which has
/// no empty segment. What comes out is a path, so a browser cannot read another host into it.
pub fn return_to(own: &OwnTable, services: &ServiceTable, wish: Option<&str>) -> String {
    let is_fine = |wish: &&str| is_plain(wish) && (is_own_page(own, wish) || is_service_page(services, wish));
    wish.filter(is_fine).unwrap_or(HOME).to_owned()
}

fn is_plain(wish: &str) -> bool {
    wish.len() <= LONGEST
        && wish
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'"' | b'<' | b'>'))
}

/// Whether it is below the prefix of a service on the gateway's own hosts.
fn is_service_page(services: &ServiceTable, wish: &str) -> bool {
    let path = wish.split('?').next().unwrap_or_default();
    CanonicalPath::parse(path).is_ok_and(|canonical| canonical.to_string() == path)
        && matches!(services.find("", path), Ok(Some(_)))
}

fn is_own_page(own: &OwnTable, wish: &str) -> bool {
    let (path, query) = wish.split_once('?').unwrap_or((wish, ""));
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let for_people = (below("/app") && !below("/app/static"))
        || path == "/device"
        || path == "/auth/handoff"
        || path == "/login/u2f"
        || below("/step-up");
    for_people && !query.contains('?') && own.identify("GET", path).is_ok_and(|route| route.page.is_some())
}

/// What a command line asks a browser for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CliRequest {
    redirect_uri: String,
    code_challenge: String,
    state: String,
    device: String,
}

impl CliRequest {
    /// Reads the parameters of `GET /auth/login?client=cli`; `one` gives a parameter that is there exactly
    /// once.
    ///
    /// # Errors
    /// [`SignInError::CliRequest`] naming what is wrong.
    ///
    /// Source: RFC 8252, sections 7.3 and 8.3; RFC 7636, section 4.3.
    pub fn read(one: impl Fn(&str) -> Option<String>) -> Result<Self, SignInError> {
        let fault = |fault| Err(SignInError::CliRequest { fault });
        let Some(redirect_uri) = one("redirect_uri").filter(|uri| is_loopback_listener(uri)) else {
            return fault(
                "redirect_uri must be http://127.0.0.1:PORT/callback or http://[::1]:PORT/callback with a port \
                 from 1024 to 65535",
            );
        };
        if one("code_challenge_method").as_deref() != Some("S256") {
            return fault("code_challenge_method must be S256");
        }
        let Some(code_challenge) = one("code_challenge").filter(|text| is_challenge(text)) else {
            return fault("code_challenge must be the SHA-256 of the verifier in 43 base64url characters");
        };
        let Some(state) = one("state").filter(|text| is_state(text)) else {
            return fault("state must be 8 to 256 letters, digits and any of -._~");
        };
        let device = device_name(&one("device").unwrap_or_default());
        Ok(Self { redirect_uri, code_challenge, state, device })
    }

    /// The device, as it is shown.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The parameters again, for links to each provider.
    pub fn parameters(&self) -> [(&'static str, &str); 6] {
        [
            ("client", "cli"),
            ("redirect_uri", &self.redirect_uri),
            ("code_challenge", &self.code_challenge),
            ("code_challenge_method", "S256"),
            ("state", &self.state),
            ("device", &self.device),
        ]
    }

    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    pub(super) fn code_challenge(&self) -> &str {
        &self.code_challenge
    }

    /// Where the browser brings `answer` to the command line.
    pub(super) fn way_back(&self, answer: &[(&str, &str)], issuer: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(answer).append_pair("state", &self.state).append_pair("iss", issuer);
        format!("{}?{}", self.redirect_uri, query.finish())
    }
}

/// Whether a text is exactly the address of a listener on this machine, by its number: a name could be
/// resolved to anything, and any other spelling of the number is somebody's trick.
fn is_loopback_listener(uri: &str) -> bool {
    let after_host = ["http://127.0.0.1:", "http://[::1]:"].iter().find_map(|start| uri.strip_prefix(start));
    let Some(port) = after_host.and_then(|rest| rest.strip_suffix("/callback")) else { return false };
    let digits = (4..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    digits && !port.starts_with('0') && port.parse::<u16>().is_ok_and(|port| port >= 1024)
}

fn is_challenge(text: &str) -> bool {
    data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).is_ok_and(|digest| digest.len() == 32)
}

fn is_state(text: &str) -> bool {
    (8..=256).contains(&text.len()) && text.bytes().all(is_unreserved)
}

/// RFC 3986, section 2.3.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
