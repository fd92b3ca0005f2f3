//! Why something in the zone was not done, as facts.

use gateway_pki::rotation::{NotAStep, RotationFault};
use gateway_pki::{IdFault, PeerFault, PkiError, RequestFault, TokenFault};
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use crate::error::AppError;
use crate::problems;

/// Why something in the zone was not done.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// An authority said no.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// There is no zone.
    #[error("there is no zone; `rack-gateway zone init` makes one")]
    NoZone,
    /// There is one.
    #[error("there is a zone already")]
    Exists,
    /// Not a name in the zone.
    #[error(transparent)]
    Name(#[from] IdFault),
    /// The lifetime of leaves.
    #[error("leaves live between 5m and 24h")]
    LeafLife,
    /// Not a listener.
    #[error("a listener is NAME:gateway|external|internal:PORT, each name and port once: {found}")]
    Listener {
        /// What was given.
        found: String,
    },
    /// Not a caller.
    #[error("a caller is `gateway`, the name of a service, or an id of this zone: {found}")]
    Caller {
        /// What was given.
        found: String,
    },
    /// Only the gateway calls a listener that is declared for it.
    #[error("other callers than the gateway need a listener that is declared `internal`")]
    NotInternal,
    /// There is no such service.
    #[error("no service is registered as `{name}`; `rack-gateway zone service add` registers one")]
    UnknownService {
        /// Its name.
        name: String,
    },
    /// There is no such member, or it is banned already.
    #[error("there is no such member, or it is banned already")]
    UnknownMember,
    /// The name of a key is malformed.
    #[error("the name of a key has 40 hexadecimal digits")]
    KeyPin,
    /// The join token.
    #[error(transparent)]
    TokenForm(#[from] TokenFault),
    /// The join token is not good.
    #[error("the join token is not good: it was used, it is over, or it was never made here")]
    Token,
    /// The join token is for another key.
    #[error("the join token is for another key")]
    OtherKey,
    /// The certificate request.
    #[error(transparent)]
    Request(#[from] RequestFault),
    /// Who asks shows no leaf that holds.
    #[error("show a leaf of this zone that holds: {0}")]
    Peer(#[from] PeerFault),
    /// Who asks is no member any more.
    #[error("you are no member of the zone any more; join again with a new join token")]
    NoMember,
    /// The step.
    #[error(transparent)]
    Step(#[from] NotAStep),
    /// The kind.
    #[error("rotate `issuer` or `root`")]
    RotationKind,
    /// The step cannot be taken.
    #[error(transparent)]
    Rotation(#[from] RotationFault),
    /// The step takes the passphrase.
    #[error("this step takes the root's passphrase")]
    PassphraseNeeded,
    /// Somebody else changed the zone meanwhile.
    #[error("the zone was changed meanwhile; look at it and try again")]
    Changed,
    /// The backup.
    #[error("this is no backup of a zone")]
    Backup,
    /// What is kept cannot be used.
    #[error("the zone in the database cannot be used: {what}")]
    Kept {
        /// What of it.
        what: &'static str,
    },
    /// The gateway's own leaf cannot be used.
    #[error("the gateway's own leaf cannot be used")]
    OwnLeaf(#[source] rustls::Error),
    /// Work beside the requests broke off.
    #[error("the work broke off")]
    BrokeOff,
}

impl From<ZoneError> for Problem {
    fn from(error: ZoneError) -> Self {
        let (kind, layer) = match &error {
            ZoneError::Store(error) => return problems::of_store(error),
            ZoneError::Record(_) => {
                return match error {
                    ZoneError::Record(error) => error.into(),
                    other => Problem::new(ProblemKind::Internal, Layer::Network, other.to_string()),
                };
            }
            ZoneError::NoZone | ZoneError::UnknownService { .. } | ZoneError::UnknownMember => {
                (ProblemKind::NotFound, Layer::Authorization)
            }
            ZoneError::Exists | ZoneError::Rotation(_) => (ProblemKind::NotPossible, Layer::Authorization),
            ZoneError::Changed => (ProblemKind::Stale, Layer::Authorization),
            ZoneError::Token | ZoneError::TokenForm(_) | ZoneError::Peer(_) | ZoneError::NoMember => {
                (ProblemKind::Unauthenticated, Layer::Authentication)
            }
            ZoneError::OtherKey | ZoneError::Request(_) => (ProblemKind::Refused, Layer::Authorization),
            ZoneError::Pki(
                PkiError::NotOpened
                | PkiError::SealedForm
                | PkiError::ShortPassphrase { .. }
                | PkiError::Lifetime,
            )
            | ZoneError::Name(_)
            | ZoneError::LeafLife
            | ZoneError::Listener { .. }
            | ZoneError::Caller { .. }
            | ZoneError::NotInternal
            | ZoneError::KeyPin
            | ZoneError::Step(_)
            | ZoneError::RotationKind
            | ZoneError::PassphraseNeeded
            | ZoneError::Backup => (ProblemKind::BadParameter, Layer::Network),
            ZoneError::Pki(
                PkiError::Making(_)
                | PkiError::Certificate
                | PkiError::OtherKey
                | PkiError::Date
                | PkiError::AuthorityDates
                | PkiError::OutOfScope { .. }
                | PkiError::Crypto
                | PkiError::Bundle(_),
            )
            | ZoneError::Kept { .. }
            | ZoneError::OwnLeaf(_)
            | ZoneError::BrokeOff => {
                tracing::error!(error = &error as &dyn std::error::Error, "the zone could not be used");
                (ProblemKind::Internal, Layer::Network)
            }
        };
        Problem::new(kind, layer, error.to_string())
    }
}
