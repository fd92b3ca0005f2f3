//! What an approver signs: one statement with everything that the approval is for.
//!
//! The bytes are the statement's JSON with its members in the order of [`Statement`] and sorted maps; the digest of
//! those bytes is the challenge that a passkey signs. Whoever checks a signature hashes the bytes that were kept,
//! never bytes that were written anew.
//!
//! Source: W3C Web Authentication, level 2, section 5.8.1 (the challenge is signed as part of the client data).

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// What stands before the bytes that are hashed, so that no other text of this gateway hashes to the same.
const CONTEXT: &[u8] = b"rack-gateway/approval-statement/v1\n";

/// The version of the form below.
pub const VERSION: u8 = 1;

/// What a signature is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// That the deploy may happen.
    Approve,
    /// That it may happen later than was said.
    Extend,
}

/// An archive that was uploaded, under whatever key.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artefact {
    /// SHA-256 of all its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of each manifest in it, in hexadecimal, by path.
    pub manifests: BTreeMap<String, String>,
}

/// What becomes of a key of the environment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyChange {
    /// It is new.
    Added,
    /// It has another value.
    Changed,
    /// It is gone.
    Removed,
}

/// A key of the environment that differs from the release that runs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentChange {
    /// The key.
    pub key: String,
    /// What becomes of it.
    pub change: KeyChange,
    /// The handle of the new value; `None` for a key that is gone. Never the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
}

/// What an approver signs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`VERSION`].
    pub version: u8,
    /// The gateway's id: an approval is good at one gateway, and so at one rack.
    pub gateway: String,
    /// The approval's id.
    pub approval: String,
    /// What the signature is for.
    pub purpose: Purpose,
    /// The app.
    pub app: String,
    /// The whole id of the commit, in hexadecimal.
    pub commit: String,
    /// The branch, as whoever asked said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The manifest that is built, by its path in the archive.
    pub manifest: String,
    /// Whose requests it allows, `token:ID`, `user:ID` or `workload:RULE:SUBJECT`.
    pub requester: String,
    /// The archive, when it was uploaded before the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artefact: Option<Artefact>,
    /// The image of each service of that manifest that names one, when the archive was uploaded before the signature.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
    /// How the environment differs from the release that runs, sorted by key.
    pub environment: Vec<EnvironmentChange>,
    /// Commands that may run in processes of the new release.
    pub commands: Vec<String>,
    /// How many people have to sign.
    pub quorum: u32,
    /// Until when this signature is good, RFC 3339.
    pub expires: String,
    /// 128 random bits, in hexadecimal.
    pub nonce: String,
}

/// A statement that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatementFault {
    /// Not the JSON of a statement.
    #[error("the statement cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// Another version of it.
    #[error("the statement is of version {found}; this program knows version {VERSION}")]
    Version {
        /// What it says.
        found: u8,
    },
}

impl Statement {
    /// Its bytes.
    ///
    /// # Errors
    /// Never for a statement made of texts and numbers; kept as an error so that nothing panics.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`StatementFault`].
    pub fn from_json(text: &str) -> Result<Self, StatementFault> {
        let read: Self = serde_json::from_str(text)?;
        if read.version == VERSION { Ok(read) } else { Err(StatementFault::Version { found: read.version }) }
    }
}

/// What a passkey signs for a statement of these bytes: 32 bytes.
pub fn challenge(statement: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(CONTEXT);
    context.update(statement.as_bytes());
    let mut challenge = [0; 32];
    challenge.copy_from_slice(context.finish().as_ref());
    challenge
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Artefact, EnvironmentChange, KeyChange, Purpose, Statement, challenge};

    pub(crate) fn statement() -> Statement {
        Statement {
            version: super::VERSION,
            gateway: "gw".to_owned(),
            approval: "0199".to_owned(),
            purpose: Purpose::Approve,
            app: "shop".to_owned(),
            commit: "a".repeat(40),
            branch: Some("main".to_owned()),
            manifest: "convox.yml".to_owned(),
            requester: "token:1".to_owned(),
            artefact: Some(Artefact {
                sha256: "b".repeat(64),
                size_bytes: 7,
                manifests: [("convox.yml".to_owned(), "c".repeat(64))].into(),
            }),
            images: [("web".to_owned(), "r/web:1".to_owned())].into(),
            environment: vec![EnvironmentChange {
                key: "A".to_owned(),
                change: KeyChange::Added,
                handle: Some("rgw-hidden-x".to_owned()),
            }],
            commands: vec!["bin/migrate".to_owned()],
            quorum: 1,
            expires: "2026-11-22T00:00:00Z".to_owned(),
            nonce: "0".repeat(32),
        }
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let written = statement().to_json().unwrap();
        assert_eq!(Statement::from_json(&written).unwrap(), statement());
    }

    #[test]
    fn no_member_can_be_changed_without_another_challenge() {
        let original = challenge(&statement().to_json().unwrap());
        let changes: [fn(&mut Statement); 14] = [
            |s| s.gateway.push('x'),
            |s| s.approval.push('x'),
            |s| s.purpose = Purpose::Extend,
            |s| s.app.push('x'),
            |s| s.commit.push('x'),
            |s| s.branch = None,
            |s| s.manifest.push('x'),
            |s| s.requester.push('x'),
            |s| s.artefact = None,
            |s| s.images.clear(),
            |s| s.environment.clear(),
            |s| s.commands.clear(),
            |s| s.quorum = 2,
            |s| s.expires.push('x'),
        ];
        for change in changes {
            let mut other = statement();
            change(&mut other);
            assert_ne!(challenge(&other.to_json().unwrap()), original);
        }
    }

    #[test]
    fn another_version_or_member_is_not_read() {
        let written = statement().to_json().unwrap();
        assert!(Statement::from_json(&written.replace("\"version\":1", "\"version\":2")).is_err());
        assert!(Statement::from_json(&written.replace("\"quorum\"", "\"quorun\"")).is_err());
    }
}
