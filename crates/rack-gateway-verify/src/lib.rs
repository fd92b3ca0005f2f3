//! Checks the request token that Rack Gateway sends to a service, as a tower layer.
//!
//! A request that came through the gateway carries `Gateway-Token`: a JSON Web Token of the gateway, for this service,
//! of this very method, path and query, that holds for a minute. The layer lets such requests in, with a
//! [`GatewayIdentity`] among their extensions, and answers all others with 401.
//!
//! ```
//! use http::{Request, Response};
//! use rack_gateway_verify::{GatewayIdentity, Keys, Verifier, VerifyLayer};
//!
//! # fn jwks() -> &'static str { r#"{"keys":[]}"# }
//! // `jwks()`: what `https://GATEWAY/.well-known/jwks.json` says; give `keys.replace(…)` the newest each five minutes.
//! let keys = Keys::from_jwks(jwks())?;
//! let verifier = Verifier::new("https://gateway.example.com", "wiki", keys.clone());
//! let handler = tower::service_fn(|request: Request<String>| async move {
//!     let who = request.extensions().get::<GatewayIdentity>().map(|who| who.name.clone());
//!     Ok::<_, std::convert::Infallible>(Response::new(format!("Hello {}", who.unwrap_or_default())))
//! });
//! let service = tower_layer::Layer::layer(&VerifyLayer::new(verifier), handler);
//! # let _ = service;
//! # Ok::<(), rack_gateway_verify::KeysError>(())
//! ```
//!
//! Put the layer outside of everything that changes the path. What the gateway asks without a caller (health checks,
//! routes of class `open`) has no token and belongs outside of the layer.

mod identity;
mod keys;
mod layer;
#[cfg(test)]
mod tests;
mod verifier;

pub use identity::{Caller, GatewayIdentity, StepUp};
pub use keys::{Keys, KeysError};
pub use layer::{Now, Verified, Verify, VerifyLayer};
pub use verifier::{Verifier, VerifyError};

/// The header that carries the token.
pub const HEADER: &str = "gateway-token";
