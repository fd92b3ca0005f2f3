//! The CI systems whose tokens are taken, and certificates: which claims a rule of each must name, and what it says
//! unless somebody says otherwise.
//!
//! Sources: the documents of GitHub Actions, GitLab CI/CD, CircleCI and Buildkite on their OpenID Connect tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The SPIFFE id of a certificate.
pub const SPIFFE_ID: &str = "spiffe_id";
/// A DNS name of a certificate.
pub const DNS: &str = "dns";
/// An e-mail address of a certificate.
pub const EMAIL: &str = "email";
/// SHA-256 of a whole certificate, in lower-case hexadecimal.
pub const FINGERPRINT: &str = "fingerprint";

/// Whose word a rule takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// GitHub Actions.
    Github,
    /// GitLab CI/CD.
    Gitlab,
    /// CircleCI.
    Circleci,
    /// Buildkite.
    Buildkite,
    /// A client certificate.
    Certificate,
}

/// A word that names no kind.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a trust rule is of the kind github, gitlab, circleci, buildkite or certificate")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] =
        [Kind::Github, Kind::Gitlab, Kind::Circleci, Kind::Buildkite, Kind::Certificate];

    /// The name in the API, in commands and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Github => "github",
            Kind::Gitlab => "gitlab",
            Kind::Circleci => "circleci",
            Kind::Buildkite => "buildkite",
            Kind::Certificate => "certificate",
        }
    }

    /// What people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Kind::Github => "GitHub Actions",
            Kind::Gitlab => "GitLab CI/CD",
            Kind::Circleci => "CircleCI",
            Kind::Buildkite => "Buildkite",
            Kind::Certificate => "client certificates",
        }
    }

    /// Its issuer, where there is one for everybody.
    pub const fn usual_issuer(self) -> Option<&'static str> {
        match self {
            Kind::Github => Some("https://token.actions.githubusercontent.com"),
            Kind::Gitlab => Some("https://gitlab.com"),
            Kind::Buildkite => Some("https://agent.buildkite.com"),
            // CircleCI has an issuer for each organization: https://oidc.circleci.com/org/ID.
            Kind::Circleci | Kind::Certificate => None,
        }
    }

    /// The claims of which a rule must name one, for each list: first whose it is, by an id that nobody else gets by a
    /// renaming or by making it anew; then its name, where an id outlives a renaming; then where in it.
    pub const fn pinned(self) -> &'static [&'static [&'static str]] {
        match self {
            Kind::Github => &[&["repository_id"], &["repository"], &["environment", "ref"]],
            Kind::Gitlab => &[&["project_id"], &["project_path"], &["environment", "ref_path"]],
            Kind::Circleci => &[
                &["oidc.circleci.com/project-id"],
                &["oidc.circleci.com/vcs-origin"],
                &["oidc.circleci.com/vcs-ref", "oidc.circleci.com/context-ids"],
            ],
            Kind::Buildkite => &[&["pipeline_id"], &["organization_id"], &["build_branch", "build_tag"]],
            Kind::Certificate => &[&[SPIFFE_ID, DNS, EMAIL, FINGERPRINT]],
        }
    }

    /// The claims that make a repository the caller's: one list of them all must fit for a rule to be named to them.
    pub(crate) const fn identity(self) -> &'static [&'static [&'static str]] {
        match self {
            Kind::Github => &[&["repository_id"], &["repository"]],
            Kind::Gitlab => &[&["project_id"], &["project_path"]],
            Kind::Circleci => &[&["oidc.circleci.com/project-id"], &["oidc.circleci.com/vcs-origin"]],
            Kind::Buildkite => &[&["pipeline_id"], &["organization_slug", "pipeline_slug"]],
            Kind::Certificate => &[],
        }
    }

    /// What a rule says of these claims unless it names them.
    ///
    /// # Security
    /// What others can set off is left out: a pull request, also from a fork, a comment, a job of another project. So
    /// is a second run of a job that ran once, which would do what was meant for then. At GitLab, whoever may push any
    /// branch may run a job of any environment that is not protected, so that only protected refs are taken.
    pub const fn usual(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Kind::Github => &[
                ("event_name", &["push", "workflow_dispatch", "release", "schedule"]),
                ("run_attempt", &["1"]),
            ],
            Kind::Gitlab => {
                &[("pipeline_source", &["push", "web", "schedule"]), ("ref_protected", &["true"])]
            }
            Kind::Circleci => &[("oidc.circleci.com/ssh-rerun", &["false"])],
            Kind::Buildkite | Kind::Certificate => &[],
        }
    }

    /// The claims of which a value may end in a star and then stands for all that begins so.
    pub(crate) fn takes_beginnings(claim: &str) -> bool {
        [
            "ref",
            "ref_path",
            "workflow_ref",
            "job_workflow_ref",
            "ci_config_ref_uri",
            "build_branch",
            "build_tag",
            "oidc.circleci.com/vcs-ref",
        ]
        .contains(&claim)
    }

    /// What may stand before the star of a value; otherwise what is wrong with it.
    ///
    /// # Errors
    /// A sentence, when so short a beginning would let in what the rule does not mean: every branch, every pull request,
    /// or the workflows of another repository.
    pub(crate) fn check_beginning(claim: &str, beginning: &str) -> Result<(), &'static str> {
        let names_more = match claim {
            "ref" | "ref_path" | "oidc.circleci.com/vcs-ref" => ["refs/heads/", "refs/tags/"]
                .iter()
                .any(|kind| beginning.strip_prefix(kind).is_some_and(|name| !name.is_empty())),
            "workflow_ref" | "job_workflow_ref" => beginning.contains("/.github/workflows/"),
            "ci_config_ref_uri" => beginning.contains("//"),
            _other => !beginning.is_empty(),
        };
        if names_more {
            return Ok(());
        }
        Err(match claim {
            "workflow_ref" | "job_workflow_ref" => {
                "what stands before the star must name a workflow, such as acme/shop/.github/workflows/deploy.yml@*"
            }
            "ci_config_ref_uri" => {
                "what stands before the star must name a file, such as gitlab.com/acme/shop//.gitlab-ci.yml@*"
            }
            _other => "what stands before the star must name more, such as refs/heads/release-* or release-*",
        })
    }

    /// `claims` with what a rule of this kind says unless somebody says otherwise.
    pub fn completed(self, mut claims: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
        for (name, values) in self.usual() {
            claims
                .entry((*name).to_owned())
                .or_insert_with(|| values.iter().map(|value| (*value).to_owned()).collect());
        }
        claims
    }
}
