//! The bench that every hostile request is put on. It has three observers: the client's transcript, what the
//! rack saw, and the log. A case passes only when all three tell the same story.
//!
//! Start reading at [`Bench::try_case`]; the cases are in the modules `hostile_*`, named by the labels of the
//! checklist of bad inputs (A1 to H4) and by the CVE that each would have been (`corpus.tsv`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use gateway_audit::{End, Event, Phase};
use gateway_sim::{SeenRequest, SimOptions};
use gateway_testkit::raw::basic;
use gateway_testkit::{RawClient, Reply, TestGateway, TestGatewayBuilder};

use crate::corpus;

pub(crate) mod http2;

/// The rack's password, which no client may ever see.
const RACK_PASSWORD: &str = "r4ck-p4ssw0rd";

/// The only header fields that a rack may ever see, beside the parameters of a row.
const UPSTREAM_FIELDS: [&str; 13] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "convox-actor",
    "host",
    "sec-websocket-key",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// What must come of a case.
#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// A problem with one of these statuses; the rack sees nothing; one event says it was refused.
    Refused(&'static [u16]),
    /// As `Refused`, and the connection ends, so that nothing behind the request is ever read.
    RefusedAndClosed(&'static [u16]),
    /// The rack sees exactly this, `GET /apps/myapp`, and the log has this row, `GET /apps/{app}`.
    Reaches { target: String, route: String },
    /// The gateway answers itself with this status, and the rack sees nothing.
    AnsweredHere(u16),
    /// The rack broke a rule, and the client is told 502: the one 5xx that is right.
    BadUpstream,
}

/// Whether the refusal says that the connection ends with it.
#[derive(Clone, Copy)]
enum Announced {
    Yes,
    No,
}

/// What the client saw of a case, kept until the log is read.
#[derive(Debug)]
struct Told {
    label: String,
    source: Ipv4Addr,
    request: String,
    status: u16,
    expect: Expect,
}

/// What the client saw of the same case over HTTP/2.
#[derive(Debug)]
struct Twin {
    label: String,
    source: Ipv4Addr,
    /// The request over HTTP/1.1.
    request: String,
    /// `None` when the stream was ended without a reply.
    status: Option<u16>,
    expect: Expect,
}

/// One gateway, and all that was tried on it.
pub(crate) struct Bench {
    pub(crate) gateway: TestGateway,
    /// A token that may do everything, so that only the form of a request can be what refuses it.
    pub(crate) token: String,
    name: &'static str,
    told: Vec<Told>,
    /// Whether each case is tried over HTTP/2 too, and what came of it there.
    twins: Option<Vec<Twin>>,
    cases: u32,
    sources: u32,
    rack_fields: Vec<&'static str>,
}

impl Bench {
    pub(crate) async fn start(name: &'static str) -> Self {
        Self::over(name, TestGateway::builder()).await
    }

    /// Tries each case over HTTP/1.1 and over HTTP/2.
    pub(crate) async fn start_both(name: &'static str) -> Self {
        Self::over_both(name, TestGateway::builder()).await
    }

    pub(crate) async fn over_both(name: &'static str, builder: TestGatewayBuilder) -> Self {
        let bench = Self::over(name, builder.env("H2C", "true")).await;
        Self { twins: Some(Vec::new()), ..bench }
    }

    pub(crate) async fn over(name: &'static str, builder: TestGatewayBuilder) -> Self {
        let rack = SimOptions { password: RACK_PASSWORD.to_owned(), ..SimOptions::for_tests() };
        let gateway = builder
            .rack(rack)
            .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "true")
            .env("DRAIN_TIMEOUT", "5s")
            .start()
            .await;
        let token = gateway.critical_token().await;
        Self {
            gateway,
            token,
            name,
            told: Vec::new(),
            twins: None,
            cases: 0,
            sources: 0,
            rack_fields: Vec::new(),
        }
    }

    /// Lets these further header fields, parameters of a row, reach the rack.
    pub(crate) fn parameters(&mut self, names: &[&'static str]) {
        self.rack_fields.extend(names);
    }

    /// The next loopback address: the log counts refusals of unknown callers per source, and each case is to
    /// have an event of its own.
    pub(crate) fn source(&mut self) -> Ipv4Addr {
        self.sources += 1;
        Ipv4Addr::from(0x7f01_0000 + self.sources)
    }

    /// A connection from an address of its own.
    pub(crate) async fn client(&mut self) -> (RawClient, Ipv4Addr) {
        let source = self.source();
        (RawClient::connect_from(source, self.gateway.addr()).await, source)
    }

    /// Counts cases that a test judged by itself.
    pub(crate) fn count(&mut self, cases: usize) {
        self.cases += u32::try_from(cases).unwrap();
    }

    /// What reached the rack for clients. To mask secrets the gateway reads an app's newest release by itself.
    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        let mut requests = self.gateway.rack.requests();
        requests.retain(|request| !request.target.ends_with("/releases?limit=1"));
        requests
    }

    pub(crate) fn seen_since(&self, before: usize) -> Vec<SeenRequest> {
        self.seen().split_off(before)
    }

    /// A request head below the rack proxy (`!` in front: anywhere), with the credential and these lines.
    pub(crate) fn head(&self, method: &str, path: &str, lines: &str) -> Vec<u8> {
        let path = match path.strip_prefix('!') {
            Some(path) => path.to_owned(),
            None => format!("/api/v1/rack-proxy{path}"),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n{lines}\r\n",
            self.gateway.addr(),
            basic(&self.token)
        )
        .into_bytes()
    }

    /// A whole request with a form.
    pub(crate) fn form(&self, method: &str, path: &str, form: &str) -> Vec<u8> {
        let lines =
            format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", form.len());
        [self.head(method, path, &lines), form.as_bytes().to_vec()].concat()
    }

    /// One case: the bytes are sent on a connection of their own, and the reply and the rack are looked at.
    pub(crate) async fn try_case(&mut self, label: &str, bytes: &[u8], expect: Expect) -> Reply {
        let before = self.seen().len();
        let (mut client, source) = self.client().await;
        client.send(bytes).await;
        // A malformed request has no method, so its refusal has a body.
        let is_head = bytes.starts_with(b"HEAD ") && !matches!(expect, Expect::RefusedAndClosed(_));
        let reply = client.reply_to(if is_head { "HEAD" } else { "GET" }).await;
        let shown = format!("{}: {}", corpus::named(label), shown(bytes));
        let reply = reply.unwrap_or_else(|| panic!("{shown}: closed without a reply"));
        if matches!(expect, Expect::RefusedAndClosed(_)) {
            assert_eq!(reply.header("connection"), Some("close"), "{shown}");
            assert!(client.is_closed().await, "{shown}: more came after the refusal");
        }
        self.judge(&shown, source, &reply, expect.clone());
        self.rack_saw(before, &shown, Some(reply.status), &expect);
        if self.twins.is_some() {
            let request = reply.header("request-id").unwrap_or_default().to_owned();
            let label = format!("HTTP/2 {shown}");
            match bytes[..find(bytes, b"\r\n")].contains(&b'#') {
                true => self.try_cut(label, bytes).await,
                false => self.try_twin(label, request, bytes, expect).await,
            }
        }
        reply
    }

    /// The rack saw what it must, and nothing else.
    fn rack_saw(&self, before: usize, shown: &str, status: Option<u16>, expect: &Expect) {
        let fresh = self.seen_since(before);
        let seen: Vec<String> = fresh.iter().map(line).collect();
        match expect {
            Expect::Reaches { target, .. } => {
                // To redact some replies the gateway reads the app's newest release by itself.
                let own =
                    |seen: &&String| *seen != target && seen.starts_with("GET /apps/myapp/releases?limit=1");
                let seen: Vec<&String> = seen.iter().filter(|seen| !own(seen)).collect();
                assert_eq!(seen, [target], "{shown}");
                let request = fresh.iter().find(|request| line(request) == *target);
                assert_eq!(request.and_then(|request| request.status), status, "{shown}");
            }
            Expect::BadUpstream => assert_eq!(seen.len(), 1, "{shown}"),
            Expect::Refused(_) | Expect::RefusedAndClosed(_) | Expect::AnsweredHere(_) => {
                assert_eq!(seen, Vec::<String>::new(), "{shown}");
            }
        }
    }

    /// A fragment, which no target has. HTTP/1.1's is refused; of HTTP/2's `:path` the library takes it away before
    /// anybody reads it, so that everybody, the rack among them, sees the request without it: it is the same one.
    async fn try_cut(&mut self, label: String, bytes: &[u8]) {
        let (start, end) = (find(bytes, b"#"), find(bytes, b" HTTP/1.1\r\n"));
        let without = [&bytes[..start], &bytes[end..]].concat();
        let before = self.seen().len();
        let (mut client, _) = self.client().await;
        client.send(&without).await;
        let reply = client.reply().await.unwrap_or_else(|| panic!("{label}: closed without a reply"));
        let seen: Vec<String> = self.seen_since(before).iter().map(line).collect();
        let source = self.source();
        let status = match http2::ask(source, self.gateway.addr(), bytes).await {
            http2::Told::Reply { status, .. } => Some(status),
            http2::Told::Ended => None,
        };
        assert!(
            status == Some(reply.status) || (status.is_none() && reply.status == 400),
            "{label}: {status:?}"
        );
        let again: Vec<String> = self.seen_since(before).iter().skip(seen.len()).map(line).collect();
        assert_eq!(again, seen, "{label}: what the rack saw");
        assert!(seen.iter().all(|line| !line.contains('#')), "{label}: {seen:?}");
        self.cases += 1;
        if let (Some(twins), Some(status)) = (&mut self.twins, status) {
            let request = reply.header("request-id").unwrap_or_default().to_owned();
            twins.push(Twin {
                label,
                source,
                request,
                status: Some(status),
                expect: Expect::AnsweredHere(status),
            });
        }
    }

    /// The same case over HTTP/2. A head that is none there may end the stream instead of being answered.
    async fn try_twin(&mut self, label: String, request: String, bytes: &[u8], expect: Expect) {
        let (before, source) = (self.seen().len(), self.source());
        let told = http2::ask(source, self.gateway.addr(), bytes).await;
        let status = match (&told, &expect) {
            (http2::Told::Reply { status, body }, _) => {
                assert!(!body.windows(4).any(|four| four == b"evil") || *status >= 400, "{label}");
                Some(*status)
            }
            (http2::Told::Ended, Expect::Refused(_) | Expect::RefusedAndClosed(_)) => None,
            (http2::Told::Ended, Expect::Reaches { .. } | Expect::AnsweredHere(_) | Expect::BadUpstream) => {
                panic!("{label}: the stream was ended")
            }
        };
        match (&expect, status) {
            (Expect::Refused(statuses) | Expect::RefusedAndClosed(statuses), Some(status)) => {
                assert!(statuses.contains(&status), "{label}: {told:?}");
            }
            (Expect::AnsweredHere(wanted), Some(status)) => assert_eq!(status, *wanted, "{label}"),
            (Expect::BadUpstream, Some(status)) => assert_eq!(status, 502, "{label}"),
            (Expect::Reaches { .. }, Some(status)) => assert!(status < 500 || status == 501, "{label}"),
            (_, None) => {}
        }
        self.rack_saw(before, &label, status, &expect);
        self.cases += 1;
        if let Some(twins) = &mut self.twins {
            twins.push(Twin { label, source, request, status, expect });
        }
    }

    /// Looks at one reply, and remembers what the log has to say of it.
    pub(crate) fn judge(&mut self, label: &str, source: Ipv4Addr, reply: &Reply, expect: Expect) {
        self.cases += 1;
        never_a_5xx(label, reply, &expect);
        let request = reply.header("request-id").unwrap_or_else(|| panic!("{label}: {reply:?}")).to_owned();
        match &expect {
            Expect::Refused(statuses) | Expect::RefusedAndClosed(statuses) => {
                assert!(statuses.contains(&reply.status), "{label}: {} {}", reply.status, reply.text());
                is_a_problem(label, reply, &request);
            }
            Expect::BadUpstream => is_a_problem(label, reply, &request),
            Expect::AnsweredHere(status) => assert_eq!(reply.status, *status, "{label}: {}", reply.text()),
            Expect::Reaches { .. } => {}
        }
        self.told.push(Told { label: label.to_owned(), source, request, status: reply.status, expect });
    }

    pub(crate) async fn refuses(&mut self, label: &str, bytes: &[u8], statuses: &'static [u16]) {
        self.try_case(label, bytes, Expect::Refused(statuses)).await;
    }

    /// Refused, and the connection is closed although it could have been kept.
    pub(crate) async fn cuts_off(&mut self, label: &str, bytes: &[u8], statuses: &'static [u16]) {
        self.try_case(label, bytes, Expect::RefusedAndClosed(statuses)).await;
    }

    pub(crate) async fn reaches(&mut self, label: &str, bytes: &[u8], target: &str, route: &str) -> Reply {
        let expect = Expect::Reaches { target: target.to_owned(), route: route.to_owned() };
        self.try_case(label, bytes, expect).await
    }

    /// A good request, the hostile bytes, and a poisoned request behind them, all on one connection and in one
    /// write. The good one is answered, the hostile one gets `statuses`, and the poison is never read: the rack
    /// sees the good request alone.
    pub(crate) async fn poisoned(&mut self, label: &str, hostile: &[u8], statuses: &'static [u16]) {
        self.rack_sees_only_the_good(label, hostile, Announced::Yes, statuses).await;
    }

    /// As [`Bench::poisoned`], where the refusal comes before the body is known to be malformed: then it is the
    /// body that ends the connection.
    pub(crate) async fn poisoned_body(&mut self, label: &str, hostile: &[u8], statuses: &'static [u16]) {
        self.rack_sees_only_the_good(label, hostile, Announced::No, statuses).await;
    }

    /// A request that nothing in these tests sends: it would be seen.
    pub(crate) fn poison(&self) -> Vec<u8> {
        self.head("POST", "/apps/other/services/web/restart", "Content-Length: 0\r\n")
    }

    async fn rack_sees_only_the_good(
        &mut self,
        label: &str,
        hostile: &[u8],
        announced: Announced,
        statuses: &'static [u16],
    ) {
        let poison = self.poison();
        let shown = format!("{}: {}", corpus::named(label), shown(hostile));
        let before = self.seen().len();
        let good = self.head("GET", "/apps/myapp", "");
        let (mut client, source) = self.client().await;
        client.send([good.as_slice(), hostile, &poison].concat()).await;
        let reply = client.reply().await.unwrap_or_else(|| panic!("{shown}: no first reply"));
        assert_eq!(reply.status, 200, "{shown}");
        let reply = client.reply().await.unwrap_or_else(|| panic!("{shown}: closed without a reply"));
        self.judge(&shown, source, &reply, Expect::RefusedAndClosed(statuses));
        if matches!(announced, Announced::Yes) {
            assert_eq!(reply.header("connection"), Some("close"), "{shown}");
        }
        assert!(client.is_closed().await, "{shown}: more came after the refusal");
        let seen: Vec<String> = self.seen_since(before).iter().map(line).collect();
        assert_eq!(seen, ["GET /apps/myapp"], "{shown}");
    }

    /// Reads the log, compares it with what the clients were told, and ends the gateway.
    pub(crate) async fn finish(self) {
        self.check_rack(&self.gateway.rack.requests());
        let events = self.gateway.events().await;
        let mut by_request: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
        for (_, event) in &events {
            assert_ne!(event.end, Some(End::Panicked), "{event:?}");
            assert!(event.status.is_none_or(|status| matches!(status, 0..=499 | 501 | 502)), "{event:?}");
            let request = event.request_id.map(|id| id.to_string()).unwrap_or_default();
            by_request.entry(request).or_default().push(event);
        }
        for told in &self.told {
            let events = by_request.get(&told.request).map(Vec::as_slice).unwrap_or_default();
            check_log(told, events);
        }
        for twin in self.twins.iter().flatten() {
            let here = events.iter().map(|(_, event)| event);
            let here: Vec<&Event> =
                here.filter(|event| event.source_ip == Some(IpAddr::V4(twin.source))).collect();
            check_twin(twin, &here, by_request.get(&twin.request).map(Vec::as_slice).unwrap_or_default());
        }
        corpus::count(self.name, usize::try_from(self.cases).unwrap());
        self.gateway.finish().await;
    }

    /// Nothing of a client's own headers, and only the rack's own credential, ever goes up.
    fn check_rack(&self, requests: &[SeenRequest]) {
        let credential = basic(self.gateway.rack.password());
        for request in requests {
            for (name, value) in &request.headers {
                let name = name.to_ascii_lowercase();
                assert!(
                    UPSTREAM_FIELDS.contains(&name.as_str()) || self.rack_fields.contains(&name.as_str()),
                    "the rack saw {name}: {value}"
                );
                assert!(!value.to_ascii_lowercase().contains("evil"), "the rack saw {name}: {value}");
            }
            assert_eq!(request.header("authorization"), Some(credential.as_str()), "{request:?}");
            assert_eq!(request.header("host"), Some(self.gateway.rack.addr().to_string().as_str()));
            assert!(request.actor.is_some(), "{request:?}");
        }
    }
}

/// Whatever a client sends, the answer is never the gateway's fault. Only a rack that breaks a rule is a 502.
fn never_a_5xx(label: &str, reply: &Reply, expect: &Expect) {
    match expect {
        Expect::BadUpstream => assert_eq!(reply.status, 502, "{label}: {}", reply.text()),
        // The simulated rack has no object listing; its 501 is passed on.
        Expect::Reaches { .. } if reply.status == 501 && reply.text().trim() == "unimplemented" => {}
        Expect::Refused(_)
        | Expect::RefusedAndClosed(_)
        | Expect::Reaches { .. }
        | Expect::AnsweredHere(_) => {
            assert!(reply.status < 500, "{label}: {} {}", reply.status, reply.text());
        }
    }
}

/// A refusal is a problem document about this very request, and gives away nothing of the host it was sent to.
fn is_a_problem(label: &str, reply: &Reply, request: &str) {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{label}");
    assert_eq!(reply.header("location"), None, "{label}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{label}");
    if reply.body.is_empty() {
        // A reply to HEAD.
        return;
    }
    let problem = reply.json();
    assert_eq!(problem["status"], reply.status, "{label}");
    assert_eq!(problem["instance"], request, "{label}");
    assert!(!reply.text().contains(RACK_PASSWORD), "{label}: {}", reply.text());
}

/// The log tells of this request what the client was told.
fn check_log(told: &Told, events: &[&Event]) {
    let label = &told.label;
    let last = events.last().unwrap_or_else(|| panic!("{label}: no event of request {}", told.request));
    for event in events {
        assert_eq!(event.source_ip, Some(IpAddr::V4(told.source)), "{label}");
    }
    match &told.expect {
        Expect::Refused(_) | Expect::RefusedAndClosed(_) => {
            assert_eq!(last.end, Some(End::Refused), "{label}: {last:?}");
            assert_eq!(last.status, Some(told.status), "{label}");
        }
        Expect::Reaches { route, .. } => {
            assert_eq!(
                events.first().and_then(|event| event.route.as_deref()),
                Some(route.as_str()),
                "{label}"
            );
            assert_eq!(last.status, Some(told.status), "{label}: {last:?}");
        }
        Expect::AnsweredHere(status) => assert_eq!(last.status, Some(*status), "{label}"),
        Expect::BadUpstream => assert_eq!(last.status, Some(502), "{label}"),
    }
    assert_eq!(last.phase, if events.len() > 1 { Phase::Outcome } else { Phase::Single }, "{label}");
}

/// The log tells of the request over HTTP/2 what it tells of the one over HTTP/1.1: the same route above all.
fn check_twin(twin: &Twin, events: &[&Event], first: &[&Event]) {
    let label = &twin.label;
    // What anybody may ask for all day, as probes do, is written down for neither version.
    if events.is_empty() && first.is_empty() && matches!(twin.expect, Expect::AnsweredHere(200)) {
        return;
    }
    let last = events.last().unwrap_or_else(|| panic!("{label}: no event from {}", twin.source));
    let route = |events: &[&Event]| events.iter().find_map(|event| event.route.clone());
    match &twin.expect {
        Expect::Refused(statuses) | Expect::RefusedAndClosed(statuses) => {
            assert_eq!(last.end, Some(End::Refused), "{label}: {last:?}");
            let status = last.status.unwrap_or_default();
            assert!(
                statuses.contains(&status) || (twin.status.is_none() && status == 400),
                "{label}: {last:?}"
            );
            if twin.status.is_some() {
                assert_eq!((last.status, route(events)), (twin.status, route(first)), "{label}");
            } else {
                assert_eq!(route(events), None, "{label}: what was never read has no route");
            }
        }
        Expect::Reaches { route: wanted, .. } => {
            assert_eq!(
                (route(events).as_deref(), last.status),
                (Some(wanted.as_str()), twin.status),
                "{label}"
            );
        }
        Expect::AnsweredHere(_) | Expect::BadUpstream => {
            assert_eq!((route(events), last.status), (route(first), twin.status), "{label}");
        }
    }
}

/// `GET /apps`, as the rack saw it.
pub(crate) fn line(request: &SeenRequest) -> String {
    format!("{} {}", request.method, request.target)
}

/// Where these bytes begin.
fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|some| some == wanted).expect("it is there")
}

/// The beginning of some bytes, fit for a message.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let start = bytes.get(..bytes.len().min(300)).unwrap_or_default();
    start.escape_ascii().to_string()
}
