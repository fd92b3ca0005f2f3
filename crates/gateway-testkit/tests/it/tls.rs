//! TLS at the gateway: handshakes, certificate files, client certificates, ACME.

mod acme;
pub(crate) mod authority;
pub(crate) mod client;
mod client_certificates;
mod crowd;
mod files;
mod handshakes;
mod misdirected;
mod redirect;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway_testkit::{RawClient, TestGateway, TestGatewayBuilder};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

/// The name of the gateways under test.
pub(crate) const NAME: &str = "gateway.example.test";

/// An authority, and certificates that it signed.
struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Chain and key in PEM for these names.
    fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (leaf.pem(), key.serialize_pem())
    }
}

/// Certificate files of a gateway.
pub(crate) struct Place {
    directory: TempDir,
    authority: Authority,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), authority: Authority::new() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// The path of one of its files.
    pub(crate) fn file(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }

    /// Writes a new certificate for these names as `file.pem` and `file.key`; its PEM.
    pub(crate) fn write(&self, file: &str, names: &[&str]) -> String {
        let (chain, key) = self.authority.issue(names);
        put(&self.path(&format!("{file}.pem")), &chain);
        put(&self.path(&format!("{file}.key")), &key);
        chain
    }

    /// A gateway with these files, the first the default.
    pub(crate) fn gateway(&self, files: &[&str]) -> TestGatewayBuilder {
        let paths = |extension: &str| {
            let paths =
                files.iter().map(|file| self.path(&format!("{file}.{extension}")).display().to_string());
            paths.collect::<Vec<_>>().join(",")
        };
        TestGateway::builder()
            .env("LISTENER_TLS", "files")
            .env("TLS_CERTIFICATE_FILES", &paths("pem"))
            .env("TLS_KEY_FILES", &paths("key"))
            .env("DOMAIN", NAME)
    }

    pub(crate) fn client(&self) -> client::ClientOptions {
        client::ClientOptions::trusting(&self.authority.certificate)
    }
}

/// Replaces a file in one step.
fn put(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(&next, path).unwrap();
}

/// What `/readyz` notes.
async fn notes(gateway: &TestGateway) -> Vec<String> {
    let mut client = RawClient::connect(gateway.admin_addr()).await;
    let reply = client.ask("GET", "!/readyz", "", &[], b"").await;
    let notes = reply.json()["notes"].as_array().unwrap().clone();
    notes.iter().map(|note| note.as_str().unwrap().to_owned()).collect()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
