//! The offline codes for emergencies: `/break-glass`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The codes in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CodesInForce {
    /// Which set.
    pub id: String,
    /// How many codes one use takes.
    pub threshold: u32,
    /// How many there were.
    pub codes: u32,
    /// How many are not used yet.
    pub left: u32,
    /// When they were made.
    pub created: String,
    /// Who made them.
    pub created_by: String,
}

/// A use of the codes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct BreakGlassUse {
    /// Id.
    pub id: String,
    /// Who said to be it.
    pub person: String,
    /// Why.
    pub reason: String,
    /// For what.
    pub scope: String,
    /// From which address; absent = on the server's own machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// When it began.
    pub opened: String,
    /// When it ends, or ended, by itself.
    pub ends: String,
    /// `live`, `to_review` or `closed`.
    pub state: String,
    /// When it was ended before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Who ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// When it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<String>,
    /// Who looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed_by: Option<String>,
    /// What they found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<String>,
}

/// `GET /break-glass`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct BreakGlass {
    /// The codes in force; absent = none were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<CodesInForce>,
    /// Uses, newest first.
    pub uses: Vec<BreakGlassUse>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `PUT /break-glass`: new codes, which end those before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InitBreakGlass {
    /// How many codes one use takes: 2 to 10.
    pub threshold: u32,
    /// How many codes there are: from the threshold to 20.
    pub codes: u32,
    /// The id of the codes that these take the place of; absent = there are none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

/// New codes, told this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewCodes {
    /// The set.
    pub set: CodesInForce,
    /// The codes, one for each keeper.
    pub codes: Vec<String>,
}

/// `POST /auth/break-glass`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemCodes {
    /// As many different codes as it takes.
    pub codes: Vec<String>,
    /// Who does it: an e-mail address.
    pub person: String,
    /// Why, in 10 to 1000 characters.
    pub reason: String,
    /// Everything that a role may: `viewer`, `ops`, `deployer` or `admin`. Either this or `app`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Everything that a deployer may with one app. Either this or `role`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
}

/// What codes were redeemed for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GlassBroken {
    /// The use.
    #[serde(rename = "use")]
    pub used: BreakGlassUse,
    /// The token, told this once.
    pub secret: String,
    /// How long it lives, in seconds.
    pub expires_in: u64,
}

/// `POST /break-glass/drill`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillCodes {
    /// One or more codes.
    pub codes: Vec<String>,
}

/// What a drill showed. No code was spent and nothing was granted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Drilled {
    /// The numbers of the codes that are good.
    pub good: Vec<u32>,
    /// How many of those given are not.
    pub bad: u32,
    /// How many codes one use takes.
    pub threshold: u32,
    /// Whether those given would do.
    pub would_do: bool,
}

/// `POST /break-glass/{id}/review`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseReview {
    /// What was found, in 10 to 1000 characters.
    pub review: String,
}
