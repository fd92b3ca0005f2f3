//! What a CI system tells its job of the commit that it runs for. Pure: what it reads is passed in.

use std::collections::BTreeMap;

use gateway_client::text::steers;

/// The most characters of a text that the gateway takes.
const LONGEST: usize = 500;

/// What is known of a commit without asking anybody.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Job {
    /// The whole id of the commit.
    pub(super) commit: Option<String>,
    /// The branch or tag.
    pub(super) branch: Option<String>,
    /// The first line of the commit's message.
    pub(super) message: Option<String>,
    /// A page that shows the change.
    pub(super) link: Option<String>,
    /// What else there is: the system, the run, who began it.
    pub(super) metadata: BTreeMap<String, String>,
}

impl Job {
    /// The job whose variables these are; `None` outside of the CI systems that are known here.
    pub(super) fn of(variable: impl Fn(&'static str) -> Option<String>) -> Option<Self> {
        let read =
            |name: &'static str| variable(name).map(|text| tidy(&text)).filter(|text| !text.is_empty());
        if read("GITHUB_SHA").is_some() {
            return Some(of_github(&read));
        }
        if read("CI_COMMIT_SHA").is_some() {
            return Some(of_gitlab(&read));
        }
        if read("CIRCLE_SHA1").is_some() {
            return Some(of_circleci(&read));
        }
        read("BUILDKITE_COMMIT").is_some().then(|| of_buildkite(&read))
    }

    /// What is still true of another commit than the job's: who asks, but not what for.
    #[must_use]
    pub(super) fn for_commit(self, commit: &str) -> Self {
        if self.commit.as_deref() == Some(commit) {
            return self;
        }
        Self { metadata: self.metadata, ..Self::default() }
    }

    /// With the page that shows the change among the rest.
    pub(super) fn told(self) -> BTreeMap<String, String> {
        let link = self.link.map(|link| ("link".to_owned(), link));
        self.metadata.into_iter().chain(link).collect()
    }
}

/// One line as the gateway takes it: what steers a terminal is left out, and what is too long is cut.
pub(super) fn tidy(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars().filter(|c| !steers(*c)).take(LONGEST).collect::<String>().trim().to_owned()
}

fn texts<const N: usize>(texts: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?))).collect()
}

/// Source: GitHub, "Variables reference", default environment variables.
fn of_github(read: &impl Fn(&'static str) -> Option<String>) -> Job {
    let commit = read("GITHUB_SHA");
    let repository = read("GITHUB_REPOSITORY");
    let home = read("GITHUB_SERVER_URL").zip(repository.as_ref());
    let home = home.map(|(server, repository)| format!("{server}/{repository}"));
    let below = |rest: Option<String>| home.as_ref().zip(rest).map(|(home, rest)| format!("{home}/{rest}"));
    Job {
        link: below(commit.as_ref().map(|commit| format!("commit/{commit}"))),
        branch: read("GITHUB_REF_NAME"),
        message: None,
        metadata: texts([
            ("ci", Some("github".to_owned())),
            ("repository", repository),
            ("workflow", read("GITHUB_WORKFLOW")),
            ("run_id", read("GITHUB_RUN_ID")),
            ("run", below(read("GITHUB_RUN_ID").map(|run| format!("actions/runs/{run}")))),
            ("actor", read("GITHUB_ACTOR")),
        ]),
        commit,
    }
}

/// Source: GitLab, "Predefined CI/CD variables reference".
fn of_gitlab(read: &impl Fn(&'static str) -> Option<String>) -> Job {
    let commit = read("CI_COMMIT_SHA");
    let link = read("CI_PROJECT_URL").zip(commit.as_ref());
    let link = link.map(|(project, commit)| format!("{project}/-/commit/{commit}"));
    Job {
        link,
        branch: read("CI_COMMIT_REF_NAME"),
        message: read("CI_COMMIT_TITLE"),
        metadata: texts([
            ("ci", Some("gitlab".to_owned())),
            ("repository", read("CI_PROJECT_PATH")),
            ("run", read("CI_PIPELINE_URL")),
            ("actor", read("GITLAB_USER_LOGIN")),
        ]),
        commit,
    }
}

/// Source: CircleCI, "Project values and variables", built-in environment variables.
fn of_circleci(read: &impl Fn(&'static str) -> Option<String>) -> Job {
    let repository = match (read("CIRCLE_PROJECT_USERNAME"), read("CIRCLE_PROJECT_REPONAME")) {
        (Some(owner), Some(name)) => Some(format!("{owner}/{name}")),
        (None, name) => name,
        (Some(_), None) => None,
    };
    Job {
        commit: read("CIRCLE_SHA1"),
        branch: read("CIRCLE_BRANCH").or_else(|| read("CIRCLE_TAG")),
        message: None,
        link: read("CIRCLE_PULL_REQUEST"),
        metadata: texts([
            ("ci", Some("circleci".to_owned())),
            ("repository", repository),
            ("workflow_id", read("CIRCLE_WORKFLOW_ID")),
            ("run", read("CIRCLE_BUILD_URL")),
            ("actor", read("CIRCLE_USERNAME")),
        ]),
    }
}

/// Source: Buildkite, "Environment variables". A build of a branch's head is of `HEAD` until it was checked out.
fn of_buildkite(read: &impl Fn(&'static str) -> Option<String>) -> Job {
    Job {
        commit: read("BUILDKITE_COMMIT").filter(|commit| commit != "HEAD"),
        branch: read("BUILDKITE_BRANCH"),
        message: read("BUILDKITE_MESSAGE"),
        link: None,
        metadata: texts([
            ("ci", Some("buildkite".to_owned())),
            ("run", read("BUILDKITE_BUILD_URL")),
            ("actor", read("BUILDKITE_BUILD_CREATOR")),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Job, tidy};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn job(variables: &[(&str, &str)]) -> Option<Job> {
        Job::of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn check(variables: &[(&str, &str)], branch: &str, message: Option<&str>, told: &[(&str, &str)]) {
        let found = job(variables).unwrap();
        assert_eq!(found.commit.as_deref(), Some(COMMIT));
        assert_eq!(found.branch.as_deref(), Some(branch));
        assert_eq!(found.message.as_deref(), message);
        let expected: Vec<_> =
            told.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(found.told().into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn github_actions_tells() {
        check(
            &[
                ("GITHUB_SHA", COMMIT),
                ("GITHUB_REF_NAME", "main"),
                ("GITHUB_REPOSITORY", "acme/shop"),
                ("GITHUB_RUN_ID", "7"),
                ("GITHUB_SERVER_URL", "https://github.com"),
                ("GITHUB_ACTOR", "ann"),
                ("GITHUB_WORKFLOW", "Deploy"),
            ],
            "main",
            None,
            &[
                ("actor", "ann"),
                ("ci", "github"),
                ("link", "https://github.com/acme/shop/commit/0123456789abcdef0123456789abcdef01234567"),
                ("repository", "acme/shop"),
                ("run", "https://github.com/acme/shop/actions/runs/7"),
                ("run_id", "7"),
                ("workflow", "Deploy"),
            ],
        );
    }

    #[test]
    fn gitlab_tells() {
        check(
            &[
                ("CI_COMMIT_SHA", COMMIT),
                ("CI_COMMIT_REF_NAME", "main"),
                ("CI_PIPELINE_URL", "https://gitlab.example/acme/shop/-/pipelines/7"),
                ("GITLAB_USER_LOGIN", "ann"),
                ("CI_COMMIT_TITLE", "A fix"),
            ],
            "main",
            Some("A fix"),
            &[("actor", "ann"), ("ci", "gitlab"), ("run", "https://gitlab.example/acme/shop/-/pipelines/7")],
        );
    }

    #[test]
    fn circleci_tells() {
        check(
            &[
                ("CIRCLE_SHA1", COMMIT),
                ("CIRCLE_BRANCH", "main"),
                ("CIRCLE_BUILD_URL", "https://circleci.example/7"),
                ("CIRCLE_USERNAME", "ann"),
                ("CIRCLE_PROJECT_USERNAME", "acme"),
                ("CIRCLE_PROJECT_REPONAME", "shop"),
                ("CIRCLE_PULL_REQUEST", ""),
                ("CIRCLE_WORKFLOW_ID", "w-7"),
            ],
            "main",
            None,
            &[
                ("actor", "ann"),
                ("ci", "circleci"),
                ("repository", "acme/shop"),
                ("run", "https://circleci.example/7"),
                ("workflow_id", "w-7"),
            ],
        );
    }

    #[test]
    fn buildkite_tells() {
        check(
            &[
                ("BUILDKITE_COMMIT", COMMIT),
                ("BUILDKITE_BRANCH", "main"),
                ("BUILDKITE_BUILD_URL", "https://buildkite.example/7"),
                ("BUILDKITE_MESSAGE", "A fix\n\nof \u{1b}[2J something"),
                ("BUILDKITE_BUILD_CREATOR", "Ann"),
            ],
            "main",
            Some("A fix"),
            &[("actor", "Ann"), ("ci", "buildkite"), ("run", "https://buildkite.example/7")],
        );
        assert_eq!(job(&[("BUILDKITE_COMMIT", "HEAD")]).unwrap().commit, None);
    }

    #[test]
    fn elsewhere_nobody_tells() {
        assert_eq!(job(&[("CI", "true"), ("GITHUB_SHA", "")]), None);
    }

    #[test]
    fn what_is_told_of_one_commit_is_not_said_of_another() {
        let variables = [("CI_COMMIT_SHA", COMMIT), ("CI_COMMIT_REF_NAME", "main"), ("CI_COMMIT_TITLE", "x")];
        let told = job(&variables).unwrap();
        assert_eq!(told.clone().for_commit(COMMIT), told);
        let other = told.for_commit("f00");
        assert_eq!((other.branch, other.message, other.link), (None, None, None));
        assert_eq!(other.metadata.len(), 1);
    }

    #[test]
    fn a_text_is_one_short_line() {
        assert_eq!(tidy("  a\u{1b}[2Jb \r\n c"), "a[2Jb");
        assert_eq!(tidy(&"ä".repeat(600)).chars().count(), 500);
        assert_eq!(tidy("\n"), "");
    }
}
