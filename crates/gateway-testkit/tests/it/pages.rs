//! Browsers: cookies, forms, headers, and what ends a session. Labels are those of the list of bad inputs.

use std::time::Duration;

use gateway_store::{NewToken, NewUser};
use gateway_testkit::visitor::hidden;
use gateway_testkit::{Authenticator, Database, RawClient, TestGateway, Visitor, eventually};
use gateway_types::{Grant, Role, RoleSet};

const COOKIE: &str = "__Host-rgw";

#[tokio::test]
async fn e3_one_session_cookie_and_nothing_beside_it() {
    let gateway = TestGateway::builder().idp().start().await;
    let mut visitor = Visitor::of(&gateway);
    let reply = visitor.sign_in("viewer@example.com").await;
    let set: Vec<&str> = reply
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    let session = set.iter().find(|value| value.starts_with("__Host-rgw=")).expect("a session cookie");
    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
        assert!(session.contains(attribute), "{session}");
    }
    assert!(!session.contains("Domain"), "{session}");
    let cookie = visitor.cookies[COOKIE].clone();
    let ask = async |path: &str, token: &str, cookies: &str| {
        let mut client = RawClient::connect(gateway.addr()).await;
        client.ask("GET", path, token, &[("Cookie", cookies)], b"").await.status
    };
    let one = format!("{COOKIE}={cookie}");
    assert_eq!(ask("!/app", "", &one).await, 200);
    assert_eq!(ask("!/app", "", &format!("a=b; {one}; c=d")).await, 200);
    // Tossed from a sibling domain, or beside a token: refused, never a matter of precedence.
    assert_eq!(ask("!/app", "", &format!("{one}; {COOKIE}=other")).await, 400);
    assert_eq!(ask("!/app", "", &format!("{COOKIE}=other; {one}")).await, 400);
    let token = gateway.token(Role::Viewer).to_owned();
    assert_eq!(ask("!/api/v1/me", &token, &one).await, 400);
    assert_eq!(ask("/apps", &token, &one).await, 400);
    // The cookie is for pages only, and a token is no cookie.
    assert_eq!(ask("!/api/v1/me", "", &one).await, 401);
    assert_eq!(ask("/apps", "", &one).await, 401);
    assert_eq!(ask("/apps", &cookie, "a=b").await, 401);
    assert_eq!(ask("!/app", "", &format!("{COOKIE}={token}")).await, 303);
    assert_eq!(ask("!/app", "", &format!("{COOKIE}={}", gateway.session(Role::Viewer).await)).await, 303);
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}

#[tokio::test]
async fn e5_forms_of_other_sites_and_sessions_change_nothing() {
    let gateway = TestGateway::builder().idp().start().await;
    let mut visitor = Visitor::signed_in(&gateway, Role::Viewer).await;
    let mut other = Visitor::signed_in(&gateway, Role::Viewer).await;
    let (own, foreign) = (visitor.csrf().await, other.csrf().await);
    assert_ne!(own, foreign);
    let origin = format!("http://{}", gateway.addr());
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let path = "/app/account/sessions/revoke-others";
    let body = format!("_csrf={own}");
    for (headers, body, statuses) in [
        (vec![form], body.clone(), [403]),
        (vec![form, ("Origin", "null")], body.clone(), [403]),
        (vec![form, ("Origin", "https://evil.example")], body.clone(), [403]),
        (vec![form, ("Origin", "http://sibling.localhost")], body.clone(), [403]),
        (vec![form, ("Origin", &origin), ("Sec-Fetch-Site", "cross-site")], body.clone(), [403]),
        (vec![form, ("Origin", &origin), ("Sec-Fetch-Site", "same-site")], body.clone(), [403]),
        (vec![("Content-Type", "text/plain"), ("Origin", &origin)], body.clone(), [400]),
        (vec![form, ("Origin", &origin)], String::new(), [403]),
        (vec![form, ("Origin", &origin)], "_csrf=".to_owned(), [403]),
        (vec![form, ("Origin", &origin)], format!("_csrf={foreign}"), [403]),
        (vec![form, ("Origin", &origin)], format!("_csrf={own}&_csrf={own}"), [403]),
    ] {
        let reply = visitor.send("POST", path, &headers, body.as_bytes()).await;
        assert!(statuses.contains(&reply.status), "{headers:?} {body}: {} {}", reply.status, reply.text());
        assert_eq!(other.get("/app").await.status, 200, "{headers:?} {body}");
    }
    let by_link = visitor.get(path).await;
    assert_eq!(by_link.status, 405, "{}", by_link.text());
    assert_eq!(visitor.post(path, &[]).await.status, 303);
    assert_eq!(other.get("/app").await.status, 303, "the right form ends the other session");
    gateway.finish().await;
}

#[tokio::test]
async fn e6_e8_e9_pages_say_what_browsers_may_do_with_them() {
    let gateway = TestGateway::builder().idp().start().await;
    let mut visitor = Visitor::signed_in(&gateway, Role::Admin).await;
    for path in
        ["/app", "/app/users", "/auth/login", "/problems/refused", "/app/nothing", "/app/account/factors"]
    {
        let reply = visitor.get(path).await;
        let header = |name: &str| reply.header(name).unwrap_or_else(|| panic!("{path}: {name} {reply:?}"));
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(!reply.text().contains(" style=") && !reply.text().contains("<script>"), "{path}");
    }
    let mut nobody = RawClient::connect(gateway.addr()).await;
    for path in ["/openapi.json", "/api/v1/me", "/api/v1/users", "/api/v1/audit", "/log/checkpoint"] {
        assert_eq!(nobody.ask("GET", &format!("!{path}"), "", &[], b"").await.status, 401, "{path}");
    }
    for path in ["/metrics", "/debug/pprof", "/healthz"] {
        assert_eq!(nobody.ask("GET", &format!("!{path}"), "", &[], b"").await.status, 404, "{path}");
    }
    gateway.finish().await;
}

/// A session that can do more than before has another cookie, and one whose rights change begins anew.
#[tokio::test]
async fn e1_no_cookie_survives_a_change_of_rights() {
    let gateway = TestGateway::builder().idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
    let first = admin.cookies[COOKIE].clone();
    let again = admin.sign_in("admin@example.com").await;
    assert_eq!(again.status, 303);
    let second = admin.cookies[COOKIE].clone();
    assert_ne!(first, second, "signing in always makes a new session");

    let code = phone.next(&gateway);
    let new = [("email", "new@example.com"), ("role", "viewer"), ("_code", code.as_str())];
    let invited = admin.post("/app/users", &new).await;
    assert_eq!(invited.status, 303, "{}", invited.text());
    let third = admin.cookies[COOKIE].clone();
    assert_ne!(second, third, "a step-up changes the cookie");
    let mut thief = Visitor::of(&gateway);
    thief.cookies.insert(COOKIE.to_owned(), second);
    assert_eq!(thief.get("/app").await.status, 303, "the cookie from before the step-up is nobody's");
    assert_eq!(admin.get("/app").await.status, 200);

    let mut viewer = Visitor::signed_in(&gateway, Role::Viewer).await;
    let place = format!("/app/users/{}", gateway.person(Role::Viewer).id);
    let version = hidden(&admin.get(&place).await.text(), "version").expect("a version");
    let code = phone.next(&gateway);
    let roles =
        [("version", version.as_str()), ("role", "ops"), ("name", "Viewer"), ("_code", code.as_str())];
    let changed = admin.post(&place, &roles).await;
    assert_eq!(changed.status, 303, "{}", changed.text());
    assert_eq!(viewer.get("/app").await.status, 303, "other rights begin with a new sign-in");
    gateway.finish().await;
}

/// What ends a session ends it on every instance and every way in, open sockets included.
#[tokio::test]
async fn e2_a_locked_person_is_out_everywhere() {
    let gateway = TestGateway::builder().database(Database::Postgres).idp().start().await;
    let other = TestGateway::builder().share(&gateway).start().await;
    let mut ops = Visitor::signed_in(&gateway, Role::Ops).await;
    let session = gateway.session(Role::Ops).await;
    let token = gateway.new_token_of(Role::Ops, Role::Ops, vec![Grant::everything()]).await;
    let mut elsewhere = Visitor::of(&other);
    elsewhere.cookies = ops.cookies.clone();
    assert_eq!(elsewhere.get("/app").await.status, 200, "a session begun on one instance holds on the other");
    let mut socket =
        gateway_testkit::Socket::open(other.addr(), "/apps/myapp/logs", &token, &[("Follow", "true")])
            .await
            .unwrap();

    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let admin = gateway.session(Role::Admin).await;
    let code = phone.next(&gateway);
    let place = format!("!/api/v1/users/{}/lock", gateway.person(Role::Ops).id);
    let headers = [("X-Mfa-Totp", code.as_str()), ("Content-Type", "application/json")];
    let mut client = RawClient::connect(gateway.addr()).await;
    let locked = client.ask("POST", &place, &admin, &headers, b"{}").await;
    assert!(locked.status < 300, "{}", locked.text());
    let started = std::time::Instant::now();
    assert_eq!(ops.get("/app").await.status, 303);
    for instance in [&gateway, &other] {
        for credential in [&session, &token] {
            eventually("the lock to be known", async || {
                let mut client = RawClient::connect(instance.addr()).await;
                let refused = client.ask("GET", "/apps", credential, &[], b"").await.status == 401;
                refused.then_some(())
            })
            .await;
        }
    }
    eventually("the lock to be known to pages", async || {
        let mut asking = elsewhere.clone();
        (asking.get("/app").await.status == 303).then_some(())
    })
    .await;
    socket.until_end().await;
    let elapsed = started.elapsed();
    assert!(elapsed <= Duration::from_secs(5), "what is open ends within five seconds, not {elapsed:?}");
    other.finish().await;
    gateway.finish().await;
}

/// D2: a state is good once, in the browser that began, and for nobody else.
#[tokio::test]
async fn d2_a_callback_belongs_to_the_browser_that_began() {
    let gateway = TestGateway::builder().idp().start().await;
    let start = "/auth/login?provider=dev&return_to=%2Fapp%2Faccount";
    let mut begun = Visitor::of(&gateway);
    let callback = begun.callback_for("admin@example.com", start).await;
    let mut victim = Visitor::of(&gateway);
    let mixed = victim.get(&callback).await;
    assert_eq!(mixed.status, 400, "{}", mixed.text());
    assert!(!victim.cookies.contains_key(COOKIE));
    let mut own = begun.clone();
    let callback = own.callback_for("admin@example.com", start).await;
    let done = own.get(&callback).await;
    assert_eq!((done.status, done.header("location")), (303, Some("/app/account")), "{}", done.text());
    let cookie = own.cookies[COOKIE].clone();
    let replayed = own.get(&callback).await;
    assert_eq!(replayed.status, 400, "{}", replayed.text());
    assert_eq!(own.cookies[COOKIE], cookie);
    for path in
        ["/auth/callback/dev", "/auth/callback/dev?code=x&state=y", "/auth/callback/other?code=x&state=y"]
    {
        let refused = Visitor::of(&gateway).get(path).await;
        assert!(matches!(refused.status, 400 | 404), "{path}: {}", refused.status);
    }
    // D10: only a navigation counts.
    let mut slow = Visitor::of(&gateway);
    let callback = slow.callback_for("admin@example.com", start).await;
    let prefetch = slow.send("GET", &callback, &[("Sec-Purpose", "prefetch")], b"").await;
    assert!(prefetch.status >= 400, "{prefetch:?}");
    let posted = slow.send("POST", &callback, &[], b"").await;
    assert_eq!(posted.status, 405, "{}", posted.text());
    assert_eq!(slow.get(&callback).await.status, 303, "the state was not used by either");
    // D9: what the provider says is never echoed.
    let hostile = "/auth/callback/dev?error=access_denied&error_description=%3Cscript%3Ealert(1)%3C%2Fscript%3E&state=x";
    let told = Visitor::of(&gateway).get(hostile).await;
    assert!(told.status >= 400 && !told.text().contains("<script>alert"), "{}", told.text());
    // Signing in never counts as a second factor.
    let restart = own.post("/app/tokens", &[("name", "x"), ("role", "viewer")]).await;
    assert_eq!(restart.status, 401, "{}", restart.status);
    gateway.finish().await;
}

/// Where an operation of the gateway's own is: at a root of its own, or below the API.
fn rooted(path: &str) -> String {
    let roots = [
        "/auth",
        "/device",
        "/step-up",
        "/login",
        "/problems",
        "/.well-known",
        "/openapi.json",
        "/log",
        "/zone/enrol",
        "/zone/renew",
        "/zone/bundle",
        "/app/",
    ];
    let is_rooted = path == "/" || roots.iter().any(|root| path.starts_with(root));
    if is_rooted { path.to_owned() } else { format!("/api/v1{path}") }
}

/// Nobody reaches an operation of the gateway's own without signing in.
#[tokio::test]
async fn l1_own_operations_want_a_credential() {
    let gateway = TestGateway::start().await;
    let table = gateway_policy::OwnTable::builtin().unwrap();
    let mut asked = 0;
    for operation in table.operations() {
        let (method, path) = operation.route.split_once(' ').unwrap();
        let path = rooted(&path.replace("{path*}", "x").replace(['{', '}'], ""));
        let mut client = RawClient::connect(gateway.addr()).await;
        let reply = client.ask(method, &format!("!{path}"), "", &[], b"").await;
        if operation.action.as_str() == "gateway:integration:slack_event" {
            assert_eq!(reply.status, 401, "its credential is Slack's signature");
        } else if operation.class == gateway_types::Class::Open {
            assert_ne!(reply.status, 401, "{}", operation.route);
        } else {
            let asks = reply.status == 401
                || reply.status == 404
                // A browser's page sends people to sign in.
                || (reply.status == 303 && reply.header("location").unwrap().starts_with("/auth/login"));
            assert!(asks, "{}: {} {}", operation.route, reply.status, reply.text());
            asked += usize::from(reply.status == 401);
        }
    }
    assert!(asked >= 40, "{asked} operations are served and want a credential");
    gateway.finish().await;
}

/// A path of this route on which nothing is: values that look right and name nothing.
fn about_nothing(path: &str) -> String {
    let mut filled = String::new();
    for segment in path.split('/').skip(1) {
        let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        filled.push('/');
        filled.push_str(match name {
            None => segment,
            Some("index") => "987654321",
            Some("id" | "sid" | "request_id") => "01890000-0000-7000-8000-000000000000",
            Some(_) => "nothing",
        });
    }
    filled
}

/// What a cell of the table makes of a request without a factor, with settings at their defaults.
fn expected(cell: &str) -> (&'static [u16], &'static str) {
    match cell.split(['+', '|']).next().unwrap() {
        "yes" => (&[], ""),
        "step_up" | "bound" => (&[401], "mfa"),
        "role" | "people" | "critical" | "approval" | "setting" => (&[403], "authorization"),
        other => panic!("`{other}` is no cell that this test knows"),
    }
}

/// L1: what the table says of the gateway's own operations is what happens over HTTP, for each role, with a session of
/// a command line and with a token.
#[tokio::test]
async fn l1_own_operations_refuse_as_the_table_says() {
    let gateway = TestGateway::start().await;
    let both = NewUser {
        email: "both@example.com".to_owned(),
        name: "Both".to_owned(),
        roles: RoleSet::of(Role::Admin).with(Role::Auditor),
    };
    let creator = gateway.store().users().create(both).await.unwrap().id;
    let mut askers = Vec::new();
    for role in Role::ALL {
        // As the table says: made by an admin who is an auditor too, for everything short of what is critical.
        let new = NewToken {
            name: format!("{role} for tests"),
            roles: RoleSet::of(role),
            grants: vec![Grant::everything()],
            creator,
            expires: None,
            networks: Vec::new(),
        };
        let (_, token) = gateway.store().tokens().create(new).await.unwrap();
        askers.push((format!("t-{role}"), token.expose().clone()));
        // There are no people with the role for machines.
        if role != Role::Cicd {
            Authenticator::enrol(&gateway, role).await;
            askers.push((role.to_string(), gateway.session(role).await));
        }
    }
    let cells = super::matrix::golden();
    let (mut refused, mut let_through, mut unserved) = (0, 0, Vec::new());
    let table = gateway_policy::OwnTable::builtin().unwrap();
    for operation in table.operations() {
        let (method, path) = operation.route.split_once(' ').unwrap();
        let path = format!("!{}", rooted(&about_nothing(path)));
        let mut client = RawClient::connect(gateway.addr()).await;
        let nobody = client.ask(method, &path, "", &[], b"").await;
        if nobody.status == 404 || operation.class == gateway_types::Class::Open {
            unserved.extend((nobody.status == 404).then(|| operation.route.to_string()));
            continue;
        }
        for (column, credential) in &askers {
            let cell = &cells[&*operation.route][column];
            if cell.starts_with("own:") {
                continue;
            }
            let (statuses, layer) = expected(cell);
            let mut client = RawClient::connect(gateway.addr()).await;
            let reply = client.ask(method, &path, credential, &[], b"").await;
            let context = format!("{method} {path} as {column}, {cell}: {} {}", reply.status, reply.text());
            if statuses.is_empty() {
                assert!(!matches!(reply.status, 401 | 403), "{context}");
                let_through += 1;
            } else {
                assert!(statuses.contains(&reply.status), "{context}");
                assert_eq!(reply.json()["layer"], layer, "{context}");
                refused += 1;
            }
        }
    }
    assert!(refused > 400 && let_through > 100, "{refused} refused, {let_through} let through");
    eprintln!("not served: {unserved:?}");
    gateway.finish().await;
}

/// L1: the same for pages, with the cookie of each role.
#[tokio::test]
async fn l1_pages_refuse_as_the_table_says() {
    let gateway = TestGateway::builder().idp().start().await;
    let cells = super::matrix::golden();
    let pages = include_str!("../../../gateway-policy/data/pages.tsv");
    let (mut refused, mut let_through) = (0, 0);
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Cicd) {
        Authenticator::enrol(&gateway, role).await;
        let mut person = Visitor::signed_in(&gateway, role).await;
        for line in pages.lines().filter(|line| line.starts_with("GET\t")) {
            let [_, page, operation] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let operation = operation.strip_prefix("rack ").unwrap_or(operation);
            if operation.starts_with("SOCKET ") {
                // Without an upgrade there is no such page; it/rack_pages.rs opens them.
                assert_eq!(person.get(&about_nothing(page)).await.status, 404, "{page}");
                continue;
            }
            let cells = &cells[operation];
            let cell = &cells[&role.to_string()];
            if cells["nobody"] == "yes" || cell.starts_with("own:") {
                continue;
            }
            let (statuses, _) = expected(cell);
            let reply = person.get(&about_nothing(page)).await;
            let context = format!("{page} as {role}, {cell}: {} {}", reply.status, reply.text());
            if statuses.is_empty() {
                assert!(matches!(reply.status, 200 | 404), "{context}");
                let_through += 1;
            } else {
                assert!(statuses.contains(&reply.status), "{context}");
                refused += 1;
            }
        }
    }
    assert!(refused > 20 && let_through > 20, "{refused} refused, {let_through} let through");
    gateway.finish().await;
}

/// F8: a credential in an address ends up in logs and histories, so it is no credential there.
#[tokio::test]
async fn f8_a_token_in_an_address_is_refused() {
    let gateway = TestGateway::start().await;
    let token = gateway.token(Role::Admin).to_owned();
    let mut client = RawClient::connect(gateway.addr()).await;
    for path in [
        format!("/apps?token={token}"),
        format!("!/api/v1/me?access_token={token}"),
        format!("!/api/v1/users?q={token}"),
        format!("/apps/{token}"),
    ] {
        for credential in ["", token.as_str()] {
            let reply = client.ask("GET", &path, credential, &[], b"").await;
            assert_eq!(reply.status, 400, "{path}: {}", reply.text());
            assert!(!reply.text().contains(&token));
        }
    }
    assert!(gateway.rack.requests().is_empty());
    let written = format!("{:?}", gateway.events().await);
    assert!(!written.contains(&token), "the log holds no credential");
    gateway.finish().await;
}
