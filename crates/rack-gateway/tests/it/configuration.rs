//! The built command line exports a gateway's configuration, compares and applies it, as an admin with a second factor
//! and as a token, at a whole gateway.

use std::path::Path;
use std::process::{Command, Output};

use gateway_testkit::{Authenticator, TestGateway};
use gateway_types::Role;
use serde_json::Value;

async fn run(gateway: &TestGateway, credential: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command.args(arguments).env_clear();
    command.env("RACK_GATEWAY_URL", format!("http://{}", gateway.addr()));
    command.env("RACK_GATEWAY_TOKEN", credential);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

fn write(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

const DECLARED: &str = r#"
version = 1

[settings]
step_up_window = "5m"

[app.myapp.settings]
external_builds = true

[[user]]
email = "new@example.com"
name = "New"
roles = ["ops"]

[[user]]
email = "gone@example.com"
roles = ["viewer"]
locked = true

[[group]]
name = "eng"
roles = ["viewer"]

[[grant]]
group = "eng"
role = "deployer"
app = "myapp"

[[policy]]
id = "calm"
text = '''
@id("calm-web")
@needs("another app than calm")
forbid (principal, action in Action::"convox:app:delete", resource == App::"calm");
'''

[[service]]
name = "wiki"
prefix = "/wiki"
strip_prefix = true
upstreams = [{ url = "http://127.0.0.1:9" }]

[[trust_rule]]
name = "ci"
kind = "github"
roles = ["cicd"]
claims = { repository_id = ["1"], repository = ["acme/shop"], ref = ["refs/heads/main"] }
grants = [{ actions = "convox:*", apps = ["myapp"] }]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn one_code_applies_a_file_and_what_is_exported_changes_nothing() {
    let gateway = TestGateway::start().await;
    let session = gateway.session(Role::Admin).await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "a.toml", DECLARED);

    let differs = run(&gateway, &session, &["diff", "-f", &file, "--json"]).await;
    assert_eq!(differs.status.code(), Some(1), "{}", text(&differs));
    assert_eq!(
        (&answer(&differs)["same"], answer(&differs)["changes"].as_array().unwrap().len()),
        (&false.into(), 10)
    );
    let dry = run(&gateway, &session, &["apply", "-f", &file, "--dry-run"]).await;
    assert_eq!(dry.status.code(), Some(1), "{}", text(&dry));
    assert!(text(&dry).contains("+ policy calm"), "{}", text(&dry));

    let unconfirmed = run(&gateway, &session, &["apply", "-f", &file, "--yes"]).await;
    assert_eq!(unconfirmed.status.code(), Some(4), "{}", text(&unconfirmed));
    assert!(text(&unconfirmed).contains("/step-up/"), "{}", text(&unconfirmed));
    let code = phone.next(&gateway);
    let applied = run(&gateway, &session, &["apply", "-f", &file, "--yes", "--json", "--code", &code]).await;
    assert_eq!(applied.status.code(), Some(0), "{}", text(&applied));
    assert_eq!(answer(&applied)["same"], true);
    let same = run(&gateway, &session, &["diff", "-f", &file]).await;
    assert_eq!(same.status.code(), Some(0), "{}", text(&same));

    let exported = run(&gateway, &session, &["export"]).await;
    assert!(exported.status.success(), "{}", text(&exported));
    let whole = write(directory.path(), "whole.toml", &String::from_utf8_lossy(&exported.stdout));
    let kinds = "services,users,groups,grants,trust-rules,settings,policies";
    let again = run(&gateway, &session, &["apply", "-f", &whole, "--prune", kinds, "--yes"]).await;
    assert_eq!(again.status.code(), Some(0), "{}", text(&again));
    assert!(text(&again).contains("nothing was changed"), "{}", text(&again));
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_half_way_says_so_and_goes_on_when_repeated() {
    let gateway = TestGateway::start().await;
    let token = gateway.critical_token().await;
    let directory = tempfile::tempdir().unwrap();
    let broken = DECLARED.replace("Action::\"convox:app:delete\"", "Action::\"convox:nothing\"");
    let file = write(directory.path(), "a.toml", &broken);
    // The rule's row is for people; without it a token goes on to the policy, which is the last.
    let file_text = std::fs::read_to_string(&file).unwrap();
    let without_rule = file_text.split("[[trust_rule]]").next().unwrap();
    write(directory.path(), "a.toml", without_rule);

    let failed = run(&gateway, &token, &["apply", "-f", &file, "--yes"]).await;
    assert_ne!(failed.status.code(), Some(0), "{}", text(&failed));
    let said = text(&failed);
    assert!(said.contains("made     + service wiki") && said.contains("not made + policy calm"), "{said}");
    assert!(said.contains("run it again"), "{said}");
    let fixed = write(directory.path(), "a.toml", DECLARED.split("[[trust_rule]]").next().unwrap());
    let rest = run(&gateway, &token, &["apply", "-f", &fixed, "--yes", "--json"]).await;
    assert_eq!(rest.status.code(), Some(0), "{}", text(&rest));
    let names: Vec<Value> =
        answer(&rest)["changes"].as_array().unwrap().iter().map(|change| change["name"].clone()).collect();
    assert_eq!(names, ["calm", "gone@example.com"], "only what was missing");

    // What is not declared goes only when its kind is named, and then after the rack's name was given.
    let nothing = write(directory.path(), "a.toml", "version = 1\n");
    let kept = run(&gateway, &token, &["apply", "-f", &nothing, "--yes"]).await;
    assert!(kept.status.success() && text(&kept).contains("nothing was changed"), "{}", text(&kept));
    let prune = ["apply", "-f", &nothing, "--prune", "services,policies", "--yes"];
    let unconfirmed = run(&gateway, &token, &prune).await;
    assert_eq!(unconfirmed.status.code(), Some(2), "{}", text(&unconfirmed));
    let wrong = run(&gateway, &token, &[&prune[..], &["--confirm", "other"]].concat()).await;
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong));
    let rack = gateway.addr().to_string();
    let pruned = run(&gateway, &token, &[&prune[..], &["--confirm", &rack]].concat()).await;
    assert!(pruned.status.success(), "{}", text(&pruned));
    let left = run(&gateway, &token, &["export", "--kind", "services,policies,groups"]).await;
    let left = text(&left);
    assert!(!left.contains("wiki") && !left.contains("calm") && left.contains("eng"), "{left}");
    gateway.finish().await;
}
