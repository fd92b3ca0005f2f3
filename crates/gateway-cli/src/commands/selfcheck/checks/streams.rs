//! Heads that HTTP/2 must not have, and what a front end makes of them when it turns them into HTTP/1.1.

use gateway_types::wire::selfcheck::Seen;

use super::{Check, Outcome, Scan, clean, finding, unknown};
use crate::commands::selfcheck::http2::{self, Stream};
use crate::commands::selfcheck::wire::Answer;

/// Fields of a head: names and values.
type Fields = &'static [(&'static str, &'static str)];

/// Heads of HTTP/2 that RFC 9113, section 8.2 and 8.3, calls malformed. A front end that turns them into HTTP/1.1 as
/// they are lets a client write lines of its own.
const STREAMS: [(&str, &str, Fields); 9] = [
    ("C8", "a line break in a value", &[("x-selfcheck-a", "a\r\nx-selfcheck-injected: 1")]),
    ("C8", "a line break in a name", &[("x-selfcheck-a: a\r\nx-selfcheck-injected", "1")]),
    (
        "C8",
        "a line break in the path",
        &[(":path", "/api/v1/selfcheck/probe HTTP/1.1\r\nx-selfcheck-injected: 1\r\nx-selfcheck-a: a")],
    ),
    (
        "C8",
        "a request line in the method",
        &[(":method", "GET /api/v1/selfcheck/probe HTTP/1.1\r\nx-selfcheck-injected: 1\r\nx-selfcheck-a: a")],
    ),
    ("C8", "two paths", &[("x-selfcheck-a", "a"), (":path", "/api/v1/selfcheck/probe")]),
    ("C1", "Transfer-Encoding", &[("transfer-encoding", "chunked")]),
    ("C1", "a length without a body", &[("content-length", "5")]),
    ("B2", "Connection", &[("connection", "x-forwarded-for, x-forwarded-proto, x-selfcheck-key")]),
    ("C7", "CONNECT for a WebSocket", &[(":method", "CONNECT"), (":protocol", "websocket")]),
];

const STRICT_STREAMS: &str = "update the front end, or switch HTTP/2 off in it: what RFC 9113 calls malformed must end in it, not be passed on as HTTP/1.1 (CVE-2021-33193, CVE-2019-18277)";

/// What the gateway saw, when it was the gateway who answered the probe over HTTP/2.
fn seen_in(came: &Stream) -> Option<Seen> {
    let Stream::Reply { status: 200, body } = came else { return None };
    serde_json::from_slice::<Seen>(body).ok().filter(|seen| !seen.client.is_empty())
}

/// How a plain request over HTTP/2 came to the gateway.
struct Arrival {
    /// Something in front reads it and makes a request of its own.
    is_passed_on: bool,
    /// The address that the gateway takes the client to have.
    client: String,
}

impl Arrival {
    /// What became of a head that is none.
    fn judge(&self, label: &'static str, title: String, came: &Stream) -> Check {
        let (status, body) = match came {
            Stream::Silent => return unknown(label, title, &Answer::Silent),
            Stream::Ended | Stream::Foreign => return clean(label, title, "the stream was ended"),
            Stream::Reply { status, body } => (status, body),
        };
        let Some(seen) = seen_in(came) else {
            // The gateway refuses it in its own words; with a front end, it should not have come so far.
            let is_own = serde_json::from_slice::<serde_json::Value>(body)
                .is_ok_and(|problem| problem.get("instance").is_some() && problem.get("type").is_some());
            return match is_own && self.is_passed_on {
                true => finding(
                    label,
                    title,
                    "the front end passed it on; the gateway refused it",
                    STRICT_STREAMS,
                ),
                false => clean(label, title, format!("answered with {status}")),
            };
        };
        let has = |name: &str| seen.headers.iter().any(|header| header.name == name);
        let is_harmless = self.is_passed_on
            && seen.client == self.client
            && !["x-selfcheck-injected", "transfer-encoding", "content-length"].into_iter().any(has)
            && label != "C7";
        match is_harmless {
            true => clean(label, title, "the front end sent a request of its own without it"),
            false => finding(label, title, "it arrived as a request", STRICT_STREAMS),
        }
    }
}

impl Scan<'_> {
    /// The probe over HTTP/2: first as it should be, then with heads that are none.
    pub(super) async fn streams(&self) -> Vec<Check> {
        let title = "a plain request over HTTP/2";
        let plain = self.wire.stream(&self.stream(&[])).await;
        let Some(seen) = seen_in(&plain) else {
            return vec![match plain {
                Stream::Foreign => clean("C8", title, "HTTP/2 is not spoken here"),
                Stream::Silent => unknown("C8", title, &Answer::Silent),
                Stream::Ended => unknown("C8", title, &Answer::Closed),
                Stream::Reply { status, .. } => Check {
                    outcome: Outcome::Unknown,
                    ..clean("C8", title, format!("answered with {status}"))
                },
            }];
        };
        let arrival = Arrival {
            is_passed_on: self.behind_a_front || !seen.version.starts_with("HTTP/2"),
            client: seen.client,
        };
        let mut checks = vec![clean("C8", title, "arrived")];
        for (label, title, fields) in STREAMS {
            let came = self.wire.stream(&self.stream(fields)).await;
            checks.push(arrival.judge(label, format!("{title} over HTTP/2"), &came));
        }
        checks
    }

    /// A stream with these fields beside the usual ones, or in their place.
    fn stream(&self, fields: &[(&str, &str)]) -> Vec<u8> {
        let scheme = if self.wire.is_tls() { "https" } else { "http" };
        let path = format!("{}/api/v1/selfcheck/probe", self.wire.prefix());
        let usual = [
            (":method", "GET"),
            (":scheme", scheme),
            (":authority", self.wire.authority()),
            (":path", path.as_str()),
            ("selfcheck-key", self.key),
        ];
        // What begins with the name of a usual field stands in its place; what does not stands behind them all.
        let in_place = fields.first().is_some_and(|(name, _)| name.starts_with(':'));
        let is_given = |name: &str| in_place && fields.iter().any(|(given, _)| *given == name);
        let usual = usual.into_iter().filter(|(name, _)| !is_given(name));
        let all: Vec<(&str, &str)> = match in_place {
            true => fields.iter().copied().chain(usual).collect(),
            false => usual.chain(fields.iter().copied()).collect(),
        };
        http2::request(&all)
    }
}
