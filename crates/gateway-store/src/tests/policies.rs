use super::{Place, is_conflict};
use crate::{Access, StoreError};

#[tokio::test]
async fn documents_are_written_once_for_each_version() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let policies = store.policies();
        assert!(policies.list().await.unwrap().is_empty());
        let first = policies.set("b", "one", None, "ann").await.unwrap();
        assert!(is_conflict(policies.set("b", "two", None, "bo").await));
        assert!(is_conflict(policies.set("c", "two", Some(1), "bo").await));
        let second = policies.set("b", "two", Some(first.version), "bo").await.unwrap();
        assert!(second.version > first.version);
        assert_eq!((second.text.as_str(), second.updated_by.as_str()), ("two", "bo"));
        assert!(is_conflict(policies.set("b", "three", Some(first.version), "ann").await));
        let other = policies.set("a", "x", None, "ann").await.unwrap();
        assert_eq!(policies.list().await.unwrap(), [other, second.clone()]);
        assert!(is_conflict(policies.remove("b", first.version).await));
        policies.remove("b", second.version).await.unwrap();
        assert!(is_conflict(policies.remove("b", second.version).await));
        let again = policies.set("b", "four", None, "ann").await.unwrap();
        assert!(again.version > second.version, "a version is never given out twice");
        assert!(matches!(policies.set("n", "\0", None, "ann").await, Err(StoreError::NotStorable { .. })));
    }
}

/// Of two changes of the same version, made side by side, one is refused.
#[tokio::test]
async fn of_two_changes_at_once_one_is_made() {
    for place in Place::both() {
        let (one, two) = place.open_two().await;
        let written = one.policies().set("p", "text", None, "ann").await.unwrap();
        let (one, two) = (one.policies(), two.policies());
        let (first, second) = tokio::join!(
            one.set("p", "first", Some(written.version), "ann"),
            two.set("p", "second", Some(written.version), "bo"),
        );
        assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|ok| **ok).count(), 1);
    }
}
