//! Refusals and failures as RFC 9457 problems. One kind for each page at `/problems/{kind}`.

use serde::Serialize;

use crate::id::RequestId;
use crate::verdict::{Layer, Remedy};

macro_rules! problem_kinds {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $status:literal, $title:literal, $advice:literal;)*) => {
        /// What went wrong, as a closed list. The doc of each is its meaning; [`ProblemKind::advice`]
        /// is what its page says to do.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum ProblemKind { $($(#[$doc])* $variant,)* }

        impl ProblemKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [ProblemKind] = &[$(ProblemKind::$variant,)*];

            /// The last part of the problem's `type`.
            pub const fn name(self) -> &'static str {
                match self { $(ProblemKind::$variant => $name,)* }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(ProblemKind::$variant => $status,)* }
            }

            /// A short title that is the same for every problem of the kind.
            pub const fn title(self) -> &'static str {
                match self { $(ProblemKind::$variant => $title,)* }
            }

            /// What the person who meets it can do.
            pub const fn advice(self) -> &'static str {
                match self { $(ProblemKind::$variant => $advice,)* }
            }
        }
    };
}

problem_kinds! {
    /// The bytes are not a well-formed HTTP/1.1 request.
    MalformedRequest, "malformed-request", 400, "The request is malformed",
        "Send a well-formed HTTP/1.1 request. If a proxy stands in front of the gateway, look at what it rewrites.";
    /// A parameter is unknown, twice, in the wrong place or not of its type.
    BadParameter, "bad-parameter", 400, "A parameter is not acceptable",
        "Correct the parameter that the detail names. The gateway forwards only what the rack's documented API takes.";
    /// No operation has this method and path.
    UnknownRoute, "unknown-route", 404, "No such operation",
        "Check the path and the method. Operations that can bypass the gateway exist only when switched on in the configuration.";
    /// The path exists, the method does not.
    MethodNotAllowed, "method-not-allowed", 405, "The method is not allowed here",
        "Use one of the methods of this path.";
    /// Request line, headers or body are larger than the limit of their phase.
    TooLarge, "too-large", 413, "The request is too large",
        "Make the body smaller.";
    /// The request's head or body did not come in time.
    TooSlow, "too-slow", 408, "The request came too slowly",
        "Send the request again, faster. If a proxy stands in front of the gateway, look at what slows it down.";
    /// Too many or too large headers.
    HeadersTooLarge, "headers-too-large", 431, "The request headers are too large",
        "Send fewer or smaller headers.";
    /// The host the request names is not one this gateway answers for.
    MisdirectedRequest, "misdirected-request", 421, "The request was sent to the wrong host",
        "Use the gateway's own address.";
    /// No credential, or one that is unknown, expired, revoked or locked.
    Unauthenticated, "unauthenticated", 401, "Sign in first",
        "Present a valid session or API token. Run `rack-gateway login`, or ask an admin for a token.";
    /// A second factor is missing.
    StepUpRequired, "step-up-required", 401, "A second factor is needed",
        "Confirm with your second factor, then repeat the command.";
    /// Policy refuses.
    Refused, "refused", 403, "The request is refused",
        "The remedies say what would turn this into a yes. `rack-gateway why REQUEST_ID` shows the rules and the facts.";
    /// There is no such object, or none that the caller may know of.
    NotFound, "not-found", 404, "There is no such object",
        "Check the id. Listings show what there is.";
    /// What it held was removed on purpose after its time, and stays gone.
    Pruned, "pruned", 410, "This was pruned",
        "The log keeps what it said only for `audit_retention`; its hash is still there, so proofs hold. A backup or a sink may have the rest.";
    /// The object changed since the caller read it (RFC 9110, section 15.5.13).
    Stale, "stale", 412, "Somebody else changed the same thing",
        "Read the present state with its ETag, then make the change again.";
    /// A change must say which state it is a change of (RFC 6585, section 3).
    PreconditionRequired, "precondition-required", 428, "Say which state you change",
        "Send If-Match with the ETag that you read, or `*` to overwrite whatever is there.";
    /// The rules of the gateway itself do not allow it, whoever asks: the last admin, one's own roles.
    NotPossible, "not-possible", 409, "This cannot be done",
        "The detail says what stands in the way.";
    /// A form without the token of the session it was shown to.
    StaleForm, "stale-form", 403, "The form is out of date",
        "Go back, load the page again, and fill the form in anew.";
    /// The identity provider did not vouch for the person, or the sign-in was not begun in this browser.
    SignInFailed, "sign-in-failed", 400, "Signing in did not work",
        "Begin again at /auth/login. If it fails again, give the request id to whoever runs the gateway.";
    /// A WebSocket came from a page of a foreign origin.
    ForeignOrigin, "foreign-origin", 403, "The origin is not this gateway",
        "Open sockets from the command line or from the gateway's own pages.";
    /// The change conflicts with one made since the caller last read.
    Conflict, "conflict", 409, "Somebody else changed the same thing",
        "Read the present state, then make the change again.";
    /// A handle stands for a value that is not known any more.
    UnknownHandle, "unknown-handle", 409, "A hidden value cannot be restored",
        "Read the environment again and repeat the change, or give the value itself.";
    /// Too many requests.
    TooManyRequests, "too-many-requests", 429, "Too many requests",
        "Wait as long as Retry-After says, then repeat.";
    /// The gateway failed. Nothing more is said to the caller; the log has the cause.
    Internal, "internal", 500, "The gateway failed",
        "Repeat the request. If it fails again, give the request id to whoever runs the gateway.";
    /// The rack, or a service, answered something that could not be understood or could not be made safe.
    BadUpstream, "bad-upstream", 502, "The answer from behind the gateway cannot be passed on",
        "Give the request id to whoever runs the gateway.";
    /// The rack, or a service, could not be reached.
    UpstreamUnreachable, "upstream-unreachable", 502, "What is behind the gateway cannot be reached",
        "Check that the rack is up, and RACK_HOST; for a service, its upstreams. `/readyz` on the second listener says more.";
    /// A service did not answer within its declared time.
    UpstreamTimeout, "upstream-timeout", 504, "What is behind the gateway did not answer in time",
        "Whether a change took effect is not known, so look before you repeat. The service's `reply_timeout` is the limit.";
    /// The audit log or the store cannot be written, so nothing that has an effect may pass.
    CannotRecord, "cannot-record", 503, "The request cannot be recorded",
        "Reads may still work. Repeat when the store is back; whoever runs the gateway sees the reason at `/readyz`.";
    /// Whoever runs the gateway refuses changes for now.
    ReadOnly, "read-only", 503, "Nothing can be changed for now",
        "Reads go on. The detail says why and who decided; `rack-gateway mode normal` ends it.";
    /// The gateway is stopping.
    Draining, "draining", 503, "The gateway is stopping",
        "Repeat the request; another instance or the restarted gateway will answer.";
}

impl ProblemKind {
    /// The kind of this name.
    pub fn parse(name: &str) -> Option<ProblemKind> {
        ProblemKind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// When to ask again for what the store is needed for, while it is away.
const STORE_RETRY_SECONDS: u64 = 5;

/// One refusal or failure, safe to show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Which kind.
    pub kind: ProblemKind,
    /// One sentence for the person, without secrets.
    pub detail: String,
    /// The layer that decided.
    pub layer: Layer,
    /// Ids of the rules that decided.
    pub rules: Vec<String>,
    /// What would turn it into a yes.
    pub remedies: Vec<Remedy>,
    /// How long to wait before a repeat, in seconds.
    pub retry_after_seconds: Option<u64>,
    /// How old a second factor may be for this, in seconds; 0 = given with this very request.
    pub max_age_seconds: Option<u64>,
    /// How a client in console mode can ask for the factor itself, and then repeat the request.
    pub session_challenge: Option<SessionChallenge>,
}

/// How a client in console mode asks for a second factor (API.md 2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionChallenge {
    /// On a page that it opens in its person's browser.
    InBrowser,
    /// It has one beside its credential.
    WithCredential,
}

impl Problem {
    /// A problem of this kind, decided by `layer`, with one sentence for the person.
    pub fn new(kind: ProblemKind, layer: Layer, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            layer,
            rules: Vec::new(),
            remedies: Vec::new(),
            // The store is looked for twice a second.
            retry_after_seconds: (kind == ProblemKind::CannotRecord).then_some(STORE_RETRY_SECONDS),
            max_age_seconds: None,
            session_challenge: None,
        }
    }

    /// The `application/problem+json` document. `with_error` adds the member `error`, one readable
    /// sentence, because the Convox client prints that.
    ///
    /// # Security
    /// The Convox client uses the text as a printf format, so `error` holds no percent sign (API.md 2.2).
    pub fn to_json(&self, request: RequestId, with_error: bool) -> Vec<u8> {
        let document = ProblemDocument {
            kind: format!("/problems/{}", self.kind.name()),
            title: self.kind.title(),
            status: self.kind.status(),
            detail: &self.detail,
            instance: request,
            layer: self.layer.name(),
            rules: &self.rules,
            remedies: &self.remedies,
            error: with_error.then(|| self.sentence(request)),
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// One line for a terminal: the detail, the remedy and the request id; no percent sign, no control characters.
    pub fn sentence(&self, request: RequestId) -> String {
        let mut text = self.detail.clone();
        if let Some(remedy) =
            self.remedies.iter().find(|remedy| remedy.url.is_some() || remedy.command.is_some())
        {
            for way in [&remedy.url, &remedy.command].into_iter().flatten() {
                text.push_str(" — ");
                text.push_str(way);
            }
        }
        text.push_str(&format!(" [{} layer, request {request}]", self.layer));
        text.replace('%', " percent").chars().filter(|c| !c.is_control()).collect()
    }
}

#[derive(Serialize)]
struct ProblemDocument<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: RequestId,
    layer: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    rules: &'a [String],
    remedies: &'a [Remedy],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::OsEntropy;

    #[test]
    fn the_sentence_is_safe_as_a_printf_format() {
        let request = RequestId::new(Timestamp::from_micros(0), &OsEntropy);
        let problem = Problem::new(ProblemKind::BadParameter, Layer::Network, "100%\u{1b}[31m\nx");
        let sentence = problem.sentence(request);
        assert!(!sentence.contains('%') && !sentence.chars().any(char::is_control), "{sentence}");
    }

    #[test]
    fn kinds_have_distinct_names() {
        for kind in ProblemKind::ALL {
            assert_eq!(ProblemKind::parse(kind.name()), Some(*kind));
            assert!((400..600).contains(&kind.status()));
        }
    }
}
