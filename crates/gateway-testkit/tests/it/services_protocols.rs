//! HTTP/2 to services: with and without TLS, trailers, the other version of HTTP on the client's side, and client
//! certificates.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use gateway_testkit::{Database, RawClient, TestGateway};
use gateway_types::Role;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::child::Child;
use super::service_kit::{ask, gateway, request, wiki};

/// What reached the instance.
#[derive(Clone, Debug)]
struct Came {
    version: Version,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
    certificates: usize,
}

type Log = Arc<Mutex<Vec<Came>>>;

/// Answers with the body in two pieces and a trailer, as gRPC does.
async fn answer(
    request: Request<Incoming>,
    log: Log,
    certificates: usize,
) -> Result<Response<impl http_body::Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?;
    let came = Came {
        version: head.version,
        uri: head.uri.to_string(),
        headers: head.headers,
        body: body.to_bytes(),
        certificates,
    };
    log.lock().unwrap().push(came);
    let mut last = HeaderMap::new();
    last.insert("grpc-status", HeaderValue::from_static("0"));
    last.insert("set-cookie", HeaderValue::from_static("evil=1"));
    let frames = [Frame::data(Bytes::from("one ")), Frame::data(Bytes::from("two")), Frame::trailers(last)];
    let stream = futures_frames(frames);
    let mut response = Response::new(StreamBody::new(stream));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("trailer", HeaderValue::from_static("grpc-status"));
    Ok(response)
}

fn futures_frames(
    frames: [Frame<Bytes>; 3],
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> {
    futures_util::stream::iter(frames.into_iter().map(Ok))
}

/// An instance that speaks HTTP/2 only.
async fn http2(tls: Option<ServerConfig>) -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let log: Log = Arc::default();
    let kept = log.clone();
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (log, acceptor) = (log.clone(), acceptor.clone());
            tokio::spawn(async move {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                match acceptor {
                    None => {
                        let service = service_fn(move |request| answer(request, log.clone(), 0));
                        let _ended = builder.serve_connection(TokioIo::new(stream), service).await;
                    }
                    Some(acceptor) => {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        let certificates = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
                        let service = service_fn(move |request| answer(request, log.clone(), certificates));
                        let _ended = builder.serve_connection(TokioIo::new(stream), service).await;
                    }
                }
            });
        }
    });
    (addr, kept)
}

#[tokio::test]
async fn an_http1_client_reaches_an_http2_service_by_prior_knowledge() {
    let (addr, log) = http2(None).await;
    let gateway = gateway(&[format!("http://{addr}")], "protocol = \"http2\"").await;
    for _ in 0..2 {
        let reply =
            ask(&gateway, "POST", "/pkg.Service/Call?x=1", "Content-Type: application/grpc\r\n", "hello")
                .await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "one two"));
    }
    let came = log.lock().unwrap()[0].clone();
    assert_eq!(came.version, Version::HTTP_2);
    assert_eq!(came.uri, format!("http://{addr}/pkg.Service/Call?x=1"));
    assert_eq!(came.body, "hello");
    assert_eq!(came.headers.get("te").unwrap(), "trailers");
    assert_eq!(came.headers.get("host"), None);
    assert!(came.headers.contains_key("gateway-token"));
    gateway.finish().await;
}

#[tokio::test]
async fn trailers_come_back_but_for_what_must_not() {
    let (addr, _log) = http2(None).await;
    let gateway = gateway(&[format!("http://{addr}")], "protocol = \"http2\"").await;
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(request(&gateway, "GET", "/call", "Connection: close, TE\r\nTE: trailers\r\n", "")).await;
    let (mut stream, mut bytes) = client.into_parts();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.contains("\r\n0\r\ngrpc-status: 0\r\n"), "{text}");
    assert!(!text.contains("evil"), "{text}");
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_also_when_http2_only_resets_its_stream() {
    let (addr, log) = http2(None).await;
    let gateway = gateway(&[format!("http://{addr}")], "protocol = \"http2\"\nbody_size_bytes = 4").await;
    let check = async |chunks: &str, status: u16| {
        let mut client = RawClient::connect(gateway.addr()).await;
        let head = request(&gateway, "POST", "/call", "Transfer-Encoding: chunked\r\n", "");
        client.send(format!("{head}{chunks}")).await;
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.status, status, "{chunks:?}: {}", reply.text());
    };
    check("6\r\nabcdef\r\n0\r\n\r\n", 413).await;
    check("3\r\nabc\r\n0\r\nX-Gateway-User: eve\r\n\r\n", 400).await;
    check("zz\r\n", 400).await;
    assert!(log.lock().unwrap().is_empty(), "no complete request came through");
    check("3\r\nabc\r\n0\r\n\r\n", 200).await;
    gateway.finish().await;
}

/// A certificate authority, and certificates that it signs.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), issuer: rcgen::Issuer::new(parameters, key) }
    }

    /// Certificate and key, as PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn server(&self, protocol: &[u8], wants_certificate: bool) -> ServerConfig {
        use rustls::pki_types::pem::PemObject as _;
        let (certificate, key) = self.issue("127.0.0.1");
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut config = if wants_certificate {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        }
        .with_single_cert(chain, key)
        .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }
}

#[tokio::test]
async fn http2_over_tls_is_agreed_by_alpn_or_not_spoken() {
    let authority = Authority::new();
    let directory = tempfile::TempDir::new().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let more = format!("protocol = \"http2\"\nca_file = \"{}\"", ca.display());
    let (addr, log) = http2(Some(authority.server(b"h2", false))).await;
    let fine = gateway(&[format!("https://{addr}")], &more).await;
    assert_eq!(ask(&fine, "GET", "/page", "", "").await.text(), "one two");
    assert_eq!(log.lock().unwrap()[0].version, Version::HTTP_2);
    fine.finish().await;
    let (addr, log) = http2(Some(authority.server(b"http/1.1", false))).await;
    let refused = gateway(&[format!("https://{addr}")], &more).await;
    assert_eq!(ask(&refused, "GET", "/page", "", "").await.status, 502);
    assert!(log.lock().unwrap().is_empty());
    refused.finish().await;
}

#[tokio::test]
async fn i2_a_certificate_of_another_authority_is_not_spoken_to() {
    let (right, wrong) = (Authority::new(), Authority::new());
    let directory = tempfile::TempDir::new().unwrap();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, &right.pem).unwrap();
    let (addr, log) = http2(Some(wrong.server(b"h2", false))).await;
    let more = format!("protocol = \"http2\"\nca_file = \"{}\"", ca.display());
    let gateway = gateway(&[format!("https://{addr}")], &more).await;
    assert_eq!(ask(&gateway, "GET", "/page", "", "").await.status, 502);
    assert!(log.lock().unwrap().is_empty());
    gateway.finish().await;
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_a_service_without_one_is_not_reached() {
    let authority = Authority::new();
    let directory = tempfile::TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (certificate, key) = authority.issue("gateway.example.com");
    std::fs::write(path("ca.pem"), &authority.pem).unwrap();
    std::fs::write(path("client.pem"), certificate).unwrap();
    std::fs::write(path("client.key"), key).unwrap();
    let (addr, log) = http2(Some(authority.server(b"h2", true))).await;
    let tls = format!("protocol = \"http2\"\nca_file = \"{}\"\n", path("ca.pem").display());
    let file = |more: &str| wiki(&[format!("https://{addr}")], &format!("{tls}{more}"));
    let credential = format!(
        "credential = {{ kind = \"certificate\", certificate = \"{}\", secret = \"file:{}\" }}",
        path("client.pem").display(),
        path("client.key").display()
    );
    let shows = TestGateway::builder().file(&file(&credential)).start().await;
    assert_eq!(ask(&shows, "GET", "/page", "", "").await.text(), "one two");
    assert_eq!(log.lock().unwrap()[0].certificates, 1);
    shows.finish().await;
    let hides = TestGateway::builder().file(&file("")).start().await;
    assert_eq!(ask(&hides, "GET", "/page", "", "").await.status, 502);
    assert_eq!(log.lock().unwrap().len(), 1);
    hides.finish().await;
}

/// The key of a client certificate is in no reply, in nothing that is kept and in nothing that is logged, at the most
/// talkative level, although each connection to the service is signed with it; and no service ever gets it.
#[tokio::test]
async fn the_key_of_a_client_certificate_is_nowhere_but_in_its_file() {
    let authority = Authority::new();
    let secrets = tempfile::TempDir::new().unwrap();
    let path = |name: &str| secrets.path().join(name);
    let (certificate, key) = authority.issue("gateway.example.com");
    for (name, text) in [("ca.pem", &authority.pem), ("client.pem", &certificate), ("client.key", &key)] {
        std::fs::write(path(name), text).unwrap();
    }
    let (addr, log) = http2(Some(authority.server(b"h2", true))).await;
    let more = format!(
        "protocol = \"http2\"\nca_file = \"{}\"\ncredential = {{ kind = \"certificate\", certificate = \"{}\", secret = \"file:{}\" }}",
        path("ca.pem").display(),
        path("client.pem").display(),
        path("client.key").display()
    );
    std::fs::write(path("rack-gateway.toml"), wiki(&[format!("https://{addr}")], &more)).unwrap();
    let rack = gateway_sim::SimRack::start(gateway_sim::SimOptions::for_tests()).await.unwrap();
    let file = path("rack-gateway.toml");
    let variables = [("RACK_GATEWAY_CONFIG", file.to_str().unwrap()), ("LOG_FILTER", "trace")];
    let child = Child::start(Database::Sqlite, (&rack.url(), rack.password()), &variables).await;
    let mut replies = Vec::new();
    for target in ["/page", "/other"] {
        let mut client = RawClient::connect(child.addr).await;
        let token = child.token(Role::Admin);
        client
            .send(format!(
                "GET {target} HTTP/1.1\r\nHost: wiki.example.com\r\nAuthorization: Bearer {token}\r\n\r\n"
            ))
            .await;
        let reply = client.reply().await.expect("a reply");
        assert_eq!(reply.status, 200, "{}", reply.text());
        replies.push(format!("{reply:?} {}", reply.text()));
    }
    let came = log.lock().unwrap().clone();
    assert!(came.iter().all(|came| came.certificates == 1), "{came:?}");
    let (printed, kept) = child.stop();
    assert!(printed.contains("TRACE"), "the log is as talkative as can be");
    // The key as it is in the file, line by line, and as the bytes that it stands for.
    let lines: Vec<&str> = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let bytes = data_encoding::BASE64.decode(lines.concat().as_bytes()).unwrap();
    // What is secret of a PKCS #8 key of P-256 is 32 bytes from byte 36 on.
    let secret = bytes.get(36..68).unwrap();
    let mut needles = vec![secret.to_vec(), data_encoding::HEXLOWER.encode(secret).into_bytes()];
    needles.extend(lines.iter().map(|line| line.as_bytes().to_vec()));
    needles.push(format!("{secret:?}").trim_matches(['[', ']']).as_bytes().to_vec());
    let mut places = vec![
        ("the log".to_owned(), printed.into_bytes()),
        ("a request".to_owned(), format!("{came:?}").into_bytes()),
    ];
    places.extend(replies.into_iter().map(|reply| ("a reply".to_owned(), reply.into_bytes())));
    for entry in std::fs::read_dir(kept.path()).unwrap() {
        let entry = entry.unwrap().path();
        places.push((entry.display().to_string(), std::fs::read(&entry).unwrap_or_default()));
    }
    for (place, text) in &places {
        for needle in &needles {
            assert_eq!(memchr::memmem::find(text, needle), None, "the key is in {place}");
        }
    }
}
