//! Bundles of a local authority and log, and what each change of one of them leads to.

use data_encoding::{BASE64, HEXLOWER};
use gateway_sim::sigstore::{SimBuild, SimSigstore};
use serde_json::{Value, json};

use super::*;

const AT: i64 = 1_800_000_000;
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const BUILDER: &str = "https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main";

fn build() -> SimBuild {
    SimBuild {
        sha256: "5".repeat(64),
        repository: "https://github.com/acme/shop".to_owned(),
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        builder: BUILDER.to_owned(),
        issuer: ISSUER.to_owned(),
        at_seconds: AT,
    }
}

struct World {
    signer: SimSigstore,
    trust: Sigstore,
}

impl World {
    fn new() -> Self {
        let signer = SimSigstore::new(AT).unwrap();
        let trust = Sigstore::new(&signer.certificates(), &signer.log_key(), ISSUER).unwrap();
        Self { signer, trust }
    }

    fn verify(&self, bundle: &Value) -> Result<Attested, BundleFault> {
        let of = build();
        let expected = Expected {
            sha256: &of.sha256,
            repository: "https://github.com/Acme/Shop",
            commit: &of.commit,
            builders: &[
                "https://github.com/acme/tools/build.yml@refs/heads/main".to_owned(),
                BUILDER.to_owned(),
            ],
        };
        self.trust.verify(bundle, &expected)
    }

    /// A good bundle after this edit is refused, and why.
    fn edited(&self, edit: impl FnOnce(&mut Value)) -> String {
        let mut bundle = self.signer.attest(&build()).unwrap();
        edit(&mut bundle);
        self.verify(&bundle).unwrap_err().to_string()
    }

    /// An honestly signed bundle of another build is refused, and why.
    fn built(&self, edit: impl FnOnce(&mut SimBuild)) -> String {
        let mut build = build();
        edit(&mut build);
        self.verify(&self.signer.attest(&build).unwrap()).unwrap_err().to_string()
    }

    /// A workflow that states something else is refused, and why.
    fn stated(&self, edit: impl FnOnce(&mut Value)) -> String {
        let mut statement = build().statement();
        edit(&mut statement);
        let bundle = self.signer.attest_statement(&build(), &statement).unwrap();
        self.verify(&bundle).unwrap_err().to_string()
    }
}

#[track_caller]
fn says(fault: &str, why: &str) {
    assert!(fault.contains(why), "{fault:?} does not say {why:?}");
}

#[test]
fn an_attested_build_is_shown() {
    let world = World::new();
    let shown = world.verify(&world.signer.attest(&build()).unwrap()).unwrap();
    assert_eq!(
        shown,
        Attested { builder: BUILDER.to_owned(), logged_seconds: 1_800_000_000, log_index: 97_913_980 }
    );
    // The older form brings a chain; the authority's own certificates in it are no harm.
    let mut older = world.signer.attest(&build()).unwrap();
    let leaf = older["verificationMaterial"]["certificate"].take();
    older["verificationMaterial"]["x509CertificateChain"] = json!({ "certificates": [leaf] });
    older["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    older["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = json!(AT);
    world.verify(&older).unwrap();
}

#[test]
fn a_build_of_something_else_shows_nothing() {
    let world = World::new();
    says(&world.built(|build| build.sha256 = "6".repeat(64)), "not about the SHA-256 of this archive");
    says(&world.built(|build| build.sha256 = "5".repeat(63)), "not about the SHA-256 of this archive");
    says(
        &world.built(|build| build.repository = "https://github.com/evil/shop".to_owned()),
        "built from https://github.com/evil/shop, not from https://github.com/Acme/Shop",
    );
    says(&world.built(|build| build.commit = "f".repeat(40)), "built from the commit ffff");
    says(
        &world.built(|build| build.builder = BUILDER.replace("main", "dev")),
        "build.yml@refs/heads/dev, which the setting attestation_builders does not name",
    );
    says(&world.built(|build| build.builder = format!("{BUILDER}2")), "does not name");
    says(
        &world.built(|build| build.issuer = "https://evil.example".to_owned()),
        "by the word of https://evil.example",
    );
}

#[test]
fn what_the_workflow_states_counts_too() {
    let world = World::new();
    says(
        &world.stated(|all| all["predicateType"] = json!("https://spdx.dev/Document")),
        "it is a https://spdx.dev",
    );
    says(&world.stated(|all| all["_type"] = json!("https://in-toto.io/Statement/v0.1")), "of version 1");
    says(&world.stated(|all| all["subject"] = json!([])), "not about the SHA-256");
    says(
        &world.stated(|all| all["subject"][0]["digest"] = json!({ "sha512": "5".repeat(64) })),
        "not about the SHA-256",
    );
    let builder = "/predicate/runDetails/builder/id";
    says(
        &world.stated(|all| *all.pointer_mut(builder).unwrap() = json!("https://github.com/actions/runner")),
        "built by https://github.com/actions/runner",
    );
    let source = "/predicate/buildDefinition/resolvedDependencies";
    says(&world.stated(|all| *all.pointer_mut(source).unwrap() = json!([])), "built from no repository");
    says(
        &world
            .stated(|all| all.pointer_mut(source).unwrap()[0]["digest"]["gitCommit"] = json!("f".repeat(40))),
        "built from the commit ffff",
    );
    says(
        &world.stated(|all| all.pointer_mut(source).unwrap()[0]["digest"] = json!({})),
        "built from the commit (none)",
    );
    says(
        &world.stated(|all| {
            all.pointer_mut(source).unwrap()[0]["uri"] = json!("git+https://github.com/acme/shop2@x")
        }),
        "built from https://github.com/acme/shop2",
    );
    says(&world.stated(|all| all["predicate"] = json!({})), "not of the form of SLSA 1.0");
    // Beside the right one another archive may be built.
    let mut statement = build().statement();
    statement["subject"] =
        json!([{ "digest": { "sha256": "7".repeat(64) } }, statement["subject"][0].clone()]);
    world.verify(&world.signer.attest_statement(&build(), &statement).unwrap()).unwrap();
}

#[test]
fn what_was_changed_after_it_was_signed_shows_nothing() {
    let world = World::new();
    let other = BASE64.encode(b"{}");
    says(&world.edited(|all| all["dsseEnvelope"]["payload"] = json!(other)), "about another payload");
    says(
        &world.edited(|all| {
            let theirs = world.signer.attest(&build()).unwrap();
            all["dsseEnvelope"]["signatures"] = theirs["dsseEnvelope"]["signatures"].clone();
        }),
        "about another signature",
    );
    says(
        &world.edited(|all| {
            let theirs = world.signer.attest(&build()).unwrap();
            all["verificationMaterial"]["certificate"] =
                theirs["verificationMaterial"]["certificate"].clone();
        }),
        "about another certificate",
    );
    // The time is the log's word, and so is the number.
    let entry = "/verificationMaterial/tlogEntries/0";
    for (field, value) in [("integratedTime", json!("1800000001")), ("logIndex", json!("1"))] {
        says(
            &world.edited(|all| all.pointer_mut(entry).unwrap()[field] = value),
            "the transparency log did not sign this entry",
        );
    }
    says(
        &world.edited(|all| all.pointer_mut(entry).unwrap()["inclusionPromise"] = json!(null)),
        "a time that nobody signed does not count",
    );
    says(
        &world
            .edited(|all| all.pointer_mut(entry).unwrap()["logId"]["keyId"] = json!(BASE64.encode(&[1; 32]))),
        "no entry of the configured transparency log",
    );
    says(
        &world.edited(|all| all["verificationMaterial"]["tlogEntries"] = json!([])),
        "no entry of the configured",
    );
    // The log took an envelope whose signature is nobody's.
    says(
        &world.edited(|all| {
            let body = &all.pointer(entry).unwrap()["canonicalizedBody"];
            let body = BASE64.decode(body.as_str().unwrap().as_bytes()).unwrap();
            let mut body: Value = serde_json::from_slice(&body).unwrap();
            let nobodys = BASE64.encode(&[7; 70]);
            body["spec"]["signatures"][0]["signature"] = json!(nobodys);
            all["dsseEnvelope"]["signatures"][0]["sig"] = json!(nobodys);
            *all.pointer_mut(entry).unwrap() = world.signer.logged(&body.to_string(), AT).unwrap();
        }),
        "not signed with the key of its certificate",
    );
}

#[test]
fn a_certificate_is_good_for_its_minutes() {
    let world = World::new();
    let relogged = |at: i64| {
        world.edited(|all| {
            let entry = &mut all["verificationMaterial"]["tlogEntries"][0];
            let body = BASE64.decode(entry["canonicalizedBody"].as_str().unwrap().as_bytes()).unwrap();
            *entry = world.signer.logged(std::str::from_utf8(&body).unwrap(), at).unwrap();
        })
    };
    says(&relogged(AT - 1), "not good at the time of the log");
    says(&relogged(AT + 601), "not good at the time of the log");
    // Another authority and another log are nobody.
    let other = SimSigstore::new(AT).unwrap();
    let mixed = Sigstore::new(&other.certificates(), &world.signer.log_key(), ISSUER).unwrap();
    let of = build();
    let builders = [BUILDER.to_owned()];
    let expected =
        Expected { sha256: &of.sha256, repository: &of.repository, commit: &of.commit, builders: &builders };
    let bundle = world.signer.attest(&of).unwrap();
    says(&mixed.verify(&bundle, &expected).unwrap_err().to_string(), "not good at the time of the log");
    let nobody = Expected { builders: &[], ..expected };
    says(&world.trust.verify(&bundle, &nobody).unwrap_err().to_string(), "does not name");
    let elsewhere = Sigstore::new(&world.signer.certificates(), &other.log_key(), ISSUER).unwrap();
    assert_eq!(elsewhere.verify(&bundle, &expected), Err(BundleFault::NotLogged));
}

#[test]
fn other_forms_are_refused() {
    let world = World::new();
    says(&world.edited(|all| *all = json!({})), "it is no bundle");
    says(&world.edited(|all| *all = json!(null)), "it is no bundle");
    says(
        &world.edited(|all| all["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json")),
        "its version is not",
    );
    says(
        &world.edited(|all| all["dsseEnvelope"]["payloadType"] = json!("text/plain")),
        "no in-toto statement",
    );
    says(&world.edited(|all| all["dsseEnvelope"]["signatures"] = json!([])), "exactly one signature");
    says(&world.edited(|all| all["dsseEnvelope"]["payload"] = json!("!")), "the payload");
    says(
        &world.edited(|all| all["verificationMaterial"]["certificate"] = json!(null)),
        "does not hold one signer's certificate",
    );
    let other_kind = |all: &mut Value| {
        let body = json!({ "apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "payloadHash": { "algorithm": "sha256", "value": HEXLOWER.encode(&[0; 32]) }, "signatures": [] } });
        all["verificationMaterial"]["tlogEntries"][0] = world.signer.logged(&body.to_string(), AT).unwrap();
    };
    says(&world.edited(other_kind), "not of the kind dsse");
}

#[test]
fn trust_needs_a_root_and_a_key() {
    let signer = SimSigstore::new(AT).unwrap();
    let (all, key) = (signer.certificates(), signer.log_key());
    let end = "-----END CERTIFICATE-----";
    let between = all.split_once(end).unwrap().1;
    assert_eq!(Sigstore::new("", &key, ISSUER).unwrap_err(), TrustFault::Certificates);
    assert_eq!(Sigstore::new("no PEM", &key, ISSUER).unwrap_err(), TrustFault::Certificates);
    assert_eq!(Sigstore::new(between, &key, ISSUER).unwrap_err(), TrustFault::NoRoot);
    assert_eq!(Sigstore::new(&all, "", ISSUER).unwrap_err(), TrustFault::LogKey);
    assert_eq!(Sigstore::new(&all, &all, ISSUER).unwrap_err(), TrustFault::LogKey);
}
