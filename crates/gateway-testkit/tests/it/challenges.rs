//! Step-up challenges over HTTP: what a confirmation is good for, and for how long. Labels are those of the
//! list of bad inputs.

use std::time::{Duration, Instant};

use gateway_testkit::{Authenticator, Database, RawClient, Reply, Socket, TestGateway, Visitor};
use gateway_types::Role;

async fn ask(gateway: &TestGateway, method: &str, path: &str, credential: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask(method, path, credential, &[], b"").await
}

/// The page of the challenge that this refusal opened.
fn page_of(refused: &Reply) -> String {
    assert_eq!(refused.status, 401, "{}", refused.text());
    let url = refused.json()["remedies"][0]["url"].as_str().expect("an address").to_owned();
    url[url.find("/step-up/").expect("a step-up page")..].to_owned()
}

async fn g3(database: Database) {
    let gateway = TestGateway::builder()
        .database(database)
        .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on")
        .idp()
        .start()
        .await;
    let other_instance = match database {
        Database::Postgres => Some(TestGateway::builder().share(&gateway).start().await),
        Database::Sqlite => None,
    };
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let (session, other) = (gateway.session(Role::Admin).await, gateway.session(Role::Admin).await);
    let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
    let page = page_of(&ask(&gateway, "DELETE", "/apps/other", &session).await);
    assert_eq!(page, page_of(&ask(&gateway, "DELETE", "/apps/other", &session).await), "one for one request");

    // Nobody else's, and not with another's code.
    let mut viewer = Visitor::signed_in(&gateway, Role::Viewer).await;
    assert_eq!(viewer.get(&page).await.status, 404);
    assert_eq!(admin.post(&page, &[("code", &phone.wrong(&gateway))]).await.status, 401);
    let confirmed = admin.post(&page, &[("code", &phone.next(&gateway))]).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    assert_eq!(admin.post(&page, &[("code", &phone.next(&gateway))]).await.status, 409, "confirmed once");

    // Another session, another object, another action: refused.
    assert_eq!(ask(&gateway, "DELETE", "/apps/other", &other).await.status, 401);
    assert_eq!(ask(&gateway, "DELETE", "/apps/myapp", &session).await.status, 401);
    assert_eq!(ask(&gateway, "DELETE", "/instances/node-1", &session).await.status, 401);
    assert!(!gateway.rack.requests().iter().any(|seen| seen.method == "DELETE"));

    // Asked for at once and on both instances, it passes once.
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let instance = other_instance.as_ref().filter(|_| number % 2 == 0).unwrap_or(&gateway).addr();
        let session = session.clone();
        tasks.spawn(async move {
            RawClient::connect(instance).await.ask("DELETE", "/apps/other", &session, &[], b"").await.status
        });
    }
    let statuses = tasks.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");

    // Five minutes, and not a moment longer.
    let page = page_of(&ask(&gateway, "DELETE", "/apps/myapp", &session).await);
    assert_eq!(admin.post(&page, &[("code", &phone.next(&gateway))]).await.status, 200);
    gateway.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(ask(&gateway, "DELETE", "/apps/myapp", &session).await.status, 401);
    assert_eq!(admin.get(&page).await.status, 404, "it is over");
    if let Some(instance) = other_instance {
        instance.finish().await;
    }
    gateway.finish().await;
}

#[tokio::test]
async fn g3_a_confirmation_is_for_one_action_of_one_session_on_sqlite() {
    g3(Database::Sqlite).await;
}

#[tokio::test]
async fn g3_a_confirmation_is_for_one_action_of_one_session_on_postgresql() {
    g3(Database::Postgres).await;
}

/// A challenge of a window opens the window of the session that was refused, and no other.
#[tokio::test]
async fn a_confirmed_window_is_of_the_session_that_was_refused() {
    let gateway = TestGateway::builder().idp().start().await;
    let restart = "/apps/myapp/services/web/restart";
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let (session, other) = (gateway.session(Role::Ops).await, gateway.session(Role::Ops).await);
    let mut ops = Visitor::signed_in(&gateway, Role::Ops).await;
    let page = page_of(&ask(&gateway, "POST", restart, &session).await);
    assert_eq!(ops.post(&page, &[("code", &phone.next(&gateway))]).await.status, 200);
    assert_eq!(ask(&gateway, "POST", restart, &session).await.status, 200);
    assert_eq!(ask(&gateway, "POST", restart, &other).await.status, 401);
    gateway.clock.advance(Duration::from_secs(10 * 60));
    assert_eq!(ask(&gateway, "POST", restart, &session).await.status, 401, "ten minutes");
    gateway.finish().await;
}

/// F5: a made-up token and one that differs from a real one in its last characters take the same time:
/// what is compared is a digest. Bounds are wide for a busy machine.
#[tokio::test]
async fn f5_a_near_miss_takes_no_longer() {
    let gateway = TestGateway::start().await;
    let real = gateway.token(Role::Viewer).to_owned();
    let callers = gateway.store().callers();
    let mut near = real.clone();
    near.truncate(real.len() - 4);
    let mut times: [Vec<u128>; 2] = [Vec::new(), Vec::new()];
    for number in 0..400 {
        let miss = format!("{near}{number:04}");
        let far = format!("rgw_{number:043}");
        for (kind, credential) in [miss, far].into_iter().enumerate() {
            let started = Instant::now();
            assert!(callers.resolve(&credential, gateway_types::Clock::now(&*gateway.clock)).await.is_err());
            times[kind].push(started.elapsed().as_nanos());
        }
    }
    let median = |times: &mut Vec<u128>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let [mut near, mut far] = times;
    let (near, far) = (median(&mut near), median(&mut far));
    assert!(near < far * 4 && far < near * 4, "{near} ns and {far} ns");
    gateway.finish().await;
}

/// What an unmodified `convox exec` meets: the link is printed, it ends with 1 and nothing ran; once the link is
/// confirmed the same command runs.
#[tokio::test]
async fn an_exec_that_was_refused_runs_once_its_link_is_confirmed() {
    let gateway = TestGateway::builder().idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let session = gateway.session(Role::Ops).await;
    let exec = async || {
        let path = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
        let headers = [("Command", "exit 3"), ("Tty", "false")];
        Socket::open(gateway.addr(), path, &session, &headers).await.expect("a socket").until_end().await
    };
    let refused = exec().await;
    let said = String::from_utf8_lossy(&refused[0].payload).into_owned();
    let (_, link) = said.split_once("/step-up/").unwrap_or_else(|| panic!("no link in {said}"));
    let id: String = link.chars().take_while(|sign| sign.is_ascii_hexdigit() || *sign == '-').collect();
    assert_eq!(refused[1].payload, b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:1\n");
    assert!(gateway.rack.requests().is_empty(), "nothing ran");
    let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
    let confirmed = person.post(&format!("/step-up/{id}"), &[("code", &phone.next(&gateway))]).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    assert_eq!(exec().await[0].payload, b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:3\n");
    gateway.finish().await;
}
