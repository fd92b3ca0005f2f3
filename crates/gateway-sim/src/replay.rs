//! Plays the client side of a recording against an address and notes what comes back, to be compared with the
//! recorded rack: against the simulated rack itself, or through a gateway in front of it.
//!
//! Everything is sent in the recorded order and as fast as the answers allow; nothing waits for time. Header
//! fields, targets and frame boundaries are the recorded ones. Changed are the prefix, `Host`, `Origin`, the
//! right credential (a wrong one stays wrong) and ids the rack made up.

mod compare;
mod player;

use std::net::SocketAddr;

pub use compare::{Difference, What};

use crate::state::RackState;
use crate::transcript::{Ids, Transcript};
use crate::wire::frame::Frame;

/// The credential of the recordings: `convox:secret`.
pub const RECORDED_AUTHORIZATION: &str = "Basic Y29udm94OnNlY3JldA==";

/// Where to play a recording to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address to dial, without TLS.
    pub addr: SocketAddr,
    /// What stands before each path: empty for a rack, `/api/v1/rack-proxy` for a gateway.
    pub prefix: String,
    /// The `Authorization` that replaces the recorded one.
    pub authorization: String,
    /// The `Host`; `Origin` is `http://` and this.
    pub host: String,
}

impl Target {
    /// A rack itself, with the credential of the recordings.
    pub fn rack(addr: SocketAddr) -> Self {
        Self {
            addr,
            prefix: String::new(),
            authorization: RECORDED_AUTHORIZATION.to_owned(),
            host: addr.to_string(),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header fields in order.
    pub headers: Vec<(String, String)>,
    /// Its body; empty for a 101.
    pub body: Vec<u8>,
    /// For a socket: the frames that came, pongs left out.
    pub frames: Vec<Frame>,
    /// For a socket: whether the far side closed first.
    pub closed: bool,
}

impl Answer {
    /// The first value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// One request with the recorded answer and the one that came.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Method.
    pub method: String,
    /// Target without a prefix, with the ids of now.
    pub target: String,
    /// What the recorded rack answered, with the ids of now.
    pub recorded: Answer,
    /// What came.
    pub actual: Answer,
    /// Why nothing or not all came.
    pub trouble: Option<Trouble>,
}

/// Why a part of a replay got no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// Nobody answers there.
    #[error("cannot connect: {0:?}")]
    Connect(std::io::ErrorKind),
    /// Nothing came for 20 s.
    #[error("no answer for 20 seconds")]
    Silence,
    /// The connection broke.
    #[error("the connection broke: {0:?}")]
    Broken(std::io::ErrorKind),
    /// The connection was closed where something should come.
    #[error("closed too early")]
    Closed,
}

/// What came of a replay.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The recording's name.
    pub name: String,
    /// Its exchanges, in the order of the requests.
    pub exchanges: Vec<Exchange>,
}

impl Outcome {
    /// Where the answers differ from the recorded ones. Times, tokens and learnt ids do not count.
    pub fn differences(&self) -> Vec<Difference> {
        self.exchanges.iter().flat_map(|exchange| compare::compare(&self.name, exchange)).collect()
    }
}

/// Plays one recording by itself.
pub async fn play(transcript: &Transcript, target: &Target) -> Outcome {
    play_on(transcript, target, &mut Ids::default()).await
}

/// Plays one recording of a group: ids learnt from the ones before are used, and new ones are learnt.
pub async fn play_on(transcript: &Transcript, target: &Target, ids: &mut Ids) -> Outcome {
    player::Player::new(transcript, target, ids).run().await
}

/// Brings a rack into the state a recording needs beyond what its group left: `b5` cancels an update.
pub fn prepare(transcript: &Transcript, state: &RackState) {
    if transcript.name.starts_with("b5-") {
        state.set_updating("myapp", true);
    }
}
