//! Whether a pull request has the commit, and who approves it.

use std::collections::BTreeMap;

use super::Asked;
use super::demands::{Demand, PullDemand, PullState};
use super::documents::{Account, CommitDocument, Pull, ReviewDocument};
use super::evidence::{PullSeen, ReviewSeen};
use super::fault::{EvidenceFault, PullsFound};
use super::names::shown;
use crate::http::link;

/// The most pull requests of one commit that are looked at.
const MOST_PULLS: usize = 10;

/// A pull request that counts.
pub(super) struct Counted {
    pub(super) seen: PullSeen,
    /// Who opened it; `None` for an account that is gone.
    pub(super) author: Option<Account>,
}

impl Asked<'_> {
    /// `GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls` ("List pull requests associated with a commit"). It also
    /// lists those that have the commit somewhere in the middle; they do not count.
    pub(super) async fn pull_request(
        &self,
        demand: &PullDemand,
        reviews: u32,
        document: &CommitDocument,
    ) -> Result<(Counted, Vec<ReviewSeen>), EvidenceFault> {
        let url = self.github.at(self.repository, &["commits", self.commit.as_str(), "pulls"]);
        let pulls = self
            .github
            .endpoint
            .list::<Vec<Pull>>(self.http, &url)
            .await
            .map_err(|cause| self.unreadable(Demand::PullRequest, cause))?;
        let mut fault = EvidenceFault::NoPullRequest { found: PullsFound::None, url: self.commit_page() };
        let of_commit = pulls.into_iter().filter(|pull| self.is_of_commit(pull)).take(MOST_PULLS);
        for pull in of_commit {
            let counted = match self.counted(pull, demand) {
                Ok(counted) => counted,
                Err(found) => {
                    fault = found;
                    continue;
                }
            };
            if reviews == 0 {
                return Ok((counted, Vec::new()));
            }
            match self.reviews(&counted, reviews, document).await {
                Ok(seen) => return Ok((counted, seen)),
                Err(found) => fault = found,
            }
        }
        Err(fault)
    }

    fn is_of_commit(&self, pull: &Pull) -> bool {
        // Of an open one GitHub names a merge that it only tried.
        let merged =
            pull.merged_at.is_some() && pull.merge_commit_sha.as_deref() == Some(self.commit.as_str());
        let is_ours = pull.base.repo.as_ref().is_some_and(|repo| self.repository.is(&repo.full_name));
        is_ours && (merged || pull.head.sha == self.commit.as_str())
    }

    fn counted(&self, pull: Pull, demand: &PullDemand) -> Result<Counted, EvidenceFault> {
        let url = self.github.page(self.repository, &["pull", &pull.number.to_string()]);
        let is_merged = pull.merged_at.is_some();
        let is_fork = !pull.head.repo.as_ref().is_some_and(|repo| self.repository.is(&repo.full_name));
        let elsewhere = demand.into.as_ref().filter(|into| into.as_str() != pull.base.branch);
        let number = pull.number;
        let found = match (pull.state.as_str(), demand.state) {
            _ if elsewhere.is_some() => Some(PullsFound::Elsewhere {
                number,
                into: shown(&pull.base.branch),
                demanded: elsewhere.map(ToString::to_string).unwrap_or_default(),
            }),
            ("open", PullState::Open | PullState::OpenOrMerged) if pull.draft => {
                Some(PullsFound::Draft(number))
            }
            ("open", PullState::Open | PullState::OpenOrMerged) if is_fork => Some(PullsFound::Fork(number)),
            ("open", PullState::Open | PullState::OpenOrMerged) => None,
            (_, PullState::OpenOrMerged) if is_merged => None,
            (_, PullState::Open) if is_merged => Some(PullsFound::Merged(number)),
            (_, PullState::Open | PullState::OpenOrMerged) => Some(PullsFound::Closed(number)),
        };
        if let Some(found) = found {
            return Err(EvidenceFault::NoPullRequest { found, url });
        }
        let login = pull.user.as_ref().and_then(|user| user.login.as_deref());
        let seen = PullSeen {
            number,
            state: if is_merged { PullState::OpenOrMerged } else { PullState::Open },
            author: shown(login.unwrap_or("ghost")),
            into: shown(&pull.base.branch),
            head: shown(&pull.head.sha),
            url,
        };
        Ok(Counted { seen, author: pull.user })
    }

    /// `GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews` ("List reviews for a pull request"), oldest first.
    ///
    /// # Security
    /// Anybody may review a public repository's pull request, and so may an app: owners, members and collaborators count,
    /// and only people. The author's own review never does.
    async fn reviews(
        &self,
        counted: &Counted,
        needed: u32,
        document: &CommitDocument,
    ) -> Result<Vec<ReviewSeen>, EvidenceFault> {
        let number = counted.seen.number.to_string();
        let url = self.github.at(self.repository, &["pulls", &number, "reviews"]);
        let reviews = self
            .github
            .endpoint
            .list::<Vec<ReviewDocument>>(self.http, &url)
            .await
            .map_err(|cause| self.unreadable(Demand::Reviews, cause))?;
        let mut authors = vec![counted.author.as_ref()];
        if counted.seen.head == self.commit.as_str() {
            // Of a merge commit the "author" is who merged it, and reviewers do merge.
            authors.extend([document.author.as_ref(), document.committer.as_ref()]);
        }
        let authors: Vec<&str> =
            authors.into_iter().flatten().filter_map(|one| one.login.as_deref()).collect();
        let standing = standing(reviews, &counted.seen.head, &authors);
        if standing.len() < usize::try_from(needed).unwrap_or(usize::MAX) {
            let url = counted.seen.url.clone();
            return Err(EvidenceFault::TooFewReviews { needed, found: standing.len(), url });
        }
        Ok(standing)
    }
}

/// The approving reviews that still stand: of each reviewer the last word counts, and it must be about the newest head.
fn standing(reviews: Vec<ReviewDocument>, head: &str, authors: &[&str]) -> Vec<ReviewSeen> {
    let mut last: BTreeMap<u64, Option<ReviewSeen>> = BTreeMap::new();
    for review in reviews {
        let Some(reviewer) = person(&review) else { continue };
        let (Some(id), Some(login)) = (reviewer.id, reviewer.login.as_deref()) else { continue };
        let is_author = authors.iter().any(|author| author.eq_ignore_ascii_case(login));
        let approves = match review.state.as_str() {
            "APPROVED" => !is_author && review.commit_id.as_deref() == Some(head),
            // A remark, or a review that is not sent yet, takes nothing back.
            "COMMENTED" | "PENDING" => continue,
            // Changes requested, dismissed, and whatever else there will be.
            _ => false,
        };
        let seen = approves.then(|| ReviewSeen {
            reviewer: shown(login),
            at: review.submitted_at.as_deref().map(shown),
            url: link(review.html_url.as_deref()),
        });
        last.insert(id, seen);
    }
    last.into_values().flatten().collect()
}

/// The reviewer, when it is a person with a say in the repository.
fn person(review: &ReviewDocument) -> Option<&Account> {
    let has_say = matches!(review.author_association.as_str(), "OWNER" | "MEMBER" | "COLLABORATOR");
    review.user.as_ref().filter(|user| has_say && user.kind.as_deref() == Some("User"))
}
