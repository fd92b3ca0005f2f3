//! Traces: which stage of one request took how long, for a collector, and the way on for whatever is asked next.
//!
//! Everything is made of what [`OutcomeGuard`](crate::outcome::OutcomeGuard) times anyway, when the request is over, so
//! a request pays for two random numbers and one message. Whoever asks may name a trace of theirs: it is linked, and
//! never becomes the gateway's own, because with it a client would choose what is sampled and write into traces of others.
//!
//! Source: W3C Trace Context (2021); OpenTelemetry specification, "Trace". Choice: ADR 0040.

use std::time::Duration;

use data_encoding::HEXLOWER;
use gateway_audit::End;
use gateway_types::{Channel, Class, Entropy, Layer, RequestId, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Where a trace is named.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors add to it.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How many spans wait for the collector; further ones are dropped.
const MOST_WAITING: usize = 4096;

/// A share, in millionths.
const WHOLE: u32 = 1_000_000;

/// The name of a trace.
pub type TraceId = [u8; 16];
/// The name of a span in it.
pub type SpanId = [u8; 8];

/// A span of somebody else's trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Linked {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
}

impl Linked {
    /// What a client says; `None` unless it says one thing, and that well.
    fn said_by(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
        let mut parts = value.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // A later version may say more behind the flags; `ff` is none.
        let is_version = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
        if !is_version || flags.len() != 2 {
            return None;
        }
        let bytes = |text: &str| HEXLOWER.decode(text.as_bytes()).ok();
        bytes(version)?;
        bytes(flags)?;
        let (trace, span) = (TraceId::try_from(bytes(trace)?).ok()?, SpanId::try_from(bytes(span)?).ok()?);
        (trace != TraceId::default() && span != SpanId::default()).then_some(Self { trace, span })
    }
}

/// The names of one request's spans.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Traced {
    trace: TraceId,
    span: SpanId,
    /// The span of the upstream stage: what is asked next hangs below it.
    upstream: SpanId,
    is_sampled: bool,
    linked: Option<Linked>,
}

impl Traced {
    /// Names this trace to whoever is asked next, and nobody else's.
    pub(crate) fn propagate(&self, headers: &mut HeaderMap) {
        headers.remove(&TRACESTATE);
        let (trace, span) = (HEXLOWER.encode(&self.trace), HEXLOWER.encode(&self.upstream));
        let text = format!("00-{trace}-{span}-{:02x}", u8::from(self.is_sampled));
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

/// A stage of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StageSpan {
    /// Its own name in the trace.
    pub span: SpanId,
    /// The stage: `admit`, `authenticate`, `inspect`, `policy`, `audit` or `upstream`.
    pub name: &'static str,
    /// How long after the request it began.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
}

/// A request that is over.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestSpan {
    /// The trace.
    pub trace: TraceId,
    /// Its own name in it.
    pub span: SpanId,
    /// What the client said that it belongs to.
    pub linked: Option<Linked>,
    /// When it came.
    pub began: Timestamp,
    /// How long it was there, with its body or socket.
    pub took: Duration,
    /// The stages that it went through, in their order.
    pub stages: Vec<StageSpan>,
    /// The row of the route table; none when there is none for it.
    pub route: Option<String>,
    /// The action.
    pub action: String,
    /// The app, when it was about one.
    pub app: Option<String>,
    /// The class of the action.
    pub class: Option<Class>,
    /// The way it came in.
    pub channel: Channel,
    /// The layer that decided.
    pub layer: Option<Layer>,
    /// The status that was told.
    pub status: Option<u16>,
    /// How it ended.
    pub end: End,
    /// The request, as the log names it.
    pub request: RequestId,
}

/// Whether requests are traced, and where spans wait.
#[derive(Debug)]
pub struct Spans {
    sender: Sender<RequestSpan>,
    /// How many of a million requests that went well are told of.
    per_million: u32,
    dropped: Counter,
}

impl Spans {
    /// `per_million`: of so many requests of a million that went well the spans are told; of refusals and failures always.
    /// `dropped` counts those for which there was no room. Spans come out of the receiver.
    pub fn new(per_million: u32, dropped: Counter) -> (Self, Receiver<RequestSpan>) {
        let (sender, receiver) = channel(MOST_WAITING);
        (Self { sender, per_million, dropped }, receiver)
    }

    /// Names for a request with these headers.
    pub(crate) fn begin(&self, headers: &HeaderMap, entropy: &dyn Entropy) -> Traced {
        let mut random = [0u8; 36];
        entropy.fill(&mut random);
        let (names, rest) = random.split_at(32);
        let (trace, spans) = names.split_at(16);
        let (span, upstream) = spans.split_at(8);
        let chance = u32::from_be_bytes(rest.try_into().unwrap_or_default());
        Traced {
            trace: named(trace),
            span: named(span),
            upstream: named(upstream),
            is_sampled: (u64::from(chance) * u64::from(WHOLE)) >> 32 < u64::from(self.per_million),
            linked: Linked::said_by(headers),
        }
    }

    /// Whether spans of a request that ended so are told.
    pub(crate) fn wants(&self, traced: &Traced, end: End, status: Option<u16>) -> bool {
        traced.is_sampled || end != End::Completed || status.is_some_and(|status| status >= 500)
    }

    /// Hands a request over to the collector's task, and never waits for it.
    pub(crate) fn offer(&self, span: RequestSpan) {
        if self.sender.try_send(span).is_err() {
            self.dropped.inc();
        }
    }
}

impl Traced {
    /// The spans of stages that took so long, one after the other.
    pub(crate) fn stages(
        &self,
        taken: impl Iterator<Item = (&'static str, Option<Duration>)>,
    ) -> Vec<StageSpan> {
        let mut after = Duration::ZERO;
        let mut stages = Vec::new();
        for (number, (name, took)) in (1..).zip(taken) {
            let Some(took) = took else { continue };
            let span = if name == "upstream" { self.upstream } else { beside(self.span, number) };
            stages.push(StageSpan { span, name, after, took });
            after += took;
        }
        stages
    }

    /// Its names, for the span of the whole request.
    pub(crate) const fn names(&self) -> (TraceId, SpanId, Option<Linked>) {
        (self.trace, self.span, self.linked)
    }
}

/// A name of these random bytes; all zeroes are none.
fn named<const N: usize>(random: &[u8]) -> [u8; N] {
    let mut name = <[u8; N]>::try_from(random).unwrap_or([0; N]);
    if let (true, Some(last)) = (name == [0; N], name.last_mut()) {
        *last = 1;
    }
    name
}

/// Another name in the same trace.
fn beside(span: SpanId, number: u64) -> SpanId {
    let other = u64::from_be_bytes(span).wrapping_add(number);
    (if other == 0 { number } else { other }).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use gateway_types::OsEntropy;

    use super::*;

    const SAID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        headers
    }

    #[test]
    fn only_a_well_formed_trace_is_linked() {
        let linked = Linked::said_by(&headers(&[SAID])).unwrap();
        assert_eq!(HEXLOWER.encode(&linked.trace), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(HEXLOWER.encode(&linked.span), "b7ad6b7169203331");
        assert!(Linked::said_by(&headers(&[&SAID.replacen("00-", "cc-", 1)])).is_some());
        assert!(Linked::said_by(&headers(&[&format!("{}-more", SAID.replacen("00-", "cc-", 1))])).is_some());
        for bad in [
            "",
            "00",
            &SAID[1..],
            &format!("{SAID}-more"),
            &SAID.to_ascii_uppercase(),
            &SAID.replacen("00-", "ff-", 1),
            &SAID.replacen("00-", "0g-", 1),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz",
        ] {
            assert_eq!(Linked::said_by(&headers(&[bad])), None, "{bad}");
        }
        assert_eq!(Linked::said_by(&headers(&[SAID, SAID])), None, "which of two would it be");
    }

    #[test]
    fn what_goes_up_names_the_gateways_own_trace() {
        let (spans, _waiting) = Spans::new(0, Counter::default());
        let mut up = headers(&[SAID]);
        let traced = spans.begin(&up, &OsEntropy);
        traced.propagate(&mut up);
        let said = up.get(TRACEPARENT).unwrap().to_str().unwrap();
        let own = Linked::said_by(&up).unwrap();
        assert!(said.ends_with("-00") && up.get(TRACESTATE).is_none(), "{said}");
        assert_eq!((own.trace, own.span), (traced.trace, traced.upstream));
        assert_ne!(Some(own.trace), traced.linked.map(|linked| linked.trace));
    }

    #[test]
    fn a_share_is_told_of_and_every_refusal_and_failure() {
        let share = |per_million: u32| {
            let (spans, _waiting) = Spans::new(per_million, Counter::default());
            let none = HeaderMap::new();
            (0..2000).filter(|_| spans.begin(&none, &OsEntropy).is_sampled).count()
        };
        assert_eq!((share(0), share(WHOLE)), (0, 2000));
        assert!((100..300).contains(&share(100_000)), "a tenth of 2,000 is 200");
        let (spans, _waiting) = Spans::new(0, Counter::default());
        let traced = spans.begin(&HeaderMap::new(), &OsEntropy);
        assert!(!spans.wants(&traced, End::Completed, Some(200)));
        assert!(spans.wants(&traced, End::Refused, Some(403)));
        assert!(spans.wants(&traced, End::Completed, Some(502)));
        assert!(spans.wants(&traced, End::Panicked, None));
    }

    #[test]
    fn stages_follow_each_other_and_have_names_of_their_own() {
        let (spans, _waiting) = Spans::new(WHOLE, Counter::default());
        let traced = spans.begin(&HeaderMap::new(), &OsEntropy);
        let taken = [
            ("admit", Some(Duration::from_micros(3))),
            ("audit", None),
            ("upstream", Some(Duration::from_micros(40))),
        ];
        let stages = traced.stages(taken.into_iter());
        assert_eq!(stages.len(), 2);
        assert_eq!((stages[0].after, stages[1].after), (Duration::ZERO, Duration::from_micros(3)));
        assert_eq!(stages[1].span, traced.upstream);
        assert!(stages[0].span != traced.span && stages[0].span != traced.upstream);
        assert_ne!(beside([0xff; 8], 1), [0; 8], "a name of zeroes is none");
    }
}
