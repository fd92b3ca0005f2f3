//! Which certificate a client is shown, by the name it asks for.
//!
//! A client that names no host, or one that no certificate is for, is shown the default one: health checks
//! name none, and whoever cares about the name refuses the certificate anyhow. Without any certificate the
//! handshake ends with an alert.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::pair::Pair;

/// The protocol by which an ACME server asks for a challenge certificate (RFC 8737, section 4).
pub const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

/// The certificates that are shown now; they change while clients connect.
#[derive(Debug, Default)]
pub struct CertificateResolver {
    pairs: ArcSwap<Vec<Pair>>,
    challenges: ArcSwap<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl CertificateResolver {
    /// One without certificates.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Shows these from now on; the first is the default. Connections that are open stay as they are.
    pub fn show(&self, pairs: Vec<Pair>) {
        self.pairs.store(Arc::new(pairs));
    }

    /// Shows these certificates to ACME servers that ask for these names.
    pub(crate) fn answer(&self, challenges: BTreeMap<String, Arc<CertifiedKey>>) {
        self.challenges.store(Arc::new(challenges));
    }

    /// Whether there is any certificate to show.
    pub fn has_certificate(&self) -> bool {
        !self.pairs.load().is_empty()
    }

    fn for_name(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let pairs = self.pairs.load();
        let name = name.map(str::to_ascii_lowercase);
        let named = name.as_deref().and_then(|name| {
            let exact = pairs.iter().find(|pair| pair.names.iter().any(|own| own == name));
            exact.or_else(|| pairs.iter().find(|pair| pair.is_for(name)))
        });
        named.or_else(|| pairs.first()).map(|pair| pair.certified.clone())
    }

    fn challenge(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        self.challenges.load().get(&name?.to_ascii_lowercase()).cloned()
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // An ACME server offers that protocol and no other; whoever offers more is a client like any other.
        let only_acme = hello
            .alpn()
            .is_some_and(|mut offered| offered.next() == Some(ACME_TLS_ALPN) && offered.next().is_none());
        if only_acme { self.challenge(hello.server_name()) } else { self.for_name(hello.server_name()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::tests::pair;

    #[test]
    fn names_choose_the_certificate() {
        let resolver = CertificateResolver::new();
        assert!(resolver.for_name(None).is_none() && !resolver.has_certificate());
        let pairs = [pair(&["a.example.com"]), pair(&["*.example.com"]), pair(&["b.example.com"])];
        resolver.show(pairs.to_vec());
        let check = |name: Option<&str>, expected: usize| {
            let shown = resolver.for_name(name).unwrap();
            let found = pairs.iter().position(|pair| Arc::ptr_eq(&pair.certified, &shown));
            assert_eq!(found, Some(expected), "{name:?}");
        };
        check(None, 0);
        check(Some("a.example.com"), 0);
        check(Some("A.Example.COM"), 0);
        check(Some("b.example.com"), 2);
        check(Some("c.example.com"), 1);
        check(Some("c.d.example.com"), 0);
        check(Some("other.test"), 0);
        assert!(resolver.challenge(Some("a.example.com")).is_none());
        resolver.answer(BTreeMap::from([("a.example.com".to_owned(), pairs[2].certified.clone())]));
        assert!(Arc::ptr_eq(&resolver.challenge(Some("A.example.com")).unwrap(), &pairs[2].certified));
        assert!(resolver.challenge(None).is_none());
    }
}
