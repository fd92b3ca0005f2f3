//! Sessions in the rack and what was recorded of them: `/recordings`, `/live`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordedSession {
    /// Its id.
    pub id: String,
    /// The request that it began with, for `why` and the audit log.
    pub request_id: String,
    /// The operation.
    pub action: String,
    /// Which app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// What it is in: a process, a resource, an instance, an address.
    pub target: String,
    /// The command, with known secrets masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Whose.
    pub actor: String,
    /// From where.
    pub source_ip: String,
    /// How it is recorded: `strict`, `best_effort` or `off`.
    pub mode: String,
    /// `live`, `ended`, or `cut`: the gateway that held it died.
    pub state: String,
    /// Since when.
    pub began: String,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<String>,
    /// How many pieces the recording has; 0 when nothing was recorded.
    pub pieces: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many bytes of the session are in none of them.
    pub lost_bytes: u64,
    /// The digest of the last piece, which covers all before it.
    pub digest: String,
    /// Of a session that needs a second person: `waits`, or `there`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// Since when its client is away, which may come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detached: Option<String>,
}

/// A part of a recording.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordingPart {
    /// The session.
    pub session: RecordedSession,
    /// Pieces, in their order.
    pub pieces: Vec<RecordingPiece>,
    /// The number of the next piece, as `from` of the next request. Absent when there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// What is wrong with these pieces: one was changed, is missing, or is not the one in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The index of the event in the audit log that holds the digest of the last of these pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged_at: Option<u64>,
}

/// A piece of a recording.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordingPiece {
    /// Its number, from 0 on.
    pub sequence: u64,
    /// Whether the recording ends with it.
    pub last: bool,
    /// The digest of it and of all before it.
    pub digest: String,
    /// Its lines, of an asciicast of version 2. The first piece begins with the header.
    pub cast: String,
}

/// How a session that was watched ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionOver {
    /// `ended`, or `cut`: the gateway that held it died.
    pub state: String,
    /// In one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<String>,
}
