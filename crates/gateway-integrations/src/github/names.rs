//! Repository, commit and branch: strictly parsed, so that each is one segment of an address and means one thing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much of somebody else's word is shown.
const SHOWN_CHARACTERS: usize = 100;

/// Why a name is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameFault {
    /// Not `owner/name`.
    #[error("a repository is written owner/name, as in acme/shop")]
    Repository,
    /// Not a full hash.
    #[error("a commit is written in full: 40 or 64 hexadecimal digits, never an abbreviation")]
    Commit,
    /// Not a name that git takes for a branch.
    #[error("this is not the name of a branch; write it without refs/heads/")]
    Branch,
}

/// A repository, `owner/name`. GitHub compares without regard to case, and so does this type.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    owner: String,
    name: String,
}

impl Repository {
    /// The person or organization.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The name below the owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this text, out of a document, names this repository.
    pub(super) fn is(&self, full_name: &str) -> bool {
        full_name.parse::<Repository>().is_ok_and(|other| other == *self)
    }
}

impl PartialEq for Repository {
    fn eq(&self, other: &Self) -> bool {
        self.owner.eq_ignore_ascii_case(&other.owner) && self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl Eq for Repository {}

impl FromStr for Repository {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let (owner, name) = text.split_once('/').ok_or(NameFault::Repository)?;
        // Managed users of an enterprise have `_` and its short code in their names.
        let owner_is_good = (1..=100).contains(&owner.len())
            && owner.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !owner.starts_with('-');
        let name_is_good = (1..=100).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            && !matches!(name, "." | "..");
        if owner_is_good && name_is_good {
            Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
        } else {
            Err(NameFault::Repository)
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// A commit by its full hash, in lower case (SHA-1 or SHA-256).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Commit(String);

impl Commit {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Commit {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        if matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NameFault::Commit)
        }
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A branch by its short name, `main` or `release/1.2`.
///
/// Source: git-check-ref-format(1).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Branch(String);

impl Branch {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Branch {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let odd = |symbol: char| symbol.is_control() || symbol.is_whitespace() || "~^:?*[\\".contains(symbol);
        let part_is_good =
            |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
        let is_good = text.len() <= 255
            && !text.contains(odd)
            && !text.contains("..")
            && !text.contains("@{")
            && !text.starts_with('-')
            && !text.starts_with("refs/")
            && !text.ends_with('.')
            && text != "@"
            && text.split('/').all(part_is_good);
        if is_good { Ok(Self(text.to_owned())) } else { Err(NameFault::Branch) }
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

as_text!(Repository, Commit, Branch);

/// Somebody else's word as it is shown: no control characters, and not long.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|symbol| !symbol.is_control()).take(SHOWN_CHARACTERS).collect()
}
