//! Asking for an approval. What is not typed, the CI system or the working directory tells.

use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use gateway_client::text::one_line;
use gateway_client::{ApprovalsAsked, Page};
use gateway_types::wire::approvals::{Approval, RequestApproval};

use super::job::{Job, tidy};
use super::{said, wait};
use crate::Context;
use crate::environment;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::Remote;

/// The arguments of `approvals request`.
#[derive(Args, Debug)]
#[command(
    after_help = "Commit, branch, message and links come from GitHub Actions, GitLab, CircleCI or Buildkite, or from git in the\nworking directory, where they are not given."
)]
pub(crate) struct RequestArguments {
    /// The app
    #[arg(long, value_name = "APP")]
    pub(crate) app: String,
    /// The commit [default: the job's, else the one that is checked out here]
    #[arg(long, value_name = "SHA")]
    pub(crate) commit: Option<String>,
    /// The branch
    #[arg(long, value_name = "BRANCH")]
    pub(crate) branch: Option<String>,
    /// What the deploy is about [default: the first line of the commit's message]
    #[arg(long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// The manifest that is built, by its path in the archive [default: convox.yml]
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest: Option<String>,
    /// A command that may run in processes of the new release: exactly this, or re: and a pattern for the
    /// whole command; may be repeated
    #[arg(long = "command", value_name = "COMMAND")]
    pub(crate) commands: Vec<String>,
    /// Something else that approvers are to see; may be repeated
    #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
    pub(crate) meta: Vec<(String, String)>,
    /// Wait until somebody decided; the exit code tells what
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait at most: 90s, 15m, 1h
    #[arg(long, value_name = "TIME", default_value = "15m")]
    pub(crate) timeout: String,
}

/// What is told has a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write it as NAME=TEXT")]
pub(crate) struct NotAPair;

fn pair(text: &str) -> Result<(String, String), NotAPair> {
    let (name, value) = text.split_once('=').ok_or(NotAPair)?;
    if name.is_empty() { Err(NotAPair) } else { Ok((name.to_owned(), value.to_owned())) }
}

/// Asks, and waits where that is wanted.
pub(super) async fn run(
    context: &Context,
    remote: &Remote,
    arguments: RequestArguments,
) -> Result<ExitCode, Failure> {
    let waits = arguments.wait.then(|| wait::patience(&arguments.timeout)).transpose()?;
    let job = Job::of(|name| environment::read(name).and_then(|value| value.into_string().ok()));
    let asked = filled(arguments, job, git)?;
    let before = open_ones(remote, &asked.app).await;
    let made = remote.ask(async |client| client.request_approval(&asked).await).await?;
    let is_old = before.iter().any(|one| one.id == made.id) || made.state != "pending";
    if is_old {
        remark("this was asked for before; the request that is open stands for both");
    }
    if let Some(patience) = waits {
        if context.terminal.is_there {
            remark(&format!("asked for {} as {}", said::subject(&made), one_line(&made.id)));
        }
        return wait::until_decided(context, remote, &made.id, patience).await;
    }
    context.output.answer(&made, || told(&made))?;
    Ok(ExitCode::SUCCESS)
}

/// What the caller has open for the app. It only decides what is remarked: whoever may not look is not told.
async fn open_ones(remote: &Remote, app: &str) -> Vec<Approval> {
    let asked =
        ApprovalsAsked { app: Some(app.to_owned()), open: true, mine: true, ..ApprovalsAsked::default() };
    let page = Page { limit: Some(200), ..Page::default() };
    remote.client().approvals(&page, &asked).await.map(|listing| listing.items).unwrap_or_default()
}

fn told(made: &Approval) -> String {
    let id = one_line(&made.id);
    let then = match made.order.as_str() {
        "artefact" => "upload the archive; it can be approved after that",
        _ => "it can be deployed once it is approved",
    };
    format!(
        "asked for {}: {id}\n{then}: rack-gateway approvals approve {id}\nwait for it: rack-gateway approvals wait {id}",
        said::subject(made)
    )
}

/// What is asked for: as typed, else as the job tells, else as git tells.
///
/// # Errors
/// When nobody knows the commit, or it is not named whole.
fn filled(
    arguments: RequestArguments,
    job: Option<Job>,
    git: impl Fn(&[&str]) -> Option<String>,
) -> Result<RequestApproval, Failure> {
    let job = job.unwrap_or_default();
    let head = git(&["rev-parse", "--verify", "HEAD"]);
    let named = arguments.commit.or_else(|| job.commit.clone()).or_else(|| head.clone());
    let named = named.ok_or_else(|| unknown("the commit is not known"))?;
    let commit = match is_whole(&named) {
        true => named.to_ascii_lowercase(),
        false => git(&["rev-parse", "--verify", "--end-of-options", &format!("{named}^{{commit}}")])
            .filter(|found| is_whole(found))
            .ok_or_else(|| unknown("a commit is named by its whole id"))?,
    };
    let job = job.for_commit(&commit);
    let here = || {
        let is_here = head.as_ref() == Some(&commit);
        let branch = is_here.then(|| git(&["rev-parse", "--abbrev-ref", "HEAD"])).flatten();
        branch.filter(|branch| branch != "HEAD")
    };
    let subject = || git(&["log", "-1", "--format=%s", &commit]);
    let branch = arguments.branch.or_else(|| job.branch.clone()).or_else(here);
    let message = arguments.message.or_else(|| job.message.clone()).or_else(subject);
    let mut metadata = job.told();
    metadata.extend(arguments.meta);
    Ok(RequestApproval {
        app: arguments.app,
        branch,
        message,
        manifest: arguments.manifest,
        commands: arguments.commands,
        metadata,
        commit,
    })
}

fn unknown(what: &'static str) -> Failure {
    Failure::new(Exit::Usage, what)
        .hint("name it with --commit, with all of its 40 digits, or run this in a working directory of git")
}

fn is_whole(commit: &str) -> bool {
    matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The first line that git says in the working directory; `None` when it is not there or fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let said = output.status.success().then(|| tidy(&String::from_utf8_lossy(&output.stdout)));
    said.filter(|said| !said.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Job, RequestArguments, filled, pair};
    use crate::failure::Exit;

    const HERE: &str = "0123456789abcdef0123456789abcdef01234567";
    const THERE: &str = "89abcdef0123456789abcdef0123456789abcdef";

    fn arguments() -> RequestArguments {
        RequestArguments {
            app: "shop".to_owned(),
            commit: None,
            branch: None,
            message: None,
            manifest: None,
            commands: Vec::new(),
            meta: Vec::new(),
            wait: false,
            timeout: "15m".to_owned(),
        }
    }

    /// A repository with one commit checked out.
    fn git(asked: &[&str]) -> Option<String> {
        match asked {
            ["rev-parse", "--verify", "HEAD"] => Some(HERE.to_owned()),
            ["rev-parse", "--abbrev-ref", "HEAD"] => Some("work".to_owned()),
            ["rev-parse", "--verify", "--end-of-options", "v1^{commit}"] => Some(THERE.to_owned()),
            ["log", "-1", "--format=%s", HERE] => Some("Fix it".to_owned()),
            _ => None,
        }
    }

    fn job() -> Job {
        Job {
            commit: Some(THERE.to_owned()),
            branch: Some("main".to_owned()),
            message: Some("A fix".to_owned()),
            link: None,
            metadata: [("ci".to_owned(), "github".to_owned())].into(),
        }
    }

    #[test]
    fn what_is_not_typed_is_found() {
        let asked = filled(arguments(), None, git).unwrap();
        assert_eq!((asked.commit.as_str(), asked.branch.as_deref()), (HERE, Some("work")));
        assert_eq!(asked.message.as_deref(), Some("Fix it"));
        let asked = filled(arguments(), Some(job()), git).unwrap();
        assert_eq!((asked.commit.as_str(), asked.branch.as_deref()), (THERE, Some("main")));
        assert_eq!((asked.message.as_deref(), asked.metadata.len()), (Some("A fix"), 1));
    }

    #[test]
    fn what_is_typed_comes_first_and_is_not_mixed_with_another_commits() {
        let typed = RequestArguments {
            commit: Some(HERE.to_ascii_uppercase()),
            meta: vec![("ci".to_owned(), "mine".to_owned())],
            message: Some("Said".to_owned()),
            ..arguments()
        };
        let asked = filled(typed, Some(job()), git).unwrap();
        assert_eq!((asked.commit.as_str(), asked.branch.as_deref()), (HERE, Some("work")));
        assert_eq!(asked.message.as_deref(), Some("Said"));
        assert_eq!(asked.metadata.get("ci").map(String::as_str), Some("mine"));
    }

    #[test]
    fn a_commit_is_named_whole_or_known_to_git() {
        let named = |commit: &str| RequestArguments { commit: Some(commit.to_owned()), ..arguments() };
        assert_eq!(filled(named("v1"), None, git).unwrap().commit, THERE);
        assert_eq!(filled(named("0123"), None, git).unwrap_err().exit(), Exit::Usage);
        assert_eq!(filled(arguments(), None, |_| None).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn what_is_told_has_a_name() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }
}
