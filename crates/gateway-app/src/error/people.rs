//! What can go wrong with people, their sessions and their API tokens, as facts.

use gateway_config::EmailFault;
use gateway_identity::CertificateFault;
use gateway_store::StoreError;
use gateway_types::{Grant, Layer, Problem, ProblemKind, RoleSet};

use super::AppError;

/// Why something about people, sessions, groups or tokens was not done.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// Nobody has this id.
    #[error("there is nobody with this id")]
    NoSuchPerson,
    /// Nobody has this id or address.
    #[error("nobody has the id or address `{0}`; invite the person first")]
    NobodyCalled(String),
    /// The session is not this person's, or is over.
    #[error("this person has no such session, or it is over")]
    NoSuchSession,
    /// This person trusts no such device, or no longer.
    #[error("you trust no such device, or no longer")]
    NoSuchDevice,
    /// The token is not there.
    #[error("there is no such token")]
    NoSuchToken,
    /// The token is there and over.
    #[error("this token was revoked or has expired; make a new one")]
    TokenEnded,
    /// Somebody has this address.
    #[error("`{0}` is known already; change their roles instead of inviting them again")]
    PersonExists(String),
    /// The address is none.
    #[error("the address {0}")]
    BadEmail(#[from] EmailFault),
    /// A name needs visible characters.
    #[error("a name has 1 to 100 visible characters, with none of them at either end a blank")]
    BadName,
    /// A token's name.
    #[error("a token's name has 1 to 100 letters, digits, blanks and any of `._:@/-`")]
    BadTokenName,
    /// A group's name.
    #[error("a group's name has 1 to 200 visible characters")]
    BadGroup,
    /// No role is given.
    #[error("give at least one role")]
    NoRole,
    /// A machine's role for a person.
    #[error("the role cicd is for tokens and workloads; people cannot have it")]
    MachineRole,
    /// Roles above those of whoever gives them.
    #[error("you cannot give what you do not have: {0}")]
    AboveOwn(RoleSet),
    /// A token's roles above those of its owner.
    #[error("a token cannot be more than its owner: {owner} has not the rights of {roles}")]
    AboveOwner {
        /// The roles that are too much.
        roles: RoleSet,
        /// The owner's address.
        owner: String,
    },
    /// Nobody does this to themselves.
    #[error("you cannot {0}; ask another admin")]
    Oneself(&'static str),
    /// What was decided and what is asked do not agree on whose it is.
    #[error("what is asked for is not your own")]
    NotOwn,
    /// A grant that is none.
    #[error(
        "`{}` is no grant: it needs the full name of an action or a beginning with a star that some \
         operation has, and names of apps",
        .0.actions
    )]
    BadGrant(Grant),
    /// Too many grants.
    #[error("a token has at most {0} grants, each with as many apps; an app's name stands once")]
    TooManyGrants(usize),
    /// A grant of critical actions without a factor for it.
    #[error(
        "a grant that reaches critical actions needs a second factor given with this very request, and \
         second factors to be switched on"
    )]
    CriticalGrant,
    /// A token for critical actions that never ends.
    #[error("a token whose grants reach critical actions must end: give it at most a year")]
    CriticalForever,
    /// The end of a token.
    #[error(
        "write when the token ends as 90d or 12h, a moment in RFC 3339, or never; at most a year away and not past"
    )]
    BadExpiry,
    /// The overlap of a rotation.
    #[error("write how long the old secret is good too as 30m or 1h, from 0s to 24h")]
    BadOverlap,
    /// A change that would give a token more.
    #[error("a token's {0} can only become smaller; make a new token for more")]
    Wider(&'static str),
    /// A certificate that is past its end.
    #[error("this certificate has expired; give the one that the machine presents now")]
    CertificateEnded,
    /// A key that is bound already.
    #[error(
        "the key of this certificate is bound to a token already, perhaps to one that was revoked; make a new key \
         for the machine"
    )]
    KeyIsBound,
    /// Not a certificate.
    #[error("`certificate`: {0}")]
    BadCertificate(#[from] CertificateFault),
    /// A token that a certificate stands for gets no secret.
    #[error(
        "a client certificate stands for this token; send the new certificate in `certificate` to rotate it, or renew \
         the one it has with the same key"
    )]
    NoSecret,
    /// A network.
    #[error("`{0}` is no network: write it as 203.0.113.0/24, and at most 50 of them")]
    BadNetwork(String),
    /// A token rotates itself while the secret before is still good.
    #[error(
        "the secret before this one is still good, so that it is not sure which of its holders asks; repeat \
         when the overlap has ended, or let the token's owner rotate it"
    )]
    OverlapRuns,
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        let (kind, layer) = match error {
            PeopleError::Store(error) => return crate::problems::of_store(&error),
            PeopleError::Record(error) => return error.into(),
            PeopleError::NoSuchPerson
            | PeopleError::NoSuchSession
            | PeopleError::NoSuchDevice
            | PeopleError::NoSuchToken => (ProblemKind::NotFound, Layer::Authorization),
            PeopleError::TokenEnded
            | PeopleError::PersonExists(_)
            | PeopleError::Oneself(_)
            | PeopleError::KeyIsBound
            | PeopleError::NoSecret
            | PeopleError::OverlapRuns => (ProblemKind::NotPossible, Layer::Authorization),
            PeopleError::AboveOwn(_)
            | PeopleError::AboveOwner { .. }
            | PeopleError::NotOwn
            | PeopleError::Wider(_) => (ProblemKind::Refused, Layer::Authorization),
            PeopleError::CriticalGrant => (ProblemKind::Refused, Layer::Mfa),
            PeopleError::NobodyCalled(_)
            | PeopleError::BadEmail(_)
            | PeopleError::BadName
            | PeopleError::BadTokenName
            | PeopleError::BadGroup
            | PeopleError::NoRole
            | PeopleError::MachineRole
            | PeopleError::BadGrant(_)
            | PeopleError::TooManyGrants(_)
            | PeopleError::CriticalForever
            | PeopleError::BadExpiry
            | PeopleError::CertificateEnded
            | PeopleError::BadCertificate(_)
            | PeopleError::BadNetwork(_)
            | PeopleError::BadOverlap => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}
