//! CircleCI: letting the job go on that waits for an approval.
//!
//! Start reading at [`CircleCi::approve`].
//!
//! # Security
//! The gateway's token reaches every project of its owner, and which workflow waits is what a CI job said. So the workflow
//! must be of the project that the app is bound to, and of the very commit that was approved; else whoever may ask for an
//! approval of one app could set free a job of another (a confused deputy).
//!
//! Source: CircleCI API v2, <https://circleci.com/docs/api/v2/>.

mod documents;
mod names;
#[cfg(test)]
mod tests;

use gateway_types::Secret;
use serde_json::json;
use url::Url;

pub use self::names::{JobName, NameFault, PipelineId, ProjectSlug, WorkflowId};

use self::documents::{Accepted, Job, Me, Page, Pipeline, Workflow};
use crate::github::Commit;
use crate::http::{CallFault, Credential, Endpoint, EndpointFault, Failure, Http, MAX_PAGES};

/// Where CircleCI is. A CircleCI server has an address of its own.
pub const HOST: &str = "https://circleci.com";

/// The most workflows of a pipeline, reruns counted, that are looked at.
const MOST_WORKFLOWS: usize = 30;

/// A CircleCI that is asked with one personal token.
#[derive(Clone, Debug)]
pub struct CircleCi {
    endpoint: Endpoint,
}

/// What waits, as CI told it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// A job of this workflow (`CIRCLE_WORKFLOW_ID`).
    Workflow(WorkflowId),
    /// A job of one of this pipeline's workflows.
    Pipeline(PipelineId),
}

/// Which job may be approved: all of it comes from the app's settings and the approval, nothing from CI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// The project that the app is bound to.
    pub project: ProjectSlug,
    /// The commit that was approved.
    pub commit: Commit,
    /// The approval job's name in the workflow.
    pub job: JobName,
}

/// What became of the job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Approved {
    /// It was waiting, and goes on.
    Now {
        /// The workflow's page.
        url: String,
    },
    /// Somebody approved it before, or an earlier try did.
    Before {
        /// The workflow's page.
        url: String,
    },
}

/// Why no job was approved.
#[derive(Debug, thiserror::Error)]
pub enum CircleFault {
    /// The workflow or pipeline is of another project.
    #[error("it is of the project {found}, and the app is bound to {bound}")]
    OtherProject {
        /// What the app is bound to.
        bound: String,
        /// What it is of.
        found: String,
    },
    /// The pipeline runs another commit.
    #[error("the pipeline runs commit {found}, and {approved} was approved")]
    OtherCommit {
        /// What was approved.
        approved: String,
        /// What runs.
        found: String,
    },
    /// CircleCI does not say which commit the pipeline runs.
    #[error("CircleCI does not say which commit the pipeline runs, so its job is not approved")]
    CommitUnknown,
    /// CircleCI answered for another workflow or pipeline than was asked for.
    #[error("CircleCI answered for another workflow or pipeline than was asked for")]
    OtherAnswer,
    /// No job of that name waits.
    #[error("no approval job named {job} is on hold; check the job's name in the app's settings")]
    NotWaiting {
        /// The name.
        job: String,
    },
    /// More than one job of that name waits.
    #[error(
        "{count} approval jobs named {job} are on hold, and which one is meant cannot be told; approve it at CircleCI"
    )]
    Ambiguous {
        /// The name.
        job: String,
        /// How many.
        count: usize,
    },
    /// CircleCI could not be asked or told.
    #[error("{0}")]
    Call(#[from] Failure),
}

impl From<CallFault> for CircleFault {
    fn from(cause: CallFault) -> Self {
        Self::Call(cause.into())
    }
}

impl CircleFault {
    /// Whether to try again. A job that does not wait yet may do so in a moment: the one before it still runs.
    pub fn retry(&self) -> bool {
        match self {
            CircleFault::Call(failure) => failure.retry,
            CircleFault::NotWaiting { .. } => true,
            CircleFault::OtherProject { .. }
            | CircleFault::OtherCommit { .. }
            | CircleFault::CommitUnknown
            | CircleFault::OtherAnswer
            | CircleFault::Ambiguous { .. } => false,
        }
    }
}

/// A job that may be approved, and the workflow that it is of.
struct Held {
    workflow: WorkflowId,
    request: WorkflowId,
    page: String,
}

impl CircleCi {
    /// `host` is [`HOST`] or a CircleCI server's address.
    ///
    /// # Errors
    /// When the address is not https (plain http is for loopback), or the token cannot be sent.
    pub fn new(host: Url, token: Secret<String>) -> Result<Self, EndpointFault> {
        Endpoint::new(host, token, Credential::CircleToken, &[]).map(|endpoint| Self { endpoint })
    }

    /// As whom CircleCI knows the token.
    ///
    /// `GET /api/v2/me`.
    ///
    /// # Errors
    /// When CircleCI does not take the token, or cannot be asked.
    pub async fn who(&self, http: &dyn Http) -> Result<String, CallFault> {
        let known: Me = self.endpoint.read(http, self.endpoint.at(&["api", "v2", "me"])).await?;
        Ok(known.login)
    }

    /// Approves the one job that waits, after it is shown to be the bound project's and the approved commit's.
    ///
    /// `GET /api/v2/workflow/{id}` or `GET /api/v2/pipeline/{id}/workflow`, `GET /api/v2/pipeline/{id}`,
    /// `GET /api/v2/workflow/{id}/job`, `POST /api/v2/workflow/{id}/approve/{approval_request_id}`.
    ///
    /// # Errors
    /// When it cannot be shown, when not exactly one such job waits, or CircleCI cannot be asked or told.
    pub async fn approve(
        &self,
        http: &dyn Http,
        waiting: &Waiting,
        bound: &Bound,
    ) -> Result<Approved, CircleFault> {
        let workflows = self.workflows(http, waiting, bound).await?;
        let (mut held, mut before) = (Vec::new(), None);
        for workflow in workflows {
            let path = ["api", "v2", "workflow", workflow.id.as_str(), "job"];
            let page = self.page(bound, &workflow);
            for job in self.list::<Job>(http, &path).await? {
                if job.kind != "approval" || job.name != bound.job.as_str() {
                    continue;
                }
                match (job.status.as_str(), job.approval_request_id) {
                    ("on_hold", Some(request)) => {
                        held.push(Held { workflow: workflow.id.clone(), request, page: page.clone() });
                    }
                    ("success", Some(_) | None) => before = Some(page.clone()),
                    (_, Some(_) | None) => {}
                }
            }
        }
        let job = bound.job.to_string();
        match (held.as_slice(), before) {
            ([one], _) => {
                let (id, request) = (one.workflow.as_str(), one.request.as_str());
                let url = self.endpoint.at(&["api", "v2", "workflow", id, "approve", request]);
                let _accepted: Accepted = self.endpoint.post(http, url, &json!({})).await?.document()?;
                Ok(Approved::Now { url: one.page.clone() })
            }
            ([], Some(url)) => Ok(Approved::Before { url }),
            ([], None) => Err(CircleFault::NotWaiting { job }),
            (several, _) => Err(CircleFault::Ambiguous { job, count: several.len() }),
        }
    }

    /// The workflows in which the job may wait, each shown to be of the bound project and the approved commit.
    async fn workflows(
        &self,
        http: &dyn Http,
        waiting: &Waiting,
        bound: &Bound,
    ) -> Result<Vec<Workflow>, CircleFault> {
        let (pipeline, workflows) = match waiting {
            Waiting::Workflow(id) => {
                let url = self.endpoint.at(&["api", "v2", "workflow", id.as_str()]);
                let workflow: Workflow = self.endpoint.read(http, url).await?;
                if workflow.id != *id {
                    return Err(CircleFault::OtherAnswer);
                }
                (workflow.pipeline_id.clone(), vec![workflow])
            }
            Waiting::Pipeline(id) => {
                let path = ["api", "v2", "pipeline", id.as_str(), "workflow"];
                let workflows: Vec<Workflow> = self.list(http, &path).await?;
                if workflows.len() > MOST_WORKFLOWS {
                    let (host, path) = (self.endpoint.host(), format!("/{}", path.join("/")));
                    return Err(CallFault::Incomplete { host, path }.into());
                }
                (id.clone(), workflows)
            }
        };
        for workflow in &workflows {
            if workflow.pipeline_id != pipeline {
                return Err(CircleFault::OtherAnswer);
            }
            of_project(&workflow.project_slug, bound)?;
        }
        self.check_commit(http, &pipeline, bound).await?;
        Ok(workflows)
    }

    async fn check_commit(
        &self,
        http: &dyn Http,
        pipeline: &PipelineId,
        bound: &Bound,
    ) -> Result<(), CircleFault> {
        let url = self.endpoint.at(&["api", "v2", "pipeline", pipeline.as_str()]);
        let found: Pipeline = self.endpoint.read(http, url).await?;
        if found.id != *pipeline {
            return Err(CircleFault::OtherAnswer);
        }
        of_project(&found.project_slug, bound)?;
        let commit = found.commit().ok_or(CircleFault::CommitUnknown)?;
        if commit == bound.commit.as_str() {
            Ok(())
        } else {
            Err(CircleFault::OtherCommit { approved: bound.commit.to_string(), found: names::shown(commit) })
        }
    }

    /// Reads a list to its end, or to [`MAX_PAGES`] pages.
    async fn list<T: serde::de::DeserializeOwned>(
        &self,
        http: &dyn Http,
        path: &[&str],
    ) -> Result<Vec<T>, CallFault> {
        let mut all = Vec::new();
        let mut token: Option<String> = None;
        let base = self.endpoint.at(path);
        for _ in 0..MAX_PAGES {
            let mut url = base.clone();
            if let Some(token) = &token {
                url.query_pairs_mut().append_pair("page-token", token);
            }
            let page: Page<T> = self.endpoint.read(http, url).await?;
            all.extend(page.items);
            match page.next_page_token {
                Some(next) if !next.is_empty() => token = Some(next),
                Some(_) | None => return Ok(all),
            }
        }
        Err(CallFault::Incomplete { host: self.endpoint.host(), path: base.path().to_owned() })
    }

    /// The workflow's page for people, at CircleCI's own or the server's application.
    fn page(&self, bound: &Bound, workflow: &Workflow) -> String {
        let mut url = self.endpoint.base().clone();
        if url.host_str() == Some("circleci.com") {
            // A name in place of a name: it cannot fail, and if it did the API's own address would be shown.
            let _unchanged = url.set_host(Some("app.circleci.com"));
        }
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("pipelines").extend(bound.project.parts());
            path.push(&workflow.pipeline_number.to_string()).extend(["workflows", workflow.id.as_str()]);
        }
        url.into()
    }
}

fn of_project(found: &str, bound: &Bound) -> Result<(), CircleFault> {
    if found.parse::<ProjectSlug>().is_ok_and(|slug| slug == bound.project) {
        return Ok(());
    }
    Err(CircleFault::OtherProject { bound: bound.project.to_string(), found: names::shown(found) })
}
