//! Whom the client trusts: the system's certificate authorities and, when one is named, the operator's own.
//! There is no switch that trusts everybody.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// The largest file of certificates that is read, in bytes.
const MOST_CA_BYTES: u64 = 4 * 1024 * 1024;

/// Whom to trust.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsOptions {
    /// A file of certificates (PEM) that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The named file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no usable certificate in the named file.
    #[error("{} holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The provider offers nothing that TLS can be spoken with.
    #[error("TLS cannot be set up")]
    Provider(#[source] rustls::Error),
}

impl TlsOptions {
    /// The configuration of a client that trusts these.
    ///
    /// # Errors
    /// When the named file cannot be used. A system without any certificate authority is no error here:
    /// the handshake then fails.
    pub fn configuration(&self) -> Result<ClientConfig, TlsError> {
        let mut roots = RootCertStore::empty();
        // Some systems have an entry or two that cannot be read; the others still hold.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &self.ca_file {
            let (added, _) = roots.add_parsable_certificates(certificates(path)?);
            if added == 0 {
                return Err(TlsError::NoCertificate { path: path.clone() });
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let configuration = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(configuration)
    }
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let cannot = |source| TlsError::Read { path: path.clone(), source };
    let file = File::open(path).map_err(cannot)?;
    let mut text = Vec::new();
    BufReader::new(file).take(MOST_CA_BYTES).read_to_end(&mut text).map_err(cannot)?;
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate { path: path.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_authority_must_be_there_and_be_one() {
        let nowhere = TlsOptions { ca_file: Some("/nowhere/ca.pem".into()) };
        assert!(matches!(nowhere.configuration(), Err(TlsError::Read { .. })));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no certificate\n").unwrap();
        let empty = TlsOptions { ca_file: Some(file.path().to_owned()) };
        assert!(matches!(empty.configuration(), Err(TlsError::NoCertificate { .. })));
        assert!(TlsOptions::default().configuration().is_ok());
    }
}
