//! GitHub and GitHub Enterprise Server: what must be true of a commit before its deploy is approved, and what is told
//! back (commit status, comment, environments of GitHub Actions).
//!
//! Start reading at [`GitHub::evidence`]. `documents.rs` holds the answers' forms; `branch.rs`, `pulls.rs`,
//! `authors.rs` and `checks.rs` each judge one demand.
//!
//! Source: GitHub REST API, version 2022-11-28, <https://docs.github.com/en/rest>.

mod actions;
mod app;
mod attestations;
mod authors;
mod branch;
mod checks;
mod demands;
mod documents;
mod evidence;
mod fault;
mod names;
mod pulls;
mod write;

#[cfg(test)]
mod tests;

use gateway_types::Secret;
use url::Url;

pub use self::actions::{ActionsFault, DeploymentRule, Review, Run};
pub use self::app::InstallationToken;
pub use self::attestations::Built;
pub use self::authors::Approver;
pub use self::demands::{BranchDemand, Checks, Demand, Demands, Place, PullDemand, PullState};
pub use self::evidence::{BranchSeen, CheckKind, CheckSeen, Evidence, PullSeen, ReviewSeen, SignatureSeen};
pub use self::fault::{EvidenceFault, PullsFound};
pub use self::names::{Branch, Commit, NameFault, Repository};
pub use self::write::{CommitState, Written, as_plain};

use self::documents::CommitDocument;
use crate::http::{Credential, Endpoint, EndpointFault, Http};

/// Where the API of github.com is.
pub const API: &str = "https://api.github.com";

/// The beginning of the gateway's own commit statuses. They wait for the approval, so the approval never waits for them.
pub const OWN_CONTEXT: &str = "rack-gateway/";

const HEADERS: &[(&str, &str)] =
    &[("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")];

/// A GitHub that is asked with one token.
///
/// The token needs to read contents, pull requests, checks and commit statuses of the repository; to write back it
/// needs commit statuses, pull requests (comments), and deployments or actions.
#[derive(Clone, Debug)]
pub struct GitHub {
    endpoint: Endpoint,
}

impl GitHub {
    /// `api` is [`API`], or `https://HOST/api/v3` of an Enterprise Server.
    ///
    /// # Errors
    /// When the address is not https (plain http is for loopback), or the token cannot be sent.
    pub fn new(api: Url, token: Secret<String>) -> Result<Self, EndpointFault> {
        Endpoint::new(api, token, Credential::Bearer, HEADERS).map(|endpoint| Self { endpoint })
    }

    /// What GitHub says of the commit, or the first demand that it does not meet.
    ///
    /// Asked at approve and again at promote: reviews are withdrawn and branches move. `approvers` are the people whose
    /// approval is to count; they matter to [`Demands::approver_is_not_author`] only.
    ///
    /// # Errors
    /// When a demand is not met, or cannot be shown to be met: an answer that is missing, refused, redirected, too large
    /// or of another form is a fault of the demand that needed it.
    ///
    /// # Security
    /// GitHub answers for a commit under the name of any repository of its fork network, and a status or check can be
    /// set by whoever may write to the repository. Only a branch or a pull request ties the commit to *this*
    /// repository; demand one of them.
    pub async fn evidence(
        &self,
        http: &dyn Http,
        repository: &Repository,
        commit: &Commit,
        demands: &Demands,
        approvers: &[Approver],
    ) -> Result<Evidence, EvidenceFault> {
        let asked = Asked { github: self, http, repository, commit };
        let document = asked.commit().await?;
        let branch = match &demands.branch {
            Some(demand) => Some(asked.branch(demand).await?),
            None => None,
        };
        let (pull_request, reviews) = match demands.pulls() {
            Some(demand) => {
                let (pull, reviews) = asked.pull_request(demand, demands.reviews, &document).await?;
                (Some(pull), reviews)
            }
            None => (None, Vec::new()),
        };
        let authors = if demands.approver_is_not_author {
            asked.authors(&document, pull_request.as_ref(), approvers).await?
        } else {
            Vec::new()
        };
        let checks = match &demands.checks {
            Some(demand) => asked.checks(demand).await?,
            None => Vec::new(),
        };
        let signature = if demands.signed { Some(asked.signature(&document)?) } else { None };
        Ok(Evidence {
            repository: repository.to_string(),
            commit: commit.to_string(),
            url: asked.commit_page(),
            branch,
            pull_request: pull_request.map(|pull| pull.seen),
            reviews,
            authors,
            checks,
            signature,
        })
    }

    /// The address of a page for people. The API of github.com has a host of its own; Enterprise Server has a path.
    fn page(&self, repository: &Repository, segments: &[&str]) -> String {
        page(self.endpoint.base(), repository, segments)
    }

    /// An address of the API below the repository.
    fn at(&self, repository: &Repository, segments: &[&str]) -> Url {
        let all: Vec<&str> =
            ["repos", repository.owner(), repository.name()].iter().chain(segments).copied().collect();
        self.endpoint.at(&all)
    }
}

fn page(api: &Url, repository: &Repository, segments: &[&str]) -> String {
    let mut url = api.clone();
    if url.host_str() == Some("api.github.com") {
        // A name in place of a name: it cannot fail, and if it did the API's own address would be shown.
        let _unchanged = url.set_host(Some("github.com"));
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend([repository.owner(), repository.name()]).extend(segments);
    }
    url.into()
}

/// The page that compares two commits of a repository, for people; `api` as in [`GitHub::new`].
pub fn compare_page(api: &Url, repository: &Repository, from: &Commit, to: &Commit) -> String {
    page(api, repository, &["compare", &format!("{from}...{to}")])
}

/// One gathering of evidence: whom is asked, about what.
#[derive(Clone, Copy)]
struct Asked<'a> {
    github: &'a GitHub,
    http: &'a dyn Http,
    repository: &'a Repository,
    commit: &'a Commit,
}

impl Asked<'_> {
    /// `GET /repos/{owner}/{repo}/commits/{ref}` ("Get a commit").
    async fn commit(&self) -> Result<CommitDocument, EvidenceFault> {
        let mut url = self.github.at(self.repository, &["commits", self.commit.as_str()]);
        // The changed files are of no use here and may be many.
        url.query_pairs_mut().append_pair("per_page", "1");
        let document: CommitDocument = self
            .github
            .endpoint
            .read(self.http, url)
            .await
            .map_err(|cause| self.unreadable(Demand::Commit, cause))?;
        if document.sha != self.commit.as_str() {
            return Err(EvidenceFault::OtherCommit {
                commit: self.commit.to_string(),
                found: names::shown(&document.sha),
                url: self.commit_page(),
            });
        }
        Ok(document)
    }

    /// The signature, where GitHub found it to be of somebody it knows.
    fn signature(&self, document: &CommitDocument) -> Result<SignatureSeen, EvidenceFault> {
        let verification = document.commit.verification.as_ref();
        let reason = verification.map_or_else(|| "absent".to_owned(), |found| names::shown(&found.reason));
        if verification.is_some_and(|found| found.verified) {
            Ok(SignatureSeen { reason })
        } else {
            Err(EvidenceFault::NotSigned { reason, url: self.commit_page() })
        }
    }

    fn commit_page(&self) -> String {
        self.github.page(self.repository, &["commit", self.commit.as_str()])
    }

    fn unreadable(&self, demand: Demand, cause: crate::http::CallFault) -> EvidenceFault {
        EvidenceFault::Unreadable { demand, url: self.commit_page(), cause }
    }
}
