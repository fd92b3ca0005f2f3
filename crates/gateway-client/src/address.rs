//! Where a gateway is: an address that is safe to send a credential to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// Where the JSON API begins, below the gateway's address.
const API: [&str; 2] = ["api", "v1"];

/// The address of one gateway: https, or http on this machine; no credential, no query, no fragment.
///
/// It may have a path, when the gateway stands behind a prefix. It is written without a slash at its end,
/// so that two spellings of one address compare equal.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GatewayAddress(Url);

/// Why a text is no address of a gateway. No text repeats a credential that was in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressFault {
    /// It is no URL with a host.
    #[error("the gateway's address is not a URL")]
    NotAUrl,
    /// User name or password.
    #[error("the gateway's address holds a credential")]
    Credential,
    /// A query or a fragment.
    #[error("the gateway's address has a query or a fragment")]
    Extra,
    /// Plain HTTP beyond this machine.
    #[error("the token would cross the network in the clear: the gateway's address must be https")]
    Clear,
    /// Another scheme.
    #[error("the gateway's address must be https")]
    Scheme,
}

impl GatewayAddress {
    /// The address as a URL.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port, as browsers and RFC 9207's `iss` write them.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Host and port for people: `gateway.example.com:8443`.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Whether nothing leaves this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// An address below the gateway's own. Each segment is one, whatever is in it.
    pub fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments.iter().filter(|segment| !segment.is_empty()));
        }
        url
    }

    /// An address of the JSON API.
    pub fn api(&self, segments: &[&str]) -> Url {
        let below: Vec<&str> = API.iter().chain(segments).copied().collect();
        self.at(&below)
    }

    /// Whether `url` is one of this very gateway: the same origin, below its path, no credential in it.
    pub fn owns(&self, url: &Url) -> bool {
        let prefix = self.0.path().trim_end_matches('/');
        let below =
            url.path().strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.0.origin() == url.origin() && below && url.username().is_empty() && url.password().is_none()
    }
}

impl FromStr for GatewayAddress {
    type Err = AddressFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut url = Url::parse(text.trim()).map_err(|_| AddressFault::NotAUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressFault::Credential);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressFault::Extra);
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(AddressFault::Clear),
            _ => return Err(AddressFault::Scheme),
        }
        if url.host().is_none() {
            return Err(AddressFault::NotAUrl);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl TryFrom<String> for GatewayAddress {
    type Error = AddressFault;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GatewayAddress> for String {
    fn from(address: GatewayAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for GatewayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, AddressFault> {
        text.parse::<GatewayAddress>().map(|address| address.to_string())
    }

    #[test]
    fn an_address_has_one_spelling() {
        for (text, expected) in [
            ("https://g.example.com", "https://g.example.com"),
            (" https://G.example.com:443/ ", "https://g.example.com"),
            ("https://g.example.com:8443/behind/a/", "https://g.example.com:8443/behind/a"),
            ("http://localhost:8443", "http://localhost:8443"),
            ("http://127.0.0.2:1", "http://127.0.0.2:1"),
            ("http://[::1]:1/", "http://[::1]:1"),
        ] {
            assert_eq!(parse(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn m6_a_credential_is_not_sent_in_the_clear_nor_to_a_riddle() {
        for (text, fault) in [
            ("http://g.example.com", AddressFault::Clear),
            ("http://localhost.example.com", AddressFault::Clear),
            ("http://10.0.0.1", AddressFault::Clear),
            ("https://convox:secret@g.example.com", AddressFault::Credential),
            ("https://g.example.com@evil.example.com", AddressFault::Credential),
            ("https://g.example.com?x=1", AddressFault::Extra),
            ("https://g.example.com#x", AddressFault::Extra),
            ("ftp://g.example.com", AddressFault::Scheme),
            ("file:///etc/passwd", AddressFault::Scheme),
            ("g.example.com", AddressFault::NotAUrl),
            ("", AddressFault::NotAUrl),
        ] {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_segment_stays_one_segment() {
        let address: GatewayAddress = "https://g/behind".parse().unwrap();
        assert_eq!(
            address.api(&["users", "a/../b?c#d"]).as_str(),
            "https://g/behind/api/v1/users/a%2F..%2Fb%3Fc%23d"
        );
        assert_eq!(address.at(&["auth", "login"]).as_str(), "https://g/behind/auth/login");
        let root: GatewayAddress = "https://g".parse().unwrap();
        assert_eq!(root.at(&["app"]).as_str(), "https://g/app");
    }

    #[test]
    fn m1_only_the_gateways_own_pages_are_its_own() {
        let address: GatewayAddress = "https://g.example.com".parse().unwrap();
        let owns = |text: &str| address.owns(&Url::parse(text).unwrap());
        assert!(owns("https://g.example.com/step-up/1") && owns("https://g.example.com:443/app"));
        for foreign in [
            "http://g.example.com/app",
            "https://g.example.com:8443/app",
            "https://g.example.com.evil.org/app",
            "https://evil.org/g.example.com",
            "https://g.example.com@evil.org/app",
            "https://user@g.example.com/app",
            "javascript:alert(1)",
            "file:///etc/passwd",
        ] {
            assert!(!owns(foreign), "{foreign}");
        }
        let below: GatewayAddress = "https://g.example.com/a".parse().unwrap();
        assert!(!below.owns(&Url::parse("https://g.example.com/ab").unwrap()));
        assert!(below.owns(&Url::parse("https://g.example.com/a/app").unwrap()));
    }
}
