//! What is asked of a gateway through its front end, and what each answer means.
//!
//! Labels are those of the project's checklist of bad inputs: A paths, B headers, C framing, E what must not be
//! seen, K limits, T TLS.

use gateway_types::wire::selfcheck::Seen;
use serde::Serialize;

use super::hello;
use super::wire::{Answer, Reply, Wire};
use crate::failure::{Exit, Failure};

mod streams;

/// An address that nobody has (RFC 5737).
const NOBODY: &str = "203.0.113.77";

/// What `Connection` says in the plain probe. Whatever speaks HTTP in between writes its own, in its own spelling.
const HOP: &str = "cLoSe";

/// What a check came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// As it should be.
    Clean,
    /// Something to change.
    Finding,
    /// No answer that says anything.
    Unknown,
}

/// One check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Check {
    /// Its label.
    pub(super) label: &'static str,
    /// What was sent.
    pub(super) title: String,
    /// What it came to.
    pub(super) outcome: Outcome,
    /// What was seen.
    pub(super) detail: String,
    /// What to change; empty when there is nothing.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) change: &'static str,
}

/// What a scan found.
pub(super) struct Found {
    /// Whether something between rewrites requests.
    pub(super) behind_a_front: bool,
    /// Every check, in order.
    pub(super) checks: Vec<Check>,
}

/// Spellings of the probe's path that only something in front would turn into it.
const PATHS: [(&str, &str, &str); 13] = [
    ("A1", "two slashes at the beginning", "//api/v1/selfcheck/probe"),
    ("A1", "two slashes within", "/api/v1//selfcheck/probe"),
    ("A1", "a dot segment", "/api/./v1/selfcheck/probe"),
    ("A1", "a dot-dot segment", "/api/v1/x/../selfcheck/probe"),
    ("A2", "escaped dots", "/api/v1/x/%2e%2e/selfcheck/probe"),
    ("A2", "an escaped letter", "/api/v1/%73elfcheck/probe"),
    ("A3", "an escaped slash", "/api/v1%2fselfcheck/probe"),
    ("A3", "a backslash", "/api/v1\\selfcheck/probe"),
    ("A4", "an escaped line feed", "/api/v1/selfcheck/probe%0a"),
    ("A5", "a parameter behind a semicolon", "/api/v1/selfcheck/probe;x=1"),
    ("A5", "dot-dot behind a semicolon", "/api/v1/x;/../selfcheck/probe"),
    ("A8", "capitals", "/API/V1/selfcheck/probe"),
    ("A8", "a slash at the end", "/api/v1/selfcheck/probe/"),
];

const KEEP_PATHS: &str = "let the front end pass paths as they came: in nginx `proxy_pass` without a path behind the \
                          address; in others switch path normalisation and merging of slashes off";

/// Malformed heads that only something in front would mend. `{H}` is the usual head.
const HEADS: [(&str, &str, &str); 4] = [
    ("B7", "a header that is folded over two lines", "{H}X-Selfcheck-A: a\r\n b\r\n\r\n"),
    ("B7", "a blank before a header's colon", "{H}X-Selfcheck-A : a\r\n\r\n"),
    ("B7", "a header without a name", "{H}: a\r\n\r\n"),
    ("B5", "a second Host header", "{H}Host: other.example\r\n\r\n"),
];

const STRICT_HEADS: &str = "let the front end refuse malformed requests instead of mending them; what it mends, others may read otherwise";

/// Bodies whose length can be read in two ways. They go to a path that takes no POST: 405 tells that it arrived.
const LENGTHS: [(&str, &str, &str); 6] = [
    (
        "C1",
        "Content-Length and Transfer-Encoding together",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("C1", "two different lengths", "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    ("C1", "a length with a sign", "Content-Length: +5\r\n\r\nhello"),
    ("C1", "an unknown transfer coding", "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("C1", "a transfer coding behind a tab", "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"),
    ("C1", "a blank before the colon of Transfer-Encoding", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
];

const STRICT_LENGTHS: &str = "let the front end refuse requests whose length is ambiguous (RFC 9112, section 6.3): requests can be smuggled past it";

const DO_NOT_PASS: &str = "let the front end set X-Forwarded-For and X-Forwarded-Proto itself, in place of what \
                           clients send (nginx: `proxy_set_header X-Forwarded-For $remote_addr;`), and list only it in \
                           `listener.trusted_forwarders`";

const PASSES_UNDERSCORES: &str =
    "the front end passes it; programs that take X_Forwarded_For for X-Forwarded-For believe it";

const NO_UNDERSCORES: &str = "drop such headers in the front end (nginx: `underscores_in_headers off;`)";

/// Makes every check. `progress` is told how many are done, of how many, and what was done last.
///
/// # Errors
/// When the first probe does not arrive: then nothing could be said.
pub(super) async fn run(
    wire: &Wire,
    key: &str,
    mut progress: impl FnMut(usize, usize, &str),
) -> Result<Found, Failure> {
    let scan = Scan::begin(wire, key).await?;
    let groups: [(&str, usize); 7] = [
        ("paths", 0),
        ("headers", 1),
        ("lengths", 2),
        ("sockets", 3),
        ("HTTP/2", 4),
        ("pages", 5),
        ("TLS", 6),
    ];
    let mut checks = vec![scan.arrives_as_it_is()];
    for (title, number) in groups {
        checks.extend(match number {
            0 => scan.paths().await,
            1 => scan.headers().await,
            2 => scan.lengths().await,
            3 => scan.sockets().await,
            4 => scan.streams().await,
            5 => scan.pages().await,
            _ => scan.tls().await,
        });
        progress(number + 1, groups.len(), title);
    }
    Ok(Found { behind_a_front: scan.behind_a_front, checks })
}

struct Scan<'a> {
    wire: &'a Wire,
    key: &'a str,
    /// What arrived of a plain probe.
    plain: Seen,
    behind_a_front: bool,
}

/// What the gateway saw, when it was the gateway who answered the probe.
fn seen(answer: &Answer) -> Option<Seen> {
    match answer {
        Answer::Reply(Reply { status: 200, body, .. }) => {
            serde_json::from_slice::<Seen>(body).ok().filter(|seen| !seen.client.is_empty())
        }
        Answer::Reply(_) | Answer::Other(_) | Answer::Closed | Answer::Silent => None,
    }
}

/// Whether it was the gateway that refused.
fn is_of_the_gateway(answer: &Answer) -> bool {
    matches!(answer, Answer::Reply(reply) if reply.header("content-type") == Some("application/problem+json"))
}

fn told(answer: &Answer) -> String {
    match answer {
        Answer::Reply(reply) => format!("answered with {}", reply.status),
        Answer::Other(_) => "answered with something that is not HTTP/1.1".to_owned(),
        Answer::Closed => "the connection was closed".to_owned(),
        Answer::Silent => "no answer in time".to_owned(),
    }
}

fn clean(label: &'static str, title: impl Into<String>, detail: impl Into<String>) -> Check {
    Check { label, title: title.into(), outcome: Outcome::Clean, detail: detail.into(), change: "" }
}

fn finding(
    label: &'static str,
    title: impl Into<String>,
    detail: impl Into<String>,
    change: &'static str,
) -> Check {
    Check { label, title: title.into(), outcome: Outcome::Finding, detail: detail.into(), change }
}

fn unknown(label: &'static str, title: impl Into<String>, answer: &Answer) -> Check {
    Check { label, title: title.into(), outcome: Outcome::Unknown, detail: told(answer), change: "" }
}

impl<'a> Scan<'a> {
    async fn begin(wire: &'a Wire, key: &'a str) -> Result<Self, Failure> {
        let mut scan = Self { wire, key, plain: Seen::default(), behind_a_front: false };
        let request = format!(
            "GET {}/api/v1/selfcheck/probe HTTP/1.1\r\nHost: {}\r\nConnection: {HOP}\r\nAccept: application/json\r\nSelfcheck-Key: {key}\r\nX-Selfcheck-Plain: 1\r\n\r\n",
            wire.prefix(),
            wire.authority()
        );
        let answer = wire.exchange(request.as_bytes()).await;
        let Some(plain) = seen(&answer) else {
            return Err(Failure::new(
                Exit::Failed,
                format!("the first probe did not arrive: {}", told(&answer)),
            )
            .hint("the front end may rewrite Host: it must pass the one that the client sent"));
        };
        let sent = ["host", "connection", "accept", "x-selfcheck-plain"];
        let is_as_sent = plain.headers.len() == sent.len()
            && plain.headers.iter().all(|header| {
                sent.contains(&header.name.as_str())
                    && (header.name != "connection" || header.value.as_deref() == Some(HOP))
            });
        let local = match &answer {
            Answer::Reply(reply) => reply.local.to_string(),
            Answer::Other(_) | Answer::Closed | Answer::Silent => String::new(),
        };
        // A router that only changes addresses reads and rewrites nothing.
        scan.behind_a_front = plain.peer != local && (!is_as_sent || plain.tls != wire.is_tls());
        scan.plain = plain;
        Ok(scan)
    }

    /// The head of a probe up to where further lines go.
    fn head(&self, method: &str, target: &str) -> String {
        format!(
            "{method} {}{target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: application/json\r\nSelfcheck-Key: {}\r\n",
            self.wire.prefix(),
            self.wire.authority(),
            self.key
        )
    }

    async fn probe(&self, target: &str, lines: &str) -> Answer {
        let request = format!("{}X-Selfcheck-Plain: 1\r\n{lines}\r\n", self.head("GET", target));
        self.wire.exchange(request.as_bytes()).await
    }

    /// The probe with further header lines; what the gateway saw.
    async fn with(&self, lines: &str) -> (Answer, Option<Seen>) {
        let answer = self.probe("/api/v1/selfcheck/probe", lines).await;
        let seen = seen(&answer);
        (answer, seen)
    }

    /// Whether the gateway knows where its callers are, and how they came.
    fn arrives_as_it_is(&self) -> Check {
        let title = "a plain request";
        let peer =
            self.plain.peer.rsplit_once(':').map_or("", |(ip, _)| ip).trim_matches(|c| c == '[' || c == ']');
        let scheme = if self.wire.is_tls() { "https" } else { "http" };
        if self.plain.scheme != scheme {
            return finding(
                "B4",
                title,
                format!("the client used {scheme}, and the gateway takes it for {}", self.plain.scheme),
                "let the front end set X-Forwarded-Proto, and list its address in `listener.trusted_forwarders`",
            );
        }
        if self.behind_a_front && self.plain.client == peer {
            return finding(
                "B4",
                title,
                format!(
                    "the gateway takes the front end at {peer} for the client: limits, policies and the log see one address"
                ),
                "let the front end set X-Forwarded-For, and list its address in `listener.trusted_forwarders`",
            );
        }
        clean("B4", title, format!("arrived from {} over {scheme}", self.plain.client))
    }

    async fn paths(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for (label, title, target) in PATHS {
            let answer = self.probe(target, "").await;
            checks.push(match (&answer, seen(&answer)) {
                (_, Some(seen)) => finding(
                    label,
                    format!("a path with {title}"),
                    format!("{target} arrived as {}", seen.path),
                    KEEP_PATHS,
                ),
                (Answer::Silent, None) => unknown(label, format!("a path with {title}"), &answer),
                (_, None) => clean(label, format!("a path with {title}"), told(&answer)),
            });
        }
        let (answer, seen) = self.with("X-HTTP-Method-Override: DELETE\r\n").await;
        checks.push(match seen {
            Some(seen) if seen.method == "GET" => {
                clean("A10", "a header that names another method", "arrived as GET")
            }
            Some(seen) => finding(
                "A10",
                "a header that names another method",
                format!("arrived as {}", seen.method),
                "switch X-HTTP-Method-Override off in the front end",
            ),
            None => unknown("A10", "a header that names another method", &answer),
        });
        checks
    }

    async fn headers(&self) -> Vec<Check> {
        let mut checks = vec![self.underscores().await];
        for name in
            ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP"]
        {
            let value = if name == "Forwarded" { format!("for={NOBODY}") } else { NOBODY.to_owned() };
            checks.push(self.spoofed_address(name, &value).await);
        }
        checks.push(self.spoofed_scheme().await);
        checks.push(self.nominated().await);
        for (label, title, head) in HEADS {
            let request = head.replace("{H}", &self.head("GET", "/api/v1/selfcheck/probe"));
            let answer = self.wire.exchange(request.as_bytes()).await;
            checks.push(match seen(&answer) {
                Some(_) => finding(label, title, "it was mended on the way and arrived", STRICT_HEADS),
                None if answer == Answer::Silent => unknown(label, title, &answer),
                None => clean(label, title, told(&answer)),
            });
        }
        checks.push(self.large_head().await);
        checks
    }

    async fn underscores(&self) -> Check {
        let title = "a header name with underscores";
        let (answer, seen) = self.with("X_Selfcheck_Underscore: 1\r\n").await;
        match seen {
            Some(seen) if !seen.headers.iter().any(|header| header.name == "x_selfcheck_underscore") => {
                clean("B1", title, "dropped on the way")
            }
            Some(_) if self.behind_a_front => finding("B1", title, PASSES_UNDERSCORES, NO_UNDERSCORES),
            Some(_) => clean("B1", title, "arrived at the gateway, which passes none of them on"),
            None if self.behind_a_front && is_of_the_gateway(&answer) => {
                finding("B1", title, PASSES_UNDERSCORES, NO_UNDERSCORES)
            }
            None if matches!(&answer, Answer::Reply(reply) if reply.status == 400) => {
                clean("B1", title, told(&answer))
            }
            None => unknown("B1", title, &answer),
        }
    }

    async fn spoofed_address(&self, name: &str, value: &str) -> Check {
        let title = format!("{name} of a client's own");
        let (answer, seen) = self.with(&format!("{name}: {value}\r\n")).await;
        match seen {
            Some(seen) if seen.client == NOBODY => finding(
                "B3",
                title,
                format!("the gateway believes that the client is at {NOBODY}"),
                DO_NOT_PASS,
            ),
            Some(seen) if seen.client != self.plain.client => finding(
                "B3",
                title,
                format!("it changed the client's address from {} to {}", self.plain.client, seen.client),
                DO_NOT_PASS,
            ),
            Some(seen) => clean("B3", title, format!("the client stays at {}", seen.client)),
            None => match answer {
                Answer::Reply(ref reply) if reply.status == 400 => clean("B3", title, told(&answer)),
                Answer::Reply(_) | Answer::Other(_) | Answer::Closed | Answer::Silent => {
                    unknown("B3", title, &answer)
                }
            },
        }
    }

    async fn spoofed_scheme(&self) -> Check {
        let title = "X-Forwarded-Proto of a client's own";
        let other = if self.wire.is_tls() { "http" } else { "https" };
        let (answer, seen) = self.with(&format!("X-Forwarded-Proto: {other}\r\n")).await;
        match seen {
            Some(seen) if seen.scheme == other => finding(
                "B3",
                title,
                format!("the gateway believes that the client used {other}"),
                DO_NOT_PASS,
            ),
            Some(seen) => clean("B3", title, format!("it stays {}", seen.scheme)),
            None => unknown("B3", title, &answer),
        }
    }

    /// A client can name headers in `Connection` that a proxy then drops, those of the proxy's own among them.
    async fn nominated(&self) -> Check {
        let title = "headers of the front end named in Connection";
        let request = format!(
            "GET {}/api/v1/selfcheck/probe HTTP/1.1\r\nHost: {}\r\nConnection: close, X-Forwarded-For, X-Forwarded-Proto, X-Real-IP\r\nSelfcheck-Key: {}\r\n\r\n",
            self.wire.prefix(),
            self.wire.authority(),
            self.key
        );
        let answer = self.wire.exchange(request.as_bytes()).await;
        match seen(&answer) {
            Some(seen) if seen.client == self.plain.client && seen.scheme == self.plain.scheme => {
                clean("B2", title, "they survive")
            }
            Some(_) => finding(
                "B2",
                title,
                "the client's address or scheme got lost on the way",
                "update the front end: a client must not be able to remove its headers (GHSA-w9mr, CVE-2024-45410)",
            ),
            None if matches!(&answer, Answer::Reply(reply) if reply.status == 400) => {
                clean("B2", title, told(&answer))
            }
            None => unknown("B2", title, &answer),
        }
    }

    async fn large_head(&self) -> Check {
        let title = "a head of 300 kB";
        let (answer, seen) = self.with(&format!("X-Selfcheck-Large: {}\r\n", "x".repeat(300_000))).await;
        match (&answer, seen) {
            (_, Some(_)) => {
                finding("B6", title, "it arrived", "limit request heads in the front end to 64 kB")
            }
            (Answer::Reply(reply), None) if reply.status >= 500 => finding(
                "B6",
                title,
                told(&answer),
                "look into the front end's log: a large head must be refused with 431 or 400",
            ),
            (Answer::Silent, None) => unknown("B6", title, &answer),
            (_, None) => clean("B6", title, told(&answer)),
        }
    }

    async fn lengths(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for (label, title, rest) in LENGTHS {
            let request = format!("{}{rest}", self.head("POST", "/api/v1/selfcheck/probe"));
            let answer = self.wire.exchange(request.as_bytes()).await;
            checks.push(match &answer {
                Answer::Reply(reply) if reply.status == 405 => {
                    finding(label, title, "it was mended on the way and arrived", STRICT_LENGTHS)
                }
                Answer::Silent => unknown(label, title, &answer),
                Answer::Reply(_) | Answer::Other(_) | Answer::Closed => clean(label, title, told(&answer)),
            });
        }
        let old = format!(
            "POST {}/api/v1/selfcheck/probe HTTP/1.0\r\nHost: {}\r\nSelfcheck-Key: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            self.wire.prefix(),
            self.wire.authority(),
            self.key
        );
        let answer = self.wire.exchange(old.as_bytes()).await;
        let title = "chunks in HTTP/1.0";
        checks.push(match &answer {
            Answer::Reply(reply) if reply.status == 405 => {
                finding("C3", title, "it was mended on the way and arrived", STRICT_LENGTHS)
            }
            Answer::Silent => unknown("C3", title, &answer),
            Answer::Reply(_) | Answer::Other(_) | Answer::Closed => clean("C3", title, told(&answer)),
        });
        let trace = format!("{}\r\n", self.head("TRACE", "/api/v1/selfcheck/probe"));
        let answer = self.wire.exchange(trace.as_bytes()).await;
        checks.push(self.refuses("C7", "TRACE", &answer, "switch TRACE off in the front end"));
        let connect =
            format!("CONNECT {}:443 HTTP/1.1\r\nHost: {}:443\r\n\r\n", self.wire.host(), self.wire.host());
        let answer = self.wire.exchange(connect.as_bytes()).await;
        checks.push(self.refuses(
            "C7",
            "CONNECT",
            &answer,
            "the front end is an open proxy: switch CONNECT off",
        ));
        checks
    }

    fn refuses(&self, label: &'static str, title: &str, answer: &Answer, change: &'static str) -> Check {
        match answer {
            Answer::Reply(reply) if reply.status < 300 => finding(label, title, told(answer), change),
            Answer::Silent => unknown(label, title, answer),
            Answer::Reply(_) | Answer::Other(_) | Answer::Closed => clean(label, title, told(answer)),
        }
    }

    async fn sockets(&self) -> Vec<Check> {
        let lines = |upgrade: &str| {
            format!(
                "GET {}/api/v1/selfcheck/probe HTTP/1.1\r\nHost: {}\r\nSelfcheck-Key: {}\r\n{upgrade}\r\n",
                self.wire.prefix(),
                self.wire.authority(),
                self.key
            )
        };
        let websocket = lines(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2VsZmNoZWNrIHByb2JlIQ==\r\n",
        );
        let answer = self.wire.exchange(websocket.as_bytes()).await;
        let title = "a WebSocket";
        let socket = match (&answer, seen(&answer)) {
            (_, Some(_)) => finding(
                "C5",
                title,
                "it arrived as a plain request: exec, logs, tunnels and live pages do not work through the front end",
                "let the front end pass Upgrade (nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;`)",
            ),
            // There is no socket at this path, and the gateway knows one when it sees it.
            (Answer::Reply(reply), None) if reply.status == 404 => clean("C5", title, "arrived as one"),
            (_, None) => unknown("C5", title, &answer),
        };
        let h2c = lines(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        );
        let answer = self.wire.exchange(h2c.as_bytes()).await;
        let title = "an upgrade to HTTP/2 without TLS";
        let arrived =
            seen(&answer).is_some_and(|seen| seen.headers.iter().any(|header| header.name == "upgrade"));
        let upgrade = match &answer {
            Answer::Reply(reply) if reply.status == 101 => finding(
                "C6",
                title,
                "it was accepted",
                "switch h2c off in the front end: requests of such a connection bypass it (CVE-2022-41721)",
            ),
            _ if arrived && self.behind_a_front => finding(
                "C6",
                title,
                "the front end passes it on",
                "let the front end pass Upgrade for WebSockets only",
            ),
            Answer::Silent => unknown("C6", title, &answer),
            Answer::Reply(_) | Answer::Other(_) | Answer::Closed => clean("C6", title, told(&answer)),
        };
        vec![socket, upgrade]
    }

    async fn get(&self, path: &str) -> Answer {
        let request = format!(
            "GET {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.wire.prefix(),
            self.wire.authority()
        );
        self.wire.exchange(request.as_bytes()).await
    }

    async fn pages(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for path in ["/metrics", "/readyz", "/debug/pprof/"] {
            let answer = self.get(path).await;
            let title = format!("{path} on the public address");
            let is_open = matches!(&answer, Answer::Reply(reply) if reply.status == 200
                && !reply.header("content-type").unwrap_or_default().starts_with("text/html"));
            checks.push(match is_open {
                true => finding(
                    "E9",
                    title,
                    "anybody can read it",
                    "do not route the second listener to the public, and give `/` of this host to nothing else",
                ),
                false if answer == Answer::Silent => unknown("E9", title, &answer),
                false => clean("E9", title, told(&answer)),
            });
        }
        checks.push(self.cookies().await);
        checks
    }

    async fn cookies(&self) -> Check {
        let title = "attributes of cookies";
        let answer = self.get("/auth/login").await;
        let Answer::Reply(reply) = &answer else { return unknown("E3", title, &answer) };
        let weak = reply.headers.iter().filter(|(name, _)| name == "set-cookie").find(|(_, value)| {
            let lower = value.to_ascii_lowercase();
            ["; secure", "; httponly", "; samesite="].iter().any(|wanted| !lower.contains(wanted))
        });
        match weak {
            Some((_, value)) => finding(
                "E3",
                title,
                format!(
                    "`{}` lacks Secure, HttpOnly or SameSite",
                    value.split('=').next().unwrap_or_default()
                ),
                "let the front end pass cookies as they are, and set none of its own for this host",
            ),
            None => clean("E3", title, "as they should be"),
        }
    }

    async fn tls(&self) -> Vec<Check> {
        if !self.wire.is_tls() {
            return Vec::new();
        }
        let mut checks = vec![self.hsts().await];
        for (minor, name) in hello::OLD_VERSIONS {
            let answer = self.wire.plain(None, &hello::client_hello(minor, self.wire.host())).await;
            let agreed = matches!(&answer, Answer::Other(bytes) if hello::agrees_to_old(bytes));
            checks.push(match agreed {
                true => finding("T1", name, "it is spoken", "allow TLS 1.2 and 1.3 only (RFC 8996)"),
                false => clean("T1", name, "it is refused"),
            });
        }
        let plain = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.wire.host());
        let answer = self.wire.plain(Some(80), plain.as_bytes()).await;
        let title = "the same host without TLS";
        checks.push(match &answer {
            Answer::Reply(reply) if reply.status < 300 => {
                finding("T2", title, told(&answer), "redirect port 80 to https, or close it")
            }
            Answer::Reply(_) | Answer::Other(_) | Answer::Closed | Answer::Silent => {
                clean("T2", title, told(&answer))
            }
        });
        checks
    }

    async fn hsts(&self) -> Check {
        let title = "Strict-Transport-Security";
        let answer = self.get("/.well-known/rack-gateway").await;
        let Answer::Reply(reply) = &answer else { return unknown("T3", title, &answer) };
        let values: Vec<&str> = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "strict-transport-security")
            .map(|(_, value)| value.as_str())
            .collect();
        let age = |value: &str| {
            let digits = value.split("max-age=").nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<u64>().ok()
        };
        match values.as_slice() {
            [one] if age(one).is_some_and(|seconds| seconds >= 15_552_000) => clean("T3", title, *one),
            [] => finding(
                "T3",
                title,
                "it is not sent",
                "let the front end pass it, or tell the gateway by X-Forwarded-Proto that clients use TLS",
            ),
            _ => finding("T3", title, values.join(" and "), "send it once, for at least half a year"),
        }
    }
}
