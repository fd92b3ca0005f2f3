//! Services that labels of a compose file ask for: `/service-candidates`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::services::ServiceChangeError;
use gateway_app::services::candidates::{self, Candidate, Difference};
use gateway_types::wire::services::{
    ApproveCandidate, ReadCandidates, Service, ServiceCandidate, ServiceCandidates, ServiceDifference,
};

use crate::input;
use crate::paging::no_query;
use crate::reply::{self, Answer};
use crate::services;

/// What labels of the watched compose file ask for, with what would change. Changes nothing.
#[utoipa::path(get, path = "/api/v1/service-candidates", tag = "services",
    responses((status = 200, body = ServiceCandidates)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let compose = candidates::watched(app).await?;
    told(app, compose.as_deref()).await
}

/// What labels of this compose file ask for, with what would change. Changes nothing.
#[utoipa::path(post, path = "/api/v1/service-candidates", tag = "services", request_body = ReadCandidates,
    responses((status = 200, body = ServiceCandidates)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let ReadCandidates { compose } = input::json(request)?;
    told(app, Some(&compose)).await
}

/// Puts a candidate in force, if the difference is still the one that was shown: 412 when the file or the service changed
/// since. What labels do not speak of stays as it is declared.
#[utoipa::path(post, path = "/api/v1/service-candidates/{name}", tag = "services", params(("name" = String, Path)),
    request_body = ApproveCandidate, responses((status = 200, body = Service)))]
pub(crate) async fn approve(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let name: String = input::path(request, "name")?;
    let ApproveCandidate { difference, compose } = input::json(request)?;
    let compose = match compose {
        Some(compose) => compose,
        None => candidates::watched(app).await?.ok_or(ServiceChangeError::NoComposeFile)?,
    };
    let operator = app.operator(&request.caller, request.request_id);
    let written = candidates::approve(app, &operator, &name, &compose, &difference).await?;
    services::written(app, request, &written)
}

async fn told(app: &App, compose: Option<&str>) -> Answer {
    let items = match compose {
        Some(compose) => candidates::of(app, compose).await?,
        None => Vec::new(),
    };
    let items = items.into_iter().map(candidate).collect();
    reply::json(&ServiceCandidates { watched: compose.is_some(), items })
}

fn candidate(one: Candidate) -> ServiceCandidate {
    let difference =
        |Difference { field, before, after }: Difference| ServiceDifference { field, before, after };
    ServiceCandidate {
        name: one.name,
        container: one.container,
        state: one.state.name().to_owned(),
        faults: one.faults,
        differences: one.differences.into_iter().map(difference).collect(),
        difference: one.digest,
    }
}
