//! The second factor at sign-in: what waits for it, what a trusted browser is excused from (G5, G6).

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::hmac;
use gateway_config::{Flags, Sources};
use gateway_identity::{InlineFactor, TotpCode, TotpSecret};
use gateway_types::{Clock, OsEntropy, Role, Secret, UserId};

use super::super::{FactorGiven, Finished, SignInError, begin_web, finish, give_factor};
use super::world::{Browser, Place, World, account, here};
use crate::notify::Notice;
use crate::{Operator, factors, sessions};

async fn world(place: Place) -> (World, UserId, Secret<Vec<u8>>) {
    let environment = BTreeMap::from(
        [("RACK_HOST", "rack.test"), ("RACK_TOKEN", "x"), ("RGW_SETTING_SIGN_IN_FACTOR", "on")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let sources = Sources { file: None, environment, flags: Flags::default() };
    let settings = gateway_config::parse(sources).unwrap_or_else(|faults| panic!("{faults}")).settings;
    let world = World::with(place, None, settings).await;
    let ann = world.invite("ann@example.com", &[Role::Ops]).await.id;
    let secret = Secret::new(b"12345678901234567890".to_vec());
    let factors = world.app.store.factors();
    let factor = factors.create_totp(ann, "phone", &secret).await.unwrap();
    factors.confirm(ann, factor.id, None).await.unwrap();
    (world, ann, secret)
}

/// The code that an authenticator shows now (RFC 6238).
fn code(world: &World, secret: &Secret<Vec<u8>>) -> InlineFactor {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose());
    let tag = hmac::sign(&key, &(world.clock.seconds() / 30).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    InlineFactor::Totp(format!("{:06}", number % 1_000_000).parse().unwrap())
}

fn wrong(world: &World, secret: &Secret<Vec<u8>>) -> InlineFactor {
    let seed = TotpSecret::from_bytes(secret.clone());
    let mut codes = (0..10_u32).map(|n| format!("{n:06}").parse::<TotpCode>().unwrap());
    InlineFactor::Totp(codes.find(|code| seed.matching_step(code, world.clock.now()).is_none()).unwrap())
}

async fn begin(world: &World, browser: &mut Browser) -> Finished {
    let begun = begin_web(&world.app, "corp", None, &here(), browser.visitor()).await.unwrap();
    browser.keep(&begun);
    let query = world.idp.sign_in(&begun.location, account("ann", "ann@example.com"));
    finish(&world.app, "corp", &query, browser.visitor()).await.unwrap()
}

fn id(finished: &Finished) -> String {
    match finished {
        Finished::Factor { location } => location.strip_prefix("/auth/factor/").unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn live(world: &World, user: UserId) -> usize {
    world.app.store.sessions().list_for_user(user).await.unwrap().len()
}

#[tokio::test]
async fn g6_before_the_factor_there_is_no_session() {
    for place in [Place::Sqlite, Place::Postgres] {
        let (world, ann, secret) = world(place).await;
        let mut browser = Browser::new();
        let waiting = id(&begin(&world, &mut browser).await);
        assert_eq!(live(&world, ann).await, 0);
        assert!(world.events("gateway:auth:login").await.is_empty(), "nobody has signed in yet");
        let give = async |id: &str, factor: &InlineFactor, browser: &Browser| {
            give_factor(&world.app, id, Some(factor), false, browser.visitor()).await
        };
        // Another browser, or another id, reaches nothing; and neither is the id a state.
        let right = code(&world, &secret);
        let stranger = give(&waiting, &right, &Browser::new()).await;
        assert!(matches!(stranger, Err(SignInError::NotBegunHere)), "{stranger:?}");
        let other = give(&"A".repeat(43), &right, &browser).await;
        assert!(matches!(other, Err(SignInError::NotBegunHere)), "{other:?}");
        let state = finish(&world.app, "corp", &format!("code=x&state={waiting}"), browser.visitor()).await;
        assert!(matches!(state, Err(SignInError::NotBegunHere)), "{state:?}");
        // A wrong code leads to the form again, under another id.
        let again = give(&waiting, &wrong(&world, &secret), &browser).await.unwrap();
        let FactorGiven::Again { location } = again else { panic!("{again:?}") };
        let next = location.strip_prefix("/auth/factor/").unwrap().to_owned();
        let used = give(&waiting, &right, &browser).await;
        assert!(matches!(used, Err(SignInError::Used)), "{used:?}");
        let done = give(&next, &right, &browser).await.unwrap();
        let FactorGiven::Done { finished: Finished::Web { secret: session, .. }, trusted: None } = done
        else {
            panic!("{done:?}")
        };
        assert!(world.is_live(session.expose()).await);
        assert_eq!(world.events("gateway:auth:login").await.len(), 2, "the wrong code, and the sign-in");
        // It is spent, and it opened no step-up window.
        let caller = world.caller(session.expose()).await;
        let id_of_session = sessions::current(&caller).unwrap();
        let window = Duration::from_secs(600);
        let standing = world.app.store.step_ups().standing(ann, id_of_session, window).await.unwrap();
        assert!(standing.enrolled && standing.window.is_none());
        let third = id(&begin(&world, &mut browser).await);
        let spent = give(&third, &right, &browser).await;
        assert!(matches!(spent, Ok(FactorGiven::Again { .. })), "{spent:?}");
    }
}

#[tokio::test]
async fn g5_a_trusted_browser_is_excused_from_the_sign_in_and_nothing_else() {
    for place in [Place::Sqlite, Place::Postgres] {
        let (world, ann, secret) = world(place).await;
        let mut browser = Browser::new();
        let waiting = id(&begin(&world, &mut browser).await);
        let factor = code(&world, &secret);
        let done = give_factor(&world.app, &waiting, Some(&factor), true, browser.visitor()).await.unwrap();
        let FactorGiven::Done { trusted: Some(cookie), .. } = done else { panic!("{done:?}") };
        let cookie = cookie.expose().clone();
        assert!(cookie.contains("; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
        let value = cookie.strip_prefix("__Host-rgw-device=").unwrap().split(';').next().unwrap();
        browser.trusted = Some(value.to_owned());
        let session = match begin(&world, &mut browser).await {
            Finished::Web { secret, .. } => secret,
            other => panic!("{other:?}"),
        };
        let caller = world.caller(session.expose()).await;
        let standing = world
            .app
            .store
            .step_ups()
            .standing(ann, sessions::current(&caller).unwrap(), Duration::from_secs(600))
            .await
            .unwrap();
        assert!(standing.window.is_none(), "never a step-up");
        // In another browser the cookie is worth nothing, and neither is another person's.
        let mut thief = Browser { agent: "Mozilla/5.0 (Windows NT) Thief/1".to_owned(), ..Browser::new() };
        thief.trusted = browser.trusted.clone();
        id(&begin(&world, &mut thief).await);
        // It is listed, and removed by its person.
        let devices = sessions::trusted_devices(&world.app, &caller).await.unwrap();
        assert_eq!(devices.len(), 1);
        let request = gateway_types::RequestId::new(world.clock.now(), &*world.app.entropy);
        let operator = world.app.operator(&caller, request);
        sessions::forget_device(&world.app, &operator, &caller, devices[0].id).await.unwrap();
        id(&begin(&world, &mut browser).await);
    }
}

/// A form that comes back empty or wrong begins no new ten minutes.
#[tokio::test]
async fn g6_a_sign_in_waits_ten_minutes_for_its_factor_in_all() {
    let (world, ann, secret) = world(Place::Sqlite).await;
    let mut browser = Browser::new();
    let mut waiting = id(&begin(&world, &mut browser).await);
    for _ in 0..2 {
        let empty = give_factor(&world.app, &waiting, None, false, browser.visitor()).await.unwrap();
        let FactorGiven::Again { location } = empty else { panic!("{empty:?}") };
        location.strip_prefix("/auth/factor/").unwrap().clone_into(&mut waiting);
        world.clock.advance(Duration::from_secs(6 * 60));
    }
    let late =
        give_factor(&world.app, &waiting, Some(&code(&world, &secret)), false, browser.visitor()).await;
    assert!(matches!(late, Err(SignInError::Expired)), "{late:?}");
    assert_eq!(live(&world, ann).await, 0);
}

#[tokio::test]
async fn g5_backup_codes_that_run_out_at_sign_in_are_told_of() {
    let (world, ann, _secret) = world(Place::Sqlite).await;
    let operator = Operator::local("tester", &*world.clock, &OsEntropy);
    let codes = factors::new_backup_codes(&world.app.store, &operator, ann).await.unwrap();
    world.told.0.lock().unwrap().clear();
    for (number, code) in codes.iter().enumerate() {
        let mut browser = Browser::new();
        let waiting = id(&begin(&world, &mut browser).await);
        let code = InlineFactor::typed(code.expose());
        let done = give_factor(&world.app, &waiting, code.as_ref(), false, browser.visitor()).await;
        assert!(matches!(done, Ok(FactorGiven::Done { .. })), "{done:?}");
        let told = std::mem::take(&mut *world.told.0.lock().unwrap());
        let left: Vec<u32> = told
            .iter()
            .filter_map(|notice| {
                let Notice::BackupCodesLow { left, email } = notice else { return None };
                assert_eq!(email, "ann@example.com");
                Some(*left)
            })
            .collect();
        let expected: &[u32] = [&[3], &[2], &[1], &[0]].get(number.wrapping_sub(6)).map_or(&[], |left| *left);
        assert_eq!(left, expected, "after {} codes", number + 1);
    }
}

#[tokio::test]
async fn g2_wrong_codes_at_sign_in_are_counted_by_person_and_told_once() {
    let (world, ann, secret) = world(Place::Sqlite).await;
    let bad = wrong(&world, &secret);
    for _ in 0..20 {
        let mut browser = Browser::new();
        let waiting = id(&begin(&world, &mut browser).await);
        let answer = give_factor(&world.app, &waiting, Some(&bad), false, browser.visitor()).await;
        assert!(matches!(answer, Ok(FactorGiven::Again { .. })), "{answer:?}");
    }
    for _ in 0..3 {
        let mut browser = Browser::new();
        let waiting = id(&begin(&world, &mut browser).await);
        let right = code(&world, &secret);
        let answer = give_factor(&world.app, &waiting, Some(&right), false, browser.visitor()).await;
        assert!(matches!(answer, Err(SignInError::TooManyTries { .. })), "{answer:?}");
    }
    let told = world.told.0.lock().unwrap().clone();
    let locks = told.iter().filter(|notice| matches!(notice, Notice::FactorsLocked { .. })).count();
    assert_eq!(locks, 1, "{told:?}");
    assert_eq!(world.events("gateway:factor:lock").await.len(), 1);
    assert_eq!(live(&world, ann).await, 0);
}
