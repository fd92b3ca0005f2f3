//! Project slugs, ids and job names: strictly parsed, so that each is one segment of an address.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much of somebody else's word is shown.
const SHOWN_CHARACTERS: usize = 150;

/// Why a name is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameFault {
    /// Not a project slug.
    #[error("a CircleCI project is written gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID")]
    Project,
    /// Not a UUID.
    #[error("a CircleCI id is a UUID: 32 hexadecimal digits in five groups")]
    Id,
    /// Not a job's name.
    #[error("an approval job's name is 1 to 255 characters without control characters")]
    Job,
}

/// A project, `gh/acme/shop`. `github` and `bitbucket` are other words for `gh` and `bb`.
///
/// Letters' case counts: what is written otherwise than CircleCI writes it is another project.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectSlug {
    vcs: &'static str,
    organization: String,
    project: String,
}

impl ProjectSlug {
    /// The three parts.
    pub(super) fn parts(&self) -> [&str; 3] {
        [self.vcs, &self.organization, &self.project]
    }
}

impl FromStr for ProjectSlug {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let parts: Vec<&str> = text.split('/').collect();
        let [vcs, organization, project] = parts.as_slice() else { return Err(NameFault::Project) };
        let vcs = match *vcs {
            "gh" | "github" => "gh",
            "bb" | "bitbucket" => "bb",
            "circleci" => "circleci",
            _ => return Err(NameFault::Project),
        };
        let is_good = |part: &str| {
            (1..=100).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
                && !matches!(part, "." | "..")
        };
        if is_good(organization) && is_good(project) {
            Ok(Self { vcs, organization: (*organization).to_owned(), project: (*project).to_owned() })
        } else {
            Err(NameFault::Project)
        }
    }
}

impl fmt::Display for ProjectSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.vcs, self.organization, self.project)
    }
}

/// The name of an approval job.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobName(String);

impl JobName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobName {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let is_good = (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if is_good { Ok(Self(text.to_owned())) } else { Err(NameFault::Job) }
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The UUID in lower case.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameFault;

            fn from_str(text: &str) -> Result<Self, NameFault> {
                let lengths = text.split('-').map(str::len);
                let is_uuid = lengths.eq([8, 4, 4, 4, 12])
                    && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
                if is_uuid { Ok(Self(text.to_ascii_lowercase())) } else { Err(NameFault::Id) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A workflow (or, within this crate, an approval request).
    WorkflowId
);
id!(
    /// A pipeline.
    PipelineId
);

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NameFault;

            fn try_from(text: String) -> Result<Self, NameFault> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )*};
}

as_text!(ProjectSlug, JobName, WorkflowId, PipelineId);

/// Somebody else's word as it is shown: no control characters, and not long.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|symbol| !symbol.is_control()).take(SHOWN_CHARACTERS).collect()
}
