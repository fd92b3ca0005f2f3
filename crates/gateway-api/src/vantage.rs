//! From where it is looked what answers past the gateway: `/zone/vantage-points`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::vantage::{self, Listed};
use gateway_types::wire::vantage::{OpenTarget, VantagePoint, VantagePoints, VantageReport, VantageTaken};

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn shown(point: Listed) -> VantagePoint {
    let open = point.open.into_iter().map(|(target, meaning, since)| OpenTarget {
        target,
        meaning,
        since: since.to_rfc3339(),
    });
    VantagePoint {
        name: point.name,
        reporter: point.reporter,
        state: point.state.name().to_owned(),
        reported: point.reported.to_rfc3339(),
        every_seconds: point.every.as_secs(),
        looked: point.looked,
        open: open.collect(),
        unclear: point.unclear,
    }
}

/// The vantage points and their last words; `gateway` is the gateway itself.
#[utoipa::path(get, path = "/api/v1/zone/vantage-points", tag = "zone",
    responses((status = 200, body = VantagePoints)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let items = vantage::list(&app.store).await?.into_iter().map(shown).collect();
    reply::json(&VantagePoints { items })
}

/// Takes what a probe agent found. What is news of it is an event and, when something answers, told to the admins.
#[utoipa::path(post, path = "/api/v1/zone/vantage-points/{name}", tag = "zone",
    params(("name" = String, Path)), request_body = VantageReport,
    responses((status = 200, body = VantageTaken)))]
pub(crate) async fn report(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let name: String = input::path(request, "name")?;
    let report: VantageReport = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let turns = vantage::take(app, &operator, &name, &report).await?;
    reply::json(&VantageTaken { news: turns.iter().map(ToString::to_string).collect() })
}

/// Forgets a vantage point, whose reports then no longer stay away.
#[utoipa::path(delete, path = "/api/v1/zone/vantage-points/{name}", tag = "zone",
    params(("name" = String, Path)), responses((status = 204)))]
pub(crate) async fn remove(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let name: String = input::path(request, "name")?;
    let operator = app.operator(&request.caller, request.request_id);
    vantage::remove(app, &operator, &name).await?;
    Ok(reply::no_content())
}
