//! How the gateway mails people: by an SMTP server, by Postmark, or not at all.

use std::net::IpAddr;

use gateway_types::Secret;
use url::Url;

use crate::config::{Identity, Mail, Postmark, SmtpCredentials, SmtpServer, SmtpTls};
use crate::email::canonical_email;
use crate::fault::{FaultKind, Origin};
use crate::host::canonical_host;
use crate::keys::{self, Key};
use crate::resolver::Resolver;

/// The port of submission over TLS from the first byte (RFC 8314, section 3.3).
const TLS_PORT: u16 = 465;

/// `identity` is looked at for the domain of a sender that nobody named; `None` = it has faults.
pub(crate) fn mail(resolver: &mut Resolver<'_>, identity: Option<&Identity>) -> Option<Mail> {
    let from = sender(resolver);
    let server = server(resolver);
    let postmark = postmark(resolver);
    let (from, server, postmark) = (from?, server?, postmark?);
    let (key, transport) = match (server, postmark) {
        (None, None) => return Some(Mail::Off),
        (Some(_), Some(_)) => {
            let other = keys::SMTP_HOST.label();
            return fault(resolver, &keys::POSTMARK_API_TOKEN, FaultKind::Conflict { other });
        }
        (Some(server), None) => (&keys::SMTP_HOST, Transport::Smtp(server)),
        (None, Some(postmark)) => (&keys::POSTMARK_API_TOKEN, Transport::Postmark(postmark)),
    };
    let domain = identity?.providers.iter().find_map(|provider| provider.allowed_domains.first());
    let Some(from) = from.or_else(|| domain.map(|domain| format!("no-reply@{domain}"))) else {
        return fault(resolver, key, FaultKind::Incomplete { other: keys::MAIL_FROM.label() });
    };
    Some(match transport {
        Transport::Smtp(server) => Mail::Smtp { from, server },
        Transport::Postmark(account) => Mail::Postmark { from, account },
    })
}

enum Transport {
    Smtp(SmtpServer),
    Postmark(Postmark),
}

fn sender(resolver: &mut Resolver<'_>) -> Option<Option<String>> {
    let ours = resolver.optional(&keys::MAIL_FROM, address);
    let postmarks = resolver.optional(&keys::POSTMARK_FROM, address);
    let (ours, postmarks) = (ours?, postmarks?);
    if ours.is_some() && postmarks.is_some() {
        let other = keys::MAIL_FROM.label();
        return fault(resolver, &keys::POSTMARK_FROM, FaultKind::Conflict { other });
    }
    Some(ours.or(postmarks))
}

fn server(resolver: &mut Resolver<'_>) -> Option<Option<SmtpServer>> {
    let host = resolver.optional(&keys::SMTP_HOST, host);
    let port = resolver.integer(&keys::SMTP_PORT, 1, u16::MAX);
    let tls = resolver.one(&keys::SMTP_TLS, tls);
    let credentials = credentials(resolver);
    let (host, port, tls, credentials) = (host?, port?, tls?, credentials?);
    let Some(host) = host else {
        return match credentials {
            Some(_) => {
                let other = keys::SMTP_HOST.label();
                fault(resolver, &keys::SMTP_USERNAME, FaultKind::Incomplete { other })
            }
            None => Some(None),
        };
    };
    // Mail tells who may do what, and the password travels with it.
    if tls == SmtpTls::Off && !is_loopback(&host) {
        let expected = "a way to reach a server on another machine: write starttls or tls";
        return fault(resolver, &keys::SMTP_TLS, FaultKind::Malformed { value: "off".to_owned(), expected });
    }
    let is_default = resolver.origin(&keys::SMTP_PORT) == Origin::Default;
    let port = if tls == SmtpTls::Tls && is_default { TLS_PORT } else { port };
    resolver.show(&keys::SMTP_PORT, port.to_string());
    Some(Some(SmtpServer { host, port, tls, credentials }))
}

fn credentials(resolver: &mut Resolver<'_>) -> Option<Option<SmtpCredentials>> {
    let username = resolver.optional(&keys::SMTP_USERNAME, |text| Ok(text.to_owned()));
    let password = resolver.secret(&keys::SMTP_PASSWORD);
    match (username?, password?) {
        (Some(username), Some(password)) => Some(Some(SmtpCredentials { username, password })),
        (None, None) => Some(None),
        (Some(_), None) => {
            let other = keys::SMTP_PASSWORD.label();
            fault(resolver, &keys::SMTP_USERNAME, FaultKind::Incomplete { other })
        }
        (None, Some(_)) => {
            let other = keys::SMTP_USERNAME.label();
            fault(resolver, &keys::SMTP_PASSWORD, FaultKind::Incomplete { other })
        }
    }
}

fn postmark(resolver: &mut Resolver<'_>) -> Option<Option<Postmark>> {
    let token = resolver.secret(&keys::POSTMARK_API_TOKEN);
    let api_base = resolver.one(&keys::POSTMARK_API_BASE, api_base);
    let stream = resolver.one(&keys::POSTMARK_STREAM, stream);
    let (token, api_base, stream) = (token?, api_base?, stream?);
    let Some(token) = token else { return Some(None) };
    if !is_header_value(&token) {
        let expected = "a Postmark server token of visible ASCII characters";
        return fault(resolver, &keys::POSTMARK_API_TOKEN, FaultKind::MalformedSecret { expected });
    }
    Some(Some(Postmark { token, api_base, stream }))
}

fn fault<T>(resolver: &mut Resolver<'_>, key: &Key, kind: FaultKind) -> Option<T> {
    let origin = resolver.origin(key);
    resolver.fault(key, origin, kind);
    None
}

fn address(text: &str) -> Result<String, FaultKind> {
    canonical_email(text).map_err(|_| FaultKind::Malformed {
        value: text.escape_debug().to_string(),
        expected: "a bare e-mail address, such as gateway@example.com",
    })
}

fn host(text: &str) -> Result<String, FaultKind> {
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    canonical_host(text).ok_or_else(|| FaultKind::Malformed {
        value: text.escape_debug().to_string(),
        expected: "a host name or address without port, such as smtp.example.com",
    })
}

fn tls(text: &str) -> Result<SmtpTls, FaultKind> {
    match text {
        "starttls" => Ok(SmtpTls::StartTls),
        "tls" => Ok(SmtpTls::Tls),
        "off" => Ok(SmtpTls::Off),
        _ => Err(FaultKind::Malformed {
            value: text.escape_debug().to_string(),
            expected: "a way to do TLS: starttls, tls or off",
        }),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The token goes there: whoever reads it on its way can mail as the gateway.
fn api_base(text: &str) -> Result<Url, FaultKind> {
    let fault = || FaultKind::MalformedSecret {
        expected: "an https:// URL without path, query or credentials, such as https://api.postmarkapp.com",
    };
    let url = Url::parse(text).map_err(|_| fault())?;
    let host = url.host_str().unwrap_or_default();
    let private =
        url.scheme() == "https" || (url.scheme() == "http" && is_loopback(host.trim_matches(['[', ']'])));
    let plain = url.path() == "/"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if private && plain { Ok(url) } else { Err(fault()) }
}

fn stream(text: &str) -> Result<String, FaultKind> {
    let is_name =
        text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if is_name {
        return Ok(text.to_owned());
    }
    let expected = "the id of a Postmark message stream, such as outbound";
    Err(FaultKind::Malformed { value: text.escape_debug().to_string(), expected })
}

fn is_header_value(token: &Secret<String>) -> bool {
    token.expose().chars().all(|c| c.is_ascii_graphic())
}
