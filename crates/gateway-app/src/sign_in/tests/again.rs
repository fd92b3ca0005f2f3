//! What providers say after the sign-in: that they ended a session (D13), or, when they are asked, that somebody
//! has other groups now, or is gone (D7).

use std::time::Duration;

use gateway_types::{RequestId, Role};
use serde_json::{Value, json};

use super::super::{SignInError, backchannel, refresh};
use super::world::{Browser, World, account, on_both, roles};

/// The time between two rounds, and a little more.
const DUE: Duration = Duration::from_secs(16 * 60);

async fn signed_in(world: &World, provider: &str, claims: Value) -> String {
    world.sign_in_at(provider, &mut Browser::new(), claims).await.unwrap().0
}

fn of(subject: &str, email: &str, sid: &str) -> Value {
    let mut claims = account(subject, email);
    claims["sid"] = sid.into();
    claims
}

async fn logout(world: &World, provider: &str, token: &str) -> Result<usize, SignInError> {
    let id = RequestId::new(world.app.clock.now(), &*world.app.entropy);
    backchannel::logout(&world.app, provider, token, "192.0.2.9".parse().unwrap(), id).await
}

#[tokio::test]
async fn d13_a_logout_token_ends_what_it_names_once() {
    on_both(async |world| {
        world.invite("ann@example.com", &[Role::Ops]).await;
        world.invite("bob@example.com", &[Role::Ops]).await;
        let one = signed_in(&world, "corp", of("ann", "ann@example.com", "s1")).await;
        let two = signed_in(&world, "corp", of("ann", "ann@example.com", "s2")).await;
        let bobs = signed_in(&world, "corp", of("bob", "bob@example.com", "s3")).await;
        let token = world.idp.logout_token("corp.test", "t1", &json!({"sid": "s1", "sub": "ann"}));
        // To the address of another provider it is another issuer's.
        assert!(matches!(logout(&world, "public", &token).await, Err(SignInError::Provider(_))));
        assert!(matches!(logout(&world, "nobody", &token).await, Err(SignInError::UnknownProvider)));
        assert!(world.is_live(&one).await);
        assert_eq!(logout(&world, "corp", &token).await.unwrap(), 1);
        assert!(!world.is_live(&one).await && world.is_live(&two).await && world.is_live(&bobs).await);
        let again = logout(&world, "corp", &token).await;
        assert!(matches!(again, Err(SignInError::LogoutReplayed)), "{again:?}");
        // All of one person's.
        let token = world.idp.logout_token("corp.test", "t2", &json!({"sub": "ann"}));
        assert_eq!(logout(&world, "corp", &token).await.unwrap(), 1);
        assert!(!world.is_live(&two).await && world.is_live(&bobs).await);
        // Somebody else's session with another's subject ends nothing.
        let token = world.idp.logout_token("corp.test", "t3", &json!({"sid": "s3", "sub": "ann"}));
        assert_eq!(logout(&world, "corp", &token).await.unwrap(), 0);
        assert!(world.is_live(&bobs).await);
        let events = world.events("gateway:auth:backchannel_logout").await;
        assert_eq!(events.len(), 4, "three that counted and one that was replayed");
        assert_eq!(events.iter().filter(|event| event.reason.is_some()).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn d7_roles_follow_groups_while_sessions_last_and_who_is_gone_is_out() {
    on_both(async |world| {
        let with = |groups: &[&str]| {
            let mut claims = account("n1", "new@example.com");
            claims["groups"] = json!(groups);
            claims
        };
        let secret = signed_in(&world, "corp", with(&["deployers"])).await;
        assert_eq!(roles(&world.caller(&secret).await), "viewer,deployer");
        let now = async || {
            world.app.store.users().by_email("new@example.com").await.unwrap().unwrap().roles.to_string()
        };
        *world.idp.again.lock().unwrap() = Some(with(&["operators"]));
        assert_eq!(refresh::round(&world.app, || false).await.unwrap().asked, 0, "not yet");
        world.clock.advance(DUE);
        assert_eq!(refresh::round(&world.app, || true).await.unwrap().asked, 0, "who stops asks nobody");
        assert_eq!(refresh::round(&world.app, || false).await.unwrap().asked, 1);
        assert_eq!(now().await, "viewer,ops", "without signing in again");
        // As with every change of roles, the web session is to be opened anew.
        assert!(!world.is_live(&secret).await);
        assert_eq!(refresh::round(&world.app, || false).await.unwrap().asked, 0);
        // Groups that are left out, or are nonsense, give nothing.
        signed_in(&world, "corp", with(&["operators"])).await;
        *world.idp.again.lock().unwrap() = Some({
            let mut claims = with(&[]);
            claims["groups"] = json!({"a": 1});
            claims
        });
        world.clock.advance(DUE);
        assert_eq!(refresh::round(&world.app, || false).await.unwrap().asked, 1);
        assert_eq!(now().await, "viewer");
        // Nothing changes: the session goes on.
        let secret = signed_in(&world, "corp", with(&[])).await;
        *world.idp.again.lock().unwrap() = Some(with(&[]));
        world.clock.advance(DUE);
        assert_eq!(refresh::round(&world.app, || false).await.unwrap().asked, 1);
        assert!(world.is_live(&secret).await);
        // The provider knows them no longer.
        let secret = signed_in(&world, "corp", with(&[])).await;
        *world.idp.again.lock().unwrap() = None;
        world.clock.advance(DUE);
        assert!(refresh::round(&world.app, || false).await.unwrap().ended >= 1);
        assert!(!world.is_live(&secret).await);
        let events = world.events("gateway:session:revoke_any").await;
        assert!(events[0].reason.as_ref().unwrap().contains("does not take the code"), "{:?}", events[0]);
    })
    .await;
}

#[tokio::test]
async fn d7_who_may_no_longer_come_from_a_provider_is_out_too() {
    on_both(async |world| {
        let secret = signed_in(&world, "corp", account("n1", "new@example.com")).await;
        *world.idp.again.lock().unwrap() = Some(account("n1", "new@elsewhere.test"));
        world.clock.advance(DUE);
        world.caller(&secret).await;
        assert_eq!(refresh::round(&world.app, || false).await.unwrap().ended, 1);
        assert!(!world.is_live(&secret).await);
    })
    .await;
}
