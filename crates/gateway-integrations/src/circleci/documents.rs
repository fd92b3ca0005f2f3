//! The forms of CircleCI's answers: only what is judged.

use serde::Deserialize;

use super::names::{PipelineId, WorkflowId};

#[derive(Deserialize)]
pub(super) struct Workflow {
    pub(super) id: WorkflowId,
    pub(super) pipeline_id: PipelineId,
    pub(super) pipeline_number: u64,
    pub(super) project_slug: String,
}

#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Job {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) approval_request_id: Option<WorkflowId>,
}

#[derive(Deserialize)]
pub(super) struct Accepted {
    #[serde(rename = "message")]
    _message: String,
}

#[derive(Deserialize)]
pub(super) struct Pipeline {
    pub(super) id: PipelineId,
    pub(super) project_slug: String,
    #[serde(default)]
    vcs: Option<Vcs>,
    #[serde(default)]
    trigger_parameters: Option<TriggerParameters>,
}

#[derive(Deserialize)]
struct Vcs {
    #[serde(default)]
    revision: Option<String>,
}

#[derive(Deserialize)]
struct TriggerParameters {
    #[serde(default)]
    git: Option<Git>,
}

#[derive(Deserialize)]
struct Git {
    #[serde(default)]
    checkout_sha: Option<String>,
}

impl Pipeline {
    /// The commit that is checked out: `vcs.revision` of OAuth projects, `trigger_parameters.git` of the GitHub App's.
    pub(super) fn commit(&self) -> Option<&str> {
        let vcs = self.vcs.as_ref().and_then(|vcs| vcs.revision.as_deref());
        let git = self.trigger_parameters.as_ref().and_then(|trigger| trigger.git.as_ref());
        vcs.or_else(|| git.and_then(|git| git.checkout_sha.as_deref()))
    }
}

/// Whose token it is.
#[derive(Deserialize)]
pub(super) struct Me {
    pub(super) login: String,
}
