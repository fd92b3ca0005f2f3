use gateway_audit::tiles::{tiles_of_consistency, tiles_of_inclusion};
use gateway_audit::{
    Frontier, Head, Phase, TileId, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};

use super::{Place, event};
use crate::{Access, Store};

async fn grow(place: &Place, store: &Store, to: u64) {
    while store.audit().head().await.unwrap().size < to {
        for _event in 0..200 {
            store.audit().queue(event(place, "convox:app:update", Phase::Outcome));
        }
        store.audit().flush().await.unwrap();
    }
}

async fn head_at(store: &Store, size: u64) -> Head {
    let mut frontier = Frontier::new();
    for hash in store.events().hashes(0, size).await.unwrap() {
        frontier.push(hash);
    }
    assert_eq!(frontier.size(), size);
    frontier.head()
}

async fn everything_holds(store: &Store) {
    let (events, head) = (store.events(), store.audit().head().await.unwrap());
    let mut above = Vec::new();
    for index in 0..head.size >> 8 {
        let hashes = events.tile(TileId { level: 0, index }, 256).await.unwrap().unwrap();
        let mut frontier = Frontier::new();
        hashes.into_iter().for_each(|hash| frontier.push(hash));
        above.push(frontier.root());
    }
    let top = TileId { level: 1, index: 0 };
    let width = top.width_at(head.size);
    assert_eq!(
        events.tile(top, width).await.unwrap(),
        Some(above),
        "the stored nodes are those of the leaves"
    );
    for (tile, width) in [(top, width + 1), (TileId { level: 2, index: 0 }, 1), (top, 0)] {
        assert_eq!(events.tile(tile, width).await.unwrap(), None);
    }
    for old in [1, 255, 256, 257, 600, head.size] {
        let tiles = events.tiles(&tiles_of_consistency(old, head.size).unwrap(), head.size).await.unwrap();
        let proof = consistency_proof(&tiles, old, head.size).unwrap();
        verify_consistency(&head_at(store, old).await, &head, &proof).unwrap();
        let index = old - 1;
        let tiles = events.tiles(&tiles_of_inclusion(index, head.size).unwrap(), head.size).await.unwrap();
        let path = inclusion_proof(&tiles, index, head.size).unwrap();
        let leaf = events.hashes(index, old).await.unwrap().remove(0);
        verify_inclusion(&leaf, index, &head, &path).unwrap();
    }
}

#[tokio::test]
async fn tiles_are_read_and_proofs_are_made_of_them() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        grow(&place, &store, 1000).await;
        everything_holds(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_log_from_before_gets_its_nodes() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        grow(&place, &store, 800).await;
        let pool = store.users().core.database.pool().clone();
        let forget = async |statement: &'static str| {
            sqlx::raw_sql(statement).execute(&pool).await.unwrap();
        };
        // As an older program leaves it that runs beside this one: found when somebody asks.
        forget("DELETE FROM audit_nodes WHERE idx = 1").await;
        everything_holds(&store).await;
        forget("DELETE FROM audit_nodes").await;
        store.close().await;
        // As one leaves it that ran before: made at the start.
        let store = place.open(Access::Serve).await;
        let row: (i64,) = sqlx::query_as("SELECT count(*) FROM audit_nodes")
            .fetch_one(store.users().core.database.pool())
            .await
            .unwrap();
        assert_eq!(row.0, 3);
        everything_holds(&store).await;
        store.close().await;
    }
}
