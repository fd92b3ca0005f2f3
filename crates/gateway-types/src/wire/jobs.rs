//! The queue of jobs and the work by the clock: `/jobs`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A job of the queue. What it is about stays in the gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Id.
    pub id: String,
    /// What is to be done: `mail`, `report`.
    pub kind: String,
    /// `waiting`, `paused`, `running`, `done`, `dead` or `cancelled`.
    pub state: String,
    /// Not before this.
    pub run_at: String,
    /// How often it was begun since it was made, or last retried by hand.
    pub tries: u32,
    /// After how many tries it is dead.
    pub most_tries: u32,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was made.
    pub created: String,
    /// When it became done, dead or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
}

/// Work that the instance which answers does by the clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PeriodicJob {
    /// What is done.
    pub name: String,
    /// How many seconds it rests between two times, at the least.
    pub every_seconds: u64,
    /// How often it was done since the instance started.
    pub done: u64,
    /// Whether it goes on right now.
    pub running: bool,
    /// When it was last begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// How many milliseconds the last one took that came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// When the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /jobs`: one page of the queue, newest first, and the work by the clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Jobs {
    /// The jobs.
    pub items: Vec<Job>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What this instance does by the clock, by name. Work that only one instance may do at a time takes turns.
    pub periodic: Vec<PeriodicJob>,
}
