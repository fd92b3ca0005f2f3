use std::sync::Arc;
use std::time::Duration;

use gateway_audit::Phase;
use gateway_types::{Role, RoleSet};

use super::{Place, add_user, event, verified};
use crate::{Access, Store, StoreError};

const WAIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_keep_one_order() {
    for place in Place::both() {
        let each = 1000;
        let (first, second) = place.open_two().await;
        let before = first.events().head().await.unwrap().size;
        let mut tasks = tokio::task::JoinSet::new();
        for store in [&first, &second] {
            for _writer in 0..20 {
                let (store, events): (Arc<Store>, Vec<_>) = (
                    Arc::clone(store),
                    (0..each / 20).map(|_n| event(&place, "convox:app:update", Phase::Intent)).collect(),
                );
                tasks.spawn(async move {
                    let mut indices = Vec::new();
                    for event in events {
                        indices.push(store.audit().append(event).await.unwrap().index);
                    }
                    indices
                });
            }
        }
        let mut indices: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
        indices.sort_unstable();
        assert_eq!(indices, (before..before + 2 * each).collect::<Vec<_>>(), "{}", place.url);
        assert_eq!(verified(&first).await.len() as u64, before + 2 * each);
        for store in [&first, &second] {
            let commits = store.audit().health().commits;
            assert!(commits < each / 2, "{commits} transactions for {each} events are no group commit");
        }
        second.close().await;
        first.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_admins_that_demote_each_other_one_stays() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let mut ann = add_user(&first, "ann@example.com", &[Role::Admin]).await;
        let mut bo = add_user(&first, "bo@example.com", &[Role::Admin]).await;
        for round in 0..20 {
            let (users, others) = (first.users(), second.users());
            let viewer = RoleSet::of(Role::Viewer);
            let (a, b) = tokio::join!(
                users.set_roles(ann.id, viewer, ann.version),
                others.set_locked(bo.id, true, bo.version)
            );
            assert!(
                matches!((&a, &b), (Ok(_), Err(StoreError::LastAdmin)) | (Err(StoreError::LastAdmin), Ok(_))),
                "round {round}: {a:?} {b:?}"
            );
            if let Ok(changed) = a {
                ann = users.set_roles(ann.id, RoleSet::of(Role::Admin), changed.version).await.unwrap();
            }
            if let Ok(changed) = b {
                bo = users.set_locked(bo.id, false, changed.version).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_has_one_holder() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for store in [&first, &second, &first, &second] {
            let (leases, inside) = (store.leases(), Arc::clone(&inside));
            tasks.spawn(async move {
                for _turn in 0..10 {
                    let lease = leases.acquire("env:web", WAIT, WAIT).await.unwrap();
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    lease.release().await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    }
}

#[tokio::test]
async fn a_lease_is_refused_dropped_and_expires() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let held = first.leases().acquire("a", WAIT, Duration::ZERO).await.unwrap();
        for store in [&first, &second] {
            let refused = store.leases().acquire("a", WAIT, Duration::from_millis(20)).await;
            assert!(matches!(refused, Err(StoreError::LeaseHeld { .. })), "{refused:?}");
        }
        second.leases().acquire("b", WAIT, Duration::ZERO).await.unwrap().release().await.unwrap();
        drop(held);
        second.leases().acquire("a", Duration::from_millis(30), WAIT).await.map(std::mem::forget).unwrap();
        // Never released: it ends with its time to live.
        first.leases().acquire("a", WAIT, WAIT).await.unwrap().release().await.unwrap();
    }
}

#[tokio::test]
async fn a_tool_writes_beside_a_serve() {
    let place = Place::sqlite();
    let serve = place.open(Access::Serve).await;
    let tool = place.open(Access::Tool).await;
    serve.audit().append(event(&place, "convox:app:create", Phase::Intent)).await.unwrap();
    tool.audit().append(event(&place, "gateway:user:create", Phase::Intent)).await.unwrap();
    serve.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await.unwrap();
    tool.close().await;
    let actions: Vec<_> = verified(&serve).await.iter().map(|e| e.action.as_str().to_owned()).collect();
    assert_eq!(actions, ["gateway:start", "convox:app:create", "gateway:user:create", "convox:app:delete"]);
}
