use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Clock, CredentialKind, FactorId, Role, Secret, SessionId, UserId};

use super::{Place, add_session, add_user, is_conflict};
use crate::{Access, FactorKind, RightCode, Spent, Store, StoreError, Try, TryLimit, UsedFactor};

const WINDOW: Duration = Duration::from_secs(600);
const LIMIT: TryLimit = TryLimit { most: 5, within: Duration::from_secs(300) };

fn seed() -> Secret<Vec<u8>> {
    Secret::new(b"12345678901234567890".to_vec())
}

async fn add_factor(store: &Store, user: UserId) -> FactorId {
    let factor = store.factors().create_totp(user, "phone", &seed()).await.unwrap();
    store.factors().confirm(user, factor.id, None).await.unwrap().id
}

async fn session(store: &Store, place: &Place, user: UserId) -> SessionId {
    add_session(store, place, user, CredentialKind::CliSession).await.0.id
}

async fn person(store: &Store) -> UserId {
    add_user(store, "ann@example.com", &[Role::Admin]).await.id
}

fn count(results: &[Spent]) -> (usize, usize, usize) {
    let of = |is: fn(&Spent) -> bool| results.iter().filter(|spent| is(spent)).count();
    (
        of(|spent| matches!(spent, Spent::Fresh(_))),
        of(|spent| matches!(spent, Spent::Before(_))),
        of(|spent| matches!(spent, Spent::Refused)),
    )
}

/// Spends one code fifty times at once, by turns on two instances and with each of these sessions.
async fn spend_at_once(
    stores: [&Arc<Store>; 2],
    user: UserId,
    sessions: &[SessionId],
    code: &RightCode,
) -> (usize, usize, usize) {
    let mut tasks = tokio::task::JoinSet::new();
    let (stores, sessions) = (stores.iter().cycle(), sessions.iter().cycle());
    for (store, session) in stores.zip(sessions).take(50) {
        let (step_ups, session, code) = (store.step_ups(), *session, code.clone());
        tasks.spawn(async move { step_ups.spend(user, session, &code).await.unwrap() });
    }
    count(&tasks.join_all().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_of_fifty_uses_of_a_code_at_once_on_two_instances_one_succeeds() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let user = person(&first).await;
        let factor = add_factor(&first, user).await;
        let digests: Vec<String> = (0..3).map(|n| format!("digest {n}")).collect();
        first.factors().replace_backup_codes(user, &digests).await.unwrap();
        let mut sessions = Vec::new();
        for _ in 0..25 {
            sessions.push(session(&first, &place, user).await);
        }
        let codes = [
            RightCode::Totp { factor, step: 1000 },
            RightCode::Totp { factor, step: 1001 },
            RightCode::Backup { digest: "digest 1".to_owned() },
        ];
        for code in codes {
            let stores = [&first, &second];
            let (fresh, before, refused) = spend_at_once(stores, user, &sessions, &code).await;
            // Each session comes twice, so whoever spent it comes once more.
            assert_eq!((fresh, fresh + before + refused), (1, 50), "{code:?} {}", place.url);
            assert!(before <= 1, "{before}");
        }
        let one = [sessions[0]];
        for code in
            [RightCode::Totp { factor, step: 1002 }, RightCode::Backup { digest: "digest 2".to_owned() }]
        {
            assert_eq!(spend_at_once([&first, &second], user, &one, &code).await, (1, 49, 0), "{code:?}");
        }
        assert_eq!(second.factors().backup_codes_left(user).await.unwrap(), 1);
        second.close().await;
        first.close().await;
    }
}

#[tokio::test]
async fn a_spent_or_older_code_is_refused_to_others_and_rides_for_its_own() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let user = person(&store).await;
        let factor = add_factor(&store, user).await;
        let (one, other) = (session(&store, &place, user).await, session(&store, &place, user).await);
        let step_ups = store.step_ups();
        let code = |step| RightCode::Totp { factor, step };
        let Spent::Fresh(window) = step_ups.spend(user, one, &code(50)).await.unwrap() else { panic!() };
        assert_eq!(
            (window.opened, window.factor),
            (place.clock.now(), UsedFactor::Factor(FactorKind::Totp, factor))
        );
        place.clock.advance(Duration::from_secs(20));
        assert_eq!(step_ups.spend(user, one, &code(50)).await.unwrap(), Spent::Before(window));
        assert_eq!(step_ups.spend(user, other, &code(50)).await.unwrap(), Spent::Refused);
        assert_eq!(step_ups.spend(user, one, &code(49)).await.unwrap(), Spent::Refused);
        assert_eq!(step_ups.spend(user, other, &code(49)).await.unwrap(), Spent::Refused);
        let Spent::Fresh(_) = step_ups.spend(user, other, &code(51)).await.unwrap() else { panic!() };
        // The first session's own window still remembers its code, but a later one was spent meanwhile.
        assert_eq!(step_ups.spend(user, one, &code(50)).await.unwrap(), Spent::Before(window));
        let stranger = add_user(&store, "bo@example.com", &[Role::Viewer]).await.id;
        let strange = session(&store, &place, stranger).await;
        assert_eq!(step_ups.spend(stranger, strange, &code(60)).await.unwrap(), Spent::Refused);
        let used = store.factors().list(user).await.unwrap()[0].last_used;
        assert_eq!(used, Some(place.clock.now()));
    }
}

#[tokio::test]
async fn a_window_belongs_to_one_session_and_ends() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let user = person(&first).await;
        let (one, other) = (session(&first, &place, user).await, session(&first, &place, user).await);
        let standing = async |store: &Store, session| {
            let standing = store.step_ups().standing(user, session, WINDOW).await.unwrap();
            (standing.enrolled, standing.window.is_some())
        };
        let pending = first.factors().create_totp(user, "phone", &seed()).await.unwrap();
        assert_eq!(standing(&first, one).await, (false, false), "an unconfirmed factor counts for nothing");
        let code = RightCode::Totp { factor: pending.id, step: 7 };
        assert_eq!(first.step_ups().spend(user, one, &code).await.unwrap(), Spent::Refused);
        first.factors().confirm(user, pending.id, Some(7)).await.unwrap();
        assert_eq!(standing(&second, one).await, (true, false));
        assert_eq!(
            first.step_ups().spend(user, one, &code).await.unwrap(),
            Spent::Refused,
            "spent to confirm"
        );

        let code = RightCode::Totp { factor: pending.id, step: 8 };
        first.step_ups().spend(user, one, &code).await.unwrap();
        for store in [&first, &second] {
            assert_eq!(standing(store, one).await, (true, true));
            assert_eq!(standing(store, other).await, (true, false));
        }
        place.clock.advance(WINDOW - Duration::from_micros(1));
        assert_eq!(standing(&first, one).await, (true, true));
        let shorter = first.step_ups().standing(user, one, Duration::from_secs(60)).await.unwrap();
        assert_eq!(shorter.window, None, "the length of this moment counts");
        place.clock.advance(Duration::from_micros(1));
        for store in [&first, &second] {
            assert_eq!(standing(store, one).await, (true, false));
        }
        second.close().await;
        first.close().await;
    }
}

#[tokio::test]
async fn removing_a_factor_ends_its_windows_here_at_once() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let user = person(&store).await;
        let (kept, removed) = (add_factor(&store, user).await, add_factor(&store, user).await);
        let (one, other) = (session(&store, &place, user).await, session(&store, &place, user).await);
        let step_ups = store.step_ups();
        step_ups.spend(user, one, &RightCode::Totp { factor: removed, step: 5 }).await.unwrap();
        step_ups.spend(user, other, &RightCode::Totp { factor: kept, step: 5 }).await.unwrap();
        store.factors().remove(user, removed).await.unwrap();
        assert_eq!(step_ups.standing(user, one, WINDOW).await.unwrap().window, None);
        assert!(step_ups.standing(user, other, WINDOW).await.unwrap().window.is_some());
        store.factors().remove(user, kept).await.unwrap();
        assert!(!step_ups.standing(user, other, WINDOW).await.unwrap().enrolled);
        let again = store.factors().remove(user, kept).await;
        assert!(matches!(again, Err(StoreError::NotFound)), "{again:?}");
    }
}

#[tokio::test]
async fn no_more_codes_than_the_limit_are_tried_also_at_once() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let user = person(&first).await;
        let session = session(&first, &place, user).await;
        let mut tasks = tokio::task::JoinSet::new();
        for store in [&first, &second].iter().cycle().take(30) {
            let step_ups = store.step_ups();
            tasks.spawn(async move { step_ups.begin_try(user, session, LIMIT, OF_PERSON).await.unwrap() });
        }
        let tries = tasks.join_all().await;
        assert_eq!(tries.iter().filter(|one| **one == Try::Allowed).count(), 5, "{}", place.url);
        let end = place.clock.now().saturating_add(LIMIT.within);
        assert!(tries.contains(&Try::TooMany(end)), "{tries:?}");

        let step_ups = first.step_ups();
        step_ups.succeeded(user, session).await.unwrap();
        assert_eq!(
            step_ups.begin_try(user, session, LIMIT, OF_PERSON).await.unwrap(),
            Try::Allowed,
            "one was right"
        );
        place.clock.advance(LIMIT.within - Duration::from_micros(1));
        assert_eq!(step_ups.begin_try(user, session, LIMIT, OF_PERSON).await.unwrap(), Try::TooMany(end));
        place.clock.advance(Duration::from_micros(1));
        for n in 0..6 {
            let allowed =
                second.step_ups().begin_try(user, session, LIMIT, OF_PERSON).await.unwrap() == Try::Allowed;
            assert_eq!(allowed, n < 5, "try {n}");
        }
        // Further sessions of the person have tries of their own, up to what the person has in all.
        let mut tried = 0;
        for _ in 0..10 {
            let another = self::session(&first, &place, user).await;
            for _ in 0..5 {
                let step_ups = first.step_ups();
                let answer = step_ups.begin_try(user, another, LIMIT, OF_PERSON).await.unwrap();
                tried += i64::from(answer == Try::Allowed);
            }
        }
        assert!(tried < OF_PERSON.most, "{tried}");
        place.clock.advance(OF_PERSON.within);
        let answer = first.step_ups().begin_try(user, session, LIMIT, OF_PERSON).await.unwrap();
        assert_eq!(answer, Try::Allowed);
        second.close().await;
        first.close().await;
    }
}

/// What a person may try with all sessions.
const OF_PERSON: TryLimit = TryLimit { most: 20, within: Duration::from_secs(3600) };

#[tokio::test]
async fn a_seed_is_sealed_and_opens_for_its_owner_only() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let user = person(&store).await;
        let other = add_user(&store, "bo@example.com", &[Role::Viewer]).await.id;
        let id = add_factor(&store, user).await;
        let (factor, opened) = store.factors().seeds(user).await.unwrap().remove(0);
        assert_eq!((factor.id, opened), (id, seed()));
        let pool = store.factors().core.database.pool().clone();
        let row = sqlx::query("SELECT sealed FROM factors").fetch_one(&pool).await.unwrap();
        let sealed: String = sqlx::Row::try_get(&row, 0).unwrap();
        let raw = data_encoding::BASE64_NOPAD.decode(sealed.as_bytes()).unwrap();
        assert!(!raw.windows(8).any(|bytes| bytes == b"12345678"));
        // Whoever can write the table cannot make somebody's authenticator their own.
        sqlx::query("UPDATE factors SET user_id = $1").bind(other.to_string()).execute(&pool).await.unwrap();
        let stolen = store.factors().seeds(other).await;
        assert!(matches!(stolen, Err(StoreError::Corrupt { what: "sealed secret" })), "{stolen:?}");
    }
}

#[tokio::test]
async fn factors_belong_to_one_person_and_go_with_them() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let (ann, bo) = (person(&store).await, add_user(&store, "bo@example.com", &[Role::Admin]).await.id);
        let factors = store.factors();
        let pending = factors.create_totp(ann, "phone", &seed()).await.unwrap();
        for refused in
            [factors.confirm(bo, pending.id, None).await.err(), factors.remove(bo, pending.id).await.err()]
        {
            assert!(matches!(refused, Some(StoreError::NotFound)), "{refused:?}");
        }
        // A second start of an enrolment takes the place of the first.
        let second = factors.create_totp(ann, "tablet", &seed()).await.unwrap();
        assert_eq!(factors.list(ann).await.unwrap(), std::slice::from_ref(&second));
        factors.confirm(ann, second.id, None).await.unwrap();
        assert!(factors.confirm(ann, second.id, None).await.is_err(), "once");
        factors.rename(ann, second.id, "old tablet").await.unwrap();
        assert_eq!(factors.list(ann).await.unwrap()[0].name, "old tablet");
        for _ in 1..10 {
            add_factor(&store, ann).await;
        }
        assert!(is_conflict(factors.create_totp(ann, "eleventh", &seed()).await));
        store.users().remove(ann).await.unwrap();
        assert!(factors.list(ann).await.unwrap().is_empty());
        let gone = factors.create_totp(ann, "phone", &seed()).await;
        assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
        let gone = factors.replace_backup_codes(ann, &["digest".to_owned()]).await;
        assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
    }
}

#[tokio::test]
async fn new_backup_codes_take_the_place_of_all_old_ones() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let user = person(&store).await;
        let session = session(&store, &place, user).await;
        let code = |digest: &str| RightCode::Backup { digest: digest.to_owned() };
        store.factors().replace_backup_codes(user, &["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert!(matches!(store.step_ups().spend(user, session, &code("a")).await.unwrap(), Spent::Fresh(_)));
        store.factors().replace_backup_codes(user, &["c".to_owned()]).await.unwrap();
        for (digest, fresh) in [("b", false), ("z", false), ("c", true)] {
            let spent = store.step_ups().spend(user, session, &code(digest)).await.unwrap();
            assert_eq!(matches!(spent, Spent::Fresh(_)), fresh, "{digest}");
        }
        assert_eq!(store.factors().backup_codes_left(user).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn g2_tries_with_other_sessions_do_not_lock_out_one_that_confirmed_before() {
    const OF_PERSON: TryLimit = TryLimit { most: 20, within: Duration::from_secs(3600) };
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let user = person(&first).await;
        let factor = add_factor(&first, user).await;
        let own = session(&first, &place, user).await;
        let code = RightCode::Totp { factor, step: 100 };
        assert!(matches!(first.step_ups().spend(user, own, &code).await.unwrap(), Spent::Fresh(_)));
        // A thief with a stolen sign-in opens session after session.
        let mut tried = 0;
        for _ in 0..10 {
            let theirs = session(&second, &place, user).await;
            for _ in 0..5 {
                let answer = second.step_ups().begin_try(user, theirs, LIMIT, OF_PERSON).await.unwrap();
                tried += i64::from(answer == Try::Allowed);
            }
        }
        assert_eq!(tried, 20, "{}", place.url);
        let theirs = session(&second, &place, user).await;
        let answer = second.step_ups().begin_try(user, theirs, LIMIT, OF_PERSON).await.unwrap();
        assert!(matches!(answer, Try::TooMany(_)));
        assert_eq!(first.step_ups().begin_try(user, own, LIMIT, OF_PERSON).await.unwrap(), Try::Allowed);
        first.step_ups().succeeded(user, own).await.unwrap();
        // What the person does right does not give the thief further guesses.
        let answer = second.step_ups().begin_try(user, theirs, LIMIT, OF_PERSON).await.unwrap();
        assert!(matches!(answer, Try::TooMany(_)));
        // It is told once, by one instance.
        let mut told = 0;
        for store in [&first, &second, &first] {
            let step_ups = store.step_ups();
            told += i64::from(step_ups.tell_once(user, Some(theirs), LIMIT, OF_PERSON).await.unwrap());
        }
        assert_eq!(told, 1);
        // The next round is twice as long.
        place.clock.advance(OF_PERSON.within);
        for _ in 0..20 {
            let fresh = session(&second, &place, user).await;
            let answer = second.step_ups().begin_try(user, fresh, LIMIT, OF_PERSON).await.unwrap();
            assert_eq!(answer, Try::Allowed);
        }
        place.clock.advance(OF_PERSON.within);
        let fresh = session(&second, &place, user).await;
        let answer = second.step_ups().begin_try(user, fresh, LIMIT, OF_PERSON).await.unwrap();
        assert!(matches!(answer, Try::TooMany(_)), "{answer:?}");
    }
}
