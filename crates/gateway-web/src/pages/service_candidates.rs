//! Services that labels of the watched compose file ask for: what would change, and the approval of exactly that.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::services::ServiceChangeError;
use gateway_app::services::candidates::{self, Candidate, CandidateState};
use gateway_types::Problem;
use serde_json::Value;

use super::versions;
use crate::page::Frame;
use crate::{Web, gate, reply};

const PATH: &str = "/app/service-candidates";

#[derive(Template)]
#[template(path = "service_candidates.html")]
struct CandidatesPage {
    frame: Frame,
    /// Whether the configuration names a file.
    watched: bool,
    candidates: Vec<Row>,
    /// Why this person may not approve.
    refused: Option<String>,
}

struct Row {
    name: String,
    container: String,
    state: &'static str,
    tone: &'static str,
    faults: Vec<String>,
    differences: Vec<DifferenceRow>,
    /// Whether there is something to approve.
    open: bool,
    digest: String,
}

struct DifferenceRow {
    field: String,
    before: String,
    after: String,
}

/// `GET /app/service-candidates`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let compose = candidates::watched(app).await?;
    let found = match &compose {
        Some(compose) => candidates::of(app, compose).await?,
        None => Vec::new(),
    };
    reply::html(&CandidatesPage {
        frame: Frame::of(web, request, "Candidates"),
        watched: compose.is_some(),
        candidates: found.into_iter().map(row).collect(),
        refused: gate::refusal(app, &request.caller, "POST /app/service-candidates/{name}", false),
    })
}

/// `POST /app/service-candidates/{name}`.
pub(crate) async fn approve(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let name = request.parameter("name").unwrap_or_default();
    let difference = request.field("difference").unwrap_or_default();
    let compose = candidates::watched(app).await?.ok_or(ServiceChangeError::NoComposeFile)?;
    let operator = app.operator(&request.caller, request.request_id);
    let approved = candidates::approve(app, &operator, name, &compose, difference).await;
    approved.map_err(|error| versions::told(error.into(), PATH))?;
    Ok(reply::done(PATH, "candidate-approved"))
}

fn row(one: Candidate) -> Row {
    let said = |value: Option<Value>| match value {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
    };
    Row {
        open: matches!(one.state, CandidateState::New | CandidateState::Changed),
        state: one.state.name(),
        tone: match one.state {
            CandidateState::New | CandidateState::Changed => "warn",
            CandidateState::Same => "ok",
            CandidateState::Refused => "bad",
        },
        differences: one
            .differences
            .into_iter()
            .map(|one| DifferenceRow { field: one.field, before: said(one.before), after: said(one.after) })
            .collect(),
        name: one.name,
        container: one.container,
        faults: one.faults,
        digest: one.digest,
    }
}
