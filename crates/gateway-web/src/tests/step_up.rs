//! Confirming with a second factor.

use std::net::IpAddr;

use gateway_app::step_up::{Asks, Refused, open_challenge};
use gateway_types::{Caller, Principal, Resource, StepUp};

use crate::sample::{HOSTILE, Sample, session};

async fn challenge(sample: &Sample, of: &Caller, action: &str, target: &str, from: &str) -> String {
    let Principal::User { id, session, .. } = &of.principal else { panic!("not a person") };
    let policy = sample.app.policy();
    let operation = policy.operation(action).unwrap();
    let asks = if operation.step_up == StepUp::Bound { Asks::Action } else { Asks::Window };
    let refused = Refused {
        operation,
        resource: &Resource::app("web"),
        target,
        asks,
        source_ip: from.parse::<IpAddr>().unwrap(),
    };
    let id = open_challenge(&sample.app.store, *id, *session, refused).await.unwrap();
    format!("/step-up/{id}")
}

/// E7, G3: the page says what is confirmed, whose command it is, and from where.
#[tokio::test]
async fn what_is_confirmed_is_said() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "admin").await;
    let cli = sample.person_with("ada@example.com", "admin", HOSTILE).await;
    let at = challenge(&sample, &cli, "convox:app:delete", "DELETE /apps/web", "198.51.100.9").await;
    let page = sample.get(&caller, &at).await;
    for fact in [
        "Delete an app",
        "convox:app:delete",
        "App::web",
        "DELETE /apps/web",
        "198.51.100.9",
        "not the address you are at now",
        "this very action, once",
        "[U+202E]",
    ] {
        assert!(page.contains(fact), "{fact}: {page}");
    }
    assert!(
        page.contains("name=\"code\"") && !page.contains("name=\"_code\""),
        "the factor is the form's own"
    );
}

/// G3: of one's own only.
#[tokio::test]
async fn a_challenge_of_somebody_else_is_not_there() {
    let sample = Sample::new().await;
    let ada = sample.person("ada@example.com", "admin").await;
    let bob = sample.person("bob@example.com", "admin").await;
    let at = challenge(&sample, &ada, "convox:app:delete", "DELETE /apps/web", "203.0.113.7").await;
    assert_eq!(sample.ask(sample.request("GET", &at, &bob, &[])).await.status, 404);
    assert_eq!(sample.post(&bob, &at, &[("code", "123456")]).await.status, 404);
    assert_eq!(sample.ask(sample.request("GET", "/step-up/none", &bob, &[])).await.status, 404);
}

/// G1: a code confirms once; a wrong one is told on the same page.
#[tokio::test]
async fn a_code_confirms() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "admin").await;
    let secret = sample.enrolled(&caller).await;
    let at = challenge(&sample, &caller, "convox:app:delete", "DELETE /apps/web", "203.0.113.7").await;
    let reply = sample.post(&caller, &at, &[("code", "")]).await;
    assert_eq!(reply.status, 400);
    sample.checked(&caller, &at, &reply);
    let wrong = if sample.code(&secret).expose() == "123456" { "654321" } else { "123456" };
    let reply = sample.post(&caller, &at, &[("code", wrong)]).await;
    assert_eq!(reply.status, 401);
    assert!(sample.checked(&caller, &at, &reply).contains("role=\"alert\""));
    let code = sample.code(&secret);
    let reply = sample.post(&caller, &at, &[("code", code.expose())]).await;
    assert_eq!(reply.status, 200);
    let page = sample.checked(&caller, &at, &reply);
    assert!(page.contains("Confirmed for this action, once.") && !page.contains("name=\"code\""), "{page}");
    assert_eq!(sample.post(&caller, &at, &[("code", code.expose())]).await.status, 409);
}

/// E1: whoever can do more than before has another cookie: also when it was a challenge of the very session that asks.
#[tokio::test]
async fn a_challenge_of_ones_own_session_changes_the_cookie() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "admin").await;
    let secret = sample.enrolled(&caller).await;
    let elsewhere = sample.person("ada@example.com", "admin").await;
    for (of, changes) in [(&caller, true), (&elsewhere, false)] {
        let at = challenge(&sample, of, "convox:app:update", "PUT /apps/web", "203.0.113.7").await;
        let code = sample.code(&secret);
        let reply = sample.post(&caller, &at, &[("code", code.expose())]).await;
        assert_eq!(reply.status, 200);
        let sets = reply.headers.iter().any(|(name, value)| {
            name == http::header::SET_COOKIE && value.to_str().unwrap().starts_with("__Host-rgw=")
        });
        assert_eq!(sets, changes);
        sample.clock.advance(std::time::Duration::from_secs(30));
    }
}

/// The window of the session that asks.
#[tokio::test]
async fn the_window_is_opened() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "admin").await;
    let secret = sample.enrolled(&caller).await;
    let page = sample.get(&caller, "/step-up/window").await;
    assert!(page.contains("Confirm that it is you") && page.contains("in this session"));
    let code = sample.code(&secret);
    let reply = sample.post(&caller, "/step-up/window", &[("code", code.expose())]).await;
    assert!(sample.checked(&caller, "window", &reply).contains("Your second factor counts for"));
    assert!(sample.get(&caller, "/app/account").await.contains("yes, for another"));
    assert!(session(&caller).is_some());
}
