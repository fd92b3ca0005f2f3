//! TLS to the rack. Racks often show a self-signed certificate, so three ways to check it exist; none skips the check.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use gateway_services::UpstreamProtocol;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How the rack's certificate is checked.
#[derive(Clone, Debug)]
pub enum RackTls {
    /// By the machine's certificate authorities.
    SystemRoots,
    /// By the certificate authorities in this PEM file.
    CaFile(PathBuf),
    /// It must be exactly the certificate with this SHA-256 fingerprint.
    Pinned([u8; 32]),
    /// The first certificate seen by this process is pinned and its fingerprint logged.
    ///
    /// # Security
    /// Whoever stands between at that first moment is trusted. Only for those who ask for it.
    TrustOnFirstUse,
}

/// Why the TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA file cannot be read or holds no certificate.
    #[error("`{}` is not a readable PEM file of certificates", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// There is no trust zone in force.
    #[error("the service is in the trust zone, and there is no zone in force here")]
    NoZone,
    /// The machine has no certificate authorities.
    #[error(
        "this machine has no certificate authorities; install ca-certificates, or give a CA file or a fingerprint"
    )]
    NoSystemRoots,
    /// The host is no name that a certificate can carry.
    #[error("`{0}` is not a host name that a certificate can carry")]
    HostName(String),
    /// rustls refused the settings.
    #[error("the TLS settings were refused")]
    Refused(#[from] rustls::Error),
}

/// Makes TLS connections to the one rack.
pub(super) struct RackTlsConnector {
    connector: TlsConnector,
    name: ServerName<'static>,
    /// What must have been agreed to.
    protocol: Option<&'static [u8]>,
}

/// The certificate that the gateway shows, and its key.
pub(crate) struct ClientIdentity {
    /// The certificate, and those behind it.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub(crate) key: PrivateKeyDer<'static>,
}

impl RackTlsConnector {
    pub(super) fn new(tls: &RackTls, host: &str) -> Result<Self, TlsError> {
        Self::of(client_config(tls, None)?, host, None)
    }

    pub(super) fn to_service(
        tls: &RackTls,
        host: &str,
        protocol: UpstreamProtocol,
        identity: Option<&ClientIdentity>,
    ) -> Result<Self, TlsError> {
        let protocol: &'static [u8] = match protocol {
            UpstreamProtocol::Http1 => b"http/1.1",
            UpstreamProtocol::Http2 => b"h2",
        };
        let mut config = client_config(tls, identity)?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Self::of(config, host, (protocol == b"h2").then_some(protocol))
    }

    /// To exactly the member that the settings are for, who is called by this name.
    pub(super) fn to_member(
        mut config: ClientConfig,
        name: &str,
        protocol: UpstreamProtocol,
    ) -> Result<Self, TlsError> {
        let protocol: &'static [u8] = match protocol {
            UpstreamProtocol::Http1 => b"http/1.1",
            UpstreamProtocol::Http2 => b"h2",
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        Self::of(config, name, (protocol == b"h2").then_some(protocol))
    }

    fn of(config: ClientConfig, host: &str, protocol: Option<&'static [u8]>) -> Result<Self, TlsError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|_| TlsError::HostName(host.to_owned()))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name, protocol })
    }

    pub(super) async fn secure(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = self.connector.connect(self.name.clone(), tcp).await?;
        // A server that ignores ALPN would be spoken to in a protocol that it did not agree to.
        if self.protocol.is_some() && stream.get_ref().1.alpn_protocol() != self.protocol {
            return Err(std::io::Error::new(
                std::io::ErrorKind::Unsupported,
                "the other side does not speak HTTP/2 over TLS",
            ));
        }
        Ok(stream)
    }
}

fn client_config(tls: &RackTls, identity: Option<&ClientIdentity>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match tls {
        RackTls::SystemRoots => builder.with_root_certificates(system_roots()?),
        RackTls::CaFile(path) => builder.with_root_certificates(roots_of(path)?),
        RackTls::Pinned(fingerprint) => builder
            .dangerous()
            .with_custom_certificate_verifier(PinnedCertificate::new(provider, Some(*fingerprint))),
        RackTls::TrustOnFirstUse => {
            builder.dangerous().with_custom_certificate_verifier(PinnedCertificate::new(provider, None))
        }
    };
    Ok(match identity {
        None => builder.with_no_client_auth(),
        Some(ClientIdentity { chain, key }) => {
            builder.with_client_auth_cert(chain.clone(), key.clone_key())?
        }
    })
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoSystemRoots) } else { Ok(roots) }
}

fn roots_of(path: &PathBuf) -> Result<RootCertStore, TlsError> {
    let unreadable = |source| TlsError::CaFile { path: path.clone(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(Some(error)))? {
        roots.add(certificate.map_err(|error| unreadable(Some(error)))?)?;
    }
    if roots.is_empty() { Err(unreadable(None)) } else { Ok(roots) }
}

/// Accepts exactly one certificate. Handshake signatures are checked as always, so the peer must hold its key.
#[derive(Debug)]
struct PinnedCertificate {
    provider: Arc<CryptoProvider>,
    fingerprint: Mutex<Option<[u8; 32]>>,
}

impl PinnedCertificate {
    fn new(provider: Arc<CryptoProvider>, fingerprint: Option<[u8; 32]>) -> Arc<Self> {
        Arc::new(Self { provider, fingerprint: Mutex::new(fingerprint) })
    }
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = digest(&SHA256, end_entity);
        let mut pinned = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        match *pinned {
            Some(fingerprint) if seen.as_ref() == fingerprint => Ok(ServerCertVerified::assertion()),
            Some(_) => {
                Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            None => {
                tracing::warn!(
                    fingerprint = data_encoding::HEXLOWER.encode(seen.as_ref()),
                    "trusting the rack's certificate on first use; pin this fingerprint to check it from now on"
                );
                *pinned = seen.as_ref().try_into().ok();
                Ok(ServerCertVerified::assertion())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
