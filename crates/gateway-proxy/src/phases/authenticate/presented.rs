//! What a request presents: one credential in the `Authorization` header, or the client certificate of its
//! connection, and at most one second factor, behind the credential or in a header of its own.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_app::workloads::{self, Kind};
use gateway_app::{cookies, hosts, sign_in};
use gateway_identity::{ClientCertificate, InlineError, InlineFactor, Presented as Inline, inline};
use gateway_store::{CallerFault, Callers, KnownCaller, ResolveError};
use gateway_types::{Channel, Layer, Problem, ProblemKind, Secret, Timestamp};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use rustls_pki_types::CertificateDer;

/// A one-time code, for clients that can send headers.
const TOTP: HeaderName = HeaderName::from_static("x-mfa-totp");

/// What a passkey answered.
const WEBAUTHN: HeaderName = HeaderName::from_static("x-mfa-webauthn");

/// A presented credential, without the factor behind it.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// A token, or a cookie's value.
    Text(Arc<Secret<String>>),
    /// A client certificate whose key was proved in the handshake.
    Certificate(ClientCertificate),
}

impl Credential {
    fn text(secret: Secret<String>) -> Self {
        Self::Text(Arc::new(secret))
    }

    /// Who it stands for now. Notes the use, from address `from`.
    ///
    /// # Errors
    /// As [`Callers::resolve_from`]; a certificate that is not in its dates is expired, however long ago its
    /// connection began.
    pub(crate) async fn resolve(
        &self,
        callers: &Callers,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Arc<KnownCaller>, ResolveError> {
        match self {
            Credential::Text(secret) => callers.resolve_from(secret.expose(), from, now).await,
            Credential::Certificate(certificate) => {
                let known = match callers.resolve_certificate(certificate.key, from, now).await {
                    // No token is bound to its key: a trust rule may take what it names.
                    Err(ResolveError::Refused(CallerFault::Unknown)) => {
                        let (whole, kind) = (certificate.whole(), Kind::Certificate.name());
                        let known = callers.resolve_by_rule(
                            whole,
                            kind,
                            |rules| workloads::certificate_rule(certificate, rules, now),
                            from,
                            now,
                        );
                        known.await?
                    }
                    // That no token is bound to it is forgotten before who it is by a rule: without the database
                    // what is remembered of that counts.
                    Err(ResolveError::Store(error)) => callers
                        .remembered_by_rule(&certificate.whole(), from, now)
                        .unwrap_or(Err(ResolveError::Store(error)))?,
                    other => other?,
                };
                if certificate.is_valid_at(now) { Ok(known) } else { Err(CallerFault::Expired.into()) }
            }
        }
    }
}

/// Where a credential was presented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In the session cookie: a web session and nothing else.
    Cookie,
    /// In the `Authorization` header: anything but a web session.
    Header,
    /// In the TLS handshake: a token that a client certificate stands for.
    Handshake,
}

/// What was presented.
#[derive(Debug)]
pub(super) struct Presented {
    pub(super) place: Place,
    pub(super) credential: Credential,
    pub(super) factor: Option<InlineFactor>,
    /// A certificate beside a token in the header: both must be the same token.
    pub(super) beside: Option<Credential>,
}

/// Takes what was presented out of the headers: from here on nobody needs the client's own spelling
/// of it. `None` when there is no credential.
///
/// # Security
/// The session cookie counts for pages and services only, and is taken out everywhere. Beside a token it is refused
/// everywhere: which of two credentials counts must never be a matter of precedence. The same holds for a
/// cookie beside a client certificate.
pub(super) fn take(
    headers: &mut HeaderMap,
    certificate: Option<&CertificateDer<'_>>,
    channel: Channel,
) -> Result<Option<Presented>, Problem> {
    let cookie = take_session_cookie(headers, channel);
    let presented = read(headers);
    for name in [AUTHORIZATION, TOTP, WEBAUTHN] {
        headers.remove(name);
    }
    let certificate = certificate.map(|der| ClientCertificate::from_der(der)).transpose();
    let certificate = certificate.map_err(|_fault| malformed("the client certificate cannot be read"))?;
    let certificate = certificate.map(Credential::Certificate);
    match (presented?, cookie?, certificate) {
        (Some(_), Some(_), _) => {
            Err(malformed("the request has both a session cookie and a token; send one"))
        }
        (_, Some(_), Some(_)) => {
            Err(malformed("the request has both a session cookie and a client certificate; send one"))
        }
        (None, Some(cookie), None) if matches!(channel, Channel::Web | Channel::Service) => {
            let credential = Credential::text(cookie);
            Ok(Some(Presented { place: Place::Cookie, credential, factor: None, beside: None }))
        }
        (None, Some(_) | None, None) => Ok(None),
        // Browsers show certificates by themselves: a page that a machine could open would act for it.
        (None, None, Some(_)) if channel == Channel::Web => Ok(None),
        (None, None, Some(credential)) => {
            Ok(Some(Presented { place: Place::Handshake, credential, factor: None, beside: None }))
        }
        (Some(presented), None, beside) => Ok(Some(Presented { beside, ..presented })),
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
    matches!(name, hosts::BROWSER_COOKIE | sign_in::BROWSER_COOKIE | sign_in::TRUSTED_COOKIE)
}

fn read(headers: &HeaderMap) -> Result<Option<Presented>, Problem> {
    let Some(value) = only(headers, &AUTHORIZATION)? else { return Ok(None) };
    let whole = credential_of(value)?;
    let Inline { credential, factor } = inline::split(whole.expose()).map_err(|fault| refused(&fault))?;
    let credential = Credential::text(Secret::new(credential.to_owned()));
    let in_header = factor_header(headers)?;
    if factor.is_some() && in_header.is_some() {
        return Err(refused(&InlineError::MoreThanOne));
    }
    Ok(Some(Presented { place: Place::Header, credential, factor: factor.or(in_header), beside: None }))
}

fn factor_header(headers: &HeaderMap) -> Result<Option<InlineFactor>, Problem> {
    let answer = only(headers, &WEBAUTHN)?;
    let totp = only(headers, &TOTP)?;
    if let Some(answer) = answer {
        if totp.is_some() {
            return Err(refused(&InlineError::MoreThanOne));
        }
        let answer = answer.to_str().ok().and_then(|text| text.parse().ok());
        return answer.map(|answer| Some(InlineFactor::Webauthn(answer))).ok_or_else(|| {
            malformed(
                "the header X-Mfa-Webauthn holds no answer of a passkey, which is base64url of its JSON",
            )
        });
    }
    let Some(value) = totp else { return Ok(None) };
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
    use rustls_pki_types::pem::PemObject as _;

    use super::*;

    /// `credential`, `credential+factor`, `-` for none, or the problem's kind.
    fn check(headers: &[(&'static str, &str)], expected: &str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(taken(&mut map, None), expected, "{headers:?}");
        assert!(map.is_empty(), "{map:?}");
    }

    fn taken(headers: &mut HeaderMap, certificate: Option<&CertificateDer<'_>>) -> String {
        let exposed = |credential: &Credential| match credential {
            Credential::Text(secret) => secret.expose().clone(),
            Credential::Certificate(_) => "certificate".to_owned(),
        };
        match take(headers, certificate, Channel::RackProxy) {
            Ok(None) => "-".to_owned(),
            Ok(Some(Presented { credential, factor, beside, .. })) => {
                let factor = match factor {
                    None => String::new(),
                    Some(InlineFactor::Totp(code)) => format!("+{}", code.digits().expose()),
                    Some(InlineFactor::Backup(_)) => "+backup".to_owned(),
                    Some(InlineFactor::Webauthn(_)) => "+webauthn".to_owned(),
                    Some(InlineFactor::Yubico(_)) => "+yubico".to_owned(),
                };
                let beside = beside.map(|beside| format!("|{}", exposed(&beside))).unwrap_or_default();
                format!("{}{factor}{beside}", exposed(&credential))
            }
            Err(problem) => problem.kind.name().to_owned(),
        }
    }

    #[test]
    fn a_certificate_is_never_a_second_credential() {
        let pem = include_bytes!("../../../../gateway-identity/src/certificate/machine.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        let check = |header: Option<(&'static str, &str)>, der: &CertificateDer<'_>, expected: &str| {
            let mut map = HeaderMap::new();
            if let Some((name, value)) = header {
                map.append(name, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(taken(&mut map, Some(der)), expected, "{header:?}");
        };
        check(None, &der, "certificate");
        check(Some(("authorization", "Bearer rgw_x")), &der, "rgw_x|certificate");
        check(Some(("authorization", "Digest x")), &der, "malformed-request");
        check(Some(("cookie", "__Host-rgw=x")), &der, "malformed-request");
        check(Some(("cookie", "other=x")), &der, "certificate");
        check(None, &CertificateDer::from(vec![0x30, 0]), "malformed-request");
    }

    #[test]
    fn f8_credentials_are_read_strictly() {
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
    fn g1_a_factor_comes_from_one_place() {
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
        check(&[bare, ("x-mfa-webauthn", "eyJ")], "malformed-request");
        check(&[bare, header, ("x-mfa-webauthn", "eyJ")], "bad-parameter");
        check(&[("authorization", "Bearer rgs_x.webauthn.eyJ")], "bad-parameter");
        check(&[("authorization", "Bearer rgs_x.totp.12345")], "bad-parameter");
        // Basic carries any text, so also digits of other scripts.
        let full_width = STANDARD.encode("convox:rgs_x.totp.１２３４５６");
        check(&[("authorization", &format!("Basic {full_width}"))], "bad-parameter");
    }
}
