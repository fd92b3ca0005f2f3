use gateway_audit::{Checkpoint, NoteSigner, origin_of};
use gateway_types::{Role, Secret};
use tempfile::TempDir;

use super::*;
use crate::tests::World;

/// The checkpoint of now, once another entry was written.
async fn checkpoint(world: &World) -> (Head, String) {
    let operator = crate::Operator::system(&*world.app.clock, &*world.app.entropy);
    crate::reading::announce(&world.app.store, &operator, "gateway:x:one", &[]).await.unwrap();
    let note = world.app.store.audit().checkpoint().await.unwrap();
    (world.app.store.audit().head().await.unwrap(), note)
}

#[tokio::test]
async fn a_log_extends_its_anchors() {
    for world in World::both().await {
        world.person("ann", &[Role::Auditor]).await;
        let (store, directory) = (&world.app.store, TempDir::new().unwrap());
        let gateway = store.gateway_id();
        assert!(matches!(read(directory.path(), None, None), Err(AnchorError::None { .. })));
        let mut kept = Vec::new();
        for _ in 0..3 {
            let (head, note) = checkpoint(&world).await;
            let path = keep(directory.path(), gateway, &head, &note).unwrap();
            assert_eq!(keep(directory.path(), gateway, &head, &note).unwrap(), path, "once more is nothing");
            kept.push(head);
        }
        let anchors = read(directory.path(), Some(gateway), None).unwrap();
        for (anchor, head) in anchors.iter().zip(&kept) {
            assert_eq!(compare(store, &anchor.note).await.unwrap(), *head);
        }
        assert_eq!(anchors.len(), 3);
        assert_eq!(read(&anchors[1].path, None, None).unwrap(), [anchors[1].clone()]);
        assert_eq!(read(directory.path(), None, Some(2)).unwrap(), anchors[1..]);
        let other = GatewayId::from(uuid::Uuid::from_u128(7));
        assert!(matches!(read(directory.path(), Some(other), None), Err(AnchorError::None { .. })));
    }
}

/// Each way of not being the log that was anchored is an alarm, and nothing of it replaces what is kept.
#[tokio::test]
async fn another_log_is_an_alarm() {
    for world in World::both().await {
        let (store, directory) = (&world.app.store, TempDir::new().unwrap());
        let (head, note) = checkpoint(&world).await;
        let path = keep(directory.path(), store.gateway_id(), &head, &note).unwrap();
        let forged = Head { root: gateway_audit::empty_root(), ..head };
        let replaced = keep(directory.path(), store.gateway_id(), &forged, "other").unwrap_err();
        assert!(matches!(&replaced, AnchorError::Contradicted { .. }) && replaced.is_alarm());
        assert_eq!(fs::read_to_string(&path).unwrap(), note);

        let seed = Secret::new(vec![7; 32]);
        let stranger = NoteSigner::from_seed(&origin_of(store.gateway_id()), &seed).unwrap();
        let signed = stranger.sign(&Checkpoint::new(store.gateway_id(), &head, world.app.clock.now()));
        let foreign = compare(store, &signed).await.unwrap_err();
        assert!(matches!(&foreign, AnchorError::Foreign(_)) && foreign.is_alarm(), "{foreign:?}");
        let nonsense = compare(store, "nonsense").await.unwrap_err();
        assert!(nonsense.is_alarm());
    }
}
