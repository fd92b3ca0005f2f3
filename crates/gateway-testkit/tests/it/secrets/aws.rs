//! Credentials in AWS Secrets Manager, asked as what the machine is: of the rack, with how it stands, and of services.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_testkit::{Authenticator, RawClient, TestGateway, Visitor, eventually};
use gateway_types::{Clock, Role, Timestamp};
use serde_json::{Value, json};

use super::super::service_kit::{self, Answer, Instance, Seen, reply, wiki};
use super::credential::{answers, apps, notes, states};
use super::{ask, get};

const PATH: &str = "!/api/v1/rack-credential";
const REFRESH: &str = "!/api/v1/rack-credential/refresh";

/// What Secrets Manager answers with: a status and a document.
type Secret = Arc<Mutex<(&'static str, Value)>>;

fn holding(text: &str) -> (&'static str, Value) {
    ("200 OK", json!({"Name": "prod/rack", "SecretString": text}))
}

/// One server that is the metadata service of an instance and Secrets Manager.
async fn cloud(secret: Secret, expires: Timestamp) -> Instance {
    Instance::start(move |seen| answer(seen, &secret, expires)).await
}

fn answer(seen: &Seen, secret: &Secret, expires: Timestamp) -> Answer {
    let roles = "/latest/meta-data/iam/security-credentials/";
    match seen.line() {
        "PUT /latest/api/token" => reply("200 OK", "", "metadata-token"),
        line if line == format!("GET {roles}") => reply("200 OK", "", "gateway-role"),
        line if line == format!("GET {roles}gateway-role") => {
            let document = json!({
                "Code": "Success", "AccessKeyId": "ASIAINSTANCE", "SecretAccessKey": "canary-aws-key",
                "Token": "canary-aws-session", "Expiration": expires.to_rfc3339(),
            });
            reply("200 OK", "", &document.to_string())
        }
        "POST /" => {
            let signed = seen.header("authorization").unwrap_or_default();
            let of_ours = signed.starts_with("AWS4-HMAC-SHA256 Credential=ASIAINSTANCE/")
                && signed.contains("/eu-west-1/secretsmanager/aws4_request")
                && seen.header("x-amz-security-token") == Some("canary-aws-session")
                && seen.header("x-amz-target") == Some("secretsmanager.GetSecretValue");
            if !of_ours {
                return reply("400 Bad Request", "", "{\"__type\":\"UnrecognizedClientException\"}");
            }
            let (status, document) = secret.lock().unwrap().clone();
            reply(status, "", &document.to_string())
        }
        _ => reply("404 Not Found", "", ""),
    }
}

fn now() -> Timestamp {
    gateway_types::SystemClock.now()
}

fn events_of(events: &[(u64, gateway_audit::Event)]) -> Vec<(Value, Value)> {
    let of = events.iter().filter(|(_, event)| {
        event.action.as_str() == "gateway:rack:credential_refresh" && event.before.is_some()
    });
    of.map(|(_, event)| (event.before.clone().unwrap(), event.after.clone().unwrap())).collect()
}

#[tokio::test]
async fn the_racks_credential_is_read_from_aws_and_followed() {
    let secret: Secret = Arc::new(Mutex::new((
        "400 Bad Request",
        json!({"__type": "AccessDeniedException", "Message": "canary-message"}),
    )));
    let aws = cloud(secret.clone(), now().saturating_add(Duration::from_secs(6 * 3600))).await;
    let gateway = TestGateway::builder()
        .env("RACK_TOKEN", "aws:secretsmanager:prod/rack#password")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL", &aws.url())
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &aws.url())
        .start()
        .await;
    let text = notes(&gateway).await;
    assert!(
        text.contains("AccessDeniedException: allow secretsmanager:GetSecretValue on prod/rack"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(apps(&gateway).await, 502);

    // With the password of before, until the rack refuses it.
    *secret.lock().unwrap() = holding("{\"password\":\"canary-password-of-before\"}");
    let admin = gateway.token(Role::Admin);
    eventually("another credential", || async {
        let shown = get(&gateway, PATH, admin).await.json();
        (!shown["fingerprint"].as_str().unwrap().is_empty()).then_some(())
    })
    .await;
    let before = get(&gateway, PATH, admin).await.json();
    let password = json!({ "password": gateway.rack.password() }).to_string();
    *secret.lock().unwrap() = holding(&password);
    answers(&gateway, 200).await;
    let shown = get(&gateway, PATH, admin).await;
    let standing = shown.json();
    assert_eq!(standing["source"], "aws:secretsmanager:prod/rack#password");
    assert_eq!(standing["access"]["kind"], "instance profile");
    assert!(standing["access"]["renews"].is_string() && standing["next_read"].is_string(), "{standing}");
    assert!(standing["refused"].is_string() && standing["error"].is_null(), "{standing}");
    assert_ne!(standing["fingerprint"], before["fingerprint"]);
    assert_eq!(standing["fingerprint"].as_str().unwrap().len(), 16);

    // Away: the last value holds, and a refresh says why it came to nothing.
    *secret.lock().unwrap() = ("500 Internal Server Error", json!({"__type": "InternalServiceError"}));
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let refused = ask(&gateway, "POST", REFRESH, &session, &Value::Null).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(refused.json()["remedies"][0]["kind"], "step_up_bound");
    let inline = || format!("{session}.totp.{}", phone.next(&gateway));
    let failed = ask(&gateway, "POST", REFRESH, &inline(), &Value::Null).await;
    assert_eq!(failed.status, 502, "{}", failed.text());
    assert!(
        failed.text().contains("the last one holds: AWS Secrets Manager answered 500"),
        "{}",
        failed.text()
    );
    eventually("an alarm", || async {
        notes(&gateway).await.contains("answered 500 InternalServiceError").then_some(())
    })
    .await;
    assert_eq!(apps(&gateway).await, 200, "the last value holds");
    let shown = get(&gateway, PATH, admin).await.json();
    assert!(shown["error"].as_str().unwrap().contains("answered 500") && shown["error_since"].is_string());

    *secret.lock().unwrap() = holding(&password);
    let done = ask(&gateway, "POST", REFRESH, &inline(), &Value::Null).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["fingerprint"], standing["fingerprint"]);
    assert!(done.json()["error"].is_null());
    assert_eq!(get(&gateway, PATH, gateway.token(Role::Ops)).await.status, 403);

    let events = gateway.events().await;
    let print = &standing["fingerprint"];
    let refreshes = events_of(&events);
    assert_eq!(refreshes.len(), 2);
    let (before, after) = &refreshes[0];
    assert_eq!((before, &after["fingerprint"]), (&json!({ "fingerprint": print }), print));
    assert!(after["fault"].as_str().unwrap().contains("answered 500"));
    assert_eq!(refreshes[1], (json!({ "fingerprint": print }), json!({ "fingerprint": print })));
    let all = states(&gateway).await;
    assert_eq!(all[..3], ["cannot_be_read", "exchanged", "exchanged"], "{all:?}");
    let text = format!("{events:?} {} {}", shown, done.text());
    // The rack's password in tests is a word that the source's own name holds, so only what is a value is looked for.
    assert!(!text.contains("canary") && !text.contains(&password), "{text}");
    gateway.finish().await;
}

#[tokio::test]
async fn a_credential_in_the_configuration_is_shown_and_not_refreshed() {
    let gateway = TestGateway::builder().idp().start().await;
    let shown = get(&gateway, PATH, gateway.token(Role::Admin)).await;
    let standing = shown.json();
    assert!(standing["source"].is_null() && standing["next_read"].is_null() && standing["tokens"].is_null());
    assert!(!shown.text().contains(gateway.rack.password()));
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let inline = format!("{session}.totp.{}", phone.next(&gateway));
    let refused = ask(&gateway, "POST", REFRESH, &inline, &Value::Null).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("is in the configuration itself"), "{}", refused.text());
    // The page says the same, and asks the factor of its form.
    let mut visitor = Visitor::signed_in(&gateway, Role::Admin).await;
    let page = visitor.get("/app/rack-credential").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("the configuration itself") && page.text().contains("Read it anew"));
    let code = phone.next(&gateway);
    let page = visitor.post("/app/rack-credential", &[("_code", &code)]).await;
    assert_eq!(page.status, 409, "{}", page.text());
    assert!(page.text().contains("keep it in a file"), "{}", page.text());
    gateway.finish().await;
}

#[tokio::test]
async fn a_services_credential_is_read_from_aws_too() {
    let secret: Secret = Arc::new(Mutex::new(holding("canary-of-the-wiki")));
    let aws = cloud(secret, now().saturating_add(Duration::from_secs(6 * 3600))).await;
    let instance = Instance::saying("hello").await;
    let credential =
        "credential = { kind = \"bearer\", secret = \"aws:secretsmanager:wiki?stage=AWSCURRENT\" }";
    let gateway = TestGateway::builder()
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", &aws.url())
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &aws.url())
        .file(&wiki(&[instance.url()], credential))
        .start()
        .await;
    for _ in 0..3 {
        assert_eq!(service_kit::get(&gateway, "/page").await.status, 200);
    }
    let sent: Vec<_> = instance.seen();
    assert!(sent.iter().all(|seen| seen.header("authorization") == Some("Bearer canary-of-the-wiki")));
    let asked = aws.seen().into_iter().filter(|seen| seen.line() == "POST /").count();
    assert_eq!(asked, 1, "not asked for each request");
    // One that is declared by API cannot name a secret of the gateway's role.
    let by_api = json!({"declaration": {
        "hosts": ["other.example.com"], "upstreams": [{"url": instance.url()}],
        "credential": {"kind": "bearer", "secret": "aws:secretsmanager:prod/rack"},
    }});
    let token = gateway.critical_token().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let headers = [("Content-Type", "application/json"), ("If-None-Match", "*")];
    let refused =
        client.ask("PUT", "!/api/v1/services/other", &token, &headers, by_api.to_string().as_bytes()).await;
    assert!(matches!(refused.status, 400 | 409) && refused.text().contains("vault:"), "{}", refused.text());
    gateway.finish().await;
}
