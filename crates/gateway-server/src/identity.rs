//! Identity providers as configured, ready to sign people in.

use std::sync::Arc;

use gateway_config::{Identity, OidcProvider, canonical_email};
use gateway_identity::oidc::{Again, Provider, ProviderConfig, ProviderKind};

/// The providers, in the order they are offered.
pub(crate) fn providers(identity: &Identity) -> Vec<Arc<Provider>> {
    identity.providers.iter().map(|configured| Arc::new(Provider::new(provider(configured)))).collect()
}

fn provider(configured: &OidcProvider) -> ProviderConfig {
    ProviderConfig {
        name: configured.name.clone(),
        kind: match &configured.kind {
            gateway_config::ProviderKind::Oidc => ProviderKind::Oidc,
            gateway_config::ProviderKind::GitHub { api_url } => {
                ProviderKind::GitHub { api_url: api_url.clone() }
            }
        },
        allowed_groups: configured.allowed_groups.clone(),
        again: if configured.refresh { Again::Refresh } else { Again::Never },
        issuer: configured.issuer.clone(),
        client_id: configured.client_id.clone(),
        client_secret: configured.client_secret.clone(),
        allowed_domains: configured.allowed_domains.clone(),
        email_verified_claim: configured.email_verified_claim.clone(),
        groups_claim: configured.groups_claim.clone(),
        role_map: configured.role_map.clone(),
        canonical_email: |text| canonical_email(text).ok(),
    }
}
