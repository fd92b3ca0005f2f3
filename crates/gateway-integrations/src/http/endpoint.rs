//! One service's address and token: from path and parameters to a request, from an answer to a document.

use std::fmt;
use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, LINK, RETRY_AFTER, USER_AGENT};
use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use gateway_types::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::{CallFault, Failure, Http, MAX_ANSWER_BYTES, MAX_PAGES};

/// Entries of a page. Few, because an entry may hold a long text and a page is at most [`MAX_ANSWER_BYTES`].
pub(crate) const PAGE: usize = 30;

/// The longest wait that is taken from a service's word.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Why a service cannot be asked at all: the settings are at fault.
#[derive(Debug, thiserror::Error)]
pub enum EndpointFault {
    /// Not https (plain http is for loopback), or with a user name, a query or a fragment.
    #[error("{address} must be an https address without user name, query and fragment")]
    Address {
        /// Scheme and host.
        address: String,
    },
    /// The token is empty, or has characters that a header may not hold.
    #[error("the token for {host} is empty or has odd characters")]
    Token {
        /// The host that it is for.
        host: String,
    },
}

/// How a service wants its token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Credential {
    /// `Authorization: Bearer`.
    Bearer,
    /// `Circle-Token`.
    CircleToken,
}

/// A service: where it is and with what it is asked.
#[derive(Clone)]
pub(crate) struct Endpoint {
    base: Url,
    token: Secret<String>,
    credential: Credential,
    headers: &'static [(&'static str, &'static str)],
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Answer {
    path: String,
    host: String,
    has_next: bool,
    body: Vec<u8>,
}

/// A page of a list.
pub(crate) trait Paged: DeserializeOwned {
    /// What the list is of.
    type Entry;

    /// The entries, and how many the service says there are on all pages.
    fn entries(self) -> (Vec<Self::Entry>, Option<usize>);
}

impl<T: DeserializeOwned> Paged for Vec<T> {
    type Entry = T;

    fn entries(self) -> (Vec<T>, Option<usize>) {
        (self, None)
    }
}

impl Endpoint {
    pub(crate) fn new(
        base: Url,
        token: Secret<String>,
        credential: Credential,
        headers: &'static [(&'static str, &'static str)],
    ) -> Result<Self, EndpointFault> {
        let plain = base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        let scheme = match base.scheme() {
            "https" => base.host().is_some(),
            "http" => is_loopback(&base),
            _ => false,
        };
        if !plain || !scheme {
            let address = format!("{}://{}", base.scheme(), base.host_str().unwrap_or("(no host)"));
            return Err(EndpointFault::Address { address });
        }
        let endpoint = Self { base, token, credential, headers };
        let token = endpoint.token.expose();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(EndpointFault::Token { host: endpoint.host() });
        }
        Ok(endpoint)
    }

    pub(crate) fn host(&self) -> String {
        self.base.host_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// An address below the base. Each segment stays one segment: `/` and `%` in it are encoded.
    ///
    /// # Security
    /// The segments `.` and `..` would be dropped; the types that become segments never are those.
    pub(crate) fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, http: &dyn Http, url: Url) -> Result<T, CallFault> {
        self.call(http, Method::GET, url, Vec::new()).await?.document()
    }

    /// Reads a list to its end.
    pub(crate) async fn list<P: Paged>(
        &self,
        http: &dyn Http,
        url: &Url,
    ) -> Result<Vec<P::Entry>, CallFault> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut url = url.clone();
            url.query_pairs_mut()
                .append_pair("per_page", &PAGE.to_string())
                .append_pair("page", &page.to_string());
            let answer = self.call(http, Method::GET, url, Vec::new()).await?;
            let (path, has_next) = (answer.path.clone(), answer.has_next);
            let (entries, total) = answer.document::<P>()?.entries();
            let is_full = entries.len() >= PAGE;
            all.extend(entries);
            if !has_next && !is_full {
                // An announced entry that never came could be the red one.
                return match total {
                    Some(total) if total > all.len() => {
                        Err(CallFault::Incomplete { host: self.host(), path })
                    }
                    Some(_) | None => Ok(all),
                };
            }
        }
        Err(CallFault::Incomplete { host: self.host(), path: url.path().to_owned() })
    }

    pub(crate) async fn post(
        &self,
        http: &dyn Http,
        url: Url,
        body: &(impl Serialize + Sync),
    ) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|_| Failure::from(CallFault::Unwritable { host: self.host() }))?;
        Ok(self.call(http, Method::POST, url, body).await?)
    }

    async fn call(
        &self,
        http: &dyn Http,
        method: Method,
        url: Url,
        body: Vec<u8>,
    ) -> Result<Answer, CallFault> {
        let (host, path) = (self.host(), url.path().to_owned());
        let request =
            self.request(method, &url, body).ok_or_else(|| CallFault::Unwritable { host: host.clone() })?;
        let answer = http.send(request).await?;
        let (status, headers) = (answer.status(), answer.headers());
        if status.is_redirection() {
            return Err(CallFault::Redirected { host, path, status: status.as_u16() });
        }
        if !status.is_success() {
            let (retry, after) = (may_retry(status, headers), wait(headers));
            return Err(CallFault::Status { host, path, status: status.as_u16(), retry, after });
        }
        if answer.body().len() > MAX_ANSWER_BYTES {
            return Err(CallFault::TooLarge { host, path });
        }
        let has_next = has_next(headers);
        Ok(Answer { path, host, has_next, body: answer.into_body() })
    }

    fn request(&self, method: Method, url: &Url, body: Vec<u8>) -> Option<Request<Vec<u8>>> {
        let token = self.token.expose();
        let (name, text) = match self.credential {
            Credential::Bearer => (AUTHORIZATION, format!("Bearer {token}")),
            Credential::CircleToken => (HeaderName::from_static("circle-token"), token.clone()),
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        let mut request = Request::builder().method(method).uri(url.as_str()).body(body).ok()?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("rack-gateway"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if request.method() == Method::POST {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        request.headers_mut().insert(name, value);
        Some(request)
    }
}

impl Answer {
    /// Reads the document.
    pub(crate) fn document<T: DeserializeOwned>(self) -> Result<T, CallFault> {
        serde_json::from_slice(&self.body).map_err(|fault| CallFault::Form {
            host: self.host,
            path: self.path,
            line: fault.line(),
            column: fault.column(),
        })
    }
}

/// Whether the status means "later". GitHub answers 403 for its rate limits, and says so in headers.
fn may_retry(status: StatusCode, headers: &HeaderMap) -> bool {
    let limited = headers.contains_key(RETRY_AFTER)
        || headers.get("x-ratelimit-remaining").is_some_and(|left| left.as_bytes() == b"0");
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => true,
        StatusCode::FORBIDDEN => limited,
        other => other.is_server_error(),
    }
}

fn wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// Whether there is a next page (RFC 8288). Its address is made here; the one in the header is not followed.
fn has_next(headers: &HeaderMap) -> bool {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|text| text.contains("rel=\"next\""))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
