//! The one public origin.

use std::time::Duration;

use super::super::{SignInError, begin_web, origin};
use super::world::{Browser, Place, World, account, email, here, on_both};
use crate::origin::{Origin, Scheme};

fn of(scheme: Scheme, authority: &str) -> Origin {
    Origin { scheme, authority: authority.to_owned() }
}

async fn check(world: &World, scheme: Scheme, authority: &str, expected: Result<&str, &str>) {
    let claimed = of(scheme, authority);
    match (origin(&world.app, &claimed).await, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found.to_string(), expected),
        (Err(problem), Err(words)) => {
            assert!(problem.detail.contains(words), "{claimed}: {}", problem.detail)
        }
        (found, expected) => panic!("{claimed}: {found:?}, not {expected:?}"),
    }
}

#[tokio::test]
async fn a_domain_of_the_configuration_holds() {
    let world = World::with_domain(Place::Sqlite, Some("gw.example.com")).await;
    check(&world, Scheme::Https, "gw.example.com", Ok("https://gw.example.com")).await;
    check(&world, Scheme::Https, "gw.example.com:8443", Ok("https://gw.example.com:8443")).await;
    check(&world, Scheme::Http, "gw.example.com", Err("X-Forwarded-Proto: https")).await;
    for other in
        ["gw.example.com.evil", "evil.example", "xgw.example.com", "localhost:8443", "gw.example.com:x"]
    {
        check(&world, Scheme::Https, other, Err("at https://gw.example.com;")).await;
    }
    check(&world, Scheme::Http, "localhost:8443", Err("at https://gw.example.com;")).await;
}

#[tokio::test]
async fn without_a_domain_plain_http_is_for_this_machine_only() {
    let world = World::new(Place::Sqlite).await;
    for own in ["localhost:8443", "127.0.0.1:8443", "[::1]:8443"] {
        check(&world, Scheme::Http, own, Ok(&format!("http://{own}"))).await;
    }
    for other in ["gw.example.com", "10.0.0.1:8443", "localhost.evil:80"] {
        check(&world, Scheme::Http, other, Err("X-Forwarded-Proto: https")).await;
        let claimed = of(Scheme::Http, other);
        let begun = begin_web(&world.app, "corp", None, &claimed, Browser::new().visitor()).await;
        assert!(matches!(begun, Err(SignInError::PlainHttp { .. })), "{begun:?}");
    }
}

#[tokio::test]
async fn the_first_listed_admins_sign_in_keeps_the_origin() {
    on_both(async |world| {
        // Somebody else first: nothing is kept of that.
        world.sign_in(account("u1", "somebody@example.com")).await.unwrap();
        check(&world, Scheme::Https, "other.example", Ok("https://other.example")).await;
        let admin = world.sign_in(account("a1", "admin@example.com")).await.unwrap();
        assert_eq!(email(&admin), "admin@example.com");
        check(&world, Scheme::Https, "gw.example.com", Ok("https://gw.example.com")).await;
        check(&world, Scheme::Https, "other.example", Err("at https://gw.example.com;")).await;
        check(&world, Scheme::Http, "localhost:1", Err("at https://gw.example.com;")).await;
        let kept = world.events("gateway:auth:login").await;
        assert_eq!(kept[0].parameters["origin_kept"], "https://gw.example.com");
        assert!(!kept[1].parameters.contains_key("origin_kept"));
        // The second time nothing is new.
        world.clock.advance(Duration::from_secs(60));
        world.sign_in(account("a1", "admin@example.com")).await.unwrap();
        assert!(!world.events("gateway:auth:login").await[0].parameters.contains_key("origin_kept"));
    })
    .await;
}

#[tokio::test]
async fn the_way_back_is_below_the_origin() {
    let world = World::new(Place::Sqlite).await;
    let begun = begin_web(&world.app, "corp", None, &here(), Browser::new().visitor()).await.unwrap();
    let asked = super::provider::parameters(&begun.location);
    assert_eq!(asked["redirect_uri"], "https://gw.example.com/auth/callback/corp");
    assert!(begun.location.starts_with("https://corp.test/authorize?"));
}
