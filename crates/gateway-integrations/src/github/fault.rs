//! Why a commit's evidence does not do: which demand, what was found, and where to look.

use super::demands::Demand;
use crate::http::CallFault;
use crate::sigstore::BundleFault;

/// Why a commit may not be approved, or promoted.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceFault {
    /// GitHub could not be asked, or its answer not be used.
    #[error("{demand}: GitHub could not be asked: {cause}")]
    Unreadable {
        /// What the answer was for.
        demand: Demand,
        /// The commit's page.
        url: String,
        /// What happened.
        #[source]
        cause: CallFault,
    },
    /// GitHub answered for another commit than was asked for.
    #[error("commit: GitHub answered for {found}, not for {commit}")]
    OtherCommit {
        /// The commit.
        commit: String,
        /// What was answered for.
        found: String,
        /// The commit's page.
        url: String,
    },
    /// The branch has a newer commit.
    #[error("branch: the head of {branch} is {head}, not this commit; deploy the head, or have it approved")]
    NotHead {
        /// The branch.
        branch: String,
        /// Its head.
        head: String,
        /// The branch's page.
        url: String,
    },
    /// The commit is not in the branch's history.
    #[error("branch: the commit is not in {branch} (seen from its head it is {status}); merge it first")]
    NotContained {
        /// The branch.
        branch: String,
        /// GitHub's word: `ahead` or `diverged`.
        status: String,
        /// The comparison's page.
        url: String,
    },
    /// There is no pull request that counts.
    #[error("pull request: {found}")]
    NoPullRequest {
        /// What there is instead.
        found: PullsFound,
        /// The page of it, or the commit's.
        url: String,
    },
    /// Too few people approve.
    #[error(
        "reviews: {found} of {needed} approving reviews of the newest head by people with a say; ask for a review"
    )]
    TooFewReviews {
        /// How many it takes.
        needed: u32,
        /// How many there are.
        found: usize,
        /// The pull request's page.
        url: String,
    },
    /// Somebody approves what they wrote.
    #[error("approver is not the author: {approver} wrote it; somebody else must approve")]
    ApproverIsAuthor {
        /// Who.
        approver: String,
        /// The commit's or pull request's page.
        url: String,
    },
    /// Whether the approver wrote it cannot be told.
    #[error(
        "approver is not the author: {author} and {approver} cannot be compared (a GitHub login on one side, an e-mail \
         address on the other); give the approver's GitHub login"
    )]
    AuthorUnknown {
        /// Who wrote it.
        author: String,
        /// Who approves.
        approver: String,
        /// The commit's or pull request's page.
        url: String,
    },
    /// Nobody was named as the approver, so nothing can be compared.
    #[error("approver is not the author: no approver was named")]
    NoApprover {
        /// The commit's page.
        url: String,
    },
    /// No check counts at all.
    #[error("checks: nothing has reported on this commit; a commit without checks is not a green one")]
    NoChecks {
        /// The commit's page.
        url: String,
    },
    /// A check that must be there is not.
    #[error("checks: {name} has not reported on this commit")]
    CheckMissing {
        /// Its name.
        name: String,
        /// The commit's page.
        url: String,
    },
    /// A check is not green.
    #[error("checks: {name} is {found}")]
    CheckNotGreen {
        /// Its name.
        name: String,
        /// What it is: a conclusion, or `pending`.
        found: String,
        /// Its page, or the commit's.
        url: String,
    },
    /// The signature is missing or not good.
    #[error("signature: the commit's signature is not verified ({reason})")]
    NotSigned {
        /// GitHub's word.
        reason: String,
        /// The commit's page.
        url: String,
    },
    /// No attestation shows how the archive was built.
    #[error("attestation: {}", not_attested(fault.as_ref()))]
    NotAttested {
        /// What the first one lacks; `None` = there is none.
        fault: Option<BundleFault>,
        /// The page of the repository's attestations.
        url: String,
    },
}

fn not_attested(fault: Option<&BundleFault>) -> String {
    match fault {
        Some(fault) => format!("none that GitHub has of this archive's SHA-256 does; of the first: {fault}"),
        None => {
            "GitHub has none of this archive's SHA-256; let the build attest the archive that is uploaded"
                .to_owned()
        }
    }
}

/// What there is instead of the pull request that is demanded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PullsFound {
    /// None whose head or merge commit this is.
    #[error(
        "no pull request has this commit as its head or its merge; open one, or deploy its newest commit"
    )]
    None,
    /// Closed and not merged.
    #[error("#{0} was closed without a merge")]
    Closed(u64),
    /// Merged, where an open one is demanded.
    #[error("#{0} is merged, and an open one is demanded")]
    Merged(u64),
    /// Open and a draft.
    #[error("#{0} is a draft")]
    Draft(u64),
    /// Into another branch.
    #[error("#{number} goes into {into}, not into {demanded}")]
    Elsewhere {
        /// Its number.
        number: u64,
        /// Where it goes.
        into: String,
        /// Where it should go.
        demanded: String,
    },
    /// Open and out of a fork.
    #[error("#{0} comes out of a fork and is not merged")]
    Fork(u64),
}

impl EvidenceFault {
    /// The demand that is not met.
    pub fn demand(&self) -> Demand {
        match self {
            EvidenceFault::Unreadable { demand, .. } => *demand,
            EvidenceFault::OtherCommit { .. } => Demand::Commit,
            EvidenceFault::NotHead { .. } | EvidenceFault::NotContained { .. } => Demand::Branch,
            EvidenceFault::NoPullRequest { .. } => Demand::PullRequest,
            EvidenceFault::TooFewReviews { .. } => Demand::Reviews,
            EvidenceFault::ApproverIsAuthor { .. }
            | EvidenceFault::AuthorUnknown { .. }
            | EvidenceFault::NoApprover { .. } => Demand::Author,
            EvidenceFault::NoChecks { .. }
            | EvidenceFault::CheckMissing { .. }
            | EvidenceFault::CheckNotGreen { .. } => Demand::Checks,
            EvidenceFault::NotSigned { .. } => Demand::Signature,
            EvidenceFault::NotAttested { .. } => Demand::Attestation,
        }
    }

    /// The page where people see it.
    pub fn url(&self) -> &str {
        match self {
            EvidenceFault::Unreadable { url, .. }
            | EvidenceFault::OtherCommit { url, .. }
            | EvidenceFault::NotHead { url, .. }
            | EvidenceFault::NotContained { url, .. }
            | EvidenceFault::NoPullRequest { url, .. }
            | EvidenceFault::TooFewReviews { url, .. }
            | EvidenceFault::ApproverIsAuthor { url, .. }
            | EvidenceFault::AuthorUnknown { url, .. }
            | EvidenceFault::NoApprover { url }
            | EvidenceFault::NoChecks { url }
            | EvidenceFault::CheckMissing { url, .. }
            | EvidenceFault::CheckNotGreen { url, .. }
            | EvidenceFault::NotSigned { url, .. }
            | EvidenceFault::NotAttested { url, .. } => url,
        }
    }

    /// Whether the same question may be answered otherwise in a moment without anybody doing anything.
    pub fn retry(&self) -> bool {
        match self {
            EvidenceFault::Unreadable { cause, .. } => cause.retry(),
            EvidenceFault::OtherCommit { .. }
            | EvidenceFault::NotHead { .. }
            | EvidenceFault::NotContained { .. }
            | EvidenceFault::NoPullRequest { .. }
            | EvidenceFault::TooFewReviews { .. }
            | EvidenceFault::ApproverIsAuthor { .. }
            | EvidenceFault::AuthorUnknown { .. }
            | EvidenceFault::NoApprover { .. }
            | EvidenceFault::NoChecks { .. }
            | EvidenceFault::CheckMissing { .. }
            | EvidenceFault::CheckNotGreen { .. }
            | EvidenceFault::NotSigned { .. }
            | EvidenceFault::NotAttested { .. } => false,
        }
    }
}
