//! The rack behind the gateway: where it is, its credential, and how its certificate is checked.

use std::path::PathBuf;

use url::Url;

use crate::config::{Rack, Routes, UpstreamTls, Warning};
use crate::fault::FaultKind;
use crate::keys::{self, Key};
use crate::resolver::Resolver;
use crate::routes::Extended;

const EXPECTED_RACK: &str = "the rack's address; write a host, host:port, or a URL without path, query or credentials, such as https://rack.example.com (the password goes to RACK_TOKEN)";

pub(crate) fn rack(resolver: &mut Resolver<'_>) -> Option<Rack> {
    let url = resolver.one(&keys::RACK_HOST, rack_url);
    let username = resolver.one(&keys::RACK_USERNAME, username);
    let token = resolver.followed_secret(&keys::RACK_TOKEN);
    let name = resolver.optional(&keys::RACK_NAME, name);
    let tls = upstream_tls(resolver, url.as_ref());
    let tokens = resolver.switch(&keys::RACK_JWT);
    let token = token.and_then(|token| resolver.required(&keys::RACK_TOKEN, token));
    let url = url?;
    if url.scheme() == "http" && !is_loopback(&url) {
        resolver.warnings.push(Warning::RackWithoutTls { host: host_of(&url) });
    }
    let name = name?.unwrap_or_else(|| host_of(&url));
    let (token, token_from) = token?;
    Some(Rack { url, username: username?, token, token_from, tokens: tokens?, tls: tls?, name })
}

pub(crate) fn routes(resolver: &mut Resolver<'_>) -> Option<Routes> {
    let mut table = Extended::builtin();
    for route in &resolver.document.routes {
        table.add(route, &mut resolver.faults);
    }
    let switched_on = resolver.many(&keys::RACK_SWITCHED_ON, |text| table.switchable(text));
    let extra_rows = table.into_rows();
    Some(Routes { extra_rows, switched_on: switched_on? })
}

fn upstream_tls(resolver: &mut Resolver<'_>, url: Option<&Url>) -> Option<UpstreamTls> {
    let ca_file = resolver.optional(&keys::RACK_CA_FILE, |text| Ok(PathBuf::from(text)));
    let sha256 = resolver.optional(&keys::RACK_CERT_FINGERPRINT, fingerprint);
    let trust_first = resolver.switch(&keys::RACK_TRUST_ON_FIRST_USE);
    let (ca_file, sha256, trust_first) = (ca_file?, sha256?, trust_first?);
    let given: Vec<Key> = [
        (ca_file.is_some(), keys::RACK_CA_FILE),
        (sha256.is_some(), keys::RACK_CERT_FINGERPRINT),
        (trust_first, keys::RACK_TRUST_ON_FIRST_USE),
    ]
    .into_iter()
    .filter_map(|(is_given, key)| is_given.then_some(key))
    .collect();
    if let [first, others @ ..] = given.as_slice() {
        let plain = url.is_some_and(|url| url.scheme() == "http");
        let conflicts = others.iter().map(|other| (other, first.label()));
        let unused = plain.then_some((first, "an http:// rack, which has no certificate"));
        let faults: Vec<_> = conflicts.chain(unused).collect();
        for (key, other) in &faults {
            let origin = resolver.origin(key);
            resolver.fault(key, origin, FaultKind::Conflict { other });
        }
        if !faults.is_empty() {
            return None;
        }
    }
    Some(match (ca_file, sha256, trust_first) {
        (Some(path), _, _) => UpstreamTls::CaFile(path),
        (None, Some(sha256), _) => UpstreamTls::Pinned { sha256 },
        (None, None, true) => UpstreamTls::TrustOnFirstUse,
        (None, None, false) => UpstreamTls::SystemRoots,
    })
}

/// The value is not repeated in a fault: people paste `https://convox:TOKEN@host` here.
fn rack_url(text: &str) -> Result<Url, FaultKind> {
    let fault = || FaultKind::MalformedSecret { expected: EXPECTED_RACK };
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&with_scheme).map_err(|_| fault())?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.port() != Some(0)
        // The URL parser drops tabs and line ends and turns backslashes: what people wrote must be what is dialled.
        && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '\\' | '@'));
    if is_plain { Ok(url) } else { Err(fault()) }
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A colon would move the border between user name and password (RFC 7617, section 2).
fn username(text: &str) -> Result<String, FaultKind> {
    if text.chars().all(|c| c.is_ascii_graphic() && c != ':') {
        return Ok(text.to_owned());
    }
    let expected = "a user name of visible ASCII characters without a colon";
    Err(FaultKind::Malformed { value: text.escape_debug().to_string(), expected })
}

fn name(text: &str) -> Result<String, FaultKind> {
    if text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')) {
        return Ok(text.to_owned());
    }
    let expected = "a name of at most 64 letters, digits, dots, hyphens and underscores";
    Err(FaultKind::Malformed { value: text.escape_debug().to_string(), expected })
}

fn fingerprint(text: &str) -> Result<[u8; 32], FaultKind> {
    let fault = || FaultKind::Malformed {
        value: text.to_owned(),
        expected: "a SHA-256 fingerprint of 64 hexadecimal digits, as printed by `openssl x509 -noout -fingerprint -sha256`",
    };
    // OpenSSL prints `sha256 Fingerprint=AB:CD:…`; people paste all of it.
    let digits = text.rsplit_once('=').map_or(text, |(_, digits)| digits).replace(':', "");
    let mut bytes = [0u8; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(fault());
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| fault())?;
        if !pair.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(fault());
        }
        *byte = u8::from_str_radix(pair, 16).map_err(|_| fault())?;
    }
    Ok(bytes)
}
