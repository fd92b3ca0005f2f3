//! What can go wrong before anybody connects, as facts.

use std::io;
use std::path::PathBuf;

use rustls_pki_types::pem;

/// Why a certificate and a key are no pair that can be shown.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The chain is no PEM.
    #[error("the certificate is not readable PEM")]
    CertificatePem(#[source] pem::Error),
    /// There is no certificate in the chain.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// The leaf is no X.509 certificate.
    #[error("the first certificate cannot be read")]
    Certificate,
    /// The key is no PEM, or there is none.
    #[error("the key is not a readable PEM private key")]
    KeyPem(#[source] pem::Error),
    /// The key is of a kind that cannot sign here, or is for another certificate.
    #[error("the key cannot be used with the certificate")]
    Key(#[source] rustls::Error),
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read; look at listener.tls_certificate_files and listener.tls_key_files", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is larger than any certificate.
    #[error("{} is larger than {limit_bytes} bytes, so it is no certificate or key", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit_bytes: u64,
    },
    /// A pair of files cannot be used.
    #[error("{} and {} cannot be used together", certificate.display(), key.display())]
    Pair {
        /// The chain's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        #[source]
        source: PairError,
    },
    /// The settings were refused.
    #[error("the TLS settings were refused")]
    Settings(#[from] rustls::Error),
    /// The file of the ACME server's authorities cannot be used.
    #[error("`{}` is not a readable PEM file of certificates; look at acme.ca_file", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What the parser said; `None` = there is no certificate in it.
        #[source]
        source: Option<pem::Error>,
    },
    /// The HTTP client refused its settings.
    #[error("the HTTP client for the ACME server cannot be made")]
    Client(#[from] reqwest::Error),
    /// The key of the DNS updates cannot be used.
    #[error("the TSIG key cannot be used; look at acme.dns")]
    Tsig,
    /// A name is no DNS name.
    #[error("`{0}` is no DNS name; look at acme.dns")]
    DnsName(String),
}
