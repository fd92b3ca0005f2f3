//! Self-checks: permits, scans, and what arrived of a probe.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a permit is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskPermit {
    /// The host that is scanned, with its port when the address has one.
    pub host: String,
}

/// A permit, or the key of the scan that it began.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScanPermit {
    /// The text. A permit goes to `POST /selfcheck/scan`, a key with each probe in `Selfcheck-Key`.
    pub permit: String,
    /// The host that it is for.
    pub host: String,
    /// When it ends.
    pub expires: String,
}

/// A permit that is to begin its scan.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginScan {
    /// The permit.
    pub permit: String,
}

/// What arrived of a probe.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Version of HTTP.
    pub version: String,
    /// Host and port that the request named.
    pub host: String,
    /// The scheme that the gateway takes the client to have used.
    pub scheme: String,
    /// Whether TLS ended at the gateway.
    pub tls: bool,
    /// The other end of the gateway's connection.
    pub peer: String,
    /// The address that the gateway takes the client to have.
    pub client: String,
    /// Headers, short of credentials.
    pub headers: Vec<SeenHeader>,
}

/// A header that arrived.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SeenHeader {
    /// Its name, in lower case.
    pub name: String,
    /// Its value; absent when something in between added the header for reasons of its own, which may be secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}
