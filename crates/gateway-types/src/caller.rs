//! Who is calling.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::grant::Grant;
use crate::id::{SessionId, TokenId, UserId};
use crate::role::{Role, RoleSet};

/// The kind of credential a caller presented.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// None at all.
    None,
    /// The web session cookie.
    WebSession,
    /// A CLI session token (`rgs_…`).
    CliSession,
    /// An API token (`rgw_…`).
    ApiToken,
    /// An access token of an issuer that a service lists (RFC 9068).
    AccessToken,
    /// A short token that a machine got for its CI system's word, a client certificate that a trust rule takes, or
    /// a break-glass token (all `rgx_…` but the certificate).
    Workload,
}

impl CredentialKind {
    /// The name used in policy, the matrix and the log.
    pub const fn name(self) -> &'static str {
        match self {
            CredentialKind::None => "none",
            CredentialKind::WebSession => "web_session",
            CredentialKind::CliSession => "cli_session",
            CredentialKind::ApiToken => "api_token",
            CredentialKind::AccessToken => "access_token",
            CredentialKind::Workload => "workload",
        }
    }
}

/// The way a request came in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The proxied rack API.
    RackProxy,
    /// The gateway's own JSON API.
    Api,
    /// The web pages.
    Web,
    /// A service behind the gateway.
    Service,
    /// A command on the server's own machine.
    Local,
}

impl Channel {
    /// The name used in policy and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Channel::RackProxy => "rack_proxy",
            Channel::Api => "api",
            Channel::Web => "web",
            Channel::Service => "service",
            Channel::Local => "local",
        }
    }
}

/// What a workload was taken for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadOrigin {
    /// A token of a CI system, exchanged under a trust rule (RFC 8693).
    Exchange,
    /// A client certificate that a trust rule takes.
    Certificate,
    /// The offline codes for emergencies.
    BreakGlass,
}

impl WorkloadOrigin {
    /// The name used in policy and the log.
    pub const fn name(self) -> &'static str {
        match self {
            WorkloadOrigin::Exchange => "exchange",
            WorkloadOrigin::Certificate => "certificate",
            WorkloadOrigin::BreakGlass => "break_glass",
        }
    }
}

/// Who a credential stands for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Principal {
    /// Nobody: no credential was presented.
    Anonymous,
    /// A person with a session.
    User {
        /// The person.
        id: UserId,
        /// Canonical e-mail address.
        email: Arc<str>,
        /// Present roles.
        roles: RoleSet,
        /// The session presented.
        session: SessionId,
        /// Web or CLI.
        kind: CredentialKind,
    },
    /// A machine with an API token. Its rights are its grants, cut by its role and by what its
    /// creator may do now.
    ApiToken {
        /// The token.
        id: TokenId,
        /// Its name, as its creator chose it.
        name: Arc<str>,
        /// The roles it was given.
        roles: RoleSet,
        /// What it was granted.
        grants: Arc<[Grant]>,
        /// Who made it.
        creator: UserId,
        /// The creator's canonical e-mail address.
        creator_email: Arc<str>,
        /// The creator's present roles.
        creator_roles: RoleSet,
    },
    /// Whoever an issuer that one service lists vouches for: with one role, at that service, and nobody
    /// anywhere else.
    AccessToken {
        /// `iss`, as listed.
        issuer: Arc<str>,
        /// `sub`.
        subject: Arc<str>,
        /// The service's name.
        service: Arc<str>,
        /// The role there.
        role: Role,
        /// When it is refused at latest.
        expires: Timestamp,
    },
    /// A machine without a secret of its own, by a trust rule; or whoever broke the glass. Its rights are its
    /// grants, cut by its roles.
    Workload {
        /// Which one: of an exchanged token its row, of a certificate the rule and the certificate, of a
        /// break-glass token its use.
        id: Arc<str>,
        /// The trust rule's name, or `break-glass`.
        name: Arc<str>,
        /// Whom the issuer, the certificate or the person with the codes named.
        subject: Arc<str>,
        /// What it was taken for.
        origin: WorkloadOrigin,
        /// The roles it was given.
        roles: RoleSet,
        /// What it was granted.
        grants: Arc<[Grant]>,
    },
}

impl Principal {
    /// The kind of credential behind the principal.
    pub const fn credential_kind(&self) -> CredentialKind {
        match self {
            Principal::Anonymous => CredentialKind::None,
            Principal::User { kind, .. } => *kind,
            Principal::ApiToken { .. } => CredentialKind::ApiToken,
            Principal::AccessToken { .. } => CredentialKind::AccessToken,
            Principal::Workload { .. } => CredentialKind::Workload,
        }
    }

    /// The id of the credential's row, when there is one: what step-up windows and remembered
    /// bases belong to. Of an access token, which has no row: who it is of.
    pub fn credential_id(&self) -> Option<String> {
        match self {
            Principal::Anonymous => None,
            Principal::User { session, .. } => Some(session.to_string()),
            Principal::ApiToken { id, .. } => Some(id.to_string()),
            Principal::AccessToken { issuer, subject, .. } => Some(format!("{issuer} {subject}")),
            Principal::Workload { id, .. } => Some(id.to_string()),
        }
    }

    /// The name for people: an e-mail address, `token:NAME`, or `anonymous`.
    pub fn display_name(&self) -> String {
        match self {
            Principal::Anonymous => "anonymous".to_owned(),
            Principal::User { email, .. } => email.to_string(),
            Principal::ApiToken { name, .. } => format!("token:{name}"),
            Principal::AccessToken { issuer, subject, .. } => format!("{subject} of {issuer}"),
            Principal::Workload { name, subject, origin, .. } => match origin {
                WorkloadOrigin::Exchange | WorkloadOrigin::Certificate => format!("workload:{name}"),
                WorkloadOrigin::BreakGlass => format!("break-glass:{subject}"),
            },
        }
    }
}

/// A caller: who, and from where.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// By which way.
    pub channel: Channel,
    /// From which address: the peer's, or the one a listed forwarder named.
    pub source_ip: IpAddr,
}
