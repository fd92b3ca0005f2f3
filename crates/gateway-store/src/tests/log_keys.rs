use std::sync::Arc;

use gateway_audit::{Checkpoint, Phase};
use gateway_types::{OsEntropy, Secret};

use super::{Place, event};
use crate::rotation::{Rotation, rotate};
use crate::{Access, Store, StoreOptions};

#[tokio::test]
async fn every_instance_signs_with_the_new_key_at_once() {
    for place in Place::both() {
        let serving = place.open(Access::Serve).await;
        let first = serving.audit().verifier();
        let by_first = serving.audit().checkpoint().await.unwrap();
        let tool = place.open(Access::Tool).await;
        let second = tool.audit().exchange_key().await.unwrap();
        assert_ne!(first, second);
        // The one that serves was told nothing, and signs with it all the same.
        let note = serving.audit().checkpoint().await.unwrap();
        assert!(second.verify(&note).is_ok() && first.verify(&note).is_err());
        let receipt =
            serving.audit().append(event(&place, "convox:app:update", Phase::Intent)).await.unwrap();
        assert!(second.verify(&receipt.checkpoint.unwrap()).is_ok());
        assert_eq!(serving.audit().verifier(), second);
        let third = serving.audit().exchange_key().await.unwrap();

        let chain = tool.audit().keys().await.unwrap();
        assert_eq!(chain.newest(), Some(&third));
        for key in [&first, &second, &third] {
            chain.goes_back_to(&key.to_string()).unwrap();
        }
        for note in [&by_first, &note, &tool.audit().checkpoint().await.unwrap()] {
            let checkpoint: Checkpoint = chain.verify(note).unwrap();
            assert!(checkpoint.size > 0);
        }
        tool.close().await;
        serving.close().await;
        let again = place.open(Access::Serve).await;
        assert_eq!(again.audit().verifier(), third, "known from the start");
        again.close().await;
    }
}

#[tokio::test]
async fn keys_of_the_log_are_sealed_anew_with_the_app_secret_key() {
    const NEW: &str = "another key of at least thirty-two characters";
    for place in Place::both() {
        let options = || place.options(Access::Tool);
        let store = Store::open(options()).await.unwrap();
        let key = store.audit().exchange_key().await.unwrap();
        store.close().await;
        let rotation = Rotation {
            url: options().url,
            present: options().app_secret_key,
            new: Secret::new(NEW.to_owned()),
            clock: options().clock,
            entropy: Arc::new(OsEntropy),
        };
        assert_eq!(rotate(rotation).await.unwrap().sealed, 1);
        let options = StoreOptions { app_secret_key: Some(Secret::new(NEW.to_owned())), ..options() };
        let store = Store::open(options).await.unwrap();
        assert!(key.verify(&store.audit().checkpoint().await.unwrap()).is_ok());
        store.close().await;
    }
}
