//! The queue of jobs and the work by the clock: `/jobs`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::jobs::{self, JobVerb};
use gateway_app::rounds::Round;
use gateway_store::{Job as Row, JobFilter, JobState};
use gateway_types::wire::jobs::{Job, Jobs, PeriodicJob};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input;
use crate::paging::{self, bare};
use crate::reply::{self, Answer};

/// The query of the listing.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobsQuery {
    /// Only those in this state.
    #[serde(default)]
    state: Option<String>,
    /// Only those of this kind.
    #[serde(default)]
    kind: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    limit: Option<u32>,
}

fn shown(row: Row) -> Job {
    Job {
        id: row.id.to_string(),
        kind: row.kind,
        state: row.state.name().to_owned(),
        run_at: row.run_at.to_rfc3339(),
        tries: row.tries,
        most_tries: row.most_tries,
        error: row.error,
        created: row.created.to_rfc3339(),
        finished: row.finished.map(|at| at.to_rfc3339()),
    }
}

fn periodic(round: Round) -> PeriodicJob {
    PeriodicJob {
        name: round.name.to_owned(),
        every_seconds: round.every.as_secs(),
        done: round.done,
        running: round.running,
        last: round.began.map(|at| at.to_rfc3339()),
        took_ms: round.took.and_then(|took| u64::try_from(took.as_millis()).ok()),
        next: round.next().map(|at| at.to_rfc3339()),
    }
}

/// The queue, newest first, and what the instance that answers does by the clock.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(JobsQuery), responses((status = 200, body = Jobs)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    let asked: JobsQuery = input::query(request)?;
    let state = asked.state.as_deref().map(str::parse::<JobState>).transpose();
    let filter = JobFilter {
        state: state.map_err(|unknown| input::bad(unknown.to_string()))?,
        kind: asked.kind,
        cursor: asked.cursor,
        limit: paging::limit(asked.limit)?,
    };
    let page = jobs::list(&app.store, &filter).await?;
    reply::json(&Jobs {
        items: page.items.into_iter().map(shown).collect(),
        next: page.next,
        periodic: app.health.rounds.all().into_iter().map(periodic).collect(),
    })
}

/// Lets a job run now (`retry`), calls it off (`cancel`) or holds it back until it is retried (`pause`).
#[utoipa::path(post, path = "/api/v1/jobs/{id}/{verb}", tag = "jobs",
    params(("id" = String, Path), ("verb" = String, Path)), responses((status = 200, body = Job)))]
pub(crate) async fn update(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id = input::path(request, "id")?;
    let verb = request.parameter("verb").unwrap_or_default().parse::<JobVerb>();
    let verb = verb.map_err(|unknown| input::bad(unknown.to_string()))?;
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&shown(jobs::update(&app.store, &operator, id, verb).await?))
}
