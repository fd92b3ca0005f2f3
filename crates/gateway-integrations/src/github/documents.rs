//! The forms of GitHub's answers: only what is judged. What must be there has no default, so that an answer without it is
//! a fault and not a yes.

use serde::Deserialize;

use crate::http::Paged;

/// A person or app. GitHub writes `null` or `{}` where an e-mail address belongs to no account.
#[derive(Clone, Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    pub(super) login: Option<String>,
    #[serde(default)]
    pub(super) id: Option<u64>,
    #[serde(default, rename = "type")]
    pub(super) kind: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct CommitDocument {
    pub(super) sha: String,
    #[serde(default)]
    pub(super) author: Option<Account>,
    #[serde(default)]
    pub(super) committer: Option<Account>,
    pub(super) commit: GitCommit,
}

#[derive(Deserialize)]
pub(super) struct GitCommit {
    #[serde(default)]
    pub(super) author: Option<GitPerson>,
    #[serde(default)]
    pub(super) committer: Option<GitPerson>,
    pub(super) message: String,
    #[serde(default)]
    pub(super) verification: Option<Verification>,
}

#[derive(Deserialize)]
pub(super) struct GitPerson {
    #[serde(default)]
    pub(super) email: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Verification {
    pub(super) verified: bool,
    pub(super) reason: String,
}

#[derive(Deserialize)]
pub(super) struct BranchDocument {
    pub(super) name: String,
    pub(super) commit: Sha,
}

#[derive(Deserialize)]
pub(super) struct Sha {
    pub(super) sha: String,
}

#[derive(Deserialize)]
pub(super) struct Comparison {
    pub(super) status: String,
    pub(super) merge_base_commit: Sha,
}

#[derive(Deserialize)]
pub(super) struct Pull {
    pub(super) number: u64,
    pub(super) state: String,
    #[serde(default)]
    pub(super) draft: bool,
    #[serde(default)]
    pub(super) merged_at: Option<String>,
    #[serde(default)]
    pub(super) merge_commit_sha: Option<String>,
    pub(super) user: Option<Account>,
    pub(super) head: PullEnd,
    pub(super) base: PullEnd,
}

#[derive(Deserialize)]
pub(super) struct PullEnd {
    pub(super) sha: String,
    #[serde(rename = "ref")]
    pub(super) branch: String,
    pub(super) repo: Option<FullName>,
}

#[derive(Deserialize)]
pub(super) struct FullName {
    pub(super) full_name: String,
}

#[derive(Deserialize)]
pub(super) struct ReviewDocument {
    pub(super) user: Option<Account>,
    pub(super) state: String,
    pub(super) commit_id: Option<String>,
    pub(super) author_association: String,
    #[serde(default)]
    pub(super) submitted_at: Option<String>,
    #[serde(default)]
    pub(super) html_url: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct CombinedStatus {
    total_count: usize,
    statuses: Vec<StatusDocument>,
}

#[derive(Deserialize)]
pub(super) struct StatusDocument {
    pub(super) context: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) target_url: Option<String>,
}

impl Paged for CombinedStatus {
    type Entry = StatusDocument;

    fn entries(self) -> (Vec<StatusDocument>, Option<usize>) {
        (self.statuses, Some(self.total_count))
    }
}

#[derive(Deserialize)]
pub(super) struct CheckRuns {
    total_count: usize,
    check_runs: Vec<CheckRun>,
}

#[derive(Deserialize)]
pub(super) struct CheckRun {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    #[serde(default)]
    pub(super) html_url: Option<String>,
}

impl Paged for CheckRuns {
    type Entry = CheckRun;

    fn entries(self) -> (Vec<CheckRun>, Option<usize>) {
        (self.check_runs, Some(self.total_count))
    }
}

#[derive(Deserialize)]
pub(super) struct RunDocument {
    pub(super) head_sha: String,
    pub(super) repository: FullName,
}

#[derive(Deserialize)]
pub(super) struct PendingDeployment {
    pub(super) environment: Environment,
    pub(super) current_user_can_approve: bool,
}

#[derive(Deserialize)]
pub(super) struct Environment {
    pub(super) id: u64,
    pub(super) name: String,
}
