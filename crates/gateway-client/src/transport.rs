//! One request, one bounded answer. It knows HTTP and problems, and nothing of what is asked for.
//!
//! # Security
//! Redirects are never followed, so a credential goes to the gateway's own origin and nowhere else (M4).
//! Plain HTTP is spoken on this machine only, and there past every proxy.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gateway_types::{ProblemKind, Secret};
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use url::Url;

use crate::address::GatewayAddress;
use crate::error::{BadReply, ClientError};
use crate::factor::SecondFactor;
use crate::refusal::Refusal;
use crate::text::one_line;
use crate::tls::TlsOptions;

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a request may take with its answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// How long nothing may come of a download.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// How often a connection on which nothing passes is tried.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a download may take.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(6 * 3600);
/// The largest answer that is read into memory.
const MOST_REPLY_BYTES: usize = 16 * 1024 * 1024;
/// The largest problem.
const MOST_PROBLEM_BYTES: usize = 256 * 1024;

/// The most characters of what a rack says when it says no.
const MOST_WORDS: usize = 2000;

/// How many receipts are kept until somebody takes them.
const MOST_RECEIPTS: usize = 64;

const RECEIPT: HeaderName = HeaderName::from_static("audit-receipt");
const TOTP: HeaderName = HeaderName::from_static("x-mfa-totp");
const PROBLEM: &str = "application/problem+json";

/// Whether a request shows who is asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Credential {
    /// It does, or is not made at all.
    Needed,
    /// It does not.
    Never,
}

/// What is sent with a request.
#[derive(Debug)]
pub(crate) enum Body {
    /// Nothing.
    None,
    /// JSON.
    Json(Vec<u8>),
    /// A form.
    Form(String),
    /// Bytes as they come, of no kind that a server would read as a form.
    Bytes(reqwest::Body),
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) body: Body,
    pub(crate) if_match: Option<String>,
    pub(crate) credential: Credential,
}

impl Call {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, body: Body::None, if_match: None, credential: Credential::Needed }
    }
}

/// A good answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) etag: Option<String>,
    pub(crate) body: Bytes,
}

/// A gateway, whom to trust, and who asks.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    shared: Arc<Shared>,
    factor: Option<SecondFactor>,
}

#[derive(Debug)]
struct Shared {
    address: GatewayAddress,
    credential: Option<Secret<String>>,
    http: reqwest::Client,
    /// The same, for what the rack takes its time for: an upload, a promotion.
    patient: reqwest::Client,
    /// Receipts of the log that came with replies.
    receipts: Mutex<VecDeque<String>>,
}

impl Transport {
    pub(crate) fn new(
        address: GatewayAddress,
        credential: Option<Secret<String>>,
        tls: &TlsOptions,
    ) -> Result<Self, ClientError> {
        let agent = format!("rack-gateway/{} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
        let configuration = tls.configuration()?;
        let build = |silence: Option<Duration>| {
            let mut builder = reqwest::Client::builder()
                .tls_backend_preconfigured(configuration.clone())
                .redirect(Policy::none())
                .referer(false)
                .connect_timeout(CONNECT_LIMIT)
                .tcp_keepalive(KEEPALIVE)
                .timeout(REQUEST_LIMIT)
                .user_agent(agent.as_str());
            if let Some(silence) = silence {
                builder = builder.read_timeout(silence);
            }
            if address.is_loopback() {
                builder = builder.no_proxy();
            }
            if address.url().scheme() == "https" {
                builder = builder.https_only(true);
            }
            builder.build().map_err(ClientError::Setup)
        };
        let (http, patient) = (build(Some(SILENCE_LIMIT))?, build(None)?);
        Ok(Self {
            shared: Arc::new(Shared { address, credential, http, patient, receipts: Mutex::default() }),
            factor: None,
        })
    }

    pub(crate) fn with_factor(&self, factor: SecondFactor) -> Self {
        Self { shared: Arc::clone(&self.shared), factor: Some(factor) }
    }

    pub(crate) fn address(&self) -> &GatewayAddress {
        &self.shared.address
    }

    pub(crate) fn has_credential(&self) -> bool {
        self.shared.credential.is_some()
    }

    /// Makes the request.
    pub(crate) async fn send(&self, call: Call) -> Result<Reply, ClientError> {
        self.send_with(call, HeaderMap::new()).await
    }

    /// Makes the request with these headers besides.
    pub(crate) async fn send_with(&self, call: Call, headers: HeaderMap) -> Result<Reply, ClientError> {
        let mut response = self.start_with(call, headers, REQUEST_LIMIT).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let most = if status.is_success() { MOST_REPLY_BYTES } else { MOST_PROBLEM_BYTES };
        let body = self.read(&mut response, most).await?;
        self.judge(status, &headers, body)
    }

    /// Makes the request and writes the answer's body as it comes; returns its headers.
    pub(crate) async fn download(
        &self,
        call: Call,
        out: &mut (dyn Write + Send),
    ) -> Result<HeaderMap, ClientError> {
        let mut response = self.start(call, DOWNLOAD_LIMIT).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            let body = self.read(&mut response, MOST_PROBLEM_BYTES).await?;
            return self.judge(status, &headers, body).map(|_| headers);
        }
        while let Some(chunk) = response.chunk().await.map_err(|_| self.bad(BadReply::Cut))? {
            out.write_all(&chunk).map_err(ClientError::Write)?;
        }
        out.flush().map_err(ClientError::Write)?;
        Ok(headers)
    }

    /// Makes the request and returns whatever the answer is, unjudged.
    pub(crate) async fn raw(&self, call: Call) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
        let mut response = self.start(call, REQUEST_LIMIT).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.read(&mut response, MOST_PROBLEM_BYTES).await?;
        Ok((status, headers, body))
    }

    /// Makes the request with these headers and returns the answer when it is a 101; anything else is judged.
    pub(crate) async fn switch(
        &self,
        call: Call,
        headers: HeaderMap,
    ) -> Result<reqwest::Response, ClientError> {
        let mut response = self.start_with(call, headers, REQUEST_LIMIT).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.read(&mut response, MOST_PROBLEM_BYTES).await?;
        Err(match self.judge(status, &headers, body) {
            Ok(_) => self.bad(BadReply::NoTunnel),
            Err(error) => error,
        })
    }

    async fn start(&self, call: Call, limit: Duration) -> Result<reqwest::Response, ClientError> {
        self.start_with(call, HeaderMap::new(), limit).await
    }

    async fn start_with(
        &self,
        call: Call,
        headers: HeaderMap,
        limit: Duration,
    ) -> Result<reqwest::Response, ClientError> {
        self.start_on(&self.shared.http, call, headers, limit).await
    }

    /// Makes a request of the rack and returns the answer, when it is a good one.
    pub(crate) async fn ask_rack(
        &self,
        call: Call,
        headers: HeaderMap,
    ) -> Result<reqwest::Response, ClientError> {
        let mut response = self.start_on(&self.shared.patient, call, headers, DOWNLOAD_LIMIT).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let body = self.read(&mut response, MOST_PROBLEM_BYTES).await?;
        let is_racks = status.as_u16() >= 400 && problem(status, &headers, &body).is_none();
        if is_racks && status != StatusCode::UNAUTHORIZED {
            return Err(ClientError::Rack { status: status.as_u16(), said: said_by_rack(status, &body) });
        }
        Err(match self.judge(status, &headers, body) {
            Ok(_) => self.bad(BadReply::Status { status: status.as_u16() }),
            Err(error) => error,
        })
    }

    /// Reads an answer of the rack to its end.
    pub(crate) async fn read_rack(&self, response: &mut reqwest::Response) -> Result<Bytes, ClientError> {
        self.read(response, MOST_REPLY_BYTES).await
    }

    async fn start_on(
        &self,
        http: &reqwest::Client,
        call: Call,
        headers: HeaderMap,
        limit: Duration,
    ) -> Result<reqwest::Response, ClientError> {
        let Shared { address, .. } = &*self.shared;
        let mut request = http.request(call.method, call.url).timeout(limit).headers(headers);
        if call.credential == Credential::Needed {
            request = request.headers(self.who()?);
        }
        if let Some(etag) = &call.if_match {
            let value = HeaderValue::from_str(etag).map_err(|_| ClientError::BadHeader("the ETag"))?;
            request = request.header(IF_MATCH, value);
        }
        request = match call.body {
            Body::None => request,
            Body::Json(json) => request.header(CONTENT_TYPE, "application/json").body(json),
            Body::Form(form) => request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form),
            Body::Bytes(bytes) => request.header(CONTENT_TYPE, "application/octet-stream").body(bytes),
        };
        let response = request.send().await.map_err(|source| ClientError::Unreachable {
            gateway: address.to_string(),
            // The address is said already, and a query is nobody's business.
            source: source.without_url(),
        })?;
        self.keep_receipt(response.headers());
        Ok(response)
    }

    /// Keeps a receipt, also of a refusal that was recorded.
    fn keep_receipt(&self, headers: &HeaderMap) {
        let Some(receipt) = headers.get(RECEIPT).and_then(|value| value.to_str().ok()) else { return };
        let mut receipts = self.shared.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        if receipts.len() == MOST_RECEIPTS {
            receipts.pop_front();
        }
        receipts.push_back(receipt.to_owned());
    }

    pub(crate) fn take_receipts(&self) -> Vec<String> {
        self.shared.receipts.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// The headers that say who asks: a one-time code in its own, a backup code behind the credential.
    fn who(&self) -> Result<HeaderMap, ClientError> {
        let Shared { address, credential, .. } = &*self.shared;
        let token = credential
            .as_ref()
            .ok_or_else(|| ClientError::NotSignedIn { gateway: address.to_string(), refusal: None })?;
        let suffix = match &self.factor {
            Some(SecondFactor::Backup(code)) => format!(".backup.{}", code.expose()),
            Some(SecondFactor::Yubico(code)) => format!(".yubico.{}", code.expose()),
            Some(SecondFactor::Totp(_)) | None => String::new(),
        };
        let bearer = Secret::new(format!("Bearer {}{suffix}", token.expose()));
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, hidden(bearer.expose(), "the token")?);
        if let Some(SecondFactor::Totp(code)) = &self.factor {
            headers.insert(TOTP, hidden(code.expose(), "the code")?);
        }
        Ok(headers)
    }

    async fn read(&self, response: &mut reqwest::Response, most_bytes: usize) -> Result<Bytes, ClientError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| self.bad(BadReply::Cut))? {
            if body.len().saturating_add(chunk.len()) > most_bytes {
                return Err(self.bad(BadReply::TooLarge { most_bytes }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// What an answer means.
    pub(crate) fn judge(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Reply, ClientError> {
        if status.is_success() {
            let etag = headers.get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
            return Ok(Reply { etag, body });
        }
        if status.is_redirection() {
            return Err(self.bad(BadReply::Redirect));
        }
        let gateway = || self.address().to_string();
        let Some(refusal) = problem(status, headers, &body) else {
            return Err(match status {
                StatusCode::UNAUTHORIZED => ClientError::NotSignedIn { gateway: gateway(), refusal: None },
                _ => self.bad(BadReply::Status { status: status.as_u16() }),
            });
        };
        let kind = refusal.kind();
        let refusal = Box::new(refusal);
        Err(match kind {
            Some(ProblemKind::StepUpRequired) => ClientError::StepUp { refusal },
            Some(ProblemKind::Unauthenticated) => {
                ClientError::NotSignedIn { gateway: gateway(), refusal: Some(refusal) }
            }
            _ => ClientError::Refused { refusal },
        })
    }

    /// Reads the body as a document.
    pub(crate) fn document<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body)
            .map_err(|error| self.bad(BadReply::NotTheDocument { detail: one_line(&error.to_string()) }))
    }

    pub(crate) fn bad(&self, what: BadReply) -> ClientError {
        ClientError::BadReply { gateway: self.address().to_string(), what }
    }
}

/// What a rack says: a line of text, or JSON with an `error`.
fn said_by_rack(status: StatusCode, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        error: String,
    }
    let text = match serde_json::from_slice::<Said>(body) {
        Ok(said) => said.error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let line = one_line(text.trim());
    let short: String = line.chars().take(MOST_WORDS).collect();
    match short.is_empty() {
        true => format!("status {}, without a word; the rack may be too old for this", status.as_u16()),
        false => short,
    }
}

fn hidden(text: &str, what: &'static str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| ClientError::BadHeader(what))?;
    value.set_sensitive(true);
    Ok(value)
}

fn problem(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Refusal> {
    let media = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    if !media.split(';').next()?.trim().eq_ignore_ascii_case(PROBLEM) {
        return None;
    }
    let mut refusal = Refusal::read(body)?;
    refusal.status = status.as_u16();
    refusal.retry_after_seconds =
        headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    Some(refusal)
}

#[cfg(test)]
mod tests;
