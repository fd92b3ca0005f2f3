//! Attestations of builds: an archive that no allowed builder attested is not approved, built or promoted.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use gateway_sim::sigstore::{SimBuild, SimSigstore};
use gateway_testkit::Database;
use serde_json::{Value, json};

use super::hub::Hub;
use super::{TOKEN, not_approved, shown};
use crate::approvals::{COMMIT, World, recorded_archive};

/// The tests' clock is near this moment; that a certificate is over long since is as it should be.
const AT: i64 = 1_700_000_000;
const BUILDER: &str = "https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main";

struct Attesting {
    world: World,
    hub: Hub,
    signer: SimSigstore,
    /// What is attested, if it is.
    build: SimBuild,
    /// Where GitHub is asked for it.
    call: String,
}

impl Attesting {
    async fn start(database: Database, order: &str) -> Self {
        let hub = Hub::start().await;
        hub.good(COMMIT);
        let signer = SimSigstore::new(AT).unwrap();
        // A secret that is given by a variable has one line; these have several.
        let trust = tempfile::tempdir().unwrap();
        let kept = |name: &str, text: String| {
            let path = trust.path().join(name);
            std::fs::write(&path, text).unwrap();
            format!("file:{}", path.display())
        };
        let (certificates, key) =
            (kept("fulcio.pem", signer.certificates()), kept("rekor.pub", signer.log_key()));
        let url = hub.url();
        let variables = [
            ("GITHUB_TOKEN", TOKEN),
            ("GITHUB_API_URL", url.as_str()),
            ("ATTESTATION_AUTHORITY", certificates.as_str()),
            ("ATTESTATION_LOG_KEY", key.as_str()),
            ("RGW_APP_MYAPP_SETTING_GITHUB_REPOSITORY", "acme/shop"),
            ("RGW_APP_MYAPP_SETTING_GITHUB_STATUS", "false"),
            ("RGW_APP_MYAPP_SETTING_GITHUB_COMMENT", "false"),
            ("RGW_APP_MYAPP_SETTING_ATTESTATION_BUILDERS", BUILDER),
            ("RGW_SETTING_APPROVAL_ORDER", order),
        ];
        let world = World::start_with(database, &variables).await;
        let sha256 = HEXLOWER.encode(digest(&SHA256, &recorded_archive()).as_ref());
        let call = format!("GET /repos/acme/shop/attestations/sha256:{sha256}");
        let build = SimBuild {
            sha256,
            repository: format!("{url}/acme/shop"),
            commit: COMMIT.to_owned(),
            builder: BUILDER.to_owned(),
            issuer: "https://token.actions.githubusercontent.com".to_owned(),
            at_seconds: AT,
        };
        Self { world, hub, signer, build, call }
    }

    /// GitHub keeps this attestation and no other.
    fn keeps(&self, build: &SimBuild) {
        let bundle = self.signer.attest(build).unwrap();
        self.hub.set(&self.call, 200, &json!({ "attestations": [{ "bundle": bundle }] }).to_string());
    }

    fn keeps_none(&self) {
        self.hub.set(&self.call, 200, &json!({ "attestations": [] }).to_string());
    }
}

fn finding(approval: &Value) -> Value {
    let all = approval["findings"].as_array().unwrap();
    all.iter().find(|one| one["what"] == "attestation").unwrap_or_else(|| panic!("{approval}")).clone()
}

async fn after_the_commit(database: Database) {
    let attesting = Attesting::start(database, "commit").await;
    let Attesting { world, hub, build, call, .. } = &attesting;
    let id = world.request("myapp", COMMIT).await["id"].clone();
    world.approve(&id).await;
    assert_eq!(world.upload("a.tgz").await.status, 200);
    let url = "url=object%3A%2F%2Fmyapp%2Ftmp%2Fa.tgz";
    let not_built = async |why: &str| {
        let refused = world.build(url).await;
        let text = refused.text();
        assert!(refused.status == 403 && text.contains(why) && !text.contains(TOKEN), "{why}: {text}");
        assert_eq!(world.seen("POST", "/builds"), 0, "the rack was not asked");
    };
    not_built("answered 404").await;
    for (status, body) in [(500, "{}"), (301, ""), (200, "<html>")] {
        hub.set(call, status, body);
        not_built("could not be asked").await;
    }
    attesting.keeps_none();
    not_built("GitHub has none of this archive").await;
    attesting.keeps(&SimBuild { commit: "f".repeat(40), ..build.clone() });
    not_built("it was built from the commit ffff").await;
    attesting.keeps(&SimBuild { builder: BUILDER.replace("main", "dev"), ..build.clone() });
    not_built("which the setting attestation_builders does not name").await;
    let shown_before = finding(&shown(world, &id).await);
    assert_eq!(shown_before["good"], false, "{shown_before}");
    attesting.keeps(build);
    let built = world.build(url).await;
    assert_eq!(built.status, 200, "{}", built.text());
    let release = world.release(built.json()["id"].as_str().unwrap()).await;
    // It is looked at again: what was taken back since does not count.
    attesting.keeps_none();
    let refused = world.promote(&release).await;
    assert!(refused.status == 403 && refused.text().contains("GitHub has none"), "{}", refused.text());
    assert_eq!(world.seen("POST", "/promote"), 0);
    attesting.keeps(build);
    assert_eq!(world.promote(&release).await.status, 200);
    let said = finding(&shown(world, &id).await);
    assert!(said["good"] == true && said["said"].as_str().unwrap().contains(BUILDER), "{said}");
    let events = world.gateway.events().await;
    let refusals = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:approval:evidence");
    assert!(refusals.count() >= 8, "each refusal is in the log");
    attesting.world.gateway.finish().await;
}

#[tokio::test]
async fn an_archive_that_nobody_attested_is_not_built_on_sqlite() {
    after_the_commit(Database::Sqlite).await;
}

#[tokio::test]
async fn an_archive_that_nobody_attested_is_not_built_on_postgres() {
    after_the_commit(Database::Postgres).await;
}

#[tokio::test]
async fn an_archive_that_nobody_attested_is_not_approved() {
    let attesting = Attesting::start(Database::Sqlite, "artefact").await;
    let Attesting { world, build, .. } = &attesting;
    let id = world.request("myapp", COMMIT).await["id"].clone();
    assert_eq!(world.upload("a.tgz").await.status, 200);
    attesting.keeps(&SimBuild { sha256: "7".repeat(64), ..build.clone() });
    not_approved(world, &id, "it is not about the SHA-256 of this archive").await;
    attesting.keeps(build);
    world.approve(&id).await;
    let events = world.gateway.events().await;
    let approved = events.iter().find(|(_, event)| event.parameters.contains_key("attestation")).unwrap();
    assert!(approved.1.parameters["attestation"].contains(BUILDER), "{:?}", approved.1);
    attesting.world.gateway.finish().await;
}

/// Attestations that nobody can check refuse, and the refusal says what is lacking.
#[tokio::test]
async fn what_cannot_be_checked_is_refused() {
    let hub = Hub::start().await;
    hub.good(COMMIT);
    let url = hub.url();
    let all = [
        ("GITHUB_TOKEN", TOKEN),
        ("GITHUB_API_URL", url.as_str()),
        ("RGW_SETTING_APPROVAL_ORDER", "artefact"),
        ("RGW_APP_MYAPP_SETTING_ATTESTATION_BUILDERS", BUILDER),
        ("RGW_APP_MYAPP_SETTING_GITHUB_REPOSITORY", "acme/shop"),
    ];
    for (variables, lacking) in [(&all[..], "ATTESTATION_AUTHORITY"), (&all[..4], "github_repository")] {
        let world = World::start_with(Database::Sqlite, variables).await;
        let id = world.request("myapp", COMMIT).await["id"].clone();
        assert_eq!(world.upload("a.tgz").await.status, 200);
        let refused = world.decide(&id, "approve").await;
        assert!(refused.status == 403 && refused.text().contains(lacking), "{lacking}: {}", refused.text());
        world.gateway.finish().await;
    }
}
