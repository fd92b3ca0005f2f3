//! What GitHub must show of a commit before its deploy is approved, and again before it is promoted.
//!
//! An app is bound to a repository by the setting `github_repository`; the other `github_` settings are the demands.
//!
//! # Security
//! Which repository, branch and checks count comes from the settings alone, never from whoever asks for the approval. A
//! demand that was not shown to be met is not met: no way to ask, no answer and an odd answer refuse like a red check.

use gateway_config::SettingKey;
use gateway_integrations::github::{
    Approver, Branch, BranchDemand, Checks, Commit, Demand, Demands, Evidence, Place, PullDemand, PullState,
    Repository,
};
use gateway_store::{Finding, KeptFinding};
use gateway_types::wire::approvals as wire;
use gateway_types::{Caller, Principal, Timestamp, UserId};
use serde_json::json;

use super::attestation;
use super::standing::Standing;
use super::{ApprovalError, event};
use crate::integrations::{NotShown, Question, WayOut};
use crate::{App, Operator, record};

/// Under which name findings about the commit are kept.
const SOURCE: &str = "evidence";

/// The same of the archive's attestation.
pub(super) const ATTESTATION: &str = "attestation";

/// Asks GitHub whether the commit may be approved or promoted now, and writes down what it said: a short text for the
/// log, or nothing for an app that is bound to no repository.
///
/// `approver` is who is about to approve; whoever did before counts too.
///
/// # Errors
/// [`ApprovalError::Evidence`] and its like. Also when it cannot be written down.
pub(super) async fn check(
    app: &App,
    operator: &Operator<'_>,
    standing: &Standing,
    approver: Option<UserId>,
) -> Result<Option<String>, ApprovalError> {
    let Some(repository) = bound(app, standing)? else { return Ok(None) };
    let mut approvers: Vec<UserId> = standing.counting().into_iter().map(|(user, _)| user).collect();
    approvers.extend(approver.filter(|user| !approvers.contains(user)));
    let asked = ask(app, standing, repository, &approvers).await;
    let (id, store) = (standing.row.id, &app.store);
    match asked {
        Ok(evidence) => {
            store.approvals().keep_findings(id, SOURCE, &good(&evidence)).await?;
            Ok(Some(summary(&evidence)))
        }
        Err(refusal) => {
            let row = &standing.row;
            let mut event = event(operator, "gateway:approval:evidence", id, &row.app, &row.commit);
            event.after = Some(json!({ "met": false, "why": refusal.error.to_string() }));
            record(store, event).await?;
            store.approvals().keep_findings(id, SOURCE, &[refusal.finding]).await?;
            Err(refusal.error)
        }
    }
}

/// What is known of the commit: of an approval that is open what GitHub says now, else what it said when it counted.
pub(super) async fn findings(
    app: &App,
    caller: &Caller,
    standing: &Standing,
) -> Result<Vec<wire::ApprovalFinding>, ApprovalError> {
    let mut kept = app.store.approvals().findings(standing.row.id).await?;
    let repository = match bound(app, standing) {
        Ok(Some(repository)) if standing.state.is_open() => repository,
        Ok(_) | Err(_) => return Ok(kept.into_iter().map(wire_form).collect()),
    };
    let mut approvers: Vec<UserId> = standing.counting().into_iter().map(|(user, _)| user).collect();
    if approvers.is_empty()
        && let Principal::User { id, .. } = caller.principal
    {
        approvers.push(id);
    }
    let now = match ask(app, standing, repository, &approvers).await {
        Ok(evidence) => good(&evidence),
        Err(refusal) => vec![refusal.finding],
    };
    let attested = attestation::look(app, standing).await;
    kept.retain(|one| one.source != SOURCE && (attested.is_none() || one.source != ATTESTATION));
    let found = app.clock.now();
    let fresh = now.into_iter().map(|finding| KeptFinding { source: SOURCE.to_owned(), finding, found });
    let attested = attested.map(|finding| KeptFinding { source: ATTESTATION.to_owned(), finding, found });
    let fresh = fresh.chain(attested);
    Ok(fresh.chain(kept).map(wire_form).collect())
}

fn wire_form(kept: KeptFinding) -> wire::ApprovalFinding {
    let KeptFinding { source: _, finding, found } = kept;
    wire::ApprovalFinding {
        what: finding.what,
        good: finding.good,
        said: finding.said,
        url: finding.url,
        found: Timestamp::to_rfc3339(found),
    }
}

/// A no, and how it is shown.
pub(super) struct Refusal {
    pub(super) error: ApprovalError,
    pub(super) finding: Finding,
}

impl Refusal {
    pub(super) fn new(demand: Demand, url: Option<&str>, said: String, error: ApprovalError) -> Self {
        let finding = Finding { what: demand.to_string(), good: false, said, url: url.map(str::to_owned) };
        Self { error, finding }
    }
}

impl From<ApprovalError> for Refusal {
    fn from(error: ApprovalError) -> Self {
        Self::new(Demand::Commit, None, error.to_string(), error)
    }
}

async fn ask(
    app: &App,
    standing: &Standing,
    repository: Repository,
    approvers: &[UserId],
) -> Result<std::sync::Arc<Evidence>, Refusal> {
    let name = repository.to_string();
    let Some(desk) = app.integrations.github() else {
        return Err(ApprovalError::NoGitHub { repository: name }.into());
    };
    let question = question(app, standing, repository, approvers).await?;
    desk.evidence(&WayOut(&*app.fetch), app.clock.now(), &question).await.map_err(|fault| {
        let (said, url) = (fault.to_string(), fault.url().map(str::to_owned));
        let shown = without_demand(&said, &fault);
        let error = ApprovalError::Evidence { repository: name, fault: said, url: url.clone() };
        Refusal::new(fault.demand(), url.as_deref(), shown, error)
    })
}

/// The text of a fault without the demand that it begins with, which stands beside it.
pub(super) fn without_demand(said: &str, fault: &NotShown) -> String {
    let demand = format!("{}: ", fault.demand());
    said.strip_prefix(&demand).unwrap_or(said).to_owned()
}

/// The repository that the app is bound to; `None` = to none.
pub(super) fn bound(app: &App, standing: &Standing) -> Result<Option<Repository>, ApprovalError> {
    let text = app.settings.text(SettingKey::GithubRepository, &standing.row.app);
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_bad| ApprovalError::BadDemand { setting: "github_repository" })
}

async fn question(
    app: &App,
    standing: &Standing,
    repository: Repository,
    approvers: &[UserId],
) -> Result<Question, ApprovalError> {
    let of_app = &standing.row.app;
    let commit: Commit = standing.row.commit.parse().map_err(|_bad| ApprovalError::BadCommit)?;
    let logins = logins(&app.settings.text(SettingKey::GithubPeople, of_app));
    let mut people = Vec::with_capacity(approvers.len());
    // Who approves matters to one demand only; without it the same question is asked for everybody.
    if app.settings.switch(SettingKey::GithubNotAuthor, of_app) {
        for id in approvers {
            let user = app.store.users().by_id(*id).await?.ok_or(ApprovalError::Unknown)?;
            let login = logins.iter().find(|(email, _)| *email == user.email).map(|(_, login)| login.clone());
            people.push(Approver { login, emails: vec![user.email] });
        }
    }
    Ok(Question {
        repository,
        commit,
        alternatives: demands(app, of_app, !people.is_empty())?,
        approvers: people,
    })
}

/// What the settings demand: all of one of these.
fn demands(app: &App, of_app: &str, not_author: bool) -> Result<Vec<Demands>, ApprovalError> {
    let name: Branch = app
        .settings
        .text(SettingKey::GithubBranch, of_app)
        .parse()
        .map_err(|_bad| ApprovalError::BadDemand { setting: "github_branch" })?;
    let all = Demands {
        branch: None,
        pull_request: None,
        reviews: app.settings.github_reviews(of_app),
        approver_is_not_author: not_author,
        checks: checks(&app.settings.text(SettingKey::GithubChecks, of_app)),
        signed: app.settings.switch(SettingKey::GithubSigned, of_app),
    };
    let branch = |place| Demands { branch: Some(BranchDemand { name: name.clone(), place }), ..all.clone() };
    let pull =
        |state| Demands { pull_request: Some(PullDemand { state, into: Some(name.clone()) }), ..all.clone() };
    match app.settings.text(SettingKey::GithubPlace, of_app).as_str() {
        "branch_or_pull_request" => Ok(vec![branch(Place::Contained), pull(PullState::Open)]),
        "branch" => Ok(vec![branch(Place::Contained)]),
        "branch_head" => Ok(vec![branch(Place::Head)]),
        "pull_request" => Ok(vec![pull(PullState::OpenOrMerged)]),
        "open_pull_request" => Ok(vec![pull(PullState::Open)]),
        _ => Err(ApprovalError::BadDemand { setting: "github_place" }),
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// `EMAIL=LOGIN,…`, addresses in the form in which people are stored.
fn logins(text: &str) -> Vec<(String, String)> {
    let pair = |entry: &str| {
        let (email, login) = entry.split_once('=')?;
        Some((gateway_config::canonical_email(email).ok()?, login.to_owned()))
    };
    entries(text).filter_map(pair).collect()
}

/// `*,-NAME,NAME` or `NAME,…`.
fn checks(text: &str) -> Option<Checks> {
    let names: Vec<String> = entries(text).map(str::to_owned).collect();
    if names.is_empty() {
        return None;
    }
    if !names.iter().any(|name| name == "*") {
        return Some(Checks::Named(names));
    }
    let except = names.iter().filter_map(|name| name.strip_prefix('-').map(str::to_owned)).collect();
    let required = names.into_iter().filter(|name| name != "*" && !name.starts_with('-')).collect();
    Some(Checks::All { required, except })
}

/// Good evidence, a finding for each demand.
fn good(evidence: &Evidence) -> Vec<Finding> {
    let found = |demand: Demand, said: String, url: Option<&str>| Finding {
        what: demand.to_string(),
        good: true,
        said,
        url: url.map(str::to_owned),
    };
    let mut all = vec![found(Demand::Commit, format!("in {}", evidence.repository), Some(&evidence.url))];
    if let Some(branch) = &evidence.branch {
        let place = match branch.place {
            Place::Head => "the newest commit of",
            Place::Contained => "in the history of",
        };
        all.push(found(Demand::Branch, format!("{place} {}", branch.name), Some(&branch.url)));
    }
    if let Some(pull) = &evidence.pull_request {
        let state = match pull.state {
            PullState::Open => "open",
            PullState::OpenOrMerged => "merged",
        };
        let said = format!("#{} by {} into {}, {state}", pull.number, pull.author, pull.into);
        all.push(found(Demand::PullRequest, said, Some(&pull.url)));
    }
    if !evidence.reviews.is_empty() {
        let people: Vec<&str> = evidence.reviews.iter().map(|review| review.reviewer.as_str()).collect();
        let url = evidence.pull_request.as_ref().map(|pull| pull.url.as_str());
        all.push(found(Demand::Reviews, format!("approved by {}", people.join(", ")), url));
    }
    if !evidence.authors.is_empty() {
        all.push(found(Demand::Author, format!("written by {}", evidence.authors.join(", ")), None));
    }
    if !evidence.checks.is_empty() {
        let checks: Vec<String> =
            evidence.checks.iter().map(|check| format!("{}: {}", check.name, check.outcome)).collect();
        all.push(found(Demand::Checks, checks.join(", "), Some(&evidence.url)));
    }
    if let Some(signature) = &evidence.signature {
        all.push(found(Demand::Signature, signature.reason.clone(), Some(&evidence.url)));
    }
    all
}

/// The same as one line of the log.
fn summary(evidence: &Evidence) -> String {
    let parts: Vec<String> =
        good(evidence).into_iter().map(|one| format!("{}: {}", one.what, one.said)).collect();
    parts.join("; ")
}
