//! The discovery document and the key set.

use serde_json::{Value, json};

use super::IdpFault;
use super::server::State;
use crate::reply::{Body, Filler, Reply};

const HUGE: u64 = 50 << 20;
const MANY: u32 = 10_000;

/// Source: OpenID Connect Discovery 1.0, section 3; RFC 9207, section 3.
pub(super) fn discovery(issuer: &str, state: &State) -> Reply {
    if state.breaks(&IdpFault::HugeDiscovery) {
        return Reply::stream(Body::Filler(HUGE, Filler::Zeros), Some("application/json"));
    }
    let named = state.faults.iter().find_map(|fault| match fault {
        IdpFault::DiscoveryIssuer(other) => Some(other.as_str()),
        _ => None,
    });
    Reply::json(&json!({
        "issuer": named.unwrap_or(issuer),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile", "groups"],
        "claims_supported": ["sub", "email", "email_verified", "name", "groups"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

/// Source: RFC 7517, section 5.
pub(super) fn keys(state: &State) -> Reply {
    let mut keys = vec![state.key.jwk()];
    if state.breaks(&IdpFault::DuplicateKeyId) {
        keys.push(state.key.double());
    }
    if state.breaks(&IdpFault::ManyKeys) {
        keys.extend((0..MANY).map(|number| with(state.key.double(), "kid", format!("many-{number}").into())));
    }
    if state.breaks(&IdpFault::NoKeyId) {
        for key in &mut keys {
            if let Some(fields) = key.as_object_mut() {
                fields.remove("kid");
            }
        }
    }
    Reply::json(&json!({ "keys": keys }))
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    object
}
