//! The gateway's own operations that need no sign-in page: who am I, why, health, problem pages.

use std::sync::Arc;

use gateway_app::AppError;
use gateway_app::control::{ControlPlane, OwnReply, OwnRequest, Served};
use gateway_app::explain;
use gateway_audit::Event;
use gateway_policy::OwnRoute;
use gateway_store::Store;
use gateway_types::{Layer, Operation, Principal, Problem, ProblemKind, RequestId, Role};
use serde_json::json;

/// Actions served here.
const SERVED: [&str; 7] = [
    "gateway:log:checkpoint",
    "gateway:me:read",
    "gateway:meta:discovery",
    "gateway:meta:health",
    "gateway:meta:problem",
    "gateway:meta:security_txt",
    "gateway:policy:why",
];

/// Serves the gateway's own operations.
#[derive(Debug)]
pub struct OwnOperations {
    store: Arc<Store>,
    rack_name: String,
}

impl OwnOperations {
    /// Works with this store.
    pub fn new(store: Arc<Store>, rack_name: String) -> Self {
        Self { store, rack_name }
    }

    async fn answer(&self, request: OwnRequest) -> Result<OwnReply, Problem> {
        match request.operation.action.as_str() {
            "gateway:log:checkpoint" => {
                let note = self.store.audit().checkpoint().await.map_err(|error| store_problem(&error))?;
                Ok(text(note))
            }
            "gateway:me:read" => Ok(json_reply(&self.me(&request))),
            "gateway:meta:discovery" => Ok(json_reply(&json!({
                "gateway_id": self.store.gateway_id().to_string(),
                "rack": self.rack_name,
                "rack_proxy": "/api/v1/rack-proxy",
                "checkpoint": "/log/checkpoint",
                "checkpoint_key": self.store.audit().verifier().to_string(),
                "version": env!("CARGO_PKG_VERSION"),
            }))),
            "gateway:meta:health" => {
                Ok(OwnReply { status: 200, content_type: "text/plain; charset=utf-8", body: Vec::new() })
            }
            "gateway:meta:problem" => problem_page(request.parameter("kind").unwrap_or_default()),
            "gateway:meta:security_txt" => Ok(text(SECURITY_TXT.to_owned())),
            "gateway:policy:why" => self.why(&request).await,
            _ => Err(Problem::new(
                ProblemKind::UnknownRoute,
                Layer::Network,
                "no operation has this method and path",
            )),
        }
    }

    fn me(&self, request: &OwnRequest) -> serde_json::Value {
        let principal = &request.caller.principal;
        let roles = match principal {
            Principal::Anonymous => Vec::new(),
            Principal::User { roles, .. } | Principal::ApiToken { roles, .. } => {
                roles.iter().map(Role::name).collect()
            }
        };
        json!({
            "name": principal.display_name(),
            "credential": principal.credential_kind().name(),
            "roles": roles,
            "rack": self.rack_name,
            "gateway_id": self.store.gateway_id().to_string(),
        })
    }

    /// One's own requests; others' only for whoever reads the log (the row's note).
    async fn why(&self, request: &OwnRequest) -> Result<OwnReply, Problem> {
        let unknown = || {
            Problem::new(
                ProblemKind::UnknownRoute,
                Layer::Authorization,
                "the log has no event of this request that you may see",
            )
        };
        let id: RequestId =
            request.parameter("request_id").unwrap_or_default().parse().map_err(|_| unknown())?;
        let mut events = match explain::why(&self.store, id).await {
            Ok(events) => events,
            Err(AppError::UnknownRequest(_)) => return Err(unknown()),
            Err(AppError::Store(error)) => return Err(store_problem(&error)),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the log could not be read");
                return Err(Problem::new(ProblemKind::Internal, Layer::Audit, "the log could not be read"));
            }
        };
        if !may_see(&request.caller.principal, &events) {
            return Err(unknown());
        }
        if !reads_log(&request.caller.principal) {
            // The caller knows what it sent; what became of it in the log could tell more than that.
            events.iter_mut().for_each(|(_, event)| event.parameters.clear());
        }
        let listed: Vec<_> =
            events.iter().map(|(index, event)| json!({"index": index, "event": event})).collect();
        Ok(json_reply(&json!({ "events": listed })))
    }
}

fn reads_log(principal: &Principal) -> bool {
    match principal {
        Principal::Anonymous | Principal::ApiToken { .. } => false,
        Principal::User { roles, .. } => roles.contains(Role::Auditor) || roles.contains(Role::Admin),
    }
}

fn may_see(principal: &Principal, events: &[(u64, Event)]) -> bool {
    let credential = principal.credential_id();
    reads_log(principal)
        || (credential.is_some() && events.iter().all(|(_, event)| event.actor.credential_id == credential))
}

impl ControlPlane for OwnOperations {
    fn serves(&self, operation: &Operation) -> bool {
        SERVED.contains(&operation.action.as_str())
    }

    /// What is served here and is one's own by nature: oneself, and the requests that `why` filters.
    fn is_own(&self, principal: &Principal, route: Option<&OwnRoute>) -> bool {
        let own = ["gateway:me:read", "gateway:policy:why"];
        !matches!(principal, Principal::Anonymous)
            && route.is_some_and(|route| own.contains(&route.operation.action.as_str()))
    }

    fn serve(&self, request: OwnRequest) -> Served<'_> {
        Box::pin(self.answer(request))
    }
}

fn store_problem(error: &gateway_store::StoreError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "the store could not be used");
    Problem::new(ProblemKind::CannotRecord, Layer::Audit, "the store cannot be reached")
}

fn text(body: String) -> OwnReply {
    OwnReply { status: 200, content_type: "text/plain; charset=utf-8", body: body.into_bytes() }
}

fn json_reply(value: &serde_json::Value) -> OwnReply {
    let mut body = serde_json::to_vec_pretty(value).unwrap_or_default();
    body.push(b'\n');
    OwnReply { status: 200, content_type: "application/json", body }
}

fn problem_page(kind: &str) -> Result<OwnReply, Problem> {
    let kind = ProblemKind::parse(kind).ok_or_else(|| {
        Problem::new(ProblemKind::UnknownRoute, Layer::Network, "there is no problem of this name")
    })?;
    let mut body = format!("{} ({} {})\n\n{}\n", kind.title(), kind.status(), kind.name(), kind.advice());
    body.push_str(
        "\nEvery problem names the layer that decided and carries the request id as its instance.\n",
    );
    Ok(text(body))
}

const SECURITY_TXT: &str = "Contact: https://github.com/rack-gateway/rack-gateway/security/advisories/new\n\
    Expires: 2027-11-22T00:00:00Z\n\
    Policy: https://github.com/rack-gateway/rack-gateway/blob/main/SECURITY.md\n\
    Preferred-Languages: en\n";
