//! A place as people write it: a host, and a port unless it is the usual one.

use std::fmt;
use std::net::Ipv6Addr;

/// Where racks answer unless something else is said.
const HTTPS: u16 = 443;

/// A host and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Place {
    /// Reads `rack.internal`, `rack.internal:5443`, `10.0.0.1`, `::1` or `[::1]:5443`; the port is 443 unless given.
    ///
    /// # Errors
    /// A sentence about the form.
    pub fn parse(text: &str) -> Result<Place, String> {
        let form = || "a place is HOST or HOST:PORT, without a scheme and a path".to_owned();
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(form);
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(form)?;
                let _is_address: Ipv6Addr = host.parse().map_err(|_bad| form())?;
                let port = match rest.strip_prefix(':') {
                    Some(text) => port(text)?,
                    None if rest.is_empty() => HTTPS,
                    None => return Err(form()),
                };
                (host, port)
            }
            None if text.parse::<Ipv6Addr>().is_ok() => (text, HTTPS),
            None => match text.split_once(':') {
                Some((host, text)) => (host, port(text)?),
                None => (text, HTTPS),
            },
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_plain) {
            return Err(form());
        }
        Ok(Place { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (text, read) in [
            ("rack.internal", "rack.internal:443"),
            ("rack.internal:5443", "rack.internal:5443"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("::1", "[::1]:443"),
            ("[::1]", "[::1]:443"),
            ("[::1]:5443", "[::1]:5443"),
        ] {
            assert_eq!(Place::parse(text).unwrap().to_string(), read, "{text}");
        }
        for bad in [
            "",
            ":443",
            "rack:",
            "rack:0",
            "rack:65536",
            "https://rack",
            "rack/apps",
            "user@rack",
            "[::1",
            "[::1]x",
            "[rack]:443",
            "a b",
            "rack:1:2",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
