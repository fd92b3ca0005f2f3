//! The mode of the gateway: `/mode`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::modes::{self, Mode};
use gateway_types::wire::modes::{ModeState, SetMode};

use crate::input;
use crate::paging::no_query;
use crate::reply::{self, Answer};

/// Makes all instances read-only on purpose, or lets them work as usual again.
#[utoipa::path(post, path = "/api/v1/mode", tag = "operations", request_body = SetMode,
    responses((status = 200, body = ModeState)))]
pub(crate) async fn set(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let SetMode { mode, reason } = input::json(request)?;
    let mode = match (mode.as_str(), reason) {
        ("read-only", reason) => Mode::ReadOnly { reason: reason.unwrap_or_default() },
        ("normal", None) => Mode::Normal,
        ("normal", Some(_)) => return Err(input::bad("`reason` goes with `read-only` alone")),
        _ => return Err(input::bad("`mode` is read-only or normal")),
    };
    let operator = app.operator(&request.caller, request.request_id);
    let read_only = modes::set(&app.store, &operator, mode).await?;
    app.health.set_read_only(read_only.clone());
    reply::json(&match read_only {
        Some(read_only) => ModeState {
            mode: "read-only".to_owned(),
            reason: Some(read_only.reason),
            set_by: Some(read_only.set_by),
            since: Some(read_only.since.to_rfc3339()),
        },
        None => ModeState { mode: "normal".to_owned(), reason: None, set_by: None, since: None },
    })
}
