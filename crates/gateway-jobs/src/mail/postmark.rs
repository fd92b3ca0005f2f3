//! Mail by Postmark's HTTP API: `POST /email` with the server token in a header.
//!
//! Source: <https://postmarkapp.com/developer/api/email-api>.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_config::{Postmark, Url};
use gateway_types::Secret;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

use super::{Mail, MailError, Mailer, SENDER_NAME, Sending};

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest reply that is looked at, in bytes.
const MAX_REPLY_BYTES: usize = 64 * 1024;
/// The longest part of Postmark's words that is kept, in bytes.
const MAX_MESSAGE_BYTES: usize = 300;
const TOKEN_HEADER: &str = "X-Postmark-Server-Token";

/// Mails by a Postmark account.
pub struct PostmarkMailer {
    from: String,
    endpoint: Url,
    stream: String,
    token: Secret<String>,
    client: reqwest::Client,
}

impl fmt::Debug for PostmarkMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostmarkMailer").field("from", &self.from).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    from: String,
    to: &'a str,
    subject: &'a str,
    text_body: &'a str,
    html_body: &'a str,
    message_stream: &'a str,
    headers: [Header; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    name: &'static str,
    value: &'static str,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Reply {
    error_code: i64,
    message: String,
}

impl PostmarkMailer {
    /// Mails as `from` by this account.
    ///
    /// # Errors
    /// [`MailError::Tls`], [`MailError::Http`].
    ///
    /// # Security
    /// The token goes to the configured address only: redirects are not followed.
    pub fn new(from: &str, account: &Postmark) -> Result<Self, MailError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .redirect(Policy::none())
            .timeout(LIMIT)
            .build()
            .map_err(|source| MailError::Http { source })?;
        let mut endpoint = account.api_base.clone();
        endpoint.set_path("/email");
        Ok(Self {
            from: from.to_owned(),
            endpoint,
            stream: account.stream.clone(),
            token: account.token.clone(),
            client,
        })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // The configuration has checked the token: it can stand in a header.
        if let Ok(mut token) = HeaderValue::from_str(self.token.expose()) {
            token.set_sensitive(true);
            headers.insert(TOKEN_HEADER, token);
        }
        headers
    }

    async fn post(&self, mail: &Mail) -> Result<(), MailError> {
        let request = Request {
            from: format!("{SENDER_NAME} <{}>", self.from),
            to: &mail.to,
            subject: &mail.subject,
            text_body: &mail.text,
            html_body: &mail.html,
            message_stream: &self.stream,
            headers: [Header { name: "Auto-Submitted", value: "auto-generated" }],
        };
        let unreachable = |source: reqwest::Error| MailError::Http { source: source.without_url() };
        let sending = self.client.post(self.endpoint.clone()).headers(self.headers()).json(&request).send();
        let mut response = sending.await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_REPLY_BYTES {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let read = serde_json::from_slice::<Reply>(&body);
        match read {
            Ok(reply) if status.is_success() && reply.error_code == 0 => Ok(()),
            read => {
                let Reply { error_code, message } = read.unwrap_or_default();
                let message =
                    message.get(..message.floor_char_boundary(MAX_MESSAGE_BYTES)).unwrap_or_default();
                Err(MailError::Postmark {
                    status: status.as_u16(),
                    code: error_code,
                    message: message.to_owned(),
                })
            }
        }
    }
}

impl Mailer for PostmarkMailer {
    fn send<'a>(&'a self, mail: &'a Mail) -> Sending<'a> {
        Box::pin(self.post(mail))
    }
}

/// TLS with the machine's authorities and one provider, named here.
fn tls() -> Result<ClientConfig, MailError> {
    let mut roots = RootCertStore::empty();
    let (_added, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| MailError::Tls { problem: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
