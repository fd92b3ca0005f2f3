use gateway_types::{ActionName, Caller, EventId, OsEntropy, ProblemKind, Resource, Role, Timestamp};
use http::Method;
use serde_json::{Value, json};

use super::{Bench, Call, header};

async fn did(bench: &Bench, caller: &Caller, action: &str) {
    let now = Timestamp::from_micros(1_795_000_000_000_000);
    let actor = gateway_audit::Actor::of(&caller.principal);
    let id = EventId::new(now, &OsEntropy);
    let event = gateway_audit::Event::new(now, id, ActionName::new(action), Resource::app("web"), actor);
    bench.app.store.audit().append(event).await.unwrap();
}

fn actions(listing: &Value) -> Vec<&str> {
    let items = listing["items"].as_array().unwrap();
    items.iter().map(|item| item["event"]["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn events_are_searched_by_whoever_may() {
    for bench in Bench::both().await {
        let (_, vi) = bench.user("vi", &[Role::Viewer]).await;
        let (_, auditor) = bench.user("auditor", &[Role::Auditor]).await;
        for action in ["convox:app:list", "convox:app:read", "gateway:x"] {
            did(&bench, &vi, action).await;
        }
        did(&bench, &auditor, "gateway:y").await;
        let all = bench.read(&auditor, Call::get("/api/v1/audit?app=web")).await;
        assert_eq!(actions(&all), ["gateway:y", "gateway:x", "convox:app:read", "convox:app:list"]);
        assert_eq!(all["items"][0]["time"], "2026-11-18T11:06:40.000000Z");
        let page = bench.read(&auditor, Call::get("/api/v1/audit?app=web&limit=2")).await;
        let next = format!("/api/v1/audit?app=web&cursor={}", page["next"].as_str().unwrap());
        assert_eq!(
            actions(&bench.read(&auditor, Call::get(&next)).await),
            ["convox:app:read", "convox:app:list"]
        );
        let narrow =
            bench.read(&auditor, Call::get("/api/v1/audit?action=convox:app:*&actor=vi@example.com")).await;
        assert_eq!(actions(&narrow).len(), 2);

        bench.refused(&vi, Call::get("/api/v1/audit"), ProblemKind::Refused).await;
        bench.refused(&vi, Call::get("/api/v1/audit?mine=false"), ProblemKind::Refused).await;
        let mine = bench.read(&vi, Call::get("/api/v1/audit?mine=true")).await;
        assert_eq!(actions(&mine), ["gateway:x", "convox:app:read", "convox:app:list"]);
        let of_others = bench.read(&vi, Call::get("/api/v1/audit?mine=true&actor=auditor@example.com")).await;
        assert!(actions(&of_others).is_empty());
        for wrong in
            ["from=yesterday", "cursor=x", "limit=0", "limit=1001", "verdict=maybe", "user=vi", "q=a&q=b"]
        {
            let target = format!("/api/v1/audit?{wrong}");
            bench.refused(&auditor, Call::get(&target), ProblemKind::BadParameter).await;
        }
    }
}

#[tokio::test]
async fn an_entry_and_an_export_are_for_auditors() {
    for bench in Bench::both().await {
        let (_, admin) = bench.user("ann", &[Role::Admin]).await;
        let (_, auditor) = bench.user("auditor", &[Role::Auditor]).await;
        did(&bench, &admin, "convox:app:list").await;
        let entry = bench.read(&auditor, Call::get("/api/v1/audit/1")).await;
        let leaf = entry["leaf"].as_str().unwrap();
        assert_eq!(gateway_audit::leaf_hash(leaf.as_bytes()).to_hex(), entry["leaf_hash"].as_str().unwrap());
        assert_eq!(entry["inclusion"]["path"].as_array().unwrap().len(), 1);
        bench.refused(&admin, Call::get("/api/v1/audit/1"), ProblemKind::Refused).await;
        for nothing in ["/api/v1/audit/99", "/api/v1/audit/-1", "/api/v1/audit/x"] {
            bench.refused(&auditor, Call::get(nothing), ProblemKind::NotFound).await;
        }
        let export = |body| Call::new(Method::POST, "/api/v1/audit/export").json(body);
        bench.refused(&admin, export(json!({})), ProblemKind::Refused).await;
        let reply =
            bench.ask(&auditor, export(json!({ "limit": 1, "filter": { "app": "web" } }))).await.unwrap();
        assert_eq!((reply.status, reply.content_type), (200, "application/x-ndjson"));
        assert_eq!(
            (header(&reply, "next-cursor"), reply.body.iter().filter(|byte| **byte == b'\n').count()),
            (None, 1)
        );
        let more = bench.ask(&auditor, export(json!({ "format": "csv", "limit": 1 }))).await.unwrap();
        assert!(header(&more, "next-cursor").is_some());
        assert!(more.body.starts_with(b"index,time,"));
        assert_eq!(header(&more, "content-disposition"), Some("attachment; filename=\"audit.csv\""));
        let unknown = export(json!({ "filter": { "user": "x" } }));
        bench.refused(&auditor, unknown, ProblemKind::BadParameter).await;
        let kept = bench.read(&auditor, Call::get("/api/v1/audit?action=gateway:audit:export")).await;
        assert_eq!(actions(&kept).len(), 2, "each export is an event");
    }
}
