//! The audit log, searched and exported: `/audit`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub use super::policy::IndexedEvent;

/// Whether a request was allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditVerdict {
    /// It was.
    Allow,
    /// It was not.
    Refuse,
}

/// Where an event stands in the life of its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditPhase {
    /// Before the effect.
    Intent,
    /// What became of it.
    Outcome,
    /// Both in one: reads, refusals, events of the gateway itself.
    Single,
}

/// Which events; what is left out matches all.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditFilter {
    /// By exactly this actor: an e-mail address, `token:NAME`, `system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Of exactly this action, or of those beginning with what stands before a final `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// On this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Allowed or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<AuditVerdict>,
    /// At this stage of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<AuditPhase>,
    /// From this moment on (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Before this moment (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// With this text in actor, action, resource or request id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl AuditFilter {
    /// This filter, with the members of another one where it has none.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            actor: self.actor.or(other.actor),
            action: self.action.or(other.action),
            app: self.app.or(other.app),
            verdict: self.verdict.or(other.verdict),
            phase: self.phase.or(other.phase),
            from: self.from.or(other.from),
            to: self.to.or(other.to),
            q: self.q.or(other.q),
            request: self.request.or(other.request),
        }
    }
}

/// `GET /audit`: which events, and which page of them, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// By exactly this actor: an e-mail address, `token:NAME`, `system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Of exactly this action, or of those beginning with what stands before a final `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// On this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Allowed or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub verdict: Option<AuditVerdict>,
    /// At this stage of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub phase: Option<AuditPhase>,
    /// From this moment on (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Before this moment (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// With this text in actor, action, resource or request id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Only one's own events; for this no role is needed.
    #[serde(default)]
    pub mine: bool,
    /// Where the page begins: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many events at most, 1 to 1000; 50 when absent. A page can be shorter and still have a `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl AuditQuery {
    /// The filter of the query, without what says which page.
    pub fn filter(&self) -> AuditFilter {
        AuditFilter {
            actor: self.actor.clone(),
            action: self.action.clone(),
            app: self.app.clone(),
            verdict: self.verdict,
            phase: self.phase,
            from: self.from.clone(),
            to: self.to.clone(),
            q: self.q.clone(),
            request: self.request.clone(),
        }
    }
}

/// That an entry is in the tree of a checkpoint (RFC 9162, section 2.1.3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Inclusion {
    /// The number of entries of the tree.
    pub tree_size: u64,
    /// Its root, in hexadecimal.
    pub root: String,
    /// The audit path, lowest sibling first, in hexadecimal.
    pub path: Vec<String>,
    /// The signed checkpoint that names size and root (a C2SP signed note).
    pub checkpoint: String,
}

/// One entry of the log: `GET /audit/{index}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its place in the log.
    pub index: u64,
    /// When.
    pub time: String,
    /// The event as it was recorded; its times are microseconds since 1970 UTC.
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
    /// The recorded bytes: what is hashed.
    pub leaf: String,
    /// Their hash as it is stored, in hexadecimal: SHA-256 over a zero byte and the leaf.
    pub leaf_hash: String,
    /// That it is in the log.
    pub inclusion: Inclusion,
}

/// How an export is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditFormat {
    /// One JSON object on each line: index, time and the event as it was recorded.
    #[default]
    Ndjson,
    /// Comma-separated values with a head line (RFC 4180).
    Csv,
}

/// `POST /audit/export`. The reply holds at most 50,000 events, newest first; when there are more, its
/// header `Next-Cursor` says where to go on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportAudit {
    /// How it is written.
    #[serde(default)]
    pub format: AuditFormat,
    /// Which events.
    #[serde(default)]
    pub filter: AuditFilter,
    /// Where it begins: `Next-Cursor` of the export before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How many events at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `POST /audit/evidence`: has the log hold what an evidence bundle is known by, so that the bundle can be checked against it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordEvidence {
    /// The SHA-256 of the bundle's manifest, in lower-case hexadecimal.
    pub digest: String,
    /// Which time the bundle is about: from this moment on, in RFC 3339.
    pub from: String,
    /// And before this one.
    pub to: String,
    /// How many entries of the log are in it.
    pub entries: u64,
}

/// `GET /audit/stories`: which stories, those with the newest end first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StoryQuery {
    /// In which this actor took part: an e-mail address, `token:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Of this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Of which something happened from this moment on (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Of which something happened before this moment (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Only what one did oneself; for this no role is needed.
    #[serde(default)]
    pub mine: bool,
    /// Where the page begins: `next` of the page before. A page can be short, even empty, and still have a `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The approval of a story.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct StoryApproval {
    /// Its id.
    pub id: String,
    /// Its last state that the story tells; absent when it tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Who approved it.
    pub by: Vec<String>,
}

/// The requests of one deploy as one line: what was built, released and promoted, with its approval and sessions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditStory {
    /// The index of its first event.
    pub index: u64,
    /// The app.
    pub app: String,
    /// When it began.
    pub began: String,
    /// When the last of it was.
    pub ended: String,
    /// Who took part, in the order in which they came.
    pub actors: Vec<String>,
    /// The builds it names.
    pub builds: Vec<String>,
    /// The releases it names.
    pub releases: Vec<String>,
    /// Its approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<StoryApproval>,
    /// How many sessions were opened in it: exec, run, consoles.
    pub sessions: usize,
    /// How many requests it has.
    pub requests: usize,
    /// How many of them were refused.
    pub refusals: usize,
    /// What came of it: `promoted`, `failed`, `refused`, `not_approved`, `waiting` or `unfinished`.
    pub outcome: String,
    /// The indices of its events, oldest first.
    pub events: Vec<u64>,
}

/// A story with its events: `GET /audit/stories/{index}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ToldStory {
    /// The story.
    pub story: AuditStory,
    /// Its events, oldest first.
    pub events: Vec<IndexedEvent>,
}

/// A search that somebody kept: one of `GET /audit/searches`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SavedSearch {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The e-mail address of whoever kept it.
    pub owner: String,
    /// Whether it is the caller's.
    pub mine: bool,
    /// Whether everybody sees it.
    pub shared: bool,
    /// Which events it finds.
    pub filter: AuditFilter,
    /// When it was kept last.
    pub saved: String,
}

/// `POST /audit/searches`: keeps a search, in the place of one's own of the same name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveSearch {
    /// Its name, 1 to 80 characters.
    pub name: String,
    /// Which events it finds.
    #[serde(default)]
    pub filter: AuditFilter,
    /// Whether everybody sees it.
    #[serde(default)]
    pub shared: bool,
}

/// `POST /audit/share`: makes a link by which somebody without an account reads a part of the log.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareAudit {
    /// For whom it is, 1 to 120 characters.
    pub label: String,
    /// How long it lasts, in hours: 1 to 720; 24 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<u32>,
    /// Which events it shows.
    #[serde(default)]
    pub filter: AuditFilter,
}

/// A link by which somebody without an account reads a part of the log: one of `GET /audit/shares`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditShare {
    /// Its id.
    pub id: String,
    /// For whom it is.
    pub label: String,
    /// Which events it shows.
    pub filter: AuditFilter,
    /// `live`, `over` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created: String,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires: String,
    /// How often it was opened.
    pub openings: u64,
    /// When it was opened last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_opened: Option<String>,
}

/// A link that was made just now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SharedAudit {
    /// The link.
    pub share: AuditShare,
    /// The address to give to the reader. Its secret stands behind `#`, is told only now, and is kept nowhere.
    pub url: String,
}

/// `GET /audit/retention`: what the log still has, and what pruning would remove.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditRetention {
    /// The first entry that has its body; of those before only the hash is left.
    pub first_kept: u64,
    /// For how many seconds bodies are kept; absent for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_seconds: Option<u64>,
    /// How many entries the newest anchor has that the instance that answers verified.
    pub anchored: u64,
    /// The first entry that would keep its body, were the log pruned now.
    pub would_keep_from: u64,
    /// What keeps that one.
    pub kept_by: String,
    /// What keeps all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<LegalHold>,
}

/// A legal hold: no body is removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LegalHold {
    /// Why.
    pub reason: String,
    /// Who said so.
    pub set_by: String,
    /// Since when.
    pub since: String,
}

/// `PUT /audit/hold`: a legal hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetHold {
    /// Why, 1 to 300 characters in one line.
    pub reason: String,
}

/// `POST /audit/prune`: what was removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditPruned {
    /// The first entry whose body was removed.
    pub from: u64,
    /// The first that keeps its body; the same when nothing was removed.
    pub to: u64,
}

/// `GET /audit/summary`: what is counted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SummaryQuery {
    /// Of this app: then among the newest 20,000 of its entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// By this actor: then among the newest 20,000 of their entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// From the day of this moment on (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Days that begin before this moment (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Decisions of one day or one action.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Decided {
    /// The day, such as 2026-11-22, or the action.
    pub of: String,
    /// How many were allowed.
    pub allowed: u64,
    /// How many were refused.
    pub refused: u64,
}

/// The log in numbers: `GET /audit/summary`. Requests are counted when they are decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditSummary {
    /// By day (UTC) on which something was decided, oldest first.
    pub days: Vec<Decided>,
    /// By action, the most frequent one first.
    pub actions: Vec<Decided>,
    /// The first entry that is counted.
    pub counted_from: u64,
    /// The first entry that is not counted yet.
    pub counted_to: u64,
}
