//! The trust zone: `/zone`, and what its members say to the authority.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /zone`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Zone {
    /// Its trust domain.
    pub trust_domain: String,
    /// The gateway's own id in it.
    pub gateway: String,
    /// The sequence of its bundle.
    pub sequence: u64,
    /// How long leaves live, as `1h`.
    pub leaf_life: String,
    /// When it was made.
    pub created: String,
    /// Roots and issuers, oldest first.
    pub authorities: Vec<ZoneAuthority>,
    /// Services that may join.
    pub services: Vec<ZoneService>,
    /// Who joined, newest first.
    pub members: Vec<ZoneMember>,
}

/// A root or an issuer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ZoneAuthority {
    /// The name of its key.
    pub key: String,
    /// `root` or `issuer`.
    pub kind: String,
    /// `prepared`, `active`, `outgoing`, `tainted` or `retired`.
    pub phase: String,
    /// When it was made.
    pub created: String,
    /// Until when it holds.
    pub expires: String,
}

/// A service that may join.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ZoneService {
    /// Its name.
    pub name: String,
    /// Its id in the zone.
    pub spiffe_id: String,
    /// Its listeners, `NAME:gateway|external|internal:PORT`.
    pub listeners: Vec<String>,
    /// The ids that may call it.
    pub callers: Vec<String>,
    /// When it was last written.
    pub updated: String,
    /// By whom.
    pub updated_by: String,
}

/// A member: one enrolment of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ZoneMember {
    /// Its id.
    pub id: String,
    /// Of which service.
    pub service: String,
    /// `live`, `banned` or `over` (its leaf is).
    pub state: String,
    /// The key that issued its leaf.
    pub issuer: String,
    /// The newest bundle that it acknowledged.
    pub sequence: u64,
    /// When it joined.
    pub enrolled: String,
    /// When it was last heard of.
    pub last_seen: String,
    /// Until when its leaf holds.
    pub expires: String,
    /// Who banned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub banned_by: Option<String>,
}

/// `POST /zone`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InitZone {
    /// The trust domain; one is made of the gateway's id unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
    /// How long leaves live, 5m to 24h; 1h unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf_life: Option<String>,
    /// What seals the root's key. It is asked for again to make an issuer, and nobody can get it back.
    pub passphrase: String,
}

/// `PUT /zone/services/{name}`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterZoneService {
    /// Its listeners, `NAME:gateway|external|internal:PORT`.
    #[serde(default)]
    pub listeners: Vec<String>,
    /// Who may call it: `gateway`, names of services, or ids; the gateway alone unless given.
    #[serde(default)]
    pub callers: Vec<String>,
}

/// `POST /zone/services/{name}/join-token`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeJoinToken {
    /// The name of the only key that it lets in; any unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A join token, shown once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ZoneJoinToken {
    /// The token.
    pub token: String,
    /// Who it makes of its bearer.
    pub spiffe_id: String,
    /// Until when it is good, once.
    pub expires: String,
}

/// `POST /zone/rotate`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateZone {
    /// `issuer` or `root`.
    pub kind: String,
    /// `prepare`, `activate`, `taint`, `retire`, `roll-back` or `abandon`.
    pub step: String,
    /// What seals the root's key; for `prepare`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// Only say what would be done.
    #[serde(default)]
    pub rehearse: bool,
}

/// What a step did, or would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ZoneRotated {
    /// Whether it was only rehearsed.
    pub rehearsed: bool,
    /// Whether a new authority is made.
    pub makes: bool,
    /// Authorities that change, `KEY phase`.
    pub moves: Vec<String>,
    /// The sequence of the bundle then.
    pub sequence: u64,
}

/// `POST /zone/backup`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackUpZone {
    /// What seals the backup; the root's key in it stays sealed by its own passphrase.
    pub passphrase: String,
}

/// A backup, or what is restored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneBackup {
    /// `rack-gateway zone backup v1`.
    pub format: String,
    /// What was sealed, as JSON text.
    pub sealed: String,
}

/// `POST /zone/restore`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreZone {
    /// What the backup was sealed with.
    pub passphrase: String,
    /// The backup.
    pub backup: ZoneBackup,
}

/// `POST /zone/enrol`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The join token.
    pub token: String,
    /// The certificate request, DER in base64. Only its key is taken.
    pub csr: String,
}

/// `POST /zone/renew`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// The certificate request, DER in base64. Only its key is taken.
    pub csr: String,
}

/// A leaf, and what its member must know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Enrolled {
    /// The member's id.
    pub member: String,
    /// Who it is.
    pub spiffe_id: String,
    /// The leaf, then its issuer and what leads to older roots; DER in base64.
    pub chain: Vec<String>,
    /// From when on the leaf holds.
    pub not_before: String,
    /// Until when.
    pub not_after: String,
    /// What else it must know.
    pub standing: MemberStanding,
}

/// What a member must know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MemberStanding {
    /// The zone's bundle, as JSON text.
    pub bundle: String,
    /// The gateway's id.
    pub gateway: String,
    /// `iss` of request tokens.
    pub token_issuer: String,
    /// The ids that may call it.
    pub callers: Vec<String>,
    /// Its listeners.
    pub listeners: Vec<String>,
    /// Why it is no instance of its service as it wants to be one; what it was before, it still is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_refused: Option<String>,
}

/// `POST /zone/report`: what a member saw since its last report.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberReport {
    /// The newest bundle that it has.
    pub sequence: u64,
    /// Connections that it refused, summed up.
    #[serde(default)]
    pub refused: Vec<RefusedConnections>,
    /// Where it is as an instance of its service. Without it it is none, or none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<MemberRegistration>,
}

/// What a member says of itself, to be an instance of the service of its name. The operator's declaration decides.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberRegistration {
    /// Where the gateway reaches it, `HOST:PORT`; the port is one of its listeners for the gateway.
    pub address: String,
    /// The prefix that it serves; if given, exactly the one that is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The version that it serves; all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it can take requests.
    pub healthy: bool,
    /// The actions that it understands, as `order:read`; all that are declared unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<std::collections::BTreeSet<String>>,
}

/// Connections of one kind that a member refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedConnections {
    /// From which address.
    pub peer: String,
    /// Who the other end is, or says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    /// Why, a short name.
    pub reason: String,
    /// How many.
    pub count: u64,
}
