//! Why somebody could not be signed in. Each variant is a fact, says whose fault it is, and has a text
//! for the person that holds nothing a provider or a stranger wrote.

use super::callback::Refusal;
use super::fetch::FetchError;
use super::logout::LogoutFault;

/// On whose side the fault is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultSide {
    /// The person or the browser: starting again, or another account, helps.
    Caller,
    /// The identity provider.
    Provider,
    /// This gateway's configuration of the provider.
    Gateway,
}

/// Which of the provider's answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// The discovery document.
    Discovery,
    /// The key set.
    Keys,
    /// The token endpoint.
    Token,
    /// The endpoint that says more of the person than the ID token.
    UserInfo,
    /// The authorization endpoint, which only the browser asks.
    Authorization,
    /// The endpoint at which a browser signs out.
    Logout,
    /// The API that says who somebody is.
    Api,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Discovery => "discovery document",
            Self::Keys => "key set",
            Self::Token => "token endpoint",
            Self::UserInfo => "UserInfo endpoint",
            Self::Authorization => "authorization endpoint",
            Self::Logout => "logout endpoint",
            Self::Api => "API",
        })
    }
}

/// What is wrong with an ID token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenFault {
    /// There is none in the answer.
    #[error("there is none")]
    Absent,
    /// Its algorithm is none that is accepted (`none`, a shared secret, encryption).
    #[error("its signature algorithm is not accepted")]
    Algorithm,
    /// The provider's keys have none for it, also after they were read again.
    #[error("no key of the provider is its key")]
    UnknownKey,
    /// More than one key could be its key.
    #[error("more than one key of the provider could be its key")]
    AmbiguousKey,
    /// The signature is not the key's.
    #[error("its signature is wrong")]
    Signature,
    /// Another issuer.
    #[error("its issuer is another")]
    Issuer,
    /// Not for this client, or not for it alone, or asked for by another.
    #[error("it is not for this client alone")]
    Audience,
    /// Expired.
    #[error("it has expired")]
    Expired,
    /// A time that is no whole number of seconds.
    #[error("its times are not whole seconds")]
    Time,
    /// Issued in the future, or too long ago for a token that was just asked for.
    #[error("its time of issue is not now")]
    IssueTime,
    /// Not yet valid.
    #[error("it is not valid yet")]
    NotYetValid,
    /// Another nonce, or none.
    #[error("its nonce is another")]
    Nonce,
    /// The subject is empty or too long.
    #[error("its subject is no subject")]
    Subject,
    /// A header or type that an ID token does not have.
    #[error("it is of another type")]
    Type,
}

/// Why somebody could not be signed in.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The issuer, or the address for the way back, is no URL.
    #[error("the {what} of identity provider {provider} is not an address that can be used")]
    Address {
        /// The provider's name.
        provider: String,
        /// Which address.
        what: &'static str,
    },
    /// The provider was not reachable moments ago and is not asked again yet.
    #[error("identity provider {provider} did not answer moments ago; it is asked again shortly")]
    RecentlyUnreachable {
        /// The provider's name.
        provider: String,
    },
    /// The provider gave no answer.
    #[error("the {endpoint} of identity provider {provider} cannot be read")]
    Unreachable {
        /// The provider's name.
        provider: String,
        /// What was asked.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: FetchError,
    },
    /// The provider answered with another status than 200.
    #[error("the {endpoint} of identity provider {provider} answered with status {status}")]
    Status {
        /// The provider's name.
        provider: String,
        /// What was asked.
        endpoint: Endpoint,
        /// The status.
        status: u16,
    },
    /// The provider's answer is not what the standard says.
    #[error("the answer of the {endpoint} of identity provider {provider} cannot be understood: {reason}")]
    Malformed {
        /// The provider's name.
        provider: String,
        /// What was asked.
        endpoint: Endpoint,
        /// The parser's words, made printable and short.
        reason: String,
    },
    /// The discovery document is another issuer's. Source: OpenID Connect Discovery 1.0, section 4.3.
    #[error("the discovery document of identity provider {provider} is another issuer's")]
    OtherIssuer {
        /// The provider's name.
        provider: String,
    },
    /// An address in the discovery document must not be used.
    #[error(
        "the discovery document of identity provider {provider} has a {endpoint} at {address}, which is not an https address"
    )]
    EndpointAddress {
        /// The provider's name.
        provider: String,
        /// Which.
        endpoint: Endpoint,
        /// Scheme and host.
        address: String,
    },
    /// The discovery document lacks an endpoint.
    #[error("the discovery document of identity provider {provider} has no {endpoint}")]
    EndpointAbsent {
        /// The provider's name.
        provider: String,
        /// Which.
        endpoint: Endpoint,
    },
    /// The key set has too many keys.
    #[error("the key set of identity provider {provider} has {count} keys; at most {limit} are read")]
    TooManyKeys {
        /// The provider's name.
        provider: String,
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The provider sent the person back with an error. Source: RFC 6749, section 4.1.2.1.
    #[error("identity provider {provider} refused: {refusal}")]
    Refused {
        /// The provider's name.
        provider: String,
        /// What it said.
        refusal: Refusal,
    },
    /// The state is not the one that was kept for this sign-in.
    #[error("the state that came back is not the one that was sent")]
    State,
    /// The code is empty or too long.
    #[error("the code that came back is empty or too long")]
    Code,
    /// The answer came from another issuer, or does not say from whom although the provider promised to.
    /// Source: RFC 9207, section 2.4.
    #[error("the answer did not come from the issuer of identity provider {provider}")]
    CallbackIssuer {
        /// The provider's name.
        provider: String,
    },
    /// The token endpoint refused the code: used, expired, another's.
    #[error("identity provider {provider} does not take the code: {refusal}")]
    CodeRefused {
        /// The provider's name.
        provider: String,
        /// What it said.
        refusal: Refusal,
    },
    /// The token endpoint refused the gateway itself.
    #[error("identity provider {provider} does not take this gateway's request: {refusal}")]
    ClientRefused {
        /// The provider's name.
        provider: String,
        /// What it said.
        refusal: Refusal,
    },
    /// The ID token is not acceptable.
    #[error("the ID token of identity provider {provider} is not acceptable: {fault}")]
    IdToken {
        /// The provider's name.
        provider: String,
        /// What is wrong.
        fault: TokenFault,
    },
    /// The logout token does not count.
    #[error("the logout token of identity provider {provider} does not count: {fault}")]
    LogoutToken {
        /// The provider's name.
        provider: String,
        /// What is wrong.
        fault: LogoutFault,
    },
    /// The account has no e-mail address, or the provider does not tell it.
    #[error("identity provider {provider} gave no e-mail address")]
    EmailAbsent {
        /// The provider's name.
        provider: String,
    },
    /// The address is not one that people are compared by.
    #[error("the e-mail address from identity provider {provider} is not a plain address")]
    EmailMalformed {
        /// The provider's name.
        provider: String,
    },
    /// The provider does not vouch for the address.
    #[error("identity provider {provider} does not say that the e-mail address is verified")]
    EmailNotVerified {
        /// The provider's name.
        provider: String,
    },
    /// The address is in the organisation's domain, the account is not the organisation's.
    #[error(
        "identity provider {provider} does not say that the account belongs to the organisation of its e-mail address"
    )]
    NotTheOrganisations {
        /// The provider's name.
        provider: String,
    },
}

impl OidcError {
    /// On whose side the fault is.
    pub const fn side(&self) -> FaultSide {
        match self {
            Self::State
            | Self::Code
            | Self::CallbackIssuer { .. }
            | Self::CodeRefused { .. }
            | Self::LogoutToken { .. }
            | Self::EmailAbsent { .. }
            | Self::EmailMalformed { .. }
            | Self::EmailNotVerified { .. }
            | Self::NotTheOrganisations { .. } => FaultSide::Caller,
            Self::Refused { refusal, .. } => refusal.side(),
            Self::Address { .. } | Self::ClientRefused { .. } => FaultSide::Gateway,
            Self::RecentlyUnreachable { .. }
            | Self::Unreachable { .. }
            | Self::Status { .. }
            | Self::Malformed { .. }
            | Self::OtherIssuer { .. }
            | Self::EndpointAddress { .. }
            | Self::EndpointAbsent { .. }
            | Self::TooManyKeys { .. }
            | Self::IdToken { .. } => FaultSide::Provider,
        }
    }

    /// What the person is told: what to do, and nothing that came from outside.
    pub const fn public_text(&self) -> &'static str {
        match self {
            Self::State => {
                "This sign-in was not started in this browser, or it was finished already. Start again."
            }
            Self::Code | Self::CodeRefused { .. } => {
                "The identity provider does not know this sign-in any more. Start again."
            }
            Self::CallbackIssuer { .. } => {
                "The answer did not come from the identity provider that was asked. Start again."
            }
            Self::Refused { refusal, .. } => refusal.public_text(),
            Self::LogoutToken { .. } => "The logout token does not count here.",
            Self::EmailAbsent { .. } => {
                "Your account at the identity provider has no e-mail address. Use another account."
            }
            Self::EmailMalformed { .. } => {
                "The e-mail address of your account is not one that this gateway takes. Use another account."
            }
            Self::EmailNotVerified { .. } => {
                "The e-mail address of your account is not verified. Verify it at the identity provider, then sign in again."
            }
            Self::NotTheOrganisations { .. } => {
                "Your account is a personal one with an address of the organisation. Use the organisation's account."
            }
            Self::Address { .. } | Self::ClientRefused { .. } => {
                "The identity provider does not take this gateway's request. Ask an administrator to check its configuration."
            }
            Self::RecentlyUnreachable { .. } | Self::Unreachable { .. } | Self::Status { .. } => {
                "The identity provider does not answer. Try again in a moment."
            }
            Self::Malformed { .. }
            | Self::OtherIssuer { .. }
            | Self::EndpointAddress { .. }
            | Self::EndpointAbsent { .. }
            | Self::TooManyKeys { .. }
            | Self::IdToken { .. } => {
                "The identity provider's answer is not acceptable. Ask an administrator to look at the gateway's log."
            }
        }
    }
}

/// The first characters of a foreign text, with everything but plain visible ASCII replaced, so that it
/// can stand in a log line.
pub(super) fn printable(text: &str, limit: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(limit)
        .map(|c| match c {
            ' ' => ' ',
            '<' | '>' | '&' | '"' | '\'' | '\\' | '`' => '?',
            c if c.is_ascii_graphic() => c,
            _ => '?',
        })
        .collect();
    if text.chars().nth(limit).is_some() {
        shown.push_str("...");
    }
    shown
}
