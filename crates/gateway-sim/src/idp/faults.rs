//! Which rules a development provider breaks.

use serde_json::Value;

/// A rule that is broken, until the provider is told to behave.
#[derive(Clone, PartialEq, Debug)]
pub enum IdpFault {
    /// Tokens have this claim with this value; `None` = they lack it. For another nonce, audience or issuer,
    /// an `email_verified` that is no `true`, groups of any shape.
    Claim(String, Option<Value>),
    /// UserInfo has this claim with this value; `None` = it lacks it.
    UserInfo(String, Option<Value>),
    /// Tokens are not signed: `alg` is `none`.
    AlgorithmNone,
    /// Tokens are signed with HS256 under the client's secret.
    AlgorithmHs256,
    /// One bit of each signature is another.
    WrongSignature,
    /// Tokens expired an hour ago.
    Expired,
    /// Neither tokens nor keys have a key id.
    NoKeyId,
    /// A second, other key is published under the same id.
    DuplicateKeyId,
    /// Ten thousand keys are published.
    ManyKeys,
    /// The discovery document has 50 MiB.
    HugeDiscovery,
    /// The discovery document is this issuer's.
    DiscoveryIssuer(String),
    /// The browser is sent back with this `iss`; `None` = without one, although it is promised.
    CallbackIssuer(Option<String>),
    /// The browser is sent back with this `state`.
    CallbackState(String),
    /// This path is never answered.
    Hang(&'static str),
    /// This path is answered with this status and nothing else.
    Status(&'static str, u16),
    /// This path is answered with 200, `application/json` and this text.
    Body(&'static str, &'static str),
    /// This path is answered with 302 to this place.
    Redirect(&'static str, String),
}

impl IdpFault {
    /// Tokens with this claim.
    pub fn claim(name: &str, value: impl Into<Value>) -> Self {
        Self::Claim(name.to_owned(), Some(value.into()))
    }

    /// Tokens without this claim.
    pub fn without(name: &str) -> Self {
        Self::Claim(name.to_owned(), None)
    }
}
