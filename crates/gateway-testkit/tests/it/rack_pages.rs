//! Pages of what is in the rack: each is one request of the rack, decided, recorded and redacted as any client's is.

use data_encoding::BASE64URL_NOPAD;
use gateway_framing::websocket::Opcode;
use gateway_store::RecordingFilter;
use gateway_testkit::{Authenticator, Database, Socket, TestGateway, Visitor, eventually};
use gateway_types::{Channel, Role};
use serde_json::json;

const PROCESS: &str = "/app/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0";
const COOKIE: &str = "__Host-rgw";

/// The bodies of the requests of this method and path that the rack saw.
fn asked(gateway: &TestGateway, method: &str, path: &str) -> Vec<String> {
    let seen = gateway.rack.requests();
    let of_path = seen.iter().filter(|one| one.method == method && one.path() == path);
    of_path.map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect()
}

#[tokio::test]
async fn pages_show_what_the_rack_says_and_no_secret() {
    let gateway = TestGateway::builder().idp().start().await;
    Authenticator::enrol(&gateway, Role::Ops).await;
    let mut ops = Visitor::signed_in(&gateway, Role::Ops).await;
    let release = gateway.rack.state().active_release("myapp");
    let build = gateway.rack.state().builds("myapp")[0].id.clone();
    for (path, shown) in [
        ("/app/apps".to_owned(), "myapp"),
        ("/app/apps?q=OTHER".to_owned(), "/app/apps/other"),
        ("/app/apps/myapp".to_owned(), "Generation"),
        ("/app/apps/myapp/services".to_owned(), "web"),
        ("/app/apps/myapp/processes".to_owned(), "myapp-web-7d9f8b6c5-aaaa0"),
        (PROCESS.to_owned(), "Open a terminal"),
        ("/app/apps/myapp/releases".to_owned(), release.as_str()),
        (format!("/app/apps/myapp/releases/{release}"), "Manifest"),
        ("/app/apps/myapp/builds".to_owned(), build.as_str()),
        (format!("/app/apps/myapp/builds/{build}"), "data-feed"),
        ("/app/apps/myapp/resources".to_owned(), "Resources of myapp"),
        ("/app/apps/myapp/logs".to_owned(), "/app/apps/myapp/logs/feed"),
        ("/app/apps/myapp/metrics".to_owned(), "Metrics of myapp"),
        ("/app/apps/myapp/services/web/metrics".to_owned(), "the service web of myapp"),
        ("/app/rack/metrics?start=20261120.100000.000000000&period=60".to_owned(), "cluster:cpu:utilization"),
        ("/app/rack".to_owned(), "Provider"),
        ("/app/rack/processes".to_owned(), "Processes of the rack"),
        ("/app/rack/resources".to_owned(), "Resources of the rack"),
        ("/app/instances".to_owned(), "Instances"),
        ("/app/certificates".to_owned(), "Certificates"),
        ("/app/registries".to_owned(), "Registries"),
    ] {
        let reply = ops.get(&path).await;
        let text = reply.text();
        assert_eq!(reply.status, 200, "{path}: {text}");
        assert!(text.contains(shown), "{path}: {text}");
        assert!(!text.contains("s3cr3t-"), "{path}: {text}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert!(reply.header("content-security-policy").is_some(), "{path}");
    }
    let searched = ops.get("/app/apps?q=OTHER").await.text();
    assert!(!searched.contains("/app/apps/myapp\""), "{searched}");
    assert_eq!(ops.get("/app/apps/nothing").await.status, 404);
    // What the page's address says of the time is asked of the rack, and nothing else of it.
    ops.get("/app/rack/metrics?start=20261120.100000.000000000&period=60&q=x").await;
    let asked_for = gateway.rack.requests().into_iter().rfind(|one| one.path() == "/system/metrics").unwrap();
    assert!(asked_for.target.ends_with("?start=20261120.100000.000000000&period=60"), "{}", asked_for.target);
    // One request of the rack for a page, and one event of it, whose channel says where it came from.
    let events = gateway.events().await;
    let lists = events.iter().filter(|(_, event)| event.action.as_str() == "convox:app:list");
    let lists: Vec<_> = lists.map(|(_, event)| event).collect();
    assert_eq!(lists.len(), asked(&gateway, "GET", "/apps").len());
    assert!(lists.iter().all(|event| event.channel == Some(Channel::Web)), "{lists:?}");
    gateway.finish().await;
}

async fn changes(database: Database) {
    let gateway = TestGateway::builder().database(database).idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
    let mut viewer = Visitor::signed_in(&gateway, Role::Viewer).await;
    let release = gateway.rack.state().releases("myapp").last().unwrap().id.clone();
    let (page, rack_path) = (
        format!("/app/apps/myapp/releases/{release}/promote"),
        format!("/apps/myapp/releases/{release}/promote"),
    );
    // What is hard to undo takes its name, whoever asks: looked at before anything else happens.
    for fields in [vec![], vec![("confirm", "other")], vec![("confirm", &*release), ("confirm", &*release)]] {
        let reply = admin.post(&page, &fields).await;
        assert_eq!(reply.status, 400, "{fields:?}: {}", reply.text());
    }
    // A person who may not, and one who gave no factor yet: the page asks for it and keeps what was typed.
    let refused = viewer.post(&page, &[("confirm", &release)]).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let again = admin.post(&page, &[("confirm", &release)]).await;
    assert_eq!(again.status, 401, "{}", again.text());
    assert!(again.text().contains("name=\"_code\"") && again.text().contains(&release), "{}", again.text());
    assert!(asked(&gateway, "POST", &rack_path).is_empty());
    let foreign = admin.csrf().await;
    let body = format!("_csrf={foreign}&confirm={release}");
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "https://evil.example")];
    assert_eq!(admin.send("POST", &page, &form, body.as_bytes()).await.status, 403);
    assert!(asked(&gateway, "POST", &rack_path).is_empty());

    let code = phone.next(&gateway);
    let done = admin.post(&page, &[("confirm", &release), ("_code", &code)]).await;
    assert_eq!(done.status, 303, "{}", done.text());
    assert!(done.header("audit-receipt").is_some(), "{done:?}");
    assert_eq!(asked(&gateway, "POST", &rack_path).len(), 1);
    assert_eq!(gateway.rack.state().active_release("myapp"), release);

    // What is left empty is not sent; what the rack does not take is not either.
    let scale = [("count", "3"), ("cpu", ""), ("memory", ""), ("other", "x")];
    let scaled = admin.post("/app/apps/myapp/services/web", &scale).await;
    assert_eq!(scaled.status, 303, "{}", scaled.text());
    assert_eq!(asked(&gateway, "PUT", "/apps/myapp/services/web"), ["count=3"]);
    // An address adds nothing to a form.
    let by_address = admin.post("/app/apps/myapp/services/web?count=0&cpu=1", &[]).await;
    assert_eq!(by_address.status, 303, "{}", by_address.text());
    assert_eq!(asked(&gateway, "PUT", "/apps/myapp/services/web"), ["count=3", ""]);
    let bad = admin.post("/app/apps/myapp/services/web", &[("count", "many")]).await;
    assert_eq!(bad.status, 400, "{}", bad.text());

    let stopped = admin.post(&format!("{PROCESS}/stop"), &[]).await;
    assert_eq!(stopped.status, 303, "{}", stopped.text());
    assert_eq!(asked(&gateway, "DELETE", &PROCESS.replace("/app/", "/")).len(), 1);
    // What the rack refuses is told as a problem of this gateway's, in the rack's words.
    let unknown = admin.post("/app/apps/myapp/processes/nothing/stop", &[]).await;
    assert!(matches!(unknown.status, 404 | 409 | 502), "{}: {}", unknown.status, unknown.text());

    // Each has its intent and its outcome, as a client's request has.
    let events = gateway.events().await;
    let phases = |action: &str| -> Vec<String> {
        let of = events
            .iter()
            .filter(|(_, event)| event.action.as_str() == action && event.channel == Some(Channel::Web));
        of.map(|(_, event)| json!(event.phase).as_str().unwrap_or_default().to_owned()).collect()
    };
    let promoted = phases("convox:release:promote");
    assert!(promoted.contains(&"intent".to_owned()) && promoted.len() >= 2, "{promoted:?}");
    assert!(phases("convox:service:update").contains(&"intent".to_owned()));
    // The secret of a registry is in no event.
    let registry = [("server", "registry.example.com"), ("username", "bot"), ("password", "s3cr3t-registry")];
    assert_eq!(admin.post("/app/registries", &registry).await.status, 303);
    assert!(gateway.rack.state().registries().iter().any(|one| one.server == "registry.example.com"));
    let events = format!("{:?}", gateway.events().await);
    assert!(!events.contains("s3cr3t-registry"), "{events}");
    gateway.finish().await;
}

#[tokio::test]
async fn changes_take_what_any_client_needs() {
    changes(Database::Sqlite).await;
}

#[tokio::test]
async fn changes_take_what_any_client_needs_on_postgres() {
    changes(Database::Postgres).await;
}

/// L1: a page takes a session and nothing else.
#[tokio::test]
async fn pages_take_no_token_and_no_upgrade() {
    let gateway = TestGateway::builder().idp().start().await;
    let token = gateway.token(Role::Admin).to_owned();
    let mut client = gateway_testkit::RawClient::connect(gateway.addr()).await;
    for path in ["!/app/apps", "!/app/apps/myapp", "!/app/apps/myapp/releases"] {
        let reply = client.ask("GET", path, &token, &[], b"").await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.text());
        let reply = client.ask("GET", path, "", &[("Accept", "text/html")], b"").await;
        assert_eq!(reply.status, 303, "{path}: {}", reply.text());
    }
    let mut viewer = Visitor::signed_in(&gateway, Role::Viewer).await;
    assert_eq!(viewer.get("/app/apps/myapp/logs/feed").await.status, 404);
    assert_eq!(viewer.get("/app/apps/my%61pp").await.status, 404);
    assert_eq!(viewer.get("/app/apps/myapp/").await.status, 404);
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}

/// H1: a page of the gateway's own opens a socket with the session's cookie, and no other page does.
#[tokio::test]
async fn h1_sockets_of_pages_are_their_own() {
    let gateway = TestGateway::builder().idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let mut ops = Visitor::signed_in(&gateway, Role::Ops).await;
    let mut viewer = Visitor::signed_in(&gateway, Role::Viewer).await;
    let own = ops.origin();
    let open_with = async |path: &str, cookie: &str, origin: Option<&str>, protocol: &str| {
        let cookie = format!("{COOKIE}={cookie}");
        let mut headers = vec![("Cookie", cookie.as_str()), ("Sec-WebSocket-Protocol", protocol)];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let (socket, reply) = Socket::open_at(gateway.addr(), path, &headers).await?;
        assert_eq!(reply.header("sec-websocket-protocol"), Some("rack-gateway.page"));
        Ok::<_, gateway_testkit::Reply>(socket)
    };
    let asked = BASE64URL_NOPAD.encode(b"Command=sh&Tty=true&Width=90&Height=30");
    let token_of = async |visitor: &mut Visitor| format!("rack-gateway.page, {}", visitor.csrf().await);
    let (own_token, foreign_token) = (token_of(&mut ops).await, token_of(&mut viewer).await);
    let open = async |path: &str, cookie: &str, origin: Option<&str>| {
        let token = if cookie == viewer.cookies[COOKIE] { &foreign_token } else { &own_token };
        let values = if path.ends_with("/exec") { format!(", {asked}") } else { String::new() };
        open_with(path, cookie, origin, &format!("{token}{values}")).await
    };
    let exec = format!("{PROCESS}/exec");
    let feed = "/app/apps/myapp/logs/feed?Follow=true&Tail=10";
    let cookie = ops.cookies[COOKIE].clone();
    for path in [exec.as_str(), feed] {
        for origin in [None, Some("null"), Some("https://evil.example"), Some("http://sibling.localhost")] {
            let refused = open(path, &cookie, origin).await.unwrap_err();
            assert_eq!(refused.status, 403, "{path} {origin:?}: {}", refused.text());
        }
        // Another session's token, or none, as of a form.
        for protocol in [&*foreign_token, "rack-gateway.page, ", "rack-gateway.page", "other"] {
            let headers = [
                ("Cookie", &*format!("{COOKIE}={cookie}")),
                ("Origin", &own),
                ("Sec-WebSocket-Protocol", protocol),
            ];
            let refused = Socket::open_at(gateway.addr(), path, &headers).await.map(drop).unwrap_err();
            assert_eq!(refused.status, 403, "{path} {protocol}: {}", refused.text());
        }
        for garbage in ["%%%", "QQ==", "a, b"] {
            let refused = open_with(path, &cookie, Some(&own), &format!("{own_token}, {garbage}")).await;
            let told = match refused {
                Ok(mut socket) => text_of(&mut socket).await,
                Err(reply) => reply.status.to_string(),
            };
            assert!(
                told.contains("not written as a page writes it") || told == "403",
                "{path} {garbage}: {told}"
            );
        }
        // A token is no cookie, and nobody is nobody: told within, since a script sees no status.
        for foreign in [gateway.token(Role::Admin), "rgw_none"] {
            let mut told = open(path, foreign, Some(&own)).await.unwrap();
            let text = text_of(&mut told).await;
            assert!(text.contains("not valid"), "{path}: {text}");
        }
    }
    assert!(gateway.rack.requests().is_empty());

    // Lines, as the rack writes them.
    let mut lines = open(feed, &viewer.cookies[COOKIE], Some(&own)).await.unwrap();
    let first = lines.frame().await.unwrap();
    assert!(!first.payload.is_empty());
    drop(lines);

    // Without the role, and without a factor: told within, with the way to confirm it.
    let mut told = open(&exec, &viewer.cookies[COOKIE], Some(&own)).await.unwrap();
    let text = text_of(&mut told).await;
    assert!(text.contains("ops"), "{text}");
    let mut told = open(&exec, &cookie, Some(&own)).await.unwrap();
    let text = text_of(&mut told).await;
    assert!(text.contains("/step-up/"), "{text}");
    let (_, id) = text.split_once("/step-up/").unwrap();
    let id: String = id.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let code = phone.next(&gateway);
    let given = ops.post(&format!("/step-up/{id}"), &[("code", &code)]).await;
    assert!(matches!(given.status, 200 | 303), "{}: {}", given.status, given.text());
    let cookie = ops.cookies[COOKIE].clone();
    let mut shell = open(&exec, &cookie, Some(&own)).await.unwrap();
    shell.send(Opcode::Text, b"echo over there\r").await;
    let mut seen = String::new();
    while !seen.contains("over there") {
        let frame = shell.frame().await.unwrap_or_else(|| panic!("the shell answers, after {seen:?}"));
        assert_ne!(frame.opcode, Opcode::Text, "a browser takes only UTF-8 for text");
        seen.push_str(&String::from_utf8_lossy(&frame.payload));
    }
    drop(shell);
    // It is a session as any: recorded, under the person's name.
    let recordings = gateway.store().recordings();
    let filter = RecordingFilter { app: Some("myapp".to_owned()), limit: 9, ..Default::default() };
    let held = eventually("the session is listed", async || {
        recordings.list(&filter).await.unwrap().items.into_iter().next()
    })
    .await;
    assert_eq!(held.actor, "ops@example.com");
    gateway.finish().await;
}

/// All text until the socket's end.
async fn text_of(socket: &mut Socket) -> String {
    let frames = socket.until_end().await;
    frames.iter().map(|frame| String::from_utf8_lossy(&frame.payload).into_owned()).collect()
}
