//! Why AWS was of no use, and what to do about it. No text names a secret or repeats a part of an answer.

use std::path::PathBuf;

use crate::http::Unreachable;

/// Why there are no credentials, or no secret.
#[derive(Debug, thiserror::Error)]
pub enum AwsFault {
    /// No region is known.
    #[error("no AWS region is known; set AWS_REGION, or write the secret's whole ARN")]
    NoRegion,
    /// Nothing on this machine says who it is.
    #[error(
        "no AWS credentials were found; give the task, pod or instance a role, or set AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN"
    )]
    NoCredentials,
    /// One variable needs another.
    #[error("{given} is set and {missing} is not; set both or none")]
    Incomplete {
        /// The one that is set.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A variable holds what cannot be used.
    #[error("{variable} is not {expected}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// The file of a token cannot be read.
    #[error("{} ({variable}) cannot be read", path.display())]
    TokenFile {
        /// The variable that names it.
        variable: &'static str,
        /// It.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is no answer.
    #[error("{whom} could not be asked{hint}")]
    Unreachable {
        /// Who was asked.
        whom: &'static str,
        /// What may be the cause, with what stands before it.
        hint: &'static str,
        /// What the connection said.
        #[source]
        source: Unreachable,
    },
    /// It said no.
    #[error("{whom} answered {status}{}: {advice}", named(code))]
    Refused {
        /// Who was asked.
        whom: &'static str,
        /// The status.
        status: u16,
        /// The code of the error, letters and digits only; empty when there was none.
        code: String,
        /// What to do.
        advice: String,
    },
    /// The answer is not what the API describes.
    #[error("the answer of {whom} has another form than its API describes ({what})")]
    Form {
        /// Who was asked.
        whom: &'static str,
        /// What is missing or wrong.
        what: &'static str,
    },
    /// The request cannot be written or signed.
    #[error(
        "the request to {whom} cannot be written or signed; check the credentials and the region for odd characters"
    )]
    Unwritable {
        /// Who would be asked.
        whom: &'static str,
    },
    /// A bucket without Object Lock.
    #[error(
        "the bucket {bucket} has no Object Lock, so that whoever may write there can alter what is kept; make a bucket with it, or turn it on"
    )]
    NoObjectLock {
        /// Its name.
        bucket: String,
    },
    /// An object was taken and is not locked.
    #[error(
        "{address} was written and is not locked in COMPLIANCE mode, as far as this role may see; allow s3:PutObjectRetention and s3:GetObjectRetention, or use a store that has Object Lock"
    )]
    Unlocked {
        /// The object.
        address: String,
    },
    /// The secret holds no text.
    #[error("the secret is binary; store it as text")]
    Binary,
    /// The secret is no JSON object, or lacks the key.
    #[error("the secret is not a JSON object with the text `{key}` in it")]
    NoKey {
        /// The key.
        key: String,
    },
}

impl AwsFault {
    /// Whether AWS says that the credentials it was asked with are over.
    pub(super) fn is_expired(&self) -> bool {
        matches!(self, AwsFault::Refused { code, .. } if matches!(code.as_str(), "ExpiredTokenException" | "ExpiredToken"))
    }
}

fn named(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" {code}") }
}

/// The code of an error as it may be shown: without its namespace, bounded, letters and digits only.
pub(super) fn code(text: &str) -> String {
    let name = text.rsplit('#').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    name.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}
