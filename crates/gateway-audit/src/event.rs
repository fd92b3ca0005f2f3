//! What is recorded: one event for each decision and each effect.
//!
//! Plain data; the bytes are the business of [`encoding`](crate::encoding). Secrets must have become
//! handles before they come here: nothing below this line can tell a secret from a value.

mod system;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use gateway_types::{
    ActionName, Caller, Channel, Decision, EventId, Facts, Layer, Principal, RemedyKind, RequestId, Resource,
    Timestamp, Verdict, WorkloadOrigin,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::encoding::members;

pub use system::PreviousShutdown;

/// Where an event stands in the life of its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Committed durably before a change, execution or reveal goes upstream.
    Intent,
    /// What became of an intent.
    Outcome,
    /// Decision and outcome in one: a plain read, a refusal, an event of the gateway itself.
    Single,
}

impl Phase {
    /// The name used in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Intent => "intent",
            Phase::Outcome => "outcome",
            Phase::Single => "single",
        }
    }
}

/// The kind of party that acted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// Nobody known: no valid credential.
    Anonymous,
    /// A person.
    User,
    /// A machine with an API token.
    ApiToken,
    /// Whoever the issuer of an access token vouches for.
    AccessToken,
    /// A machine by a trust rule.
    Workload,
    /// Whoever redeemed the offline codes for emergencies.
    BreakGlass,
    /// The gateway itself.
    System,
    /// Someone with a shell on the gateway's machine.
    LocalOperator,
}

/// Who acted. Members are in alphabetical order, which is their order in a leaf.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// Id of the credential's row: a session or a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<String>,
    /// Id of the person or token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What kind of party.
    pub kind: ActorKind,
    /// The name for people: an e-mail address, `token:NAME`, `anonymous`, `system`.
    pub name: String,
    /// The e-mail address of the token's creator, whose rights bound the token's; the issuer of an access token; the
    /// subject of a workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
}

impl Actor {
    /// The actor behind a principal.
    pub fn of(principal: &Principal) -> Self {
        let (kind, id, on_behalf_of) = match principal {
            Principal::Anonymous => (ActorKind::Anonymous, None, None),
            Principal::User { id, .. } => (ActorKind::User, Some(id.to_string()), None),
            Principal::AccessToken { issuer, subject, .. } => {
                (ActorKind::AccessToken, Some(subject.to_string()), Some(issuer.to_string()))
            }
            Principal::Workload { id, subject, origin, .. } => {
                let kind = match origin {
                    WorkloadOrigin::Exchange | WorkloadOrigin::Certificate => ActorKind::Workload,
                    WorkloadOrigin::BreakGlass => ActorKind::BreakGlass,
                };
                (kind, Some(id.to_string()), Some(crate::text::bounded(subject)))
            }
            Principal::ApiToken { id, creator_email, .. } => {
                (ActorKind::ApiToken, Some(id.to_string()), Some(creator_email.to_string()))
            }
        };
        let name = crate::text::bounded(&principal.display_name());
        let credential_id = match principal {
            // It has no row, and no id of its own.
            Principal::AccessToken { .. } => None,
            Principal::Anonymous
            | Principal::User { .. }
            | Principal::ApiToken { .. }
            | Principal::Workload { .. } => principal.credential_id(),
        };
        Self { credential_id, id, kind, name, on_behalf_of }
    }

    fn bare(kind: ActorKind, name: &str) -> Self {
        Self { credential_id: None, id: None, kind, name: name.to_owned(), on_behalf_of: None }
    }

    /// A caller without a valid credential.
    pub fn anonymous() -> Self {
        Self::bare(ActorKind::Anonymous, "anonymous")
    }

    /// The gateway itself.
    pub fn system() -> Self {
        Self::bare(ActorKind::System, "system")
    }

    /// Someone with a shell on the gateway's machine; `name` is the operating system's user name.
    pub fn local_operator(name: &str) -> Self {
        Self::bare(ActorKind::LocalOperator, name)
    }
}

/// What policy said, with what it saw: enough to answer `why` later. Members in alphabetical order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VerdictRecord {
    /// Yes or no.
    pub decision: Decision,
    /// What policy was told. A leaf keeps only what differs from [`Facts::default`], so that a new
    /// kind of fact does not change the bytes of old events.
    #[serde(default, with = "members::facts", skip_serializing_if = "members::facts::are_default")]
    pub facts: Facts,
    /// Ids of the policies in observe mode that would have refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    /// Content hash of the policy set that decided.
    pub policy_version: String,
    /// What would have turned a refusal into a yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<RemedyKind>,
    /// Ids of the policies that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

impl VerdictRecord {
    /// The record of a verdict and of the facts it was given.
    pub fn new(verdict: &Verdict, facts: &Facts) -> Self {
        Self {
            decision: verdict.decision,
            facts: facts.clone(),
            observed: verdict.observed.clone(),
            policy_version: verdict.policy_version.clone(),
            remedies: verdict.remedies.iter().map(|remedy| remedy.kind).collect(),
            rules: verdict.rules.clone(),
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The reply was sent whole.
    Completed,
    /// The gateway said no.
    Refused,
    /// The client went away first.
    AbortedByClient,
    /// The rack went away or did not answer.
    UpstreamLost,
    /// The gateway failed.
    Failed,
    /// The gateway's code panicked; the request was ended safely.
    Panicked,
}

impl End {
    /// The name used in the log.
    pub const fn name(self) -> &'static str {
        match self {
            End::Completed => "completed",
            End::Refused => "refused",
            End::AbortedByClient => "aborted_by_client",
            End::UpstreamLost => "upstream_lost",
            End::Failed => "failed",
            End::Panicked => "panicked",
        }
    }
}

/// One event. Members are in alphabetical order: the order of declaration is the order in a leaf.
///
/// Free text (`reason`, parameters, names) goes through [`bounded`](crate::text::bounded) first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// What was asked.
    pub action: ActionName,
    /// Who asked.
    pub actor: Actor,
    /// The object after a change of the gateway's own. Integers only; `null` = there is none any more.
    #[serde(default, with = "members::json", skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Id of the approval that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// The object before a change of the gateway's own. Integers only; `null` = there was none.
    #[serde(default, with = "members::json", skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Body bytes received from the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<u64>,
    /// Body bytes sent to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    /// The way the request came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// How many like events this one stands for (aggregated refusals).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Microseconds from the request's first byte to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// The event's own id.
    pub id: EventId,
    /// On an outcome: the log index of its intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
    /// The layer that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// Typed parameters; secret ones are handles already.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Where in the life of its request.
    pub phase: Phase,
    /// Why: the person's stated reason, or the refusal's sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// What was acted on.
    #[serde(with = "members::resource")]
    pub resource: Resource,
    /// `POST /apps/{app}/releases`: the row of the route table, never the client's own path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    /// HTTP status answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Which second factor was used: `totp`, `webauthn`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_up: Option<String>,
    /// When.
    pub time: Timestamp,
    /// What policy said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictRecord>,
}

impl Event {
    /// An event of phase `single` with everything else empty.
    pub fn new(time: Timestamp, id: EventId, action: ActionName, resource: Resource, actor: Actor) -> Self {
        Self {
            action,
            actor,
            after: None,
            approval: None,
            before: None,
            bytes_in: None,
            bytes_out: None,
            channel: None,
            count: None,
            duration_us: None,
            end: None,
            id,
            intent: None,
            layer: None,
            parameters: BTreeMap::new(),
            phase: Phase::Single,
            reason: None,
            request_id: None,
            resource,
            route: None,
            source_ip: None,
            status: None,
            step_up: None,
            time,
            verdict: None,
        }
    }

    /// The same event, as asked by `caller`: actor, channel and address.
    #[must_use]
    pub fn by(mut self, caller: &Caller) -> Self {
        self.actor = Actor::of(&caller.principal);
        self.channel = Some(caller.channel);
        self.source_ip = Some(caller.source_ip);
        self
    }
}
