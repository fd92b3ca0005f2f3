//! What the gateway signs in to the rack with: where it is kept and how it stands, and that it is looked for at once.
//!
//! The data plane holds the credential, behind [`RackCredentialKeeper`].
//!
//! # Security
//! Nothing here is the credential or leads to it: a fingerprint is keyed, so that a guess cannot be tried against it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use gateway_types::{Layer, Problem, ProblemKind, Timestamp};
use serde_json::json;

use crate::error::AppError;
use crate::{App, Operator, record};

/// How the rack's credential stands on this instance.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Where it is kept, as `RACK_TOKEN` says; `None` = in the configuration itself.
    pub source: Option<String>,
    /// What it looks like: equal on all instances that have the same one; empty while there is none yet.
    pub fingerprint: String,
    /// Since when this instance has it.
    pub since: Timestamp,
    /// When it was last read where it is kept.
    pub read: Option<Timestamp>,
    /// When it is read next; `None` = never.
    pub next_read: Option<Timestamp>,
    /// Why it cannot be read now, and since when.
    pub fault: Option<(Timestamp, String)>,
    /// When the rack last refused it.
    pub refused: Option<Timestamp>,
    /// What the store that keeps it is asked with, when that is renewed too.
    pub access: Option<Access>,
    /// The tokens in its place; `None` = requests are signed with it itself.
    pub tokens: Option<Tokens>,
}

/// What a store is asked with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// What it is.
    pub kind: &'static str,
    /// Until when it is good; `None` = for ever.
    pub expires: Option<Timestamp>,
    /// When it is renewed; `None` = never.
    pub renews: Option<Timestamp>,
}

/// Short-lived tokens in place of the password.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tokens {
    /// Those at hand.
    pub roles: Vec<RoleToken>,
    /// Why the last one could not be minted.
    pub fault: Option<String>,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleToken {
    /// Its role at the rack.
    pub role: &'static str,
    /// When it was minted.
    pub minted: Timestamp,
    /// When another is minted, at the next use from then on.
    pub renews: Timestamp,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// What a look comes to.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Result<(), NotRefreshed>> + Send + 'a>>;

/// Who holds the credential.
pub trait RackCredentialKeeper: fmt::Debug + Send + Sync {
    /// How it stands.
    fn standing(&self) -> Standing;

    /// Reads it where it is kept, whatever was read before, and forgets the tokens that were minted with it.
    fn refresh(&self) -> Looking<'_>;
}

/// Why nothing was refreshed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotRefreshed {
    /// It is in the configuration, and nothing was made of it.
    #[error(
        "the rack's credential is in the configuration itself, which is read at the start only; keep it in a file (file:/path), Vault (vault:…) or AWS (aws:secretsmanager:…), or restart the gateway"
    )]
    Configured,
    /// The place where it is kept could not be read.
    #[error("the rack's credential could not be read, and the last one holds: {fault}")]
    Unreadable {
        /// Why.
        fault: String,
    },
}

/// Why it could not be refreshed, or that not be written down.
#[derive(Debug, thiserror::Error)]
pub enum RackCredentialError {
    /// It was not.
    #[error(transparent)]
    NotRefreshed(#[from] NotRefreshed),
    /// The log.
    #[error(transparent)]
    Record(#[from] AppError),
}

impl From<RackCredentialError> for Problem {
    fn from(error: RackCredentialError) -> Self {
        let kind = match &error {
            RackCredentialError::NotRefreshed(NotRefreshed::Configured) => ProblemKind::NotPossible,
            RackCredentialError::NotRefreshed(NotRefreshed::Unreadable { .. }) => {
                ProblemKind::UpstreamUnreachable
            }
            RackCredentialError::Record(_) => {
                return match error {
                    RackCredentialError::Record(error) => error.into(),
                    other => Problem::new(ProblemKind::Internal, Layer::Network, other.to_string()),
                };
            }
        };
        Problem::new(kind, Layer::Network, error.to_string())
    }
}

/// Looks for the credential at once, and says how it stands then. What became of it is in the log, also when it came to
/// nothing.
///
/// # Errors
/// [`RackCredentialError`].
pub async fn refresh(app: &App, operator: &Operator<'_>) -> Result<Standing, RackCredentialError> {
    let keeper = &app.rack_credential;
    let before = keeper.standing();
    let looked = keeper.refresh().await;
    let after = keeper.standing();
    let mut event = operator.event("gateway:rack:credential_refresh");
    event.before = Some(json!({ "fingerprint": before.fingerprint }));
    event.after = Some(match &looked {
        Ok(()) => json!({ "fingerprint": after.fingerprint }),
        Err(fault) => json!({ "fingerprint": after.fingerprint, "fault": fault.to_string() }),
    });
    record(&app.store, event).await?;
    looked?;
    Ok(after)
}

/// No credential at all, for an application without a rack.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRackCredential;

impl RackCredentialKeeper for NoRackCredential {
    fn standing(&self) -> Standing {
        Standing::default()
    }

    fn refresh(&self) -> Looking<'_> {
        Box::pin(std::future::ready(Err(NotRefreshed::Configured)))
    }
}
