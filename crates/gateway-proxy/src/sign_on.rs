//! Sign-on over hosts, as far as the data plane has a hand in it: a browser that is refused at a service's
//! host for want of a session is sent to the gateway's own origin instead of being told so.

use gateway_app::hosts::{BROWSER_COOKIE, Visit};
use gateway_app::origin::Origin;
use gateway_types::{ProblemKind, Secret};
use http::header::{ACCEPT, AUTHORIZATION, COOKIE};
use http::{HeaderMap, Method};

use http::Response;
use std::net::IpAddr;

use crate::body::ReplyBody;
use crate::flow::Flow;
use crate::outcome::OutcomeGuard;
use crate::phases::forward::own_reply;
use crate::plane::DataPlane;
use crate::reply::Asker;

/// A browser that goes to a page at a service's host.
#[derive(Clone, Debug)]
pub(crate) struct Going {
    origin: Origin,
    target: String,
    browser: Option<Secret<String>>,
    source_ip: IpAddr,
}

impl Going {
    /// What these headers tell; `None` when it is no browser that a person points at a page.
    pub(crate) fn of(
        method: &Method,
        target: &str,
        headers: &HeaderMap,
        origin: &Origin,
        source_ip: IpAddr,
    ) -> Option<Self> {
        let says = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
        let wants_html = headers
            .get(ACCEPT)
            .is_some_and(|value| memchr::memmem::find(value.as_bytes(), b"text/html").is_some());
        // Browsers that do not say are old.
        let navigates = says("sec-fetch-mode").is_none_or(|mode| mode == b"navigate")
            && says("sec-fetch-dest").is_none_or(|dest| dest == b"document");
        let is_page =
            *method == Method::GET && wants_html && navigates && !headers.contains_key(AUTHORIZATION);
        is_page.then(|| Self {
            origin: origin.clone(),
            target: target.to_owned(),
            browser: browser_secret(headers),
            source_ip,
        })
    }

    pub(crate) fn visit(&self) -> Visit<'_> {
        Visit {
            origin: &self.origin,
            target: &self.target,
            browser: self.browser.as_ref().map(|secret| secret.expose().as_str()),
            source_ip: self.source_ip,
        }
    }
}

/// The browser's secret; one that comes twice counts for nothing.
fn browser_secret(headers: &HeaderMap) -> Option<Secret<String>> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = values
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == BROWSER_COOKIE)
        .map(|(_, value)| Secret::new(value.to_owned()));
    let first = found.next();
    if found.next().is_some() { None } else { first }
}

/// Sends a browser to the gateway when that is all it lacks; leaves every other answer as it is.
pub(crate) async fn lead(
    plane: &DataPlane,
    flow: Flow<Response<ReplyBody>>,
    asker: &Asker,
    outcome: &mut OutcomeGuard,
) -> Flow<Response<ReplyBody>> {
    let Flow::Break(problem) = flow else { return flow };
    let going = asker.going.as_ref().filter(|_| problem.kind == ProblemKind::Unauthenticated);
    let Some(going) = going else { return Flow::Break(problem) };
    match plane.parts.control.hand_off(going.visit()).await {
        Some(reply) => {
            // The request itself was refused, which is what the log says.
            outcome.problem(&problem);
            Flow::Continue(own_reply(reply))
        }
        None => Flow::Break(problem),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use gateway_app::origin::Scheme;

    use super::*;

    fn check(method: &Method, sent: &[(&'static str, &'static str)], expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        let origin = Origin { scheme: Scheme::Https, authority: "wiki.example.com".to_owned() };
        let going = Going::of(method, "/page", &headers, &origin, IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(going.is_some(), expected, "{method} {sent:?}");
    }

    #[test]
    fn only_a_person_who_goes_to_a_page_is_sent_to_sign_in() {
        let html = ("accept", "text/html,*/*");
        check(&Method::GET, &[html], true);
        check(&Method::GET, &[html, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], true);
        check(&Method::POST, &[html], false);
        check(&Method::HEAD, &[html], false);
        check(&Method::GET, &[("accept", "*/*")], false);
        check(&Method::GET, &[], false);
        check(&Method::GET, &[html, ("sec-fetch-mode", "cors")], false);
        check(&Method::GET, &[html, ("sec-fetch-dest", "iframe")], false);
        check(&Method::GET, &[html, ("authorization", "Bearer x")], false);
    }
}
