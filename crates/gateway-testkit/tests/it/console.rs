//! Console mode of the rack's own client: it asks for the second factor itself and repeats the request. The requests are
//! those of the recordings (`c33` with a factor beside the credential, and the way through the browser).

use std::path::Path;

use data_encoding::BASE64;
use gateway_testkit::raw::basic;
use gateway_testkit::{Authenticator, Database, RawClient, Reply, TestGateway, Visitor};
use gateway_types::Role;

const PREFIX: &str = "/api/v1/rack-proxy";
const RESTART: &str = "/apps/myapp/services/web/restart";

/// A request of the recording, and what it was answered.
#[derive(Debug)]
struct Recorded {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    status: u16,
}

/// The exchanges of a readable note.
fn note(name: &str) -> Vec<Recorded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let mut recorded: Vec<Recorded> = Vec::new();
    for line in text.lines() {
        if let Some(request) = line.strip_prefix(">>> ") {
            let (method, target) = request.split_once(' ').unwrap();
            let (method, target) = (method.to_owned(), target.to_owned());
            recorded.push(Recorded { method, target, headers: Vec::new(), status: 0 });
        } else if let Some(reply) = line.strip_prefix("<<< ") {
            let last = recorded.last_mut().unwrap();
            last.status = reply.split(' ').next().unwrap().parse().unwrap();
        } else if let (Some(last), Some(header)) = (recorded.last_mut(), line.strip_prefix("    ")) {
            let (name, value) = header.split_once(':').unwrap();
            last.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    recorded
}

async fn send(
    gateway: &TestGateway,
    recorded: &Recorded,
    credential: &str,
    session: &str,
    more: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut client = RawClient::connect(gateway.addr()).await;
    let mut request = format!("{} {PREFIX}{} HTTP/1.1\r\n", recorded.method, recorded.target);
    for (name, value) in &recorded.headers {
        let value = match name.as_str() {
            "Host" => gateway.addr().to_string(),
            "Authorization" => basic(credential),
            "Session" => session.to_owned(),
            "Rack" => "rack-gateway/testrack".to_owned(),
            "Content-Length" => body.len().to_string(),
            _ => value.clone(),
        };
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    for (name, value) in more {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    client.send(request).await;
    client.reply().await.unwrap()
}

fn challenge(reply: &Reply) -> &str {
    assert_eq!(reply.status, 401, "{}", reply.text());
    reply.header("www-authenticate").expect("a challenge")
}

/// `c33`: told so, the client posts to `/session`, stores what it gets, and repeats.
#[tokio::test]
async fn c33_passes_with_a_factor_beside_the_credential() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let phone = Authenticator::enrol(&gateway, Role::Ops).await;
        let bare = gateway.session(Role::Ops).await;
        let credential = format!("{bare}.totp.{}", phone.shows(&gateway));
        let recorded = note("c33-console-session.txt");
        // Nothing waits: the code is left to the command.
        assert_eq!(send(&gateway, &recorded[0], &credential, "", &[], "").await.status, 200);
        let mut client = RawClient::connect(gateway.addr()).await;
        assert_eq!(client.ask("POST", RESTART, &bare, &[], b"").await.status, 401);
        let statuses: Vec<u16> = recorded.iter().map(|one| one.status).collect();
        assert_eq!(statuses, [401, 200, 200, 200]);
        let mut session = String::new();
        for exchange in &recorded {
            let reply = send(&gateway, exchange, &credential, &session, &[], "").await;
            assert_eq!(
                reply.status,
                exchange.status,
                "{} {}: {}",
                exchange.method,
                exchange.target,
                reply.text()
            );
            if exchange.status == 401 {
                assert_eq!(challenge(&reply), "Session path=\"/session\" token=\"false\"");
            }
            if exchange.method == "POST" {
                reply.json()["id"].as_str().expect("an id").clone_into(&mut session);
                assert!(!session.is_empty());
            }
        }
        assert_eq!(gateway.rack.requests().len(), 1, "only the list of apps went to the rack");
        // The window is open, so that a command without the code passes too.
        let mut client = RawClient::connect(gateway.addr()).await;
        assert_eq!(client.ask("POST", RESTART, &bare, &[], b"").await.status, 200);
        gateway.finish().await;
    }
}

/// A stale code beside the credential shuts nobody out who only reads, and is no guess there.
#[tokio::test]
async fn a_stale_code_beside_the_credential_is_not_tried_for_what_only_reads() {
    let gateway = TestGateway::builder().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let bare = gateway.session(Role::Ops).await;
    let stale = format!("{bare}.totp.{}", phone.shows(&gateway));
    gateway.clock.advance(std::time::Duration::from_secs(300));
    let recorded = note("c33-console-session.txt");
    let (racks, apps) = (&recorded[0], &recorded[3]);
    for _ in 0..7 {
        assert_eq!(send(&gateway, racks, &stale, "", &[], "").await.status, 200);
        assert_eq!(send(&gateway, apps, &stale, "", &[], "").await.status, 200);
    }
    let fresh = format!("{bare}.totp.{}", phone.shows(&gateway));
    let mut client = RawClient::connect(gateway.addr()).await;
    assert_eq!(client.ask("POST", RESTART, &fresh, &[], b"").await.status, 200, "no try was counted");
    gateway.finish().await;
}

/// What takes a code of its own gets it: beside the credential, or on the page, also while the window is open.
#[tokio::test]
async fn what_is_bound_is_confirmed_in_console_mode_too() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder()
            .database(database)
            .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on")
            .idp()
            .start()
            .await;
        let phone = Authenticator::enrol(&gateway, Role::Admin).await;
        let session = gateway.session(Role::Admin).await;
        let mut person = Visitor::signed_in(&gateway, Role::Admin).await;
        let recorded = note("c33-console-session.txt");
        let (racks, post) = (&recorded[0], &recorded[1]);
        let delete = async |app: &str, credential: &str| {
            let mut client = RawClient::connect(gateway.addr()).await;
            client.ask("DELETE", &format!("/apps/{app}"), credential, &[], b"").await.status
        };
        // With a code beside the credential the list of racks spends nothing: the command does.
        assert_eq!(delete("other", &session).await, 401);
        let with_code = format!("{session}.totp.{}", phone.shows(&gateway));
        assert_eq!(send(&gateway, racks, &with_code, "", &[], "").await.status, 200);
        assert_eq!(delete("other", &with_code).await, 200);
        // The window is open and stored; what is bound is asked for on its page nevertheless.
        let stored = send(&gateway, post, &session, "", &[], "").await;
        assert_eq!(stored.status, 200, "{}", stored.text());
        let name = stored.json()["id"].as_str().expect("an id").to_owned();
        assert_eq!(delete("myapp", &session).await, 401);
        let refused = send(&gateway, racks, &session, &name, &[], "").await;
        assert_eq!(challenge(&refused), "Session path=\"/session\" token=\"true\"");
        let get = Recorded {
            method: "GET".to_owned(),
            target: "/session?".to_owned(),
            headers: racks.headers.clone(),
            status: 200,
        };
        let id = send(&gateway, &get, &session, &name, &[], "").await.text();
        let page = person.get(&format!("/step-up/{id}")).await;
        assert!(page.text().contains("DELETE /apps/myapp"), "{}", page.text());
        let confirmed = person.post(&format!("/step-up/{id}"), &[("code", &phone.next(&gateway))]).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.text());
        assert_eq!(send(&gateway, racks, &session, &name, &[], "").await.status, 200);
        assert_eq!(delete("myapp", &session).await, 200);
        gateway.finish().await;
    }
}

/// Whoever is signed out when the client opens its page signs in and comes to exactly that page.
#[tokio::test]
async fn the_page_of_console_mode_is_kept_while_its_person_signs_in() {
    let gateway = TestGateway::builder().idp().start().await;
    Authenticator::enrol(&gateway, Role::Ops).await;
    let page = "/login/u2f?token=YWJj&callback_url=http%3A%2F%2Flocalhost%3A49152";
    let mut person = Visitor::of(&gateway);
    let sent = person.get(page).await;
    let login = sent.header("location").expect("to sign in").to_owned();
    assert!(login.starts_with("/auth/login?return_to="), "{login}");
    let email = format!("{}@example.com", Role::Ops);
    let back = person.callback_for(&email, &format!("{login}&provider=dev")).await;
    assert_eq!(person.get(&back).await.header("location"), Some(page));
    gateway.finish().await;
}

/// What was refused is asked for before the next command: the client opens a page, and the command goes on.
#[tokio::test]
async fn what_was_refused_is_confirmed_in_the_browser_that_the_client_opens() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).idp().start().await;
        let phone = Authenticator::enrol(&gateway, Role::Ops).await;
        let session = gateway.session(Role::Ops).await;
        let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
        let recorded = note("c33-console-session.txt");
        let (racks, post) = (&recorded[0], &recorded[1]);
        let get = Recorded {
            method: "GET".to_owned(),
            target: "/session?".to_owned(),
            headers: racks.headers.clone(),
            status: 200,
        };

        // Nothing was refused: nothing is asked.
        assert_eq!(send(&gateway, racks, &session, "", &[], "").await.status, 200);
        assert_eq!(send(&gateway, &get, &session, "", &[], "").await.status, 404);
        assert_eq!(send(&gateway, post, &session, "", &[], "").await.status, 403, "nobody confirmed");

        let mut client = RawClient::connect(gateway.addr()).await;
        assert_eq!(client.ask("POST", RESTART, &session, &[], b"").await.status, 401);
        let refused = send(&gateway, racks, &session, "", &[], "").await;
        assert_eq!(challenge(&refused), "Session path=\"/session\" token=\"true\"");
        let asked = send(&gateway, &get, &session, "", &[], "").await;
        assert_eq!(asked.status, 200, "{}", asked.text());
        let id = asked.header("challenge").expect("a challenge").to_owned();
        assert_eq!(asked.text(), id);

        // The page that the client opens says what is confirmed, and leads back to the client.
        let token = BASE64.encode(id.as_bytes()).replace('+', "%2B").replace('=', "%3D");
        let page = format!("/login/u2f?token={token}&callback_url=http%3A%2F%2Flocalhost%3A49152");
        let shown = person.get(&page).await;
        assert_eq!(shown.status, 200, "{}", shown.text());
        assert!(
            shown.text().contains("name=\"callback_url\" value=\"http://localhost:49152\""),
            "{}",
            shown.text()
        );
        let at = format!("/step-up/{id}");
        let callback = ("callback_url", "http://localhost:49152");
        let confirmed = person.post(&at, &[("code", &phone.next(&gateway)), callback]).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.text());
        assert!(
            confirmed.text().contains("href=\"http://localhost:49152/?data=Y29uZmlybWVk\" data-follow"),
            "{}",
            confirmed.text()
        );
        let stored = send(&gateway, post, &session, "", &[("Challenge", &id)], "confirmed").await;
        assert_eq!(stored.status, 200, "{}", stored.text());
        let name = stored.json()["id"].as_str().expect("an id").to_owned();
        assert_eq!(send(&gateway, racks, &session, &name, &[], "").await.status, 200);
        let mut client = RawClient::connect(gateway.addr()).await;
        assert_eq!(client.ask("POST", RESTART, &session, &[], b"").await.status, 200, "the command goes on");

        // Of another person's session nothing of it is worth anything.
        let other = gateway.session(Role::Ops).await;
        assert_eq!(send(&gateway, post, &other, &name, &[("Challenge", &id)], "confirmed").await.status, 403);
        gateway.finish().await;
    }
}

/// The client repeats a GET, so it is told at the very refusal to ask for the factor; whoever is no such client is told
/// as any other.
#[tokio::test]
async fn a_get_that_needs_a_factor_is_asked_for_at_once() {
    let gateway = TestGateway::builder().idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let session = gateway.session(Role::Ops).await;
    let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
    let files = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/files?file=%2Ftmp%2Fx";
    let get = async |credential: &str, headers: &[(&str, &str)]| {
        RawClient::connect(gateway.addr()).await.ask("GET", files, credential, headers, b"").await
    };
    let console = [("Session", "")];
    let plain = get(&session, &[]).await;
    assert!(challenge(&plain).starts_with("Bearer error=\"insufficient_user_authentication\""), "{plain:?}");
    let refused = get(&session, &console).await;
    assert_eq!(challenge(&refused), "Session path=\"/session\" token=\"true\"");
    // A code that is wrong was an answer already: the client is not sent round once more.
    let wrong = format!("{session}.totp.{}", phone.wrong(&gateway));
    assert!(challenge(&get(&wrong, &console).await).starts_with("Bearer "));
    // A factor to give is what the page asks for, and whoever has none has nothing to give there.
    let without = gateway.session(Role::Deployer).await;
    assert!(challenge(&get(&without, &console).await).starts_with("Bearer "));
    assert!(gateway.rack.requests().is_empty());

    let mut client = RawClient::connect(gateway.addr()).await;
    let asked = client.ask("GET", "/session", &session, &console, b"").await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    let page = format!("/step-up/{}", asked.text());
    let confirmed = person.post(&page, &[("code", &phone.next(&gateway))]).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    let reply = get(&session, &console).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    gateway.finish().await;
}

/// G2: what is guessed in console mode is told of as on every other way.
#[tokio::test]
async fn g2_a_lock_in_console_mode_is_told_of_once() {
    let gateway = TestGateway::start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let wrong = format!("{}.totp.{}", gateway.session(Role::Ops).await, phone.wrong(&gateway));
    for number in 0..7 {
        let mut client = RawClient::connect(gateway.addr()).await;
        let reply = client.ask("POST", "/session", &wrong, &[("Session", "")], b"").await;
        assert_eq!(reply.status, if number < 5 { 403 } else { 429 }, "{}", reply.text());
    }
    let events = gateway.events().await;
    let locks = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:factor:lock");
    assert_eq!(locks.count(), 1);
    gateway.finish().await;
}

/// D1: the page leads to the client's own listener on this machine, and to nowhere else.
#[tokio::test]
async fn d1_the_page_of_console_mode_leads_nowhere_else() {
    let gateway = TestGateway::builder().idp().start().await;
    Authenticator::enrol(&gateway, Role::Ops).await;
    let session = gateway.session(Role::Ops).await;
    let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
    let refused = RawClient::connect(gateway.addr()).await.ask("POST", RESTART, &session, &[], b"").await;
    let url = refused.json()["remedies"][0]["url"].as_str().unwrap().to_owned();
    let id = url.rsplit('/').next().unwrap();
    let token = BASE64.encode(id.as_bytes()).replace('=', "%3D");
    for wanted in [
        "https%3A%2F%2Fevil.example.com",
        "http%3A%2F%2Flocalhost%3A49152%40evil.example.com",
        "http%3A%2F%2Flocalhost.evil.example.com%3A80",
        "http%3A%2F%2Flocalhost%3A49152%2F%2Fevil",
        "http%3A%2F%2Flocalhost%3A0",
        "http%3A%2F%2Flocalhost",
        "http%3A%2F%2Flocalhost%3A99999",
        "javascript%3Aalert(1)",
        "%2F%2Fevil.example.com",
    ] {
        let page = person.get(&format!("/login/u2f?token={token}&callback_url={wanted}")).await;
        assert_eq!(page.status, 200, "{wanted}");
        assert!(!page.text().contains("callback_url") && !page.text().contains("evil"), "{wanted}");
    }
    for token in ["", "AAAA", "%25", "d2luZG93"] {
        let page = person.get(&format!("/login/u2f?token={token}")).await;
        assert_eq!(page.status, 404, "{token}");
    }
    gateway.finish().await;
}

/// A shorter limit that comes with a new configuration holds for the sessions that are there.
#[tokio::test]
async fn e1_a_shorter_limit_of_the_configuration_holds_for_open_sessions() {
    let gateway = TestGateway::builder().database(Database::Postgres).start().await;
    gateway.session(Role::Ops).await;
    let settings = TestGateway::builder().env("RGW_SETTING_CLI_SESSION_IDLE", "10m");
    let restarted = settings.env("RGW_SETTING_CLI_SESSION_LENGTH", "24h").share(&gateway).start().await;
    let [session] =
        &gateway.store().sessions().list_for_user(gateway.person(Role::Ops).id).await.unwrap()[..]
    else {
        panic!("one session")
    };
    assert_eq!(session.idle_limit, std::time::Duration::from_secs(600));
    assert_eq!(session.expires.checked_since(session.created), Some(std::time::Duration::from_secs(86_400)));
    restarted.finish().await;
    gateway.finish().await;
}

/// A token has no second factor, so it is never asked for one.
#[tokio::test]
async fn tokens_are_not_asked() {
    let gateway = TestGateway::start().await;
    let token = gateway.token(Role::Admin).to_owned();
    let recorded = note("c33-console-session.txt");
    assert_eq!(send(&gateway, &recorded[0], &token, "", &[], "").await.status, 200);
    assert_eq!(send(&gateway, &recorded[1], &token, "", &[], "").await.status, 403);
    gateway.finish().await;
}

/// Where everybody must have a second factor, whoever has none can enrol one and leave.
#[tokio::test]
async fn g6_where_factors_are_required_nobody_looks_without_one() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder()
            .database(database)
            .env("RGW_SETTING_MFA_REQUIRED", "on")
            .idp()
            .start()
            .await;
        let session = gateway.session(Role::Ops).await;
        let mut client = RawClient::connect(gateway.addr()).await;
        let refused = client.ask("GET", "/apps", &session, &[], b"").await;
        assert_eq!(refused.status, 401, "{}", refused.text());
        assert_eq!(refused.json()["remedies"][0]["kind"], "enrol");
        // Tokens have no factor and need none.
        let token = gateway.token(Role::Viewer).to_owned();
        assert_eq!(client.ask("GET", "/apps", &token, &[], b"").await.status, 200);
        let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
        assert_eq!(person.get("/app/users").await.status, 401);
        for page in ["/app", "/app/account", "/app/account/factors", "/app/account/sessions"] {
            assert_eq!(person.get(page).await.status, 200, "{page}");
        }
        Authenticator::enrol(&gateway, Role::Ops).await;
        assert_eq!(client.ask("GET", "/apps", &session, &[], b"").await.status, 200);
        assert_eq!(person.get("/app/users").await.status, 200);
        let user = gateway.person(Role::Ops).id;
        gateway.store().factors().reset(user).await.unwrap();
        let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
        assert_eq!(person.get("/app/users").await.status, 401, "the reset counts at once");
        gateway.finish().await;
    }
}
