use gateway_types::{ActionName, EventId, OsEntropy, ProblemKind, RequestId, Resource, Role, Timestamp};
use http::Method;
use serde_json::json;

use super::{Bench, Call, header};

const TEXT: &str = r#"@id("no-restarts")
forbid (principal, action == Action::"convox:service:restart", resource);"#;

fn put<'a>(target: &'a str, version: &str, text: &str) -> Call<'a> {
    Call::new(Method::PUT, target).with("if-match", version).json(json!({ "text": text }))
}

/// Checklist L9: written whole or not at all.
#[tokio::test]
async fn policies_are_written_listed_and_removed() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let (_, bo) = bench.user("bo", &[Role::Ops]).await;
        let weekend = "/api/v1/policies/weekend";
        let before = bench.read(&bo, Call::get("/api/v1/policies")).await;
        assert_eq!(before["items"][0]["origin"], "built_in");
        bench.refused(&bo, put(weekend, "\"0\"", TEXT), ProblemKind::Refused).await;
        bench.refused(&ann, put(weekend, "\"0\"", "permit ("), ProblemKind::BadParameter).await;
        let reply = bench.ask(&ann, put(weekend, "\"0\"", TEXT)).await.unwrap();
        let etag = header(&reply, "etag").unwrap().to_owned();
        bench.refused(&ann, put(weekend, "\"0\"", TEXT), ProblemKind::Stale).await;
        let after = bench.read(&bo, Call::get("/api/v1/policies")).await;
        assert_ne!(after["policy_version"], before["policy_version"]);
        let document = &after["items"][1];
        assert_eq!((&document["id"], &document["origin"]), (&json!("weekend"), &json!("database")));
        assert_eq!((&document["text"], &document["updated_by"]), (&json!(TEXT), &json!("ann@example.com")));
        assert_eq!(document["rules"][0]["effect"], "forbid");

        let trap = r#"@id("t") forbid (principal, action, resource);"#;
        bench.refused(&ann, put("/api/v1/policies/trap", "*", trap), ProblemKind::NotPossible).await;
        let remove = || Call::new(Method::DELETE, weekend).with("if-match", &etag);
        assert_eq!(bench.ask(&ann, remove()).await.unwrap().status, 204);
        bench.refused(&ann, remove(), ProblemKind::NotFound).await;
    }
}

#[tokio::test]
async fn a_check_answers_with_places_and_changes() {
    let [bench, _] = Bench::both().await;
    let (_, _ann) = bench.user("ann", &[Role::Admin]).await;
    let (_, bo) = bench.user("bo", &[Role::Ops]).await;
    let check = |text: &str| {
        Call::new(Method::POST, "/api/v1/policies/check").json(json!({ "id": "weekend", "text": text }))
    };
    let bad = bench.read(&bo, check("\n  permit (principle, action, resource);")).await;
    assert_eq!((&bad["acceptable"], &bad["faults"][0]["line"]), (&json!(false), &json!(2)));
    let good = bench.read(&bo, check(TEXT)).await;
    assert_eq!(good["acceptable"], true);
    let roles = good["roles"].as_array().unwrap();
    assert!(roles.iter().any(|change| change["who"] == "ops" && change["after"] == "role"), "{roles:?}");
    let listed = bench.read(&bo, Call::get("/api/v1/policies")).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "nothing was changed");
}

#[tokio::test]
async fn can_is_about_oneself_unless_policy_lets_one_ask_of_others() {
    for bench in Bench::both().await {
        let (_, vi) = bench.user("vi", &[Role::Viewer]).await;
        let (_, bo) = bench.user("bo", &[Role::Ops]).await;
        let can = |body| Call::new(Method::POST, "/api/v1/policy/can").json(body);
        let restart = "convox:service:restart";
        let mine = bench.read(&vi, can(json!({ "action": restart, "app": "web" }))).await;
        assert_eq!((&mine["subject"], &mine["allowed"]), (&json!("vi@example.com"), &json!(false)));
        assert_eq!(mine["remedies"], json!(["step_up", "elevation"]));
        let own = bench.read(&bo, can(json!({ "action": restart, "app": "web", "subject": null }))).await;
        assert_eq!((&own["allowed"], &own["remedies"]), (&json!(false), &json!(["step_up"])));
        let of_bo = json!({ "action": restart, "app": "web", "subject": { "person": "bo@example.com" } });
        bench.refused(&vi, can(of_bo.clone()), ProblemKind::Refused).await;
        assert_eq!(bench.read(&bo, can(of_bo)).await["resource"], "App::web");
        let of_vi =
            json!({ "action": "gateway:me:read", "subject": { "person": "vi@example.com" }, "own": true });
        assert_eq!(bench.read(&bo, can(of_vi)).await["allowed"], true);
        let bad = ProblemKind::BadParameter;
        let both = json!({ "person": "vi@example.com", "token": "x" });
        bench.refused(&bo, can(json!({ "action": restart, "subject": both })), bad).await;
        bench.refused(&bo, can(json!({ "action": restart, "subject": {} })), bad).await;
        bench.refused(&bo, can(json!({ "action": "service:restart" })), bad).await;
        let nobody = json!({ "action": restart, "subject": { "person": "x@example.com" } });
        bench.refused(&bo, can(nobody), ProblemKind::NotFound).await;
        let no_rule = json!({ "action": restart, "subject": { "workload": "deploys" } });
        bench.refused(&bo, can(no_rule), ProblemKind::NotFound).await;

        let who = Call::new(Method::POST, "/api/v1/policy/who-can");
        let who = bench.read(&bo, who.json(json!({ "action": restart, "app": "web" }))).await;
        let names: Vec<_> = who["items"].as_array().unwrap().iter().map(|item| &item["subject"]).collect();
        assert_eq!(names, ["bo@example.com"]);
    }
}

/// Checklist H3: a request of somebody else is not there, in the same words as one that never was.
#[tokio::test]
async fn h3_why_tells_of_ones_own_requests_only() {
    for bench in Bench::both().await {
        let (_, vi) = bench.user("vi", &[Role::Viewer]).await;
        let (_, other) = bench.user("other", &[Role::Viewer]).await;
        let (_, auditor) = bench.user("auditor", &[Role::Auditor]).await;
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        let id = RequestId::new(now, &OsEntropy);
        let mut event = gateway_audit::Event::new(
            now,
            EventId::new(now, &OsEntropy),
            ActionName::new("convox:app:list"),
            Resource::rack(),
            gateway_audit::Actor::of(&vi.principal),
        );
        event.request_id = Some(id);
        event.parameters.insert("name".to_owned(), "value".to_owned());
        bench.app.store.audit().append(event).await.unwrap();
        let target = format!("/api/v1/policy/why/{id}");
        let mine = bench.read(&vi, Call::get(&target)).await;
        assert_eq!(mine["events"][0]["event"]["action"], "convox:app:list");
        assert_eq!(mine["events"][0]["event"].get("parameters"), None);
        let read = bench.read(&auditor, Call::get(&target)).await;
        assert_eq!(read["events"][0]["event"]["parameters"]["name"], "value");
        let foreign = bench.refused(&other, Call::get(&target), ProblemKind::NotFound).await;
        for unknown in ["/api/v1/policy/why/x", "/api/v1/policy/why/00000000-0000-7000-8000-000000000000"] {
            assert_eq!(bench.refused(&other, Call::get(unknown), ProblemKind::NotFound).await, foreign);
        }
    }
}
