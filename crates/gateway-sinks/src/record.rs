//! One entry of the log as a sink gets it, and its form as a line of JSON.

use gateway_audit::{DecodeError, Event, Hash};
use gateway_types::{Decision, GatewayId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::aggregation::{Together, TogetherLine};
use crate::sampling::{Sampling, Share};

/// Who sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The gateway whose log it is.
    pub gateway: GatewayId,
    /// What the gateway is called where people look: its host name, or its rack's name.
    pub host: String,
}

/// An entry of the log for a sink.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its place in the log.
    pub index: u64,
    /// The hash of the leaf.
    pub hash: Hash,
    /// What is recorded.
    pub event: Event,
    /// How many like entries this one stands for, itself among them; 1 = only for itself.
    pub one_in: u64,
    /// Which entries it stands for exactly, once it was gathered with them.
    pub together: Option<Together>,
    /// The leaf: exactly the bytes that were hashed, which are JSON.
    leaf: Box<RawValue>,
}

/// Why an entry cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// The bytes are no leaf that this version knows.
    #[error("entry {index} of the log cannot be read; a later gateway may have written it")]
    Leaf {
        /// Its place.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// The leaf has no JSON form.
    #[error("entry {index} of the log cannot be written as JSON")]
    Json {
        /// Its place.
        index: u64,
        /// What the serialiser said.
        #[source]
        source: serde_json::Error,
    },
}

impl Record {
    /// Reads a leaf, and holds it to the rules of a sink; `None` when they leave it out.
    ///
    /// # Errors
    /// [`RecordFault::Leaf`] for what is no leaf, and [`RecordFault::Json`].
    pub fn read(
        index: u64,
        bytes: Vec<u8>,
        hash: Hash,
        sampling: &Sampling,
    ) -> Result<Option<Self>, RecordFault> {
        let (event, _nonce) =
            Event::from_leaf(&bytes).map_err(|source| RecordFault::Leaf { index, source })?;
        let (one_in, together) = match sampling.share(&event, &hash) {
            Share::LeftOut => return Ok(None),
            Share::Whole => (1, None),
            Share::OneIn(rate) => (rate.get(), None),
            Share::Together => (1, Some(Together::of_one(index, &event))),
        };
        // A leaf that was read is UTF-8; the raw value keeps its bytes, so that the hash can be computed again.
        let leaf = String::from_utf8(bytes)
            .map_err(|_not_text| RecordFault::Leaf { index, source: DecodeError::UnknownVersion })
            .and_then(|text| {
                RawValue::from_string(text).map_err(|source| RecordFault::Json { index, source })
            })?;
        Ok(Some(Self { index, hash, event, one_in, together, leaf }))
    }

    /// The line of JSON, without a line feed. `entry` is the leaf byte for byte: RFC 6962's leaf hash over it is `hash`.
    ///
    /// # Errors
    /// [`RecordFault::Json`].
    pub fn line(&self, source: &Source) -> Result<String, RecordFault> {
        let line = Line {
            gateway: source.gateway,
            index: self.index,
            id: self.event.id.to_string(),
            time: self.event.time.to_rfc3339(),
            one_in: (self.one_in > 1).then_some(self.one_in),
            together: self.together.map(|together| together.line()),
            hash: self.hash.to_hex(),
            entry: &self.leaf,
        };
        serde_json::to_string(&line).map_err(|source| RecordFault::Json { index: self.index, source })
    }

    /// How much somebody who watches should care.
    pub fn weight(&self) -> Weight {
        let refused = self.event.end == Some(gateway_audit::End::Refused)
            || self.event.verdict.as_ref().is_some_and(|verdict| verdict.decision == Decision::Refuse);
        let is_plain = crate::sampling::is_plain_read(&self.event);
        match (refused, is_plain) {
            (true, _) => Weight::Refusal,
            (false, true) => Weight::Read,
            (false, false) => Weight::Change,
        }
    }
}

/// How much somebody who watches should care, lowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Weight {
    /// A plain read.
    Read,
    /// Everything that has an effect, and what the gateway does by itself.
    Change,
    /// A refusal.
    Refusal,
}

#[derive(Serialize)]
struct Line<'a> {
    gateway: GatewayId,
    index: u64,
    id: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    together: Option<TogetherLine>,
    hash: String,
    entry: &'a RawValue,
}

/// The index that a line of JSON begins with; `None` for anything else.
pub fn index_of_line(line: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Indexed {
        index: u64,
    }
    serde_json::from_slice::<Indexed>(line).ok().map(|line| line.index)
}
