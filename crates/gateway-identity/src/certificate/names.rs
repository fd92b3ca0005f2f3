//! What a client certificate names, and whether an authority signed it.
//!
//! # Security
//! A name counts for whoever believes the issuer and for nobody else: ask [`Authority::signed`] first. Names with
//! characters that a text has no business with are no names, so that nothing is compared that was cut at one.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use gateway_types::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{CertificateFault, ClientCertificate, MOST_PEM_BYTES};

/// The most certificates of one [`Authority`].
pub const MOST_AUTHORITIES: usize = 10;

/// The most names of a certificate that are looked at.
const MOST_NAMES: usize = 100;

/// What a certificate says of its holder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// Its SPIFFE id: its one URI, if that is one (SPIFFE X509-SVID, section 2).
    pub spiffe_id: Option<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// SHA-256 of the whole certificate, in lower-case hexadecimal.
    pub fingerprint: String,
}

impl ClientCertificate {
    /// What it says of its holder: its subject alternative names, nothing of its subject.
    pub fn names(&self) -> Names {
        let mut names =
            Names { fingerprint: HEXLOWER.encode(digest(&SHA256, &self.der).as_ref()), ..Names::default() };
        let Ok((_, certificate)) = X509Certificate::from_der(&self.der) else { return names };
        // An extension that stands twice makes an error here, and so no names.
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return names };
        let mut uris = Vec::new();
        for name in extension.value.general_names.iter().take(MOST_NAMES) {
            match name {
                GeneralName::URI(uri) => uris.push(*uri),
                GeneralName::DNSName(dns) if is_plain(dns) => names.dns.push((*dns).to_owned()),
                GeneralName::RFC822Name(email) if is_plain(email) => names.emails.push((*email).to_owned()),
                _other => {}
            }
        }
        if let [only] = uris.as_slice()
            && only.starts_with("spiffe://")
            && is_plain(only)
        {
            names.spiffe_id = Some((*only).to_owned());
        }
        names
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Certificates that must have signed a client's.
#[derive(Clone, Debug)]
pub struct Authority {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Authority {
    /// Reads certificates of authorities in PEM.
    ///
    /// # Errors
    /// [`CertificateFault::NotAuthority`] for none, for too many, and for anything else in the text.
    pub fn from_pem(text: &str) -> Result<Self, CertificateFault> {
        if text.len() > MOST_PEM_BYTES {
            return Err(CertificateFault::NotAuthority);
        }
        let mut roots = RootCertStore::empty();
        for block in Pem::iter_from_buffer(text.as_bytes()) {
            let block = block.map_err(|_bad| CertificateFault::NotAuthority)?;
            if block.label != "CERTIFICATE" || roots.len() == MOST_AUTHORITIES {
                return Err(CertificateFault::NotAuthority);
            }
            let added = roots.add(CertificateDer::from(block.contents));
            added.map_err(|_bad| CertificateFault::NotAuthority)?;
        }
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self { verifier: verifier.map_err(|_none| CertificateFault::NotAuthority)? })
    }

    /// Whether one of them itself signed a certificate, for clients, and it is in its dates.
    pub fn signed(&self, certificate: &ClientCertificate, now: Timestamp) -> bool {
        let seconds = u64::try_from(now.micros() / 1_000_000).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let der = CertificateDer::from(certificate.der.as_ref());
        self.verifier.verify_client_cert(&der, &[], now).is_ok()
    }
}
