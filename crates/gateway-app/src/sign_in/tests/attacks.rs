//! Sign-ins that somebody else has a hand in.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Finished, SignInError, begin_web, finish};
use super::provider::{OutOfOrder, parameters};
use super::world::{Browser, Place, World, account, here, on_both};

async fn begun(world: &World, browser: &mut Browser) -> String {
    let begun = begin_web(&world.app, "corp", None, &here(), browser.visitor()).await.unwrap();
    browser.keep(&begun);
    begun.location
}

async fn check(world: &World, browser: &Browser, query: &str, is: fn(&SignInError) -> bool) {
    match finish(&world.app, "corp", query, browser.visitor()).await {
        Err(error) => assert!(is(&error), "{query}: {error:?}"),
        Ok(finished) => panic!("{query}: {finished:?}"),
    }
}

fn admin() -> serde_json::Value {
    account("a1", "admin@example.com")
}

#[tokio::test]
async fn d2_only_what_this_browser_began_is_finished_and_once() {
    on_both(async |world| {
        let (mut mine, mut theirs) = (Browser::new(), Browser::new());
        let location = begun(&world, &mut mine).await;
        begun(&world, &mut theirs).await;
        let query = world.idp.sign_in(&location, admin());
        let (code, state) = query.split_once('&').unwrap();
        let not_begun = |error: &SignInError| matches!(error, SignInError::NotBegunHere);
        let callback = |error: &SignInError| matches!(error, SignInError::Callback);
        check(&world, &mine, code, callback).await;
        check(&world, &mine, state, callback).await;
        check(&world, &mine, &format!("{code}&state=guessed"), not_begun).await;
        check(&world, &mine, &format!("{query}&{state}"), callback).await;
        check(&world, &mine, &format!("{query}&{code}"), callback).await;
        check(&world, &mine, &format!("{query}&error=x"), callback).await;
        // Login CSRF: the attacker's own answer in somebody else's browser, and in one without a cookie.
        check(&world, &theirs, &query, not_begun).await;
        check(&world, &Browser::new(), &query, not_begun).await;
        let forged = Browser { cookie: Some("short".to_owned()), ..Browser::new() };
        check(&world, &forged, &query, not_begun).await;
        assert_eq!(world.idp.token_requests.load(std::sync::atomic::Ordering::SeqCst), 0);
        // None of that spent it.
        let finished = finish(&world.app, "corp", &query, mine.visitor()).await.unwrap();
        assert!(matches!(finished, Finished::Web { .. }));
        check(&world, &mine, &query, |error| matches!(error, SignInError::Used)).await;
        let location = begun(&world, &mut mine).await;
        let query = world.idp.sign_in(&location, admin());
        world.clock.advance(Duration::from_secs(600));
        check(&world, &mine, &query, |error| matches!(error, SignInError::Expired)).await;
    })
    .await;
}

#[tokio::test]
async fn d2_a_nonce_that_is_absent_or_anothers_signs_nobody_in() {
    let world = World::new(Place::Sqlite).await;
    for nonce in [serde_json::json!(null), serde_json::json!("another"), serde_json::json!("")] {
        let mut claims = admin();
        claims["nonce"] = nonce;
        let refused = world.sign_in(claims).await;
        assert!(matches!(refused, Err(SignInError::Provider(_))), "{refused:?}");
    }
    let user = world.app.store.users().by_email("admin@example.com").await.unwrap();
    assert!(user.is_none(), "nobody was made");
}

/// Case 2 of `digital-rebar.md` 6.5: a provider that is out of order at any step signs nobody in, and the next try at one
/// that is well again does.
#[tokio::test]
async fn a_provider_that_is_out_of_order_signs_nobody_in() {
    let answers = [
        None,
        Some((404, "")),
        Some((500, "")),
        Some((503, r#"{"error":"later"}"#)),
        Some((200, "")),
        Some((200, "null")),
        Some((200, "{}")),
        Some((200, "[]")),
        Some((200, r#"{"issuer":"https://corp.test","keys":[{"#)),
        Some((200, "<!doctype html><title>Maintenance</title>")),
    ];
    for path in ["/.well-known/openid-configuration", "/keys", "/token"] {
        let world = World::new(Place::Sqlite).await;
        for answer in answers {
            *world.idp.out_of_order.lock().unwrap() = Some(OutOfOrder { path, answer });
            let refused = world.sign_in(admin()).await;
            assert!(matches!(refused, Err(SignInError::Provider(_))), "{path} {answer:?}: {refused:?}");
            let user = world.app.store.users().by_email("admin@example.com").await.unwrap();
            assert!(user.is_none(), "{path} {answer:?}: somebody was made");
            // What could not be fetched is not asked for again at once.
            world.clock.advance(Duration::from_secs(60));
        }
        *world.idp.out_of_order.lock().unwrap() = None;
        world.sign_in(admin()).await.unwrap();
    }
}

#[tokio::test]
async fn d2_an_answer_at_another_providers_address_is_refused_and_spends_the_sign_in() {
    let world = World::new(Place::Sqlite).await;
    let mut browser = Browser::new();
    let location = begun(&world, &mut browser).await;
    let query = world.idp.sign_in(&location, admin());
    let mixed = finish(&world.app, "public", &query, browser.visitor()).await;
    assert!(matches!(mixed, Err(SignInError::OtherProvider)), "{mixed:?}");
    check(&world, &browser, &query, |error| matches!(error, SignInError::Used)).await;
    let unknown = finish(&world.app, "nobody", &query, browser.visitor()).await;
    assert!(matches!(unknown, Err(SignInError::UnknownProvider)), "{unknown:?}");
    // The issuer of the answer, when it says one (RFC 9207).
    let location = begun(&world, &mut browser).await;
    let query = world.idp.sign_in(&location, admin());
    let other = format!("{query}&iss=https%3A%2F%2Fpublic.test");
    check(&world, &browser, &other, |error| matches!(error, SignInError::Provider(_))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d2_of_many_tabs_with_one_answer_one_is_signed_in() {
    on_both(async |world| {
        let world = Arc::new(world);
        let mut browser = Browser::new();
        let location = begun(&world, &mut browser).await;
        let query = world.idp.sign_in(&location, admin());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..30 {
            let (world, browser, query) = (Arc::clone(&world), browser.clone(), query.clone());
            tasks.spawn(async move { finish(&world.app, "corp", &query, browser.visitor()).await.is_ok() });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn d9_what_a_provider_says_is_bounded_and_never_shown() {
    on_both(async |world| {
        let mut browser = Browser::new();
        let megabyte = "a".repeat(1024 * 1024);
        for (error, description) in [
            ("access_denied", "%3Cscript%3Ealert(1)%3C%2Fscript%3E"),
            ("access_denied", "x%0d%0aSet-Cookie%3A%20a%3Db"),
            ("%3Cscript%3E", "x"),
            ("server_error", megabyte.as_str()),
            ("invalid_request", "%00%1b%5B31m"),
        ] {
            let location = begun(&world, &mut browser).await;
            let state = &parameters(&location)["state"];
            let query = format!("error={error}&error_description={description}&state={state}");
            let refused = finish(&world.app, "corp", &query, browser.visitor()).await.unwrap_err();
            let shown = refused.to_string();
            assert!(shown.len() < 300 && !shown.contains("script") && !shown.contains("aaaa"), "{shown}");
            let logged = &world.refusals().await[0];
            assert!(
                logged.len() < 600 && !logged.contains('<') && !logged.contains(char::is_control),
                "{logged}"
            );
        }
        let location = begun(&world, &mut browser).await;
        let state = &parameters(&location)["state"];
        let query = format!("error={megabyte}&state={state}");
        check(&world, &browser, &query, |error| matches!(error, SignInError::Callback)).await;
    })
    .await;
}

#[tokio::test]
async fn e10_many_tabs_share_one_cookie() {
    on_both(async |world| {
        let mut browser = Browser::new();
        let mut waiting = Vec::new();
        for _ in 0..60 {
            waiting.push(begun(&world, &mut browser).await);
        }
        let first = browser.cookie.clone();
        waiting.push(begun(&world, &mut browser).await);
        assert_eq!(browser.cookie, first);
        // Every tab works, in any order.
        for location in waiting.iter().rev() {
            let query = world.idp.sign_in(location, admin());
            finish(&world.app, "corp", &query, browser.visitor()).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn e3_the_cookie_of_a_sign_in() {
    let world = World::new(Place::Sqlite).await;
    // Whatever is planted that cannot be ours is replaced.
    for planted in [None, Some("x"), Some(""), Some(&*"A".repeat(42)), Some(&*format!("{}=", "A".repeat(42)))]
    {
        let browser = Browser { cookie: planted.map(str::to_owned), ..Browser::new() };
        let begun = begin_web(&world.app, "corp", None, &here(), browser.visitor()).await.unwrap();
        let (pair, attributes) = begun.cookie.expose().split_once(';').unwrap();
        assert_eq!(attributes, " Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax");
        let value = pair.strip_prefix("__Host-rgw-login=").unwrap();
        assert!(value.len() == 43 && Some(value) != planted);
    }
}

#[tokio::test]
async fn nothing_secret_is_in_the_log() {
    let world = World::new(Place::Sqlite).await;
    let mut browser = Browser::new();
    let location = begun(&world, &mut browser).await;
    let asked = parameters(&location);
    let query = world.idp.sign_in(&location, admin());
    let Finished::Web { secret, .. } = finish(&world.app, "corp", &query, browser.visitor()).await.unwrap()
    else {
        panic!()
    };
    let log = format!("{:?}", world.events("*").await);
    let cookie = browser.cookie.unwrap();
    for hidden in
        [secret.expose(), &asked["state"], &asked["nonce"], &asked["code_challenge"], "code-0", &cookie]
    {
        assert!(!log.contains(hidden), "{hidden}");
    }
    assert!(log.contains("https://corp.test") && log.contains("admin@example.com"));
}

#[test]
fn d10_a_callback_is_read_and_nothing_else() {
    let own = gateway_policy::OwnTable::builtin().unwrap();
    assert!(own.identify("GET", "/auth/callback/corp").is_ok());
    for method in ["POST", "HEAD", "PUT", "OPTIONS", "get"] {
        let refused = own.identify(method, "/auth/callback/corp");
        assert!(
            matches!(refused, Err(gateway_policy::OwnRouteError::MethodNotAllowed { .. })),
            "{method}: {refused:?}"
        );
    }
}
