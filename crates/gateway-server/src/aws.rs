//! AWS as this gateway asks it: what the configuration and the environment say, and the two ways there.

use std::sync::Arc;

use gateway_app::integrations::KeptWayOut;
use gateway_config::Config;
use gateway_integrations::aws::{AssumedRole, AwsSettings, CredentialChain, SecretsManager, Ways};
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
    let ways = Ways {
        beyond: Arc::new(KeptWayOut::new(fetch.clone())),
        machine: Arc::new(KeptWayOut::new(Arc::new(HttpFetch::of_machine()?))),
    };
    let chain = CredentialChain::new(settings(config), ways, clock.clone());
    Ok(Arc::new(SecretsManager::new(Arc::new(chain))))
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
