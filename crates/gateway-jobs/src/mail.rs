//! How a finished mail leaves: by SMTP, by Postmark, or not at all. It knows nothing of what a mail says.

mod postmark;
mod smtp;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_config::Mail as MailConfig;
use gateway_types::Timestamp;

pub use postmark::PostmarkMailer;
pub use smtp::SmtpMailer;

/// What the sender is called beside its address.
const SENDER_NAME: &str = "Rack Gateway";

/// A mail to one person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// The same each time this mail is tried, so that a mail program shows it once.
    pub id: String,
    /// The address.
    pub to: String,
    /// The subject; one line.
    pub subject: String,
    /// The body as text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
    /// When what it says happened.
    pub date: Timestamp,
}

/// Why a mail did not leave.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// There is no way to mail.
    #[error("mail is off: set SMTP_HOST or POSTMARK_API_TOKEN, then retry this job")]
    Off,
    /// An address that cannot be mailed to or from.
    #[error("an address cannot be mailed")]
    Address {
        /// Why.
        source: lettre::address::AddressError,
    },
    /// The parts do not make a mail.
    #[error("the mail cannot be put together")]
    Build {
        /// Why.
        source: lettre::error::Error,
    },
    /// The machine's certificate authorities cannot be used.
    #[error("TLS cannot be set up: {problem}")]
    Tls {
        /// What is wrong.
        problem: String,
    },
    /// The SMTP server could not be reached or did not take it.
    #[error("the SMTP server did not take the mail")]
    Smtp {
        /// Why.
        source: lettre::transport::smtp::Error,
    },
    /// Postmark could not be reached.
    #[error("Postmark could not be reached")]
    Http {
        /// Why, without the address.
        source: reqwest::Error,
    },
    /// Postmark did not take it.
    #[error("Postmark answered {status} with error code {code}: {message}")]
    Postmark {
        /// HTTP status.
        status: u16,
        /// Postmark's own code; 0 when it sent none.
        code: i64,
        /// Postmark's own words.
        message: String,
    },
}

/// Postmark's codes for a recipient that it will never take: a malformed address, an inactive recipient.
const POSTMARK_BAD_RECIPIENT: [i64; 2] = [300, 406];

impl MailError {
    /// Whether the same mail would fail the same way, whatever an operator mends.
    pub fn is_final(&self) -> bool {
        match self {
            // Nothing changes before the gateway starts anew; people may retry the job then.
            MailError::Off | MailError::Address { .. } | MailError::Build { .. } => true,
            MailError::Smtp { source } => smtp::is_final(source),
            MailError::Tls { .. } | MailError::Http { .. } => false,
            MailError::Postmark { code, .. } => POSTMARK_BAD_RECIPIENT.contains(code),
        }
    }
}

/// What [`Mailer::send`] returns.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// A way to mail.
pub trait Mailer: fmt::Debug + Send + Sync {
    /// Hands a mail over. `Ok` means that somebody else is responsible for it now.
    fn send<'a>(&'a self, mail: &'a Mail) -> Sending<'a>;
}

/// No way to mail: jobs that were made while there was one become dead, and say why.
#[derive(Debug, Default)]
pub struct Disabled {
    said: AtomicBool,
}

impl Mailer for Disabled {
    fn send<'a>(&'a self, _mail: &'a Mail) -> Sending<'a> {
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::debug!("mail is off: what waits to be mailed is not");
        }
        Box::pin(std::future::ready(Err(MailError::Off)))
    }
}

/// The way to mail that the configuration wants.
///
/// # Errors
/// [`MailError::Tls`] when the machine's certificate authorities cannot be used, [`MailError::Address`].
pub fn mailer(config: &MailConfig) -> Result<Arc<dyn Mailer>, MailError> {
    Ok(match config {
        MailConfig::Off => Arc::new(Disabled::default()),
        MailConfig::Smtp { from, server } => Arc::new(SmtpMailer::new(from, server)?),
        MailConfig::Postmark { from, account } => Arc::new(PostmarkMailer::new(from, account)?),
    })
}
