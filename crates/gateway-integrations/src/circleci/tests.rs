use gateway_types::Secret;
use serde_json::{Value, json};

use super::{Approved, Bound, CircleCi, CircleFault, JobName, ProjectSlug, Waiting, WorkflowId};
use crate::scripted::{Reply, Scripted};

const SHA: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
const WORKFLOW: &str = "GET /api/v2/workflow/11111111-1111-4111-8111-111111111111";
const PIPELINE: &str = "GET /api/v2/pipeline/22222222-2222-4222-8222-222222222222";
const APPROVE: &str =
    "POST /api/v2/workflow/11111111-1111-4111-8111-111111111111/approve/33333333-3333-4333-8333-333333333333";
const TOKEN: &str = "CCIPAT_canary";

fn jobs() -> String {
    format!("{WORKFLOW}/job")
}

fn workflows() -> String {
    format!("{PIPELINE}/workflow")
}

fn workflow() -> Value {
    json!({
        "id": "11111111-1111-4111-8111-111111111111", "name": "deploy", "status": "on_hold",
        "pipeline_id": "22222222-2222-4222-8222-222222222222", "pipeline_number": 25, "project_slug": "gh/acme/shop",
        "created_at": "2026-04-14T16:00:49Z", "started_by": "4444"
    })
}

fn job(name: &str, kind: &str, status: &str) -> Value {
    json!({
        "id": "33333333-3333-4333-8333-333333333333", "name": name, "type": kind, "status": status,
        "approval_request_id": (kind == "approval").then_some("33333333-3333-4333-8333-333333333333"),
        "project_slug": "gh/acme/shop", "dependencies": []
    })
}

fn good() -> Scripted {
    let mut world = Scripted::default();
    world
        .json(WORKFLOW, workflow())
        .json(&workflows(), json!({"items": [workflow()], "next_page_token": null}))
        .json(
            PIPELINE,
            json!({"id": "22222222-2222-4222-8222-222222222222", "project_slug": "gh/acme/shop", "number": 25,
                   "vcs": {"revision": SHA, "branch": "main", "provider_name": "GitHub"}}),
        )
        .json(
            &jobs(),
            json!({"items": [job("test", "build", "success"), job("approve", "approval", "on_hold")],
                   "next_page_token": null}),
        )
        .on(APPROVE, Reply::Json(202, json!({"message": "Accepted."})));
    world
}

fn edited(call: &str, edit: impl FnOnce(&mut Value)) -> Scripted {
    let mut world = good();
    world.edit(call, edit);
    world
}

fn ask(world: &Scripted, waiting: &Waiting, project: &str) -> Result<Approved, CircleFault> {
    let client =
        CircleCi::new("https://circleci.com".parse().unwrap(), Secret::new(TOKEN.to_owned())).unwrap();
    let bound = Bound {
        project: project.parse().unwrap(),
        commit: SHA.parse().unwrap(),
        job: "approve".parse().unwrap(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(client.approve(world, waiting, &bound))
}

fn by_workflow() -> Waiting {
    Waiting::Workflow("11111111-1111-4111-8111-111111111111".parse().unwrap())
}

fn by_pipeline() -> Waiting {
    Waiting::Pipeline("22222222-2222-4222-8222-222222222222".parse().unwrap())
}

/// Asks in both ways; nothing is approved unless the answer is `now`.
#[track_caller]
fn check(world: &Scripted, expected: &str) {
    for waiting in [by_workflow(), by_pipeline()] {
        check_one(world, &waiting, "gh/acme/shop", expected);
    }
}

#[track_caller]
fn check_one(world: &Scripted, waiting: &Waiting, project: &str, expected: &str) {
    let found = match ask(world, waiting, project) {
        Ok(Approved::Now { url }) => {
            assert_eq!(
                url,
                "https://app.circleci.com/pipelines/gh/acme/shop/25/workflows/11111111-1111-4111-8111-111111111111"
            );
            assert!(world.calls().iter().any(|call| call == APPROVE));
            "now".to_owned()
        }
        Ok(Approved::Before { .. }) => "before".to_owned(),
        Err(fault) => {
            assert!(!format!("{fault:?}").contains("canary"));
            fault.to_string()
        }
    };
    assert!(found.contains(expected), "{found} is not {expected}");
    assert!(
        expected == "now"
            || expected.contains("approve/")
            || !world.calls().iter().any(|call| call == APPROVE)
    );
}

#[test]
fn one_waiting_job_goes_on() {
    let world = good();
    check(&world, "now");
    assert!(world.headers("circle-token").iter().all(|value| value == TOKEN));
    check_one(&good(), &by_workflow(), "github/acme/shop", "now");
    check(
        &edited(PIPELINE, |it| {
            it["vcs"] = Value::Null;
            it["trigger_parameters"] = json!({"git": {"branch": "main", "checkout_sha": SHA}});
        }),
        "now",
    );
}

#[test]
fn only_of_the_bound_project() {
    check_one(&good(), &by_workflow(), "gh/acme/other", "it is of the project gh/acme/shop");
    check_one(&good(), &by_pipeline(), "gh/acme/other", "it is of the project gh/acme/shop");
    check_one(&good(), &by_workflow(), "bb/acme/shop", "it is of the project");
    check_one(
        &edited(WORKFLOW, |it| it["project_slug"] = "gh/evil/shop".into()),
        &by_workflow(),
        "gh/acme/shop",
        "gh/evil/shop",
    );
    check_one(
        &edited(&workflows(), |it| it["items"][0]["project_slug"] = "gh/evil/shop".into()),
        &by_pipeline(),
        "gh/acme/shop",
        "gh/evil/shop",
    );
    check(&edited(PIPELINE, |it| it["project_slug"] = "gh/evil/shop".into()), "gh/evil/shop");
    check(&edited(PIPELINE, |it| it["project_slug"] = "".into()), "it is of the project ");
}

#[test]
fn only_of_the_approved_commit() {
    check(
        &edited(PIPELINE, |it| it["vcs"]["revision"] = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d".into()),
        "commit 7fd1a60b",
    );
    check(&edited(PIPELINE, |it| it["vcs"]["revision"] = "6dcb09b".into()), "commit 6dcb09b,");
    check(&edited(PIPELINE, |it| it["vcs"] = Value::Null), "does not say which commit");
    check(
        &edited(PIPELINE, |it| it["id"] = "55555555-5555-4555-8555-555555555555".into()),
        "another workflow or pipeline",
    );
    let other = edited(WORKFLOW, |it| it["id"] = "55555555-5555-4555-8555-555555555555".into());
    check_one(&other, &by_workflow(), "gh/acme/shop", "another workflow or pipeline");
    let other = edited(&workflows(), |it| {
        it["items"][0]["pipeline_id"] = "55555555-5555-4555-8555-555555555555".into()
    });
    check_one(&other, &by_pipeline(), "gh/acme/shop", "another workflow or pipeline");
}

#[test]
fn only_an_approval_job_of_that_name_on_hold() {
    let with = |list: &[Value]| edited(&jobs(), |it| it["items"] = json!(list));
    check(&with(&[]), "no approval job named approve is on hold");
    check(&with(&[job("approve", "build", "on_hold")]), "no approval job");
    check(&with(&[job("other", "approval", "on_hold")]), "no approval job");
    check(&with(&[job("approve", "approval", "blocked")]), "no approval job");
    check(&with(&[job("approve", "approval", "canceled")]), "no approval job");
    check(&with(&[job("approve", "approval", "success")]), "before");
    check(
        &with(&[job("approve", "approval", "on_hold"), job("approve", "approval", "on_hold")]),
        "2 approval jobs",
    );
    let rerun = [job("approve", "approval", "success"), job("approve", "approval", "on_hold")];
    check(&with(&rerun), "now");
    assert!(ask(&with(&[]), &by_workflow(), "gh/acme/shop").unwrap_err().retry());
    assert!(!ask(&with(&[]), &by_workflow(), "gh/acme/other").unwrap_err().retry());
}

#[test]
fn lists_are_read_to_their_ends() {
    let mut world = edited(&jobs(), |it| {
        it["items"] = json!([job("test", "build", "success")]);
        it["next_page_token"] = "a b&c".into();
    });
    check(&world, "answered 404");
    world.json(
        &format!("{} token a b&c", jobs()),
        json!({"items": [job("approve", "approval", "on_hold")], "next_page_token": null}),
    );
    check(&world, "now");
    let mut endless = edited(&jobs(), |it| it["next_page_token"] = "x".into());
    endless.json(&format!("{} token x", jobs()), json!({"items": [], "next_page_token": "x"}));
    check(&endless, "could not be read to its end");
}

#[test]
fn every_call_that_fails_refuses() {
    let raw = |status, body: &[u8]| Reply::Raw(status, Vec::new(), body.to_vec());
    for call in [WORKFLOW.to_owned(), workflows(), PIPELINE.to_owned(), jobs(), APPROVE.to_owned()] {
        for (reply, expected, retry) in [
            (Reply::Timeout, "in time", true),
            (Reply::Lost, "no connection", true),
            (raw(401, b"{}"), "answered 401", false),
            (raw(404, b"{}"), "answered 404", false),
            (raw(429, b"{}"), "answered 429", true),
            (raw(500, b""), "answered 500", true),
            (raw(200, b"<html>"), "another form", false),
            (raw(200, b"{}"), "another form", false),
            (raw(200, &vec![b' '; 1024 * 1024 + 1]), "larger than", false),
            (raw(302, b""), "has moved", false),
        ] {
            let waiting = if call == workflows() { by_pipeline() } else { by_workflow() };
            let mut world = good();
            world.on(&call, reply);
            let fault = ask(&world, &waiting, "gh/acme/shop").unwrap_err();
            assert!(fault.to_string().contains(expected), "{call}: {fault}");
            assert_eq!(fault.retry(), retry, "{call}: {fault}");
        }
    }
}

#[test]
fn names() {
    let slug = |text: &str, good: bool| assert_eq!(text.parse::<ProjectSlug>().is_ok(), good, "{text:?}");
    slug("gh/acme/shop", true);
    slug("circleci/Ab12/Cd34", true);
    slug("acme/shop", false);
    slug("gl/acme/shop", false);
    slug("gh/acme/..", false);
    slug("gh/acme/shop/x", false);
    slug("gh//shop", false);
    let id = |text: &str, good: bool| assert_eq!(text.parse::<WorkflowId>().is_ok(), good, "{text:?}");
    id("11111111-1111-4111-8111-111111111111", true);
    id("11111111-1111-4111-8111-11111111111", false);
    id("11111111/1111-4111-8111-111111111111", false);
    id("../../../x", false);
    id("", false);
    let name = |text: &str, good: bool| assert_eq!(text.parse::<JobName>().is_ok(), good, "{text:?}");
    name("hold for approval", true);
    name("", false);
    name("a\nb", false);
}
