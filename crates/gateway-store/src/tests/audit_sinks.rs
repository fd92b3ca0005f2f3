//! Positions of sinks outlive restarts, and only whoever knows one moves it.

use super::*;

#[tokio::test]
async fn a_position_is_kept_and_moved_by_whoever_knows_it() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let sinks = store.audit_sinks();
        assert_eq!(sinks.are_shared(), !place.is_sqlite());
        assert!(matches!(sinks.position("siem").await, Err(StoreError::NotFound)));
        assert_eq!(sinks.begin("siem", 7).await.unwrap(), 7);
        assert_eq!(sinks.begin("siem", 99).await.unwrap(), 7, "it began once");
        assert_eq!(sinks.begin("other", 0).await.unwrap(), 0);
        assert!(sinks.advance("siem", 7, 12).await.unwrap());
        assert!(!sinks.advance("siem", 7, 9).await.unwrap(), "somebody else was faster");
        assert!(!sinks.advance("nobody", 0, 1).await.unwrap());
        store.close().await;
        let again = place.open(Access::Serve).await;
        assert_eq!(again.audit_sinks().begin("siem", 0).await.unwrap(), 12);
        assert_eq!(again.audit_sinks().position("other").await.unwrap(), 0);
        let all = again.audit_sinks().all().await.unwrap();
        let all: Vec<_> = all.iter().map(|sink| (sink.name.as_str(), sink.position)).collect();
        assert_eq!(all, [("other", 0), ("siem", 12)]);
        // Whoever is still delivered to is not forgotten.
        assert!(!again.audit_sinks().forget("siem", 7).await.unwrap());
        assert!(!again.audit_sinks().forget("nobody", 0).await.unwrap());
        assert!(again.audit_sinks().forget("siem", 12).await.unwrap());
        assert!(matches!(again.audit_sinks().position("siem").await, Err(StoreError::NotFound)));
        assert_eq!(again.audit_sinks().position("other").await.unwrap(), 0);
        again.close().await;
    }
}
