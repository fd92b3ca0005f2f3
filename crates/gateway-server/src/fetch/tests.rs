//! Against listeners that answer as they are told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

mod provider;

/// What a listener answers to its one caller.
#[derive(Clone)]
enum Script {
    /// These bytes, then the end.
    Says(Vec<u8>),
    /// A head, then zeros until the caller has enough.
    Pours,
    /// These bytes, then nothing.
    Hangs(&'static str),
}

/// A listener that answers each caller with the script; gives its address.
async fn listener(script: Script) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                match script {
                    Script::Says(bytes) => drop(stream.write_all(&bytes).await),
                    Script::Pours => {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                        while stream.write_all(&[b' '; 65536]).await.is_ok() {}
                    }
                    Script::Hangs(start) => {
                        let _ = stream.write_all(start.as_bytes()).await;
                        // Until the caller gives up.
                        let _ = stream.read(&mut request).await;
                    }
                }
            });
        }
    });
    address
}

fn says(text: &str) -> Script {
    Script::Says(text.as_bytes().to_vec())
}

async fn get(address: &str) -> Result<Response<Vec<u8>>, FetchError> {
    let fetch = HttpFetch::with_times(None, Duration::from_secs(2), Duration::from_millis(500)).unwrap();
    fetch.fetch(Request::get(address).body(Vec::new()).unwrap()).await
}

#[tokio::test]
async fn status_headers_and_body_come_as_they_are() {
    let at = listener(says("HTTP/1.1 404 Not Found\r\nContent-Type: text/x\r\nContent-Length: 3\r\n\r\nabc"))
        .await;
    let answer = get(&format!("http://{at}/a?b=c")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().as_slice()), (404, b"abc".as_slice()));
    assert_eq!(answer.headers().get("content-type").unwrap(), "text/x");
}

#[tokio::test]
async fn d4_a_redirect_is_not_followed() {
    let elsewhere = listener(says("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")).await;
    let text = format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
    let at = listener(says(&text)).await;
    let answer = get(&format!("http://{at}/")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().len()), (302, 0));
}

#[tokio::test]
async fn d8_what_is_too_large_is_not_read_to_its_end() {
    let at = listener(Script::Pours).await;
    let poured = HttpFetch::new(None).unwrap();
    let result = poured.fetch(Request::get(format!("http://{at}/")).body(Vec::new()).unwrap()).await;
    assert!(matches!(result, Err(FetchError::TooLarge { limit: MAX_ANSWER_BYTES, .. })), "{result:?}");
    let mut full = format!("HTTP/1.1 200 OK\r\nContent-Length: {MAX_ANSWER_BYTES}\r\n\r\n").into_bytes();
    full.resize(full.len() + MAX_ANSWER_BYTES, b' ');
    let at = listener(Script::Says(full)).await;
    let answer = poured.fetch(Request::get(format!("http://{at}/")).body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(answer.body().len(), MAX_ANSWER_BYTES);
}

#[tokio::test]
async fn d8_slow_answers_end() {
    for start in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"] {
        let at = listener(Script::Hangs(start)).await;
        let result = get(&format!("http://{at}/path?secret=1")).await;
        assert!(matches!(result, Err(FetchError::Timeout { .. })), "{start}: {result:?}");
        assert!(!format!("{:?}", result.unwrap_err()).contains("secret"));
    }
}

#[tokio::test]
async fn d8_nobody_there_is_an_error_without_the_address() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let error = get(&format!("http://{at}/path?secret=1")).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    let at = listener_that_cuts().await;
    assert!(matches!(get(&format!("http://{at}/")).await, Err(FetchError::Connect { .. })));
}

async fn listener_that_cuts() -> SocketAddr {
    listener(says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")).await
}

#[tokio::test]
async fn plain_http_goes_to_this_machine_only() {
    for address in [
        "http://idp.example.com/",
        "http://127.0.0.1.evil.com/",
        "http://169.254.169.254/latest",
        "http://2130706434.example/",
        "ftp://127.0.0.1/",
        "https://user:secret@idp.example.com/",
        "http://user@127.0.0.1/",
    ] {
        let error = get(address).await.unwrap_err();
        assert!(matches!(error, FetchError::Address { .. }), "{address}: {error:?}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

/// Makes an authority and, signed by it, a certificate of `localhost`; gives their directory.
fn certificates() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(directory.path())
            .output()
            .unwrap_or_else(|error| panic!("the command `openssl` is needed to make certificates: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
    );
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout key.pem -out req.pem",
    );
    std::fs::write(directory.path().join("san"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        "x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out cert.pem",
    );
    directory
}

#[tokio::test]
async fn tls_believes_the_named_authorities_and_no_stranger() {
    let directory = certificates();
    let file = |name: &str| directory.path().join(name);
    let chain = vec![CertificateDer::from_pem_file(file("cert.pem")).unwrap()];
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        }
    });
    let ask = async |ca: Option<PathBuf>, host: &str| {
        let fetch = HttpFetch::new(ca.as_deref()).unwrap();
        let request = Request::get(format!("https://{host}:{port}/")).body(Vec::new()).unwrap();
        fetch.fetch(request).await
    };
    assert_eq!(ask(Some(file("ca.pem")), "localhost").await.unwrap().body(), b"ok");
    assert!(matches!(ask(None, "localhost").await, Err(FetchError::Connect { .. })), "a stranger");
    assert!(
        matches!(ask(Some(file("ca.pem")), "127.0.0.1").await, Err(FetchError::Connect { .. })),
        "another name"
    );
}

#[test]
fn a_file_without_authorities_is_said_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    assert!(matches!(HttpFetch::new(Some(&path)), Err(FetchSetupError::CaFile { source: Some(_), .. })));
    std::fs::write(&path, "nothing\n").unwrap();
    assert!(matches!(HttpFetch::new(Some(&path)), Err(FetchSetupError::CaFile { source: None, .. })));
}

#[test]
fn the_way_to_metadata_services_leads_nowhere_else_and_no_other_leads_there() {
    let check = |address: &str, beyond: bool, machine: bool| {
        let found = [Scope::Beyond, Scope::Machine].map(|scope| permitted(address, scope).is_ok());
        assert_eq!(found, [beyond, machine], "{address}");
    };
    check("http://169.254.169.254/latest/api/token", false, true);
    check("http://169.254.170.2/v2/credentials/1", false, true);
    check("http://169.254.170.23/v1/credentials", false, true);
    check("http://[fd00:ec2::23]/v1/credentials", false, true);
    check("http://[fd00:ec2::254]/latest/api/token", false, true);
    check("http://127.0.0.1:1338/latest/api/token", true, true);
    check("http://169.254.169.253/", false, false);
    check("http://user@169.254.169.254/", false, false);
    check("https://169.254.169.254/", false, false);
    check("http://metadata.example.com/", false, false);
    check("https://sts.eu-west-1.amazonaws.com/", true, false);
}
