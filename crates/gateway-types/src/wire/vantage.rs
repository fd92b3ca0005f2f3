//! Vantage points: from where it is looked whether anything answers that should not, `/zone/vantage-points`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of `GET /zone/vantage-points`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct VantagePoints {
    /// All of them, by name; `gateway` is the gateway itself.
    pub items: Vec<VantagePoint>,
}

/// A place from which it is looked, and its last word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct VantagePoint {
    /// Its name.
    pub name: String,
    /// Who reports.
    pub reporter: String,
    /// `quiet` (nothing answers), `open` (something does), `unclear` (something could not be looked at) or `silent` (its
    /// reports stay away).
    pub state: String,
    /// When it last reported.
    pub reported: String,
    /// How often it says that it reports, in seconds.
    pub every_seconds: u64,
    /// At how many targets it looked.
    pub looked: u64,
    /// What answers and should not.
    pub open: Vec<OpenTarget>,
    /// What could not be looked at, the first twenty.
    pub unclear: Vec<String>,
}

/// Something that answers and should not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OpenTarget {
    /// What: `HOST:PORT`, or a service and its address.
    pub target: String,
    /// What is there, or how it answers.
    pub meaning: String,
    /// Since when that is known.
    pub since: String,
}

/// `POST /zone/vantage-points/{name}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VantageReport {
    /// How often whoever reports will, 10 to 3600 seconds: three that stay away are an alert.
    pub every_seconds: u64,
    /// What was looked at, 1 to 2000 targets.
    pub sightings: Vec<Sighting>,
}

/// What was found at a target that nobody should be able to reach from there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sighting {
    /// What was looked at: `HOST:PORT`, or a service and its address.
    pub target: String,
    /// What is there, or how it answers.
    pub meaning: String,
    /// What was found.
    pub found: Found,
}

/// What was found at a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It takes no connection, or refuses whoever shows no identity: as it should be.
    Closed,
    /// It answers.
    Open,
    /// It could not be looked at, which shows nothing.
    Unclear,
}

/// The answer to a report: what is news of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct VantageTaken {
    /// A sentence for each target that answers since now, or does no more.
    pub news: Vec<String>,
}
