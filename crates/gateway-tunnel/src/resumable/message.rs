//! What the two ends of a resumable stream say: a kind, a length, a body. It does no I/O.

use bytes::{Buf as _, BytesMut};

/// The longest body, in bytes.
pub(crate) const MOST_BODY_BYTES: usize = 32 * 1024;

/// A kind and a length.
const HEAD_BYTES: usize = 5;

const DATA: u8 = 0;
const CONSUMED: u8 = 1;
const WELCOME: u8 = 2;
const KEPT: u8 = 3;
const END: u8 = 4;

/// Something that one end says.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// The next bytes of the stream.
    Data(Vec<u8>),
    /// So many bytes of the stream have been consumed since it began; none before them are asked for again. Also the
    /// sign of life.
    Consumed(u64),
    /// Said first, by the gateway.
    Welcome(Welcome),
    /// The token of the welcome is kept; the one before it can be forgotten. Said by the client.
    Kept,
    /// There are no more bytes.
    End,
}

/// How a connection begins.
#[derive(Clone, PartialEq, Eq)]
pub struct Welcome {
    /// How many bytes of the client's stream the gateway has received: where the client goes on.
    pub received: u64,
    /// For how many seconds the gateway keeps the stream after a lost connection.
    pub patience_seconds: u32,
    /// What opens the next connection, and none after that.
    ///
    /// # Security
    /// A secret.
    pub token: String,
    /// The session.
    pub session: String,
}

// A token is never printed.
impl std::fmt::Debug for Welcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Welcome({}, {} received)", self.session, self.received)
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Message::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
            Message::Consumed(count) => write!(f, "Consumed({count})"),
            Message::Welcome(welcome) => welcome.fmt(f),
            Message::Kept => f.write_str("Kept"),
            Message::End => f.write_str("End"),
        }
    }
}

/// What the other end said that it must not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkFault {
    /// A kind that nobody says, or a body that does not fit its kind.
    #[error("a message of a resumable session cannot be read")]
    Malformed,
    /// It says that it consumed what was never sent.
    #[error("the other end says that it consumed what was never sent")]
    Ahead,
    /// It sent more than the window without waiting.
    #[error("the other end sent more than it may before it is consumed")]
    Flood,
    /// It sent bytes after their end.
    #[error("bytes came after their end")]
    AfterEnd,
}

impl Message {
    /// Adds it to `out` as it is sent.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, body): (u8, Vec<u8>) = match self {
            Message::Data(bytes) => return frame(out, DATA, bytes),
            Message::Consumed(count) => (CONSUMED, count.to_be_bytes().to_vec()),
            Message::Welcome(welcome) => {
                let mut body = welcome.received.to_be_bytes().to_vec();
                body.extend(welcome.patience_seconds.to_be_bytes());
                body.extend(format!("{} {}", welcome.session, welcome.token).into_bytes());
                (WELCOME, body)
            }
            Message::Kept => (KEPT, Vec::new()),
            Message::End => (END, Vec::new()),
        };
        frame(out, kind, &body);
    }

    fn decode(kind: u8, body: &[u8]) -> Option<Self> {
        match kind {
            DATA => Some(Message::Data(body.to_vec())),
            CONSUMED => Some(Message::Consumed(u64::from_be_bytes(body.try_into().ok()?))),
            WELCOME => {
                let (received, rest) = body.split_first_chunk::<8>()?;
                let (patience, rest) = rest.split_first_chunk::<4>()?;
                let (session, token) = std::str::from_utf8(rest).ok()?.split_once(' ')?;
                Some(Message::Welcome(Welcome {
                    received: u64::from_be_bytes(*received),
                    patience_seconds: u32::from_be_bytes(*patience),
                    session: session.to_owned(),
                    token: token.to_owned(),
                }))
            }
            KEPT => body.is_empty().then_some(Message::Kept),
            END => body.is_empty().then_some(Message::End),
            _ => None,
        }
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    // Bodies are bounded by whoever makes them; a longer one would be refused at the other end.
    out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(body);
}

/// Takes messages out of bytes, however these are cut.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    waiting: BytesMut,
}

impl Decoder {
    /// Takes more bytes in.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next whole message; `None` while there is none.
    ///
    /// # Errors
    /// [`LinkFault::Malformed`].
    pub(crate) fn next(&mut self) -> Result<Option<Message>, LinkFault> {
        let Some((&[kind, a, b, c, d], rest)) = self.waiting.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > MOST_BODY_BYTES {
            return Err(LinkFault::Malformed);
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message = Message::decode(kind, body).ok_or(LinkFault::Malformed)?;
        self.waiting.advance(HEAD_BYTES + length);
        Ok(Some(message))
    }
}
