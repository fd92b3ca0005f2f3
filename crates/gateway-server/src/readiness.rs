//! Whether the gateway can do its work, with reasons.

use std::time::Duration;

use gateway_app::health::Health;
use gateway_app::sentinel::Standing;
use gateway_store::Store;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What is said while the gateway drains.
const DRAINING: &str = "this instance is stopping: send nothing new here";

/// How long one check may take.
const CHECK_LIMIT: Duration = Duration::from_secs(2);

/// What `/readyz` says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Readiness {
    /// Everything that must work does.
    pub ready: bool,
    /// Why no new requests are to be sent here though it works; it drains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draining: Option<&'static str>,
    /// The store answers.
    pub store: Check,
    /// The audit log can be written.
    pub audit: Check,
    /// The rack accepts connections. A rack that is away does not take the gateway out of service.
    pub rack: Check,
    /// What an operator should know though it works.
    pub notes: Vec<String>,
    /// How the comparison of the rack with the log stands, over all instances; `None` = it never ran, or the store does not
    /// answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
}

/// How the comparison of the rack with the log stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sentinel {
    /// When the rack was last compared with the log (RFC 3339).
    pub last_look: String,
    /// How many changes were found that nobody asked for.
    pub bypasses: u64,
    /// When the last of them was found (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_bypass: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_change: Option<String>,
}

impl From<&Standing> for Sentinel {
    fn from(standing: &Standing) -> Self {
        let last = standing.last_bypass.as_ref();
        Self {
            last_look: standing.looked.to_rfc3339(),
            bypasses: standing.bypasses,
            last_bypass: last.map(|(at, _what)| at.to_rfc3339()),
            last_change: last.map(|(_at, what)| what.clone()),
        }
    }
}

/// One check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// It passed.
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Check {
    fn of(result: Result<(), String>) -> Self {
        Self { ok: result.is_ok(), reason: result.err() }
    }
}

/// Looks at everything now.
pub async fn check(
    store: &Store,
    health: &Health,
    rack: (&str, u16),
    notes: &[String],
    sentinel: Option<&Standing>,
) -> Readiness {
    let draining = health.is_draining().then_some(DRAINING);
    let store_check = match timeout(CHECK_LIMIT, store.ping()).await {
        Ok(Ok(())) => Check::of(Ok(())),
        Ok(Err(error)) => Check::of(Err(error.to_string())),
        Err(_) => Check::of(Err("the store did not answer in time".to_owned())),
    };
    let log = store.audit().health();
    let audit = Check::of(if log.writable {
        Ok(())
    } else {
        Err(log.last_error.unwrap_or_else(|| "the audit log cannot be written".to_owned()))
    });
    let rack = match timeout(CHECK_LIMIT, TcpStream::connect(rack)).await {
        Ok(Ok(_)) => Check::of(Ok(())),
        Ok(Err(error)) => Check::of(Err(error.to_string())),
        Err(_) => Check::of(Err("the rack did not accept a connection in time".to_owned())),
    };
    let ready = store_check.ok && audit.ok && draining.is_none();
    let sentinel = sentinel.map(Sentinel::from);
    Readiness { ready, draining, store: store_check, audit, rack, notes: notes.to_vec(), sentinel }
}
