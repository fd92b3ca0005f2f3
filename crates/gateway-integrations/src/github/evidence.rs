//! What was seen, to be kept with the approval and shown to people. No token, no text longer than a name.

use serde::{Deserialize, Serialize};

use super::demands::{Place, PullState};

/// What GitHub said of a commit when it was asked. Only what was demanded is in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// `owner/name`.
    pub repository: String,
    /// The full hash.
    pub commit: String,
    /// The commit's page.
    pub url: String,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchSeen>,
    /// Its pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullSeen>,
    /// The approving reviews of the pull request's newest head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<ReviewSeen>,
    /// Who wrote it, by login or e-mail address; none of them is an approver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// The checks and commit statuses that counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckSeen>,
    /// The signature that GitHub verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureSeen>,
}

/// Where on which branch the commit was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BranchSeen {
    /// The branch.
    pub name: String,
    /// Its newest commit at that moment.
    pub head: String,
    /// Where the commit is.
    pub place: Place,
    /// The branch's page.
    pub url: String,
}

/// The pull request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullSeen {
    /// Its number.
    pub number: u64,
    /// [`PullState::Open`], or `OpenOrMerged` for a merged one.
    pub state: PullState,
    /// Who opened it.
    pub author: String,
    /// The branch that it goes into.
    pub into: String,
    /// Its newest commit.
    pub head: String,
    /// Its page.
    pub url: String,
}

/// An approving review.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReviewSeen {
    /// The reviewer's login.
    pub reviewer: String,
    /// When, as GitHub says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The review's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A check or a commit status.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckSeen {
    /// Its name.
    pub name: String,
    /// Which of the two it is.
    pub kind: CheckKind,
    /// Its outcome: `success`, `neutral` or `skipped`.
    pub outcome: String,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The two ways in which tools report on a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// A check run of an app (GitHub Actions among them).
    CheckRun,
    /// A commit status.
    Status,
}

/// A verified signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignatureSeen {
    /// GitHub's word for it: `valid`.
    pub reason: String,
}
