//! What GitHub keeps of attestations, and what its answers lead to.

use gateway_sim::sigstore::{SimBuild, SimSigstore};
use serde_json::json;

use super::*;
use crate::github::Built;
use crate::sigstore::Sigstore;

const AT: i64 = 1_800_000_000;
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const BUILDER: &str = "https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main";

fn call() -> String {
    format!("GET /repos/acme/shop/attestations/sha256:{}", "5".repeat(64))
}

#[tokio::test]
async fn one_good_attestation_among_others_is_enough() {
    let signer = SimSigstore::new(AT).unwrap();
    let trust = Sigstore::new(&signer.certificates(), &signer.log_key(), ISSUER).unwrap();
    let build = SimBuild {
        sha256: "5".repeat(64),
        repository: "https://github.com/acme/shop".to_owned(),
        commit: SHA.to_owned(),
        builder: BUILDER.to_owned(),
        issuer: ISSUER.to_owned(),
        at_seconds: AT,
    };
    let good = signer.attest(&build).unwrap();
    let other = signer.attest(&SimBuild { commit: "f".repeat(40), ..build.clone() }).unwrap();
    let built =
        Built { sha256: build.sha256.clone(), commit: SHA.to_owned(), builders: vec![BUILDER.to_owned()] };
    let repository: Repository = "acme/shop".parse().unwrap();
    let ask = async |document: Option<Value>| {
        let mut hub = Scripted::default();
        if let Some(document) = document {
            hub.json(&call(), document);
        }
        github().attested(&hub, &trust, &repository, &built).await
    };
    let all = json!({ "attestations": [{ "bundle": null }, { "bundle": other }, { "bundle": good, "repository_id": 1 }] });
    assert_eq!(ask(Some(all)).await.unwrap().builder, BUILDER);
    for (document, why) in [
        (json!({ "attestations": [{ "bundle": other }] }), "of the first: it was built from the commit ffff"),
        (json!({ "attestations": [] }), "GitHub has none of this archive's SHA-256"),
        (json!({ "attestations": [{ "bundle": null }] }), "GitHub has none of this archive's SHA-256"),
        (json!({ "attestations": [{}] }), "GitHub has none of this archive's SHA-256"),
        (json!([]), "GitHub could not be asked"),
    ] {
        let fault = ask(Some(document)).await.unwrap_err();
        let text = fault.to_string();
        assert!(text.starts_with("attestation: ") && text.contains(why), "{text}");
        assert_eq!(fault.url(), "https://github.com/acme/shop/attestations");
    }
    let none = ask(None).await.unwrap_err().to_string();
    assert!(none.contains("answered 404"), "{none}");
}
