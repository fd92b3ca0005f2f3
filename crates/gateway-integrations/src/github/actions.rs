//! GitHub Actions: answering for an environment, as a custom deployment protection rule or as one of its reviewers.
//!
//! # Security
//! Which run waits, CI says. A run is answered for only when GitHub says that it is of the repository that the app is
//! bound to and of the very commit that was approved; else one approval would let any run deploy.

use serde::{Deserialize, Serialize};
use url::Url;

use super::GitHub;
use super::documents::{PendingDeployment, RunDocument};
use super::names::{Commit, Repository, shown};
use super::write::cut;
use crate::http::{CallFault, Failure, Http};

/// The longest comment of a review.
const COMMENT_CHARACTERS: usize = 1000;

/// A workflow run's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Run(pub u64);

/// What is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Review {
    /// It may deploy.
    Approved,
    /// It may not.
    Rejected,
}

/// A run that waits for this gateway's rule, out of a `deployment_callback_url`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeploymentRule {
    repository: Repository,
    run: Run,
}

/// Why a run was not answered for.
#[derive(Debug, thiserror::Error)]
pub enum ActionsFault {
    /// The callback address is not one of this GitHub's API.
    #[error(
        "the callback address is not {expected}/repos/OWNER/NAME/actions/runs/RUN/deployment_protection_rule"
    )]
    Callback {
        /// The API's address.
        expected: String,
    },
    /// The run is of another repository than the app is bound to.
    #[error("the run is of {found}, and the app is bound to {bound}")]
    OtherRepository {
        /// What the app is bound to.
        bound: String,
        /// What the run is of.
        found: String,
    },
    /// The run is of another commit than was approved.
    #[error("the run is of commit {found}, and {approved} was approved")]
    OtherCommit {
        /// What was approved.
        approved: String,
        /// What the run is of.
        found: String,
    },
    /// None of the environments waits in this run.
    #[error("the run waits for none of the environments that were named")]
    NothingWaits,
    /// The token's account is not a reviewer of the environment.
    #[error("the token's account may not review the environment {environment}; add it to its reviewers")]
    NotReviewer {
        /// The environment.
        environment: String,
    },
    /// GitHub could not be asked or told.
    #[error("{0}")]
    Call(#[from] Failure),
}

impl From<CallFault> for ActionsFault {
    fn from(cause: CallFault) -> Self {
        Self::Call(cause.into())
    }
}

impl ActionsFault {
    /// Whether to try again.
    pub fn retry(&self) -> bool {
        match self {
            ActionsFault::Call(failure) => failure.retry,
            ActionsFault::Callback { .. }
            | ActionsFault::OtherRepository { .. }
            | ActionsFault::OtherCommit { .. }
            | ActionsFault::NothingWaits
            | ActionsFault::NotReviewer { .. } => false,
        }
    }
}

#[derive(Serialize)]
struct RuleAnswer<'a> {
    environment_name: &'a str,
    state: Review,
    comment: String,
}

#[derive(Serialize)]
struct PendingAnswer {
    environment_ids: Vec<u64>,
    state: Review,
    comment: String,
}

impl GitHub {
    /// Reads a `deployment_callback_url`. It comes from outside, so only its parts are kept and the address is made anew.
    ///
    /// # Errors
    /// When it is not of this API and of that one form.
    pub fn deployment_rule(&self, callback: &str) -> Result<DeploymentRule, ActionsFault> {
        let refused = || ActionsFault::Callback { expected: self.endpoint.base().to_string() };
        let url = Url::parse(callback).map_err(|_| refused())?;
        let api = self.endpoint.at(&["repos"]);
        let rest = url.path().strip_prefix(api.path()).and_then(|rest| rest.strip_prefix('/'));
        let parts: Vec<&str> = rest.ok_or_else(refused)?.split('/').collect();
        let [owner, name, "actions", "runs", run, "deployment_protection_rule"] = parts.as_slice() else {
            return Err(refused());
        };
        let repository: Repository = format!("{owner}/{name}").parse().map_err(|_| refused())?;
        let run = run.parse().map(Run).map_err(|_| refused())?;
        let rule = DeploymentRule { repository, run };
        // Whatever else the address holds (user name, port, query, odd digits), it is not the one that is sent to.
        if self.rule_address(&rule) == url { Ok(rule) } else { Err(refused()) }
    }

    /// Answers a custom deployment protection rule.
    ///
    /// `POST /repos/{owner}/{repo}/actions/runs/{run_id}/deployment_protection_rule` ("Review custom deployment protection
    /// rules for a workflow run"); before it `GET /repos/{owner}/{repo}/actions/runs/{run_id}` ("Get a workflow run").
    ///
    /// # Errors
    /// When the run is not of `bound` and `commit`, or GitHub cannot be asked or told.
    pub async fn review_deployment(
        &self,
        http: &dyn Http,
        rule: &DeploymentRule,
        (bound, commit): (&Repository, &Commit),
        environment: &str,
        (review, comment): (Review, &str),
    ) -> Result<(), ActionsFault> {
        if rule.repository != *bound {
            let (bound, found) = (bound.to_string(), rule.repository.to_string());
            return Err(ActionsFault::OtherRepository { bound, found });
        }
        self.check_run(http, rule.run, bound, commit).await?;
        let body = RuleAnswer {
            environment_name: environment,
            state: review,
            comment: cut(comment, COMMENT_CHARACTERS),
        };
        self.endpoint.post(http, self.rule_address(rule), &body).await?;
        Ok(())
    }

    /// Answers as a reviewer of the environments with these names.
    ///
    /// `POST /repos/{owner}/{repo}/actions/runs/{run_id}/pending_deployments` ("Review pending deployments for a workflow
    /// run"), after a `GET` of the same.
    ///
    /// # Errors
    /// When the run is not of `bound` and `commit`, none of the environments waits in it, the token's account may not
    /// review one, or GitHub cannot be asked or told.
    pub async fn review_pending(
        &self,
        http: &dyn Http,
        run: Run,
        (bound, commit): (&Repository, &Commit),
        environments: &[String],
        (review, comment): (Review, &str),
    ) -> Result<(), ActionsFault> {
        self.check_run(http, run, bound, commit).await?;
        let url = self.at(bound, &["actions", "runs", &run.0.to_string(), "pending_deployments"]);
        let waiting: Vec<PendingDeployment> = self.endpoint.read(http, url.clone()).await?;
        // GitHub compares the names of environments without regard to case.
        let is_named =
            |name: &str| environments.iter().any(|wanted| wanted.to_lowercase() == name.to_lowercase());
        let named: Vec<_> = waiting.iter().filter(|one| is_named(&one.environment.name)).collect();
        if named.is_empty() {
            return Err(ActionsFault::NothingWaits);
        }
        if let Some(closed) = named.iter().find(|one| !one.current_user_can_approve) {
            return Err(ActionsFault::NotReviewer { environment: shown(&closed.environment.name) });
        }
        let body = PendingAnswer {
            environment_ids: named.iter().map(|one| one.environment.id).collect(),
            state: review,
            comment: cut(comment, COMMENT_CHARACTERS),
        };
        self.endpoint.post(http, url, &body).await?;
        Ok(())
    }

    async fn check_run(
        &self,
        http: &dyn Http,
        run: Run,
        bound: &Repository,
        commit: &Commit,
    ) -> Result<(), ActionsFault> {
        let url = self.at(bound, &["actions", "runs", &run.0.to_string()]);
        let found: RunDocument = self.endpoint.read(http, url).await?;
        if !bound.is(&found.repository.full_name) {
            let found = shown(&found.repository.full_name);
            return Err(ActionsFault::OtherRepository { bound: bound.to_string(), found });
        }
        if found.head_sha != commit.as_str() {
            let (approved, found) = (commit.to_string(), shown(&found.head_sha));
            return Err(ActionsFault::OtherCommit { approved, found });
        }
        Ok(())
    }

    fn rule_address(&self, rule: &DeploymentRule) -> Url {
        let run = rule.run.0.to_string();
        self.at(&rule.repository, &["actions", "runs", &run, "deployment_protection_rule"])
    }
}
