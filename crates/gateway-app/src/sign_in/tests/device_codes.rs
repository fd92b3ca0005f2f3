//! D12: devices without a browser.

use std::sync::Arc;
use std::time::Duration;

use gateway_store::DeviceDecision;
use gateway_types::Caller;

use super::super::SignInError;
use super::super::devices::{Started, decide, start, waiting};
use super::super::tokens::{Fields, Issued, TokenError, TokenFault, issue};
use super::world::{Browser, World, account, email, here, on_both};

async fn started(world: &World) -> Started {
    start(&world.app, &here(), "build\u{202e} server\n", "198.51.100.9".parse().unwrap()).await.unwrap()
}

async fn poll(world: &World, device_code: &str) -> Result<Issued, TokenFault> {
    let pairs = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", "rack-gateway-cli"),
        ("device_code", device_code),
    ];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let browser = Browser::new();
    match issue(&world.app, &Fields::read(body.as_bytes()).unwrap(), browser.visitor()).await {
        Ok(issued) => Ok(issued),
        Err(TokenError::Fault(fault)) => Err(fault),
        Err(TokenError::Failed(error)) => panic!("{error:?}"),
    }
}

async fn person(world: &World) -> Caller {
    world.sign_in(account("a1", "admin@example.com")).await.unwrap()
}

fn id() -> gateway_types::RequestId {
    Browser::new().visitor().request_id
}

#[tokio::test]
async fn a_person_lets_a_device_in_that_they_see() {
    on_both(async |world| {
        let device = started(&world).await;
        assert_eq!(device.verification_uri, "https://gw.example.com/device");
        assert_eq!(
            device.verification_uri_complete,
            format!("https://gw.example.com/device?user_code={}", device.user_code)
        );
        assert_eq!((device.expires_in, device.interval), (600, 5));
        let code = device.device_code.expose();
        assert_eq!(poll(&world, code).await.unwrap_err(), TokenFault::AuthorizationPending);
        let caller = person(&world).await;
        let shown = waiting(&world.app, &caller, &device.user_code.to_lowercase()).await.unwrap();
        assert_eq!((shown.device.as_str(), shown.ip.to_string().as_str()), ("build server", "198.51.100.9"));
        decide(&world.app, &caller, &device.user_code, DeviceDecision::Approve, id()).await.unwrap();
        let event = &world.events("gateway:auth:device_confirm").await[0];
        assert_eq!(event.parameters["decision"], "approve");
        assert_eq!(event.parameters["address"], "198.51.100.9");
        // Decided once.
        let again = decide(&world.app, &caller, &device.user_code, DeviceDecision::Deny, id()).await;
        assert!(matches!(again, Err(SignInError::NoSuchDevice)), "{again:?}");
        world.clock.advance(Duration::from_secs(5));
        let issued = poll(&world, code).await.unwrap();
        assert_eq!(email(&world.caller(issued.secret.expose()).await), "admin@example.com");
        assert_eq!(poll(&world, code).await.unwrap_err(), TokenFault::ExpiredToken);
    })
    .await;
}

#[tokio::test]
async fn d12_a_refused_or_late_device_gets_nothing() {
    on_both(async |world| {
        let caller = person(&world).await;
        let refused = started(&world).await;
        decide(&world.app, &caller, &refused.user_code, DeviceDecision::Deny, id()).await.unwrap();
        assert_eq!(poll(&world, refused.device_code.expose()).await.unwrap_err(), TokenFault::AccessDenied);
        let late = started(&world).await;
        let forgotten = started(&world).await;
        decide(&world.app, &caller, &forgotten.user_code, DeviceDecision::Approve, id()).await.unwrap();
        world.clock.advance(Duration::from_secs(600));
        let decided = decide(&world.app, &caller, &late.user_code, DeviceDecision::Approve, id()).await;
        assert!(matches!(decided, Err(SignInError::NoSuchDevice)), "{decided:?}");
        for device in [&late, &forgotten] {
            assert_eq!(
                poll(&world, device.device_code.expose()).await.unwrap_err(),
                TokenFault::ExpiredToken
            );
        }
        assert_eq!(poll(&world, "no such device").await.unwrap_err(), TokenFault::InvalidGrant);
    })
    .await;
}

/// Whoever let a device in before their factors were reset does not come back with it, as the first to enrol one.
#[tokio::test]
async fn e2_a_device_that_was_let_in_is_out_after_a_reset() {
    on_both(async |world| {
        let caller = person(&world).await;
        let device = started(&world).await;
        decide(&world.app, &caller, &device.user_code, DeviceDecision::Approve, id()).await.unwrap();
        let user = world.app.store.users().by_email("admin@example.com").await.unwrap().unwrap();
        world.app.store.factors().reset(user.id).await.unwrap();
        world.clock.advance(Duration::from_secs(5));
        let late = poll(&world, device.device_code.expose()).await.unwrap_err();
        assert!(matches!(late, TokenFault::AccessDenied | TokenFault::InvalidGrant), "{late:?}");
    })
    .await;
}

#[tokio::test]
async fn d12_polling_too_often_is_told_and_slows_down() {
    on_both(async |world| {
        let device = started(&world).await;
        let code = device.device_code.expose();
        let after = async |seconds: u64| {
            world.clock.advance(Duration::from_secs(seconds));
            poll(&world, code).await.unwrap_err()
        };
        assert_eq!(after(0).await, TokenFault::AuthorizationPending);
        assert_eq!(after(5).await, TokenFault::AuthorizationPending);
        assert_eq!(after(4).await, TokenFault::AuthorizationPending, "the network's delays are allowed for");
        assert_eq!(after(3).await, TokenFault::SlowDown);
        // From now on it is ten seconds.
        assert_eq!(after(5).await, TokenFault::SlowDown);
        assert_eq!(after(15).await, TokenFault::AuthorizationPending);
        for _ in 0..30 {
            assert_eq!(after(0).await, TokenFault::SlowDown);
        }
        assert_eq!(after(60).await, TokenFault::AuthorizationPending, "it does not grow for ever");
    })
    .await;
}

#[tokio::test]
async fn d12_five_wrong_codes_and_no_more() {
    on_both(async |world| {
        let device = started(&world).await;
        let caller = person(&world).await;
        for wrong in ["BBBB-BBBB", "CCCC-CCCC", "nonsense", "", "DDDD-DDDD"] {
            let refused = waiting(&world.app, &caller, wrong).await;
            assert!(matches!(refused, Err(SignInError::NoSuchDevice)), "{refused:?}");
        }
        // Now the right one does not help either, neither to look nor to decide.
        let seen = waiting(&world.app, &caller, &device.user_code).await;
        assert!(matches!(seen, Err(SignInError::TooManyTries { .. })), "{seen:?}");
        let decided = decide(&world.app, &caller, &device.user_code, DeviceDecision::Approve, id()).await;
        assert!(matches!(decided, Err(SignInError::TooManyTries { .. })), "{decided:?}");
        assert_eq!(
            poll(&world, device.device_code.expose()).await.unwrap_err(),
            TokenFault::AuthorizationPending
        );
        world.clock.advance(Duration::from_secs(600));
        let device = started(&world).await;
        // Right ones do not count.
        for _ in 0..10 {
            waiting(&world.app, &caller, &device.user_code).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d12_of_many_polls_at_once_one_gets_the_session() {
    on_both(async |world| {
        let world = Arc::new(world);
        let caller = person(&world).await;
        let device = started(&world).await;
        decide(&world.app, &caller, &device.user_code, DeviceDecision::Approve, id()).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..30 {
            let (world, code) = (Arc::clone(&world), device.device_code.expose().clone());
            tasks.spawn(async move { poll(&world, &code).await.is_ok() });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn one_source_cannot_fill_the_table() {
    on_both(async |world| {
        let mut admitted = 0;
        for _ in 0..60 {
            match start(&world.app, &here(), "x", "198.51.100.9".parse().unwrap()).await {
                Ok(_) => admitted += 1,
                Err(SignInError::TooMany) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(admitted, 50);
        start(&world.app, &here(), "x", "198.51.100.10".parse().unwrap()).await.unwrap();
        world.clock.advance(Duration::from_secs(600));
        started(&world).await;
    })
    .await;
}
