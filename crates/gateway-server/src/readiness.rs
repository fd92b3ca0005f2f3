//! Whether the gateway can do its work, with reasons.

use std::time::Duration;

use gateway_app::health::Health;
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
pub async fn check(store: &Store, health: &Health, rack: (&str, u16), notes: &[String]) -> Readiness {
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
    Readiness { ready, draining, store: store_check, audit, rack, notes: notes.to_vec() }
}
