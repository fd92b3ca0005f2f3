//! Origins (RFC 6454): scheme, host and port of an address, as a browser and a gateway compare them.

use std::fmt;

/// A scheme.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// Plain HTTP: allowed for people on loopback only.
    Http,
    /// HTTP over TLS, here or at a listed forwarder.
    Https,
}

impl Scheme {
    /// The name in an address.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// An origin.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// Host and, when it is not the scheme's own, port; lower case.
    pub authority: String,
}

impl Origin {
    /// Whether cookies marked `Secure` and second factors may travel: TLS, or a name of this very machine.
    ///
    /// Source: W3C Secure Contexts, section 3.1.
    pub fn is_trustworthy(&self) -> bool {
        match self.scheme {
            Scheme::Https => true,
            // Names below `localhost` are of this very machine too (RFC 6761, section 6.3).
            Scheme::Http => {
                let host = self.host();
                matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost")
            }
        }
    }

    /// The host, without port.
    pub fn host(&self) -> &str {
        self.split().0
    }

    /// This origin's scheme and port with another host.
    #[must_use]
    pub fn with_host(&self, host: &str) -> Self {
        let authority = match self.split().1 {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Self { scheme: self.scheme, authority }
    }

    fn split(&self) -> (&str, Option<&str>) {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
            Some(_) | None => (&self.authority, None),
        }
    }

    /// An address below this origin; `path` begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scheme: Scheme, authority: &str, trustworthy: bool) {
        let origin = Origin { scheme, authority: authority.to_owned() };
        assert_eq!(origin.is_trustworthy(), trustworthy, "{origin}");
    }

    #[test]
    fn where_secrets_may_travel() {
        check(Scheme::Https, "gateway.example.com", true);
        check(Scheme::Http, "localhost:8443", true);
        check(Scheme::Http, "127.0.0.1:8443", true);
        check(Scheme::Http, "[::1]", true);
        check(Scheme::Http, "[::1]:8443", true);
        check(Scheme::Http, "wiki.localhost:8443", true);
        check(Scheme::Http, "localhost.example.com", false);
        check(Scheme::Http, "evillocalhost", false);
        check(Scheme::Http, "127.0.0.1.example.com:80", false);
        check(Scheme::Http, "10.0.0.1:8443", false);
    }
}
