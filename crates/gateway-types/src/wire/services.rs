//! Services behind the gateway: `/services`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// An operation of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceOperation {
    /// `GET wiki:/pages/{id}`, or `SAFE wiki:/{path*}` for what no route names.
    pub route: String,
    /// The action that policies name.
    pub action: String,
    /// Its class.
    pub class: String,
    /// The lowest role that may; `public` for class `open`.
    pub role: String,
}

/// A service. The `ETag` of a reply with one is the version in quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// `file` or `database`; only those of the database can be changed here.
    pub source: String,
    /// What `If-Match` is compared against; absent outside the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Who wrote it last; absent outside the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
    /// When it was written last; absent outside the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
    /// Whether exactly this declaration is in force at the instance that answers.
    pub in_force: bool,
    /// Whether the caller may use anything of it, given every second factor.
    pub may_use: bool,
    /// Where it is for browsers; absent for TCP services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where its own OpenAPI document is; absent when it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openapi_url: Option<String>,
    /// What can be asked of it; empty while it is not in force.
    pub operations: Vec<ServiceOperation>,
    /// How its upstreams stand at the instance that answers, in the order of the declaration; empty while it is not
    /// in force.
    #[serde(default)]
    pub upstreams: Vec<ServiceUpstream>,
    /// The members of the trust zone that registered as its instances; for those only who could change it, and of one
    /// service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registrations: Vec<ServiceRegistration>,
    /// What the instance that answers looked up of where it is, for `instances = "srv"`; for those only who could change it,
    /// and once it was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<ServiceDiscovery>,
    /// The whole declaration; for those only who could change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub declaration: Option<Value>,
}

/// What was looked up of where a service is. Its instances are among the upstreams.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceDiscovery {
    /// The name of the SRV record.
    pub record: String,
    /// How the last look ended: `found`, `absent` (no such record; instances stay for a minute), or `failed` (no answer, or
    /// none that may be followed; the instances before stay).
    pub state: String,
    /// Why, unless it is `found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What the last answer named and the declaration does not allow, `HOST:PORT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// When it was looked up last.
    pub looked: String,
    /// When it is looked up next.
    pub next: String,
}

/// A member of the trust zone that registered as an instance of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceRegistration {
    /// The member's id.
    pub member: String,
    /// Where it says that it is.
    pub address: String,
    /// The version that it serves; absent when it serves all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it says that it is well.
    pub healthy: bool,
    /// The actions that it understands; absent when it said nothing of them and gets all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<std::collections::BTreeSet<String>>,
    /// Since when it says exactly this.
    pub registered: String,
    /// When it last said so.
    pub seen: String,
    /// Why it is no instance all the same: the declaration changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// One upstream of a service, as the instance that answers knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceUpstream {
    /// Its address; for those only who could change the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The version that it serves; absent when it serves all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its share of requests.
    pub weight: u32,
    /// Those with a higher number take requests only while none with a lower one is well.
    #[serde(default)]
    pub priority: u16,
    /// `healthy`, `unhealthy` (its checks fail), `ejected` (requests to it failed in a row), `draining` (its share is
    /// 0), or `unwatched` (a TCP service's).
    pub state: String,
    /// Since when it is in this state; absent when nobody watches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when it is left out; for `ejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// `GET /services`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Services {
    /// By name.
    pub items: Vec<Service>,
    /// Why what is declared is not in force at the instance that answers; absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// `PUT /services/{name}`, and `POST /services/check`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteService {
    /// What would stand in `[[service]]`, as JSON; an unknown field is refused.
    #[schema(value_type = Object)]
    pub declaration: Value,
}

/// The answer of `POST /services/check`. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceCheck {
    /// Whether it would be accepted.
    pub acceptable: bool,
    /// Everything that is wrong.
    pub faults: Vec<String>,
    /// What could be asked of it.
    pub operations: Vec<ServiceOperation>,
}

/// `POST /services/import-openapi`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportOpenapi {
    /// An OpenAPI 3 document.
    #[schema(value_type = Object)]
    pub document: Value,
}

/// The routes of an OpenAPI document, as `[[service.route]]` takes them. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImportedRoutes {
    /// The routes.
    #[schema(value_type = Vec<Object>)]
    pub routes: Vec<Value>,
    /// What has no route, and why.
    pub skipped: Vec<String>,
}

/// `GET /services/{name}/openapi`: what a service's own OpenAPI document has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceOpenapi {
    /// What the document is called.
    pub title: String,
    /// Its version of itself.
    pub version: String,
    /// Its operations, as `[[service.route]]` takes them.
    #[schema(value_type = Vec<Object>)]
    pub routes: Vec<Value>,
    /// What has no route, and why.
    pub skipped: Vec<String>,
}

/// `POST /service-candidates`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadCandidates {
    /// A compose file, as text.
    pub compose: String,
}

/// `GET` and `POST /service-candidates`: what labels of a compose file ask for. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceCandidates {
    /// Whether there is a file to read: sent, or named by the configuration.
    pub watched: bool,
    /// By the container's name.
    pub items: Vec<ServiceCandidate>,
}

/// A service that labels ask for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceCandidate {
    /// The service's name; empty when no label says it.
    pub name: String,
    /// The service of the compose file.
    pub container: String,
    /// `new`, `changed`, `same` (nothing would change) or `refused`.
    pub state: String,
    /// Why it is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// What would change, by field.
    pub differences: Vec<ServiceDifference>,
    /// What an approval names: it stands for the whole difference. Empty when it is refused.
    pub difference: String,
}

/// One field of a declaration that would change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServiceDifference {
    /// Its name.
    pub field: String,
    /// What is declared now; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What would be declared; absent when nothing would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// `POST /service-candidates/{name}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveCandidate {
    /// The `difference` that was shown.
    pub difference: String,
    /// The compose file that it was shown of, as text; the watched one when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<String>,
}
