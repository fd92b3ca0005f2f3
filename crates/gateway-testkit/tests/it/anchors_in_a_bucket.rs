//! Anchors in a bucket of S3 with Object Lock, at a store that is not ours (moto): they cannot be taken away, and what is put
//! over them is seen.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use gateway_testkit::{RawClient, Reply, TestGateway, eventually};
use tokio::net::TcpStream;

const BUCKET: &str = "corp-anchors";

/// Whoever owns the bucket. The store looks at who asks, and at no signature.
const OWNER: &str =
    "AWS4-HMAC-SHA256 Credential=AKID/20261123/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// Where `scripts/install.sh` puts moto: `tools/moto` of the target directory that this test was built in.
fn packages() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().find(|path| path.join("tools/moto").is_dir());
    target.expect("target/tools/moto; run ./scripts/test, which installs it").join("tools/moto")
}

/// A store of objects, which ends with the test.
struct Store {
    process: Child,
    addr: SocketAddr,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Store {
    async fn start() -> Self {
        let addr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &addr.port().to_string()])
            .env("PYTHONPATH", packages())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let store = Self { process, addr };
        eventually("the store of objects", async || TcpStream::connect(addr).await.ok().map(drop)).await;
        store
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let headers = [&[("Authorization", OWNER)], headers].concat();
        let mut client = RawClient::connect(self.addr).await;
        client.ask(method, &format!("!/{BUCKET}{path}"), "", &headers, body).await
    }

    /// Makes the bucket.
    async fn make(&self, with_lock: bool) {
        let lock = [("x-amz-bucket-object-lock-enabled", "true")];
        let made = self.ask("PUT", "", if with_lock { &lock } else { &[] }, b"").await;
        assert_eq!(made.status, 200, "{}", made.text());
    }

    /// Names and versions, as the list of the bucket has them.
    async fn versions(&self) -> Vec<(String, String)> {
        let list = self.ask("GET", "?versions", &[], b"").await.text();
        let texts = |name: &str| -> Vec<String> {
            let opening = format!("<{name}>");
            let parts = list.split(&opening).skip(1);
            parts.map(|part| part.split('<').next().unwrap().to_owned()).collect()
        };
        texts("Key").into_iter().zip(texts("VersionId")).collect()
    }

    async fn gateway(&self) -> TestGateway {
        TestGateway::builder()
            .env("AUDIT_ANCHOR_BUCKET", BUCKET)
            .env("AUDIT_ANCHOR_PREFIX", "gw/")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL_S3", &format!("http://{}", self.addr))
            .env("AWS_ACCESS_KEY_ID", "AKID")
            .env("AWS_SECRET_ACCESS_KEY", "key")
            .start()
            .await
    }

    async fn some_versions(&self, least: usize) -> Vec<(String, String)> {
        eventually("anchors", async || {
            let versions = self.versions().await;
            (versions.len() >= least).then_some(versions)
        })
        .await
    }
}

async fn notes(gateway: &TestGateway) -> String {
    let reply = RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await;
    reply.json()["notes"].to_string()
}

async fn alarm(gateway: &TestGateway) -> String {
    eventually("the alarm", async || {
        let notes = notes(gateway).await;
        notes.contains("ALARM").then_some(notes)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anchor_in_a_bucket_cannot_be_deleted_and_what_is_put_over_it_is_an_alarm() {
    let store = Store::start().await;
    store.make(true).await;
    let mut gateway = store.gateway().await;
    let (name, version) = store.some_versions(1).await.remove(0);
    let id = gateway.store().gateway_id();
    assert!(name.starts_with(&format!("gw/{id}-")) && name.ends_with(".checkpoint"), "{name}");
    let kept = store.ask("GET", &format!("/{name}"), &[], b"").await;
    assert_eq!(kept.header("x-amz-object-lock-mode"), Some("COMPLIANCE"));
    assert!(kept.header("x-amz-object-lock-retain-until-date").is_some_and(|until| until.starts_with("202")));
    gateway_app::anchors::compare(gateway.store(), &kept.text()).await.unwrap();

    let removal = store.ask("DELETE", &format!("/{name}?versionId={version}"), &[], b"").await;
    assert_eq!(removal.status, 403, "{}", removal.text());
    gateway.restart().await;
    store.some_versions(2).await;
    assert!(!notes(&gateway).await.contains("ALARM"));

    // Anybody who may write can put another version over it. It is not believed.
    let forged = store.ask("PUT", &format!("/{name}"), &[], b"forged").await;
    assert_eq!(forged.status, 200, "{}", forged.text());
    gateway.restart().await;
    let said = alarm(&gateway).await;
    assert!(
        said.contains("does not hold") && said.contains("not signed by a key that this log has"),
        "{said}"
    );
    assert!(said.contains(&format!("s3://{BUCKET}/{name}?versionId=")), "{said}");
    let events = gateway.events().await;
    assert!(events.iter().any(|(_, event)| event.action.as_str() == "gateway:audit:anchor_alarm"));
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_marker_over_an_anchor_is_an_alarm() {
    let store = Store::start().await;
    store.make(true).await;
    let mut gateway = store.gateway().await;
    let (name, _version) = store.some_versions(1).await.remove(0);
    assert_eq!(store.ask("DELETE", &format!("/{name}"), &[], b"").await.status, 204);
    gateway.restart().await;
    let said = alarm(&gateway).await;
    assert!(said.contains(&format!("s3://{BUCKET}/{name} was removed")), "{said}");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_without_object_lock_keeps_nothing_and_is_an_alarm() {
    let store = Store::start().await;
    store.make(false).await;
    let gateway = store.gateway().await;
    let said = alarm(&gateway).await;
    assert!(said.contains("has no Object Lock"), "{said}");
    assert!(store.versions().await.is_empty());
    gateway.finish().await;
}
