//! A client of the gateway over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, HandshakeKind, ProtocolVersion, RootCertStore,
    SignatureScheme, SupportedProtocolVersion,
};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a client connects.
#[derive(Clone)]
pub(crate) struct ClientOptions {
    pub(crate) roots: RootCertStore,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) certificate: Option<Arc<dyn ResolvesClientCert>>,
    pub(crate) protocols: Vec<Vec<u8>>,
    /// Takes any certificate.
    pub(crate) gullible: bool,
}

impl ClientOptions {
    pub(crate) fn trusting(authority: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).unwrap();
        Self {
            roots,
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
            provider: Arc::new(gateway_tls::provider()),
            certificate: None,
            protocols: vec![b"http/1.1".to_vec()],
            gullible: false,
        }
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = if self.gullible {
            let verifier = Arc::new(Gullible(self.provider.clone()));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        } else {
            builder.with_root_certificates(self.roots.clone())
        };
        let mut config = match &self.certificate {
            Some(certificate) => builder.with_client_cert_resolver(certificate.clone()),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols.clone();
        Arc::new(config)
    }
}

/// What a gateway replied.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What a handshake came to.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Met {
    pub(crate) version: ProtocolVersion,
    pub(crate) group: Option<String>,
    pub(crate) kind: HandshakeKind,
    pub(crate) leaf: CertificateDer<'static>,
}

/// A connection.
pub(crate) struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    pub(crate) met: Met,
    name: String,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Does the handshake.
pub(crate) async fn handshake(
    config: &Arc<ClientConfig>,
    addr: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(config.clone()).connect(name, stream).await
}

impl Line {
    pub(crate) async fn open(
        config: &Arc<ClientConfig>,
        addr: SocketAddr,
        name: &str,
    ) -> std::io::Result<Self> {
        let stream = handshake(config, addr, name).await?;
        let (_, session) = stream.get_ref();
        let met = Met {
            version: session.protocol_version().unwrap(),
            group: session.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name())),
            kind: session.handshake_kind().unwrap(),
            leaf: session.peer_certificates().unwrap()[0].clone().into_owned(),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let task = tokio::spawn(async move {
            let _ended = connection.await;
        });
        Ok(Self { sender, met, name: name.to_owned(), task })
    }

    /// Asks the rack for its apps.
    pub(crate) async fn apps(&mut self, token: &str) -> Result<Answer, hyper::Error> {
        let headers: &[(&str, &str)] =
            if token.is_empty() { &[] } else { &[("authorization", &format!("Bearer {token}"))] };
        self.ask("GET", "/api/v1/rack-proxy/apps", headers, "").await
    }

    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, hyper::Error> {
        let host = self.name.clone();
        self.ask_at(&host, method, path, headers, body).await
    }

    /// Asks a server of another name.
    pub(crate) async fn ask_as(
        &mut self,
        host: &str,
        method: &str,
        path: &str,
    ) -> Result<Answer, hyper::Error> {
        self.ask_at(host, method, path, &[], "").await
    }

    pub(crate) async fn ask_at(
        &mut self,
        host: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, hyper::Error> {
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        self.sender.ready().await?;
        let reply = self.sender.send_request(request).await?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        let body = reply.into_body().collect().await?.to_bytes();
        Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// One request on a connection of its own.
pub(crate) async fn once(
    config: &Arc<ClientConfig>,
    addr: SocketAddr,
    name: &str,
    token: &str,
) -> Result<Answer, String> {
    let mut line = Line::open(config, addr, name).await.map_err(|error| error.to_string())?;
    line.apps(token).await.map_err(|error| error.to_string())
}

pub(crate) fn basic(token: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("convox:{token}")))
}

/// Takes any certificate, so that a test can look at the one it was shown.
#[derive(Debug)]
struct Gullible(Arc<CryptoProvider>);

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
