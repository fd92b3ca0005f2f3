//! The log's tree, as clients check it: `/log/*`. Hashes are lower-case hexadecimal.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One key that signs, or signed, the log's checkpoints.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogKey {
    /// The key as a signed note's verifier: `NAME+ID+BASE64`.
    pub key: String,
    /// The smallest size whose checkpoint it signs.
    pub from: u64,
    /// The largest; absent for the key in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The checkpoint of `from` entries that this key and the one before signed; absent for the first key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<String>,
}

/// `GET /log/keys`: every key there was, oldest first. Who trusts one of them may follow the handovers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogKeys {
    /// The keys.
    pub keys: Vec<LogKey>,
}

/// `GET /log/proof/{kind}`: which proof.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProofQuery {
    /// `inclusion`: the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// `consistency`: the size of the older tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<u64>,
    /// The size of the tree, at most that of the newest checkpoint, which it is when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// `GET /log/proof/inclusion`, `GET /log/proof/consistency` (RFC 9162, sections 2.1.3 and 2.1.4).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    /// The size of the tree.
    pub size: u64,
    /// Of an inclusion proof: the hash of the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf_hash: Option<String>,
    /// The hashes, lowest first.
    pub path: Vec<String>,
}
