//! What the gateway has still to do, and what it does by the clock.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::jobs::{self, JobVerb};
use gateway_app::rounds::Round;
use gateway_store::{Job, JobFilter, JobState};
use gateway_types::{Layer, Problem, ProblemKind};

use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/jobs";
const PAGE_SIZE: u32 = 50;

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    frame: Frame,
    states: Vec<(&'static str, bool)>,
    kind: String,
    /// Whether only some of them were asked for.
    is_narrowed: bool,
    rows: Vec<Row>,
    rounds: Vec<Round>,
    /// Why this person may not change jobs.
    refused: Option<String>,
    pager: Pager,
}

struct Row {
    job: Job,
    tone: &'static str,
    verbs: Vec<JobVerb>,
}

fn row(job: Job) -> Row {
    let tone = match job.state {
        JobState::Dead => "bad",
        JobState::Paused => "warn",
        JobState::Done => "ok",
        JobState::Waiting | JobState::Running | JobState::Cancelled => "",
    };
    let verbs = JobVerb::ALL.into_iter().filter(|verb| verb.leads_to(job.state).is_some()).collect();
    Row { job, tone, verbs }
}

/// `GET /app/jobs`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let query = Query::of(request);
    // A state that there is not shows all of them, as the form then says.
    let state = query.one("state").and_then(|state| state.parse::<JobState>().ok());
    let kind = query.one("kind");
    let filter = JobFilter { state, kind: kind.clone(), cursor: query.one("cursor"), limit: PAGE_SIZE };
    let page = jobs::list(&app.store, &filter).await?;
    reply::html(&JobsPage {
        frame: Frame::of(web, request, "Jobs"),
        states: JobState::ALL.into_iter().map(|one| (one.name(), Some(one) == state)).collect(),
        is_narrowed: state.is_some() || kind.is_some() || filter.cursor.is_some(),
        kind: kind.unwrap_or_default(),
        rounds: app.health.rounds.all(),
        refused: gate::refusal(app, caller, "POST /app/jobs/{id}/{verb}", false),
        pager: Pager::new(PATH, &query, page.next.as_deref()),
        rows: page.items.into_iter().map(row).collect(),
    })
}

/// `POST /app/jobs/{id}/{verb}`.
pub(crate) async fn update(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let nothing = |said: String| Problem::new(ProblemKind::NotFound, Layer::Network, said);
    let id = request.parameter("id").unwrap_or_default().parse();
    let id = id.map_err(|_bad| nothing("There is no such job.".to_owned()))?;
    let verb = request.parameter("verb").unwrap_or_default().parse::<JobVerb>();
    let verb = verb.map_err(|unknown| nothing(unknown.to_string()))?;
    let operator = app.operator(&request.caller, request.request_id);
    jobs::update(&app.store, &operator, id, verb).await?;
    Ok(reply::done(PATH, "job-changed"))
}
