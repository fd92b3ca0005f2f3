//! Policies, and questions about them: `/policies`, `/policy/…`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyRule {
    /// Its `@id`.
    pub id: String,
    /// `permit` or `forbid`.
    pub effect: String,
    /// What would turn its no into a yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What it needs, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Whether it is in observe mode: what it would refuse is recorded and not refused.
    #[serde(default)]
    pub observed: bool,
    /// Its Cedar text.
    pub text: String,
}

/// A document of policies. The `ETag` of a reply with one is the version in quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyDocument {
    /// Its name.
    pub id: String,
    /// `built_in`, `file` or `database`; only those of the database can be changed here.
    pub origin: String,
    /// What `If-Match` is compared against; absent outside the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Who wrote it last; absent outside the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
    /// When it was written last; absent outside the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
    /// The text as it was written; absent outside the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The policies of it that are in force.
    pub rules: Vec<PolicyRule>,
}

/// `GET /policies`: everything that says yes or no.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Policies {
    /// The documents: the built-in one, those of files, those of the database.
    pub items: Vec<PolicyDocument>,
    /// The version of the set in force, as events and verdicts name it.
    pub policy_version: String,
    /// Why the database's documents are not in force here; absent when they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// `PUT /policies/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WritePolicy {
    /// Cedar text: one or more policies, each with its `@id`.
    pub text: String,
}

/// `POST /policies/check`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPolicy {
    /// The document that would be written.
    pub id: String,
    /// Its text; absent = what if the document were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How many recorded decisions are replayed, newest first; at most 5000, 1000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<u32>,
    /// From when on decisions are replayed: `7d`, `12h`, or a moment in RFC 3339; absent = from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// `next` of the answer before, to go on with older decisions. The answer then has no `roles`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// Why a text is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyFault {
    /// What is wrong.
    pub message: String,
    /// The line of the text, from 1, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column of that line, from 1 and in characters, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// Who gains or loses what by role.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
pub struct RoleChange {
    /// The operation.
    pub route: String,
    /// Its action.
    pub action: String,
    /// `nobody`, or a role (`none` = signed in without one), `t-` before it for an API token.
    pub who: String,
    /// What is answered now: `yes`, `signin`, or what is missing (`role`, `step_up`, `bound`, `setting`, …);
    /// `own:` before what holds for one's own objects only.
    pub before: String,
    /// What would be answered.
    pub after: String,
}

/// A recorded decision that would be another one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplayChange {
    /// Who asked.
    pub actor: String,
    /// For what.
    pub action: String,
    /// On what.
    pub resource: String,
    /// What the policies in force answer.
    pub before: String,
    /// What the checked ones would answer.
    pub after: String,
    /// What that means for whoever asked: `gains`, `loses` or `changes`.
    #[serde(default)]
    pub effect: String,
    /// How many of the replayed requests.
    pub count: u64,
    /// The newest of them, as an index into the log.
    pub newest: u64,
    /// Ids of the newest of them, three at most: what `why` takes.
    #[serde(default)]
    pub examples: Vec<String>,
}

/// Recorded decisions, asked again of the checked policies. Roles are those of this moment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Replay {
    /// How many were asked again.
    pub replayed: u64,
    /// How many could not be: of people, tokens or operations that are no more.
    pub skipped: u64,
    /// Those that would be answered otherwise, one for each actor, action, resource and pair of answers.
    pub changes: Vec<ReplayChange>,
    /// The time of the oldest decision that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// What to send as `before` for older ones; absent at the end of the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What a policy in observe mode would have refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ObservedRefusal {
    /// The policy.
    pub rule: String,
    /// Who asked.
    pub actor: String,
    /// For what.
    pub action: String,
    /// On what.
    pub resource: String,
    /// How often.
    pub count: u64,
    /// The newest, as an index into the log.
    pub newest: u64,
    /// Ids of the newest requests, three at most.
    pub examples: Vec<String>,
}

/// `GET /policies/observed`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ObservedRefusals {
    /// Whether all policies of the operator's own are only observed (the setting `observe_policies`).
    pub observing: bool,
    /// How many recorded decisions were looked at.
    pub decisions: u64,
    /// What would have been refused.
    pub items: Vec<ObservedRefusal>,
    /// The time of the oldest decision that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// What to send as `before` for older ones; absent at the end of the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// The answer of `POST /policies/check`. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PolicyCheck {
    /// Whether it would be accepted.
    pub acceptable: bool,
    /// Why not.
    pub faults: Vec<PolicyFault>,
    /// The version that the set would have; absent when it does not load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// Who would gain or lose what.
    pub roles: Vec<RoleChange>,
    /// What was done lately and would be answered otherwise.
    pub replay: Replay,
}

/// About whom is asked: exactly one of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySubject {
    /// The person with this e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The token with this id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whatever signs in by the trust rule of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
}

/// `POST /policy/can`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CanQuestion {
    /// About whom; absent = about oneself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<PolicySubject>,
    /// The action, `convox:app:delete`.
    pub action: String,
    /// On which app; absent = on the rack, or on the gateway for its own actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Whether the object is the subject's own.
    #[serde(default)]
    pub own: bool,
}

/// `POST /policy/who-can`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhoCanQuestion {
    /// The action, `convox:app:delete`.
    pub action: String,
    /// On which app; absent = on the rack, or on the gateway for its own actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
}

/// The answer of policy, for somebody who has not given a second factor now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CanAnswer {
    /// About whom: an e-mail address, or `token:NAME`.
    pub subject: String,
    /// What was asked.
    pub action: String,
    /// On what: `App::web`, `Rack::rack`, `Gateway::gateway`.
    pub resource: String,
    /// Whether they may, as things are.
    pub allowed: bool,
    /// The layer that decided.
    pub layer: String,
    /// Ids of the policies that decided.
    pub rules: Vec<String>,
    /// Policies in observe mode that would refuse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    /// What would turn a no into a yes: `step_up`, `step_up_bound`, `enrol`, `approval`, `elevation`,
    /// `role`, `setting`.
    pub remedies: Vec<String>,
    /// One sentence.
    pub reason: String,
    /// The set that decided.
    pub policy_version: String,
}

/// Everybody who may, now or after a second factor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WhoCanAnswer {
    /// One answer each.
    pub items: Vec<CanAnswer>,
}

/// An event of the log.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct IndexedEvent {
    /// Its place in the log.
    pub index: u64,
    /// When.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time: String,
    /// The event as it was recorded; its times are microseconds since 1970 UTC.
    #[schema(value_type = Object)]
    pub event: Value,
}

/// Why a request was answered as it was: `GET /policy/why/{request_id}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// Everything the log has of the request, in order.
    pub events: Vec<IndexedEvent>,
    /// The policies that decided, as far as the set that is in force now has them.
    #[serde(default)]
    pub rules: Vec<PolicyRule>,
    /// Whether that set is the one that decided.
    #[serde(default)]
    pub same_policies: bool,
}
