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
    actions_of(&listing["items"])
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

        let evidence = |body| Call::new(Method::POST, "/api/v1/audit/evidence").json(body);
        let good = json!({ "digest": "0f".repeat(32), "from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", "entries": 7 });
        bench.refused(&admin, evidence(good.clone()), ProblemKind::Refused).await;
        assert_eq!(bench.ask(&auditor, evidence(good.clone())).await.unwrap().status, 204);
        for (field, wrong) in [
            ("digest", "0F".repeat(32)),
            ("digest", "0f".to_owned()),
            ("to", "2026-10-01T00:00:00Z".to_owned()),
            ("from", "soon".to_owned()),
        ] {
            let mut bad = good.clone();
            bad[field] = json!(wrong);
            bench.refused(&auditor, evidence(bad), ProblemKind::BadParameter).await;
        }
        let kept = bench.read(&auditor, Call::get("/api/v1/audit?action=gateway:audit:evidence")).await;
        assert_eq!(kept["items"][0]["event"]["parameters"]["digest"], "0f".repeat(32));
        assert_eq!(actions(&kept).len(), 1);
    }
}

async fn step(bench: &Bench, caller: &Caller, action: &str, release: &str) -> u64 {
    let now = Timestamp::from_micros(1_795_000_000_000_000);
    let actor = gateway_audit::Actor::of(&caller.principal);
    let id = EventId::new(now, &OsEntropy);
    let mut event = gateway_audit::Event::new(now, id, ActionName::new(action), Resource::app("web"), actor);
    event.parameters.insert("id".to_owned(), release.to_owned());
    event.end = Some(gateway_audit::End::Completed);
    bench.app.store.audit().append(event).await.unwrap().index
}

#[tokio::test]
async fn the_requests_of_a_deploy_are_one_story() {
    for bench in Bench::both().await {
        let (_, dev) = bench.user("dev", &[Role::Deployer]).await;
        let (_, other) = bench.user("other", &[Role::Deployer]).await;
        let (_, auditor) = bench.user("auditor", &[Role::Auditor]).await;
        let first = step(&bench, &dev, "convox:build:create", "").await;
        step(&bench, &dev, "convox:build:read", "BAAA").await;
        let promoted = step(&bench, &dev, "convox:release:promote", "RAAA").await;
        let others = step(&bench, &other, "convox:release:promote", "RBBB").await;
        let all = bench.read(&auditor, Call::get("/api/v1/audit/stories")).await;
        let items = all["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{all}");
        assert_eq!((&items[0]["index"], &items[0]["outcome"]), (&json!(others), &json!("promoted")));
        let story = &items[1];
        assert_eq!(
            (&story["index"], &story["builds"], &story["releases"]),
            (&json!(first), &json!(["BAAA"]), &json!(["RAAA"]))
        );
        assert_eq!(story["events"], json!([first, first + 1, promoted]));
        let of = async |query: &str| {
            let target = format!("/api/v1/audit/stories?{query}");
            bench.read(&auditor, Call::get(&target)).await["items"].as_array().unwrap().len()
        };
        assert_eq!(of("actor=other@example.com").await, 1);
        assert_eq!(of("app=api").await, 0);
        assert_eq!(of("to=2026-01-01T00:00:00Z").await, 0);
        // By any of its entries; and what stands before the page's cursor is told whole.
        let one = format!("/api/v1/audit/stories/{promoted}");
        let told = bench.read(&auditor, Call::get(&one)).await;
        assert_eq!((&told["story"], actions_of(&told["events"]).len()), (story, 3));
        assert_eq!(of(&format!("cursor={others}")).await, 1);
        assert_eq!(
            of(&format!("cursor={promoted}")).await,
            0,
            "it ended after the page began, and was told before"
        );
        let mine = bench.read(&dev, Call::get("/api/v1/audit/stories?mine=true")).await;
        assert_eq!(mine["items"].as_array().unwrap().len(), 1);
        bench.read(&dev, Call::get(&format!("{one}?mine=true"))).await;
        let of_others = format!("/api/v1/audit/stories/{others}?mine=true");
        bench.refused(&dev, Call::get(&of_others), ProblemKind::NotFound).await;
        bench.refused(&dev, Call::get("/api/v1/audit/stories"), ProblemKind::Refused).await;
        bench.refused(&dev, Call::get(&one), ProblemKind::Refused).await;
        for nothing in ["/api/v1/audit/stories/99", "/api/v1/audit/stories/x", "/api/v1/audit/stories/0"] {
            bench.refused(&auditor, Call::get(nothing), ProblemKind::NotFound).await;
        }
        for wrong in ["?from=soon", "?cursor=x", "?q=x", "/3?app=web"] {
            let target = format!("/api/v1/audit/stories{wrong}");
            bench.refused(&auditor, Call::get(&target), ProblemKind::BadParameter).await;
        }
    }
}

fn actions_of(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|item| item["event"]["action"].as_str().unwrap()).collect()
}

fn remove(target: &str) -> Call<'_> {
    Call::new(Method::DELETE, target)
}

#[tokio::test]
async fn searches_are_kept_shared_and_recorded() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Viewer]).await;
        let (_, bo) = bench.user("bo", &[Role::Auditor]).await;
        let (_, root) = bench.user("root", &[Role::Admin]).await;
        let save = |body| Call::new(Method::POST, "/api/v1/audit/searches").json(body);
        let names = async |caller: &Caller| {
            let found = bench.read(caller, Call::get("/api/v1/audit/searches")).await;
            let items = found["items"].as_array().unwrap().clone();
            items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let body = json!({ "name": " refusals ", "filter": { "verdict": "refuse", "app": "web" } });
        let kept = bench.read(&ann, save(body)).await;
        assert_eq!(
            (&kept["name"], &kept["mine"], &kept["shared"]),
            (&json!("refusals"), &json!(true), &json!(false))
        );
        assert_eq!(names(&ann).await, ["refusals"]);
        assert!(names(&bo).await.is_empty(), "it is not shared");
        let shared = json!({ "name": "refusals", "filter": { "verdict": "refuse" }, "shared": true });
        let again = bench.read(&ann, save(shared)).await;
        assert_eq!(again["id"], kept["id"], "one's own of the same name is replaced");
        let seen = bench.read(&bo, Call::get("/api/v1/audit/searches")).await;
        let seen = &seen["items"][0];
        assert_eq!((&seen["owner"], &seen["mine"]), (&json!("ann@example.com"), &json!(false)));
        assert_eq!(seen["filter"], json!({ "verdict": "refuse" }));
        let event =
            bench.app.store.events().page(&gateway_store::EventFilter::default(), None, 1).await.unwrap();
        let event = &event.items[0].1;
        assert_eq!(event.action.as_str(), "gateway:audit:save_search");
        assert_eq!(event.before.as_ref().unwrap()["shared"], false);
        assert_eq!(event.after.as_ref().unwrap()["shared"], true);

        let one = format!("/api/v1/audit/searches/{}", kept["id"].as_str().unwrap());
        bench.refused(&bo, remove(&one), ProblemKind::Refused).await;
        assert_eq!(
            bench.ask(&root, remove(&one)).await.unwrap().status,
            204,
            "an admin tidies up shared ones"
        );
        assert!(names(&ann).await.is_empty());
        let private = bench.read(&ann, save(json!({ "name": "mine" }))).await;
        let private = format!("/api/v1/audit/searches/{}", private["id"].as_str().unwrap());
        bench.refused(&root, remove(&private), ProblemKind::NotFound).await;
        assert_eq!(bench.ask(&ann, remove(&private)).await.unwrap().status, 204);
        bench.refused(&root, remove("/api/v1/audit/searches/x"), ProblemKind::NotFound).await;

        for wrong in [
            json!({ "name": "" }),
            json!({ "name": "a\u{7}b" }),
            json!({ "name": "x".repeat(81) }),
            json!({ "name": "x", "filter": { "from": "soon" } }),
            json!({ "name": "x", "filter": { "user": "x" } }),
            json!({ "name": "x", "filter": { "q": "x".repeat(5000) } }),
        ] {
            bench.refused(&ann, save(wrong), ProblemKind::BadParameter).await;
        }
        for n in 0..100 {
            bench.read(&ann, save(json!({ "name": format!("{n}") }))).await;
        }
        bench.refused(&ann, save(json!({ "name": "one more" })), ProblemKind::NotPossible).await;
        bench.read(&ann, save(json!({ "name": "7", "shared": true }))).await;
    }
}

#[tokio::test]
async fn the_log_in_numbers() {
    for bench in Bench::both().await {
        let (_, vi) = bench.user("vi", &[Role::Viewer]).await;
        let (_, auditor) = bench.user("auditor", &[Role::Auditor]).await;
        for (action, app) in
            [("convox:app:list", "web"), ("convox:app:list", "api"), ("convox:app:read", "web")]
        {
            let now = Timestamp::from_micros(1_795_000_000_000_000);
            let actor = gateway_audit::Actor::of(&vi.principal);
            let id = EventId::new(now, &OsEntropy);
            let mut event =
                gateway_audit::Event::new(now, id, ActionName::new(action), Resource::app(app), actor);
            event.layer = Some(gateway_types::Layer::Authorization);
            bench.app.store.audit().append(event).await.unwrap();
        }
        gateway_app::audit::summary::tend(&bench.app.store).await.unwrap();
        let all = bench.read(&auditor, Call::get("/api/v1/audit/summary")).await;
        assert_eq!(all["days"], json!([{ "of": "2026-11-18", "allowed": 0, "refused": 3 }]));
        assert_eq!(all["actions"][0], json!({ "of": "convox:app:list", "allowed": 0, "refused": 2 }));
        let of = async |query: &str| {
            let target = format!("/api/v1/audit/summary?{query}");
            let found = bench.read(&auditor, Call::get(&target)).await;
            found["days"].as_array().unwrap().iter().map(|day| day["refused"].as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!(of("app=web").await, 2);
        assert_eq!(of("actor=vi@example.com").await, 3);
        assert_eq!(of("app=web&actor=auditor@example.com").await, 0);
        for (from, expected) in [("2026-11-18T23:00:00Z", 3), ("2026-11-19T00:00:00Z", 0)] {
            assert_eq!(of(&format!("from={from}")).await, expected);
            assert_eq!(of(&format!("actor=vi@example.com&from={from}")).await, expected);
        }
        assert_eq!(of("to=2026-11-18T00:00:00Z").await, 0);
        bench.refused(&vi, Call::get("/api/v1/audit/summary"), ProblemKind::Refused).await;
        bench.refused(&auditor, Call::get("/api/v1/audit/summary?from=x"), ProblemKind::BadParameter).await;
    }
}

#[tokio::test]
async fn retention_is_shown_and_a_hold_set_and_lifted() {
    for bench in Bench::both().await {
        let (_, admin) = bench.user("ann", &[Role::Admin]).await;
        let (_, auditor) = bench.user("auditor", &[Role::Auditor]).await;
        let show = || Call::get("/api/v1/audit/retention");
        let state = bench.read(&auditor, show()).await;
        assert_eq!((&state["first_kept"], &state["would_keep_from"]), (&json!(0), &json!(0)));
        assert!(state["kept_by"].as_str().unwrap().contains("for ever"), "{state}");
        let hold = |body| Call::new(Method::PUT, "/api/v1/audit/hold").json(body);
        bench.refused(&auditor, hold(json!({ "reason": "x" })), ProblemKind::Refused).await;
        bench.refused(&admin, hold(json!({ "reason": " " })), ProblemKind::BadParameter).await;
        bench.refused(&admin, hold(json!({ "why": "x" })), ProblemKind::BadParameter).await;
        let held = bench.read(&admin, hold(json!({ "reason": "case 4711" }))).await;
        assert_eq!((&held["reason"], &held["set_by"]), (&json!("case 4711"), &json!("ann@example.com")));
        assert_eq!(bench.read(&auditor, show()).await["hold"], held);
        assert_eq!(bench.read(&admin, show()).await["hold"], held);
        let prune = || Call::new(Method::POST, "/api/v1/audit/prune");
        bench.refused(&auditor, prune(), ProblemKind::Refused).await;
        assert_eq!(bench.read(&admin, prune()).await, json!({ "from": 0, "to": 0 }));
        let lift = || Call::new(Method::DELETE, "/api/v1/audit/hold");
        bench.refused(&auditor, lift(), ProblemKind::Refused).await;
        assert_eq!(bench.ask(&admin, lift()).await.unwrap().status, 204);
        bench.refused(&admin, lift(), ProblemKind::NotPossible).await;
        assert_eq!(bench.read(&auditor, show()).await["hold"], Value::Null);
    }
}
