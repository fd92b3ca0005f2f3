//! What the gateway offers and takes in a handshake: versions, suites, groups, protocols, resumption, client
//! certificates.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, ServerSessionMemoryCache};
use rustls::version::{TLS12, TLS13};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

use crate::resolver::{ACME_TLS_ALPN, CertificateResolver};

/// The protocols that are offered to clients (ALPN), the preferred one first: all that connections are served
/// with.
pub const CLIENT_PROTOCOLS: &[&[u8]] = &[HTTP2, b"http/1.1"];

/// HTTP/2 in ALPN.
pub(crate) const HTTP2: &[u8] = b"h2";

/// Sessions of TLS 1.2 that are kept for resumption; each takes well under a kilobyte.
const KEPT_SESSIONS: usize = 8192;

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// No.
    ForNothing,
    /// Yes, and they may have none.
    ForCertificates,
}

/// Whether the gateway proves its names over TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnNames {
    /// No.
    NotProved,
    /// Yes: ACME servers may ask for challenge certificates.
    ProvedHere,
}

/// The cryptography that is used: X25519MLKEM768 before all other key exchanges, so that what is recorded
/// today is not read by a quantum computer later.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..default_provider()
    }
}

/// The settings of the public listener: TLS 1.2 and 1.3, forward secrecy always, sessions resumed by tickets
/// under keys that rotate every six hours (or, where a client has no tickets, from memory), no early data.
///
/// # Errors
/// When the provider refuses them.
pub fn server_settings(
    provider: Arc<CryptoProvider>,
    resolver: Arc<CertificateResolver>,
    asking: Asking,
    own_names: OwnNames,
) -> Result<ServerConfig, Error> {
    let verifier: Arc<dyn ClientCertVerifier> = match asking {
        Asking::ForNothing => Arc::new(NoClientAuth),
        Asking::ForCertificates => Arc::new(AnyHolder { provider: provider.clone() }),
    };
    let mut settings = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    settings.alpn_protocols = CLIENT_PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    match own_names {
        OwnNames::NotProved => {}
        OwnNames::ProvedHere => settings.alpn_protocols.push(ACME_TLS_ALPN.to_vec()),
    }
    settings.session_storage = ServerSessionMemoryCache::new(KEPT_SESSIONS);
    settings.ticketer = Ticketer::new()?;
    // Early data can be replayed, and every request here may change something.
    settings.max_early_data_size = 0;
    Ok(settings)
}

/// Takes the certificate of whoever proves to have its key. Who issued it is not looked at: tokens are bound
/// to the key itself, and dates are looked at on each request.
#[derive(Debug)]
struct AnyHolder {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyHolder {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
