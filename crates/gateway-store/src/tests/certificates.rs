use std::time::Duration;

use gateway_types::{CredentialDigest, Grant, Role, RoleSet, Secret, Timestamp};

use super::Place;
use crate::{
    Access, CallerFault, ChallengeAnswer, ChallengeKind, Failed, IssuedCertificate, NewToken, OpenOrder,
    PresentedBy, ResolveError, StoreError,
};

const DIRECTORY: &str = "https://acme.example.com/directory";
const NAME: &str = "gateway.example.com";

fn issued(key: &[u8], not_after: i64) -> IssuedCertificate {
    IssuedCertificate {
        name: NAME.to_owned(),
        directory: DIRECTORY.to_owned(),
        chain: "chain".to_owned(),
        key: Secret::new(key.to_vec()),
        not_before: Timestamp::from_micros(1),
        not_after: Timestamp::from_micros(not_after),
        renew_at: None,
        ask_again: None,
    }
}

fn answer(kind: ChallengeKind, token: &str, name: &str) -> ChallengeAnswer {
    ChallengeAnswer {
        kind,
        token: token.to_owned(),
        name: name.to_owned(),
        key_authorization: format!("{token}.thumbprint"),
    }
}

#[tokio::test]
async fn a_certificate_ends_what_was_tried_for_it() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let certificates = store.certificates();
        let order = OpenOrder { url: "https://acme.example.com/1".to_owned(), key: Secret::new(vec![1, 2]) };
        certificates.begin_order(NAME, DIRECTORY, &order).await.unwrap();
        let next_try = Timestamp::from_micros(7);
        let failed = Failed {
            name: NAME,
            directory: DIRECTORY,
            failures: 1,
            error: "no\0",
            next_try,
            keep_order: true,
        };
        certificates.publish(&answer(ChallengeKind::Http01, "a", NAME)).await.unwrap();
        certificates.failed(&failed).await.unwrap();
        assert!(certificates.answers().await.unwrap().is_empty());
        let [attempt] = certificates.attempts().await.unwrap().try_into().unwrap();
        assert_eq!((attempt.failures, attempt.last_error.as_deref()), (1, Some("no")));
        assert_eq!(attempt.order.as_ref(), Some(&order));
        // A new order keeps the count.
        let second = OpenOrder { url: "https://acme.example.com/2".to_owned(), ..order };
        certificates.begin_order(NAME, DIRECTORY, &second).await.unwrap();
        let [attempt] = certificates.attempts().await.unwrap().try_into().unwrap();
        assert_eq!((attempt.failures, attempt.order), (1, Some(second)));
        certificates.failed(&Failed { keep_order: false, failures: 2, ..failed }).await.unwrap();
        let [attempt] = certificates.attempts().await.unwrap().try_into().unwrap();
        assert_eq!((attempt.failures, attempt.order), (2, None));
        for kind in [ChallengeKind::Http01, ChallengeKind::Dns01, ChallengeKind::TlsAlpn01] {
            certificates.publish(&answer(kind, "same", NAME)).await.unwrap();
        }
        certificates.publish(&answer(ChallengeKind::Http01, "b", "other.example.com")).await.unwrap();
        assert_eq!(certificates.answers().await.unwrap().len(), 4);
        certificates.save(&issued(b"key", 10)).await.unwrap();
        assert!(certificates.attempts().await.unwrap().is_empty());
        // A TXT record has to be removed first.
        let left = certificates.answers().await.unwrap();
        let names: Vec<_> = left.iter().map(|answer| (answer.kind, answer.name.as_str())).collect();
        let expected = [(ChallengeKind::Dns01, NAME), (ChallengeKind::Http01, "other.example.com")];
        assert!(left.len() == 2 && expected.iter().all(|expected| names.contains(expected)), "{left:?}");
        certificates.withdraw(NAME).await.unwrap();
        certificates.withdraw("other.example.com").await.unwrap();
        assert!(certificates.answers().await.unwrap().is_empty());
        assert_eq!(certificates.all().await.unwrap(), [issued(b"key", 10)]);
        let (renew_at, ask_again) = (Some(Timestamp::from_micros(5)), Timestamp::from_micros(6));
        certificates.suggest(NAME, renew_at, ask_again).await.unwrap();
        let suggested = IssuedCertificate { renew_at, ask_again: Some(ask_again), ..issued(b"key", 10) };
        assert_eq!(certificates.all().await.unwrap(), [suggested]);
        certificates.save(&issued(b"next", 20)).await.unwrap();
        assert_eq!(certificates.all().await.unwrap(), [issued(b"next", 20)]);
    }
}

#[tokio::test]
async fn accounts_are_kept_by_server() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let certificates = store.certificates();
        assert_eq!(certificates.account(DIRECTORY).await.unwrap(), None);
        for account in [&b"one"[..], b"two"] {
            let account = Secret::new(account.to_vec());
            certificates.keep_account(DIRECTORY, &account).await.unwrap();
            assert_eq!(certificates.account(DIRECTORY).await.unwrap(), Some(account));
        }
        assert_eq!(certificates.account("https://other.example.com/").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_key_stands_for_one_token() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let creator = super::add_user(&store, "ann@example.com", &[Role::Admin]).await;
        let new = NewToken {
            name: "machine".to_owned(),
            roles: RoleSet::of(Role::Viewer),
            grants: vec![Grant::everything()],
            creator: creator.id,
            expires: None,
            networks: Vec::new(),
        };
        let key = CredentialDigest([7; 32]);
        let now = gateway_types::Clock::now(&*place.clock);
        let resolve = async |key| store.callers().resolve_certificate(key, None, now).await;
        let unknown = resolve(key).await;
        assert!(matches!(unknown, Err(ResolveError::Refused(CallerFault::Unknown))));
        let token = store.tokens().create_for_certificate(new.clone(), key).await.unwrap();
        // The key before a rotation stands for this token as long as it is good, and is nobody else's.
        let (hour, other) = (Duration::from_secs(3600), CredentialDigest([9; 32]));
        let moved = store.tokens().rotate_to_certificate(token.id, other, hour, token.version).await.unwrap();
        let taken = store.tokens().create_for_certificate(new.clone(), key).await;
        assert!(matches!(taken, Err(StoreError::Exists)), "{taken:?}");
        assert_eq!(resolve(key).await.unwrap().principal.credential_id(), Some(token.id.to_string()));
        let back = store.tokens().rotate_to_certificate(token.id, key, hour, moved.version).await;
        assert!(matches!(back, Err(StoreError::Exists)), "{back:?}");
        store.tokens().revoke(token.id).await.unwrap();
        let key = CredentialDigest([10; 32]);
        let token = store.tokens().create_for_certificate(new.clone(), key).await.unwrap();
        assert_eq!(token.presented_by, PresentedBy::Certificate);
        assert_eq!(store.tokens().by_id(token.id).await.unwrap().unwrap(), token);
        assert_eq!(resolve(key).await.unwrap().principal.credential_id(), Some(token.id.to_string()));
        let again = store.tokens().create_for_certificate(new.clone(), key).await;
        assert!(matches!(again, Err(StoreError::Exists)));
        let nobody =
            NewToken { creator: gateway_types::UserId::new(now, &gateway_types::OsEntropy), ..new.clone() };
        let orphan = store.tokens().create_for_certificate(nobody, CredentialDigest([8; 32])).await;
        assert!(matches!(orphan, Err(StoreError::NotFound)));
        store.tokens().revoke(token.id).await.unwrap();
        assert!(matches!(resolve(key).await, Err(ResolveError::Refused(CallerFault::Revoked))));
        let reborn = store.tokens().create_for_certificate(new, key).await;
        assert!(matches!(reborn, Err(StoreError::Exists)), "a revoked key stays revoked");
        store.close().await;
    }
}
