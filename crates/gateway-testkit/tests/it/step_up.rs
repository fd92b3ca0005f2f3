//! People with a second factor: what a session may do without one, with a code, and with a window.

use std::path::Path;
use std::time::Duration;

use gateway_app::{Operator, factors};
use gateway_audit::{End, Event, Phase};
use gateway_sim::replay::{self, Target};
use gateway_sim::transcript::Transcript;
use gateway_testkit::raw::basic;
use gateway_testkit::{Authenticator, Database, RawClient, Reply, Socket, TestGateway};
use gateway_types::{OsEntropy, Role};

const RESTART: &str = "/apps/myapp/services/web/restart";
const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";

fn operator(gateway: &TestGateway) -> Operator<'_> {
    Operator::local("tester", &*gateway.clock, &OsEntropy)
}

fn inline(session: &str, code: &str) -> String {
    format!("{session}.totp.{code}")
}

async fn ask(gateway: &TestGateway, method: &str, path: &str, credential: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask(method, path, credential, &[], b"").await
}

async fn restart(gateway: &TestGateway, credential: &str) -> u16 {
    ask(gateway, "POST", RESTART, credential).await.status
}

/// What the log says of the request that this reply answers; the intent, where there is one.
async fn event(gateway: &TestGateway, reply: &Reply) -> Event {
    let request = reply.header("request-id").unwrap().parse().unwrap();
    gateway.store().audit().flush().await.unwrap();
    gateway.store().events().by_request(request).await.unwrap().remove(0).1
}

async fn next_code(gateway: &TestGateway) {
    gateway.clock.advance(Duration::from_secs(30));
}

#[tokio::test]
async fn without_a_factor_a_change_is_refused_and_says_what_to_do() {
    let gateway = TestGateway::start().await;
    let session = gateway.session(Role::Ops).await;
    let reply = ask(&gateway, "POST", RESTART, &session).await;
    assert_eq!(reply.status, 401, "{}", reply.text());
    assert_eq!(reply.json()["layer"], "mfa");
    assert_eq!(reply.json()["remedies"][0]["kind"], "enrol");

    Authenticator::enrol(&gateway, Role::Ops).await;
    let reply = ask(&gateway, "POST", RESTART, &session).await;
    assert_eq!((reply.status, reply.header("x-mfa-required")), (401, Some("true")));
    assert_eq!(
        reply.header("www-authenticate"),
        Some(
            "Bearer error=\"insufficient_user_authentication\", error_description=\"a second factor is needed\", max_age=600"
        )
    );
    let problem = reply.json();
    assert_eq!(problem["type"], "/problems/step-up-required");
    assert_eq!(problem["remedies"][0]["kind"], "step_up");
    let line = problem["error"].as_str().unwrap();
    assert!(line.contains(".totp.CODE") && line.contains("RACK_URL="), "{line}");
    assert!(!line.contains('\n') && !line.contains('%'), "{line}");
    assert!(gateway.rack.requests().is_empty());
    // What only reads needs no factor.
    assert_eq!(ask(&gateway, "GET", "/apps", &session).await.status, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn a_code_opens_the_window_of_its_session_and_the_window_ends() {
    for database in Database::BOTH {
        let gateway =
            TestGateway::builder().database(database).env("RGW_SETTING_STEP_UP_WINDOW", "2m").start().await;
        let phone = Authenticator::enrol(&gateway, Role::Ops).await;
        let (session, other) = (gateway.session(Role::Ops).await, gateway.session(Role::Ops).await);
        let reply = ask(&gateway, "POST", RESTART, &inline(&session, &phone.shows(&gateway))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let intent = event(&gateway, &reply).await;
        let factor = &gateway.store().factors().list(gateway.person(Role::Ops).id).await.unwrap()[0];
        assert_eq!((intent.phase, intent.step_up), (Phase::Intent, Some(format!("totp:{}", factor.id))));
        assert!(intent.verdict.unwrap().facts.mfa_bound);

        let reply = ask(&gateway, "POST", RESTART, &session).await;
        assert_eq!(reply.status, 200, "the window is open: {}", reply.text());
        let intent = event(&gateway, &reply).await;
        let facts = intent.verdict.unwrap().facts;
        assert_eq!((intent.step_up, facts.mfa_window, facts.mfa_bound), (None, true, false));
        assert_eq!(restart(&gateway, &other).await, 401, "a window is of one session");

        gateway.clock.advance(Duration::from_secs(119));
        assert_eq!(restart(&gateway, &session).await, 200);
        gateway.clock.advance(Duration::from_secs(1));
        let reply = ask(&gateway, "POST", RESTART, &session).await;
        assert_eq!(reply.status, 401);
        assert!(reply.header("www-authenticate").unwrap().ends_with("max_age=120"));
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_recorded_command_passes_with_one_code_on_all_its_requests() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let phone = Authenticator::enrol(&gateway, Role::Deployer).await;
        let (session, other) = (gateway.session(Role::Deployer).await, gateway.session(Role::Deployer).await);
        let code = phone.shows(&gateway);
        let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/09-env-set.jsonl");
        let recording = Transcript::read(&recording).unwrap();
        let target = |session: &str| Target {
            addr: gateway.addr(),
            prefix: "/api/v1/rack-proxy".to_owned(),
            authorization: basic(&inline(session, &code)),
            host: gateway.addr().to_string(),
        };
        let outcome = replay::play(&recording, &target(&session)).await;
        let statuses: Vec<u16> = outcome.exchanges.iter().map(|exchange| exchange.actual.status).collect();
        assert_eq!(statuses, [200, 200, 200, 200]);
        let spent = gateway.events().await.into_iter().filter(|(_, event)| event.step_up.is_some()).count();
        assert_eq!(spent, 1);

        gateway.rack.clear_requests();
        let outcome = replay::play(&recording, &target(&other)).await;
        let statuses: Vec<u16> = outcome.exchanges.iter().map(|exchange| exchange.actual.status).collect();
        assert_eq!(statuses, [200, 200, 200, 401], "reads need no code, and this one is spent");
        assert!(gateway.rack.requests().iter().all(|request| request.method != "POST"));
        let events = gateway.events().await;
        let (_, refusal) = events.last().unwrap();
        assert_eq!(refusal.end, Some(End::Refused));
        assert_eq!(refusal.reason.as_deref(), Some("second factor refused: the code was spent before"));
        // The first session goes on with the same code, also when it is long out of date.
        gateway.clock.advance(Duration::from_secs(300));
        assert_eq!(restart(&gateway, &inline(&session, &code)).await, 200);
        gateway.finish().await;
    }
}

#[tokio::test]
async fn requests_that_come_at_once_with_one_code_all_pass_and_spend_it_once() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let phone = Authenticator::enrol(&gateway, Role::Ops).await;
        let credential = inline(&gateway.session(Role::Ops).await, &phone.shows(&gateway));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let (addr, credential) = (gateway.addr(), credential.clone());
            tasks.spawn(async move {
                RawClient::connect(addr).await.ask("POST", RESTART, &credential, &[], b"").await.status
            });
        }
        assert_eq!(tasks.join_all().await, [200; 12]);
        let spent = gateway.events().await.into_iter().filter(|(_, event)| event.step_up.is_some()).count();
        assert_eq!(spent, 1);
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_bound_action_takes_a_fresh_code_each_time() {
    let gateway = TestGateway::builder().env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "true").start().await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let code = phone.shows(&gateway);
    assert_eq!(restart(&gateway, &inline(&session, &code)).await, 200);
    gateway.rack.clear_requests();

    for credential in [session.clone(), inline(&session, &code)] {
        let reply = ask(&gateway, "DELETE", "/apps/other", &credential).await;
        assert_eq!(reply.status, 401, "an open window is not enough: {}", reply.text());
        assert_eq!(reply.json()["remedies"][0]["kind"], "step_up_bound");
        assert!(reply.header("www-authenticate").unwrap().ends_with("max_age=0"));
        assert_eq!(reply.header("x-mfa-level"), Some("always"));
    }
    let reply = ask(&gateway, "DELETE", "/apps/other", &inline(&session, &code)).await;
    assert!(reply.json()["error"].as_str().unwrap().contains("used already"), "{}", reply.text());
    assert!(gateway.rack.requests().is_empty());

    next_code(&gateway).await;
    let code = phone.shows(&gateway);
    let reply = ask(&gateway, "DELETE", "/apps/other", &inline(&session, &code)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = ask(&gateway, "DELETE", "/apps/myapp", &inline(&session, &code)).await;
    assert_eq!(reply.status, 401, "the same code, another object");
    next_code(&gateway).await;
    let credential = inline(&session, &phone.shows(&gateway));
    assert_eq!(ask(&gateway, "DELETE", "/apps/myapp", &credential).await.status, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn a_code_that_would_not_help_is_not_spent() {
    let gateway = TestGateway::start().await;
    let (admin, viewer) = (
        Authenticator::enrol(&gateway, Role::Admin).await,
        Authenticator::enrol(&gateway, Role::Viewer).await,
    );
    let session = gateway.session(Role::Admin).await;
    let code = admin.shows(&gateway);
    // Destructive actions are off, and no code changes that.
    let reply = ask(&gateway, "DELETE", "/apps/other", &inline(&session, &code)).await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    // A read needs none, right or wrong.
    for code in [&code, &admin.wrong(&gateway)] {
        assert_eq!(ask(&gateway, "GET", "/apps", &inline(&session, code)).await.status, 200);
    }
    // Nor does a higher role come with it.
    let viewing = inline(&gateway.session(Role::Viewer).await, &viewer.shows(&gateway));
    let reply = ask(&gateway, "POST", RESTART, &viewing).await;
    let reply_json = reply.json();
    let kinds: Vec<serde_json::Value> =
        reply_json["remedies"].as_array().unwrap().iter().map(|remedy| remedy["kind"].clone()).collect();
    assert_eq!((reply.status, kinds), (403, vec!["step_up".into(), "elevation".into()]), "{}", reply.text());
    for role in [Role::Admin, Role::Viewer] {
        let factors = gateway.store().factors().list(gateway.person(role).id).await.unwrap();
        assert_eq!(factors[0].last_used, None, "{role}");
    }
    // So another session can still spend it.
    let other = gateway.session(Role::Admin).await;
    assert_eq!(restart(&gateway, &inline(&other, &code)).await, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn after_five_wrong_codes_no_more_are_looked_at_for_five_minutes() {
    let gateway = TestGateway::start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let (session, other) = (gateway.session(Role::Ops).await, gateway.session(Role::Ops).await);
    let wrong = inline(&session, &phone.wrong(&gateway));
    for _ in 0..5 {
        let reply = ask(&gateway, "POST", RESTART, &wrong).await;
        assert_eq!(reply.status, 401, "{}", reply.text());
        assert!(reply.json()["error"].as_str().unwrap().starts_with("The code is wrong"), "{}", reply.text());
        let event = event(&gateway, &reply).await;
        assert_eq!(event.reason.as_deref(), Some("second factor refused: wrong code"));
        assert_eq!((event.end, event.actor.name.as_str()), (Some(End::Refused), "ops@example.com"));
    }
    let right = inline(&session, &phone.shows(&gateway));
    let reply = ask(&gateway, "POST", RESTART, &right).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert!(reply.header("retry-after").unwrap().parse::<u64>().unwrap() <= 301);
    assert!(event(&gateway, &reply).await.reason.unwrap().contains("too many codes"));
    assert!(gateway.rack.requests().is_empty());
    assert_eq!(restart(&gateway, &session).await, 401, "without a code it is the usual answer");
    // Another session of the same person is not held up, and the code was not spent above.
    assert_eq!(restart(&gateway, &inline(&other, &phone.shows(&gateway))).await, 200);
    gateway.clock.advance(Duration::from_secs(300));
    assert_eq!(restart(&gateway, &inline(&session, &phone.shows(&gateway))).await, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn a_code_is_good_one_step_around_its_own() {
    let gateway = TestGateway::start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let early = phone.shows(&gateway);
    gateway.clock.advance(Duration::from_secs(60));
    assert_eq!(restart(&gateway, &inline(&gateway.session(Role::Ops).await, &early)).await, 401);
    let late = phone.shows(&gateway);
    gateway.clock.advance(Duration::from_secs(30));
    assert_eq!(restart(&gateway, &inline(&gateway.session(Role::Ops).await, &late)).await, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn switched_off_nobody_is_asked() {
    let gateway = TestGateway::builder().env("RGW_SETTING_MFA_STEP_UP", "false").start().await;
    let session = gateway.session(Role::Ops).await;
    assert_eq!(restart(&gateway, &session).await, 200);
    assert_eq!(restart(&gateway, &inline(&session, "123456")).await, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_presented_wrongly_is_refused_clearly() {
    let gateway = TestGateway::start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let (session, token) = (gateway.session(Role::Ops).await, gateway.token(Role::Ops).to_owned());
    let code = phone.shows(&gateway);
    let refused = async |credential: &str, headers: &[(&str, &str)], text: &str| {
        for (method, path) in [("GET", "/apps"), ("POST", RESTART)] {
            let mut client = RawClient::connect(gateway.addr()).await;
            let reply = client.ask(method, path, credential, headers, b"").await;
            assert_eq!(reply.status, 400, "{credential} {headers:?}: {}", reply.text());
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(text), "{detail}");
            assert!(!reply.text().contains(&session) && !reply.text().contains(&token));
        }
    };
    refused(&inline(&token, &code), &[], "an API token has no second factor").await;
    refused(&token, &[("X-Mfa-Totp", &code)], "an API token has no second factor").await;
    refused(&inline(&session, &code), &[("X-Mfa-Totp", &code)], "more than one").await;
    refused(&session, &[("X-Mfa-Totp", &code), ("X-Mfa-Totp", &code)], "more than one").await;
    refused(&inline(&inline(&session, &code), &code), &[], "more than one").await;
    for bad in ["12345", "1234567", "12345x", "１２３４５６", ""] {
        refused(&inline(&session, bad), &[], "six digits").await;
    }
    refused(&session, &[("X-Mfa-Totp", "12345")], "six digits").await;
    refused(&format!("{session}.webauthn.eyJ0"), &[], "no answer of a passkey").await;
    refused(&session, &[("X-Mfa-Webauthn", "eyJ0")], "no answer of a passkey").await;
    refused(&format!("{session}.{code}"), &[], "no second factor").await;
    assert!(gateway.rack.requests().is_empty());

    let mut client = RawClient::connect(gateway.addr()).await;
    let reply = client.ask("POST", RESTART, &session, &[("X-Mfa-Totp", &code)], b"").await;
    assert_eq!(reply.status, 200, "in its header it is as good: {}", reply.text());
    let seen = gateway.rack.requests();
    assert!(!format!("{seen:?}").to_lowercase().contains("x-mfa"), "the rack never sees it");
    gateway.finish().await;
}

#[tokio::test]
async fn exec_says_in_the_socket_what_is_missing_and_opens_with_a_code() {
    let gateway = TestGateway::start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let session = gateway.session(Role::Ops).await;
    let headers = [("Command", "exit 3"), ("Tty", "false")];
    let mut socket = Socket::open(gateway.addr(), EXEC, &session, &headers).await.unwrap();
    let frames = socket.until_end().await;
    let said = String::from_utf8_lossy(&frames[0].payload).into_owned();
    assert!(said.starts_with("ERROR: ") && said.contains(".totp.CODE"), "{said}");
    assert!(gateway.rack.requests().is_empty());
    let credential = inline(&session, &phone.shows(&gateway));
    let mut socket = Socket::open(gateway.addr(), EXEC, &credential, &headers).await.unwrap();
    let frames = socket.until_end().await;
    assert_eq!(frames[0].payload, b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:3\n");
    drop(socket);
    gateway.finish().await;
}

#[tokio::test]
async fn a_policy_of_the_operator_can_ask_for_a_factor_where_the_table_does_not() {
    let policies = tempfile::tempdir().unwrap();
    let text = "@id(\"careful-reads\") @remedy(\"step_up\") @needs(\"a second factor for the list\")\n\
         forbid (principal is User, action in Action::\"convox:app:list\", resource)\n\
         unless { context.mfa_window };";
    std::fs::write(policies.path().join("own.cedar"), text).unwrap();
    let gateway =
        TestGateway::builder().env("POLICY_DIR", &policies.path().display().to_string()).start().await;
    let phone = Authenticator::enrol(&gateway, Role::Viewer).await;
    let session = gateway.session(Role::Viewer).await;
    let reply = ask(&gateway, "GET", "/apps", &session).await;
    assert_eq!((reply.status, reply.json()["remedies"][0]["kind"].clone()), (401, "step_up".into()));
    let credential = inline(&session, &phone.shows(&gateway));
    assert_eq!(ask(&gateway, "GET", "/apps", &credential).await.status, 200);
    assert_eq!(ask(&gateway, "GET", "/apps", &session).await.status, 200, "the window is open");
    gateway.finish().await;
}

#[tokio::test]
async fn a_backup_code_counts_once() {
    let gateway = TestGateway::start().await;
    Authenticator::enrol(&gateway, Role::Ops).await;
    let user = gateway.person(Role::Ops).id;
    let codes = factors::new_backup_codes(gateway.store(), &operator(&gateway), user).await.unwrap();
    assert_eq!(codes.len(), 10);
    let code = codes[0].expose();
    let (session, other) = (gateway.session(Role::Ops).await, gateway.session(Role::Ops).await);
    let reply = ask(&gateway, "POST", RESTART, &format!("{session}.backup.{code}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(event(&gateway, &reply).await.step_up.as_deref(), Some("backup_code"));
    assert_eq!(restart(&gateway, &format!("{other}.backup.{code}")).await, 401);
    assert_eq!(restart(&gateway, &format!("{other}.backup.00000-00000")).await, 401);
    assert_eq!(gateway.store().factors().backup_codes_left(user).await.unwrap(), 9);
    gateway.finish().await;
}

#[tokio::test]
async fn enrolling_takes_a_code_and_removing_ends_the_window() {
    let gateway = TestGateway::start().await;
    let (user, store, operator) = (gateway.person(Role::Ops).id, gateway.store(), operator(&gateway));
    let session = gateway.session(Role::Ops).await;
    let enrolment = factors::enrol_totp(store, &operator, user, "phone").await.unwrap();
    let phone = Authenticator::of(enrolment.secret.expose());
    assert!(enrolment.url.expose().starts_with("otpauth://totp/Rack%20Gateway:ops%40example.com?secret="));
    let id = enrolment.factor.id;
    let code = phone.shows(&gateway);
    assert_eq!(restart(&gateway, &inline(&session, &code)).await, 401, "it is not confirmed");
    let wrong = phone.wrong(&gateway).parse().unwrap();
    let refused = factors::confirm_totp(store, &operator, user, id, &wrong).await;
    assert!(matches!(refused, Err(factors::FactorError::WrongCode)), "{refused:?}");
    factors::confirm_totp(store, &operator, user, id, &code.parse().unwrap()).await.unwrap();
    assert_eq!(restart(&gateway, &inline(&session, &code)).await, 401, "spent to confirm");
    next_code(&gateway).await;
    assert_eq!(restart(&gateway, &inline(&session, &phone.shows(&gateway))).await, 200);
    assert_eq!(restart(&gateway, &session).await, 200);
    factors::remove(store, &operator, user, id).await.unwrap();
    let reply = ask(&gateway, "POST", RESTART, &session).await;
    assert_eq!((reply.status, reply.json()["remedies"][0]["kind"].clone()), (401, "enrol".into()));
    assert!(factors::list(store, user).await.unwrap().is_empty());
    let log = format!("{:?}", gateway.events().await);
    assert!(!log.contains(enrolment.secret.expose()), "the log never holds the secret");
    let actions: Vec<String> =
        gateway.events().await.iter().map(|(_, event)| event.action.to_string()).collect();
    let of = |action: &str| actions.iter().filter(|have| *have == action).count();
    assert_eq!((of("gateway:factor:enrol"), of("gateway:factor:remove")), (2, 1));
    gateway.finish().await;
}
