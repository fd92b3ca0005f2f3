//! What an app's settings demand of a commit.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::Branch;

/// What must be true of a commit. Nothing is demanded by default; see [`super::GitHub::evidence`] for why a branch or a
/// pull request should be.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Demands {
    /// It is on this branch.
    pub branch: Option<BranchDemand>,
    /// It is the head, or what was merged, of a pull request.
    pub pull_request: Option<PullDemand>,
    /// So many people with a say approve the pull request's newest head. More than 0 demands a pull request too.
    pub reviews: u32,
    /// Nobody approves what they wrote.
    pub approver_is_not_author: bool,
    /// Checks and commit statuses are green.
    pub checks: Option<Checks>,
    /// GitHub verified the commit's signature.
    pub signed: bool,
}

/// Where on which branch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchDemand {
    /// The branch.
    pub name: Branch,
    /// Where on it.
    pub place: Place,
}

/// Where on a branch a commit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// It is the newest commit of the branch.
    Head,
    /// It is in the branch's history, or its head.
    Contained,
}

/// Which pull request counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullDemand {
    /// Its state.
    pub state: PullState,
    /// The branch that it is to be merged into; any when `None`.
    #[serde(default)]
    pub into: Option<Branch>,
}

/// The state that a pull request must have. Closed without a merge never counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// Open.
    Open,
    /// Open or merged.
    OpenOrMerged,
}

/// Which checks and commit statuses must be green. The gateway's own (`rack-gateway/…`) never count.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Checks {
    /// All that there are, at least one.
    All {
        /// Names that must be among them, with success.
        #[serde(default)]
        required: Vec<String>,
        /// Names that do not count: the job that waits for this very approval cannot be done before it.
        #[serde(default)]
        except: Vec<String>,
    },
    /// Those with these names, each there with success; others may be red. An empty list refuses.
    Named(Vec<String>),
}

/// One of the demands, for messages and for the approval's page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// The commit exists.
    Commit,
    /// It is on the branch.
    Branch,
    /// It has a pull request.
    PullRequest,
    /// The pull request is approved.
    Reviews,
    /// The approver is not the author.
    Author,
    /// Checks are green.
    Checks,
    /// The commit is signed.
    Signature,
    /// The archive has an attestation of its build.
    Attestation,
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Demand::Commit => "commit",
            Demand::Branch => "branch",
            Demand::PullRequest => "pull request",
            Demand::Reviews => "reviews",
            Demand::Author => "approver is not the author",
            Demand::Checks => "checks",
            Demand::Signature => "signature",
            Demand::Attestation => "attestation",
        })
    }
}

/// What is demanded of the pull request when only its reviews were spoken of.
const ANY_PULL: PullDemand = PullDemand { state: PullState::OpenOrMerged, into: None };

impl Demands {
    /// What is demanded of a pull request, if one is needed at all.
    pub(super) fn pulls(&self) -> Option<&PullDemand> {
        match &self.pull_request {
            Some(demand) => Some(demand),
            None if self.reviews > 0 => Some(&ANY_PULL),
            None => None,
        }
    }
}
