//! The built command line writes a trust rule, signs a job in by it, and breaks the glass, at a whole gateway.

use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use gateway_testkit::{StubRack, TestGateway};
use gateway_types::{Clock as _, Role};
use serde_json::{Value, json};

/// Runs the program with these variables and no others of ours.
async fn run(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command.args(arguments).env_clear();
    command.envs(variables.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

/// GitHub, as far as it matters: a repository's number, an issuer's keys, and a job's token.
async fn github(audience: Arc<Mutex<String>>, now: i64) -> StubRack {
    let key = Arc::new(Ed25519KeyPair::generate().unwrap());
    StubRack::start(move |mut connection| {
        let (key, audience) = (key.clone(), audience.clone());
        async move {
            let here = format!("http://{}", connection.header("host").unwrap_or_default());
            let target = connection.head.split(' ').nth(1).unwrap_or_default().to_owned();
            let x = BASE64URL_NOPAD.encode(key.public_key().as_ref());
            let body = match target.split('?').next().unwrap_or_default() {
                "/repos/acme/Shop" => {
                    json!({ "id": 4711, "full_name": "acme/shop", "default_branch": "main", "owner": { "id": 42 } })
                }
                "/.well-known/openid-configuration" => {
                    json!({ "issuer": here, "jwks_uri": format!("{here}/keys") })
                }
                "/keys" => json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] }),
                _token => {
                    assert_eq!(connection.header("authorization"), Some("Bearer of-the-job"));
                    let workflow = "acme/shop/.github/workflows/deploy.yml@refs/heads/main";
                    let claims = json!({
                        "iss": here, "aud": *audience.lock().unwrap(), "sub": "repo:acme/shop", "jti": "1",
                        "iat": now, "exp": now + 300, "repository": "acme/shop", "repository_id": "4711",
                        "repository_owner_id": "42", "ref": "refs/heads/main", "environment": "prod",
                        "event_name": "push", "run_attempt": "1", "workflow_ref": workflow,
                        "job_workflow_ref": workflow,
                    });
                    let encoded = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
                    let text = format!("{}.{}", encoded(&json!({ "alg": "EdDSA", "kid": "k" })), encoded(&claims));
                    let signature = BASE64URL_NOPAD.encode(key.sign(text.as_bytes()).as_ref());
                    json!({ "value": format!("{text}.{signature}") })
                }
            };
            let body = body.to_string();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            connection.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_planned_written_and_used_in_a_job() {
    let gateway = TestGateway::builder().env("RGW_SETTING_MFA_STEP_UP", "false").start().await;
    let url = format!("http://{}", gateway.addr());
    let session = gateway.session(Role::Admin).await;
    let audience = Arc::new(Mutex::new(format!("rack-gateway:{}", gateway.store().gateway_id())));
    let github = github(audience, gateway.clock.now().micros() / 1_000_000).await;
    let admin = [("RACK_GATEWAY_URL", url.as_str()), ("RACK_GATEWAY_TOKEN", session.as_str())];
    let api = github.url();
    let trust =
        ["ci", "trust", "github", "acme/Shop", "--env", "prod", "--app", "myapp", "--role", "deployer"];
    let trust = [&trust[..], &["--api", &api, "--issuer", &api, "--json"]].concat();
    let plan = answer(&run(&admin, &[&trust[..], &["--plan"]].concat()).await);
    assert_eq!(plan["name"], "github-acme-shop-prod");
    assert_eq!(plan["rule"]["claims"]["repository_id"], json!(["4711"]));
    assert_eq!(plan["rule"]["claims"]["ref"], json!(["refs/heads/main"]));
    assert!(gateway.store().trust_rules().list().await.unwrap().is_empty(), "a plan writes nothing");
    let unasked = run(&admin, &trust).await;
    assert_eq!(unasked.status.code(), Some(2), "nobody is there to confirm it: {}", text(&unasked));
    let no_branch = run(&admin, &[&trust[..], &["--repository-id", "4711", "--plan"]].concat()).await;
    assert_eq!(no_branch.status.code(), Some(2), "{}", text(&no_branch));
    assert!(text(&no_branch).contains("--ref refs/heads/"), "{}", text(&no_branch));
    let written = answer(&run(&admin, &[&trust[..], &["--yes"]].concat()).await);
    assert_eq!(written["roles"], json!(["deployer"]));
    let listed = answer(&run(&admin, &["ci", "trust", "list", "--json"]).await);
    assert_eq!(listed[0]["name"], "github-acme-shop-prod");

    let nothing = run(&[("GITHUB_ACTIONS", "true")], &["ci", "login", &url]).await;
    assert!(text(&nothing).contains("id-token: write"), "{}", text(&nothing));
    let request = format!("{api}/token?api-version=2");
    let job = [
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", request.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-job"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("env");
    let signed_in = run(&job, &["ci", "login", &url, "--env-file", file.to_str().unwrap()]).await;
    assert!(signed_in.status.success(), "{}", text(&signed_in));
    assert!(!String::from_utf8_lossy(&signed_in.stdout).contains("rgx_"), "{}", text(&signed_in));
    assert!(text(&signed_in).contains("::add-mask::rgx_"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "a token is in it");
    let lines = std::fs::read_to_string(&file).unwrap();
    assert!(lines.contains("RACK_URL=http://convox:rgx_"), "{lines}");
    let again = run(&job, &["ci", "login", &url]).await;
    assert!(!again.status.success() && text(&again).contains("exchanged before"), "{}", text(&again));
    let removed =
        answer(&run(&admin, &["ci", "trust", "remove", "github-acme-shop-prod", "--yes", "--json"]).await);
    assert_eq!(removed["removed"], true);
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_made_tried_and_used() {
    let gateway = TestGateway::builder().env("RGW_SETTING_MFA_STEP_UP", "false").start().await;
    let url = format!("http://{}", gateway.addr());
    let session = gateway.session(Role::Admin).await;
    let admin = [("RACK_GATEWAY_URL", url.as_str()), ("RACK_GATEWAY_TOKEN", session.as_str())];
    let made = answer(&run(&admin, &["breakglass", "init", "--codes", "4", "--json"]).await);
    let codes: Vec<&str> =
        made["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(codes.len(), 4);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("codes");
    std::fs::write(&file, codes[..2].join("\n")).unwrap();
    let file = file.to_str().unwrap();
    let drilled = answer(&run(&admin, &["breakglass", "drill", "--codes-file", file, "--json"]).await);
    assert_eq!((&drilled["would_do"], &drilled["good"]), (&json!(true), &json!([1, 2])));
    let flags = ["breakglass", "--role", "ops", "--person", "ops@example.com", "--codes-file", file];
    let flags = [&flags[..], &["--reason", "the identity provider is down", "--json"]].concat();
    // Nobody is signed in.
    let nobody = [("RACK_GATEWAY_URL", url.as_str())];
    let opened = answer(&run(&nobody, &flags).await);
    assert!(opened["token"].as_str().unwrap().starts_with("rgx_"), "{opened}");
    let again = run(&nobody, &flags).await;
    assert_eq!(again.status.code(), Some(4), "{}", text(&again));
    let status = answer(&run(&admin, &["breakglass", "status", "--json"]).await);
    assert_eq!((&status["codes"]["left"], &status["uses"][0]["state"]), (&json!(2), &json!("live")));
    let id = opened["id"].as_str().unwrap();
    assert!(run(&admin, &["breakglass", "end", id]).await.status.success());
    let found = ["breakglass", "review", id, "--found", "one restart, rightly done", "--json"];
    assert_eq!(answer(&run(&admin, &found).await)["state"], "closed");
    // Past the network, on the server's own machine.
    std::fs::write(directory.path().join("codes"), codes[2..].join("\n")).unwrap();
    let database = format!("sqlite://{}", gateway.directory().join("gateway.db").display());
    let local = run(
        &[("APP_SECRET_KEY", "a test key of at least thirty-two characters")],
        &[&flags[..], &["--database-url", &database]].concat(),
    )
    .await;
    assert!(text(&local).contains("rgx_"), "{}", text(&local));
    gateway.finish().await;
}
