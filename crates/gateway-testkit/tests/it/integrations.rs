//! What others say of a deploy and are told of it: a gateway before local servers that speak the documented APIs.

mod attested;
pub(crate) mod hub;
mod kept;
mod slack;

use std::time::Duration;

use gateway_testkit::Database;
use hub::Hub;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::approvals::{COMMIT, World};

const TOKEN: &str = "ghp_canary0000000000000000000000000000";

/// A gateway whose app `myapp` is bound to a repository, with every demand.
async fn bound(database: Database, hub: &Hub, more: &[(&str, &str)]) -> World {
    let url = hub.url();
    let mut variables = vec![
        ("GITHUB_TOKEN", TOKEN),
        ("GITHUB_API_URL", url.as_str()),
        ("RGW_APP_MYAPP_SETTING_GITHUB_REPOSITORY", "acme/shop"),
        ("RGW_APP_MYAPP_SETTING_GITHUB_PLACE", "open_pull_request"),
        ("RGW_APP_MYAPP_SETTING_GITHUB_REVIEWS", "1"),
        ("RGW_APP_MYAPP_SETTING_GITHUB_CHECKS", "*,-wait"),
        ("RGW_APP_MYAPP_SETTING_GITHUB_SIGNED", "true"),
        ("RGW_APP_MYAPP_SETTING_GITHUB_NOT_AUTHOR", "true"),
        ("RGW_SETTING_GITHUB_PEOPLE", "admin@example.com=root-gh"),
    ];
    variables.extend_from_slice(more);
    World::start_with(database, &variables).await
}

async fn shown(world: &World, id: &Value) -> Value {
    let path = format!("!/api/v1/approvals/{}", id.as_str().unwrap());
    let reply = world.ask_as(&world.admin, "GET", &path, &[], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// The admin approves, and is refused because of this.
async fn not_approved(world: &World, id: &Value, why: &str) {
    let reply = world.decide(id, "approve").await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    let text = reply.text();
    assert!(text.contains("GitHub does not show") && text.contains(why), "{why}: {text}");
    assert!(!text.contains(TOKEN), "{text}");
    let after = shown(world, id).await;
    assert_eq!(
        (after["state"].as_str(), after["signatures"].as_array().unwrap().len()),
        (Some("pending"), 0)
    );
}

const COMMITS: &str = "GET /repos/acme/shop/commits/";

async fn evidence(database: Database) {
    let hub = Hub::start().await;
    hub.good(COMMIT);
    let silent =
        [("RGW_APP_MYAPP_SETTING_GITHUB_STATUS", "false"), ("RGW_APP_MYAPP_SETTING_GITHUB_COMMENT", "false")];
    let world = bound(database, &hub, &silent).await;
    let id = world.request("myapp", COMMIT).await["id"].clone();
    let commit = format!("{COMMITS}{COMMIT}");

    // Each call goes wrong, and each of them says no.
    for call in [
        commit.clone(),
        format!("{commit}/pulls"),
        "GET /repos/acme/shop/pulls/12/reviews".to_owned(),
        "GET /repos/acme/shop/pulls/12/commits".to_owned(),
        format!("{commit}/check-runs"),
        format!("{commit}/status"),
    ] {
        for (status, body) in [(500, "{}"), (404, "{}"), (301, ""), (200, "<html>")] {
            let good = hub.set(&call, status, body);
            not_approved(&world, &id, "could not be asked").await;
            hub.put(&call, good);
        }
    }
    // What is not as demanded, with what to do.
    let unmet = async |call: &str, edit: &dyn Fn(&mut Value), why: &str| {
        let good = hub.edit(call, edit);
        not_approved(&world, &id, why).await;
        hub.put(call, good);
    };
    let pulls = format!("{commit}/pulls");
    unmet(&pulls, &|all| *all = json!([]), "no pull request has this commit as its head").await;
    unmet(&pulls, &|all| all[0]["head"]["repo"]["full_name"] = json!("evil/shop"), "out of a fork").await;
    unmet(&pulls, &|all| all[0]["base"]["ref"] = json!("dev"), "goes into dev, not into main").await;
    let reviews = "GET /repos/acme/shop/pulls/12/reviews";
    unmet(reviews, &|all| all[0]["state"] = json!("CHANGES_REQUESTED"), "0 of 1 approving reviews").await;
    unmet(
        &format!("{commit}/check-runs"),
        &|all| all["check_runs"][0]["conclusion"] = json!("failure"),
        "unit is failure",
    )
    .await;
    unmet(&commit, &|one| one["commit"]["verification"]["verified"] = json!(false), "is not verified").await;
    unmet(&commit, &|one| one["author"]["login"] = json!("root-gh"), "somebody else must approve").await;
    unmet(&commit, &|one| one["sha"] = json!("f".repeat(40)), "GitHub answered for").await;

    // All is good: what was found is shown, in the log, and beside the approval.
    world.gateway.clock.advance(Duration::from_secs(6));
    let before = shown(&world, &id).await;
    let about = |one: &Value| -> Vec<(String, bool)> {
        let all = one["findings"].as_array().unwrap();
        all.iter()
            .map(|one| (one["what"].as_str().unwrap().to_owned(), one["good"].as_bool().unwrap()))
            .collect()
    };
    let demands = ["commit", "pull request", "reviews", "approver is not the author", "checks", "signature"];
    assert_eq!(about(&before), demands.map(|demand| (demand.to_owned(), true)), "{before}");
    world.approve(&id).await;
    let events = world.gateway.events().await;
    let approved = events.iter().rev().find(|(_, event)| event.parameters.contains_key("evidence")).unwrap();
    assert!(approved.1.parameters["evidence"].contains("reviews: approved by bob"), "{:?}", approved.1);
    let refused = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:approval:evidence");
    assert!(refused.count() >= 24 + 8);

    // Looked at again at the promote.
    assert_eq!(world.upload("a.tgz").await.status, 200);
    let built = world.build("url=object%3A%2F%2Fmyapp%2Ftmp%2Fa.tgz").await;
    assert_eq!(built.status, 200, "{}", built.text());
    let release = world.release(built.json()["id"].as_str().unwrap()).await;
    world.gateway.clock.advance(Duration::from_secs(6));
    let good = hub.edit(reviews, &|all| all[0]["state"] = json!("DISMISSED"));
    let withdrawn = world.promote(&release).await;
    assert_eq!(withdrawn.status, 403, "{}", withdrawn.text());
    assert!(withdrawn.text().contains("0 of 1 approving reviews"), "{}", withdrawn.text());
    assert_eq!(world.seen("POST", "/promote"), 0);
    hub.put(reviews, good);
    world.gateway.clock.advance(Duration::from_secs(6));
    let done = world.promote(&release).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let over = shown(&world, &id).await;
    assert_eq!((over["state"].as_str(), about(&over).len()), (Some("deployed"), demands.len()), "{over}");
    assert!(hub.tokens().iter().all(|token| *token == format!("Bearer {TOKEN}")));
    world.gateway.finish().await;
}

#[tokio::test]
async fn a_commit_that_github_does_not_show_is_not_deployed_on_sqlite() {
    evidence(Database::Sqlite).await;
}

#[tokio::test]
async fn a_commit_that_github_does_not_show_is_not_deployed_on_postgres() {
    evidence(Database::Postgres).await;
}

/// The default: in the branch, or the head of an open pull request into it.
#[tokio::test]
async fn a_commit_is_in_the_branch_or_proposed_for_it() {
    let hub = Hub::start().await;
    hub.good(COMMIT);
    let url = hub.url();
    let variables = [
        ("GITHUB_TOKEN", TOKEN),
        ("GITHUB_API_URL", url.as_str()),
        ("RGW_APP_MYAPP_SETTING_GITHUB_REPOSITORY", "acme/shop"),
    ];
    let world = World::start_with(Database::Sqlite, &variables).await;
    let id = world.request("myapp", COMMIT).await["id"].clone();
    let compare = format!("GET /repos/acme/shop/compare/{}...{COMMIT}", "7".repeat(40));
    let outside = json!({"status": "diverged", "merge_base_commit": {"sha": "8".repeat(40)}}).to_string();
    let good = hub.set(&compare, 200, &outside);
    let pulls = format!("{COMMITS}{COMMIT}/pulls");
    let proposed = hub.set(&pulls, 200, "[]");
    not_approved(&world, &id, "it is diverged").await;
    // A branch that cannot be looked at is no reason to look elsewhere.
    hub.put(&pulls, proposed);
    hub.set(&compare, 502, "");
    not_approved(&world, &id, "answered 502").await;
    hub.set(&compare, 200, &outside);
    world.gateway.clock.advance(Duration::from_secs(6));
    assert_eq!(shown(&world, &id).await["findings"][1]["what"], "pull request");
    hub.put(&compare, good);
    world.approve(&id).await;
    assert_eq!(shown(&world, &id).await["findings"][1]["said"], "in the history of main");
    world.gateway.finish().await;
}

/// A binding without a way to ask refuses; apps without one are as before.
#[tokio::test]
async fn a_bound_app_needs_somebody_to_ask() {
    let variables = [("RGW_APP_MYAPP_SETTING_GITHUB_REPOSITORY", "acme/shop")];
    let world = World::start_with(Database::Sqlite, &variables).await;
    let id = world.request("myapp", COMMIT).await["id"].clone();
    let reply = world.decide(&id, "approve").await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert!(reply.text().contains("no way to ask GitHub: give it GITHUB_TOKEN"), "{}", reply.text());
    world.gateway.finish().await;
}

/// Waits until an approval has a finding about `what`.
async fn finding(world: &World, id: &Value, what: &str) -> Value {
    for _ in 0..100 {
        let one = shown(world, id).await;
        let found = one["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["what"].as_str().is_some_and(|name| name.ends_with(what)));
        if let Some(found) = found {
            return found.clone();
        }
        sleep(Duration::from_millis(300)).await;
    }
    panic!("nothing was told: {what}");
}

const WORKFLOW: &str = "11111111-2222-3333-4444-555555555555";
const PIPELINE: &str = "22222222-2222-3333-4444-555555555555";
const HOLD: &str = "33333333-2222-3333-4444-555555555555";

/// What CircleCI knows of the job that waits.
fn circleci(hub: &Hub, project: &str, commit: &str) {
    let workflow = json!({"id": WORKFLOW, "name": "deploy", "pipeline_id": PIPELINE, "pipeline_number": 7,
        "project_slug": project, "status": "on_hold", "created_at": "2026-11-22T10:00:00Z"});
    let pipeline = json!({"id": PIPELINE, "project_slug": project, "number": 7, "vcs": {"revision": commit}});
    let jobs = json!({"items": [{"id": HOLD, "name": "wait", "type": "approval", "status": "on_hold",
        "approval_request_id": HOLD}], "next_page_token": null});
    hub.set(&format!("GET /api/v2/workflow/{WORKFLOW}"), 200, &workflow.to_string());
    hub.set(&format!("GET /api/v2/pipeline/{PIPELINE}"), 200, &pipeline.to_string());
    hub.set(&format!("GET /api/v2/workflow/{WORKFLOW}/job"), 200, &jobs.to_string());
    hub.set(&format!("POST /api/v2/workflow/{WORKFLOW}/approve/{HOLD}"), 202, r#"{"message":"Accepted."}"#);
}

async fn told(database: Database) {
    let hub = Hub::start().await;
    hub.good(COMMIT);
    circleci(&hub, "gh/acme/shop", COMMIT);
    let statuses = format!("POST /repos/acme/shop/statuses/{COMMIT}");
    hub.set(&statuses, 503, "{}");
    let comments = "POST /repos/acme/shop/issues/12/comments";
    hub.set(comments, 201, r#"{"html_url":"https://github.com/acme/shop/pull/12#c"}"#);
    let run = json!({"head_sha": COMMIT, "repository": {"full_name": "acme/shop"}}).to_string();
    hub.set("GET /repos/acme/shop/actions/runs/7", 200, &run);
    let pending = "/repos/acme/shop/actions/runs/7/pending_deployments";
    let waiting = json!([{"environment": {"id": 5, "name": "Production"}, "current_user_can_approve": true}]);
    hub.set(&format!("GET {pending}"), 200, &waiting.to_string());
    hub.set(&format!("POST {pending}"), 200, "[]");
    let url = hub.url();
    let more = [
        ("CIRCLECI_TOKEN", "circle-canary"),
        ("CIRCLECI_URL", url.as_str()),
        ("RGW_APP_MYAPP_SETTING_CIRCLECI_PROJECT", "gh/acme/shop"),
        ("RGW_APP_MYAPP_SETTING_CIRCLECI_JOB", "wait"),
        ("RGW_APP_MYAPP_SETTING_GITHUB_ENVIRONMENTS", "production"),
    ];
    let world = bound(database, &hub, &more).await;
    let metadata = json!({"workflow_id": WORKFLOW, "run_id": "7"});
    let id = world.request_with("myapp", COMMIT, &metadata).await["id"].clone();
    // What GitHub does not take is tried again, and shown meanwhile.
    let failed = finding(&world, &id, "commit status").await;
    assert_eq!(failed["good"], false, "{failed}");
    assert!(failed["said"].as_str().unwrap().contains("answered 503"), "{failed}");
    let comment = finding(&world, &id, "comment").await;
    assert_eq!((comment["good"].as_bool(), comment["said"].as_str()), (Some(true), Some("below #12")));
    assert_eq!(hub.bodies(comments).len(), 1);
    hub.set(&statuses, 201, "{}");
    // Nothing goes on before it is approved.
    assert!(hub.bodies(&format!("POST {pending}")).is_empty());
    assert!(hub.bodies(&format!("POST /api/v2/workflow/{WORKFLOW}/approve/{HOLD}")).is_empty());
    world.approve(&id).await;
    let goes_on = finding(&world, &id, "waiting job").await;
    assert_eq!(
        (goes_on["good"].as_bool(), goes_on["said"].as_str()),
        (Some(true), Some("wait goes on")),
        "{goes_on}"
    );
    assert_eq!(finding(&world, &id, "waiting environments").await["said"], "approved: production");
    assert_eq!(hub.bodies(&format!("POST {pending}"))[0]["environment_ids"], json!([5]));
    for _ in 0..100 {
        if finding(&world, &id, "commit status").await["good"] == true {
            break;
        }
        sleep(Duration::from_millis(300)).await;
    }
    let last = hub.bodies(&statuses).pop().unwrap();
    assert_eq!(
        (last["state"].as_str(), last["context"].as_str()),
        (Some("success"), Some("rack-gateway/myapp"))
    );
    let events = world.gateway.events().await;
    let reports: Vec<_> =
        events.iter().filter(|(_, event)| event.action.as_str() == "gateway:approval:report").collect();
    assert!(reports.len() >= 5, "{reports:?}");
    let tokens = hub.tokens();
    assert!(tokens.contains(&"circle-canary".to_owned()) && !format!("{reports:?}").contains("canary"));

    // Another project's job, or another commit's, is not set free, whatever the request says.
    circleci(&hub, "gh/acme/bank", COMMIT);
    let other = world.request_with("myapp", COMMIT, &json!({"workflow_id": WORKFLOW})).await["id"].clone();
    assert_ne!(other, id);
    world.approve(&other).await;
    let refused = finding(&world, &other, "waiting job").await;
    assert_eq!(refused["good"], false, "{refused}");
    assert!(refused["said"].as_str().unwrap().contains("it is of the project gh/acme/bank"), "{refused}");
    assert_eq!(hub.bodies(&format!("POST /api/v2/workflow/{WORKFLOW}/approve/{HOLD}")).len(), 1);
    world.gateway.finish().await;
}

#[tokio::test]
async fn what_became_of_a_deploy_is_told_on_sqlite() {
    told(Database::Sqlite).await;
}

#[tokio::test]
async fn what_became_of_a_deploy_is_told_on_postgres() {
    told(Database::Postgres).await;
}
