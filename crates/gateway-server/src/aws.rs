//! AWS as this gateway asks it: what the configuration and the environment say, the two ways there, and the bucket of anchors.

use std::sync::Arc;

use gateway_app::integrations::KeptWayOut;
use gateway_config::Config;
use gateway_integrations::aws::{
    AssumedRole, AwsSettings, BucketPlace, CredentialChain, LockTerms, LockedBucket, SecretsManager, Ways,
};
use gateway_services::Environment;
use gateway_types::{Clock, Secret};

use crate::fetch::{FetchSetupError, HttpFetch};

/// Secrets Manager, asked with the default credentials of this machine. Nothing is asked yet.
///
/// # Errors
/// [`FetchSetupError`] when TLS cannot be set up.
pub(crate) fn secrets_manager(
    config: &Config,
    fetch: &Arc<HttpFetch>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<SecretsManager>, FetchSetupError> {
    Ok(Arc::new(SecretsManager::new(chain(settings(config), fetch, clock)?)))
}

/// The bucket in which checkpoints are kept, when there is one, and how they are kept there. Nothing is asked yet.
///
/// # Errors
/// As [`secrets_manager`].
pub(crate) fn anchor_bucket(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Option<(LockedBucket, LockTerms)>, FetchSetupError> {
    let Some(declared) = &config.audit_anchors.bucket else { return Ok(None) };
    let place = BucketPlace {
        bucket: declared.bucket.clone(),
        prefix: declared.prefix.clone(),
        region: declared.region.clone(),
    };
    let terms = LockTerms { retention: declared.retention, kms_key: declared.kms_key.clone() };
    let fetch = Arc::new(HttpFetch::new(None)?);
    Ok(Some((LockedBucket::new(chain(settings(config), &fetch, clock)?, place), terms)))
}

/// A bucket as a command reads it: with what the SDKs of AWS find in this environment. Nothing is asked yet.
///
/// # Errors
/// [`FetchSetupError`] when TLS cannot be set up.
pub fn bucket_of_environment(
    environment: &Environment,
    place: BucketPlace,
    clock: &Arc<dyn Clock>,
) -> Result<LockedBucket, FetchSetupError> {
    let settings = AwsSettings::of_variables(|name| environment.variable(name).cloned(), None);
    let fetch = Arc::new(HttpFetch::new(None)?);
    Ok(LockedBucket::new(chain(settings, &fetch, clock)?, place))
}

fn chain(
    settings: AwsSettings,
    fetch: &Arc<HttpFetch>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<CredentialChain>, FetchSetupError> {
    let ways = Ways {
        beyond: Arc::new(KeptWayOut::new(fetch.clone())),
        machine: Arc::new(KeptWayOut::new(Arc::new(HttpFetch::of_machine()?))),
    };
    Ok(Arc::new(CredentialChain::new(settings, ways, clock.clone())))
}

fn settings(config: &Config) -> AwsSettings {
    let role = config.aws.assume_role.clone();
    let role = role.map(|arn| AssumedRole { arn, external_id: config.aws.external_id.clone() });
    let region = config.aws.region.clone().map(Secret::new);
    let variable = |name: &str| match name {
        // The configuration's, which is the variable's unless the file says another.
        "AWS_REGION" => region.clone(),
        name => config.environment.variable(name).cloned(),
    };
    AwsSettings::of_variables(variable, role)
}
