//! The form of a page: read whole, and shown to be of the session that sends it.
//!
//! # Security
//! Three things must agree before a form counts: the browser says that the page is of this gateway
//! (`Origin`, or `Sec-Fetch-Site`), the form carries the token of the session, and the session's cookie
//! came along, which `SameSite=Lax` keeps from other sites' forms. The token is looked at here, so that
//! no handler can forget to.

use std::ops::ControlFlow;

use data_encoding::BASE64URL_NOPAD;
use gateway_app::csrf;
use gateway_identity::InlineFactor;
use gateway_types::{Caller, Layer, Principal, Problem, ProblemKind};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, ORIGIN};

use crate::flow::{Flow, refuse};
use crate::plane::DataPlane;
use crate::reply::page_offer;

/// The field that carries the session's token.
pub(crate) const CSRF_FIELD: &str = "_csrf";

/// The field that carries a second factor.
pub(crate) const CODE_FIELD: &str = "_code";

/// The most fields of a form.
const MOST_FIELDS: usize = 1000;

/// A form.
#[derive(Debug)]
pub(crate) struct PageForm {
    /// Its fields, without the gateway's own two.
    pub(crate) fields: Vec<(String, String)>,
    /// The second factor that it carries.
    pub(crate) code: Option<InlineFactor>,
}

/// Reads a form that `caller` sends, at a service's host or at the gateway's own.
pub(crate) fn read(
    plane: &DataPlane,
    caller: &Caller,
    service_host: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Flow<PageForm> {
    if !comes_from_own_page(headers) {
        return refuse(Problem::new(
            ProblemKind::ForeignOrigin,
            Layer::Network,
            "the browser does not say that this form is of the gateway's own pages",
        ));
    }
    let (mut fields, mut tokens, mut codes) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in pairs(headers, body)? {
        match name.as_str() {
            CSRF_FIELD => tokens.push(value),
            CODE_FIELD => codes.push(value),
            _ => fields.push((name, value)),
        }
    }
    let is_of_session = match (&caller.principal, tokens.as_slice()) {
        (Principal::User { session, .. }, [token]) => {
            csrf::is_token(&plane.parts.store, *session, service_host, token)
        }
        // A page that needs no session: what makes such a form count is that browser's own secret.
        (Principal::Anonymous, []) => true,
        (
            Principal::User { .. }
            | Principal::Anonymous
            | Principal::ApiToken { .. }
            | Principal::AccessToken { .. }
            | Principal::Workload { .. },
            _,
        ) => false,
    };
    if !is_of_session {
        return refuse(Problem::new(
            ProblemKind::StaleForm,
            Layer::Authentication,
            "the form was shown to another session, or before you signed in anew; load the page again",
        ));
    }
    match codes.as_slice() {
        [] => ControlFlow::Continue(PageForm { fields, code: None }),
        [code] => match factor(code) {
            Some(code) => ControlFlow::Continue(PageForm { fields, code }),
            None => {
                refuse(malformed("the code is neither six digits nor a backup code, nor a passkey's answer"))
            }
        },
        _ => refuse(malformed("the form has more than one code")),
    }
}

/// What the socket of a page's script asks for, when it is of the session whose cookie came along. A handshake has no
/// form, and whatever it asks for is done, so the same three things must agree.
pub(crate) fn of_socket(
    plane: &DataPlane,
    caller: &Caller,
    headers: &HeaderMap,
) -> Flow<Vec<(String, String)>> {
    let offer = page_offer(headers);
    let is_own = match (&caller.principal, &offer) {
        (Principal::User { session, .. }, Some(offer)) => {
            csrf::is_token(&plane.parts.store, *session, None, offer.token)
        }
        (_, _) => false,
    };
    if !is_own || !comes_from_own_page(headers) {
        return refuse(Problem::new(
            ProblemKind::ForeignOrigin,
            Layer::Network,
            "the browser does not say that this socket is of the gateway's own pages; load the page again",
        ));
    }
    let values = offer.map(|offer| BASE64URL_NOPAD.decode(offer.values.as_bytes()));
    match values.unwrap_or_else(|| Ok(Vec::new())) {
        Ok(values) => ControlFlow::Continue(form_urlencoded::parse(&values).into_owned().collect()),
        Err(_fault) => refuse(malformed("what the socket asks for is not written as a page writes it")),
    }
}

/// A second factor as a person types it; `None` inside for an empty field.
fn factor(text: &str) -> Option<Option<InlineFactor>> {
    if text.trim().is_empty() { Some(None) } else { InlineFactor::typed(text).map(Some) }
}

/// Every browser of today says where a form is from, in one header or the other.
fn comes_from_own_page(headers: &HeaderMap) -> bool {
    // That an `Origin` that is there is the gateway's own was checked when the request was admitted.
    headers.contains_key(ORIGIN)
        || headers.get("sec-fetch-site").is_some_and(|site| site.as_bytes() == b"same-origin")
}

fn pairs(headers: &HeaderMap, body: &[u8]) -> Flow<Vec<(String, String)>> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return refuse(malformed("a form is sent as application/x-www-form-urlencoded"));
    }
    let mut pairs = Vec::new();
    for (name, value) in form_urlencoded::parse(body) {
        if pairs.len() == MOST_FIELDS {
            return refuse(malformed("the form has too many fields"));
        }
        if value.contains('\u{fffd}') || name.contains('\u{fffd}') || value.contains('\0') {
            return refuse(malformed("the form holds bytes that are no text"));
        }
        pairs.push((name.into_owned(), value.into_owned()));
    }
    ControlFlow::Continue(pairs)
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemKind::BadParameter, Layer::Network, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_as_people_type_them() {
        let kind = |text: &str| match factor(text) {
            None => "neither",
            Some(None) => "none",
            Some(Some(InlineFactor::Totp(_))) => "totp",
            Some(Some(InlineFactor::Backup(_))) => "backup",
            Some(Some(InlineFactor::Webauthn(_))) => "webauthn",
            Some(Some(InlineFactor::Yubico(_))) => "yubico",
        };
        assert_eq!(kind(""), "none");
        assert_eq!(kind("  "), "none");
        assert_eq!(kind("123456"), "totp");
        assert_eq!(kind(" 123 456 "), "totp");
        assert_eq!(kind("12345"), "neither");
        assert_eq!(kind("abcde-fgh12"), "backup");
        assert_eq!(kind("１２３４５６"), "neither");
    }
}
