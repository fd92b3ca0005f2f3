//! Step-up challenges over HTTP: what a confirmation is good for, and for how long. Labels are those of the
//! list of bad inputs.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use gateway_testkit::{Authenticator, Database, RawClient, Reply, Socket, TestGateway, Visitor};
use gateway_types::{Grant, Role};

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

/// A wrong or a right code by one of the ways in which codes come, from a session of its own.
async fn give(gateway: &TestGateway, way: usize, code: &str, from: Ipv4Addr) -> u16 {
    let restart = "/apps/myapp/services/web/restart";
    let session = gateway.session(Role::Ops).await;
    let client = || RawClient::connect_from(from, gateway.addr());
    match way % 4 {
        // Behind the credential, as the rack's own client sends it: Basic.
        0 => {
            let suffixed = format!("{session}.totp.{code}");
            client().await.ask("POST", restart, &suffixed, &[], b"").await.status
        }
        // In a header of its own, beside Bearer.
        1 => {
            let bearer = format!("Bearer {session}");
            let headers = [("Authorization", bearer.as_str()), ("X-Mfa-Totp", code)];
            client().await.ask("POST", restart, "", &headers, b"").await.status
        }
        // On the page of what was refused.
        2 => {
            let page = page_of(&client().await.ask("POST", restart, &session, &[], b"").await);
            let mut person = Visitor::signed_in(gateway, Role::Ops).await;
            person.post(&page, &[("code", code)]).await.status
        }
        // In the form of another page.
        _ => {
            let mut person = Visitor::signed_in(gateway, Role::Ops).await;
            person.post("/app/account/backup-codes", &[("_code", code)]).await.status
        }
    }
}

/// G2: a code that is guessed is counted for its person, on whatever way it comes, from whatever session and address.
#[tokio::test]
async fn g2_all_ways_share_one_count() {
    let gateway = TestGateway::builder().idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    for number in 0..20 {
        let wrong = give(&gateway, number, &phone.wrong(&gateway), Ipv4Addr::LOCALHOST).await;
        assert_eq!(wrong, 401, "wrong code {number}");
    }
    for way in 0..4 {
        for from in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)] {
            let right = give(&gateway, way, &phone.shows(&gateway), from).await;
            assert_eq!(right, 429, "a right code by way {way} from {from}");
        }
    }
    let locks: Vec<_> = gateway
        .events()
        .await
        .into_iter()
        .filter(|(_, event)| event.action.as_str() == "gateway:factor:lock")
        .collect();
    assert_eq!(locks.len(), 1, "{locks:?}");
    assert!(gateway.rack.requests().is_empty());
    // Nobody else is held up.
    let other = Authenticator::enrol(&gateway, Role::Deployer).await;
    let inline = format!("{}.totp.{}", gateway.session(Role::Deployer).await, other.shows(&gateway));
    let restart = "/apps/myapp/services/web/restart";
    assert_eq!(ask(&gateway, "POST", restart, &inline).await.status, 200);
    gateway.finish().await;
}

/// A request of the API, with a factor behind the session or without.
async fn api(gateway: &TestGateway, path: &str, credential: &str) -> Reply {
    let (headers, body): (&[(&str, &str)], &[u8]) = match path {
        "!/api/v1/me/backup-codes" => (&[], b""),
        _ => (&[("Content-Type", "application/json")], b"{}"),
    };
    RawClient::connect(gateway.addr()).await.ask("POST", path, credential, headers, body).await
}

fn needs_bound(reply: &Reply) {
    assert_eq!(reply.status, 401, "{}", reply.text());
    let problem = reply.json();
    let kinds: Vec<&str> =
        problem["remedies"].as_array().unwrap().iter().filter_map(|remedy| remedy["kind"].as_str()).collect();
    assert!(kinds.contains(&"step_up_bound"), "{kinds:?}");
    assert_eq!(reply.header("x-mfa-level"), Some("always"));
}

/// What outlives a window takes a factor for that very action: backup codes, and a token's new secret.
#[tokio::test]
async fn g3_a_window_makes_nothing_that_outlives_it() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).idp().start().await;
        let phone = Authenticator::enrol(&gateway, Role::Admin).await;
        let session = gateway.session(Role::Admin).await;
        let inline = |code: String| format!("{session}.totp.{code}");
        let restart = "/apps/myapp/services/web/restart";
        assert_eq!(ask(&gateway, "POST", restart, &inline(phone.next(&gateway))).await.status, 200);
        assert_eq!(ask(&gateway, "POST", restart, &session).await.status, 200, "the window is open");
        let token = gateway.critical_token().await;
        let now = gateway_types::Clock::now(&*gateway.clock);
        let known = gateway.store().callers().resolve(&token, now).await.unwrap();
        let gateway_types::Principal::ApiToken { id, .. } = known.principal else { panic!("a token") };
        let rotate = format!("!/api/v1/tokens/{id}/rotate");
        for path in ["!/api/v1/me/backup-codes", &rotate] {
            needs_bound(&api(&gateway, path, &session).await);
            let done = api(&gateway, path, &inline(phone.next(&gateway))).await;
            assert!(done.status < 300, "{path}: {}", done.text());
        }
        // Confirmed on its page, it is good for that one request.
        let mut person = Visitor::signed_in(&gateway, Role::Admin).await;
        let page = page_of(&api(&gateway, "!/api/v1/me/backup-codes", &session).await);
        assert_eq!(person.post(&page, &[("code", &phone.next(&gateway))]).await.status, 200);
        assert!(api(&gateway, "!/api/v1/me/backup-codes", &session).await.status < 300);
        needs_bound(&api(&gateway, "!/api/v1/me/backup-codes", &session).await);
        // A token that may rotate itself is no person, and has no factor.
        let machine = gateway.new_token(Role::Admin, vec![Grant::everything()]).await;
        let known = gateway.store().callers().resolve(&machine, now).await.unwrap();
        let gateway_types::Principal::ApiToken { id, .. } = known.principal else { panic!("a token") };
        let own = api(&gateway, &format!("!/api/v1/tokens/{id}/rotate"), &machine).await;
        assert!(own.status < 300, "{}", own.text());
        gateway.finish().await;
    }
}

/// One code confirms a list: each of it is good for its own request, once, and nothing else is confirmed with it.
#[tokio::test]
async fn g3_one_code_confirms_a_list_of_one_session() {
    let gateway = TestGateway::builder().env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on").idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let (session, other) = (gateway.session(Role::Admin).await, gateway.session(Role::Admin).await);
    let delete = async |app: &str, by: &str| ask(&gateway, "DELETE", &format!("/apps/{app}"), by).await;
    let id_of = async |app: &str, by: &str| {
        page_of(&delete(app, by).await).trim_start_matches("/step-up/").to_owned()
    };
    let (first, second) = (id_of("myapp", &session).await, id_of("other", &session).await);
    let foreign = id_of("other", &other).await;
    let confirm = async |id: &str, body: String| {
        let path = format!("!/step-up/{id}");
        let json = [("Content-Type", "application/json")];
        RawClient::connect(gateway.addr()).await.ask("POST", &path, &session, &json, body.as_bytes()).await
    };
    let list = |also: &[&str], code: &str| format!(r#"{{"code":"{code}","also":{also:?}}}"#);
    let code = phone.next(&gateway);
    // Refused before the code is looked at: it is still good afterwards.
    for (id, also) in [
        (first.as_str(), vec![foreign.as_str()]),
        (first.as_str(), vec![first.as_str()]),
        ("window", vec![first.as_str()]),
        (first.as_str(), vec![second.as_str(); 50]),
    ] {
        let refused = confirm(id, list(&also, &code)).await;
        assert_eq!(refused.status, 409, "{id} {also:?}: {}", refused.text());
    }
    let passkey = confirm(&first, format!(r#"{{"begin":"passkey","also":["{second}"]}}"#)).await;
    assert_eq!(passkey.status, 400, "{}", passkey.text());
    let wrong = confirm(&first, list(&[&second], &phone.wrong(&gateway))).await;
    assert_eq!(wrong.status, 401, "{}", wrong.text());
    let confirmed = confirm(&first, list(&[&second], &code)).await;
    assert_eq!(confirmed.status, 204, "{}", confirmed.text());
    assert_eq!(delete("other", &other).await.status, 401, "another session's is not among them");
    for app in ["other", "myapp"] {
        assert_eq!(delete(app, &session).await.status, 200, "{app}");
        assert_eq!(delete(app, &session).await.status, 401, "{app}, once");
    }
    let told: Vec<_> = gateway.events().await.into_iter().map(|(_, event)| event).collect();
    // One event for each try, however long the list: the wrong code and the right one.
    let given: Vec<_> = told.iter().filter(|event| event.parameters.contains_key("for_action")).collect();
    assert_eq!(given.len(), 2, "{given:?}");
    for event in given {
        assert_eq!(
            event.parameters.get("challenge"),
            Some(&first),
            "what a code was given for is in the log"
        );
        let after = event.after.as_ref().unwrap();
        assert_eq!(after["also"][0]["challenge"], second.as_str(), "{after}");
        assert_eq!(after["also"].as_array().unwrap().len(), 1, "{after}");
    }
    gateway.finish().await;
}

/// A factor that was enrolled in somebody's window opens windows, and confirms nothing bound until that window is over.
#[tokio::test]
async fn g3_a_factor_of_a_moment_ago_confirms_nothing_bound() {
    let gateway = TestGateway::builder().env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on").idp().start().await;
    let old = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let delete = async |app: &str, code: &str| {
        ask(&gateway, "DELETE", &format!("/apps/{app}"), &format!("{session}.totp.{code}")).await
    };
    gateway.clock.advance(Duration::from_secs(3600));
    let new = Authenticator::enrol(&gateway, Role::Admin).await;
    let refused = delete("other", &new.next(&gateway)).await;
    needs_bound(&refused);
    assert!(refused.text().contains("enrolled a short while ago"), "{}", refused.text());
    let restart = "/apps/myapp/services/web/restart";
    assert_eq!(ask(&gateway, "POST", restart, &session).await.status, 200, "its window is open");
    // Nor on the page.
    let mut person = Visitor::signed_in(&gateway, Role::Admin).await;
    let page = page_of(&ask(&gateway, "DELETE", "/apps/other", &session).await);
    let reply = person.post(&page, &[("code", &new.next(&gateway))]).await;
    assert_eq!(reply.status, 401, "{}", reply.text());
    assert!(reply.text().contains("enrolled a short while ago"), "{}", reply.text());
    needs_bound(&ask(&gateway, "DELETE", "/apps/other", &session).await);
    assert!(!gateway.rack.requests().iter().any(|seen| seen.method == "DELETE"));
    // The old one does, and the new one once its window is over.
    assert_eq!(delete("other", &old.next(&gateway)).await.status, 200);
    gateway.clock.advance(Duration::from_secs(10 * 60));
    assert_eq!(delete("myapp", &new.next(&gateway)).await.status, 200);
    gateway.finish().await;
}

/// A policy of the operator's own that asks for a bound factor where the table asks for a window can be confirmed on the
/// page that its refusal names.
#[tokio::test]
async fn g3_what_a_policy_binds_is_confirmed_on_its_page() {
    let policies = tempfile::tempdir().unwrap();
    let text = "@id(\"calm\")\n@remedy(\"step_up_bound\")\n@needs(\"a second factor for this restart\")\n\
                forbid (principal is User, action in Action::\"convox:service:restart\", resource)\n\
                unless { context.mfa_bound };";
    std::fs::write(policies.path().join("own.cedar"), text).unwrap();
    let directory = policies.path().display().to_string();
    let gateway = TestGateway::builder().env("POLICY_DIR", &directory).idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let session = gateway.session(Role::Ops).await;
    let restart = "/apps/myapp/services/web/restart";
    let refused = ask(&gateway, "POST", restart, &session).await;
    needs_bound(&refused);
    let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
    assert_eq!(person.post(&page_of(&refused), &[("code", &phone.next(&gateway))]).await.status, 200);
    assert_eq!(ask(&gateway, "POST", restart, &session).await.status, 200);
    needs_bound(&ask(&gateway, "POST", restart, &session).await);
    gateway.finish().await;
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
/// what is compared is a digest. Bounds are wide for a busy machine; with `RGW_TEST_SIZE=full`, on one that does nothing
/// else, 100,000 of each are tried, and the medians are within five in a hundred of each other.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the size of a test is chosen by whoever runs it")]
async fn f5_a_near_miss_takes_no_longer() {
    let gateway = TestGateway::start().await;
    let real = gateway.token(Role::Viewer).to_owned();
    let callers = gateway.store().callers();
    let mut near = real.clone();
    near.truncate(real.len() - 4);
    let mut times: [Vec<u128>; 2] = [Vec::new(), Vec::new()];
    let full = std::env::var("RGW_TEST_SIZE").is_ok_and(|size| size == "full");
    for number in 0..if full { 100_000 } else { 400 } {
        let miss = format!("{near}{:04}", number % 10_000);
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
    let (most, of) = if full { (105, 100) } else { (4, 1) };
    assert!(near * of <= far * most && far * of <= near * most, "{near} ns and {far} ns");
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
