//! Credentials of integrations, and what is kept of Slack.

use std::time::Duration;

use gateway_types::{ApprovalId, Clock as _, OsEntropy, Secret};

use super::Place;
use crate::rotation::{Rotation, rotate};
use crate::{Access, IntegrationTest, Store, StoreError, StoreOptions};

fn secret(text: &str) -> Secret<Vec<u8>> {
    Secret::new(text.as_bytes().to_vec())
}

#[tokio::test]
async fn credentials_are_compared_and_set_and_sealed() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let (one, other) = (first.integrations(), second.integrations());
        assert!(one.list().await.unwrap().is_empty());
        let kept = one.set("github", &secret("canary"), None, "ann").await.unwrap();
        assert!(matches!(other.set("github", &secret("x"), None, "bob").await, Err(StoreError::Conflict)));
        let listed = other.list().await.unwrap();
        assert_eq!(listed[0].credentials, Some(secret("canary")));
        assert!(!format!("{listed:?}").contains("canary"));
        let next = other.set("github", &secret("next"), Some(kept.version), "bob").await.unwrap();
        assert!(next.version > kept.version);
        let stale = one.set("github", &secret("x"), Some(kept.version), "ann").await;
        assert!(matches!(stale, Err(StoreError::Conflict)));
        assert!(matches!(one.remove("github", kept.version).await, Err(StoreError::Conflict)));
        one.remove("github", next.version).await.unwrap();
        assert!(other.list().await.unwrap().is_empty());
        let again = one.set("github", &secret("x"), None, "ann").await.unwrap();
        assert!(again.version > next.version, "no version is given out twice");

        let test = |said: &str| IntegrationTest {
            kind: "github".to_owned(),
            good: said == "yes",
            said: said.to_owned(),
            tested_by: "ann".to_owned(),
            tested: place.clock.now(),
        };
        one.keep_test(&test("no")).await.unwrap();
        one.keep_test(&test("yes")).await.unwrap();
        assert_eq!(other.tests().await.unwrap(), [test("yes")]);
    }
}

#[tokio::test]
async fn credentials_are_sealed_anew_with_another_key() {
    for place in Place::both() {
        let options = place.options(Access::Serve);
        let old = options.app_secret_key.clone();
        let store = Store::open(options).await.unwrap();
        store.integrations().set("slack", &secret("canary"), None, "ann").await.unwrap();
        store.close().await;
        drop(store);
        let new = Secret::new("another key of at least thirty-two characters".to_owned());
        let options = place.options(Access::Tool);
        let rotation = Rotation {
            url: options.url,
            present: old,
            new: new.clone(),
            clock: options.clock,
            entropy: options.entropy,
        };
        assert_eq!(rotate(rotation).await.unwrap().sealed, 1);
        let options = StoreOptions { app_secret_key: Some(new), ..place.options(Access::Serve) };
        let store = Store::open(options).await.unwrap();
        assert_eq!(store.integrations().list().await.unwrap()[0].credentials, Some(secret("canary")));
        store.close().await;
    }
}

#[tokio::test]
async fn a_request_of_slacks_is_taken_once_by_whichever_instance() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let until = place.clock.now().saturating_add(Duration::from_secs(600));
        assert!(first.slack().take_request("1:v0=aa", until).await.unwrap());
        assert!(!second.slack().take_request("1:v0=aa", until).await.unwrap());
        assert!(second.slack().take_request("1:v0=ab", until).await.unwrap());
        let nobody = ApprovalId::new(place.clock.now(), &OsEntropy);
        assert_eq!(first.slack().of_approval(nobody).await.unwrap(), None);
        place.clock.advance(Duration::from_secs(601));
        let later = place.clock.now().saturating_add(Duration::from_secs(600));
        assert!(first.slack().take_request("1:v0=aa", later).await.unwrap(), "what is over is forgotten");
    }
}
