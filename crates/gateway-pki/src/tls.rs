//! The zone's TLS settings: version 1.3 only, certificates that change while connections are open, no resumption (a
//! member that was banned must not come back by a ticket), peers by exact id.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use gateway_types::{Clock, Secret};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

use crate::bundle::Bundle;
use crate::id::SpiffeId;
use crate::peer::{Allowed, Role, check};
use crate::token::JoinToken;

/// The cryptography of the zone: X25519MLKEM768 before all other key exchanges, so that what is recorded today is not
/// read by a quantum computer later.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..default_provider()
    })
}

/// The bundle in force; it changes while connections are open.
pub trait Trust: fmt::Debug + Send + Sync {
    /// The bundle; `None` while there is none, and then nobody is trusted.
    fn bundle(&self) -> Option<Arc<Bundle>>;
}

/// A bundle in memory.
#[derive(Debug, Default)]
pub struct LiveTrust(ArcSwapOption<Bundle>);

impl LiveTrust {
    /// Trusts this bundle from now on.
    pub fn set(&self, bundle: Option<Arc<Bundle>>) {
        self.0.store(bundle);
    }
}

impl Trust for LiveTrust {
    fn bundle(&self) -> Option<Arc<Bundle>> {
        self.0.load_full()
    }
}

/// The leaf that is shown, to clients and to servers; it changes while connections are open.
#[derive(Default)]
pub struct LiveLeaf {
    shown: ArcSwapOption<CertifiedKey>,
    generation: AtomicU64,
}

impl fmt::Debug for LiveLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveLeaf").field("is_there", &self.is_there()).finish()
    }
}

impl LiveLeaf {
    /// Shows this leaf from now on.
    ///
    /// # Errors
    /// When chain and key do not belong together.
    pub fn show(
        &self,
        provider: &CryptoProvider,
        chain: Vec<CertificateDer<'static>>,
        key: &Secret<Vec<u8>>,
    ) -> Result<(), Error> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.expose().clone()));
        self.shown.store(Some(Arc::new(CertifiedKey::from_der(chain, key, provider)?)));
        self.generation.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// How many there have been: another one is shown since this grew.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Shows none any more.
    pub fn clear(&self) {
        self.shown.store(None);
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.shown.load().is_some()
    }
}

impl ResolvesServerCert for LiveLeaf {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown.load_full()
    }
}

impl ResolvesClientCert for LiveLeaf {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.shown.load_full()
    }

    fn has_certs(&self) -> bool {
        self.is_there()
    }
}

/// Whether callers must show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Callers {
    /// They must.
    Show,
    /// They may: whoever joins has none yet.
    MayShow,
}

/// The settings of a server in the zone.
///
/// Callers prove that they have the key of what they show; who they are is checked right after the handshake, by
/// [`check`], so that a refusal can be told with the caller's name and the reason.
///
/// # Errors
/// When the provider refuses them.
pub fn server_settings(
    provider: Arc<CryptoProvider>,
    leaf: Arc<dyn ResolvesServerCert>,
    callers: Callers,
) -> Result<ServerConfig, Error> {
    let verifier = Arc::new(Holders { provider: Arc::clone(&provider), callers });
    let mut settings = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(leaf);
    settings.session_storage = Arc::new(NoServerSessionStorage {});
    settings.send_tls13_tickets = 0;
    settings.max_early_data_size = 0;
    Ok(settings)
}

/// The settings of a client in the zone that calls exactly `expected`. `leaf` = what it shows; `None` = nothing.
///
/// # Errors
/// When the provider refuses them.
pub fn client_settings(
    provider: Arc<CryptoProvider>,
    trust: Arc<dyn Trust>,
    expected: SpiffeId,
    leaf: Option<Arc<LiveLeaf>>,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, Error> {
    let verifier = Arc::new(ExactServer { provider: Arc::clone(&provider), trust, expected, clock });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut settings = match leaf {
        Some(leaf) => builder.with_client_cert_resolver(leaf),
        None => builder.with_no_client_auth(),
    };
    settings.resumption = Resumption::disabled();
    Ok(settings)
}

/// The settings of somebody who knocks without an identity, to see whether a server lets them in: they show nothing, and
/// take whatever certificate they are shown.
///
/// # Security
/// For finding out whether there is a handshake, never for saying anything: the other end is nobody in particular.
///
/// # Errors
/// When the provider refuses them.
pub fn knocking_settings() -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = Arc::new(Whoever { provider: Arc::clone(&provider) });
    // Older servers too: one that speaks 1.2 alone would seem to refuse.
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    settings.resumption = Resumption::disabled();
    Ok(settings)
}

/// The settings of somebody who joins: the gateway is the one whose root the token names, and shows that root in the
/// handshake. Before that is checked nothing is sent.
///
/// # Errors
/// When the provider refuses them.
pub fn joining_settings(
    provider: Arc<CryptoProvider>,
    token: JoinToken,
    clock: Arc<dyn Clock>,
) -> Result<ClientConfig, Error> {
    let verifier = Arc::new(NamedByToken { provider: Arc::clone(&provider), token, clock });
    let mut settings = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    settings.resumption = Resumption::disabled();
    Ok(settings)
}

/// That the other end has the key of what it shows: by the provider's own means, for every verifier here.
macro_rules! proof_of_key {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(
                message,
                certificate,
                signed,
                &self.provider.signature_verification_algorithms,
            )
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(
                message,
                certificate,
                signed,
                &self.provider.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

/// Takes a server that is exactly the expected one, whatever its address is.
#[derive(Debug)]
struct ExactServer {
    provider: Arc<CryptoProvider>,
    trust: Arc<dyn Trust>,
    expected: SpiffeId,
    clock: Arc<dyn Clock>,
}

impl ServerCertVerifier for ExactServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let bundle = self.trust.bundle().ok_or(CertificateError::UnknownIssuer)?;
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let allowed = Allowed::Exactly(std::slice::from_ref(&self.expected));
        check(&chain, Role::Server, allowed, &bundle, self.clock.now())
            .map_err(|fault| CertificateError::Other(OtherError(Arc::new(fault))))?;
        Ok(ServerCertVerified::assertion())
    }

    proof_of_key!();
}

/// Takes any server: of one that is not spoken to.
#[derive(Debug)]
struct Whoever {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Whoever {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    proof_of_key!();
}

/// Takes a certificate from whoever proves to have its key; who that is, is checked after the handshake.
#[derive(Debug)]
struct Holders {
    provider: Arc<CryptoProvider>,
    callers: Callers,
}

impl ClientCertVerifier for Holders {
    fn client_auth_mandatory(&self) -> bool {
        match self.callers {
            Callers::Show => true,
            Callers::MayShow => false,
        }
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

    proof_of_key!();
}

/// Takes the gateway of the zone that a join token names.
#[derive(Debug)]
struct NamedByToken {
    provider: Arc<CryptoProvider>,
    token: JoinToken,
    clock: Arc<dyn Clock>,
}

impl ServerCertVerifier for NamedByToken {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let root = intermediates.iter().find(|shown| self.token.is_for(shown));
        let root = root.ok_or(CertificateError::UnknownIssuer)?;
        let bundle = Bundle {
            domain: self.token.domain().clone(),
            sequence: 0,
            refresh: std::time::Duration::from_secs(1),
            roots: vec![root.clone().into_owned()],
            tainted: std::collections::BTreeSet::new(),
            distrusted: std::collections::BTreeSet::new(),
            banned: std::collections::BTreeSet::new(),
        };
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let gateway = self.token.domain().gateway();
        let allowed = Allowed::Exactly(std::slice::from_ref(&gateway));
        check(&chain, Role::Server, allowed, &bundle, self.clock.now())
            .map_err(|fault| CertificateError::Other(OtherError(Arc::new(fault))))?;
        Ok(ServerCertVerified::assertion())
    }

    proof_of_key!();
}
