use serde_json::{Value, json};

use super::{
    COMMIT, NEWER, SHA, TOKEN, broken, commit, commit_document, github, good, review, run, shop, status,
};
use crate::github::{
    Approver, BranchDemand, Checks, Demand, Demands, Evidence, EvidenceFault, Place, PullDemand, PullState,
};
use crate::scripted::Scripted;

const BRANCH: &str = "GET /repos/acme/shop/branches/main";
const REVIEWS: &str = "GET /repos/acme/shop/pulls/12/reviews";
const COMMITS: &str = "GET /repos/acme/shop/pulls/12/commits";

fn at(call: &str) -> String {
    format!("{COMMIT}/{call}")
}

fn ask(world: &Scripted, demands: &Demands, approvers: &[Approver]) -> Result<Evidence, EvidenceFault> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(github().evidence(world, &shop(), &commit(), demands, approvers))
}

/// Asks, and compares: `ok`, or a part of the fault's text. The fault always names its demand and a page.
#[track_caller]
fn check(world: &Scripted, demands: &Demands, approver: &str, expected: &str) {
    let approvers: Vec<Approver> = approver.split_whitespace().map(Approver::named).collect();
    match ask(world, demands, &approvers) {
        Ok(evidence) => {
            assert_eq!(expected, "ok");
            assert!(!serde_json::to_string(&evidence).unwrap().contains("canary"));
        }
        Err(fault) => {
            let text = fault.to_string();
            assert!(text.contains(expected), "{text:?} is not {expected:?}");
            assert!(text.starts_with(&fault.demand().to_string()), "{text}");
            assert!(fault.url().starts_with("https://"), "{}", fault.url());
            assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
        }
    }
}

fn edited(call: &str, edit: impl FnOnce(&mut Value)) -> Scripted {
    let mut world = good();
    world.edit(call, edit);
    world
}

fn with(call: &str, document: Value) -> Scripted {
    let mut world = good();
    world.json(call, document);
    world
}

fn on(place: Place) -> Demands {
    Demands { branch: Some(BranchDemand { name: "main".parse().unwrap(), place }), ..Demands::default() }
}

fn pull(state: PullState, into: Option<&str>) -> Demands {
    let into = into.map(|into| into.parse().unwrap());
    Demands { pull_request: Some(PullDemand { state, into }), ..Demands::default() }
}

fn reviews(reviews: u32) -> Demands {
    Demands { reviews, ..Demands::default() }
}

fn not_author() -> Demands {
    Demands { approver_is_not_author: true, ..pull(PullState::OpenOrMerged, None) }
}

fn green(required: &[&str], except: &[&str]) -> Demands {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let checks = Checks::All { required: names(required), except: names(except) };
    Demands { checks: Some(checks), ..Demands::default() }
}

fn named(names: &[&str]) -> Demands {
    let names = names.iter().map(ToString::to_string).collect();
    Demands { checks: Some(Checks::Named(names)), ..Demands::default() }
}

fn signed() -> Demands {
    Demands { signed: true, ..Demands::default() }
}

fn everything() -> Demands {
    Demands {
        branch: on(Place::Head).branch,
        pull_request: pull(PullState::Open, Some("main")).pull_request,
        reviews: 2,
        approver_is_not_author: true,
        checks: green(&["test", "ci/build"], &[]).checks,
        signed: true,
    }
}

#[test]
fn all_demands_met() {
    let world = good();
    let evidence = ask(&world, &everything(), &[Approver::named("dot")]).unwrap();
    assert_eq!(evidence.url, format!("https://github.com/acme/shop/commit/{SHA}"));
    assert_eq!(evidence.reviews.len(), 2);
    assert_eq!(evidence.authors, ["ann"]);
    assert_eq!(
        evidence.checks.iter().map(|check| check.name.as_str()).collect::<Vec<_>>(),
        ["test", "docs", "ci/build"]
    );
    let text = serde_json::to_string(&evidence).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
    assert!(world.headers("authorization").iter().all(|value| *value == format!("Bearer {TOKEN}")));
    assert!(world.headers("x-github-api-version").iter().all(|value| value == "2022-11-28"));
}

#[test]
fn every_call_that_fails_refuses() {
    let calls = [
        (COMMIT.to_owned(), Demand::Commit),
        (BRANCH.to_owned(), Demand::Branch),
        (at("pulls"), Demand::PullRequest),
        (REVIEWS.to_owned(), Demand::Reviews),
        (COMMITS.to_owned(), Demand::Author),
        (at("check-runs"), Demand::Checks),
        (at("status"), Demand::Checks),
    ];
    for (call, demand) in calls {
        for (reply, expected) in broken() {
            let mut world = good();
            world.on(&call, reply);
            check(&world, &everything(), "dot", expected);
            let fault = ask(&world, &everything(), &[Approver::named("dot")]).unwrap_err();
            assert_eq!(fault.demand(), demand);
            let later = ["in time", "no connection", "500"].iter().any(|part| expected.contains(part));
            assert_eq!(fault.retry(), later, "{expected}");
        }
    }
}

#[test]
fn commit_is_the_one_asked_for() {
    check(&good(), &Demands::default(), "", "ok");
    check(&edited(COMMIT, |it| it["sha"] = NEWER.into()), &Demands::default(), "", "answered for 7fd1a60b");
}

#[test]
fn branch_head_and_history() {
    let moved = |status: &str, base: &str| {
        let mut world = with(BRANCH, json!({"name": "main", "commit": {"sha": NEWER}}));
        let call = format!("GET /repos/acme/shop/compare/{NEWER}...{SHA}");
        world.json(&call, json!({"status": status, "merge_base_commit": {"sha": base}, "ahead_by": 0}));
        world
    };
    check(&good(), &on(Place::Head), "", "ok");
    check(&good(), &on(Place::Contained), "", "ok");
    check(&moved("behind", SHA), &on(Place::Head), "", "the head of main is 7fd1a60b");
    check(&moved("behind", SHA), &on(Place::Contained), "", "ok");
    check(&moved("identical", SHA), &on(Place::Contained), "", "ok");
    check(&moved("ahead", NEWER), &on(Place::Contained), "", "not in main (seen from its head it is ahead)");
    check(&moved("diverged", "0000"), &on(Place::Contained), "", "it is diverged)");
    check(&moved("behind", NEWER), &on(Place::Contained), "", "not in main");
    check(&moved("", SHA), &on(Place::Contained), "", "not in main");
    for (reply, expected) in broken() {
        let mut world = moved("behind", SHA);
        world.on(&format!("GET /repos/acme/shop/compare/{NEWER}...{SHA}"), reply);
        check(&world, &on(Place::Contained), "", expected);
    }
    check(&edited(BRANCH, |it| it["name"] = "other".into()), &on(Place::Head), "", "another form");
    check(
        &edited(BRANCH, |it| it["commit"]["sha"] = "main".into()),
        &on(Place::Contained),
        "",
        "another form",
    );
}

#[test]
fn branch_name_is_one_segment() {
    let mut demands = on(Place::Head);
    demands.branch.as_mut().unwrap().name = "release/1%2e#x".parse().unwrap();
    let world = with(
        "GET /repos/acme/shop/branches/release%2F1%252e%23x",
        json!({"name": "release/1%2e#x", "commit": {"sha": SHA}}),
    );
    check(&world, &demands, "", "ok");
}

#[test]
fn pull_requests() {
    let open = pull(PullState::Open, None);
    let any = pull(PullState::OpenOrMerged, None);
    let pulls = at("pulls");
    let merged = |it: &mut Value| {
        it[0]["state"] = "closed".into();
        it[0]["merged_at"] = "2026-04-15T00:00:00Z".into();
    };
    check(&good(), &open, "", "ok");
    check(&good(), &any, "", "ok");
    check(&edited(&pulls, merged), &any, "", "ok");
    check(&edited(&pulls, merged), &open, "", "#12 is merged");
    check(&edited(&pulls, |it| it[0]["state"] = "closed".into()), &any, "", "#12 was closed without a merge");
    check(&edited(&pulls, |it| it[0]["draft"] = true.into()), &open, "", "#12 is a draft");
    check(&edited(&pulls, |it| it[0]["head"]["repo"] = Value::Null), &open, "", "#12 comes out of a fork");
    check(
        &edited(&pulls, |it| it[0]["head"]["repo"]["full_name"] = "evil/shop".into()),
        &open,
        "",
        "out of a fork",
    );
    check(
        &edited(&pulls, |it| it[0]["base"]["repo"]["full_name"] = "evil/shop".into()),
        &open,
        "",
        "no pull request",
    );
    check(
        &edited(&pulls, |it| it[0]["head"]["sha"] = NEWER.into()),
        &any,
        "",
        "no pull request has this commit",
    );
    check(&with(&pulls, json!([])), &any, "", "no pull request has this commit");
    check(&good(), &pull(PullState::Open, Some("main")), "", "ok");
    check(&good(), &pull(PullState::Open, Some("release")), "", "#12 goes into main, not into release");
    let tried = edited(&pulls, |it| {
        it[0]["head"]["sha"] = NEWER.into();
        it[0]["merge_commit_sha"] = SHA.into();
    });
    check(&tried, &any, "", "no pull request has this commit");
    let merge_commit = edited(&pulls, |it| {
        merged(it);
        it[0]["head"]["sha"] = NEWER.into();
        it[0]["merge_commit_sha"] = SHA.into();
    });
    check(&merge_commit, &any, "", "ok");
    let second = edited(&pulls, |it| {
        let mut closed = it[0].clone();
        closed["state"] = "closed".into();
        closed["number"] = 11.into();
        it.as_array_mut().unwrap().insert(0, closed);
    });
    check(&second, &open, "", "ok");
}

#[test]
fn approving_reviews() {
    let of = |reviews: &[Value]| with(REVIEWS, json!(reviews));
    let bob = || review(2, "bob", "APPROVED");
    let changed = |field: &str, value: Value| {
        let mut one = bob();
        one[field] = value;
        of(&[one])
    };
    check(&good(), &reviews(1), "", "ok");
    check(&good(), &reviews(2), "", "ok");
    check(&good(), &reviews(3), "", "2 of 3 approving reviews");
    check(&of(&[]), &reviews(1), "", "0 of 1");
    check(&of(&[bob(), bob()]), &reviews(2), "", "1 of 2");
    check(&of(&[bob(), review(2, "bob", "CHANGES_REQUESTED")]), &reviews(1), "", "0 of 1");
    check(&of(&[review(2, "bob", "CHANGES_REQUESTED"), bob()]), &reviews(1), "", "ok");
    check(&of(&[bob(), review(2, "bob", "COMMENTED")]), &reviews(1), "", "ok");
    check(&of(&[bob(), review(2, "bob", "DISMISSED")]), &reviews(1), "", "0 of 1");
    check(&of(&[review(2, "bob", "DISMISSED")]), &reviews(1), "", "0 of 1");
    check(&of(&[bob(), review(2, "bob", "SOMETHING_NEW")]), &reviews(1), "", "0 of 1");
    check(&of(&[bob(), review(3, "cyd", "CHANGES_REQUESTED")]), &reviews(1), "", "ok");
    check(&of(&[review(1, "Ann", "APPROVED")]), &reviews(1), "", "0 of 1");
    check(&changed("commit_id", NEWER.into()), &reviews(1), "", "0 of 1");
    check(&changed("commit_id", Value::Null), &reviews(1), "", "0 of 1");
    check(&changed("author_association", "NONE".into()), &reviews(1), "", "0 of 1");
    check(&changed("author_association", "CONTRIBUTOR".into()), &reviews(1), "", "0 of 1");
    check(&changed("author_association", "OWNER".into()), &reviews(1), "", "ok");
    check(&changed("user", Value::Null), &reviews(1), "", "0 of 1");
    check(
        &changed("user", json!({"login": "robot[bot]", "id": 9, "type": "Bot"})),
        &reviews(1),
        "",
        "0 of 1",
    );
    check(&with(&at("pulls"), json!([])), &reviews(1), "", "no pull request");
}

#[test]
fn reviews_are_read_to_the_last_page() {
    let remarks: Vec<Value> = (0..30).map(|_| review(9, "eve", "COMMENTED")).collect();
    let mut world = with(REVIEWS, json!(remarks));
    check(&world, &reviews(1), "", "answered 404");
    world.json(&format!("{REVIEWS} page 2"), json!([review(2, "bob", "APPROVED")]));
    check(&world, &reviews(1), "", "ok");
    let mut late = vec![review(2, "bob", "APPROVED")];
    late.extend((1..30).map(|_| review(9, "eve", "COMMENTED")));
    world.json(REVIEWS, json!(late));
    world.json(&format!("{REVIEWS} page 2"), json!([review(2, "bob", "CHANGES_REQUESTED")]));
    check(&world, &reviews(1), "", "0 of 1");
    let mut endless = with(REVIEWS, json!(remarks));
    for page in 2..=40 {
        endless.json(&format!("{REVIEWS} page {page}"), json!(remarks));
    }
    check(&endless, &reviews(1), "", "could not be read to its end");
    assert_eq!(endless.calls().iter().filter(|call| call.starts_with(REVIEWS)).count(), 20);
}

#[test]
fn approver_is_not_the_author() {
    let demands = not_author();
    check(&good(), &demands, "dot", "ok");
    check(&good(), &demands, "", "no approver was named");
    check(&good(), &demands, "ann", "ann wrote it");
    check(&good(), &demands, "ANN", "ANN wrote it");
    check(&good(), &demands, "dot ann", "ann wrote it");
    check(&good(), &demands, "Ann@Example.com", "Ann@Example.com wrote it");
    check(&good(), &demands, "dot@example.com", "ok");
    check(&good(), &demands, "dot@elsewhere.example", "cannot be compared");
    check(&good(), &demands, "7+ann@users.noreply.github.com", "wrote it");
    let committer = edited(COMMIT, |it| it["committer"] = json!({"login": "dot", "id": 4, "type": "User"}));
    check(&committer, &demands, "dot", "dot wrote it");
    let opened = edited(&at("pulls"), |it| it[0]["user"]["login"] = "dot".into());
    check(&opened, &demands, "dot", "dot wrote it");
    check(&opened, &demands, "zed", "ok");
    let helped = edited(COMMIT, |it| {
        it["commit"]["message"] = "Fix\n\nCo-authored-by: Dot <dot@example.com>\nco-authored-by: x <9+eve@users.noreply.github.com>".into();
    });
    check(&helped, &demands, "dot@example.com", "wrote it");
    check(&helped, &demands, "eve", "eve wrote it");
    let earlier = with(
        COMMITS,
        json!([commit_document("ann", "ann@example.com"), commit_document("dot", "dot@example.com")]),
    );
    check(&earlier, &demands, "dot", "dot wrote it");
    let unknown = edited(COMMIT, |it| {
        it["author"] = json!({});
        it["commit"]["author"]["email"] = "someone@elsewhere.example".into();
    });
    check(&unknown, &demands, "dot", "cannot be compared");
    let hidden = edited(COMMIT, |it| {
        it["author"] = Value::Null;
        it["commit"]["author"]["email"] = "12+dot@users.noreply.github.com".into();
    });
    check(&hidden, &demands, "dot", "dot wrote it");
    let both =
        Approver { login: Some("dot".to_owned()), emails: vec!["someone@elsewhere.example".to_owned()] };
    assert!(ask(&unknown, &demands, &[both]).unwrap_err().to_string().contains("dot wrote it"));
    let many: Vec<Value> = (0..30).map(|_| commit_document("ann", "ann@example.com")).collect();
    let mut long = with(COMMITS, json!(many));
    for page in 2..=9 {
        long.json(&format!("{COMMITS} page {page}"), json!(many.get(..if page == 9 { 10 } else { 30 })));
    }
    check(&long, &demands, "dot", "could not be read to its end");
}

#[test]
fn checks_are_green() {
    let runs =
        |runs: &[Value]| with(&at("check-runs"), json!({"total_count": runs.len(), "check_runs": runs}));
    let statuses = |list: &[Value]| {
        with(&at("status"), json!({"state": "success", "total_count": list.len(), "statuses": list}))
    };
    let all = green(&[], &[]);
    check(&good(), &all, "", "ok");
    for red in ["failure", "cancelled", "timed_out", "action_required", "stale", "startup_failure", "new_one"]
    {
        check(&runs(&[run("test", "completed", Some(red))]), &all, "", &format!("test is {red}"));
    }
    for busy in ["queued", "in_progress", "waiting", "requested", "pending"] {
        check(&runs(&[run("test", busy, None)]), &all, "", &format!("test is {busy}"));
        check(&runs(&[run("test", busy, Some("success"))]), &all, "", &format!("test is {busy}"));
    }
    check(&runs(&[run("test", "completed", None)]), &all, "", "without a conclusion");
    check(&runs(&[run("test", "completed", Some("neutral"))]), &all, "", "ok");
    for red in ["pending", "failure", "error", "skipped", "neutral", "new_one"] {
        check(&statuses(&[status("ci/build", red)]), &all, "", &format!("ci/build is {red}"));
    }
    let mut none = runs(&[]);
    none.json(&at("status"), json!({"state": "pending", "total_count": 0, "statuses": []}));
    check(&none, &all, "", "nothing has reported");
    none.json(
        &at("status"),
        json!({"state": "success", "total_count": 1, "statuses": [status("rack-gateway/shop", "success")]}),
    );
    check(&none, &all, "", "nothing has reported");
    none.json(
        &at("check-runs"),
        json!({"total_count": 1, "check_runs": [run("docs", "completed", Some("skipped"))]}),
    );
    check(&none, &all, "", "nothing has reported");
    check(&good(), &green(&["test", "ci/build"], &[]), "", "ok");
    check(&good(), &green(&["lint"], &[]), "", "lint has not reported");
    check(&good(), &green(&["docs"], &[]), "", "docs is skipped");
    check(&good(), &green(&["rack-gateway/shop"], &[]), "", "rack-gateway/shop has not reported");
    let waits = [run("test", "completed", Some("success")), run("deploy", "in_progress", None)];
    check(&runs(&waits), &all, "", "deploy is in_progress");
    check(&runs(&waits), &green(&[], &["deploy"]), "", "ok");
    check(&runs(&waits), &green(&["deploy"], &["deploy"]), "", "deploy is in_progress");
    check(&runs(&waits), &named(&["test", "ci/build"]), "", "ok");
    check(&runs(&waits), &named(&["test", "lint"]), "", "lint has not reported");
    check(&runs(&waits), &named(&["deploy"]), "", "deploy is in_progress");
    check(&good(), &named(&[]), "", "nothing has reported");
    let twice = [run("test", "completed", Some("success")), run("test", "completed", Some("failure"))];
    check(&runs(&twice), &named(&["test"]), "", "test is failure");
    let odd = edited(&at("status"), |it| {
        it["statuses"][0]["state"] = "failure".into();
        it["statuses"][0]["target_url"] = "javascript:alert(1)".into();
    });
    assert_eq!(ask(&odd, &all, &[]).unwrap_err().url(), format!("https://github.com/acme/shop/commit/{SHA}"));
}

#[test]
fn checks_are_read_to_the_last_page() {
    let greens: Vec<Value> = (0..30).map(|n| run(&format!("t{n}"), "completed", Some("success"))).collect();
    let call = at("check-runs");
    let mut world = with(&call, json!({"total_count": 31, "check_runs": greens}));
    world.json(
        &format!("{call} page 2"),
        json!({"total_count": 31, "check_runs": [run("last", "completed", Some("failure"))]}),
    );
    check(&world, &green(&[], &[]), "", "last is failure");
    let short =
        with(&call, json!({"total_count": 3, "check_runs": [run("test", "completed", Some("success"))]}));
    check(&short, &green(&[], &[]), "", "could not be read to its end");
}

#[test]
fn signatures() {
    check(&good(), &signed(), "", "ok");
    let bad =
        edited(COMMIT, |it| it["commit"]["verification"] = json!({"verified": false, "reason": "unsigned"}));
    check(&bad, &signed(), "", "not verified (unsigned)");
    let none = edited(COMMIT, |it| drop(it["commit"].as_object_mut().unwrap().remove("verification")));
    check(&none, &signed(), "", "not verified (absent)");
    let odd = edited(COMMIT, |it| it["commit"]["verification"]["verified"] = "true".into());
    check(&odd, &signed(), "", "another form");
}

#[test]
fn enterprise_server_has_a_path() {
    let github = crate::github::GitHub::new(
        "https://github.example.com/api/v3/".parse().unwrap(),
        gateway_types::Secret::new(TOKEN.to_owned()),
    );
    let mut world = Scripted::default();
    let path = COMMIT.replace("/repos", "/api/v3/repos");
    world.json(&path, commit_document("ann", "ann@example.com"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found =
        runtime.block_on(github.unwrap().evidence(&world, &shop(), &commit(), &signed(), &[])).unwrap();
    assert_eq!(found.url, format!("https://github.example.com/acme/shop/commit/{SHA}"));
}
