//! What others are told of an approval: a commit status and a comment at GitHub, the job of the CI system that waits
//! for it, and a message at Slack.
//!
//! Each is a job of the queue, put there in the transaction of the change that it tells of, and told as the approval
//! stands when the job is done: a late try never tells what was true before. What became of it is in the log and
//! beside the approval.
//!
//! # Security
//! Which run waits is what a CI job said, so nothing is set free that GitHub or CircleCI do not call a run of the
//! repository that the app is bound to and of the very commit that was approved. The bindings are settings.

mod ci;
mod github;
mod slack;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use gateway_approvals::state::State;
use gateway_config::SettingKey;
use gateway_integrations::http::Failure;
use gateway_store::{Finding, NewJob};
use gateway_types::ApprovalId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::standing::Standing;
use super::{ApprovalError, event, find};
use crate::{App, Operator, record};

/// The kind of these jobs.
pub const KIND: &str = "report";

/// How long one may take: less than the queue gives a job.
const LIMIT: Duration = Duration::from_secs(45);

/// Something to be told of an approval.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Which approval.
    pub approval: String,
    /// What of it.
    pub what: Subject,
}

/// What is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The commit status at GitHub.
    Status,
    /// A comment below the pull request.
    Comment,
    /// The waiting job of CircleCI.
    Circleci,
    /// The environments of GitHub Actions that wait.
    Environments,
    /// The channel at Slack.
    Slack,
}

impl Subject {
    /// Its name for people.
    const fn name(self) -> &'static str {
        match self {
            Subject::Status => "GitHub was told: commit status",
            Subject::Comment => "GitHub was told: comment",
            Subject::Circleci => "CircleCI was told: waiting job",
            Subject::Environments => "GitHub was told: waiting environments",
            Subject::Slack => "Slack was told: message",
        }
    }

    /// Under which name its outcome is kept.
    const fn source(self) -> &'static str {
        match self {
            Subject::Status => "report/status",
            Subject::Comment => "report/comment",
            Subject::Circleci => "report/circleci",
            Subject::Environments => "report/environments",
            Subject::Slack => "report/slack",
        }
    }
}

/// Why something was not told.
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
pub struct NotTold {
    /// Why, for people; without secrets.
    pub said: String,
    /// Whether another try can help.
    pub retry: bool,
    /// How long to wait at least before that, where whoever was asked said so.
    pub after: Option<Duration>,
}

impl NotTold {
    fn never(said: impl Into<String>) -> Self {
        Self { said: said.into(), retry: false, after: None }
    }

    fn later(said: impl Into<String>) -> Self {
        Self { said: said.into(), retry: true, after: None }
    }

    fn of(failure: &Failure) -> Self {
        Self { said: failure.to_string(), retry: failure.retry, after: failure.after }
    }
}

/// What was told, and where people see it.
struct Told {
    said: String,
    url: Option<String>,
}

/// What [`Reporter`] answers.
pub type Telling<'a> = Pin<Box<dyn Future<Output = Result<(), NotTold>> + Send + 'a>>;

/// Whoever tells others of approvals.
pub trait Reporter: std::fmt::Debug + Send + Sync {
    /// Tells it; it may have been told before.
    fn tell<'a>(&'a self, report: &'a Report) -> Telling<'a>;
}

impl Reporter for App {
    fn tell<'a>(&'a self, report: &'a Report) -> Telling<'a> {
        Box::pin(tell(self, report))
    }
}

/// The jobs that an approval's arrival at `to` makes.
pub(super) fn jobs(app: &App, id: ApprovalId, of_app: &str, to: State) -> Vec<NewJob> {
    let is_set = |key| !app.settings.text(key, of_app).is_empty();
    let is_bound = is_set(SettingKey::GithubRepository);
    let mut told = Vec::new();
    if is_bound && app.settings.switch(SettingKey::GithubStatus, of_app) {
        told.push(Subject::Status);
    }
    if is_bound && to == State::Pending && app.settings.switch(SettingKey::GithubComment, of_app) {
        told.push(Subject::Comment);
    }
    if to == State::Approved && is_set(SettingKey::CircleciProject) {
        told.push(Subject::Circleci);
    }
    let is_decided = matches!(to, State::Approved | State::Rejected | State::Expired | State::Withdrawn);
    if is_bound && is_decided && is_set(SettingKey::GithubEnvironments) {
        told.push(Subject::Environments);
    }
    if slack::is_told(app, of_app, to) {
        told.push(Subject::Slack);
    }
    told.into_iter().filter_map(|what| job(id, what, to)).collect()
}

fn job(id: ApprovalId, what: Subject, to: State) -> Option<NewJob> {
    let payload = serde_json::to_string(&Report { approval: id.to_string(), what }).ok()?;
    let unique_key = Some(format!("{id}:{}:{}", what.source(), to.name()));
    Some(NewJob { unique_key, ..NewJob::now(KIND, payload) })
}

/// Tells it, and writes down what became of that.
async fn tell(app: &App, report: &Report) -> Result<(), NotTold> {
    let id: ApprovalId =
        report.approval.parse().map_err(|_bad| NotTold::never("this is not the id of an approval"))?;
    let standing = match find(app, id).await {
        Ok(standing) => standing,
        Err(ApprovalError::Unknown) => return Ok(()),
        // What this gateway did not write sets nothing free.
        Err(error @ (ApprovalError::Forged { .. } | ApprovalError::Unreadable)) => {
            return Err(NotTold::never(error.to_string()));
        }
        Err(error) => return Err(NotTold::later(error.to_string())),
    };
    let told = match tokio::time::timeout(LIMIT, told(app, &standing, report.what)).await {
        Ok(told) => told,
        Err(_elapsed) => Err(NotTold::later("there was no answer in time")),
    };
    note(app, &standing, report.what, &told).await.map_err(|error| NotTold::later(error.to_string()))?;
    told.map(drop)
}

async fn told(app: &App, standing: &Standing, what: Subject) -> Result<Option<Told>, NotTold> {
    match what {
        Subject::Status => github::status(app, standing).await.map(Some),
        Subject::Comment => github::comment(app, standing).await,
        Subject::Circleci => ci::circleci(app, standing).await.map(Some),
        Subject::Environments => github::environments(app, standing).await,
        Subject::Slack => slack::tell(app, standing).await,
    }
}

/// Writes down what became of telling it, once for each outcome: tries that fail alike are one line of the log.
async fn note(
    app: &App,
    standing: &Standing,
    what: Subject,
    told: &Result<Option<Told>, NotTold>,
) -> Result<(), ApprovalError> {
    let finding = match told {
        Ok(None) => return Ok(()),
        Ok(Some(told)) => finding(what, true, &told.said, told.url.clone()),
        Err(fault) => finding(what, false, &fault.said, None),
    };
    let row = &standing.row;
    let kept = app.store.approvals().findings(row.id).await?;
    if kept.iter().any(|one| one.source == what.source() && one.finding == finding) {
        return Ok(());
    }
    let operator = Operator::system(&*app.clock, &*app.entropy);
    let mut event = event(&operator, "gateway:approval:report", row.id, &row.app, &row.commit);
    event.after = Some(json!({ "what": finding.what, "told": finding.good, "said": finding.said }));
    record(&app.store, event).await?;
    Ok(app.store.approvals().keep_findings(row.id, what.source(), &[finding]).await?)
}

fn finding(what: Subject, good: bool, said: &str, url: Option<String>) -> Finding {
    Finding { what: what.name().to_owned(), good, said: gateway_audit::bounded(said), url }
}

/// The page of an approval, where the gateway's public name is known.
pub(crate) fn page(app: &App, id: ApprovalId) -> Option<Url> {
    let domain = app.domain.as_ref()?;
    Url::parse(&format!("https://{domain}/app/approvals/{id}")).ok()
}
