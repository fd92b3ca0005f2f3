//! What a request presents: one credential in the `Authorization` header, and at most one second factor,
//! behind the credential or in a header of its own.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_app::{cookies, hosts, sign_in};
use gateway_identity::{InlineError, InlineFactor, Presented as Inline, inline};
use gateway_types::{Channel, Layer, Problem, ProblemKind, Secret};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};

/// A one-time code, for clients that can send headers.
const TOTP: HeaderName = HeaderName::from_static("x-mfa-totp");

/// A passkey's assertion.
const WEBAUTHN: HeaderName = HeaderName::from_static("x-mfa-webauthn");

/// A presented credential, without the factor behind it.
#[derive(Clone, Debug)]
pub(crate) struct Credential(Arc<Secret<String>>);

impl Credential {
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Where a credential was presented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In the session cookie: a web session and nothing else.
    Cookie,
    /// In the `Authorization` header: anything but a web session.
    Header,
}

/// What was presented.
#[derive(Debug)]
pub(super) struct Presented {
    pub(super) place: Place,
    pub(super) credential: Credential,
    pub(super) factor: Option<InlineFactor>,
}

/// Takes what was presented out of the headers: from here on nobody needs the client's own spelling
/// of it. `None` when there is no credential.
///
/// # Security
/// The session cookie counts for pages and services only, and is taken out everywhere. Beside a token it is refused
/// everywhere: which of two credentials counts must never be a matter of precedence.
pub(super) fn take(headers: &mut HeaderMap, channel: Channel) -> Result<Option<Presented>, Problem> {
    let cookie = take_session_cookie(headers, channel);
    let presented = read(headers);
    for name in [AUTHORIZATION, TOTP, WEBAUTHN] {
        headers.remove(name);
    }
    match (presented?, cookie?) {
        (Some(_), Some(_)) => Err(malformed("the request has both a session cookie and a token; send one")),
        (None, Some(cookie)) if matches!(channel, Channel::Web | Channel::Service) => {
            let credential = Credential(Arc::new(cookie));
            Ok(Some(Presented { place: Place::Cookie, credential, factor: None }))
        }
        (presented, _) => Ok(presented),
    }
}

/// Takes the session cookie out of the `Cookie` headers and leaves the others.
fn take_session_cookie(headers: &mut HeaderMap, channel: Channel) -> Result<Option<Secret<String>>, Problem> {
    let (mut found, mut others): (Vec<Secret<String>>, Vec<String>) = (Vec::new(), Vec::new());
    for value in headers.get_all(COOKIE) {
        // A cookie that is no text is none of ours.
        for pair in
            value.to_str().unwrap_or_default().split(';').map(str::trim).filter(|pair| !pair.is_empty())
        {
            match pair.split_once('=') {
                Some((name, value)) if name.trim() == cookies::SESSION => {
                    found.push(Secret::new(value.trim().to_owned()))
                }
                // Those that bind ways to sign in to the browser are the gateway's own too.
                Some((name, _)) if channel == Channel::Service && is_of_sign_in(name.trim()) => {}
                Some(_) | None => others.push(pair.to_owned()),
            }
        }
    }
    headers.remove(COOKIE);
    if let Ok(rest) = HeaderValue::try_from(others.join("; "))
        && !rest.is_empty()
    {
        headers.insert(COOKIE, rest);
    }
    if found.len() > 1 {
        return Err(malformed(
            "there is more than one session cookie; remove the cookies of this site and sign in again",
        ));
    }
    Ok(found.pop())
}

fn is_of_sign_in(name: &str) -> bool {
    matches!(name, hosts::BROWSER_COOKIE | sign_in::BROWSER_COOKIE)
}

fn read(headers: &HeaderMap) -> Result<Option<Presented>, Problem> {
    let Some(value) = only(headers, &AUTHORIZATION)? else { return Ok(None) };
    let whole = credential_of(value)?;
    let Inline { credential, factor } = inline::split(whole.expose()).map_err(|fault| refused(&fault))?;
    let credential = Credential(Arc::new(Secret::new(credential.to_owned())));
    let in_header = factor_header(headers)?;
    if factor.is_some() && in_header.is_some() {
        return Err(refused(&InlineError::MoreThanOne));
    }
    Ok(Some(Presented { place: Place::Header, credential, factor: factor.or(in_header) }))
}

fn factor_header(headers: &HeaderMap) -> Result<Option<InlineFactor>, Problem> {
    if headers.contains_key(&WEBAUTHN) {
        return Err(refused(&InlineError::WebauthnNotAvailable));
    }
    let Some(value) = only(headers, &TOTP)? else { return Ok(None) };
    let code = value.to_str().ok().and_then(|text| text.parse().ok());
    code.map(|code| Some(InlineFactor::Totp(code)))
        .ok_or_else(|| malformed("the header X-Mfa-Totp holds no one-time code, which is exactly six digits"))
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        Some(_) => Err(malformed(&format!("there is more than one {name} header"))),
        None => Ok(first),
    }
}

fn credential_of(value: &HeaderValue) -> Result<Secret<String>, Problem> {
    let text =
        value.to_str().map_err(|_| malformed("the Authorization header holds characters that it cannot"))?;
    let (scheme, rest) =
        text.split_once(' ').ok_or_else(|| malformed("the Authorization header has no credential"))?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Secret::new(rest.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed("the Authorization scheme is neither Bearer nor Basic"));
    }
    let decoded = STANDARD.decode(rest).map_err(|_| malformed("the Basic credential is not base64"))?;
    let pair = String::from_utf8(decoded).map_err(|_| malformed("the Basic credential is not text"))?;
    let pair = Secret::new(pair);
    let (_, password) =
        pair.expose().split_once(':').ok_or_else(|| malformed("the Basic credential has no password"))?;
    Ok(Secret::new(password.to_owned()))
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemKind::MalformedRequest, Layer::Authentication, detail)
}

/// A factor that cannot be used, in a request that is otherwise well-formed.
fn refused(fault: &InlineError) -> Problem {
    Problem::new(ProblemKind::BadParameter, Layer::Authentication, fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `credential`, `credential+factor`, `-` for none, or the problem's kind.
    fn check(headers: &[(&'static str, &str)], expected: &str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let actual = match take(&mut map, Channel::RackProxy) {
            Ok(None) => "-".to_owned(),
            Ok(Some(Presented { credential, factor: None, .. })) => credential.expose().to_owned(),
            Ok(Some(Presented { credential, factor: Some(InlineFactor::Totp(code)), .. })) => {
                format!("{}+{}", credential.expose(), code.digits().expose())
            }
            Ok(Some(Presented { credential, factor: Some(InlineFactor::Backup(_)), .. })) => {
                format!("{}+backup", credential.expose())
            }
            Err(problem) => problem.kind.name().to_owned(),
        };
        assert_eq!(actual, expected, "{headers:?}");
        assert!(map.is_empty(), "{map:?}");
    }

    #[test]
    fn credentials() {
        let check = |value: &str, expected: &str| check(&[("authorization", value)], expected);
        check("Bearer rgw_x", "rgw_x");
        check("bearer rgw_x", "rgw_x");
        check("Basic Y29udm94OnJnd194", "rgw_x");
        check("Basic OnJnd194", "rgw_x");
        check("Basic Y29udm94OnJnd194OnR3bw==", "rgw_x:two");
        check("Basic Y29udm94", "malformed-request");
        check("Basic !!", "malformed-request");
        check("Digest x", "malformed-request");
        check("rgw_x", "malformed-request");
    }

    #[test]
    fn a_factor_comes_from_one_place() {
        let bare = ("authorization", "Bearer rgs_x");
        let with = ("authorization", "Bearer rgs_x.totp.123456");
        let header = ("x-mfa-totp", "123456");
        check(&[], "-");
        check(&[header], "-");
        check(&[with], "rgs_x+123456");
        check(&[bare, header], "rgs_x+123456");
        check(&[("authorization", "Bearer rgs_x.backup.abcde-fgh12")], "rgs_x+backup");
        check(&[with, header], "bad-parameter");
        check(&[bare, header, header], "malformed-request");
        check(&[bare, bare], "malformed-request");
        check(&[bare, ("x-mfa-totp", "12345")], "malformed-request");
        check(&[bare, ("x-mfa-totp", "")], "malformed-request");
        check(&[bare, ("x-mfa-webauthn", "eyJ")], "bad-parameter");
        check(&[("authorization", "Bearer rgs_x.webauthn.eyJ")], "bad-parameter");
        check(&[("authorization", "Bearer rgs_x.totp.12345")], "bad-parameter");
        // Basic carries any text, so also digits of other scripts.
        let full_width = STANDARD.encode("convox:rgs_x.totp.１２３４５６");
        check(&[("authorization", &format!("Basic {full_width}"))], "bad-parameter");
    }
}
