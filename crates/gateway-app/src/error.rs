//! What can go wrong in an application function, as facts.

use gateway_audit::Fault;
use gateway_store::StoreError;

mod people;

pub use people::PeopleError;

/// Why an application function did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No person has this address.
    #[error(
        "nobody has the address `{email}`; list the person in ADMIN_USERS or one of the other lists, or invite them"
    )]
    UnknownPerson {
        /// The address, canonical.
        email: String,
    },
    /// No token has this id or name.
    #[error("no token is `{0}`; `rack-gateway tokens list` shows them")]
    UnknownToken(String),
    /// No trust rule has this name.
    #[error("no trust rule is called {0:?}; `rack-gateway ci trust list` shows them")]
    UnknownTrustRule(String),
    /// More than one token has this name.
    #[error("{count} live tokens are called `{name}`; name one by its id")]
    AmbiguousToken {
        /// The name.
        name: String,
        /// How many have it.
        count: usize,
    },
    /// A token needs a name of visible characters.
    #[error("a token's name has 1 to 100 letters, digits, blanks and any of `._:@/-`")]
    BadTokenName,
    /// A token needs a role.
    #[error("a token needs at least one role")]
    NoRole,
    /// A certificate that is past its end.
    #[error("this certificate has expired; give the one that the machine presents now")]
    CertificateEnded,
    /// A key that is bound already.
    #[error(
        "the key of this certificate is bound to a token already, perhaps to one that was revoked; make a new key \
         for the machine"
    )]
    KeyIsBound,
    /// Nothing has this action.
    #[error("no operation is called `{action}`; actions look like `convox:app:list`{hint}")]
    UnknownAction {
        /// What was asked for.
        action: String,
        /// ` (did you mean …?)`, or nothing.
        hint: String,
    },
    /// No event belongs to this request.
    #[error(
        "the log has no event of request {0}; plain probes leave none, and plain reads appear within a second"
    )]
    UnknownRequest(String),
    /// The log does not verify.
    #[error("the audit log does not verify: {0}")]
    Log(#[from] Fault),
    /// A stored checkpoint does not verify.
    #[error("a stored checkpoint does not verify")]
    Checkpoint(#[from] gateway_audit::ChainError),
    /// An anchor is of another log, or the log's keys were exchanged for others.
    #[error("an anchor is not signed by a key that this log has")]
    Anchor(#[source] gateway_audit::ChainError),
    /// Retention removed bodies while the log was exported.
    #[error("bodies of old entries were removed while the log was exported; export it again")]
    PrunedMeanwhile,
    /// No signing key could be made.
    #[error("no signing key could be made")]
    SigningKey,
    /// The export could not be written.
    #[error("the export could not be written")]
    Write(#[from] std::io::Error),
}
