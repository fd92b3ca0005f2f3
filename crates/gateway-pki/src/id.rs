//! Names in the zone: trust domains and SPIFFE ids, parsed strictly.
//!
//! Narrower than SPIFFE-ID section 2 allows: segments are DNS labels, so that every id has one DNS name, by which
//! authorities are constrained (rustls-webpki refuses constraints over URIs).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is no name of a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdFault {
    /// Not a trust domain.
    #[error("a trust domain is at most 200 characters of labels a-z, 0-9 and - that are joined by dots")]
    Domain,
    /// Not an id.
    #[error(
        "an id is spiffe://DOMAIN/PATH, the path's segments are labels a-z, 0-9 and -, at most 8 of them"
    )]
    Id,
}

/// The longest trust domain, so that DNS names below it stay within 253 characters.
const LONGEST_DOMAIN: usize = 200;

/// A trust domain: one zone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of a service, `spiffe://DOMAIN/svc/NAME`.
    ///
    /// # Errors
    /// [`IdFault::Id`] when the name is no label.
    pub fn service(&self, name: &str) -> Result<SpiffeId, IdFault> {
        SpiffeId::made(self, format!("svc/{name}"))
    }

    /// The id of the gateway, `spiffe://DOMAIN/gw/gateway`.
    pub fn gateway(&self) -> SpiffeId {
        SpiffeId { domain: self.clone(), path: Arc::from("gw/gateway") }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Self, IdFault> {
        let fits = text.len() <= LONGEST_DOMAIN && text.split('.').all(is_label);
        // The last label of a host name is not a number: it would be read as an address.
        let is_address = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if fits && !is_address { Ok(Self(Arc::from(text))) } else { Err(IdFault::Domain) }
    }
}

/// A SPIFFE id with a path: who a peer is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpiffeId {
    domain: TrustDomain,
    /// Without the first slash.
    path: Arc<str>,
}

impl SpiffeId {
    fn made(domain: &TrustDomain, path: String) -> Result<Self, IdFault> {
        let segments = path.split('/').count();
        let fits = (1..=8).contains(&segments) && path.split('/').all(is_label);
        let id = Self { domain: domain.clone(), path: Arc::from(path) };
        if fits && id.dns_name().len() <= 253 { Ok(id) } else { Err(IdFault::Id) }
    }

    /// Its zone.
    pub fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The DNS name that leaves carry beside the id: the segments backwards, below the domain.
    pub fn dns_name(&self) -> String {
        let mut name = String::new();
        for segment in self.path.rsplit('/') {
            name.push_str(segment);
            name.push('.');
        }
        name.push_str(self.domain.as_str());
        name
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}", self.domain, self.path)
    }
}

impl FromStr for SpiffeId {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Self, IdFault> {
        let rest = text.strip_prefix("spiffe://").ok_or(IdFault::Id)?;
        let (domain, path) = rest.split_once('/').ok_or(IdFault::Id)?;
        SpiffeId::made(&domain.parse()?, path.to_owned())
    }
}

/// A DNS label in lower case.
pub fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_one_way() {
        let good = ["spiffe://prod.internal/svc/dns", "spiffe://a/b", "spiffe://a-1.b/svc/x/y"];
        for text in good {
            assert_eq!(text.parse::<SpiffeId>().unwrap().to_string(), text);
        }
        let bad = [
            "",
            "spiffe://",
            "spiffe://prod.internal",
            "spiffe://prod.internal/",
            "spiffe://prod.internal//dns",
            "spiffe://prod.internal/svc/../gw",
            "spiffe://prod.internal/svc/dns/",
            "spiffe://prod.internal/svc/DNS",
            "SPIFFE://prod.internal/svc/dns",
            "spiffe://prod.internal:443/svc/dns",
            "spiffe://user@prod.internal/svc/dns",
            "spiffe://prod.internal/svc/dns?x",
            "spiffe://prod.internal/svc/dns#x",
            "spiffe://prod.internal/svc/%64ns",
            "spiffe://127.0.0.1/svc/dns",
            "https://prod.internal/svc/dns",
        ];
        for text in bad {
            assert!(text.parse::<SpiffeId>().is_err(), "{text}");
        }
        assert!(format!("spiffe://a/{}", "b/".repeat(8) + "b").parse::<SpiffeId>().is_err());
    }

    #[test]
    fn an_id_has_one_dns_name() {
        let domain: TrustDomain = "prod.internal".parse().unwrap();
        assert_eq!(domain.service("dns").unwrap().dns_name(), "dns.svc.prod.internal");
        assert_eq!(domain.gateway().dns_name(), "gateway.gw.prod.internal");
        for name in ["", "a.b", "-a", "A", "../gw/gateway", "a//b"] {
            assert_eq!(domain.service(name), Err(IdFault::Id), "{name}");
        }
    }
}
