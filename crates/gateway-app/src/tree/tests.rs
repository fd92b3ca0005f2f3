use gateway_audit::{Frontier, Hash, Head, leaf_hash, verify_consistency, verify_inclusion};
use gateway_types::{Problem, ProblemKind, Role};

use super::*;
use crate::tests::World;

fn refused<T: std::fmt::Debug>(outcome: Result<T, AuditError>, said: &str) {
    let problem = Problem::from(outcome.unwrap_err());
    assert_eq!(problem.kind, ProblemKind::NotFound, "{problem:?}");
    assert!(problem.detail.contains(said), "{problem:?}");
}

#[tokio::test]
async fn tiles_bundles_and_proofs_agree_with_the_checkpoint() {
    for world in World::both().await {
        world.person("ann", &[Role::Auditor]).await;
        let store = &world.app.store;
        for _user in 0..3 {
            store.audit().checkpoint().await.unwrap();
            let operator = crate::Operator::system(&*world.app.clock, &*world.app.entropy);
            crate::reading::announce(store, &operator, "gateway:x:one", &[]).await.unwrap();
        }
        let head = store.events().head().await.unwrap();
        let size = head.size;
        assert!((3..256).contains(&size));
        let Tile::Hashes(bytes) = tile(store, &format!("0/000.p/{size}")).await.unwrap() else { panic!() };
        let hashes: Vec<Hash> = bytes.chunks(32).map(|hash| Hash::from_slice(hash).unwrap()).collect();
        let Tile::Entries(bundle) = tile(store, &format!("entries/000.p/{size}")).await.unwrap() else {
            panic!()
        };
        let (mut rest, mut frontier, mut heads) = (bundle.as_slice(), Frontier::new(), Vec::new());
        for hash in &hashes {
            let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            assert_eq!(leaf_hash(&rest[2..2 + length]), *hash);
            rest = &rest[2 + length..];
            frontier.push(*hash);
            heads.push(frontier.head());
        }
        assert!(rest.is_empty());
        assert_eq!(frontier.head(), head);
        for (index, hash) in hashes.iter().enumerate() {
            let proof = inclusion(store, index as u64, None).await.unwrap();
            assert_eq!(proof.leaf_hash.as_ref(), Some(hash));
            verify_inclusion(hash, index as u64, &head, &proof.path).unwrap();
            let old: Head = heads[index];
            let proof = consistency(store, old.size, Some(size)).await.unwrap();
            verify_consistency(&old, &head, &proof.path).unwrap();
        }
        refused(inclusion(store, size, None).await, "no entry");
        refused(inclusion(store, 0, Some(size + 1)).await, "no tree of");
        refused(consistency(store, 1, Some(u64::MAX)).await, "no tree of");
        refused(consistency(store, size + 1, None).await, "no tree of");
        for name in ["0/000", "entries/000", "1/000.p/1", "0/000.p/0", "0/001.p/1", "", "entries", "0/x/../1"]
        {
            refused(tile(store, name).await, "no tile");
        }
    }
}
