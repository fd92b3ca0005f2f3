//! The words every other crate speaks: ids, callers, operations, facts, verdicts, problems, the clock.
//!
//! Nothing here does I/O, awaits, reads the environment or knows a database. Start reading at
//! [`operation`] (what can be asked), [`caller`] (who asks), [`facts`] (what else is known) and
//! [`verdict`] (the answer).

pub mod caller;
pub mod clock;
pub mod facts;
pub mod grant;
pub mod id;
pub mod network;
pub mod operation;
pub mod problem;
pub mod reach;
pub mod resource;
pub mod role;
pub mod secret;
pub mod token;
pub mod verdict;
pub mod wire;

pub use caller::{Caller, Channel, CredentialKind, Principal, WorkloadOrigin};
pub use clock::{Clock, SystemClock, Timestamp};
pub use facts::Facts;
pub use grant::Grant;
pub use id::{
    ApprovalId, AuditShareId, BreakGlassId, ChallengeId, DeviceSignInId, ElevationId, Entropy, EventId,
    FactorId, GatewayId, JobId, OsEntropy, ProviderSessionId, RecordingId, RequestId, RevealId, RoleGrantId,
    SavedSearchId, SessionId, SignInId, TokenId, TrustedDeviceId, UserId, WorkloadId, ZoneMemberId,
};
pub use network::{NamedNetworks, Rate};
pub use operation::{ActionName, Cicd, Class, LowestRole, Operation, StepUp};
pub use problem::{Problem, ProblemKind, SessionChallenge};
pub use reach::may_be_asked;
pub use resource::{Resource, ResourceKind};
pub use role::{Role, RoleSet};
pub use secret::Secret;
pub use token::{CredentialDigest, TokenKind, is_predecessors_token};
pub use verdict::{Decision, Layer, Remedy, RemedyKind, Verdict};
