//! What scopes give, and who may look at a use.

use std::time::Duration;

use gateway_types::{ActionName, Class, Resource, Role};

use super::{Scope, init, redeem};
use crate::break_glass::{Asked, BreakGlassError, FUSE, read_codes, review, tell_ended};
use crate::tests::World;
use crate::{Notice, Operator};

#[test]
fn a_scope_is_one_thing() {
    let check = |role: Option<&str>, app: Option<&str>, expected: Option<&str>| {
        let scope = Scope::read(role, app).ok().map(|scope| scope.in_words());
        assert_eq!(scope.as_deref(), expected, "{role:?} {app:?}");
    };
    check(Some("admin"), None, Some("the role admin"));
    check(None, Some("web"), Some("the app web"));
    check(Some("admin"), Some("web"), None);
    check(None, None, None);
    for bad in ["cicd", "auditor", "root", "", "Admin"] {
        check(Some(bad), None, None);
    }
    for bad in ["", "Web", "a/b", "*"] {
        check(None, Some(bad), None);
    }
}

#[test]
fn an_app_is_that_app_and_nothing_critical() {
    let (_, grants) = Scope::App("web".to_owned()).rights();
    let covers = |action: &str, class, resource: &Resource| {
        grants.iter().any(|grant| grant.covers(&ActionName::new(action), class, resource))
    };
    assert!(covers("convox:release:promote", Class::Change, &Resource::app("web")));
    assert!(!covers("convox:release:promote", Class::Change, &Resource::app("api")));
    assert!(!covers("convox:app:delete", Class::Critical, &Resource::app("web")));
    assert!(!covers("gateway:user:list", Class::Read, &Resource::gateway()));
}

#[tokio::test]
async fn whoever_used_the_codes_lets_somebody_else_look() {
    for world in World::both().await {
        let one = world.person("one", &[Role::Admin]).await;
        let two = world.person("two", &[Role::Admin]).await;
        let (clock, entropy) = (&*world.app.clock, &*world.app.entropy);
        let operator = Operator::local("tester", clock, entropy);
        let (_, codes) = init(&world.app.store, &operator, 2, 3, None).await.unwrap();
        let asked = Asked {
            codes: read_codes(codes.iter().take(2).map(|code| code.expose().as_str())).unwrap(),
            person: "One@example.com".to_owned(),
            reason: "the provider is down".to_owned(),
            scope: Scope::Role(Role::Ops),
        };
        let (used, _secret) = redeem(&world.app.store, &*world.app.notices, &operator, asked).await.unwrap();
        let look = async |caller: &gateway_types::Caller| {
            review(&world.app, &operator, caller, used.id, "it was all as it should be").await
        };
        assert!(matches!(look(&two.caller).await, Err(BreakGlassError::StillLive)));
        world.clock.advance(FUSE + Duration::from_secs(1));
        tell_ended(&world.app).await;
        tell_ended(&world.app).await;
        let told = world.told();
        assert!(
            matches!(told.as_slice(), [Notice::GlassBroken { ends, .. }, Notice::GlassEnded { ended, by: None, .. }] if ends == ended),
            "once at once and once at the end: {told:?}"
        );
        assert!(matches!(look(&one.caller).await, Err(BreakGlassError::OwnUse)));
        assert!(look(&two.caller).await.unwrap().reviewed.is_some());
        assert!(matches!(look(&two.caller).await, Err(BreakGlassError::Reviewed)));
    }
}
