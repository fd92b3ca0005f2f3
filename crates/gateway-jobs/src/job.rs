//! What there is to do, as typed payloads. Nothing here may hold a secret: payloads are kept in the database
//! as they are.

use gateway_app::Notice;
use gateway_app::approvals::reports::{self, Report};
use gateway_store::NewJob;
use gateway_types::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest text of a payload, in bytes: nobody's name or browser makes a job too large to be kept.
const MAX_TEXT_BYTES: usize = 400;

/// Something to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// Tell a person something by mail.
    Mail(MailJob),
    /// Tell somebody else of an approval.
    Report(Report),
}

/// A mail to be written and sent. It names its text and that text's plain parameters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MailJob {
    /// To whom.
    pub to: String,
    /// As what they are told.
    pub audience: Audience,
    /// When what they are told of happened.
    pub at: Timestamp,
    /// What they are told.
    pub notice: Notice,
}

/// As what somebody gets a notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// It is about them.
    Person,
    /// They are an admin, and it is about somebody else.
    Admin,
}

/// Why a job cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// This program knows no such kind.
    #[error("there is no kind of job called `{0}`")]
    UnknownKind(String),
    /// The payload is not what this program writes for its kind.
    #[error("the payload of a `{kind}` job cannot be read or written")]
    Payload {
        /// The kind.
        kind: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

const MAIL: &str = "mail";

impl Job {
    /// The kinds that this program can do. It leaves others alone: a newer program beside it may have made them.
    pub const KINDS: &[&str] = &[MAIL, reports::KIND];

    /// Its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Job::Mail(_) => MAIL,
            Job::Report(_) => reports::KIND,
        }
    }

    /// The job as the store keeps it; every text is cut at 400 bytes.
    ///
    /// # Errors
    /// [`JobError::Payload`] when it cannot be written as JSON.
    pub fn to_row(&self) -> Result<NewJob, JobError> {
        let kind = self.kind();
        let failed = |source| JobError::Payload { kind, source };
        let mut payload = match self {
            Job::Mail(mail) => serde_json::to_value(mail),
            Job::Report(report) => serde_json::to_value(report),
        }
        .map_err(failed)?;
        bound(&mut payload);
        Ok(NewJob::now(kind, payload.to_string()))
    }

    /// The job that a row holds.
    ///
    /// # Errors
    /// [`JobError::UnknownKind`], [`JobError::Payload`].
    pub fn from_row(kind: &str, payload: &str) -> Result<Job, JobError> {
        match kind {
            MAIL => serde_json::from_str(payload)
                .map(Job::Mail)
                .map_err(|source| JobError::Payload { kind: MAIL, source }),
            reports::KIND => serde_json::from_str(payload)
                .map(Job::Report)
                .map_err(|source| JobError::Payload { kind: reports::KIND, source }),
            other => Err(JobError::UnknownKind(other.to_owned())),
        }
    }
}

fn bound(value: &mut Value) {
    match value {
        // NUL is the one character that PostgreSQL cannot keep.
        Value::String(text) => {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            text.retain(|c| c != '\0');
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Object(fields) => fields.values_mut().for_each(bound),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
