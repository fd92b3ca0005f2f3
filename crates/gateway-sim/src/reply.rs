//! Answers, before they are written.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::options::Flavour;
use crate::refusal::Refusal;

/// The type Go gives to text it recognised itself.
const PLAIN: &str = "text/plain; charset=utf-8";

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    /// Answers of the router itself have no `Request-Id` and its like.
    pub(crate) from_router: bool,
}

/// What an answer carries.
#[derive(Debug)]
pub(crate) enum Body {
    /// Bytes; over 2048 they are chunked, as Go does it.
    Bytes(Vec<u8>),
    /// Bytes in chunks of 4096.
    Chunks(Vec<u8>),
    /// So many bytes that are made while they are sent.
    Filler(u64, Filler),
}

/// What a filler is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filler {
    /// Zeros.
    Zeros,
    /// The bytes of [`fill_noise`].
    Noise,
}

impl Filler {
    /// Writes what stands at `offset` and after it.
    pub fn fill(self, offset: u64, buffer: &mut [u8]) {
        match self {
            Self::Zeros => buffer.fill(0),
            Self::Noise => fill_noise(offset, buffer),
        }
    }
}

/// Deterministic noise: the bytes that stand at `offset` and after it. Its first byte is not NUL, because the
/// client takes output that begins with NUL for something else.
pub fn fill_noise(offset: u64, buffer: &mut [u8]) {
    for (position, byte) in (offset..).zip(buffer) {
        // One round of splitmix64 a byte: no state, so any part can be made alone.
        let mut mixed = position.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let [low, ..] = (mixed ^ (mixed >> 27)).to_le_bytes();
        *byte = if position == 0 { low | 1 } else { low };
    }
}

impl Reply {
    pub(crate) fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(body), from_router: false }
    }

    /// `ok`, the answer to every action.
    pub(crate) fn ok() -> Self {
        Self::text(200, "ok\n")
    }

    /// Plain text.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, text.into().into_bytes()).with("Content-Type", PLAIN)
    }

    /// JSON, indented by two blanks and ended by a line feed, with Go's escapes.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        let mut escaped = String::with_capacity(text.len() + 1);
        for c in text.chars() {
            match c {
                '<' => escaped.push_str("\\u003c"),
                '>' => escaped.push_str("\\u003e"),
                '&' => escaped.push_str("\\u0026"),
                '\u{2028}' => escaped.push_str("\\u2028"),
                '\u{2029}' => escaped.push_str("\\u2029"),
                other => escaped.push(other),
            }
        }
        escaped.push('\n');
        Self::new(200, escaped.into_bytes()).with("Content-Type", "application/json")
    }

    /// Nothing, from the router.
    pub(crate) fn router(status: u16) -> Self {
        Self { from_router: true, ..Self::new(status, Vec::new()) }
    }

    /// Nothing, from a handler.
    pub(crate) fn empty(status: u16) -> Self {
        Self::new(status, Vec::new())
    }

    /// Bytes with the type Go would guess: text here, as the recordings have it, unless given.
    pub(crate) fn stream(body: Body, content_type: Option<&'static str>) -> Self {
        let reply = Self { status: 200, headers: Vec::new(), body, from_router: false };
        reply.with("Content-Type", content_type.unwrap_or(PLAIN))
    }

    /// A refusal: plain text, or JSON where a v3 client asks for exactly that.
    pub(crate) fn refusal(refusal: &Refusal, flavour: Flavour, accept: Option<&str>) -> Self {
        let status = refusal.status();
        let wants_json = accept.is_some_and(|accept| accept.contains("application/json"));
        let reply = match flavour {
            Flavour::V3 if wants_json => {
                let mut reply = Self::json(&serde_json::json!({"error": refusal.to_string()}));
                reply.status = status;
                reply
            }
            Flavour::V3 | Flavour::V2 => Self::text(status, format!("{refusal}\n")),
        };
        match (refusal, flavour) {
            (Refusal::InvalidAuthentication, Flavour::V3) => {
                reply.with("Www-Authenticate", "Basic realm=\"convox\"")
            }
            _ => reply,
        }
    }

    /// With one more header.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Compressed, where the body is at hand.
    #[must_use]
    pub(crate) fn gzipped(mut self) -> Self {
        if let Body::Bytes(bytes) | Body::Chunks(bytes) = &mut self.body {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            if encoder.write_all(bytes).is_ok()
                && let Ok(small) = encoder.finish()
            {
                *bytes = small;
                self.headers.push(("Content-Encoding", "gzip".to_owned()));
            }
        }
        self
    }
}
