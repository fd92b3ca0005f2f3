//! Whether the commit is on the branch.

use super::Asked;
use super::demands::{BranchDemand, Demand, Place};
use super::documents::{BranchDocument, Comparison};
use super::evidence::BranchSeen;
use super::fault::EvidenceFault;
use super::names::{Commit, shown};
use crate::http::CallFault;

impl Asked<'_> {
    /// `GET /repos/{owner}/{repo}/branches/{branch}` ("Get a branch"), and where the commit need not be the head
    /// `GET /repos/{owner}/{repo}/compare/{basehead}` ("Compare two commits").
    ///
    /// # Security
    /// The two commits are compared, never the branch's name: a tag of the same name would stand for it.
    pub(super) async fn branch(&self, demand: &BranchDemand) -> Result<BranchSeen, EvidenceFault> {
        let unreadable = |cause| self.unreadable(Demand::Branch, cause);
        let name = demand.name.as_str();
        let url = self.github.at(self.repository, &["branches", name]);
        let path = url.path().to_owned();
        let found: BranchDocument = self.github.endpoint.read(self.http, url).await.map_err(unreadable)?;
        // The head becomes part of the next address, so it must be a commit and nothing else.
        let head =
            found.commit.sha.parse::<Commit>().ok().filter(|_| found.name == name).ok_or_else(|| {
                unreadable(CallFault::Form { host: self.github.endpoint.host(), path, line: 0, column: 0 })
            })?;
        let segments: Vec<&str> = ["tree"].into_iter().chain(name.split('/')).collect();
        let seen = BranchSeen {
            name: name.to_owned(),
            head: head.to_string(),
            place: Place::Head,
            url: self.github.page(self.repository, &segments),
        };
        match demand.place {
            Place::Head | Place::Contained if head == *self.commit => Ok(seen),
            Place::Head => Err(EvidenceFault::NotHead { branch: seen.name, head: seen.head, url: seen.url }),
            Place::Contained => {
                self.contained(&head, &seen.name).await?;
                Ok(BranchSeen { place: Place::Contained, ..seen })
            }
        }
    }

    /// Seen from the branch's head (the base) the commit (the head of the comparison) is *behind* when it is an
    /// ancestor, and then it is itself where the two lines meet.
    async fn contained(&self, head: &Commit, branch: &str) -> Result<(), EvidenceFault> {
        let basehead = format!("{head}...{}", self.commit);
        let mut url = self.github.at(self.repository, &["compare", &basehead]);
        url.query_pairs_mut().append_pair("per_page", "1");
        let found: Comparison = self
            .github
            .endpoint
            .read(self.http, url)
            .await
            .map_err(|cause| self.unreadable(Demand::Branch, cause))?;
        let meets = found.merge_base_commit.sha == self.commit.as_str();
        if meets && matches!(found.status.as_str(), "behind" | "identical") {
            return Ok(());
        }
        Err(EvidenceFault::NotContained {
            branch: branch.to_owned(),
            status: shown(&found.status),
            url: self.github.page(self.repository, &["compare", &basehead]),
        })
    }
}
