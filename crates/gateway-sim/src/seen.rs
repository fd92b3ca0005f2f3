//! What the rack saw: every request as it came, for the tests to look at. The tests of a gateway read here
//! what really left it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::upload::Upload;
use crate::wire::Head;

/// The longest body that is shown whole.
const SHOWN: u64 = 64 * 1024;

/// A request the rack saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRequest {
    /// Method, verbatim.
    pub method: String,
    /// Target, verbatim: percent-encoding, prefix and a trailing `?` kept.
    pub target: String,
    /// Header fields in order, names as they were written.
    pub headers: Vec<(String, String)>,
    /// The body; empty when it is over 64 KiB. In JSON it is base64.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub body: Vec<u8>,
    /// Length of the body; 0 until all of it has come.
    pub body_bytes: u64,
    /// SHA-256 of the body, hexadecimal; empty until all of it has come.
    pub body_sha256: String,
    /// Whether it asked for a WebSocket.
    pub is_socket: bool,
    /// The header `Convox-Actor`.
    pub actor: Option<String>,
    /// The status of the answer (101 for a socket); `None` while there is none.
    pub status: Option<u16>,
    /// WebSocket frames that came from the client, of all kinds, as far as the rack read them.
    pub frames_received: u64,
    /// Bytes of payload in them.
    pub frame_bytes_received: u64,
    /// Whether it is still under way: no answer yet, or a socket that is not closed.
    pub open: bool,
    /// Which of the rack's connections it came on, from 1.
    pub connection: u64,
}

fn to_base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

impl SeenRequest {
    /// The first value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// One remembered request that is still filled in.
#[derive(Clone, Debug)]
pub(crate) struct Entry(Arc<Mutex<SeenRequest>>);

impl Entry {
    fn lock(&self) -> MutexGuard<'_, SeenRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body has come.
    pub(crate) fn body(&self, body: &Upload) {
        let mut seen = self.lock();
        seen.body_bytes = body.length;
        seen.body_sha256.clone_from(&body.sha256);
        if body.length <= SHOWN {
            seen.body = body.bytes.clone().unwrap_or_default();
        }
    }

    /// The answer's status is known.
    pub(crate) fn status(&self, status: u16) {
        self.lock().status = Some(status);
    }

    /// A frame has come.
    pub(crate) fn frame(&self, payload: usize) {
        let mut seen = self.lock();
        seen.frames_received += 1;
        seen.frame_bytes_received += payload as u64;
    }
}

/// Marks a request as done, however its task ends.
#[derive(Debug)]
pub(crate) struct OpenGuard(Entry);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.lock().open = false;
    }
}

/// The newest requests, as many as are remembered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    most: usize,
    all: Arc<Mutex<VecDeque<Entry>>>,
}

impl Seen {
    /// Nothing yet, and so many at the most.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, all: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a request; the guard ends it.
    pub(crate) fn note(&self, head: &Head, connection: u64) -> (Entry, OpenGuard) {
        let entry = Entry(Arc::new(Mutex::new(SeenRequest {
            method: head.first.clone(),
            target: head.second.clone(),
            headers: head.headers.clone(),
            is_socket: head.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")),
            actor: head.header("convox-actor").map(str::to_owned),
            open: true,
            connection,
            ..SeenRequest::default()
        })));
        let mut all = self.lock();
        if all.len() >= self.most {
            all.pop_front();
        }
        all.push_back(entry.clone());
        (entry.clone(), OpenGuard(entry))
    }

    /// A copy of all, newest last.
    pub(crate) fn all(&self) -> Vec<SeenRequest> {
        self.lock().iter().map(|entry| entry.lock().clone()).collect()
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }
}
