//! Sessions at providers, logout tokens and trusted devices: what ends with what, and what is used once.

use std::time::Duration;

use gateway_types::{Clock, CredentialKind, OsEntropy, ProviderSessionId, Role, Secret, SessionId, UserId};

use super::{Place, add_session, add_user};
use crate::secrets::random_text;
use crate::{
    Access, DeviceDecision, Ending, NewCliCode, NewDevice, NewProviderSession, NewSession, Poll,
    SessionSource, Store, StoreError, TakenCode, Try, TryLimit,
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
        let tokens = std::cell::Cell::new(0);
        let end = async |issuer: &str, ending: Ending<'_>| {
            tokens.set(tokens.get() + 1);
            let (jti, over) = (tokens.get().to_string(), place.clock.now());
            store.provider_sessions().end(issuer, ending, &jti, over).await.unwrap().unwrap().len()
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

/// With a session's name and a person's, a row that never had a name is of the person's too.
#[tokio::test]
async fn d13_a_session_without_a_name_ends_with_its_persons() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Ops]).await.id;
        let of = provider_session(&store, ann, "ann", None).await;
        let session = try_session(&store, &place, ann, of).await.unwrap();
        let end = async |subject: Option<&str>, jti: &str| {
            let ending = Ending::Session { sid: "s1", subject };
            store
                .provider_sessions()
                .end(ISSUER, ending, jti, place.clock.now())
                .await
                .unwrap()
                .unwrap()
                .len()
        };
        assert_eq!(end(None, "1").await, 0);
        assert_eq!(end(Some("bob"), "2").await, 0);
        assert_eq!(end(Some("ann"), "3").await, 1);
        assert!(!is_live(&store, session).await);
    }
}

#[tokio::test]
async fn e2_with_all_sessions_end_what_could_become_one_and_trusted_devices() {
    const LIFE: Duration = Duration::from_secs(3600);
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        for end in ["all", "lock", "reset"] {
            let email = format!("{end}@example.com");
            let ann = add_user(&store, &email, &[Role::Ops]).await.id;
            let of = provider_session(&store, ann, end, None).await;
            let session = try_session(&store, &place, ann, of).await.unwrap();
            store.trusted_devices().trust(ann, "Firefox on Linux", None, LIFE).await.unwrap();
            let waiting = Waiting::of(&store, ann, session, of).await;
            match end {
                "reset" => store.factors().reset(ann).await.unwrap(),
                "all" => assert_eq!(store.sessions().revoke_all(ann).await.unwrap(), 1),
                _ => drop(store.users().lock(ann).await.unwrap()),
            }
            assert!(!is_live(&store, session).await);
            waiting.ended(&store).await;
            assert!(store.trusted_devices().list(ann).await.unwrap().is_empty());
            let late = try_session(&store, &place, ann, of).await;
            assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
            assert_eq!(
                store.provider_sessions().provider_of(session).await.unwrap().as_deref(),
                Some("corp")
            );
        }
    }
}

/// A device that was let in, and a code for a command line: both could still become a session.
struct Waiting {
    device: Secret<String>,
    code: Secret<String>,
}

impl Waiting {
    async fn of(store: &Store, user: UserId, by: SessionId, of: ProviderSessionId) -> Self {
        let device = approved(store, user, by).await;
        let code = NewCliCode {
            user,
            code_challenge: "c".to_owned(),
            redirect_uri: "http://127.0.0.1:1/".to_owned(),
            device: "laptop".to_owned(),
            provider_session: Some(of),
        };
        Self { device, code: store.cli_codes().create(&code).await.unwrap() }
    }

    async fn ended(self, store: &Store) {
        assert_eq!(store.devices().poll(self.device.expose()).await.unwrap(), Poll::Denied);
        let code = store.cli_codes().take(self.code.expose()).await.unwrap();
        assert!(!matches!(code, TakenCode::Taken(_)), "{code:?}");
    }
}

/// A device that was let in with this session.
async fn approved(store: &Store, user: UserId, by: SessionId) -> Secret<String> {
    let user_code = random_text(&OsEntropy).expose().clone();
    let new =
        NewDevice { user_code: user_code.clone(), device: "tv".to_owned(), ip: "192.0.2.1".parse().unwrap() };
    let device = store.devices().create(&new).await.unwrap().unwrap();
    let id = store.devices().waiting(&user_code).await.unwrap().unwrap().id;
    store.devices().decide(id, user, by, DeviceDecision::Approve).await.unwrap();
    device
}

#[tokio::test]
async fn e2_what_a_session_let_in_ends_with_it() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Ops]).await.id;
        let of = provider_session(&store, ann, "ann", None).await;
        let kept_of = provider_session(&store, ann, "ann", None).await;
        let kept = try_session(&store, &place, ann, kept_of).await.unwrap();
        let taken = async || try_session(&store, &place, ann, of).await.unwrap();
        // One session.
        let session = taken().await;
        let waiting = Waiting::of(&store, ann, session, of).await;
        let own = approved(&store, ann, kept).await;
        store.sessions().revoke(session).await.unwrap();
        waiting.ended(&store).await;
        assert!(matches!(store.devices().poll(own.expose()).await.unwrap(), Poll::Approved { .. }));
        // It lets nothing in any more, though its request was under way.
        let new = NewDevice {
            user_code: "LATE".to_owned(),
            device: "tv".to_owned(),
            ip: "192.0.2.1".parse().unwrap(),
        };
        store.devices().create(&new).await.unwrap().unwrap();
        let id = store.devices().waiting("LATE").await.unwrap().unwrap().id;
        let late = store.devices().decide(id, ann, session, DeviceDecision::Approve).await;
        assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
        // All others, by their person, and with the last factor.
        for end in ["others", "factor"] {
            let of = provider_session(&store, ann, "ann", None).await;
            let session = try_session(&store, &place, ann, of).await.unwrap();
            let waiting = Waiting::of(&store, ann, session, of).await;
            match end {
                "others" => assert_eq!(store.sessions().revoke_others(ann, kept).await.unwrap(), 1),
                _ => {
                    let seed = Secret::new(vec![7; 20]);
                    let factor = store.factors().create_totp(ann, "phone", &seed).await.unwrap();
                    store.factors().confirm(ann, factor.id, None).await.unwrap();
                    store.factors().remove_from(ann, factor.id, kept).await.unwrap();
                }
            }
            waiting.ended(&store).await;
            let late = try_session(&store, &place, ann, of).await;
            assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
        }
        // The session that was kept goes on, and lets in what it wants.
        let device = approved(&store, ann, kept).await;
        let Poll::Approved { provider_session, .. } = store.devices().poll(device.expose()).await.unwrap()
        else {
            panic!("it was let in")
        };
        assert_eq!(provider_session, Some(kept_of));
        assert!(is_live(&store, try_session(&store, &place, ann, kept_of).await.unwrap()).await);
    }
}

/// Whoever gave a factor when they signed in is not locked out by somebody who has their password alone.
#[tokio::test]
async fn g2_a_session_that_began_with_a_factor_is_held_to_its_own_limit() {
    const LIMIT: TryLimit = TryLimit { most: 5, within: Duration::from_secs(300) };
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Ops]).await.id;
        let of = provider_session(&store, ann, "ann", None).await;
        let own = try_session(&store, &place, ann, of).await.unwrap();
        let step_ups = store.step_ups();
        for _ in 0..5 {
            step_ups.begin_try_of_person(ann, LIMIT).await.unwrap();
        }
        let refused = step_ups.begin_try(ann, own, LIMIT, LIMIT).await.unwrap();
        assert!(matches!(refused, Try::TooMany(_)), "{refused:?}");
        store.provider_sessions().prove(of).await.unwrap();
        assert_eq!(step_ups.begin_try(ann, own, LIMIT, LIMIT).await.unwrap(), Try::Allowed);
        // Not for what comes later of the same sign-in: a stolen session could let in devices without end.
        place.clock.advance(Duration::from_secs(1));
        let later = try_session(&store, &place, ann, of).await.unwrap();
        let refused = step_ups.begin_try(ann, later, LIMIT, LIMIT).await.unwrap();
        assert!(matches!(refused, Try::TooMany(_)), "{refused:?}");
        let standing = step_ups.standing(ann, own, LIMIT.within).await.unwrap();
        assert_eq!(standing.window, None, "it is no step-up");
        // What could not be checked is not counted, and what was wrong stays counted.
        let another = provider_session(&store, ann, "ann", None).await;
        store.provider_sessions().prove(another).await.unwrap();
        let wrong = try_session(&store, &place, ann, another).await.unwrap();
        for _ in 0..4 {
            step_ups.begin_try(ann, wrong, LIMIT, LIMIT).await.unwrap();
        }
        for _ in 0..9 {
            assert_eq!(step_ups.begin_try(ann, wrong, LIMIT, LIMIT).await.unwrap(), Try::Allowed);
            step_ups.unchecked(ann, wrong).await.unwrap();
        }
        step_ups.begin_try(ann, wrong, LIMIT, LIMIT).await.unwrap();
        let refused = step_ups.begin_try(ann, wrong, LIMIT, LIMIT).await.unwrap();
        assert!(matches!(refused, Try::TooMany(_)), "{refused:?}");
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
            tasks.spawn(async move {
                sessions.end(ISSUER, Ending::Subject("nobody"), "jti", over).await.unwrap().is_some()
            });
        }
        let uses = tasks.join_all().await;
        assert_eq!(uses.iter().filter(|first| **first).count(), 1);
        assert!(second.provider_sessions().token_is_used(ISSUER, "jti").await.unwrap());
        // Another issuer's token of the same name, and a name that swallows a part of the issuer.
        let sessions = first.provider_sessions();
        for (issuer, jti) in [("https://b.test", "jti"), ("https://idp", ".test:jti")] {
            assert!(!sessions.token_is_used(issuer, jti).await.unwrap());
            let ended = sessions.end(issuer, Ending::Subject("nobody"), jti, over).await.unwrap();
            assert_eq!(ended, Some(Vec::new()));
        }
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
            store.provider_sessions().take_due(next, 10, &[]).await.unwrap()
        };
        assert!(due(&first).await.is_empty(), "not yet");
        place.clock.advance(Duration::from_secs(61));
        let without = first.provider_sessions().take_due(place.clock.now(), 10, &["corp".to_owned()]).await;
        assert!(without.unwrap().is_empty(), "of other providers");
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
            store.trusted_devices().is_trusted(user, secret, name, LIFE).await.unwrap()
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
        // A shorter life holds for those that are trusted already, a longer one for new ones.
        let within = async |life| {
            let devices = store.trusted_devices();
            devices.is_trusted(ann, secret.expose(), "Firefox on Linux", life).await.unwrap()
        };
        place.clock.advance(Duration::from_secs(2 * 3600));
        assert!(!within(Duration::from_secs(3600)).await, "set to an hour");
        assert!(within(Duration::from_secs(3 * 3600)).await);
        place.clock.advance(LIFE - Duration::from_secs(2 * 3600));
        assert!(!within(LIFE * 2).await, "it was trusted for so long and no longer");
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
