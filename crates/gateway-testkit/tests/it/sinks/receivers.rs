//! One receiver of each kind, which keeps what came.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use gateway_sinks::WebhookKey;
use gateway_testkit::eventually;
use gateway_types::Secret;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What web hooks are signed with, and what the collector wants.
pub(crate) const SECRET: &str = "whsec_QSBzZWNyZXQgb2YgdGhlIHRlc3RzIG9mIHNpbmtz";
pub(crate) const HEADER: &str = "Bearer CANARYcollector0123456789abcdef";

/// What was posted: headers, and the body.
type Post = (hyper::HeaderMap, Vec<u8>);

/// Whoever takes requests.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) url: String,
    status: Arc<AtomicU16>,
    got: Arc<Mutex<Vec<Post>>>,
}

impl Web {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let web = Self { url, status: Arc::new(AtomicU16::new(200)), got: Arc::default() };
        let serving = web.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let web = serving.clone();
                let service = service_fn(move |request| web.clone().serve(request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        web
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let status = self.status.load(Ordering::SeqCst);
        if status == 200 {
            self.got.lock().unwrap().push((head.headers, body));
        }
        let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
        *response.status_mut() = status.try_into().unwrap();
        Ok(response)
    }

    /// Answers so from now on; what is not answered with 200 is not kept.
    pub(super) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What came, as JSON.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.got.lock().unwrap().iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        self.got.lock().unwrap().iter().flat_map(|(_, body)| body.clone()).collect()
    }
}

/// A syslog server.
#[derive(Clone)]
pub(crate) struct Syslog {
    port: u16,
    breaks: Arc<AtomicBool>,
    got: Arc<Mutex<Vec<u8>>>,
}

impl Syslog {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, breaks: Arc::default(), got: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (server, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    if server.breaks.load(Ordering::SeqCst) {
                        // It reads a little and dies.
                        let _some = stream.read(&mut [0; 10]).await;
                        return;
                    }
                    match tls {
                        None => drop(stream.read_to_end(&mut bytes).await.unwrap()),
                        Some(tls) => {
                            let mut stream = tls.accept(stream).await.unwrap();
                            stream.read_to_end(&mut bytes).await.unwrap();
                            server.got.lock().unwrap().append(&mut bytes);
                            stream.shutdown().await.unwrap();
                        }
                    }
                    server.got.lock().unwrap().append(&mut bytes);
                });
            }
        });
        server
    }

    /// Whether it dies in the middle of messages from now on.
    pub(super) fn break_off(&self, breaks: bool) {
        self.breaks.store(breaks, Ordering::SeqCst);
    }

    fn messages(&self) -> Vec<String> {
        let bytes = self.got.lock().unwrap().clone();
        let mut rest = bytes.as_slice();
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let blank = rest.iter().position(|byte| *byte == b' ').unwrap();
            let length: usize = std::str::from_utf8(&rest[..blank]).unwrap().parse().unwrap();
            let end = blank + 1 + length;
            messages.push(String::from_utf8(rest[blank + 1..end].to_vec()).unwrap());
            rest = &rest[end..];
        }
        messages
    }
}

/// All of them.
pub(crate) struct Receivers {
    pub(super) hook: Web,
    pub(super) collector: Web,
    pub(super) syslog: Syslog,
    syslog_tls: Syslog,
    directory: TempDir,
}

impl Receivers {
    pub(crate) async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self {
            hook: Web::start().await,
            collector: Web::start().await,
            syslog: Syslog::start(None).await,
            syslog_tls: Syslog::start(Some(TlsAcceptor::from(Arc::new(tls)))).await,
            directory,
        }
    }

    /// The file that the sink of that kind writes.
    fn lines(&self) -> PathBuf {
        self.directory.path().join("audit.jsonl")
    }

    /// The sink of this name, with these further fields.
    pub(crate) fn only(&self, name: &str, further: &str) -> String {
        let of_kind = match name {
            "file" => format!("kind = \"file\"\npath = \"{}\"", self.lines().display()),
            "hook" => format!(
                "kind = \"webhook\"\naddress = \"{}/audit?a=b\"\nsecret = \"{SECRET}\"",
                self.hook.url
            ),
            "collector" => format!(
                "kind = \"otlp\"\naddress = \"{}\"\nheader = \"authorization: {HEADER}\"",
                self.collector.url
            ),
            "syslog" => format!("kind = \"syslog\"\naddress = \"tcp://127.0.0.1:{}\"", self.syslog.port),
            _ => format!(
                "kind = \"syslog\"\naddress = \"tls://127.0.0.1:{}\"\nca_file = \"{}/ca.pem\"",
                self.syslog_tls.port,
                self.directory.path().display()
            ),
        };
        format!("[[audit.sinks]]\nname = \"{name}\"\nstart = \"beginning\"\n{of_kind}\n{further}\n")
    }

    /// All sinks, each with these further fields.
    pub(crate) fn file(&self, further: &str) -> String {
        self.all().iter().map(|(name, _)| self.only(name, further)).collect()
    }

    /// The ids that each got, in the order in which they came.
    pub(crate) fn all(&self) -> [(&'static str, Vec<String>); 5] {
        let id = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["id"].as_str().unwrap().to_owned()
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let file = std::fs::read_to_string(self.lines()).unwrap_or_default();
        // A line that is being written is not one yet.
        let whole = file.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let collected = self.collector.bodies();
        let logs = collected
            .iter()
            .flat_map(|body| body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap())
            .map(|log| id(log["body"]["stringValue"].as_str().unwrap()));
        let of_syslog = |server: &Syslog| {
            server.messages().iter().map(|message| id(message.split_once("] ").unwrap().1)).collect()
        };
        [
            ("file", whole.lines().filter(|line| !line.is_empty()).map(id).collect()),
            ("hook", self.hook.bodies().iter().map(|body| text(&body["id"])).collect()),
            ("collector", logs.collect()),
            ("syslog", of_syslog(&self.syslog)),
            ("syslog-tls", of_syslog(&self.syslog_tls)),
        ]
    }

    /// Waits until this one has as many, and looks whether they are these, each once and in this order.
    pub(super) async fn one_has(&self, name: &str, expected: &[String]) {
        let got = eventually(&format!("{} entries for {name}", expected.len()), async || {
            let (_, ids) = self.all().into_iter().find(|(other, _)| *other == name).unwrap();
            (ids.len() >= expected.len()).then_some(ids)
        })
        .await;
        assert_eq!(got, expected, "{name}");
    }

    pub(super) async fn have(&self, expected: &[String]) {
        for (name, _) in self.all() {
            self.one_has(name, expected).await;
        }
    }

    /// Every web hook is signed, and the collector's header came with each request.
    pub(super) fn check_signatures(&self) {
        let bytes = data_encoding::BASE64.decode(SECRET.trim_start_matches("whsec_").as_bytes()).unwrap();
        let key = WebhookKey::new(Secret::new(bytes));
        for (headers, body) in &*self.hook.got.lock().unwrap() {
            let header = |name: &str| headers[name].to_str().unwrap();
            let seconds = header("webhook-timestamp").parse().unwrap();
            assert_eq!(header("webhook-signature"), key.sign(header("webhook-id"), seconds, body));
            assert_eq!(header("content-type"), "application/cloudevents+json; charset=utf-8");
        }
        for (headers, _) in &*self.collector.got.lock().unwrap() {
            assert_eq!(headers["authorization"], HEADER);
        }
    }

    /// All that came, by whom.
    pub(crate) fn everything(&self) -> Vec<(String, Vec<u8>)> {
        let named = |name: &str, bytes: Vec<u8>| (format!("the sink {name}"), bytes);
        vec![
            named("file", std::fs::read(self.lines()).unwrap()),
            named("hook", self.hook.bytes()),
            named("collector", self.collector.bytes()),
            named("syslog", self.syslog.got.lock().unwrap().clone()),
            named("syslog-tls", self.syslog_tls.got.lock().unwrap().clone()),
        ]
    }
}
