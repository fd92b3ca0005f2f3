//! Identity providers as configured, ready to sign people in.

use std::sync::Arc;

use gateway_config::{Identity, OidcProvider, canonical_email};
use gateway_identity::oidc::{Provider, ProviderConfig};

/// The providers, in the order they are offered.
pub(crate) fn providers(identity: &Identity) -> Vec<Arc<Provider>> {
    identity.providers.iter().map(|configured| Arc::new(Provider::new(provider(configured)))).collect()
}

fn provider(configured: &OidcProvider) -> ProviderConfig {
    ProviderConfig {
        name: configured.name.clone(),
        issuer: configured.issuer.clone(),
        client_id: configured.client_id.clone(),
        client_secret: configured.client_secret.clone(),
        allowed_domains: configured.allowed_domains.clone(),
        groups_claim: configured.groups_claim.clone(),
        role_map: configured.role_map.clone(),
        canonical_email: |text| canonical_email(text).ok(),
    }
}
