//! TLS at the public listener: off, certificate files, or certificates by ACME.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use gateway_types::Secret;
use url::{Host, Url};

use crate::config::{Acme, AcmeChallenge, CertificateFiles, DnsUpdate, ExternalAccount, Tls, TsigAlgorithm};
use crate::email::canonical_email;
use crate::fault::{FaultKind, Origin};
use crate::host::canonical_host;
use crate::keys::{self, Key};
use crate::resolver::Resolver;

/// The port of HTTPS.
pub(super) const HTTPS_PORT: u16 = 443;

/// The port of HTTP, where servers ask for HTTP-01 challenges.
const HTTP_PORT: u16 = 80;

/// The port of DNS.
const DNS_PORT: u16 = 53;

/// What `listener.tls` may say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Off,
    Files,
    Acme,
}

/// How TLS is done. `named` = the gateway has a host name of its own.
pub(super) fn tls(resolver: &mut Resolver<'_>, domain: Option<&str>, named: bool) -> Option<Tls> {
    let way = resolver.optional(&keys::LISTENER_TLS, way);
    let files = files(resolver);
    let acme = acme(resolver);
    let terms = resolver.switch(&keys::ACME_ACCEPT_TERMS);
    let (way, files, acme, terms) = (way?, files?, acme?, terms?);
    let said = way.is_some();
    let way = way.unwrap_or_else(|| {
        let of_its_own = domain.is_some() && resolver.origin(&keys::PORT) == Origin::Default;
        if of_its_own { Way::Acme } else { Way::Off }
    });
    let other = "listener.tls = \"files\"";
    if way != Way::Files && !files.is_empty() {
        return fault(resolver, &keys::TLS_CERTIFICATE_FILES, FaultKind::Incomplete { other });
    }
    match way {
        Way::Off => {
            resolver.show(&keys::LISTENER_TLS, "off".to_owned());
            Some(Tls::Off)
        }
        Way::Files if files.is_empty() => {
            let other = keys::TLS_CERTIFICATE_FILES.label();
            fault(resolver, &keys::LISTENER_TLS, FaultKind::Incomplete { other })
        }
        Way::Files => Some(Tls::Files(files)),
        Way::Acme => {
            resolver.show(&keys::LISTENER_TLS, "acme".to_owned());
            let key = if said { &keys::LISTENER_TLS } else { &keys::DOMAIN };
            if !terms {
                return fault(
                    resolver,
                    key,
                    FaultKind::TermsNotAccepted { directory: acme.directory.to_string() },
                );
            }
            if !named {
                let other = keys::DOMAIN.label();
                return fault(resolver, &keys::LISTENER_TLS, FaultKind::Incomplete { other });
            }
            Some(Tls::Acme(Box::new(acme)))
        }
    }
}

/// The port of the listener that answers challenges and sends everybody else to HTTPS; `None` = there is none.
pub(super) fn http_port(resolver: &mut Resolver<'_>, tls: &Tls, port: u16) -> Option<Option<u16>> {
    let given = resolver.optional(&keys::HTTP_PORT, |text| match text {
        "off" => Ok(None),
        _ => text.parse::<u16>().map(Some).map_err(|_bad| FaultKind::Malformed {
            value: text.escape_debug().to_string(),
            expected: "a port from 0 to 65535, or off",
        }),
    })?;
    let http_port = given.unwrap_or(match tls {
        Tls::Acme(_) => Some(HTTP_PORT),
        Tls::Off | Tls::Files(_) => None,
    });
    let shown = http_port.map_or_else(|| "off".to_owned(), |port| port.to_string());
    if *tls == Tls::Off && http_port.is_some() {
        let other = "listener.tls = \"acme\" or \"files\"";
        return fault(resolver, &keys::HTTP_PORT, FaultKind::Incomplete { other });
    }
    if http_port.is_some_and(|http| http != 0 && http == port) {
        let other = "the same port in listener.port";
        return fault(resolver, &keys::HTTP_PORT, FaultKind::Conflict { other });
    }
    let only_there = matches!(tls, Tls::Acme(acme) if acme.challenge == AcmeChallenge::Http01);
    if only_there && http_port.is_none() {
        let other = keys::HTTP_PORT.label();
        return fault(resolver, &keys::ACME_CHALLENGE, FaultKind::Incomplete { other });
    }
    resolver.show(&keys::HTTP_PORT, shown);
    Some(http_port)
}

/// Whether clients are asked for certificates.
pub(super) fn client_certificates(resolver: &mut Resolver<'_>, tls: Option<&Tls>) -> Option<bool> {
    let asked = resolver.switch(&keys::CLIENT_CERTIFICATES)?;
    if asked && tls == Some(&Tls::Off) {
        let other = "listener.tls = \"acme\" or \"files\"";
        return fault(resolver, &keys::CLIENT_CERTIFICATES, FaultKind::Incomplete { other });
    }
    Some(asked)
}

fn way(text: &str) -> Result<Way, FaultKind> {
    match text {
        "off" => Ok(Way::Off),
        "files" => Ok(Way::Files),
        "acme" => Ok(Way::Acme),
        _ => Err(FaultKind::Malformed {
            value: text.escape_debug().to_string(),
            expected: "a way of doing TLS: acme, files or off",
        }),
    }
}

fn files(resolver: &mut Resolver<'_>) -> Option<Vec<CertificateFiles>> {
    let certificates = resolver.many(&keys::TLS_CERTIFICATE_FILES, path);
    let secret_keys = resolver.many(&keys::TLS_KEY_FILES, path);
    let (certificates, secret_keys) = (certificates?, secret_keys?);
    if certificates.len() != secret_keys.len() {
        let (key, other) = if certificates.len() < secret_keys.len() {
            (&keys::TLS_KEY_FILES, "as many files in listener.tls_certificate_files")
        } else {
            (&keys::TLS_CERTIFICATE_FILES, "as many files in listener.tls_key_files")
        };
        return fault(resolver, key, FaultKind::Incomplete { other });
    }
    let pairs = certificates.into_iter().zip(secret_keys);
    Some(pairs.map(|(certificate, key)| CertificateFiles { certificate, key }).collect())
}

fn acme(resolver: &mut Resolver<'_>) -> Option<Acme> {
    let directory = resolver.one(&keys::ACME_DIRECTORY, directory);
    let ca_file = resolver.optional(&keys::ACME_CA_FILE, path);
    let contact = resolver.optional(&keys::ACME_CONTACT, contact);
    let external_account = external_account(resolver);
    let challenge = challenge(resolver);
    Some(Acme {
        directory: directory?,
        ca_file: ca_file?,
        contact: contact?,
        external_account: external_account?,
        challenge: challenge?,
    })
}

fn external_account(resolver: &mut Resolver<'_>) -> Option<Option<ExternalAccount>> {
    let key_id = resolver.optional(&keys::ACME_EAB_KEY_ID, |text| Ok(text.to_owned()));
    let key = resolver.secret(&keys::ACME_EAB_KEY);
    match (key_id?, key?) {
        (None, None) => Some(None),
        (Some(key_id), Some(key)) => {
            let Ok(bytes) = BASE64URL_NOPAD.decode(key.expose().trim_end_matches('=').as_bytes()) else {
                let expected = "an HMAC key in base64url, as the certificate authority gives it";
                return fault(resolver, &keys::ACME_EAB_KEY, FaultKind::MalformedSecret { expected });
            };
            Some(Some(ExternalAccount { key_id, key: Secret::new(bytes) }))
        }
        (Some(_), None) => {
            let other = keys::ACME_EAB_KEY.label();
            fault(resolver, &keys::ACME_EAB_KEY_ID, FaultKind::Incomplete { other })
        }
        (None, Some(_)) => {
            let other = keys::ACME_EAB_KEY_ID.label();
            fault(resolver, &keys::ACME_EAB_KEY, FaultKind::Incomplete { other })
        }
    }
}

fn challenge(resolver: &mut Resolver<'_>) -> Option<AcmeChallenge> {
    let given = resolver.optional(&keys::ACME_CHALLENGE, |text| match text {
        "tls-alpn-01" => Ok(Some(AcmeChallenge::TlsAlpn01)),
        "http-01" => Ok(Some(AcmeChallenge::Http01)),
        "dns-01" => Ok(None),
        _ => Err(FaultKind::Malformed {
            value: text.escape_debug().to_string(),
            expected: "a challenge: tls-alpn-01, http-01 or dns-01",
        }),
    });
    let dns = dns(resolver);
    match (given?, dns?) {
        (None, None) => Some(AcmeChallenge::InTurn),
        (None | Some(None), Some(update)) => Some(AcmeChallenge::Dns01(update)),
        (Some(Some(challenge)), None) => Some(challenge),
        (Some(None), None) => {
            let other = keys::ACME_DNS_SERVER.label();
            fault(resolver, &keys::ACME_CHALLENGE, FaultKind::Incomplete { other })
        }
        (Some(Some(_)), Some(_)) => {
            let other = keys::ACME_DNS_SERVER.label();
            fault(resolver, &keys::ACME_CHALLENGE, FaultKind::Conflict { other })
        }
    }
}

fn dns(resolver: &mut Resolver<'_>) -> Option<Option<DnsUpdate>> {
    let server = resolver.optional(&keys::ACME_DNS_SERVER, server);
    let zone = resolver.optional(&keys::ACME_DNS_ZONE, |text| dns_name(text, "a zone, such as example.com"));
    let key_name = resolver.optional(&keys::ACME_DNS_TSIG_NAME, |text| {
        dns_name(text, "the name of a TSIG key, such as gateway")
    });
    let algorithm = resolver.one(&keys::ACME_DNS_TSIG_ALGORITHM, algorithm);
    let secret = resolver.secret(&keys::ACME_DNS_TSIG_SECRET);
    let (server, zone, key_name, algorithm, secret) = (server?, zone?, key_name?, algorithm?, secret?);
    let given = [
        (&keys::ACME_DNS_SERVER, server.is_some()),
        (&keys::ACME_DNS_ZONE, zone.is_some()),
        (&keys::ACME_DNS_TSIG_NAME, key_name.is_some()),
        (&keys::ACME_DNS_TSIG_SECRET, secret.is_some()),
    ];
    if let (Some(server), Some(zone), Some(key_name), Some(secret)) = (server, zone, key_name, secret) {
        let Ok(bytes) = BASE64.decode(secret.expose().trim().as_bytes()) else {
            let expected = "the secret of a TSIG key in base64, as tsig-keygen writes it";
            return fault(resolver, &keys::ACME_DNS_TSIG_SECRET, FaultKind::MalformedSecret { expected });
        };
        let secret = Secret::new(bytes);
        return Some(Some(DnsUpdate { server, zone, key_name, algorithm, secret }));
    }
    let present = given.iter().find(|(_, is_given)| *is_given);
    let missing = given.iter().find(|(_, is_given)| !is_given);
    match (present, missing) {
        (Some((key, _)), Some((missing, _))) => {
            fault(resolver, key, FaultKind::Incomplete { other: missing.label() })
        }
        (None, _) | (Some(_), None) => Some(None),
    }
}

fn fault<T>(resolver: &mut Resolver<'_>, key: &Key, kind: FaultKind) -> Option<T> {
    let origin = resolver.origin(key);
    resolver.fault(key, origin, kind);
    None
}

fn path(text: &str) -> Result<PathBuf, FaultKind> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(FaultKind::Malformed {
            value: text.escape_debug().to_string(),
            expected: "an absolute path, such as /etc/rack-gateway/tls.pem",
        })
    }
}

/// Plain HTTP only to this machine: the answers decide what is believed of the account.
fn directory(text: &str) -> Result<Url, FaultKind> {
    let fault = || FaultKind::Malformed {
        value: text.escape_debug().to_string(),
        expected: "the https:// address of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory",
    };
    let url = Url::parse(text).map_err(|_bad| fault())?;
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    if is_private && url.host().is_some() && url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err(fault())
    }
}

fn contact(text: &str) -> Result<String, FaultKind> {
    canonical_email(text).map_err(|_bad| FaultKind::Malformed {
        value: text.escape_debug().to_string(),
        expected: "a bare e-mail address, such as ops@example.com",
    })
}

fn server(text: &str) -> Result<SocketAddr, FaultKind> {
    let with_port = text.parse::<SocketAddr>();
    with_port
        .or_else(|_none| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT)))
        .map_err(|_bad| FaultKind::Malformed {
            value: text.escape_debug().to_string(),
            expected: "the address of a DNS server, such as 10.0.0.53 or 10.0.0.53:5353",
        })
}

fn dns_name(text: &str, expected: &'static str) -> Result<String, FaultKind> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    // Names of keys often have underscores.
    canonical_host(&bare.replace('_', "-"))
        .map(|_checked| bare.to_ascii_lowercase())
        .ok_or_else(|| FaultKind::Malformed { value: text.escape_debug().to_string(), expected })
}

fn algorithm(text: &str) -> Result<TsigAlgorithm, FaultKind> {
    match text {
        "hmac-sha256" => Ok(TsigAlgorithm::HmacSha256),
        "hmac-sha384" => Ok(TsigAlgorithm::HmacSha384),
        "hmac-sha512" => Ok(TsigAlgorithm::HmacSha512),
        _ => Err(FaultKind::Malformed {
            value: text.escape_debug().to_string(),
            expected: "a TSIG algorithm: hmac-sha256, hmac-sha384 or hmac-sha512",
        }),
    }
}
