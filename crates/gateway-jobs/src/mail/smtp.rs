//! Mail by an SMTP server (RFC 5321) over TLS (RFC 3207, RFC 8314).

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use gateway_config::{SmtpServer, SmtpTls};
use lettre::address::{Address, AddressError};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::response::Category;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::{Mail, MailError, Mailer, SENDER_NAME, Sending};

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Mails by one SMTP server.
pub struct SmtpMailer {
    from: Mailbox,
    builder: AsyncSmtpTransportBuilder,
    /// Made at the first mail: its pool needs the runtime.
    transport: OnceLock<AsyncSmtpTransport<Tokio1Executor>>,
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the builder: it holds the password.
        f.debug_struct("SmtpMailer").field("from", &self.from.email).finish_non_exhaustive()
    }
}

impl SmtpMailer {
    /// Mails as `from` by this server.
    ///
    /// # Errors
    /// [`MailError::Address`], [`MailError::Tls`].
    ///
    /// # Security
    /// With [`SmtpTls::StartTls`] a server, or somebody in between, that does not offer STARTTLS gets neither
    /// the password nor a mail. The server's certificate must be one of the machine's authorities for its name.
    /// The crypto provider is aws-lc-rs, which lettre takes by itself as long as nobody installs another.
    pub fn new(from: &str, server: &SmtpServer) -> Result<Self, MailError> {
        Self::trusting(from, server, &[])
    }

    /// The same, with authorities besides the machine's.
    pub(crate) fn trusting(from: &str, server: &SmtpServer, more: &[Certificate]) -> Result<Self, MailError> {
        let tls = match server.tls {
            SmtpTls::StartTls => Tls::Required(parameters(&server.host, more)?),
            SmtpTls::Tls => Tls::Wrapper(parameters(&server.host, more)?),
            SmtpTls::Off => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.clone())
            .port(server.port)
            .tls(tls)
            .timeout(Some(LIMIT));
        if let Some(credentials) = &server.credentials {
            let (username, password) = (credentials.username.clone(), credentials.password.expose().clone());
            builder = builder.credentials(Credentials::new(username, password));
        }
        let from = Mailbox::new(Some(SENDER_NAME.to_owned()), address(from)?);
        Ok(Self { from, builder, transport: OnceLock::new() })
    }

    fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        let since_epoch = Duration::from_micros(u64::try_from(mail.date.micros()).unwrap_or_default());
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address(&mail.to)?))
            .subject(mail.subject.clone())
            .date(UNIX_EPOCH + since_epoch)
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|source| MailError::Build { source })?;
        // No answers from absence notes (RFC 3834, section 5).
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
        Ok(message)
    }
}

impl Mailer for SmtpMailer {
    fn send<'a>(&'a self, mail: &'a Mail) -> Sending<'a> {
        Box::pin(async move {
            let message = self.message(mail)?;
            let transport = self.transport.get_or_init(|| self.builder.clone().build());
            transport.send(message).await.map_err(|source| MailError::Smtp { source })?;
            Ok(())
        })
    }
}

/// Whether the server will never take the same mail: a 5xx reply, short of x3z, which is about how we signed in.
pub(super) fn is_final(error: &lettre::transport::smtp::Error) -> bool {
    error.is_permanent() && error.status().is_some_and(|code| code.category != Category::Unspecified3)
}

fn parameters(host: &str, more: &[Certificate]) -> Result<TlsParameters, MailError> {
    more.iter()
        .cloned()
        .fold(TlsParameters::builder(host.to_owned()), TlsParametersBuilder::add_root_certificate)
        .build_rustls()
        .map_err(|error| MailError::Tls { problem: error.to_string() })
}

fn address(text: &str) -> Result<Address, MailError> {
    text.parse().map_err(|source: AddressError| MailError::Address { source })
}
