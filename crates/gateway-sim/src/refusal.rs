//! Every way a rack says no, with its status and its exact text (the client prints the text).

use crate::duration::DurationError;

/// Why the rack did not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Missing or wrong credential.
    #[error("invalid authentication")]
    InvalidAuthentication,
    /// A token whose role does not reach.
    #[error("you are unauthorized to access this")]
    Unauthorized {
        /// 401 from the outer check by method, 403 from a handler's own check.
        status: u16,
    },
    /// No app of this name.
    #[error("app not found: {0}")]
    AppNotFound(String),
    /// No release with this id.
    #[error("release not found: {0}")]
    ReleaseNotFound(String),
    /// No build with this id.
    #[error("build not found: {0}")]
    BuildNotFound(String),
    /// No process with this id.
    #[error("process not found: {0}")]
    ProcessNotFound(String),
    /// No service of this name.
    #[error("service not found: {0}")]
    ServiceNotFound(String),
    /// No resource of this name in the app.
    #[error("resource not found: {0}")]
    ResourceNotFound(String),
    /// No resource of this name on the rack.
    #[error("no such resource: {0}")]
    RackResourceNotFound(String),
    /// No configuration of this name in the app.
    #[error("app config not found: {0}")]
    ConfigNotFound(String),
    /// No certificate with this id.
    #[error("certificate not found: {0}")]
    CertificateNotFound(String),
    /// No instance with this id.
    #[error("instance not found: {0}")]
    InstanceNotFound(String),
    /// No registry of this name.
    #[error("registry not found: {0}")]
    RegistryNotFound(String),
    /// No object with this key.
    #[error("object not found: {0}")]
    ObjectNotFound(String),
    /// An object key with a `..` segment.
    #[error("invalid object key")]
    InvalidObjectKey,
    /// The app is there already.
    #[error("app already exists: {0}")]
    AppExists(String),
    /// A deletion while termination protection is on.
    #[error("app is locked: {0}")]
    AppLocked(String),
    /// A cancel without an update.
    #[error("app is not updating")]
    NotUpdating,
    /// A promote during an update, without `force`.
    #[error("app is currently updating")]
    CurrentlyUpdating,
    /// A promote of a release without a manifest.
    #[error("no manifest for release: {0}")]
    NoManifest(String),
    /// A promote of a release that is older than the active one.
    #[error("release is older than the active release: {0}")]
    OlderRelease(String),
    /// A parameter that must be there.
    #[error("{0} is required")]
    Missing(&'static str),
    /// A parameter that cannot be read.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// A duration that cannot be read.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// A host `proxy` will not dial.
    #[error("invalid proxy host")]
    InvalidProxyHost,
    /// A change of the rack itself on v3.
    #[error("direct rack doesn't support update, make sure you are not using RACK_URL environment variable")]
    DirectRack,
    /// What this kind of rack cannot do.
    #[error("unimplemented")]
    Unimplemented,
    /// An exec that is meant to fail.
    #[error("exec failed on purpose")]
    ExecFailed,
    /// A fault a test asked for.
    #[error("something went wrong on the rack")]
    Injected {
        /// The status to answer with.
        status: u16,
    },
}

impl Refusal {
    /// The HTTP status it is answered with.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::InvalidAuthentication => 401,
            Self::Unauthorized { status } | Self::Injected { status } => *status,
            Self::AppNotFound(_)
            | Self::ReleaseNotFound(_)
            | Self::BuildNotFound(_)
            | Self::ProcessNotFound(_)
            | Self::ServiceNotFound(_)
            | Self::ResourceNotFound(_)
            | Self::RackResourceNotFound(_)
            | Self::ConfigNotFound(_)
            | Self::CertificateNotFound(_)
            | Self::InstanceNotFound(_)
            | Self::RegistryNotFound(_)
            | Self::ObjectNotFound(_) => 404,
            Self::AppExists(_) | Self::AppLocked(_) => 409,
            Self::NotUpdating | Self::CurrentlyUpdating => 403,
            Self::InvalidObjectKey
            | Self::NoManifest(_)
            | Self::OlderRelease(_)
            | Self::Missing(_)
            | Self::Invalid(_)
            | Self::Duration(_)
            | Self::InvalidProxyHost => 400,
            Self::DirectRack | Self::Unimplemented => 501,
            Self::ExecFailed => 500,
        }
    }
}
