//! What pages ask of the services: how their instances stand, and what a service says of itself.
//!
//! # Security
//! A document is asked for as any request of the caller's is: with the gateway's credential for the service and the
//! caller's name, and with nothing that the caller sent. What comes back is bounded, and never holds that credential.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use gateway_app::rules::RulesInForce;
use gateway_app::services::{Asking, LARGEST_DOCUMENT_BYTES, ReadFault, Reading, ServiceInstances};
use gateway_services::{InstanceStanding, InstanceState, Kind, Service};
use gateway_types::Secret;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use memchr::memmem;
use tokio::time::timeout;

use super::body::Upload;
use super::{Answered, Outgoing, SendError, ServiceUpstreams};
use crate::body::RequestBody;

/// How long a document may take, connecting and reading together.
const LIMIT: Duration = Duration::from_secs(10);

/// The services as pages may ask about them.
#[derive(Debug)]
pub struct ServiceWatch {
    upstreams: Arc<ServiceUpstreams>,
    rules: Arc<RulesInForce>,
}

impl ServiceWatch {
    /// Over these.
    pub fn new(upstreams: Arc<ServiceUpstreams>, rules: Arc<RulesInForce>) -> Self {
        Self { upstreams, rules }
    }
}

impl ServiceInstances for ServiceWatch {
    fn standings(&self, service: &Service) -> Vec<InstanceStanding> {
        self.upstreams.follow(&self.rules);
        let now = self.upstreams.clock.now();
        let mut standings = self.upstreams.balance(service, |balance| balance.standings(now));
        if matches!(service.kind, Kind::Tcp { .. }) {
            for one in standings.iter_mut().filter(|one| one.state == InstanceState::Healthy) {
                (one.state, one.since) = (InstanceState::Unwatched, None);
            }
        }
        standings
    }

    fn read<'a>(&'a self, asking: Asking<'a>) -> Reading<'a> {
        Box::pin(async move {
            self.upstreams.follow(&self.rules);
            let name = asking.request.service.name.to_string();
            let reading = async {
                let answered = self.upstreams.send(&outgoing(asking), RequestBody::Empty).await;
                document(answered.map_err(|error| unreadable(&name, &error))?).await
            };
            timeout(LIMIT, reading).await.unwrap_or(Err(ReadFault::TooSlow))
        })
    }
}

/// The request, made of nothing that the caller sent.
fn outgoing(asking: Asking<'_>) -> Outgoing {
    let Asking { rules, request, caller, facts, request_id, origin } = asking;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // What is compressed would have to be unpacked before it can be bounded and looked through.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("rack-gateway-openapi/", env!("CARGO_PKG_VERSION"))),
    );
    if let Ok(id) = HeaderValue::try_from(request_id.to_string()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    Outgoing {
        rules,
        request,
        method: Method::GET,
        headers,
        caller: caller.clone(),
        facts: facts.clone(),
        request_id,
        origin: origin.clone(),
        upload: Upload::new(Arc::new(AtomicU64::new(0))),
    }
}

async fn document(answered: Answered) -> Result<Vec<u8>, ReadFault> {
    let Answered { response, needles } = answered;
    let (head, body) = response.into_parts();
    // A redirect is not followed: it could lead anywhere.
    if head.status != StatusCode::OK {
        return Err(ReadFault::Status { status: head.status.as_u16() });
    }
    is_plain_json(&head.headers)?;
    let bytes = whole(body).await?;
    let repeats = |needle: &Secret<String>| memmem::find(&bytes, needle.expose().as_bytes()).is_some();
    if needles.iter().any(repeats) {
        return Err(ReadFault::Credential);
    }
    Ok(bytes)
}

fn is_plain_json(headers: &HeaderMap) -> Result<(), ReadFault> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let not_json = |found: &str| ReadFault::NotJson { found: found.chars().take(100).collect() };
    if let Some(coding) = text(CONTENT_ENCODING)
        && !coding.eq_ignore_ascii_case("identity")
    {
        return Err(not_json(coding));
    }
    let declared = text(CONTENT_TYPE).unwrap_or_default();
    let media = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json =
        media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"));
    if is_json { Ok(()) } else { Err(not_json(declared)) }
}

async fn whole(body: Incoming) -> Result<Vec<u8>, ReadFault> {
    match Limited::new(body, LARGEST_DOCUMENT_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadFault::TooLarge),
        Err(_broken) => Err(ReadFault::Unreachable),
    }
}

/// Why, for the program's log; people learn only that it was not to be had.
fn unreadable(service: &str, error: &SendError) -> ReadFault {
    tracing::warn!(error = error as &dyn StdError, service, "a service's own document could not be read");
    match error {
        SendError::TooSlow { .. } => ReadFault::TooSlow,
        SendError::NoInstance
        | SendError::NotUnderstood
        | SendError::Way(_)
        | SendError::Request(_)
        | SendError::Exchange(_)
        | SendError::Socket(_)
        | SendError::Body(_)
        | SendError::Credential(_)
        | SendError::Identity(_)
        | SendError::Certificate(_)
        | SendError::CertificateContent(_) => ReadFault::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_as_it_stands_is_read() {
        let check = |sent: &[(&'static str, &'static str)], fine: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_plain_json(&headers).is_ok(), fine, "{sent:?}");
        };
        check(&[("content-type", "application/json")], true);
        check(&[("content-type", "Application/JSON; charset=utf-8")], true);
        check(&[("content-type", "application/vnd.oai.openapi+json;version=3.1")], true);
        check(&[("content-type", "application/json"), ("content-encoding", "identity")], true);
        check(&[("content-type", "application/json"), ("content-encoding", "gzip")], false);
        check(&[("content-type", "text/html")], false);
        check(&[("content-type", "application/yaml")], false);
        check(&[("content-type", "text/json+json")], false);
        check(&[], false);
    }
}
