use gateway_audit::verify_inclusion;
use gateway_types::{Principal, ProblemKind, Role};

use super::*;
use crate::tests::{Person, World, refused};

async fn did(world: &World, person: &Person, action: &str) {
    world.app.store.audit().append(world.operator(&person.caller).event(action)).await.unwrap();
}

async fn found(world: &World, whose: Whose<'_>, filter: EventFilter) -> Vec<String> {
    let page = search(&world.app, whose, filter, None, 50).await.unwrap();
    page.items.iter().map(|(_, event)| format!("{} {}", event.actor.name, event.action)).collect()
}

#[tokio::test]
async fn ones_own_events_are_ones_own_only() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Viewer]).await;
        let bo = world.person("bo", &[Role::Viewer]).await;
        did(&world, &ann, "gateway:x:one").await;
        did(&world, &bo, "gateway:x:two").await;
        // Somebody who had ann's address before her.
        let mut before_her = world.operator(&ann.caller).event("gateway:x:three");
        before_her.actor.id = Some("somebody-else".to_owned());
        world.app.store.audit().append(before_her).await.unwrap();
        let mine = Whose::Own(&ann.caller);
        let all = EventFilter::default;
        assert_eq!(found(&world, mine, all()).await, ["ann@example.com gateway:x:one"]);
        let of_bo = EventFilter { actor: Some("bo@example.com".to_owned()), ..all() };
        assert!(found(&world, mine, of_bo.clone()).await.is_empty());
        assert_eq!(found(&world, Whose::Everybodys, of_bo).await, ["bo@example.com gateway:x:two"]);
        let nobody = Caller { principal: Principal::Anonymous, ..ann.caller.clone() };
        assert!(found(&world, Whose::Own(&nobody), all()).await.is_empty());
    }
}

#[tokio::test]
async fn an_entry_comes_with_the_proof_that_it_is_in_the_log() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Auditor]).await;
        for action in ["gateway:x:one", "gateway:x:two", "gateway:x:three"] {
            did(&world, &ann, action).await;
        }
        let entry = read(&world.app, 2).await.unwrap();
        assert_eq!(entry.event.action.as_str(), "gateway:x:two");
        assert_eq!(gateway_audit::leaf_hash(&entry.leaf), entry.hash);
        let inclusion = entry.inclusion;
        let note = world.app.store.audit().verifier().verify(&inclusion.checkpoint).unwrap();
        let head = note.head();
        assert_eq!((head.size, head.root), (inclusion.size, inclusion.root));
        verify_inclusion(&entry.hash, 2, &head, &inclusion.path).unwrap();
        refused(read(&world.app, 4).await, ProblemKind::NotFound, "no entry 4");
        refused(read(&world.app, u64::MAX).await, ProblemKind::NotFound, "no entry");
    }
}

#[tokio::test]
async fn an_export_is_recorded_before_it_leaves_and_goes_on_at_its_cursor() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Auditor]).await;
        for _ in 0..5 {
            did(&world, &ann, "gateway:x:one").await;
        }
        let asked = AuditFilter { action: Some("gateway:x:*".to_owned()), ..AuditFilter::default() };
        let operator = world.operator(&ann.caller);
        let first = export(&world.app, &operator, &asked, AuditFormat::Ndjson, None, 3).await.unwrap();
        let lines: Vec<serde_json::Value> = String::from_utf8(first.body)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let indices: Vec<_> = lines.iter().map(|line| line["index"].as_u64().unwrap()).collect();
        assert_eq!(indices, [5, 4, 3]);
        assert_eq!(lines[0]["event"]["actor"]["name"], "ann@example.com");
        let event = world.events().await.pop().unwrap();
        assert_eq!(event.action.as_str(), "gateway:audit:export");
        assert_eq!(event.parameters["filter"], r#"{"action":"gateway:x:*"}"#);
        let rest = export(&world.app, &operator, &asked, AuditFormat::Csv, first.next, 100).await.unwrap();
        let text = String::from_utf8(rest.body).unwrap();
        assert_eq!((text.lines().count(), rest.next), (3, None), "{text}");
        assert!(text.starts_with("index,time,actor,"));
        assert_eq!(text.lines().nth(1).unwrap().split(',').count(), csv::HEAD.split(',').count());
    }
}

#[tokio::test]
async fn an_alarm_about_searches_stays_until_a_whole_round_found_nothing() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Auditor]).await;
        for action in ["gateway:x:one", "gateway:x:two"] {
            did(&world, &ann, action).await;
        }
        let watch = ColumnsWatch::default();
        watch.tend(&world.app).await.unwrap();
        assert_eq!(world.app.health.search_fault(), None);
        assert_eq!(first_wrong(&world.app.store).await.unwrap(), None);
        columns::alarm(&world.app, 1).await.unwrap();
        let fault = world.app.health.search_fault().unwrap();
        assert!(fault.contains("ALARM") && fault.contains("entry 1"), "{fault}");
        let event = world.events().await.pop().unwrap();
        assert_eq!(
            (event.action.as_str(), event.parameters["index"].as_str()),
            ("gateway:audit:search_alarm", "1")
        );
        // The rest of this round, then the next one, from the beginning.
        watch.tend(&world.app).await.unwrap();
        assert!(world.app.health.search_fault().is_some());
        watch.tend(&world.app).await.unwrap();
        assert_eq!(world.app.health.search_fault(), None);
    }
}

#[test]
fn filters_are_typed() {
    let with = |change: fn(&mut AuditFilter)| {
        let mut asked = AuditFilter::default();
        change(&mut asked);
        filter(&asked)
    };
    assert_eq!(with(|_| {}).unwrap(), EventFilter::default());
    let typed = with(|asked| {
        asked.from = Some("2026-11-22T00:00:00Z".to_owned());
        asked.verdict = Some(AuditVerdict::Refuse);
        asked.phase = Some(AuditPhase::Intent);
        asked.request = Some("0199f0c2-7c4e-7d3a-9a52-6f2d1c0b9e88".to_owned());
    })
    .unwrap();
    assert_eq!(typed.decision, Some(Decision::Refuse));
    assert!(typed.since.is_some() && typed.request.is_some() && typed.phase.is_some());
    refused(with(|asked| asked.to = Some("yesterday".to_owned())), ProblemKind::BadParameter, "`to`");
    refused(with(|asked| asked.request = Some("1".to_owned())), ProblemKind::BadParameter, "`request`");
    refused(cursor(Some("x")), ProblemKind::BadParameter, "`cursor`");
    assert_eq!(cursor(Some("7")).unwrap(), Some(7));
}
