//! Sessions at providers, logout tokens and trusted devices: what ends with what, and what is used once.

use std::time::Duration;

use gateway_types::{Clock, CredentialKind, ProviderSessionId, Role, Secret, SessionId, UserId};

use super::{Place, add_session, add_user};
use crate::{
    Access, Ending, NewCliCode, NewProviderSession, NewSession, SessionSource, Store, StoreError, TakenCode,
    TokenUse,
};

const ISSUER: &str = "https://idp.test";

async fn provider_session(
    store: &Store,
    user: UserId,
    subject: &str,
    sid: Option<&str>,
) -> ProviderSessionId {
    let new = NewProviderSession {
        user,
        provider: "corp".to_owned(),
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        sid: sid.map(str::to_owned),
        again: None,
    };
    store.provider_sessions().open(&new).await.unwrap()
}

async fn try_session(
    store: &Store,
    place: &Place,
    user: UserId,
    of: ProviderSessionId,
) -> Result<SessionId, StoreError> {
    let new = NewSession {
        user,
        kind: CredentialKind::WebSession,
        expires: place.clock.now().saturating_add(Duration::from_secs(12 * 3600)),
        idle_limit: Duration::from_secs(1800),
        device: "test".to_owned(),
        ip: None,
    };
    let source = SessionSource { provider_session: Some(of), client: "curl/8".to_owned() };
    Ok(store.sessions().create_from(new, source).await?.0.id)
}

async fn is_live(store: &Store, id: SessionId) -> bool {
    store.sessions().by_id(id).await.unwrap().unwrap().revoked.is_none()
}

#[tokio::test]
async fn d13_what_a_provider_ends_is_exactly_what_it_names() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Ops]).await.id;
        let bob = add_user(&store, "bob@example.com", &[Role::Ops]).await.id;
        let one = provider_session(&store, ann, "ann", Some("s1")).await;
        let two = provider_session(&store, ann, "ann", Some("s2")).await;
        let other = provider_session(&store, bob, "bob", Some("s3")).await;
        let web = try_session(&store, &place, ann, one).await.unwrap();
        let second = try_session(&store, &place, ann, two).await.unwrap();
        let bobs = try_session(&store, &place, bob, other).await.unwrap();
        let unrelated = add_session(&store, &place, ann, CredentialKind::CliSession).await.0.id;
        let end = async |issuer: &str, ending: Ending<'_>| {
            store.provider_sessions().end(issuer, ending).await.unwrap().len()
        };
        // Another issuer, another person, nobody's: nothing ends.
        assert_eq!(end("https://other.test", Ending::Session { sid: "s1", subject: None }).await, 0);
        assert_eq!(end(ISSUER, Ending::Session { sid: "s1", subject: Some("bob") }).await, 0);
        assert_eq!(end(ISSUER, Ending::Subject("s1")).await, 0);
        assert_eq!(end(ISSUER, Ending::Subject("a\0b")).await, 0);
        assert_eq!(end(ISSUER, Ending::Session { sid: "s1", subject: Some("ann") }).await, 1);
        assert!(!is_live(&store, web).await && is_live(&store, second).await);
        assert_eq!(end(ISSUER, Ending::Session { sid: "s1", subject: Some("ann") }).await, 0);
        // What ended opens nothing more.
        let late = try_session(&store, &place, ann, one).await;
        assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
        assert_eq!(end(ISSUER, Ending::Subject("ann")).await, 1);
        assert!(!is_live(&store, second).await);
        assert!(is_live(&store, bobs).await && is_live(&store, unrelated).await);
    }
}

#[tokio::test]
async fn a_command_lines_code_comes_of_the_session_at_the_provider() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Ops]).await.id;
        let of = provider_session(&store, ann, "ann", None).await;
        let new = NewCliCode {
            user: ann,
            code_challenge: "c".to_owned(),
            redirect_uri: "http://127.0.0.1:1/".to_owned(),
            device: "laptop".to_owned(),
            provider_session: Some(of),
        };
        let code = store.cli_codes().create(&new).await.unwrap();
        let taken = store.cli_codes().take(code.expose()).await.unwrap();
        assert_eq!(taken, TakenCode::Taken(new));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d13_of_fifty_uses_of_a_logout_token_on_two_instances_one_is_first() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let over = place.clock.now().saturating_add(Duration::from_secs(300));
        let mut tasks = tokio::task::JoinSet::new();
        for store in [&first, &second].into_iter().cycle().take(50) {
            let sessions = store.provider_sessions();
            tasks.spawn(async move { sessions.use_token(ISSUER, "jti", over).await.unwrap() });
        }
        let uses = tasks.join_all().await;
        assert_eq!(uses.iter().filter(|used| **used == TokenUse::First).count(), 1);
        // Another issuer's token of the same name, and a name that swallows a part of the issuer.
        let sessions = first.provider_sessions();
        assert_eq!(sessions.use_token("https://b.test", "jti", over).await.unwrap(), TokenUse::First);
        assert_eq!(sessions.use_token("https://idp", ".test:jti", over).await.unwrap(), TokenUse::First);
    }
}

#[tokio::test]
async fn one_instance_asks_a_provider_again_and_only_for_live_sessions() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let ann = add_user(&first, "ann@example.com", &[Role::Ops]).await.id;
        let now = place.clock.now();
        let new = NewProviderSession {
            user: ann,
            provider: "corp".to_owned(),
            issuer: ISSUER.to_owned(),
            subject: "ann".to_owned(),
            sid: None,
            again: Some((
                Secret::new(b"refresh token".to_vec()),
                now.saturating_add(Duration::from_secs(60)),
            )),
        };
        let of = first.provider_sessions().open(&new).await.unwrap();
        let session = try_session(&first, &place, ann, of).await.unwrap();
        let due = async |store: &Store| {
            let next = place.clock.now().saturating_add(Duration::from_secs(900));
            store.provider_sessions().take_due(next, 10).await.unwrap()
        };
        assert!(due(&first).await.is_empty(), "not yet");
        place.clock.advance(Duration::from_secs(61));
        let (one, other) = tokio::join!(due(&first), due(&second));
        let taken: Vec<_> = one.into_iter().chain(other).collect();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].kept.expose(), b"refresh token");
        first.provider_sessions().keep(of, &Secret::new(b"next".to_vec())).await.unwrap();
        place.clock.advance(Duration::from_secs(901));
        assert_eq!(due(&second).await[0].kept.expose(), b"next");
        first.sessions().revoke(session).await.unwrap();
        place.clock.advance(Duration::from_secs(901));
        assert!(due(&first).await.is_empty(), "nothing is left of it");
        assert_eq!(first.provider_sessions().end_one(of).await.unwrap(), []);
    }
}

#[tokio::test]
async fn g5_a_trusted_device_is_one_persons_one_browsers_and_ends() {
    const LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Ops]).await.id;
        let bob = add_user(&store, "bob@example.com", &[Role::Ops]).await.id;
        let devices = store.trusted_devices();
        let (device, secret) = devices.trust(ann, "Firefox on Linux", None, LIFE).await.unwrap();
        let is = async |user, secret: &str, name: &str| {
            store.trusted_devices().is_trusted(user, secret, name).await.unwrap()
        };
        assert!(is(ann, secret.expose(), "Firefox on Linux").await);
        assert!(!is(bob, secret.expose(), "Firefox on Linux").await, "another person");
        assert!(!is(ann, secret.expose(), "Chrome on Windows").await, "another browser");
        assert!(!is(ann, "", "Firefox on Linux").await);
        assert!(matches!(devices.remove(bob, device.id).await, Err(StoreError::NotFound)));
        assert_eq!(devices.list(ann).await.unwrap().len(), 1);
        devices.remove(ann, device.id).await.unwrap();
        assert!(!is(ann, secret.expose(), "Firefox on Linux").await, "removed");
        let (_, secret) = devices.trust(ann, "Firefox on Linux", None, LIFE).await.unwrap();
        place.clock.advance(LIFE);
        assert!(!is(ann, secret.expose(), "Firefox on Linux").await, "over");
        // There are never more than so many, and all go with the factors.
        for n in 0..30 {
            place.clock.advance(Duration::from_secs(1));
            devices.trust(ann, &format!("browser {n}"), None, LIFE).await.unwrap();
        }
        let left = devices.list(ann).await.unwrap();
        assert_eq!(left.len(), usize::try_from(crate::MOST_TRUSTED_DEVICES).unwrap());
        assert_eq!(left[0].name, "browser 29");
        store.factors().reset(ann).await.unwrap();
        assert!(devices.list(ann).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn e2_limits_that_become_shorter_hold_for_live_sessions() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Ops]).await.id;
        let (web, _) = add_session(&store, &place, ann, CredentialKind::WebSession).await;
        let (cli, _) = add_session(&store, &place, ann, CredentialKind::CliSession).await;
        let (idle, longest) = (Duration::from_secs(60), Duration::from_secs(3600));
        let sessions = store.sessions();
        assert_eq!(sessions.shorten(CredentialKind::WebSession, idle, longest).await.unwrap(), 1);
        let now = sessions.by_id(web.id).await.unwrap().unwrap();
        assert_eq!((now.idle_limit, now.expires), (idle, web.created.saturating_add(longest)));
        assert_eq!(sessions.by_id(cli.id).await.unwrap().unwrap().expires, cli.expires);
        // Longer limits are for new sessions.
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(sessions.shorten(CredentialKind::WebSession, day, day).await.unwrap(), 0);
    }
}
