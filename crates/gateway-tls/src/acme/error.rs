//! Why no certificate was got, as facts.

use gateway_store::StoreError;

use crate::error::PairError;

use super::dns::DnsError;

/// Why no certificate was got.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The server refused, or could not be reached.
    #[error("the ACME server: {0}")]
    Server(#[from] instant_acme::Error),
    /// The store said no or cannot be reached.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// The account in the store cannot be read.
    #[error("the ACME account in the store cannot be read")]
    Account(#[source] serde_json::Error),
    /// The server offers other challenges.
    #[error("the ACME server does not offer the challenge {0}; look at acme.challenge")]
    NotOffered(&'static str),
    /// The name was not proved.
    #[error("the name was not proved: {0}")]
    NotProved(String),
    /// The order is over.
    #[error("the order is over and came to nothing")]
    OrderOver,
    /// The server sent a certificate that cannot be used.
    #[error("the certificate that was issued cannot be used")]
    Certificate(#[from] PairError),
    /// The server sent a certificate for another name.
    #[error("the certificate that was issued is not for the name that was ordered")]
    OtherName,
    /// A key or request could not be made.
    #[error("the request for the certificate could not be made")]
    Request(#[from] rcgen::Error),
    /// The TXT record could not be written.
    #[error("the TXT record")]
    Dns(#[from] DnsError),
}

impl AcmeError {
    /// Whether the order that was open may still come to something: the server did not say no to it.
    pub(super) fn leaves_order_open(&self) -> bool {
        match self {
            AcmeError::Server(instant_acme::Error::Api(_)) => false,
            AcmeError::Server(_) | AcmeError::Store(_) | AcmeError::Dns(_) => true,
            AcmeError::Account(_)
            | AcmeError::NotOffered(_)
            | AcmeError::NotProved(_)
            | AcmeError::OrderOver
            | AcmeError::Certificate(_)
            | AcmeError::OtherName
            | AcmeError::Request(_) => false,
        }
    }

    /// Whether the server knows the account no longer (RFC 8555, section 6.7).
    pub(super) fn account_is_gone(&self) -> bool {
        match self {
            AcmeError::Server(instant_acme::Error::Api(problem)) => {
                problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
            }
            AcmeError::Server(_)
            | AcmeError::Store(_)
            | AcmeError::Dns(_)
            | AcmeError::Account(_)
            | AcmeError::NotOffered(_)
            | AcmeError::NotProved(_)
            | AcmeError::OrderOver
            | AcmeError::Certificate(_)
            | AcmeError::OtherName
            | AcmeError::Request(_) => false,
        }
    }

    /// The error with its causes, on one line of bounded length.
    pub(super) fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.ends_with(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect()
    }
}
