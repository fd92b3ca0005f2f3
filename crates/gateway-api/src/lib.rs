//! The JSON API of the gateway's own operations and its OpenAPI document.
//!
//! It turns requests into calls of `gateway-app` and what comes back into replies: strict JSON in, plain
//! wire types out, every error a problem. It must not know SQL, pages, roles, factors or how a request was
//! let in: whoever calls [`Api::serve`] has the verdict and the durable intent behind it.
//!
//! Start reading at [`routes`]: the one table from which dispatch, "is it served" and the document come. To
//! serve one more row, write `pub(crate) async fn name(app: &App, request: &OwnRequest) ->
//! Result<OwnReply, Problem>` with a `#[utoipa::path(…)]` over it, and add its line to that table.

use std::sync::Arc;

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::{Layer, Operation, Problem, ProblemKind};

mod approvals;
mod audit;
mod audit_retention;
mod audit_searches;
mod audit_shares;
mod auth;
mod break_glass;
mod elevations;
mod environments;
mod factors;
mod grants;
mod groups;
mod input;
mod integrations;
mod jobs;
mod log;
mod me;
mod meta;
mod modes;
mod openapi;
mod paging;
mod policies;
mod policy;
mod rack_credential;
mod recordings;
mod reply;
mod roles;
mod routes;
mod selfcheck;
mod service_candidates;
mod services;
mod sessions;
mod settings;
mod step_up;
#[cfg(test)]
mod tests;
mod tokens;
mod trust_rules;
mod users;
mod vantage;
mod zone;

/// The JSON API.
#[derive(Debug)]
pub struct Api {
    app: Arc<App>,
}

impl Api {
    /// Works with this application.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Whether this row is served here; one that is not does not exist.
    pub fn serves(&self, operation: &Operation) -> bool {
        routes::handler(&operation.route).is_some()
    }

    /// Serves a request that policy allowed and whose intent is recorded.
    ///
    /// # Errors
    /// The problem to answer with; [`ProblemKind::UnknownRoute`] for a row that is not served.
    pub async fn serve(&self, request: OwnRequest) -> Result<OwnReply, Problem> {
        match routes::handler(&request.operation.route) {
            Some(handler) => handler(&self.app, &request).await,
            None => Err(Problem::new(
                ProblemKind::UnknownRoute,
                Layer::Network,
                "no operation has this method and path",
            )),
        }
    }
}
