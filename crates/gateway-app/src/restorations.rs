//! A restored log says itself that it was restored, and how many entries there were before.

use gateway_store::{Store, StoreError};

use crate::Operator;

/// Records the restore of which no event tells yet, if there is one. Whoever is killed between the event and its note
/// lets it be told twice, never not at all.
///
/// # Errors
/// Only the store's.
pub async fn tell(store: &Store, operator: &Operator<'_>) -> Result<(), StoreError> {
    let Some(news) = store.restorations().untold().await? else { return Ok(()) };
    let mut event = operator.event("gateway:restore");
    event.parameters = news;
    store.audit().append(event).await?;
    store.restorations().told().await
}

#[cfg(test)]
mod tests {
    use gateway_types::OsEntropy;

    use super::*;
    use crate::tests::World;

    #[tokio::test]
    async fn nothing_is_told_of_a_database_that_was_never_restored() {
        for world in World::both().await {
            let before = world.events().await.len();
            let operator = Operator::system(&*world.clock, &OsEntropy);
            tell(&world.app.store, &operator).await.unwrap();
            assert_eq!(world.events().await.len(), before);
            world.app.store.close().await;
        }
    }
}
