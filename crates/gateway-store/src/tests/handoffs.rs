//! Ways over hosts: taken once, by their browser, at their host; and what they become ends with the session.

use std::time::Duration;

use gateway_types::{Clock, CredentialKind, Principal, Role};

use super::{Place, add_session, add_user};
use crate::{
    Access, Admission, CallerFault, HANDOFF_CODE_TIME, HandoffFault, NewHandoff, ResolveError, Store,
};

async fn begin(store: &Store, id: &str, browser: &str) {
    let new = NewHandoff {
        id,
        browser,
        origin: "https://wiki.example.com",
        host: "wiki.example.com",
        target: "/page?x=1",
        source_ip: "192.0.2.7".parse().unwrap(),
    };
    assert_eq!(store.handoffs().begin(new).await.unwrap(), Admission::Admitted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_that_bring_a_code_on_two_instances_one_gets_a_session_there() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let user = add_user(&first, "ann@example.com", &[Role::Admin]).await.id;
        let (session, own) = add_session(&first, &place, user, CredentialKind::WebSession).await;
        begin(&first, "way", "mine").await;
        let (earlier, _) = second.handoffs().issue("way", session.id).await.unwrap().unwrap();
        let (code, back) = first.handoffs().issue("way", session.id).await.unwrap().unwrap();
        assert_eq!((back.origin.as_str(), back.target.as_str()), ("https://wiki.example.com", "/page?x=1"));
        let fault = async |code: &str, browser: &str, host: &str| {
            first.handoffs().take(code, browser, host).await.unwrap().unwrap_err()
        };
        assert_eq!(fault(earlier.expose(), "mine", "wiki.example.com").await, HandoffFault::Unknown);
        assert_eq!(fault(code.expose(), "theirs", "wiki.example.com").await, HandoffFault::OtherBrowser);
        assert_eq!(fault(code.expose(), "mine", "shop.example.com").await, HandoffFault::OtherHost);
        assert_eq!(fault("", "", "").await, HandoffFault::Unknown);
        let mut tasks = tokio::task::JoinSet::new();
        for store in [&first, &second].into_iter().cycle().take(20) {
            let (handoffs, code) = (store.handoffs(), code.clone());
            tasks.spawn(
                async move { handoffs.take(code.expose(), "mine", "wiki.example.com").await.unwrap() },
            );
        }
        let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 19));
        assert!(lost.iter().all(|lost| *lost.as_ref().unwrap_err() == HandoffFault::Used));
        let there = won.into_iter().next().unwrap().unwrap();
        // Another secret of the same session, good at that host alone.
        let now = place.clock.now();
        let known = second.callers().resolve(there.secret.expose(), now).await.unwrap();
        assert_eq!(known.host.as_deref(), Some("wiki.example.com"));
        assert!(matches!(&known.principal, Principal::User { session: found, .. } if *found == session.id));
        assert_eq!(first.callers().resolve(&own, now).await.unwrap().host, None);
        first.sessions().revoke(session.id).await.unwrap();
        let ended = first.callers().resolve(there.secret.expose(), now).await;
        assert!(matches!(ended, Err(ResolveError::Refused(CallerFault::Revoked))), "{ended:?}");
    }
}

#[tokio::test]
async fn codes_end_and_so_do_ways() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let user = add_user(&store, "ann@example.com", &[Role::Admin]).await.id;
        let (session, _) = add_session(&store, &place, user, CredentialKind::WebSession).await;
        begin(&store, "way", "mine").await;
        let (code, _) = store.handoffs().issue("way", session.id).await.unwrap().unwrap();
        place.clock.advance(HANDOFF_CODE_TIME);
        let late = store.handoffs().take(code.expose(), "mine", "wiki.example.com").await.unwrap();
        assert_eq!(late.unwrap_err(), HandoffFault::Expired);
        // A session of the command line opens no host.
        let (other, _) = add_session(&store, &place, user, CredentialKind::CliSession).await;
        let (code, _) = store.handoffs().issue("way", other.id).await.unwrap().unwrap();
        let ended = store.handoffs().take(code.expose(), "mine", "wiki.example.com").await.unwrap();
        assert_eq!(ended.unwrap_err(), HandoffFault::Ended);
        place.clock.advance(crate::HANDOFF_TIME + Duration::from_secs(1));
        assert_eq!(store.handoffs().way_back("way").await.unwrap(), None);
        assert!(store.handoffs().issue("way", session.id).await.unwrap().is_none());
    }
}
