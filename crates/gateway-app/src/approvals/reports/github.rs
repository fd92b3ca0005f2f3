//! GitHub is told: a commit status, a comment, and what waits in GitHub Actions.

use gateway_approvals::state::State;
use gateway_config::SettingKey;
use gateway_integrations::github::{
    ActionsFault, Commit, CommitState, Demands, EvidenceFault, GitHub, PullDemand, PullState, Repository,
    Review, Run, as_plain,
};
use gateway_integrations::http::Failure;

use super::{NotTold, Told, page};
use crate::App;
use crate::approvals::standing::Standing;
use crate::integrations::WayOut;

/// Whom to tell, about which commit.
struct Bound {
    github: GitHub,
    repository: Repository,
    commit: Commit,
}

async fn bound(app: &App, standing: &Standing) -> Result<Bound, NotTold> {
    let text = app.settings.text(SettingKey::GithubRepository, &standing.row.app);
    let repository = text.parse().map_err(|_bad| {
        NotTold::never("the app is not bound to a repository any more (github_repository)")
    })?;
    let commit = standing.row.commit.parse().map_err(|_bad| NotTold::never("this is not a commit's id"))?;
    let desk = app.integrations.github().ok_or_else(|| {
        NotTold::never("the gateway has no way to tell GitHub: give it GITHUB_TOKEN or a GitHub App")
    })?;
    let github = desk.client(&WayOut(&*app.fetch), app.clock.now()).await;
    let github = github.map_err(|fault| NotTold::later(fault.to_string()))?;
    Ok(Bound { github, repository, commit })
}

pub(super) async fn status(app: &App, standing: &Standing) -> Result<Told, NotTold> {
    let Bound { github, repository, commit } = bound(app, standing).await?;
    let (state, said) = match standing.state {
        State::Pending => (CommitState::Pending, "waits for approval"),
        State::Approved => (CommitState::Success, "approved"),
        State::Deploying => (CommitState::Success, "approved, and being deployed"),
        State::Deployed => (CommitState::Success, "deployed"),
        State::Rejected => (CommitState::Failure, "rejected"),
        State::Expired => (CommitState::Failure, "the approval ran out"),
        State::Withdrawn => (CommitState::Failure, "taken back by whoever asked"),
    };
    let (http, of_app) = (WayOut(&*app.fetch), &standing.row.app);
    let page = page(app, standing.row.id);
    let sent = github.commit_status(&http, &repository, &commit, of_app, (state, said), page.as_ref()).await;
    sent.map_err(not_sent)?;
    Ok(Told { said: said.to_owned(), url: None })
}

/// A comment below the pull request of the commit; nothing where there is none.
pub(super) async fn comment(app: &App, standing: &Standing) -> Result<Option<Told>, NotTold> {
    let Bound { github, repository, commit } = bound(app, standing).await?;
    let http = WayOut(&*app.fetch);
    let demand = PullDemand { state: PullState::OpenOrMerged, into: None };
    let any = Demands { pull_request: Some(demand), ..Demands::default() };
    let pull = match github.evidence(&http, &repository, &commit, &any, &[]).await {
        Ok(evidence) => evidence.pull_request,
        Err(EvidenceFault::NoPullRequest { .. }) => None,
        Err(fault) if fault.retry() => return Err(NotTold::later(fault.to_string())),
        Err(fault) => return Err(NotTold::never(fault.to_string())),
    };
    let Some(pull) = pull else { return Ok(None) };
    let row = &standing.row;
    let short: String = row.commit.chars().take(12).collect();
    let link = page(app, row.id).map(|page| format!(" Decide: {page}")).unwrap_or_default();
    let text = format!(
        "The deploy of **{}** at {short} to {} waits for approval.{link}",
        as_plain(&row.app),
        as_plain(&app.rack_name)
    );
    let written = github.comment(&http, &repository, pull.number, &text).await.map_err(not_sent)?;
    Ok(Some(Told { said: format!("below #{}", pull.number), url: written.url }))
}

/// Answers for the environments of GitHub Actions that wait. A request that no run of Actions made waits nowhere.
pub(super) async fn environments(app: &App, standing: &Standing) -> Result<Option<Told>, NotTold> {
    let review = match standing.state {
        State::Approved | State::Deploying | State::Deployed => Review::Approved,
        State::Rejected | State::Expired | State::Withdrawn => Review::Rejected,
        State::Pending => return Ok(None),
    };
    let metadata = &standing.asked.metadata;
    let (callback, run) = (metadata.get("deployment_callback_url"), metadata.get("run_id"));
    if callback.is_none() && run.is_none() {
        return Ok(None);
    }
    let names: Vec<String> = app
        .settings
        .text(SettingKey::GithubEnvironments, &standing.row.app)
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let Bound { github, repository, commit } = bound(app, standing).await?;
    let http = WayOut(&*app.fetch);
    let said = match review {
        Review::Approved => "approved",
        Review::Rejected => "not approved",
    };
    let answer = (review, said);
    if let Some(callback) = callback {
        let rule = github.deployment_rule(callback).map_err(not_answered)?;
        for name in &names {
            let sent = github.review_deployment(&http, &rule, (&repository, &commit), name, answer).await;
            sent.map_err(not_answered)?;
        }
    } else if let Some(run) = run {
        let run =
            run.parse().map(Run).map_err(|_bad| NotTold::never("run_id of the request is not a number"))?;
        let sent = github.review_pending(&http, run, (&repository, &commit), &names, answer).await;
        sent.map_err(not_answered)?;
    }
    Ok(Some(Told { said: format!("{said}: {}", names.join(", ")), url: None }))
}

fn not_sent(failure: Failure) -> NotTold {
    NotTold::of(&failure)
}

fn not_answered(fault: ActionsFault) -> NotTold {
    NotTold { retry: fault.retry(), said: fault.to_string(), after: None }
}
