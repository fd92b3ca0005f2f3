//! The rack's part of the matrix over HTTP: every row × role × credential is asked for real. What policy
//! refuses never reaches the rack; what it allows reaches it once, as exactly the canonical request.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gateway_audit::{End, Phase};
use gateway_convox::{
    BodyKind, Place, RackRequest, RequestKind, RouteTable, Row, UpstreamBody, UpstreamRequest, ValueType,
};
use gateway_framing::websocket::Opcode;
use gateway_policy::{OwnTable, PolicyEngine};
use gateway_sim::SeenRequest;
use gateway_testkit::{RawClient, Reply, Socket, TestGateway};
use gateway_types::{Caller, Channel, Class, Facts, Layer, Principal, Resource, Role, Verdict};

/// What people read in review. What it says must be what happens.
const GOLDEN: &str = include_str!("../../../gateway-policy/authz-matrix.txt");

/// Someone who asks: the golden table's column, and the credential.
struct Asker {
    column: String,
    credential: String,
    principal: Principal,
    reaches_critical: bool,
}

/// A request that a row takes.
pub(super) struct Request {
    row: usize,
    pub(super) method: &'static str,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// What of it must reach the rack.
    typed: RackRequest,
}

impl Request {
    pub(super) fn is_socket(&self) -> bool {
        self.typed.row().is_socket()
    }

    pub(super) fn headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// A value of each path parameter. What is deleted is named so that no later request misses it.
fn path_value(route: &str, name: &str) -> &'static str {
    match name {
        "app" if route.starts_with("DELETE /apps/{app}") => "doomed",
        "app" => "myapp",
        "id" if route.contains("/builds/") => "BSEED00001",
        "id" if route.contains("/releases/") => "RSEED00001",
        "id" if route.contains("/instances/") => "node-1",
        "id" => "cert-1",
        "pid" => "myapp-web-7d9f8b6c5-aaaa0",
        "service" => "web",
        "name" => "db",
        "resource" | "snapshot" => "thing",
        "key*" => "tmp/matrix.tgz",
        "server*" => "index.docker.io/v1",
        "host" => "db.internal",
        "port" => "5432",
        other => panic!("no value for {{{other}}} of {route}"),
    }
}

fn value_of(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Bool => "true",
        ValueType::Int => "3",
        ValueType::Duration => "2m0s",
        ValueType::Time => "20260102.150405.000000000",
        ValueType::List => "one,two",
        ValueType::Map => "one=1",
        ValueType::Json => "{}",
        ValueType::Text => "text",
    }
}

fn expand(route: &str, template: &str) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        path.push_str(before);
        path.push_str(path_value(route, name));
        rest = after;
    }
    path + rest
}

/// A valid request of `row` with its required parameters and these besides.
fn request(table: &RouteTable, number: usize, row: &Row, besides: &[(&str, &str)]) -> Request {
    let route = &*row.operation.route;
    let (verb, template) = route.split_once(' ').unwrap();
    let method = match verb {
        "ANY" | "SOCKET" | "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        other => panic!("no method for {other}"),
    };
    let (mut query, mut form, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    for spec in row.parameters.iter().filter(|spec| !spec.ignored) {
        let given = besides.iter().find(|(name, _)| spec.is_named(name)).map(|(_, value)| *value);
        let Some(value) = given.or_else(|| spec.required.then(|| value_of(spec.value_type))) else {
            continue;
        };
        // Nothing in these values needs more than this.
        let encoded = value.replace('{', "%7B").replace('}', "%7D").replace('=', "%3D").replace(',', "%2C");
        match spec.place {
            Place::Query => query.push(format!("{}={encoded}", spec.name)),
            Place::Form => form.push(format!("{}={encoded}", spec.name)),
            Place::Header => headers.push((spec.name.clone(), value.to_owned())),
            Place::Path => unreachable!("path parameters are in the template"),
        }
    }
    let body = match row.body {
        BodyKind::None => Vec::new(),
        BodyKind::Form => form.join("&").into_bytes(),
        BodyKind::Stream => b"some bytes".to_vec(),
        BodyKind::Json => b"{}".to_vec(),
    };
    if !body.is_empty() {
        let form = row.body == BodyKind::Form;
        let label = if form { "application/x-www-form-urlencoded" } else { "application/octet-stream" };
        headers.push(("Content-Type".to_owned(), label.to_owned()));
    }
    let path = expand(route, template);
    let kind = if row.is_socket() { RequestKind::Socket } else { RequestKind::Plain };
    let typed = table
        .identify(method, &path, kind)
        .unwrap_or_else(|fault| panic!("{route}: {fault}"))
        .complete(
            (!query.is_empty()).then(|| query.join("&")).as_deref(),
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())),
            headers.iter().find(|(name, _)| name == "Content-Type").map(|(_, value)| value.as_str()),
            (row.body == BodyKind::Form && !body.is_empty()).then_some(body.as_slice()),
        )
        .unwrap_or_else(|fault| panic!("{route}: {fault}"));
    assert_eq!(typed.row().operation.route, row.operation.route, "the path is another row's");
    let target = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
    Request { row: number, method, target, headers, body, typed }
}

/// One request for each row, and some for what changes the verdict of a row.
pub(super) fn requests(table: &RouteTable) -> Vec<Request> {
    let mut requests = Vec::new();
    for (number, row) in table.rows().iter().enumerate().filter(|(_, row)| row.is_enabled()) {
        requests.push(request(table, number, row, &[]));
        let besides: &[&[(&str, &str)]] = match row.operation.action.as_str() {
            "convox:app:update" => &[&[("lock", "false")], &[("lock", "true")]],
            "convox:build:create" => &[
                &[("external", "true")],
                &[("url", "object://other/tmp/a.tgz")],
                &[("url", "object://myapp/a")],
            ],
            "convox:object:create" => &[&[("Public", "true")]],
            "convox:process:start" => &[&[("Image", "evil")], &[("Environment", "A=1")]],
            _ => &[],
        };
        requests.extend(besides.iter().map(|besides| request(table, number, row, besides)));
    }
    requests
}

async fn askers(gateway: &TestGateway) -> Vec<Asker> {
    let mut askers = vec![Asker {
        column: "nobody".to_owned(),
        credential: String::new(),
        principal: Principal::Anonymous,
        reaches_critical: false,
    }];
    let mut credentials = vec![("t-admin".to_owned(), gateway.critical_token().await, true)];
    for role in Role::ALL {
        credentials.push((format!("t-{role}"), gateway.token(role).to_owned(), false));
        // There are no people with the role for machines.
        if role != Role::Cicd {
            credentials.push((role.to_string(), gateway.session(role).await, false));
        }
    }
    for (column, credential, reaches_critical) in credentials {
        let now = gateway_types::Clock::now(&*gateway.clock);
        let known = gateway.store().callers().resolve(&credential, now).await.unwrap();
        let principal = known.principal.clone();
        askers.push(Asker { column, credential, principal, reaches_critical });
    }
    askers
}

/// The golden table: a route's cell in each column.
pub(super) fn golden() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut lines = GOLDEN.lines().filter(|line| !line.starts_with('#'));
    let cells = |line: &str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let head = cells(lines.next().unwrap());
    lines
        .map(|line| {
            let cells = cells(line);
            assert_eq!(cells.len(), head.len(), "{line}");
            (cells[0].clone(), head.iter().cloned().zip(cells).skip(1).collect())
        })
        .collect()
}

pub(super) fn engine() -> PolicyEngine {
    let mut operations = RouteTable::builtin().unwrap().operations();
    operations.extend(OwnTable::builtin().unwrap().operations());
    PolicyEngine::new(operations, &[]).unwrap()
}

/// What came back, in one shape for HTTP and sockets.
enum Answer {
    Http(Reply),
    /// Opened, and refused inside: the text.
    Told(String),
    Opened,
}

struct Asking {
    addr: SocketAddr,
    kept: Option<RawClient>,
}

impl Asking {
    async fn ask(&mut self, request: &Request, credential: &str) -> Answer {
        if request.is_socket() {
            return self.open(request, credential).await;
        }
        let streams = matches!(request.typed.row().body, BodyKind::Stream | BodyKind::Json);
        let mut client = match self.kept.take().filter(|_| !streams) {
            Some(client) => client,
            None => RawClient::connect(self.addr).await,
        };
        let reply =
            client.ask(request.method, &request.target, credential, &request.headers(), &request.body).await;
        if !streams && reply.header("connection") != Some("close") {
            self.kept = Some(client);
        }
        Answer::Http(reply)
    }

    /// Opens a socket and reads enough to know whether the gateway refused inside it.
    async fn open(&mut self, request: &Request, credential: &str) -> Answer {
        match Socket::open(self.addr, &request.target, credential, &request.headers()).await {
            Err(reply) => Answer::Http(reply),
            Ok(mut socket) => {
                socket.send(Opcode::Binary, b"").await;
                let Some(first) = socket.frame().await else { return Answer::Opened };
                let text = String::from_utf8_lossy(&first.payload).into_owned();
                if text.starts_with("ERROR: ") && text.contains(" layer, request ") {
                    let rest = socket.until_end().await;
                    assert_eq!(rest[0].payload, b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:1\n");
                    assert_eq!((rest[1].opcode, rest[1].payload.len()), (Opcode::Binary, 0));
                    return Answer::Told(text);
                }
                Answer::Opened
            }
        }
    }
}

fn check_refusal(context: &str, answer: &Answer, verdict: &Verdict) {
    let kinds: Vec<&str> = verdict.remedies.iter().map(|remedy| remedy.kind.name()).collect();
    let anonymous = verdict.layer == Layer::Authentication;
    assert!(anonymous || !kinds.is_empty(), "{context}: policy refuses without a remedy");
    match answer {
        Answer::Opened => panic!("{context}: allowed, but policy says {verdict:?}"),
        Answer::Told(text) => {
            let layer = format!("[{} layer, request ", verdict.layer);
            assert!(text.contains(&layer), "{context}: {text}");
        }
        Answer::Http(reply) => {
            let status = match verdict.layer {
                Layer::Authentication | Layer::Mfa => 401,
                Layer::Network | Layer::Authorization | Layer::Audit => 403,
            };
            assert_eq!(reply.status, status, "{context}: {}", reply.text());
            assert_eq!(reply.header("www-authenticate").is_some(), status == 401, "{context}");
            if context.contains(" HEAD ") {
                return;
            }
            let problem = reply.json();
            assert_eq!(problem["layer"], verdict.layer.name(), "{context}");
            assert!(problem["error"].as_str().is_some_and(|text| !text.contains('%')), "{context}");
            let told: Vec<&str> = problem["remedies"]
                .as_array()
                .unwrap()
                .iter()
                .map(|remedy| remedy["kind"].as_str().unwrap())
                .collect();
            assert_eq!(told, kinds, "{context}");
        }
    }
}

fn canonical(request: &Request, principal: &Principal) -> UpstreamRequest {
    let mut typed = request.typed.clone();
    if typed.row().parameters.iter().any(|spec| spec.is_named("ack_by")) {
        typed.set("ack_by", principal.display_name()).unwrap();
    }
    typed.serialise()
}

/// The reads that the gateway makes for itself: to know which values it must hide in a reply, and what a write of the
/// rack's parameters changes.
fn is_own_read(request: &Request, seen: &SeenRequest) -> bool {
    let writes_parameters = request.typed.operation().action.as_str() == "convox:rack:update"
        && request.typed.get("parameters").is_some();
    if writes_parameters {
        return (&*seen.method, &*seen.target) == ("GET", "/system");
    }
    let labels = &request.typed.row().secrets;
    labels.contains('~') && seen.method == "GET" && seen.target == "/apps/myapp/releases?limit=1"
}

fn check_allowed(context: &str, request: &Request, asker: &Asker, answer: &Answer, grown: &[SeenRequest]) {
    let here = request.typed.row().answered_here;
    match answer {
        Answer::Told(text) => panic!("{context}: refused, but policy allows: {text}"),
        Answer::Opened => {}
        Answer::Http(reply) => {
            assert!(!matches!(reply.status, 401), "{context}: {}", reply.text());
            let problem = reply.header("content-type") == Some("application/problem+json");
            // Nothing waits to be confirmed in console mode, and nothing was.
            assert!(!problem || (here && matches!(reply.status, 403 | 404)), "{context}: {}", reply.text());
        }
    }
    if here {
        assert!(grown.is_empty(), "{context}: is answered here, but the rack saw {grown:?}");
        return;
    }
    let expected = canonical(request, &asker.principal);
    let (sent, own): (Vec<&SeenRequest>, Vec<&SeenRequest>) =
        grown.iter().partition(|seen| (&*seen.method, &*seen.target) == (expected.method, &*expected.target));
    assert_eq!(sent.len(), 1, "{context}: the rack saw {grown:?}");
    assert!(own.iter().all(|seen| is_own_read(request, seen)), "{context}: the rack saw {own:?}");
    let sent = sent[0];
    assert_eq!(sent.is_socket, request.is_socket(), "{context}");
    for (name, value) in &expected.headers {
        assert_eq!(sent.header(name), Some(value.as_str()), "{context}: header {name}");
    }
    assert!(sent.actor.as_deref().is_some_and(|actor| actor.contains("@example.com")), "{context}");
    let body: &[u8] = match &expected.body {
        UpstreamBody::None => b"",
        UpstreamBody::Form(form) => form,
        UpstreamBody::Stream { .. } => &request.body,
    };
    assert_eq!(sent.body, body, "{context}: {}", String::from_utf8_lossy(&sent.body));
}

/// Asks for everything as everyone; gives what was allowed, by action.
async fn ask_everything(gateway: &TestGateway, base: &Facts, golden: Option<&str>) {
    let table = RouteTable::builtin().unwrap();
    let (engine, requests, askers) = (engine(), requests(&table), askers(gateway).await);
    let cells = self::golden();
    let mut intents: BTreeMap<String, usize> = BTreeMap::new();
    let (mut allowed, mut refused, mut unknown) = (0_usize, 0_usize, 0_usize);
    for asker in &askers {
        let mut asking = Asking { addr: gateway.addr(), kept: None };
        let caller = Caller {
            principal: asker.principal.clone(),
            channel: Channel::RackProxy,
            source_ip: "127.0.0.1".parse().unwrap(),
        };
        let mut first_of_row = usize::MAX;
        for request in &requests {
            let operation = request.typed.operation();
            let context = format!(
                "{} ({}) {} {}",
                asker.column, asker.reaches_critical, request.method, request.target
            );
            let facts = Facts { sensitive_parameters: request.typed.sensitive_parameters(), ..base.clone() };
            let mut verdict = engine.decide(&caller, operation, &request.typed.resource(), &facts);
            if !verdict.is_allowed() && could_ask_for_more(&engine, &caller) {
                let facts = Facts { elevation_possible: true, ..facts };
                verdict = engine.decide(&caller, operation, &request.typed.resource(), &facts);
            }
            let plain = first_of_row != request.row || operation.action.as_str() == "convox:app:unlock";
            first_of_row = request.row;
            if golden.is_some() && plain {
                let cell = &cells[&*operation.route][&asker.column];
                let yes = cell == "yes" || (cell == "critical" && asker.reaches_critical);
                assert_eq!(verdict.is_allowed(), yes, "{context}: the golden table says {cell}");
            }
            let before = gateway.rack.requests().len();
            let answer = asking.ask(request, &asker.credential).await;
            let grown = gateway.rack.requests().split_off(before);
            if verdict.is_allowed() {
                allowed += 1;
                if operation.class.needs_intent() {
                    *intents.entry(operation.action.to_string()).or_default() += 1;
                }
                check_allowed(&context, request, asker, &answer, &grown);
            } else {
                refused += 1;
                unknown += usize::from(matches!(asker.principal, Principal::Anonymous));
                assert!(grown.is_empty(), "{context}: refused, but the rack saw {grown:?}");
                check_refusal(&context, &answer, &verdict);
            }
        }
    }
    assert!(allowed > 100 && refused > 100, "{allowed} allowed, {refused} refused");
    let events = gateway.events().await;
    let of = |phase| events.iter().filter(move |(_, event)| event.phase == phase);
    let mut written: BTreeMap<String, usize> = BTreeMap::new();
    of(Phase::Intent).for_each(|(_, event)| *written.entry(event.action.to_string()).or_default() += 1);
    assert_eq!(written, intents, "each effect has its intent, and nothing else has one");
    // Each refusal of someone known is an event; those of nobody are counted together.
    let told = of(Phase::Single).filter(|(_, event)| event.end == Some(End::Refused)).count();
    let silent = requests.iter().filter(|request| request.typed.row().answered_here).count();
    assert!(told >= refused - unknown - silent * askers.len(), "{told} of {refused} refusals are events");
}

/// Whether the caller could ask for an elevation, which is then among the remedies of what they are refused.
fn could_ask_for_more(engine: &PolicyEngine, caller: &Caller) -> bool {
    let ask = engine.operation("gateway:elevation:request").unwrap();
    let is_person = matches!(caller.principal, Principal::User { .. });
    is_person && engine.decide(caller, ask, &Resource::gateway(), &Facts::default()).is_allowed()
}

#[tokio::test]
async fn l1_every_row_role_and_credential_with_settings_at_their_defaults() {
    let gateway = TestGateway::start().await;
    ask_everything(&gateway, &Facts::default(), Some(GOLDEN)).await;
    gateway.finish().await;
}

#[tokio::test]
async fn l1_every_row_role_and_credential_with_everything_switched_on() {
    let gateway = TestGateway::builder()
        .env("RGW_SETTING_MFA_STEP_UP", "false")
        .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "true")
        .env("RGW_SETTING_EXTERNAL_BUILDS", "true")
        .start()
        .await;
    let facts =
        Facts { mfa_off: true, destructive_allowed: true, external_builds_allowed: true, ..Facts::default() };
    ask_everything(&gateway, &facts, None).await;
    gateway.finish().await;
}

#[tokio::test]
async fn l1_a_credential_that_is_not_valid_reaches_nothing() {
    let gateway = TestGateway::start().await;
    let table = RouteTable::builtin().unwrap();
    let revoked = gateway.new_token(Role::Admin, Vec::new()).await;
    let now = gateway_types::Clock::now(&*gateway.clock);
    let known = gateway.store().callers().resolve(&revoked, now).await.unwrap();
    let Principal::ApiToken { id, .. } = known.principal else { panic!("a token") };
    gateway.store().tokens().revoke(id).await.unwrap();
    let never_made = format!("rgw_{}", "A".repeat(43));
    for credential in [revoked.as_str(), &never_made, "secret", "rgs_", "x"] {
        let mut asking = Asking { addr: gateway.addr(), kept: None };
        for request in requests(&table) {
            let open = request.typed.operation().class == Class::Open;
            let context = format!("{credential} {} {}", request.method, request.target);
            match asking.ask(&request, credential).await {
                Answer::Http(reply) if open => assert_ne!(reply.status, 401, "{context}"),
                Answer::Http(reply) => {
                    assert_eq!(reply.status, 401, "{context}: {}", reply.text());
                    assert!(reply.header("www-authenticate").is_some(), "{context}");
                }
                Answer::Told(text) => assert!(text.contains("[authentication layer, "), "{context}: {text}"),
                Answer::Opened => panic!("{context}: opened"),
            }
        }
    }
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}

#[tokio::test]
async fn l1_rows_that_are_switched_off_do_not_exist_for_anyone() {
    let gateway = TestGateway::start().await;
    let token = gateway.critical_token().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    for (method, path) in [
        ("PUT", "/system/jwt/rotate"),
        ("POST", "/system/jwt/token"),
        ("GET", "/v2/_catalog"),
        ("GET", "/custom/http/proxy/metrics"),
        ("GET", "/kubernetes/api/v1/secrets"),
        ("GET", "/apps/myapp/nothing"),
    ] {
        let reply = client.ask(method, path, &token, &[], b"").await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}
