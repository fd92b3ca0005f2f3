//! AWS: who this machine is there, requests signed as that, Secrets Manager, and S3 with Object Lock.
//!
//! Start reading at [`CredentialChain`]: it finds credentials as the SDKs of AWS do by default and renews them before they
//! expire. [`sign`] signs any request with them. [`SecretsManager`] reads secrets, [`LockedBucket`] keeps objects that stay. None
//! of it knows what they are for.
//!
//! # Security
//! No text of a fault holds a secret, a token or a part of an answer. Metadata services are asked through a way of their
//! own ([`Ways::machine`]), so that no other address of the link can be asked.

mod chain;
mod fault;
mod places;
mod s3;
mod secrets_manager;
mod settings;
mod signing;
mod sources;
mod sts;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use gateway_types::{Secret, Timestamp};

use crate::http::Http;

pub use chain::{CredentialChain, Renewal};
pub use fault::AwsFault;
pub use s3::{BucketPlace, Kept, LockTerms, LockedBucket, ObjectVersion};
pub use secrets_manager::{SecretId, SecretsManager};
pub use settings::{AssumedRole, AwsSettings};
pub use signing::{Payload, sign};

/// The ways on which AWS is asked.
#[derive(Clone, Debug)]
pub struct Ways {
    /// To the APIs of AWS: TLS, or plain HTTP on loopback.
    pub beyond: Arc<dyn Http>,
    /// To what only this machine, task or pod can ask: plain HTTP to the addresses of the metadata services.
    pub machine: Arc<dyn Http>,
}

/// What requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsCredentials {
    /// The id of the key, which is no secret.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret<String>,
    /// What goes with temporary ones.
    pub session_token: Option<Secret<String>>,
    /// Until when they are good; `None` = for ever.
    pub expires: Option<Timestamp>,
    /// Where they came from.
    pub source: CredentialSource,
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Where credentials come from, in the order in which they are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CredentialSource {
    /// Keys in the environment.
    Environment,
    /// A role for a token of an identity provider: EKS with IAM roles for service accounts.
    WebIdentity,
    /// The agent of an ECS task, or of a pod (EKS Pod Identity).
    Container,
    /// The metadata service of an EC2 instance, version 2.
    Instance,
    /// A further role, taken on with any of the above.
    AssumedRole,
}

impl CredentialSource {
    /// The name in the API and for people.
    pub const fn name(self) -> &'static str {
        match self {
            CredentialSource::Environment => "static keys of the environment",
            CredentialSource::WebIdentity => "web identity",
            CredentialSource::Container => "container credentials",
            CredentialSource::Instance => "instance profile",
            CredentialSource::AssumedRole => "assumed role",
        }
    }
}
