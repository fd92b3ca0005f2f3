//! Whoever is at a session besides the person whose it is: watching, and as a second person.

use std::time::Instant;

use gateway_testkit::Visitor;
use gateway_types::Grant;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A session of an ops person. The tokens of the test gateway are an admin's, who cannot be their own second person.
async fn exec(gateway: &TestGateway, command: &str) -> Socket {
    exec_by(gateway, &gateway.session(Role::Ops).await, command).await
}

/// A stream of server-sent events that somebody reads.
struct Watching {
    stream: TcpStream,
    text: Vec<u8>,
}

impl Watching {
    async fn begin(gateway: &TestGateway, id: &str, credential: &str) -> Self {
        let mut client = RawClient::connect(gateway.addr()).await;
        let request = format!(
            "GET /api/v1/live/{id}/watch HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {credential}\r\n\r\n"
        );
        client.send(&request).await;
        let (stream, text) = client.into_parts();
        let mut watching = Self { stream, text };
        watching.until("\r\n\r\n").await;
        let head = watching.seen();
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/event-stream"), "{head}");
        watching
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    async fn until(&mut self, wanted: &str) {
        let began = Instant::now();
        while !self.seen().contains(wanted) {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let read = timeout(left, self.stream.read_buf(&mut self.text)).await;
            assert!(matches!(read, Ok(Ok(1..))), "{wanted:?} did not come: {}", self.seen());
        }
    }

    async fn until_closed(&mut self) {
        let reading =
            async { while self.stream.read_buf(&mut self.text).await.is_ok_and(|count| count > 0) {} };
        let ended = timeout(PATIENCE, reading).await;
        assert!(ended.is_ok(), "the stream does not end: {}", self.seen());
    }
}

/// The only session that goes on, as an ops person sees it, once it does.
async fn live(gateway: &TestGateway) -> Value {
    let ops = gateway.session(Role::Ops).await;
    eventually("a live session", || async {
        let list = api(gateway, "GET", "/live", &ops).await.json();
        list["items"].get(0).cloned()
    })
    .await
}

/// Reads what the client is shown until `wanted` is part of it.
async fn shown(socket: &mut Socket, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let frame = socket.frame().await.unwrap_or_else(|| panic!("{wanted:?} did not come: {seen}"));
        seen.push_str(&String::from_utf8_lossy(&frame.payload));
    }
    seen
}

async fn rest(socket: &mut Socket) -> String {
    let frames = socket.until_end().await;
    String::from_utf8(frames.into_iter().flat_map(|frame| frame.payload).collect()).unwrap()
}

fn execs(gateway: &TestGateway) -> usize {
    gateway.rack.requests().iter().filter(|seen| seen.path().ends_with("/exec")).count()
}

async fn with(settings: &[(&str, &str)]) -> TestGateway {
    let mut builder = TestGateway::builder().env("RGW_SETTING_MFA_STEP_UP", "false");
    for (name, value) in settings {
        builder = builder.env(&format!("RGW_APP_MYAPP_SETTING_{name}"), value);
    }
    builder.start().await
}

#[tokio::test]
async fn a_session_is_watched_from_another_instance_masked_and_to_its_end() {
    for database in Database::BOTH {
        let first = started(database).await;
        let second = match database {
            Database::Sqlite => None,
            Database::Postgres => {
                let builder = TestGateway::builder().share(&first).env("RGW_SETTING_MFA_STEP_UP", "false");
                Some(builder.start().await)
            }
        };
        let other = second.as_ref().unwrap_or(&first);
        let mut socket = exec(&first, "cat").await;
        let id = live(other).await["id"].as_str().unwrap().to_owned();
        for role in [Role::Viewer, Role::Ops, Role::Auditor] {
            let session = other.session(role).await;
            assert_eq!(api(other, "GET", &format!("/live/{id}/watch"), &session).await.status, 403, "{role}");
        }
        let admin = other.session(Role::Admin).await;
        let needless = api(other, "POST", &format!("/live/{id}/join"), &admin).await;
        assert_eq!(needless.status, 409, "{}", needless.text());
        let mut watching = Watching::begin(other, &id, &admin).await;
        shown(&mut socket, "[rack-gateway] admin@example.com watches this session").await;
        socket.send(Opcode::Text, format!("before {SECRET} after").as_bytes()).await;
        watching.until("after").await;
        assert!(!watching.seen().contains(SECRET), "{}", watching.seen());
        assert!(watching.seen().contains("rgw-hidden-"));
        // Whose rights end watches no longer.
        let mut also = Watching::begin(other, &id, &other.session(Role::Admin).await).await;
        assert!(matches!(api(other, "POST", "/me/sessions/revoke-all", &admin).await.status, 200 | 204));
        let began = Instant::now();
        watching.until_closed().await;
        also.until_closed().await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(!watching.seen().contains("event: over"));
        let admin = other.session(Role::Admin).await;
        let mut watching = Watching::begin(other, &id, &admin).await;
        socket.send(Opcode::Binary, b"").await;
        rest(&mut socket).await;
        watching.until("event: over").await;
        assert!(watching.seen().contains("exit code 0"), "{}", watching.seen());
        // The stream is over, and the connection may be used again.
        watching.until("\r\n0\r\n\r\n").await;
        assert_eq!(api(other, "GET", &format!("/live/{id}/watch"), &admin).await.status, 409);
        let events = first.events().await;
        let watched = of_action(&events, "gateway:live:watch");
        let began: Vec<_> = watched.iter().filter(|event| event.parameters.contains_key("of")).collect();
        assert_eq!(began.len(), 3, "{began:?}");
        assert!(began.iter().all(|event| event.actor.name == "admin@example.com"));
        if let Some(second) = second {
            second.finish().await;
        }
        first.finish().await;
    }
}

#[tokio::test]
async fn nobody_is_told_who_watches_when_that_is_switched_off() {
    let gateway = with(&[("WATCH_NOTICE", "false")]).await;
    let mut socket = exec(&gateway, "cat").await;
    let id = live(&gateway).await["id"].as_str().unwrap().to_owned();
    let watching = Watching::begin(&gateway, &id, &gateway.session(Role::Admin).await).await;
    eventually("the watcher", || async {
        let company = gateway.store().recordings().company().await.unwrap();
        (!company.is_empty()).then_some(())
    })
    .await;
    drop(watching);
    eventually("that the watcher left", || async {
        let events = gateway.events().await;
        of_action(&events, "gateway:live:leave").first().map(|event| event.parameters["part"].clone())
    })
    .await;
    socket.send(Opcode::Binary, b"").await;
    let seen = rest(&mut socket).await;
    assert!(!seen.contains("watches"), "{seen}");
    gateway.finish().await;
}

#[tokio::test]
async fn a_session_waits_for_its_second_person_and_ends_without_them() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder()
            .database(database)
            .env("RGW_SETTING_MFA_STEP_UP", "false")
            .env("RGW_APP_MYAPP_SETTING_SESSION_SECOND_PERSON", "true")
            .env("RGW_APP_MYAPP_SETTING_RECORDING", "off")
            .start()
            .await;
        let mut socket = exec(&gateway, "sh").await;
        let seen = shown(&mut socket, "sessions join ID").await;
        assert!(seen.contains("[rack-gateway] waiting for a second person, 5 min at most"), "{seen}");
        let waiting = live(&gateway).await;
        assert_eq!((waiting["second"].as_str(), waiting["mode"].as_str()), (Some("waits"), Some("strict")));
        let id = waiting["id"].as_str().unwrap().to_owned();
        let join = format!("/live/{id}/join");
        // Neither somebody without the right, nor a token, even one that reaches everything.
        assert_eq!(api(&gateway, "POST", &join, &gateway.session(Role::Ops).await).await.status, 403);
        assert_eq!(api(&gateway, "POST", &join, &gateway.critical_token().await).await.status, 403);
        assert_eq!(execs(&gateway), 0, "the rack has not heard of it");
        // What is typed meanwhile is not lost.
        socket.send(Opcode::Text, b"hello\n").await;
        let admin = gateway.session(Role::Admin).await;
        let joined = api(&gateway, "POST", &join, &admin).await;
        assert_eq!(joined.status, 204, "{}", joined.text());
        let mut watching = Watching::begin(&gateway, &id, &admin).await;
        shown(&mut socket, "admin@example.com joined; the session begins").await;
        shown(&mut socket, "you said: hello").await;
        assert_eq!(execs(&gateway), 1);
        assert_eq!(live(&gateway).await["second"], "there");
        watching.until("you said: hello").await;
        drop(watching);
        let seen = rest(&mut socket).await;
        assert!(seen.contains("admin@example.com, the second person of this session, left it"), "{seen}");
        assert!(seen.contains("F1E49A85-0AD7-4AEF-A618-C249C6E6568D:1\n"), "{seen}");
        drop(socket);
        let listed = newest(&gateway).await;
        assert!(listed["ending"].as_str().unwrap().contains("left it"), "{listed}");
        let events = gateway.events().await;
        let join = of_action(&events, "gateway:live:join");
        assert!(
            join.iter().any(|event| event.after == Some(serde_json::json!({ "second_person": "there" })))
        );
        assert_eq!(of_action(&events, "gateway:live:leave")[0].parameters["part"], "second person");
        gateway.finish().await;
    }
}

#[tokio::test]
async fn the_second_person_is_somebody_else_and_waiting_ends() {
    let gateway = with(&[("SESSION_SECOND_PERSON", "true"), ("SECOND_PERSON_WAIT", "10s")]).await;
    // One's own, also through a token of one's own.
    let admin = gateway.session(Role::Admin).await;
    let token = gateway.new_token_of(Role::Admin, Role::Ops, vec![Grant::everything()]).await;
    for credential in [&admin, &token] {
        let mut socket = exec_by(&gateway, credential, "sh").await;
        shown(&mut socket, "waiting for a second person").await;
        let id = live(&gateway).await["id"].as_str().unwrap().to_owned();
        let own = api(&gateway, "POST", &format!("/live/{id}/join"), &admin).await;
        assert_eq!(own.status, 403, "{}", own.text());
        assert!(own.text().contains("somebody else"), "{}", own.text());
        drop(socket);
        eventually("its end", || async {
            let ops = gateway.session(Role::Ops).await;
            let list = api(&gateway, "GET", "/live", &ops).await.json();
            list["items"].as_array().unwrap().is_empty().then_some(())
        })
        .await;
    }
    let mut socket = exec(&gateway, "sh").await;
    let seen = rest(&mut socket).await;
    assert!(seen.contains("ERROR: nobody joined within 10 s, so the session did not begin"), "{seen}");
    assert!(seen.contains("F1E49A85-0AD7-4AEF-A618-C249C6E6568D:1\n"), "{seen}");
    // An interrupt at a terminal gives up; in a file it is a byte like any other.
    gateway.clock.advance(Duration::from_millis(5));
    let ops = gateway.token(Role::Ops);
    let mut socket = Socket::open(gateway.addr(), EXEC, ops, &[("Command", "sh")]).await.unwrap();
    shown(&mut socket, "waiting").await;
    socket.send(Opcode::Text, b"\x03").await;
    let seen = rest(&mut socket).await;
    assert!(seen.contains("ERROR: interrupted"), "{seen}");
    assert_eq!(execs(&gateway), 0);
    gateway.finish().await;
}

#[tokio::test]
async fn commands_are_refused_or_wait_by_the_operators_rules() {
    let gateway =
        with(&[("COMMANDS_REFUSED", "rm *; rails db:drop *"), ("COMMANDS_SECOND_PERSON", "printenv *")])
            .await;
    for (command, rule) in [
        ("rm -rf /", "`rm *`"),
        ("/bin/rm x", "`rm *`"),
        ("r\\m x", "`rm *`"),
        ("sh -c 'echo hi; rm x'", "`rm *`"),
        ("rails db:drop", "`rails db:drop *`"),
        ("sh -c 'rm $x'", "cannot be told"),
        ("rm 'x", "cannot be told"),
    ] {
        for role in [Role::Ops, Role::Admin] {
            gateway.clock.advance(Duration::from_millis(5));
            let mut socket = exec_by(&gateway, &gateway.session(role).await, command).await;
            let seen = rest(&mut socket).await;
            assert!(seen.starts_with("ERROR: ") && seen.contains(rule), "{command}: {seen}");
            assert!(seen.contains("commands_refused"), "{seen}");
            assert!(seen.contains("F1E49A85-0AD7-4AEF-A618-C249C6E6568D:1\n"), "{seen}");
        }
    }
    assert_eq!(execs(&gateway), 0);
    let ops = gateway.token(Role::Ops);
    let start = "/apps/myapp/services/web/processes";
    for (command, rule) in [("rm x", "commands_refused"), ("printenv X", "commands_second_person")] {
        let mut client = RawClient::connect(gateway.addr()).await;
        let reply = client.ask("POST", start, ops, &[("Command", command)], b"").await;
        assert_eq!(reply.status, 403, "{}", reply.text());
        assert_eq!(reply.json()["rules"][0], format!("setting:{rule}"), "{}", reply.text());
        assert_eq!(reply.json()["remedies"][0]["kind"], "setting", "{}", reply.text());
    }
    let mut client = RawClient::connect(gateway.addr()).await;
    let begun = client.ask("POST", start, ops, &[("Command", "sleep 3600")], b"").await;
    assert_eq!(begun.status, 200, "the first step of `convox run`: {}", begun.text());
    assert!(rest(&mut exec(&gateway, "echo rm").await).await.contains("rm\n"));
    let mut socket = exec(&gateway, "printenv DATABASE_PASSWORD").await;
    let seen = shown(&mut socket, "`printenv *`").await;
    assert!(seen.contains("waiting for a second person"), "{seen}");
    drop(socket);
    let events = gateway.events().await;
    let refused = events.iter().map(|(_, event)| event).filter(|event| {
        event
            .verdict
            .as_ref()
            .is_some_and(|verdict| verdict.rules.contains(&"setting:commands_refused".to_owned()))
    });
    assert!(refused.count() > 0, "the log says which rule refused");
    gateway.finish().await;
}

#[tokio::test]
async fn lines_that_are_typed_into_a_shell_raise_alerts_and_are_not_kept() {
    let gateway = with(&[("COMMANDS_REFUSED", "rm *")]).await;
    let mut socket = exec(&gateway, "sh").await;
    socket.send(Opcode::Text, b"rx\x7fm -rf /confidential\r\n").await;
    socket.send(Opcode::Text, b"exit 0\n").await;
    socket.until_end().await;
    drop(socket);
    let alert = eventually("the alert", || async {
        let events = gateway.events().await;
        of_action(&events, "gateway:session:alert").first().map(|event| (*event).clone())
    })
    .await;
    assert_eq!(alert.parameters["rule"], "rm *");
    assert!(alert.reason.as_deref().unwrap().contains("best effort"));
    assert!(!format!("{alert:?}").contains("confidential"));
    let listed = newest(&gateway).await;
    assert_eq!(alert.parameters["recording"], listed["id"].as_str().unwrap());
    let read = recording(&gateway, listed["id"].as_str().unwrap()).await;
    assert_eq!(said(&read, Kind::Input), "");
    gateway.finish().await;
}

/// H11: the exit code, the end of the input and the size pass as they are while a session is recorded, watched or not.
#[tokio::test]
async fn h11_what_a_terminal_needs_passes_while_it_is_recorded_and_watched() {
    let gateway = with(&[]).await;
    let mut socket = exec(&gateway, "cat").await;
    let id = live(&gateway).await["id"].as_str().unwrap().to_owned();
    let _watching = Watching::begin(&gateway, &id, &gateway.session(Role::Admin).await).await;
    shown(&mut socket, "watches this session\r\n").await;
    let binary: Vec<u8> = (0..=255).collect();
    socket.send(Opcode::Text, &binary).await;
    let mut echoed = Vec::new();
    while echoed.len() < binary.len() {
        echoed.extend(socket.frame().await.expect("an echo").payload);
    }
    assert_eq!(echoed, binary, "every byte as it is");
    socket.send(Opcode::Binary, b"").await;
    let frames = socket.until_end().await;
    let texts: Vec<String> =
        frames.iter().map(|frame| String::from_utf8_lossy(&frame.payload).into_owned()).collect();
    assert!(texts.iter().any(|text| text.contains("[cat: 256")), "the end of the input arrived: {texts:?}");
    let marker = texts.iter().position(|text| text == "F1E49A85-0AD7-4AEF-A618-C249C6E6568D:0\n");
    assert!(marker.is_some(), "the marker is a frame of its own: {texts:?}");
    gateway.finish().await;
}

/// The page: read-only, without anything that a session showed but text, with the way in for a second person.
#[tokio::test]
async fn the_page_shows_a_session_that_goes_on_and_lets_somebody_join() {
    let gateway = TestGateway::builder()
        .idp()
        .env("RGW_SETTING_MFA_STEP_UP", "false")
        .env("RGW_APP_MYAPP_SETTING_SESSION_SECOND_PERSON", "true")
        .start()
        .await;
    let mut socket = exec(&gateway, "cat").await;
    shown(&mut socket, "waiting for a second person").await;
    let id = live(&gateway).await["id"].as_str().unwrap().to_owned();
    let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
    let page = format!("/app/live/{id}");
    let list = admin.get("/app/live").await.text();
    assert!(
        list.contains(&format!("href=\"{page}\"")) && list.contains("waits for a second person"),
        "{list}"
    );
    let waiting = admin.get(&page).await;
    assert_eq!(
        (waiting.status, waiting.header("cache-control")),
        (200, Some("no-store")),
        "{}",
        waiting.text()
    );
    assert!(waiting.text().contains("Join as second person"), "{}", waiting.text());
    assert!(waiting.text().contains(&format!("data-live=\"{page}/feed\"")), "{}", waiting.text());
    let joined = admin.post(&format!("{page}/join"), &[]).await;
    assert_eq!(joined.status, 303, "{}", joined.text());
    shown(&mut socket, "the session begins").await;
    socket.send(Opcode::Text, b"<b>bold</b>\x1b]52;c;ZXZpbA==\x07\r\n").await;
    // Without the script the page is loaded again and again, which is a sign of life too.
    let text = eventually("what was shown", || async {
        let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
        let text = admin.get(&page).await.text();
        text.contains("bold").then_some(text)
    })
    .await;
    assert!(text.contains("&lt;b&gt;bold") || text.contains("&#60;b&#62;bold"), "{text}");
    assert!(!text.contains("ZXZpbA"), "{text}");
    let mut ops = Visitor::signed_in(&gateway, Role::Ops).await;
    assert_eq!(ops.get(&page).await.status, 403);
    assert!(!ops.get("/app/live").await.text().contains(&format!("href=\"{page}\"")));
    socket.send(Opcode::Binary, b"").await;
    rest(&mut socket).await;
    eventually("the end on the page", || async {
        let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
        (admin.get(&page).await.status == 409).then_some(())
    })
    .await;
    gateway.finish().await;
}
