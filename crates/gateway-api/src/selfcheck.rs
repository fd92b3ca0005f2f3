//! Self-checks: `/selfcheck`.

use gateway_app::control::{Arrived, OwnRequest};
use gateway_app::{App, selfcheck};
use gateway_types::wire::selfcheck::{AskPermit, BeginScan, ScanPermit, Seen, SeenHeader};
use http::HeaderName;

use crate::input;
use crate::paging::bare;
use crate::reply::{self, Answer};

/// Where a probe carries the key of its scan.
const KEY: HeaderName = HeaderName::from_static("selfcheck-key");

/// Beginnings of headers whose values are told: the probe's own, and what proxies say about clients.
const TOLD: [&str; 4] = ["x-selfcheck-", "x_selfcheck_", "x-forwarded-", "forwarded"];

/// Further such headers.
const TOLD_TOO: [&str; 9] = [
    "connection",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
    "x-http-method-override",
    "content-length",
];

fn shown(permit: selfcheck::Permit) -> ScanPermit {
    ScanPermit {
        permit: permit.text.expose().clone(),
        host: permit.host,
        expires: permit.expires.to_rfc3339(),
    }
}

/// A permit for one scan of one host. It is shown once.
#[utoipa::path(post, path = "/api/v1/selfcheck/permit", tag = "selfcheck", request_body = AskPermit,
    responses((status = 200, body = ScanPermit)))]
pub(crate) async fn permit(app: &App, request: &OwnRequest) -> Answer {
    let AskPermit { host } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&shown(selfcheck::permit(app, &operator, &host).await?))
}

/// Begins the scan of a permit.
#[utoipa::path(post, path = "/api/v1/selfcheck/scan", tag = "selfcheck", request_body = BeginScan,
    responses((status = 200, body = ScanPermit)))]
pub(crate) async fn scan(app: &App, request: &OwnRequest) -> Answer {
    let BeginScan { permit } = input::json(request)?;
    reply::json(&shown(selfcheck::begin(app, &permit, &request.head.origin.authority).await?))
}

/// What arrived of this very request.
#[utoipa::path(get, path = "/api/v1/selfcheck/probe", tag = "selfcheck",
    params(("Selfcheck-Key" = String, Header)), responses((status = 200, body = Seen)))]
pub(crate) async fn probe(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let head = &request.head;
    let mut keys = head.headers.get_all(KEY).iter();
    let key = keys.next().filter(|_| keys.next().is_none()).and_then(|value| value.to_str().ok());
    selfcheck::goes_on(app, key.unwrap_or_default(), &head.origin.authority)?;
    let arrived = head.arrived;
    reply::json(&Seen {
        method: head.method.to_string(),
        path: head.path.clone(),
        query: head.query.clone(),
        version: arrived.map(|Arrived { version, .. }| format!("{version:?}")).unwrap_or_default(),
        host: head.origin.authority.clone(),
        scheme: head.origin.scheme.name().to_owned(),
        tls: arrived.is_some_and(|arrived| arrived.tls),
        peer: arrived.map(|arrived| arrived.peer.to_string()).unwrap_or_default(),
        client: request.caller.source_ip.to_string(),
        headers: head
            .headers
            .iter()
            .filter(|(name, _)| **name != KEY)
            .map(|(name, value)| SeenHeader {
                name: name.as_str().to_owned(),
                value: is_told(name.as_str()).then(|| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            })
            .collect(),
    })
}

fn is_told(name: &str) -> bool {
    TOLD.iter().any(|beginning| name.starts_with(beginning)) || TOLD_TOO.contains(&name)
}
