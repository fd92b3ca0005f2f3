use std::time::Duration;

use serde_json::{Value, json};

use super::{NEWER, SHA, commit, github, shop};
use crate::github::{ActionsFault, CommitState, Repository, Review, Run, as_plain};
use crate::http::Failure;
use crate::scripted::{Reply, Scripted};

const STATUS: &str = "POST /repos/acme/shop/statuses/6dcb09b5b57875f334f61aebed695e2e4193db5e";
const COMMENT: &str = "POST /repos/acme/shop/issues/12/comments";
const RUN: &str = "GET /repos/acme/shop/actions/runs/30433642";
const RULE: &str = "POST /repos/acme/shop/actions/runs/30433642/deployment_protection_rule";
const WAITING: &str = "GET /repos/acme/shop/actions/runs/30433642/pending_deployments";
const PENDING: &str = "POST /repos/acme/shop/actions/runs/30433642/pending_deployments";
const CALLBACK: &str =
    "https://api.github.com/repos/acme/shop/actions/runs/30433642/deployment_protection_rule";

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn set_status(world: &Scripted, description: &str) -> Result<(), Failure> {
    let page = "https://gw.example.com/app/approvals/1".parse().unwrap();
    let status = (CommitState::Pending, description);
    wait(github().commit_status(world, &shop(), &commit(), "shop", status, Some(&page)))
}

#[test]
fn commit_status_says_who_and_where() {
    let mut world = Scripted::default();
    world.on(STATUS, Reply::Json(201, json!({"id": 1, "state": "pending"})));
    set_status(&world, &"é".repeat(200)).unwrap();
    let body = world.body(STATUS);
    assert_eq!(body["state"], "pending");
    assert_eq!(body["context"], "rack-gateway/shop");
    assert_eq!(body["target_url"], "https://gw.example.com/app/approvals/1");
    assert_eq!(body["description"].as_str().unwrap().chars().count(), 140);
}

#[test]
fn failures_say_whether_to_try_again() {
    let check = |reply: Reply, retry: bool, after: Option<u64>| {
        let shown = format!("{reply:?}");
        let mut world = Scripted::default();
        world.on(STATUS, reply);
        let failure = set_status(&world, "x").unwrap_err();
        assert_eq!((failure.retry, failure.after), (retry, after.map(Duration::from_secs)), "{shown}");
        assert!(!format!("{failure:?} {failure}").contains("canary"));
    };
    let raw = |status, headers: &[(&'static str, &'static str)]| {
        Reply::Raw(status, headers.to_vec(), b"{}".to_vec())
    };
    check(raw(400, &[]), false, None);
    check(raw(401, &[]), false, None);
    check(raw(403, &[]), false, None);
    check(raw(403, &[("retry-after", "60")]), true, Some(60));
    check(raw(403, &[("x-ratelimit-remaining", "0")]), true, None);
    check(raw(403, &[("x-ratelimit-remaining", "10")]), false, None);
    check(raw(404, &[]), false, None);
    check(raw(422, &[("retry-after", "60")]), false, Some(60));
    check(raw(429, &[]), true, None);
    check(raw(429, &[("retry-after", "5")]), true, Some(5));
    check(raw(429, &[("retry-after", "99999999")]), true, Some(3600));
    check(raw(429, &[("retry-after", "soon")]), true, None);
    check(raw(500, &[]), true, None);
    check(raw(503, &[("retry-after", "7")]), true, Some(7));
    check(raw(301, &[("location", "https://evil.example/")]), false, None);
    check(Reply::Timeout, true, None);
    check(Reply::Lost, true, None);
}

#[test]
fn comments() {
    let mut world = Scripted::default();
    world.on(
        COMMENT,
        Reply::Json(201, json!({"html_url": "https://github.com/acme/shop/pull/12#issuecomment-1"})),
    );
    let written = wait(github().comment(&world, &shop(), 12, "Approved.")).unwrap();
    assert_eq!(written.url.as_deref(), Some("https://github.com/acme/shop/pull/12#issuecomment-1"));
    assert_eq!(world.body(COMMENT), json!({"body": "Approved."}));
    world.on(COMMENT, Reply::Raw(201, Vec::new(), b"<html>".to_vec()));
    assert!(!wait(github().comment(&world, &shop(), 12, "x")).unwrap_err().retry);
}

#[test]
fn others_words_are_no_markdown() {
    let check = |text: &str, expected: &str| assert_eq!(as_plain(text), expected);
    check("fix the cart", "fix the cart");
    check("@everyone look\nhere", "@\u{200b}everyone look here");
    check("<img src=x> & [a](b)", "&lt;img src=x&gt; &amp; \\[a\\]\\(b\\)");
    check("# *a* `b`\u{7}", "\\# \\*a\\* \\`b\\`");
}

#[test]
fn callback_addresses() {
    let check =
        |address: &str, good: bool| assert_eq!(github().deployment_rule(address).is_ok(), good, "{address}");
    check(CALLBACK, true);
    check(&CALLBACK.replace("https", "http"), false);
    check(&CALLBACK.replace("api.github.com", "evil.example"), false);
    check(&CALLBACK.replace("api.github.com", "api.github.com.evil.example"), false);
    check(&CALLBACK.replace("api.github.com", "api.github.com:8443"), false);
    check(&CALLBACK.replace("api.github.com", "api.github.com@evil.example"), false);
    check(&CALLBACK.replace("api.github.com", "me@api.github.com"), false);
    check(&CALLBACK.replace("30433642", "+30433642"), false);
    check(&CALLBACK.replace("30433642", "030433642"), false);
    check(&CALLBACK.replace("30433642", ""), false);
    check(&CALLBACK.replace("shop", "shop/x"), false);
    check(&CALLBACK.replace("shop", ".."), false);
    check(&CALLBACK.replace("shop", "sh%6fp"), false);
    check(&format!("{CALLBACK}/"), false);
    check(&format!("{CALLBACK}?x"), false);
    check(&format!("{CALLBACK}#x"), false);
    check("https://api.github.com/repos/acme/shop/dispatches", false);
    check("nonsense", false);
}

fn runs(sha: &str, repository: &str) -> Scripted {
    let mut world = Scripted::default();
    let environment = |id: u64, name: &str, may: bool| {
        json!({"environment": {"id": id, "name": name, "url": "https://api.github.com/x"}, "wait_timer": 0,
               "current_user_can_approve": may, "reviewers": []})
    };
    world
        .json(RUN, json!({"id": 30_433_642, "head_sha": sha, "status": "waiting", "repository": {"full_name": repository}}))
        .json(WAITING, json!([environment(7, "staging", true), environment(8, "Production", true), environment(9, "closed", false)]))
        .json(PENDING, json!([]))
        .on(RULE, Reply::Raw(204, Vec::new(), Vec::new()));
    world
}

fn answer_rule(world: &Scripted, bound: &Repository) -> Result<(), ActionsFault> {
    let rule = github().deployment_rule(CALLBACK).unwrap();
    let commit = commit();
    wait(github().review_deployment(
        world,
        &rule,
        (bound, &commit),
        "production",
        (Review::Approved, "By Bob"),
    ))
}

fn answer_pending(world: &Scripted, environment: &str) -> Result<(), ActionsFault> {
    let (shop, commit, names) = (shop(), commit(), [environment.to_owned()]);
    wait(github().review_pending(world, Run(30_433_642), (&shop, &commit), &names, (Review::Rejected, "No")))
}

#[track_caller]
fn check(world: &Scripted, answer: Result<(), ActionsFault>, expected: &str) {
    match answer {
        Ok(()) => assert_eq!(expected, "ok"),
        Err(fault) => {
            assert!(fault.to_string().contains(expected), "{fault}");
            assert!(
                !world.calls().iter().any(|call| call.starts_with("POST")) || expected.contains("answered")
            );
        }
    }
}

#[test]
fn deployment_rules() {
    let world = runs(SHA, "acme/shop");
    check(&world, answer_rule(&world, &shop()), "ok");
    assert_eq!(
        world.body(RULE),
        json!({"environment_name": "production", "state": "approved", "comment": "By Bob"})
    );
    let world = runs(SHA, "acme/shop");
    check(&world, answer_rule(&world, &"acme/other".parse().unwrap()), "bound to acme/other");
    let world = runs(NEWER, "acme/shop");
    check(&world, answer_rule(&world, &shop()), "the run is of commit 7fd1a60b");
    let world = runs(SHA, "evil/shop");
    check(&world, answer_rule(&world, &shop()), "the run is of evil/shop");
    let mut world = runs(SHA, "acme/shop");
    world.on(RULE, Reply::Raw(500, Vec::new(), Vec::new()));
    let fault = answer_rule(&world, &shop()).unwrap_err();
    assert!(fault.retry());
    check(&world, Err(fault), "answered 500");
    for (reply, expected) in super::broken() {
        let mut world = runs(SHA, "acme/shop");
        world.on(RUN, reply);
        let answer = answer_rule(&world, &shop());
        assert!(world.calls().iter().all(|call| call == RUN));
        assert!(answer.unwrap_err().to_string().contains(expected));
    }
}

#[test]
fn pending_deployments() {
    let world = runs(SHA, "acme/shop");
    check(&world, answer_pending(&world, "production"), "ok");
    assert_eq!(world.body(PENDING), json!({"environment_ids": [8], "state": "rejected", "comment": "No"}));
    let world = runs(SHA, "acme/shop");
    check(&world, answer_pending(&world, "elsewhere"), "waits for none");
    let world = runs(SHA, "acme/shop");
    check(&world, answer_pending(&world, "closed"), "may not review the environment closed");
    let world = runs(NEWER, "acme/shop");
    check(&world, answer_pending(&world, "production"), "the run is of commit");
    for (reply, expected) in super::broken() {
        let mut world = runs(SHA, "acme/shop");
        world.on(WAITING, reply);
        let answer: Result<(), ActionsFault> = answer_pending(&world, "production");
        assert!(!world.calls().iter().any(|call| call == PENDING));
        assert!(answer.unwrap_err().to_string().contains(expected));
    }
    let none: Value = json!([]);
    let mut world = runs(SHA, "acme/shop");
    world.json(WAITING, none);
    check(&world, answer_pending(&world, "production"), "waits for none");
}
