//! Asking as a GitHub App, and not twice for the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use data_encoding::BASE64;
use gateway_identity::oidc::Answer;
use gateway_integrations::github::{Demands, NameFault};
use gateway_types::{Secret, Timestamp};
use http::Response;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NOW: i64 = 1_800_000_000_000_000;

/// A GitHub that answers from memory, and remembers what it was asked with what.
#[derive(Debug, Default)]
struct Hub {
    answers: Mutex<BTreeMap<String, (u16, Value)>>,
    asked: Mutex<Vec<(String, String)>>,
}

impl Fetch for Hub {
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_> {
        let call = format!("{} {}", request.method(), request.uri().path());
        let token = request.headers()["authorization"].to_str().unwrap().to_owned();
        self.asked.lock().unwrap().push((call.clone(), token));
        let (status, document) = self.answers.lock().unwrap().get(&call).cloned().unwrap_or((404, json!({})));
        let answer = Response::builder().status(status).body(document.to_string().into_bytes()).unwrap();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

impl Hub {
    fn set(&self, call: &str, status: u16, document: Value) {
        self.answers.lock().unwrap().insert(call.to_owned(), (status, document));
    }

    fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(NOW).saturating_add(Duration::from_secs(seconds))
}

fn question() -> Result<Question, NameFault> {
    Ok(Question {
        repository: "acme/shop".parse()?,
        commit: COMMIT.parse()?,
        alternatives: vec![Demands::default()],
        approvers: Vec::new(),
    })
}

fn pem(key: &KeyPair) -> String {
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
    let body = BASE64.encode(der.as_ref());
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// A configuration that gives no credentials.
pub(crate) fn nobody() -> gateway_config::Integrations {
    let at = |address: &str| address.parse().unwrap();
    gateway_config::Integrations {
        github: gateway_config::GitHub { api: at("https://api.github.com"), access: None },
        circleci: gateway_config::CircleCi { host: at("https://circleci.com"), token: None },
        slack: gateway_config::Slack { api: at("https://slack.com/api"), access: None },
        attestations: None,
    }
}

fn configured(access: gateway_config::GitHubAccess) -> gateway_config::Integrations {
    let api = "https://github.example.com/api/v3".parse().unwrap();
    let github = gateway_config::GitHub { api, access: Some(access) };
    gateway_config::Integrations { github, ..nobody() }
}

const TOKENS: &str = "POST /api/v3/app/installations/42/access_tokens";
const COMMITS: &str = "GET /api/v3/repos/acme/shop/commits/0123456789abcdef0123456789abcdef01234567";

fn token(text: &str, expires: Timestamp) -> Value {
    json!({ "token": text, "expires_at": expires.to_rfc3339(), "permissions": {} })
}

#[tokio::test]
async fn an_app_signs_in_and_keeps_its_token_until_it_ends() {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let access = gateway_config::GitHubAccess::App { id: 7, installation: 42, key: Secret::new(pem(&key)) };
    let integrations = Integrations::new(&configured(access)).unwrap();
    let desk = integrations.github().unwrap();
    assert!(!format!("{integrations:?}").contains("PRIVATE"));
    let hub = Arc::new(Hub::default());
    let way = WayOut(&*hub);
    // Nobody is let in without a token.
    let refused = desk.evidence(&way, at(0), &question().unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("does not let the gateway in as its App"), "{refused}");
    hub.set(TOKENS, 201, token("ghs_one", at(3600)));
    hub.set(COMMITS, 200, json!({ "sha": COMMIT, "commit": { "message": "Fix it" } }));
    hub.asked();
    let shown = desk.evidence(&way, at(10), &question().unwrap()).await.unwrap();
    assert_eq!(shown.commit, COMMIT);
    let asked = hub.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[1], (COMMITS.to_owned(), "Bearer ghs_one".to_owned()));
    // The assertion is the App's, short, and signed by its key.
    let assertion = asked[0].1.strip_prefix("Bearer ").unwrap();
    let mut rules = Validation::new(Algorithm::RS256);
    rules.validate_exp = false;
    rules.required_spec_claims.clear();
    let public = DecodingKey::from_rsa_der(key.public_key().as_ref());
    let claims = jsonwebtoken::decode::<Value>(assertion, &public, &rules).unwrap().claims;
    assert_eq!(claims["iss"], "7");
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert!(iat < at(10).micros() / 1_000_000 && exp - iat <= 600, "{claims}");

    // The same question within seconds is not asked again; later it is, with the same token.
    desk.evidence(&way, at(14), &question().unwrap()).await.unwrap();
    assert_eq!(hub.asked(), []);
    desk.evidence(&way, at(15), &question().unwrap()).await.unwrap();
    assert_eq!(hub.asked(), [(COMMITS.to_owned(), "Bearer ghs_one".to_owned())]);
    // Before its end it is another one.
    hub.set(TOKENS, 201, token("ghs_two", at(7200)));
    desk.evidence(&way, at(3400), &question().unwrap()).await.unwrap();
    assert_eq!(hub.asked().last().unwrap().1, "Bearer ghs_two");
    // One that is not taken any more is not kept.
    hub.set(COMMITS, 401, json!({}));
    desk.evidence(&way, at(3410), &question().unwrap()).await.unwrap_err();
    hub.set(TOKENS, 201, token("ghs_three", at(7200)));
    hub.asked();
    desk.evidence(&way, at(3420), &question().unwrap()).await.unwrap_err();
    assert_eq!(hub.asked().last().unwrap().1, "Bearer ghs_three");
}

#[tokio::test]
async fn a_question_without_a_demand_is_answered_with_no() {
    let access = gateway_config::GitHubAccess::Token(Secret::new("ghp_x".to_owned()));
    let integrations = Integrations::new(&configured(access)).unwrap();
    let empty = Question { alternatives: Vec::new(), ..question().unwrap() };
    let hub = Hub::default();
    let refused = integrations.github().unwrap().evidence(&WayOut(&hub), at(0), &empty).await.unwrap_err();
    assert!(matches!(*refused, NotShown::NothingDemanded));
}

#[test]
fn a_bad_key_is_told_at_the_start() {
    let access =
        gateway_config::GitHubAccess::App { id: 7, installation: 42, key: Secret::new("no".to_owned()) };
    assert!(matches!(Integrations::new(&configured(access)), Err(SetupError::AppKey(_))));
}
