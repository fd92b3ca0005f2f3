use gateway_types::{Caller, Grant, OsEntropy, Principal, ProblemKind, Role, RoleSet, TokenId};
use http::Method;
use serde_json::{Value, json};

use super::{Bench, Call};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NOTHING: &str = "/api/v1/approvals/018f0000-0000-7000-8000-000000000009";

fn post(target: &str) -> Call<'_> {
    Call::new(Method::POST, target)
}

fn asked(commit: &str) -> Value {
    json!({ "app": "web", "commit": commit, "branch": "main", "message": "a fix", "metadata": { "run": "7" } })
}

async fn request(bench: &Bench, caller: &Caller, commit: &str) -> Value {
    bench.read(caller, post("/api/v1/approvals").json(asked(commit))).await
}

async fn listed(bench: &Bench, caller: &Caller, query: &str) -> Vec<String> {
    let page = bench.read(caller, Call::get(&format!("/api/v1/approvals{query}"))).await;
    let items = page["items"].as_array().unwrap();
    items.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// A token of `creator` that deploys and does nothing else.
fn machine(bench: &Bench, creator: &Caller) -> Caller {
    let Principal::User { id, email, roles, .. } = &creator.principal else { panic!() };
    let principal = Principal::ApiToken {
        id: TokenId::new(bench.app.clock.now(), &OsEntropy),
        name: "ci".into(),
        roles: RoleSet::of(Role::Cicd),
        grants: [Grant { critical: true, ..Grant::everything() }].into(),
        creator: *id,
        creator_email: email.clone(),
        creator_roles: *roles,
    };
    Caller { principal, ..creator.clone() }
}

#[tokio::test]
async fn a_deploy_is_asked_for_once() {
    for bench in Bench::both().await {
        let (_, dee) = bench.user("dee", &[Role::Deployer]).await;
        let (_, vi) = bench.user("vi", &[Role::Viewer]).await;
        assert!(listed(&bench, &vi, "").await.is_empty());
        bench.refused(&vi, post("/api/v1/approvals").json(asked(COMMIT)), ProblemKind::Refused).await;
        let made = request(&bench, &dee, COMMIT).await;
        assert_eq!((&made["state"], &made["own"]), (&json!("pending"), &json!(true)));
        assert_eq!((&made["app"], &made["commit"]), (&json!("web"), &json!(COMMIT)));
        assert_eq!(made["signatures"], json!([]));
        assert_eq!(request(&bench, &dee, COMMIT).await["id"], made["id"], "the open one stands for both");
        let id = made["id"].as_str().unwrap().to_owned();
        assert_eq!(listed(&bench, &vi, "?open=true").await, std::slice::from_ref(&id));
        let shown = bench.read(&vi, Call::get(&format!("/api/v1/approvals/{id}"))).await;
        assert_eq!((&shown["id"], &shown["own"]), (&json!(id), &json!(false)));
        let evidence = bench.read(&vi, Call::get(&format!("/api/v1/approvals/{id}?evidence=true"))).await;
        assert_eq!(evidence["format"], "rack-gateway/approval-evidence/v1");
        assert_eq!((&evidence["approval"], &evidence["signatures"]), (&json!(id), &json!([])));
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_told() {
    let [bench, _] = Bench::both().await;
    let (_, dee) = bench.user("dee", &[Role::Deployer]).await;
    let bad = ProblemKind::BadParameter;
    for body in [
        asked("0123456"),
        asked(&"g".repeat(40)),
        json!({ "app": "No App", "commit": COMMIT }),
        json!({ "app": "web" }),
        json!({ "app": "web", "commit": COMMIT, "approved": true }),
        json!({ "app": "web", "commit": COMMIT, "commands": ["re:("] }),
    ] {
        bench.refused(&dee, post("/api/v1/approvals").json(body), bad).await;
    }
    for query in ["?state=done", "?limit=0", "?q=web", "?open=1"] {
        bench.refused(&dee, Call::get(&format!("/api/v1/approvals{query}")), bad).await;
    }
    bench.refused(&dee, Call::get(NOTHING), ProblemKind::NotFound).await;
    bench.refused(&dee, Call::get(&format!("{NOTHING}?evidence=true")), ProblemKind::NotFound).await;
    bench.refused(&dee, Call::get("/api/v1/approvals/7"), ProblemKind::NotFound).await;
}

/// Checklist E: whoever asks is not who approves, and no machine approves.
#[tokio::test]
async fn nobody_approves_their_own() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let (_, bob) = bench.user("bob", &[Role::Admin]).await;
        let made = request(&bench, &ann, COMMIT).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let at = |what: &str| format!("/api/v1/approvals/{id}/{what}");
        bench
            .refused(&ann, post(&at("approve")).json(json!({ "statement": "x" })), ProblemKind::Refused)
            .await;
        bench
            .refused(
                &machine(&bench, &bob),
                post(&at("approve")).json(json!({ "statement": "x" })),
                ProblemKind::Refused,
            )
            .await;
        bench.refused(&bob, post(&at("withdraw")), ProblemKind::Refused).await;
        let body = json!({ "reason": "not on a Friday", "state": "approved" });
        bench.refused(&bob, post(&at("reject")).json(body), ProblemKind::BadParameter).await;
        let no = json!({ "reason": "not on a Friday" });
        let rejected = bench.read(&bob, post(&at("reject")).json(no)).await;
        assert_eq!(
            (&rejected["state"], &rejected["reason"]),
            (&json!("rejected"), &json!("not on a Friday"))
        );
        bench
            .refused(&bob, post(&at("approve")).json(json!({ "statement": "x" })), ProblemKind::NotPossible)
            .await;
        let again = request(&bench, &ann, COMMIT).await;
        assert_ne!(again["id"], made["id"], "what is over stands for nothing");
        let withdraw = format!("/api/v1/approvals/{}/withdraw", again["id"].as_str().unwrap());
        assert_eq!(bench.read(&ann, post(&withdraw)).await["state"], "withdrawn");
        assert_eq!(listed(&bench, &bob, "?state=rejected").await, std::slice::from_ref(&id));
        assert!(listed(&bench, &bob, "?open=true").await.is_empty());
        bench.refused(&bob, post(&format!("{NOTHING}/reject")), ProblemKind::NotFound).await;
    }
}

#[tokio::test]
async fn somebody_else_approves_and_extends_once() {
    for bench in Bench::both().await {
        let (_, dee) = bench.user("dee", &[Role::Deployer]).await;
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let made = request(&bench, &dee, COMMIT).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let at = |what: &str| format!("/api/v1/approvals/{id}/{what}");
        bench
            .refused(&dee, post(&at("approve")).json(json!({ "statement": "x" })), ProblemKind::Refused)
            .await;
        bench
            .refused(&ann, post(&at("extend")).json(json!({ "statement": "x" })), ProblemKind::NotPossible)
            .await;
        let given = json!({ "statement": made["statement"], "reason": "seen" });
        bench
            .refused(&ann, post(&at("approve")).json(json!({ "statement": "x" })), ProblemKind::Conflict)
            .await;
        bench.refused(&ann, post(&at("approve")), ProblemKind::BadParameter).await;
        let approved = bench.read(&ann, post(&at("approve")).json(given)).await;
        assert_eq!((&approved["state"], &approved["extended"]), (&json!("approved"), &json!(false)));
        let signature = &approved["signatures"][0];
        assert_eq!(
            (&signature["by"], &signature["method"], &signature["reason"]),
            (&json!("ann@example.com"), &json!("code"), &json!("seen"))
        );
        assert!(signature.get("fault").is_none() && approved["expires"].is_string(), "{approved}");
        bench
            .refused(&ann, post(&at("approve")).json(json!({ "statement": "x" })), ProblemKind::NotPossible)
            .await;
        assert_eq!(
            bench.read(&ann, post(&at("extend")).json(json!({ "statement": made["statement"] }))).await["extended"],
            true
        );
        bench
            .refused(&ann, post(&at("extend")).json(json!({ "statement": "x" })), ProblemKind::NotPossible)
            .await;
        let evidence = bench.read(&dee, Call::get(&format!("/api/v1/approvals/{id}?evidence=true"))).await;
        let purposes: Vec<bool> = evidence["signatures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|signature| signature["statement"].as_str().unwrap().contains("\"purpose\":\"approve\""))
            .collect();
        assert_eq!(purposes, [true, false], "{evidence}");
    }
}

#[tokio::test]
async fn a_machine_that_deploys_sees_its_own() {
    let [bench, _] = Bench::both().await;
    let (_, ann) = bench.user("ann", &[Role::Admin]).await;
    let (_, dee) = bench.user("dee", &[Role::Deployer]).await;
    let ci = machine(&bench, &ann);
    let its = request(&bench, &ci, COMMIT).await["id"].as_str().unwrap().to_owned();
    let theirs = request(&bench, &dee, &"a".repeat(40)).await["id"].as_str().unwrap().to_owned();
    assert_eq!(listed(&bench, &ci, "").await, std::slice::from_ref(&its));
    assert_eq!(listed(&bench, &dee, "?mine=true").await, std::slice::from_ref(&theirs));
    let all = listed(&bench, &dee, "?app=web").await;
    assert!(all.len() == 2 && all.contains(&its) && all.contains(&theirs), "{all:?}");
    bench.read(&ci, Call::get(&format!("/api/v1/approvals/{its}"))).await;
    let other = format!("/api/v1/approvals/{theirs}");
    bench.refused(&ci, Call::get(&other), ProblemKind::Refused).await;
}
