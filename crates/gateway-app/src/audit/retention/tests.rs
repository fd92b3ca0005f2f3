use gateway_audit::{Event, Fault, TilePath, verify_inclusion};
use gateway_store::{NewRecording, SessionEnd, SettingScope};
use gateway_types::{OsEntropy, RecordingId, RequestId, Role};

use super::*;
use crate::audit::{Whose, read, search, stories};
use crate::tests::{Person, World, refused};
use crate::{AppError, log};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn set(world: &World, value: &str) {
    let settings = world.app.store.settings();
    settings.set(&SettingScope::Global, "audit_retention", value, None, "test").await.unwrap();
    world.app.settings.refresh(&world.app.store).await.unwrap();
}

/// Writes so many entries of a day ago and more, which are counted for charts; then they are in an anchor.
async fn write(world: &World, person: &Person, number: u64) {
    let store = &world.app.store;
    for _entry in 0..number {
        store.audit().queue(world.operator(&person.caller).event("convox:app:list"));
    }
    store.audit().flush().await.unwrap();
    while store.audit_tallies().tend().await.unwrap() {}
    store.audit().checkpoint().await.unwrap();
    world.app.health.set_anchored(Some(store.events().head().await.unwrap()));
    world.clock.advance(DAY * 2);
}

async fn prune_now(world: &World) -> Result<(u64, u64), RetentionError> {
    let operator = Operator::system(&*world.app.clock, &*world.app.entropy);
    prune(&world.app, &operator).await.map(|pruned| (pruned.from, pruned.to))
}

async fn keeper(world: &World) -> (u64, Keeper) {
    let plan = plan(&world.app).await.unwrap();
    (plan.to, plan.keeper)
}

/// The newest event: its action, and what was and will be.
async fn newest(world: &World) -> (String, serde_json::Value, serde_json::Value) {
    let page = search(&world.app, Whose::Everybodys, EventFilter::default(), None, 1).await.unwrap();
    let (_index, event) = page.items.into_iter().next().unwrap();
    (event.action.as_str().to_owned(), event.before.unwrap_or_default(), event.after.unwrap_or_default())
}

/// The events that say what was pruned, newest first.
async fn said(world: &World) -> Vec<Event> {
    let filter = EventFilter { action: Some(PRUNE_ACTION.to_owned()), ..EventFilter::default() };
    let page = search(&world.app, Whose::Everybodys, filter, None, 50).await.unwrap();
    page.items.into_iter().map(|(_index, event)| event).collect()
}

async fn fault(world: &World) -> Fault {
    match log::verify(&world.app.store, |_, _| ()).await {
        Err(AppError::Log(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn old_bodies_go_and_the_log_still_verifies() {
    for world in World::both().await {
        let (app, store) = (&world.app, &world.app.store);
        let ann = world.person("ann", &[Role::Auditor]).await;
        write(&world, &ann, 600).await;
        assert_eq!((keeper(&world).await, prune_now(&world).await.unwrap()), ((0, Keeper::Setting), (0, 0)));
        set(&world, "24h").await;
        let root = store.events().head().await.unwrap();
        assert_eq!(keeper(&world).await, (512, Keeper::Age), "whole bundles");
        assert!(said(&world).await.is_empty(), "a plan changes nothing");
        assert_eq!(prune_now(&world).await.unwrap(), (0, 512));

        let said = said(&world).await;
        let parameters = &said[0].parameters;
        assert_eq!((said.len(), &*parameters["from"], &*parameters["to"]), (1, "0", "512"));
        assert_eq!(parameters["anchored_root"], root.root.to_base64());
        let report = log::verify(store, |_, _| ()).await.unwrap();
        assert_eq!(report.pruned, 512);
        let mut export = Vec::new();
        log::export(store, &mut export).await.unwrap();
        let exported = gateway_audit::verify_export(&export[..], None).unwrap();
        assert_eq!((exported.pruned, exported.root), (512, report.root));

        refused(read(app, 17).await, ProblemKind::Pruned, "Bodies begin at entry 512");
        refused(stories::one(store, Whose::Everybodys, 17).await, ProblemKind::Pruned, "entry 17 was pruned");
        for bundle in ["entries/000", "entries/001"] {
            refused(tree::tile(store, bundle).await, ProblemKind::Pruned, "pruned");
        }
        assert!(matches!("entries/002.p/9".parse(), Ok(TilePath::Entries { .. })));
        tree::tile(store, "entries/002.p/9").await.unwrap();
        tree::tile(store, "0/000").await.unwrap();
        // That entry 17 is in the log is proven all the same.
        let proof = tree::inclusion(store, 17, None).await.unwrap();
        let head = store.events().head().await.unwrap();
        verify_inclusion(&proof.leaf_hash.unwrap(), 17, &head, &proof.path).unwrap();
        assert_eq!(read(app, 513).await.unwrap().index, 513);
        let all = search(app, Whose::Everybodys, EventFilter::default(), None, 200).await.unwrap();
        assert_eq!((all.items.last().unwrap().0, all.next), (512, None));
        assert_eq!(crate::audit::first_wrong(store).await.unwrap(), None);

        // The next round has nothing to do, and says nothing.
        assert_eq!(prune_now(&world).await.unwrap(), (512, 512));
        write(&world, &ann, 300).await;
        assert_eq!(prune_now(&world).await.unwrap(), (512, 768));
        let said = self::said(&world).await;
        assert_eq!((&*said[0].parameters["from"], &*said[0].parameters["to"]), ("512", "768"));
        assert_eq!(log::verify(store, |_, _| ()).await.unwrap().pruned, 768);
    }
}

#[tokio::test]
async fn a_round_that_was_killed_is_finished_and_not_said_twice() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Auditor]).await;
        write(&world, &ann, 600).await;
        set(&world, "24h").await;
        // Killed between the record and the first piece.
        let mut event = Operator::system(&*world.app.clock, &*world.app.entropy).event(PRUNE_ACTION);
        event.parameters.insert("to".to_owned(), "512".to_owned());
        record(&world.app.store, event).await.unwrap();
        assert_eq!(check(&world.app.store).await.unwrap(), 512);
        assert_eq!(log::verify(&world.app.store, |_, _| ()).await.unwrap().pruned, 0);
        // Between two pieces.
        world.app.store.audit_retention().prune(300).await.unwrap();
        assert_eq!(log::verify(&world.app.store, |_, _| ()).await.unwrap().pruned, 300);
        assert_eq!(prune_now(&world).await.unwrap(), (300, 512));
        assert_eq!(said(&world).await.len(), 1);
        assert_eq!(log::verify(&world.app.store, |_, _| ()).await.unwrap().pruned, 512);
    }
}

#[tokio::test]
async fn what_keeps_entries_is_named() {
    for world in World::both().await {
        let (app, store) = (&world.app, &world.app.store);
        let ann = world.person("ann", &[Role::Admin]).await;
        write(&world, &ann, 600).await;
        set(&world, "24h").await;
        assert_eq!(keeper(&world).await.0, 512);

        let anchor = app.health.anchored();
        app.health.set_anchored(None);
        assert_eq!(keeper(&world).await, (0, Keeper::Anchor));
        assert_eq!(prune_now(&world).await.unwrap(), (0, 0));
        app.health.set_anchored(anchor);

        store.audit_sinks().begin("siem", 300).await.unwrap();
        assert_eq!(keeper(&world).await, (256, Keeper::Sink("siem".to_owned())));
        store.audit_sinks().advance("siem", 300, 600).await.unwrap();

        // The digests of a recording are in its entries.
        let request_id = RequestId::new(world.app.clock.now(), &OsEntropy);
        let event = app.operator(&ann.caller, request_id).event("convox:process:exec");
        let index = store.audit().append(event).await.unwrap().index;
        let id = RecordingId::new(world.app.clock.now(), &OsEntropy);
        let new = NewRecording {
            id,
            request_id,
            action: "convox:process:exec".to_owned(),
            app: None,
            target: "web-1".to_owned(),
            command: None,
            user: None,
            actor: "ann@example.com".to_owned(),
            source_ip: "192.0.2.1".to_owned(),
            mode: "strict",
            wants_second: false,
        };
        let open = store.recordings().begin(new).await.unwrap();
        write(&world, &ann, 600).await;
        store.audit_sinks().advance("siem", 600, 1200).await.unwrap();
        assert!((512..768).contains(&index));
        assert_eq!(keeper(&world).await, (512, Keeper::Recordings));
        open.end(SessionEnd { ending: "exit code 0", lost_bytes: 0 }).await.unwrap();
        assert_eq!(keeper(&world).await, (512, Keeper::Recordings));
        store.recordings().forget(id).await.unwrap();
        assert_eq!(keeper(&world).await.0, 1024);

        let operator = world.operator(&ann.caller);
        for bad in ["", "  ", "two\nlines", &"x".repeat(LONGEST_REASON + 1)] {
            refused(hold(store, &operator, bad).await, ProblemKind::BadParameter, "needs a reason");
        }
        hold(store, &operator, "case 4711").await.unwrap();
        let held = plan(app).await.unwrap();
        assert_eq!(
            (held.to, held.keeper, held.retained.hold.unwrap().reason),
            (0, Keeper::Hold, "case 4711".to_owned())
        );
        assert_eq!(prune_now(&world).await.unwrap(), (0, 0));
        assert_eq!(newest(&world).await.0, "gateway:audit:set_hold");
        lift(store, &operator).await.unwrap();
        let (action, before, after) = newest(&world).await;
        assert_eq!(
            (&*action, &before["hold"], &after["hold"]),
            ("gateway:audit:lift_hold", &json!("case 4711"), &json!(null))
        );
        refused(lift(store, &operator).await, ProblemKind::NotPossible, "no legal hold");
        assert_eq!(prune_now(&world).await.unwrap(), (0, 1024));
    }
}

#[tokio::test]
async fn bodies_that_somebody_removed_by_hand_are_an_alarm() {
    for world in World::both().await {
        let (app, store) = (&world.app, &world.app.store);
        let ann = world.person("ann", &[Role::Auditor]).await;
        write(&world, &ann, 600).await;
        set(&world, "24h").await;
        // What the gateway does, without what it says: as by hand in the database.
        store.audit_retention().prune(100).await.unwrap();
        let found = fault(&world).await;
        assert!(matches!(found, Fault::PrunedUndeclared { pruned: 100, declared: 0 }), "{found:?}");
        let error = prune_now(&world).await.unwrap_err();
        assert!(matches!(error, RetentionError::Undeclared { first_kept: 100, declared: 0 }), "{error:?}");
        for _round in 0..2 {
            tend(app).await.unwrap();
            assert!(app.health.retention_fault().unwrap().contains("by hand"));
        }
        let filter = EventFilter {
            action: Some("gateway:audit:retention_alarm".to_owned()),
            ..EventFilter::default()
        };
        let alarms = search(app, Whose::Everybodys, filter, None, 50).await.unwrap().items;
        assert_eq!(alarms.len(), 1);
        // A request of that name, with that parameter, is not the gateway's word.
        let mut event = world.operator(&ann.caller).event("gateway:audit:prune_now");
        event.parameters.insert("to".to_owned(), "100".to_owned());
        store.audit().append(event).await.unwrap();
        assert!(matches!(fault(&world).await, Fault::PrunedUndeclared { .. }));
    }
}

#[tokio::test]
async fn nothing_goes_of_a_log_that_does_not_extend_its_anchor() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Auditor]).await;
        write(&world, &ann, 600).await;
        set(&world, "24h").await;
        let anchor = world.app.health.anchored().unwrap();
        for wrong in
            [Head { root: leaf_hash(b"other"), ..anchor }, Head { size: anchor.size + 100, ..anchor }]
        {
            world.app.health.set_anchored(Some(wrong));
            let error = prune_now(&world).await.unwrap_err();
            assert!(matches!(error, RetentionError::NotAsAnchored) && error.is_alarm(), "{error:?}");
        }
        assert!(said(&world).await.is_empty());
        world.app.health.set_anchored(Some(anchor));
        let lease = world.app.store.leases().acquire(LEASE, LEASE_TIME, Duration::ZERO).await.unwrap();
        refused(prune_now(&world).await, ProblemKind::NotPossible, "another instance");
        lease.release().await.unwrap();
        assert_eq!(prune_now(&world).await.unwrap(), (0, 512));
        tend(&world.app).await.unwrap();
        assert_eq!(world.app.health.retention_fault(), None);
    }
}
