//! Whether a request is the end of the sign-in that waits here.

use gateway_client::sign_in::SignInError;
use gateway_client::text::one_line;
use gateway_types::Secret;
use url::form_urlencoded;

use super::{Expected, Page};

/// The most headers that a browser sends.
const MOST_HEADERS: usize = 96;

/// What a request is.
#[derive(Debug)]
pub(super) enum Judged {
    /// The end, with its code.
    Code(Secret<String>),
    /// The end, with a no.
    Denied(SignInError),
    /// Something else, which gets this page.
    Other(Page),
}

/// Looks at the head of a request to `host`.
pub(super) fn judge(head: &[u8], host: &str, expected: &Expected) -> Judged {
    let Some(target) = target(head, host) else { return Judged::Other(Page::NotThisOne) };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    if path != "/callback" {
        return Judged::Other(Page::Nothing);
    }
    let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let once = |name: &str| {
        let mut values = parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() { Err(()) } else { Ok(first) }
    };
    let (Ok(state), Ok(issuer), Ok(code), Ok(error)) =
        (once("state"), once("iss"), once("code"), once("error"))
    else {
        return Judged::Other(Page::NotThisOne);
    };
    let is_ours = state.is_some_and(|state| same(state, &expected.state));
    if !is_ours || issuer != Some(expected.issuer.as_str()) {
        return Judged::Other(Page::NotThisOne);
    }
    match (code.filter(|code| !code.is_empty()), error) {
        (Some(code), None) => Judged::Code(Secret::new(code.to_owned())),
        (None, Some("access_denied")) => Judged::Denied(SignInError::Denied),
        (None, Some(error)) => Judged::Denied(SignInError::Protocol {
            error: one_line(error),
            description: once("error_description").ok().flatten().map(one_line).unwrap_or_default(),
        }),
        (Some(_), Some(_)) | (None, None) => Judged::Other(Page::NotThisOne),
    }
}

/// What a GET to this very host asks for.
fn target(head: &[u8], host: &str) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if !request.parse(head).ok()?.is_complete() || request.method != Some("GET") {
        return None;
    }
    let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let named = hosts.next()?.value;
    // A name that leads to this machine is not how the browser was sent here (M8).
    (hosts.next().is_none() && named == host.as_bytes()).then(|| request.path.map(str::to_owned)).flatten()
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn same(one: &str, other: &str) -> bool {
    let differing = one.bytes().zip(other.bytes()).fold(0u8, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differing == 0
}
