//! CI jobs without secrets: tokens of a CI system exchanged by trust rules, and what becomes of what they get.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use gateway_app::workloads::Kind;
use gateway_audit::{End, Event};
use gateway_store::{NewTrustRule, TrustRule};
use gateway_testkit::stub::StubRack;
use gateway_testkit::{Authenticator, Database, RawClient, Reply, Socket, TestGateway};
use gateway_types::{Clock as _, Grant, Role, RoleSet};
use serde_json::{Value, json};

const APP: &str = "/apps/myapp";
const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
const OTHER: &str = "/apps/another";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A CI system: an issuer with one key.
struct Issuer {
    server: StubRack,
    key: Ed25519KeyPair,
}

fn generate() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().unwrap()
}

fn encoded(value: &str) -> String {
    BASE64URL_NOPAD.encode(value.as_bytes())
}

impl Issuer {
    async fn start() -> Self {
        let key = generate();
        let x = BASE64URL_NOPAD.encode(key.public_key().as_ref());
        let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "use": "sig", "x": x }] });
        let server = StubRack::start(move |mut connection| {
            let keys = keys.to_string();
            async move {
                let issuer = format!("http://{}", connection.header("host").unwrap_or_default());
                let discovery = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }).to_string();
                let body = if connection.head.starts_with("GET /keys ") { keys } else { discovery };
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
                connection.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
            }
        })
        .await;
        Self { server, key }
    }

    fn url(&self) -> String {
        self.server.url()
    }

    /// What a job of `acme/shop` on its default branch says, in the environment prod.
    fn claims(&self, gateway: &TestGateway, id: &str) -> Value {
        let now = gateway.clock.now().micros() / 1_000_000;
        json!({
            "iss": self.url(),
            "aud": format!("rack-gateway:{}", gateway.store().gateway_id()),
            "sub": "repo:acme/shop:environment:prod",
            "jti": id,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "repository": "acme/shop",
            "repository_id": "4711",
            "repository_owner_id": "42",
            "ref": "refs/heads/main",
            "environment": "prod",
            "event_name": "push",
            "run_attempt": "1",
            "workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
            "job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
        })
    }

    fn sign(&self, claims: &str) -> String {
        signed(&self.key, r#"{"alg":"EdDSA","kid":"k1","typ":"JWT"}"#, claims)
    }

    /// The rule of that job: with what it may do, for a quarter of an hour.
    fn rule(&self, name: &str) -> NewTrustRule {
        let one = |name: &str, value: &str| (name.to_owned(), vec![value.to_owned()]);
        let claims = BTreeMap::from([
            one("repository_id", "4711"),
            one("repository", "acme/shop"),
            one("environment", "prod"),
            one("ref", "refs/heads/main"),
            one("event_name", "push"),
            one("run_attempt", "1"),
        ]);
        NewTrustRule {
            name: name.to_owned(),
            kind: "github".to_owned(),
            issuer: self.url(),
            claims,
            authority: None,
            roles: RoleSet::of(Role::Deployer),
            grants: vec![Grant {
                actions: "convox:*".to_owned(),
                apps: vec!["myapp".to_owned()],
                critical: false,
            }],
            networks: Vec::new(),
            lifetime: Duration::from_secs(900),
        }
    }

    async fn trusted(&self, gateway: &TestGateway) -> TrustRule {
        gateway.store().trust_rules().set(self.rule("shop-prod"), None, "tester").await.unwrap()
    }
}

fn signed(key: &Ed25519KeyPair, header: &str, claims: &str) -> String {
    let text = format!("{}.{}", encoded(header), encoded(claims));
    format!("{text}.{}", BASE64URL_NOPAD.encode(key.sign(text.as_bytes()).as_ref()))
}

async fn exchange_with(gateway: &TestGateway, fields: &[(&str, &str)]) -> Reply {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    RawClient::connect(gateway.addr()).await.ask("POST", "!/auth/token", "", &headers, body.as_bytes()).await
}

async fn exchange(gateway: &TestGateway, token: &str) -> Reply {
    let fields = [("grant_type", GRANT), ("subject_token", token), ("subject_token_type", JWT)];
    exchange_with(gateway, &fields).await
}

async fn secret(gateway: &TestGateway, token: &str) -> String {
    let reply = exchange(gateway, token).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

async fn status(gateway: &TestGateway, method: &str, path: &str, credential: &str) -> u16 {
    RawClient::connect(gateway.addr()).await.ask(method, path, credential, &[], b"").await.status
}

async fn last(gateway: &TestGateway, action: &str) -> Event {
    gateway.store().audit().flush().await.unwrap();
    let events = gateway.events().await;
    events
        .into_iter()
        .map(|(_, event)| event)
        .rfind(|event| event.action.as_str() == action)
        .expect("an event")
}

#[tokio::test]
async fn f4_a_job_gets_what_its_rule_says_and_nothing_else() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let issuer = Issuer::start().await;
        let rule = issuer.trusted(&gateway).await;
        let reply = exchange(&gateway, &issuer.sign(&issuer.claims(&gateway, "one").to_string())).await;
        assert_eq!(
            (reply.status, reply.header("cache-control")),
            (200, Some("no-store")),
            "{}",
            reply.text()
        );
        let given = reply.json();
        assert_eq!((&given["token_type"], &given["expires_in"]), (&json!("Bearer"), &json!(900)));
        let token = given["access_token"].as_str().unwrap().to_owned();
        assert!(token.starts_with("rgx_"), "{token}");
        // Beside the request's own event, of nobody.
        let events = gateway.events().await;
        let by_rule = |event: &&Event| event.actor.name == "workload:shop-prod";
        let event = events.iter().map(|(_, event)| event).find(by_rule).expect("an event");
        assert_eq!(event.action.as_str(), "gateway:auth:token");
        assert_eq!(event.actor.on_behalf_of.as_deref(), Some("repo:acme/shop:environment:prod"));
        assert_eq!(event.parameters["claim:repository_id"], "4711");
        // Its app, and no other; its role, and no more; people's things not at all.
        assert_eq!(status(&gateway, "GET", APP, &token).await, 200);
        assert_eq!(status(&gateway, "POST", "/apps/myapp/services/web/restart", &token).await, 200);
        assert_eq!(status(&gateway, "GET", OTHER, &token).await, 403);
        assert_eq!(status(&gateway, "DELETE", APP, &token).await, 403);
        assert_eq!(status(&gateway, "GET", "!/api/v1/users", &token).await, 403);
        assert_eq!(status(&gateway, "POST", "!/api/v1/me/factors/totp", &token).await, 403);
        // What may be known beforehand.
        for (app, allowed) in [("myapp", true), ("other", false)] {
            let asked = json!({
                "subject": { "workload": "shop-prod" }, "action": "convox:service:restart", "app": app,
            });
            let reply = RawClient::connect(gateway.addr())
                .await
                .ask(
                    "POST",
                    "!/api/v1/policy/can",
                    gateway.token(Role::Admin),
                    &[("Content-Type", "application/json")],
                    asked.to_string().as_bytes(),
                )
                .await;
            let answer = reply.json();
            assert_eq!(
                (&answer["subject"], &answer["allowed"]),
                (&json!("workload:shop-prod"), &json!(allowed))
            );
        }
        let review = "!/api/v1/access/review?format=csv&cursor=w%3A";
        let reply = RawClient::connect(gateway.addr())
            .await
            .ask("GET", review, gateway.token(Role::Admin), &[], b"")
            .await;
        let text = reply.text();
        assert!(text.starts_with("workload:shop-prod,workload,false,,deployer,convox:* on myapp,"), "{text}");
        let seen = last(&gateway, "convox:service:restart").await;
        assert_eq!(seen.actor.name, "workload:shop-prod");
        // F6: to the second.
        gateway.clock.advance(Duration::from_secs(899));
        assert_eq!(status(&gateway, "GET", APP, &token).await, 200);
        gateway.clock.advance(Duration::from_secs(1));
        assert_eq!(status(&gateway, "GET", APP, &token).await, 401);
        // A rule that was changed or removed ends what it gave.
        let token = secret(&gateway, &issuer.sign(&issuer.claims(&gateway, "two").to_string())).await;
        assert_eq!(status(&gateway, "GET", APP, &token).await, 200);
        let rules = gateway.store().trust_rules();
        let rule = rules.set(rule.rule.clone(), Some(rule.version), "tester").await.unwrap();
        assert_eq!(status(&gateway, "GET", APP, &token).await, 401);
        let token = secret(&gateway, &issuer.sign(&issuer.claims(&gateway, "three").to_string())).await;
        rules.remove("shop-prod", rule.version).await.unwrap();
        assert_eq!(status(&gateway, "GET", APP, &token).await, 401);
        gateway.finish().await;
    }
}

/// One claim of a good token made another one: why it is refused, and which claim is named.
struct Case {
    claim: &'static str,
    value: Value,
    reason: &'static str,
    named: &'static str,
}

fn case(claim: &'static str, value: impl Into<Value>, reason: &'static str, named: &'static str) -> Case {
    Case { claim, value: value.into(), reason, named }
}

#[tokio::test]
async fn f4_each_job_that_is_another_is_refused_with_its_own_reason() {
    let gateway = TestGateway::start().await;
    let issuer = Issuer::start().await;
    issuer.trusted(&gateway).await;
    let (now, audience) =
        (gateway.clock.now().micros() / 1_000_000, gateway.store().gateway_id().to_string());
    let good = format!("rack-gateway:{audience}");
    let cases = [
        // Another gateway; a beginning, another spelling, more than one.
        case("aud", "rack-gateway:00000000-0000-7000-8000-000000000000", "audience", ""),
        case("aud", &good[..good.len() - 1], "audience", ""),
        case("aud", good.to_uppercase(), "audience", ""),
        case("aud", json!([good, "sts.example.com"]), "audience", ""),
        case("aud", json!([]), "audience", ""),
        case("iss", format!("{}/", issuer.url()), "issuer", ""),
        case("iss", "https://token.actions.githubusercontent.com", "issuer", ""),
        case("sub", "", "subject", ""),
        case("exp", now - 31, "time", ""),
        case("exp", json!(f64::from(u32::try_from(now).unwrap()) + 300.5), "time", ""),
        case("exp", (now + 300).to_string(), "time", ""),
        case("exp", -1, "time", ""),
        case("exp", json!(u64::MAX / 2 + 1), "time", ""),
        case("exp", now + 25 * 3600, "time", ""),
        case("nbf", now + 120, "not_yet_valid", ""),
        case("iat", Value::Null, "time", ""),
        // A renamed and recreated repository has another number.
        case("repository_id", "4712", "claims", "repository_id"),
        case("repository", "acme/shop-old", "claims", "repository"),
        case("ref", "refs/pull/7/merge", "claims", "ref"),
        case("ref", "refs/heads/mainline", "claims", "ref"),
        case("environment", "staging", "claims", "environment"),
        case("environment", Value::Null, "claims", "environment"),
        case("event_name", "pull_request", "claims", "event_name"),
        case("event_name", "pull_request_target", "claims", "event_name"),
        case("run_attempt", "2", "claims", "run_attempt"),
        // A job of somebody else's workflow under this repository's name.
        case(
            "job_workflow_ref",
            "evil/ci/.github/workflows/x.yml@refs/heads/main",
            "claims",
            "job_workflow_ref",
        ),
        case("workflow_ref", "evil/ci/.github/workflows/x.yml@refs/heads/main", "claims", "workflow_ref"),
    ];
    for (n, Case { claim, value, reason, named }) in cases.into_iter().enumerate() {
        let mut claims = issuer.claims(&gateway, &format!("case {n}"));
        claims[claim] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        }
        let reply = exchange(&gateway, &issuer.sign(&claims.to_string())).await;
        let told = reply.json();
        assert_eq!((reply.status, &told["reason"]), (400, &json!(reason)), "{claim} = {value}: {told}");
        let mismatches = told["mismatches"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = mismatches.iter().map(|one| one["claim"].as_str().unwrap()).collect();
        assert!(named.is_empty() || names.contains(&named), "{claim} = {value}: {told}");
        // Their own values, never what the rule asks for.
        assert!(
            claim == "environment" || !told["error_description"].to_string().contains("`prod`"),
            "{told}"
        );
    }
    let events = gateway.events().await;
    let why = |event: &Event| event.reason.clone().unwrap_or_default();
    let refused = events.iter().filter(|(_, event)| event.end == Some(End::Refused));
    assert!(refused.map(|(_, event)| why(event)).any(|why| why.contains("event_name is `pull_request`")));
    gateway.finish().await;
}

/// A job of another CI system: what its tokens say by that system's documents, and what a rule asks for.
struct Job {
    kind: Kind,
    /// Besides who issued it, for whom, and when.
    says: Value,
    /// The claims that the rule names; with them come those that it names by itself.
    rule: &'static [(&'static str, &'static str)],
    /// What makes it another job: the project, the branch, a fork.
    others: Vec<(&'static str, Value)>,
}

/// Sources: "ID token payload" of GitLab, "OIDC tokens" of CircleCI, "OIDC with Buildkite".
fn jobs() -> [Job; 3] {
    let gitlab = json!({
        "sub": "project_path:acme/shop:ref_type:branch:ref:main", "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
        "namespace_id": "72", "namespace_path": "acme", "project_id": "20", "project_path": "acme/shop",
        "user_id": "1", "user_login": "sample-user", "user_email": "sample-user@example.com",
        "pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch",
        "ref_path": "refs/heads/main", "ref_protected": "true", "environment": "prod",
        "environment_protected": "true", "runner_id": 1, "runner_environment": "self-hosted",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc", "project_visibility": "private",
        "ci_config_ref_uri": "gitlab.example.com/acme/shop//.gitlab-ci.yml@refs/heads/main",
    });
    let circleci = json!({
        "sub": "org/2b4a1c39/project/66ed5f0a/user/9a1c",
        "oidc.circleci.com/project-id": "66ed5f0a", "oidc.circleci.com/context-ids": ["c0ffee"],
        "oidc.circleci.com/vcs-origin": "github.com/acme/shop",
        "oidc.circleci.com/vcs-ref": "refs/heads/main", "oidc.circleci.com/ssh-rerun": false,
    });
    let buildkite = json!({
        "sub": "organization:acme:pipeline:shop:ref:refs/heads/main:commit:9f3182061f1e:step:deploy",
        "organization_slug": "acme", "organization_id": "0184990a-477b", "pipeline_slug": "shop",
        "pipeline_id": "0184990a-4782", "build_number": 1, "build_branch": "main",
        "build_commit": "9f3182061f1e", "step_key": "deploy", "job_id": "0184990a-477f",
        "agent_id": "0184990a-4782-42b5", "build_source": "webhook", "runner_environment": "self-hosted",
    });
    [
        Job {
            kind: Kind::Gitlab,
            says: gitlab,
            rule: &[("project_id", "20"), ("project_path", "acme/shop"), ("ref_path", "refs/heads/main")],
            others: vec![
                ("project_id", json!("21")),
                ("project_path", json!("mallory/shop")),
                ("ref_path", json!("refs/heads/feature")),
                ("ref_protected", json!("false")),
                // A merge request, which may come from a fork.
                ("pipeline_source", json!("merge_request_event")),
            ],
        },
        Job {
            kind: Kind::Circleci,
            says: circleci,
            rule: &[
                ("oidc.circleci.com/project-id", "66ed5f0a"),
                ("oidc.circleci.com/vcs-origin", "github.com/acme/shop"),
                ("oidc.circleci.com/vcs-ref", "refs/heads/main"),
            ],
            others: vec![
                ("oidc.circleci.com/project-id", json!("77ed5f0a")),
                ("oidc.circleci.com/vcs-origin", json!("github.com/mallory/shop")),
                ("oidc.circleci.com/vcs-ref", json!("refs/heads/feature")),
                ("oidc.circleci.com/vcs-ref", json!("refs/pull/7")),
                ("oidc.circleci.com/ssh-rerun", json!(true)),
            ],
        },
        Job {
            kind: Kind::Buildkite,
            says: buildkite,
            rule: &[
                ("pipeline_id", "0184990a-4782"),
                ("organization_id", "0184990a-477b"),
                ("build_branch", "main"),
            ],
            others: vec![
                ("pipeline_id", json!("0184990a-4783")),
                ("organization_id", json!("0184990a-477c")),
                ("build_branch", json!("feature")),
                // With "Prefix third-party fork branch names".
                ("build_branch", json!("mallory:main")),
            ],
        },
    ]
}

#[tokio::test]
async fn f4_jobs_of_other_systems_are_held_to_project_branch_and_source() {
    let gateway = TestGateway::start().await;
    let mut number = 0;
    for Job { kind, says, rule, others } in jobs() {
        let issuer = Issuer::start().await;
        let named = rule.iter().map(|(claim, value)| ((*claim).to_owned(), vec![(*value).to_owned()]));
        let new = NewTrustRule {
            kind: kind.name().to_owned(),
            claims: kind.completed(named.collect()),
            ..issuer.rule(kind.name())
        };
        gateway.store().trust_rules().set(new, None, "tester").await.unwrap();
        let mut token = async |changed: Option<&(&str, Value)>| {
            number += 1;
            let now = gateway.clock.now().micros() / 1_000_000;
            let mut claims = says.clone();
            claims["iss"] = json!(issuer.url());
            claims["aud"] = json!(format!("rack-gateway:{}", gateway.store().gateway_id()));
            // Each is another token, be it by its number or by its text.
            claims["iat"] = json!(now - number);
            claims["exp"] = json!(now + 300);
            if says.get("jti").is_some() {
                claims["jti"] = json!(format!("job {number}"));
            }
            if let Some((claim, value)) = changed {
                assert!(claims.get(*claim).is_some(), "{claim} is no claim of {kind:?}");
                claims[*claim] = value.clone();
            }
            exchange(&gateway, &issuer.sign(&claims.to_string())).await
        };
        let good = token(None).await;
        assert_eq!(good.status, 200, "{kind:?}: {}", good.text());
        let secret = good.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(status(&gateway, "GET", APP, &secret).await, 200);
        for other in &others {
            let reply = token(Some(other)).await;
            let told = reply.json();
            assert_eq!(
                (reply.status, &told["reason"]),
                (400, &json!("claims")),
                "{kind:?} {other:?}: {told}"
            );
            let mismatches = told["mismatches"].as_array().cloned().unwrap_or_default();
            let named = mismatches.iter().any(|one| one["claim"] == other.0);
            assert!(named, "{kind:?} {other:?}: {told}");
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn f1_f2_f3_forged_and_malformed_tokens_are_refused_with_their_own_reason() {
    let gateway = TestGateway::start().await;
    let issuer = Issuer::start().await;
    issuer.trusted(&gateway).await;
    let claims = issuer.claims(&gateway, "forged").to_string();
    let with_header = |header: &str| signed(&issuer.key, header, &claims);
    let good = issuer.sign(&claims);
    let (text, signature) = good.rsplit_once('.').unwrap();
    let twice = claims.replacen('{', "{\"repository_id\":\"1\",", 1);
    let cases = [
        (
            "another key",
            signed(&generate(), r#"{"alg":"EdDSA","kid":"k1","typ":"JWT"}"#, &claims),
            "signature",
        ),
        ("no such key", with_header(r#"{"alg":"EdDSA","kid":"k2","typ":"JWT"}"#), "key"),
        ("none", with_header(r#"{"alg":"none","typ":"JWT"}"#), "algorithm"),
        ("nOnE", with_header(r#"{"alg":"nOnE"}"#), "algorithm"),
        ("HS256 with what is public", with_header(r#"{"alg":"HS256","kid":"k1"}"#), "algorithm"),
        ("RS256 with a key of another kind", with_header(r#"{"alg":"RS256","kid":"k1"}"#), "key"),
        ("ES256 with a key of another kind", with_header(r#"{"alg":"ES256","kid":"k1"}"#), "key"),
        ("no algorithm", with_header(r#"{"kid":"k1"}"#), "algorithm"),
        ("b64", with_header(r#"{"alg":"EdDSA","kid":"k1","b64":false,"crit":["b64"]}"#), "type"),
        ("a key inside", with_header(r#"{"alg":"EdDSA","jwk":{"kty":"OKP"}}"#), "type"),
        ("a key elsewhere", with_header(r#"{"alg":"EdDSA","jku":"https://evil.example/keys"}"#), "type"),
        ("an access token", with_header(r#"{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}"#), "type"),
        ("a logout token", with_header(r#"{"alg":"EdDSA","kid":"k1","typ":"logout+jwt"}"#), "type"),
        ("no signature", format!("{text}."), "signature"),
        ("another signature", format!("{text}.{}", encoded("x")), "signature"),
        ("two parts", text.to_owned(), "malformed"),
        ("four parts", format!("{good}.x"), "malformed"),
        ("five parts", format!("{good}.x.y"), "malformed"),
        ("trailing bytes", format!("{text}.{signature}="), "signature"),
        ("a member twice", issuer.sign(&twice), "malformed"),
        ("a list", issuer.sign("[]"), "malformed"),
        ("huge", format!("{good}{}", "A".repeat(20_000)), "request"),
        ("not base64", "e.e.e".to_owned(), "malformed"),
    ];
    for (name, token, reason) in &cases {
        let reply = exchange(&gateway, token).await;
        let told = reply.json();
        let oversize = *reason == "request" && told["error"] == "invalid_request" && told["reason"].is_null();
        assert!(reply.status == 400 && (oversize || told["reason"] == *reason), "{name}: {told}");
    }
    // The form itself.
    const SAML: &str = "urn:ietf:params:oauth:token-type:saml2";
    let cases: [&[(&str, &str)]; 5] = [
        &[("grant_type", GRANT), ("subject_token", &good)],
        &[("grant_type", GRANT), ("subject_token", &good), ("subject_token_type", "urn:x")],
        &[("grant_type", GRANT), ("subject_token", &good), ("subject_token_type", JWT), ("actor_token", "x")],
        &[("grant_type", GRANT), ("subject_token", &good), ("subject_token_type", JWT), ("audience", "x")],
        &[
            ("grant_type", GRANT),
            ("subject_token", &good),
            ("subject_token_type", JWT),
            ("requested_token_type", SAML),
        ],
    ];
    for fields in cases {
        assert_eq!(exchange_with(&gateway, fields).await.status, 400, "{fields:?}");
    }
    // F8: a credential in the query is none.
    let in_query = format!("!/auth/token?grant_type=x&subject_token={good}");
    let reply = RawClient::connect(gateway.addr()).await.ask("POST", &in_query, "", &[], b"").await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    // What nobody signed is no line of its own in the log.
    let events = gateway.events().await;
    let told =
        |event: &Event| event.reason.as_deref().is_some_and(|why| why.starts_with("token exchange refused"));
    assert!(!events.iter().any(|(_, event)| told(event)), "{events:?}");
    // And nothing of it spent the good one.
    assert_eq!(exchange(&gateway, &good).await.status, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn f4_a_token_is_good_once_on_all_instances() {
    let first = TestGateway::builder().database(Database::Postgres).start().await;
    let second = TestGateway::builder().share(&first).start().await;
    let issuer = Issuer::start().await;
    issuer.trusted(&first).await;
    let token = issuer.sign(&issuer.claims(&first, "one").to_string());
    let tries = (0..20).map(|n| {
        let (gateway, token) = (if n % 2 == 0 { &first } else { &second }, token.clone());
        async move { exchange(gateway, &token).await }
    });
    let replies = futures_util::future::join_all(tries).await;
    let good: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(good.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        assert!(reply.status == 429 || reply.json()["reason"] == "replayed", "{}", reply.text());
    }
    // Also after everything that has to do with it is over.
    first.clock.advance(Duration::from_secs(600));
    let told = exchange(&second, &token).await.json();
    assert_eq!(told["reason"], "expired", "{told}");
    // Without an id the text is one.
    let mut claims = issuer.claims(&first, "");
    claims.as_object_mut().unwrap().remove("jti");
    let token = issuer.sign(&claims.to_string());
    let given = secret(&first, &token).await;
    assert_eq!(exchange(&second, &token).await.json()["reason"], "replayed");
    // What one instance gave is good at the other, and what one takes away is gone at the other.
    assert_eq!(status(&second, "GET", APP, &given).await, 200);
    let rule = first.store().trust_rules().by_name("shop-prod").await.unwrap().unwrap();
    first.store().trust_rules().remove("shop-prod", rule.version).await.unwrap();
    gateway_testkit::eventually("the end at the other instance", || async {
        (status(&second, "GET", APP, &given).await == 401).then_some(())
    })
    .await;
    second.finish().await;
    first.finish().await;
}

#[tokio::test]
async fn f4_a_stranger_learns_nothing_of_other_peoples_rules() {
    let gateway = TestGateway::start().await;
    let issuer = Issuer::start().await;
    issuer.trusted(&gateway).await;
    let mut claims = issuer.claims(&gateway, "stranger");
    claims["repository"] = json!("evil/evil");
    claims["repository_id"] = json!("666");
    for named in [None, Some("shop-prod"), Some("no-such-rule")] {
        let token = issuer.sign(&claims.to_string());
        let mut fields =
            vec![("grant_type", GRANT), ("subject_token", token.as_str()), ("subject_token_type", JWT)];
        fields.extend(named.map(|name| ("rule", name)));
        let told = exchange_with(&gateway, &fields).await.json();
        assert_eq!(told["mismatches"], json!([{ "claim": "repository_id", "yours": "666" }]), "{named:?}");
        assert!(!told.to_string().contains("shop"), "{told}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn an_admin_writes_a_rule_with_a_bound_factor_and_pages_and_api_show_it() {
    let gateway = TestGateway::builder().idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let rule = json!({
        "kind": "github",
        "claims": { "repository_id": ["4711"], "repository": ["acme/shop"], "environment": ["prod"] },
        "roles": ["cicd"],
        "grants": [{ "actions": "convox:build:*", "apps": ["myapp"] }],
        "lifetime": "10m",
    });
    let put = async |name: &str, rule: &Value, code: Option<String>, version: &str| {
        let credential = code.map_or_else(|| session.clone(), |code| format!("{session}.totp.{code}"));
        let headers = [("Content-Type", "application/json"), ("If-Match", version)];
        let path = format!("!/api/v1/trust-rules/{name}");
        let body = rule.to_string();
        RawClient::connect(gateway.addr())
            .await
            .ask("PUT", &path, &credential, &headers, body.as_bytes())
            .await
    };
    assert_eq!(put("shop", &rule, None, "\"0\"").await.status, 401, "it takes a factor for this very rule");
    let reply = put("shop", &rule, Some(phone.next(&gateway)), "\"0\"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let written = reply.json();
    assert_eq!(written["claims"]["run_attempt"], json!(["1"]), "what is usual is said");
    let words = written["in_words"].as_str().unwrap();
    assert!(
        words.contains("environment is `prod`, and event_name is `push` or `workflow_dispatch`"),
        "L8: {words}"
    );
    let pinned = |more: Value| {
        let mut claims = rule["claims"].clone();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    for (name, change, value) in [
        ("shop", "claims", json!({ "environment": ["prod"] })),
        ("shop", "claims", json!({ "repository_id": ["4711"], "repository": ["acme/shop"] })),
        ("shop", "claims", json!({ "repository_id": ["4711"], "environment": ["prod"] })),
        ("shop", "claims", pinned(json!({ "ref": ["refs/*"] }))),
        ("shop", "claims", pinned(json!({ "ref": ["refs/heads/*"] }))),
        ("shop", "claims", pinned(json!({ "repository_id": ["47*"] }))),
        ("shop", "claims", pinned(json!({ "aud": ["x"] }))),
        ("shop", "roles", json!(["admin"])),
        ("shop", "grants", json!([])),
        ("shop", "grants", json!([{ "actions": "no:such:action" }])),
        ("shop", "lifetime", json!("2h")),
        ("shop", "issuer", json!("http://example.com")),
        ("shop", "networks", json!(["everywhere"])),
        ("break-glass", "lifetime", json!("10m")),
    ] {
        let mut bad = rule.clone();
        bad[change] = value.clone();
        let reply = put(name, &bad, Some(phone.next(&gateway)), "*").await;
        assert_eq!(reply.status, 400, "{change} = {value}: {}", reply.text());
    }
    // A token, whatever its grants, writes none.
    let machine = gateway.critical_token().await;
    let headers = [("Content-Type", "application/json"), ("If-Match", "*")];
    let (path, body) = ("!/api/v1/trust-rules/shop", rule.to_string());
    let by_machine =
        RawClient::connect(gateway.addr()).await.ask("PUT", path, &machine, &headers, body.as_bytes()).await;
    assert_eq!(by_machine.status, 403, "{}", by_machine.text());
    let mut admin = gateway_testkit::Visitor::signed_in(&gateway, Role::Admin).await;
    let page = admin.get("/app/trust-rules").await.text();
    assert!(page.contains("shop") && page.contains("rack-gateway:"), "{page}");
    let version = written["version"].to_string();
    let code = phone.next(&gateway);
    let fields = [("version", version.as_str()), ("_code", code.as_str())];
    let removed = admin.post("/app/trust-rules/shop/remove", &fields).await;
    assert_eq!(removed.status, 303, "{}", removed.text());
    let code = phone.next(&gateway);
    let fields = [
        ("version", "0"),
        ("kind", "github"),
        ("claims", "repository_id = 4711\nrepository = acme/shop\nref = refs/heads/main | refs/tags/v*"),
        ("role", "cicd"),
        ("grants", "convox:build:*@myapp"),
        ("lifetime", "15m"),
        ("_code", code.as_str()),
    ];
    let written = admin.post("/app/trust-rules/by-page", &fields).await;
    assert_eq!(written.status, 303, "{}", written.text());
    let rules = gateway.store().trust_rules().list().await.unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].rule.claims["ref"], ["refs/heads/main", "refs/tags/v*"]);
    let events = gateway.events().await;
    let of_rule =
        |event: &&Event| event.action.as_str() == "gateway:workload:update" && event.after.is_some();
    let event = events.iter().map(|(_, event)| event).rfind(of_rule).expect("an event");
    assert_eq!(event.after.as_ref().unwrap()["roles"], "cicd");
    gateway.finish().await;
}

#[tokio::test]
async fn f6_an_open_stream_keeps_to_the_networks_of_its_token() {
    let gateway = TestGateway::start().await;
    let here = gateway_store::NewToken {
        name: "ci".to_owned(),
        roles: RoleSet::of(Role::Deployer),
        grants: vec![Grant::everything()],
        creator: gateway.person(Role::Deployer).id,
        expires: None,
        networks: vec!["127.0.0.0/8".parse().unwrap()],
    };
    let (token, secret) = gateway.store().tokens().create(here).await.unwrap();
    let mut socket =
        Socket::open(gateway.addr(), EXEC, secret.expose(), &[("command", "cat")]).await.expect("a socket");
    let elsewhere = vec!["192.0.2.0/24".parse().unwrap()];
    let change = gateway_store::TokenChange { networks: Some(elsewhere), ..Default::default() };
    gateway.store().tokens().update(token.id, &change, token.version).await.unwrap();
    let told: Vec<u8> = socket.until_end().await.into_iter().flat_map(|frame| frame.payload).collect();
    assert!(String::from_utf8_lossy(&told).contains("no longer valid"), "the socket is told why it ends");
    gateway.finish().await;
}

#[tokio::test]
async fn f6_f7_a_token_keeps_to_its_networks_and_ends_where_its_creators_rights_do() {
    let first = TestGateway::builder().database(Database::Postgres).start().await;
    let second = TestGateway::builder().share(&first).start().await;
    let owner = first.person(Role::Deployer).clone();
    let new = |networks: &[&str]| gateway_store::NewToken {
        name: "ci".to_owned(),
        roles: RoleSet::of(Role::Deployer),
        grants: vec![Grant::everything()],
        creator: owner.id,
        expires: None,
        networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
    };
    let restart = "/apps/myapp/services/web/restart";
    let (_, here) = first.store().tokens().create(new(&["127.0.0.0/8"])).await.unwrap();
    let (_, elsewhere) =
        first.store().tokens().create(new(&["192.0.2.0/24", "2001:db8::/32"])).await.unwrap();
    assert_eq!(status(&first, "POST", restart, here.expose()).await, 200);
    assert_eq!(status(&first, "POST", restart, elsewhere.expose()).await, 401);
    first.store().audit().flush().await.unwrap();
    let noted = first.events().await;
    assert!(
        noted.iter().any(|(_, event)| event.reason.as_deref().is_some_and(|why| why.contains("network")))
    );
    // Demoted, then locked: the next request on each instance.
    let demoted = gateway_store::UserChange { roles: Some(RoleSet::of(Role::Viewer)), name: None };
    first.store().users().update(owner.id, &demoted, owner.version).await.unwrap();
    assert_eq!(status(&first, "POST", restart, here.expose()).await, 403);
    assert_eq!(status(&first, "GET", APP, here.expose()).await, 200);
    gateway_testkit::eventually("the other instance knows", || async {
        (status(&second, "POST", restart, here.expose()).await == 403).then_some(())
    })
    .await;
    first.store().users().lock(owner.id).await.unwrap();
    assert_eq!(status(&first, "GET", APP, here.expose()).await, 401);
    gateway_testkit::eventually("the other instance knows", || async {
        (status(&second, "GET", APP, here.expose()).await == 401).then_some(())
    })
    .await;
    second.finish().await;
    first.finish().await;
}
