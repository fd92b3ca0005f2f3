//! What a browser brings back from the provider: a code, or an error.

use std::fmt;

use gateway_types::Secret;

use super::error::{FaultSide, OidcError, printable};

/// How much of an error's description is kept for the log.
const DESCRIPTION_CHARACTERS: usize = 200;

/// How much of an unknown error code is kept for the log.
const CODE_CHARACTERS: usize = 64;

/// The parameters with which the provider sent the browser back. Source: RFC 6749, section 4.1.2; RFC 9207.
#[derive(Clone, Debug)]
pub struct Callback {
    /// `code`.
    pub code: Secret<String>,
    /// `state`.
    pub state: Secret<String>,
    /// `iss`, when there is one.
    pub iss: Option<String>,
}

/// What a provider says when it refuses. Source: RFC 6749, sections 4.1.2.1 and 5.2; OpenID Connect Core
/// 1.0, section 3.1.2.6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    kind: RefusalKind,
    code: String,
    description: Option<String>,
}

/// What a refusal means for the person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalKind {
    /// The person, or the provider's policy, said no.
    Denied,
    /// The person has to do something at the provider first.
    Interaction,
    /// The provider cannot now.
    Unavailable,
    /// The provider does not take the gateway's request.
    Request,
    /// An error that no standard names.
    Other,
}

impl Refusal {
    /// Reads an error. What is kept of it is short and printable, for the log only.
    pub fn new(code: &str, description: Option<&str>) -> Self {
        let kind = match code {
            "access_denied" => RefusalKind::Denied,
            "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
                RefusalKind::Interaction
            }
            "temporarily_unavailable" | "server_error" => RefusalKind::Unavailable,
            "invalid_request"
            | "invalid_scope"
            | "invalid_client"
            | "unauthorized_client"
            | "unsupported_response_type"
            | "unsupported_grant_type"
            | "request_not_supported" => RefusalKind::Request,
            _ => RefusalKind::Other,
        };
        Self {
            kind,
            code: printable(code, CODE_CHARACTERS),
            description: description.map(|text| printable(text, DESCRIPTION_CHARACTERS)),
        }
    }

    /// What it means.
    pub const fn kind(&self) -> RefusalKind {
        self.kind
    }

    pub(super) const fn side(&self) -> FaultSide {
        match self.kind {
            RefusalKind::Denied | RefusalKind::Interaction => FaultSide::Caller,
            RefusalKind::Unavailable | RefusalKind::Other => FaultSide::Provider,
            RefusalKind::Request => FaultSide::Gateway,
        }
    }

    pub(super) const fn public_text(&self) -> &'static str {
        match self.kind {
            RefusalKind::Denied => "The identity provider refused the sign-in, or you cancelled it.",
            RefusalKind::Interaction => {
                "The identity provider wants you to do something there first. Sign in there, then start again."
            }
            RefusalKind::Unavailable => {
                "The identity provider cannot sign you in now. Try again in a moment."
            }
            RefusalKind::Request => {
                "The identity provider does not take this gateway's request. Ask an administrator to check its configuration."
            }
            RefusalKind::Other => "The identity provider answered with an error. Try again in a moment.",
        }
    }
}

impl fmt::Display for Refusal {
    /// For the log: the code and, when there is one, the description.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        match &self.description {
            Some(description) => write!(f, " ({description})"),
            None => Ok(()),
        }
    }
}

/// Reads the error with which a provider sent a browser back.
///
/// # Security
/// Anybody can make a browser call the callback with any text. Nothing of it is for a page: pages show
/// [`OidcError::public_text`], which depends on the kind alone.
pub fn callback_error(provider: &str, error: &str, description: Option<&str>) -> OidcError {
    OidcError::Refused { provider: provider.to_owned(), refusal: Refusal::new(error, description) }
}
