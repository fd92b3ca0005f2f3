//! The store over SQLite and PostgreSQL: one module per aggregate; nobody else writes SQL.
//!
//! Every statement is written once, in the subset both databases share through `sqlx::Any`: `$n`
//! parameters, no booleans, no arrays. It knows rows and rules that must hold in the database; it
//! knows nothing of HTTP, policy or pages. Start reading at [`store`] (opening), then [`callers`]
//! (the hot path) and [`audit`] (the log).

pub mod approvals;
pub mod audit;
pub mod audit_counts;
pub mod audit_retention;
pub mod audit_shares;
pub mod audit_sinks;
pub mod backup;
pub mod bases;
pub mod break_glass;
pub mod callers;
pub mod ceremonies;
pub mod certificates;
pub mod challenges;
pub mod changes;
pub mod cli_codes;
mod database;
pub mod devices;
pub mod elevations;
pub mod error;
pub mod events;
pub mod factors;
mod files;
pub mod groups;
pub mod handoffs;
pub mod identities;
pub mod imports;
pub mod integrations;
pub mod jobs;
pub mod kept;
pub mod leases;
mod migrate;
pub mod modes;
pub mod policies;
pub mod predecessor;
pub mod provider_sessions;
pub mod rate_counts;
pub mod recordings;
pub mod restorations;
pub mod reveals;
pub mod role_grants;
pub mod rotation;
mod row;
mod runs;
pub mod saved_searches;
mod sealing;
mod secrets;
pub mod sentinel;
pub mod services;
pub mod sessions;
pub mod settings;
pub mod sign_ins;
pub mod signing_keys;
pub mod slack;
mod statement;
pub mod step_ups;
pub mod store;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod trust_rules;
pub mod trusted_devices;
pub mod users;
pub mod vantage;
pub mod workloads;
pub mod zone;

pub use approvals::{
    Approval, ApprovalChange, ApprovalFilter, Approvals, Finding, KeptFinding, KeptProof, KeptSignature,
    NewApproval,
};
pub use audit::{AuditHealth, AuditLog};
pub use audit_counts::{AuditCount, AuditCounts, AuditTallies};
pub use audit_retention::{AuditRetention, LegalHold, MOST_PRUNED, Needed, Retained};
pub use audit_shares::{AuditShare, AuditShares, NewAuditShare};
pub use audit_sinks::{AuditSinks, SinkPosition, SinkWindow};
pub use bases::{Bases, ServedBase};
pub use break_glass::{BreakGlass, BreakGlassSet, BreakGlassUse, NewBreakGlassUse, Redeemed};
pub use callers::{CallerFault, Callers, KnownCaller, ResolveError};
pub use ceremonies::{Asker, Ceremonies, NewCeremony};
pub use certificates::{
    Attempt, Certificates, ChallengeAnswer, ChallengeKind, Failed, IssuedCertificate, OpenOrder,
};
pub use challenges::{Challenge, Challenges, NewChallenge};
pub use cli_codes::{CODE_TIME, CliCode, CliCodes, NewCliCode, TakenCode};
pub use devices::{
    DEVICE_TIME, DeviceDecision, DeviceState, Devices, NewDevice, POLL_INTERVAL, Poll, WaitingDevice,
};
pub use elevations::{Elevation, ElevationFilter, ElevationState, Elevations, LiveElevation, NewElevation};
pub use error::StoreError;
pub use events::{ColumnsCompared, EventFilter, Events, LeafRow, MOST_SCANNED, StoredCheckpoint};
pub use factors::{Factor, FactorKind, Factors, KeptKey, NewKey, Remaining, SealedKey};
pub use groups::{Group, Groups};
pub use handoffs::{
    HANDOFF_CODE_TIME, HANDOFF_TIME, HandoffFault, Handoffs, HostSession, NewHandoff, WayBack,
};
pub use identities::{Identities, IdentityLink, NewIdentityLink, RolesFrom};
pub use imports::{ImportKind, Imports, TakenToken, TakenUser};
pub use integrations::{Integration, IntegrationTest, Integrations};
pub use jobs::{Claim, ClaimedJob, Job, JobFilter, JobStanding, JobState, Jobs, NewJob, Retry};
pub use kept::Kept;
pub use leases::{Lease, Leases};
pub use migrate::AppliedMigration;
pub use modes::{Modes, ReadOnly};
pub use policies::{Policies, PolicyDocument};
pub use predecessor::{Predecessor, PredecessorError};
pub use provider_sessions::{DueProviderSession, EndedSession, Ending, NewProviderSession, ProviderSessions};
pub use rate_counts::{OthersCount, RateCounts};
pub use recordings::{
    Companion, NewRecording, OpenRecording, Part, RecordedSession, RecordingFilter, Recordings, SecondPerson,
    SessionEnd, SessionState, StopOrder,
};
pub use restorations::{RestorationNews, Restorations};
pub use reveals::{NewReveal, Reveal, Reveals};
pub use role_grants::{GrantHolder, HeldRole, RoleGrant, RoleGrants};
pub use rotation::{Rotated, Rotation};
pub use row::Page;
pub use saved_searches::{NewSavedSearch, SavedSearch, SavedSearches};
pub use sentinel::Sentinel;
pub use services::{ServiceDocument, Services};
pub use sessions::{NewSession, Session, SessionSource, Sessions};
pub use settings::{Setting, SettingScope, Settings};
pub use sign_ins::{Admission, NewSignIn, SIGN_IN_TIME, SignInFault, SignIns};
pub use signing_keys::{SigningKey, SigningKeys};
pub use slack::{SlackMessage, SlackMessages};
pub use step_ups::{FactorStanding, OpenWindow, RightCode, Spent, StepUps, Try, TryLimit, UsedFactor};
pub use store::{Access, Adoption, RackClaim, Store, StoreConnections, StoreOptions};
pub use tokens::{ApiToken, NewToken, PresentedBy, TokenChange, TokenFilter, Tokens};
pub use trust_rules::{ClaimValues, NewTrustRule, TrustRule, TrustRules};
pub use trusted_devices::{MOST_TRUSTED_DEVICES, TrustedDevice, TrustedDevices};
pub use users::{NewUser, Standing, User, UserChange, UserFilter, Users, canonical_email};
pub use vantage::{VantagePoint, VantagePoints, ZoneKnock};
pub use workloads::{NewWorkload, TokenIdentity, Workloads};
pub use zone::{
    ZoneAuthority, ZoneContent, ZoneJoin, ZoneKey, ZoneMember, ZoneRecord, ZoneRegistration, ZoneService,
    Zones,
};
