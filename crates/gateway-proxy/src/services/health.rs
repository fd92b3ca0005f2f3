//! Active health checks: each instance of a service that declares them is asked again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_services::{
    Balance, Credential, Health, Service, ServiceTable, UpstreamAddress, UpstreamProtocol, UpstreamTls,
};
use gateway_types::Clock;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Request, Uri};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::pool::{Pools, identity_of};
use super::secrets::SecretReader;
use crate::body::RequestBody;

/// The longest that one check may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What is checked, and how; a change of any of it begins anew.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Checked {
    service: String,
    place: (bool, String, u16, Option<String>),
    protocol: UpstreamProtocol,
    tls: UpstreamTls,
    credential: Credential,
    health: Health,
}

/// What checks are made with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) pools: Arc<Pools>,
    pub(super) balances: Arc<Mutex<HashMap<String, Balance>>>,
    pub(super) secrets: Arc<SecretReader>,
    pub(super) clock: Arc<dyn Clock>,
}

/// The checks that go on.
#[derive(Default)]
pub(super) struct HealthChecks {
    running: Mutex<HashMap<Checked, AbortHandle>>,
}

impl HealthChecks {
    /// Begins the checks that a table declares and ends all others.
    pub(super) fn follow(&self, services: &ServiceTable, means: &Means) {
        // Held to the end: two at once would both begin a check, and the handle of one would be lost.
        let mut present = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *present);
        let mut running = HashMap::new();
        for service in services.services() {
            let Some(health) = &service.way.health else { continue };
            for address in &service.upstreams {
                let checked = Checked {
                    service: service.name.to_string(),
                    place: (address.secure, address.host.clone(), address.port, address.version.clone()),
                    protocol: service.protocol,
                    tls: service.tls.clone(),
                    credential: service.way.credential.clone(),
                    health: health.clone(),
                };
                let handle = before.remove(&checked).unwrap_or_else(|| {
                    let check = Check {
                        service: Arc::clone(service),
                        address: address.clone(),
                        health: health.clone(),
                        means: means.clone(),
                    };
                    tokio::spawn(check.run()).abort_handle()
                });
                running.insert(checked, handle);
            }
        }
        for handle in before.into_values() {
            handle.abort();
        }
        *present = running;
    }
}

impl Drop for HealthChecks {
    fn drop(&mut self) {
        for handle in self.running.lock().unwrap_or_else(PoisonError::into_inner).values() {
            handle.abort();
        }
    }
}

struct Check {
    service: Arc<Service>,
    address: UpstreamAddress,
    health: Health,
    means: Means,
}

impl Check {
    async fn run(self) {
        let mut ticks = interval(self.health.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let is_healthy = timeout(LIMIT, self.ask()).await.unwrap_or(false);
            self.note(is_healthy);
        }
    }

    fn note(&self, is_healthy: bool) {
        let now = self.means.clock.now();
        let mut balances = self.means.balances.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(balance) = balances.get_mut(self.service.name.as_str()) else { return };
        let was_healthy = balance.is_healthy(&self.address);
        balance.checked(&self.address, is_healthy, now);
        let is_healthy = balance.is_healthy(&self.address);
        drop(balances);
        if was_healthy != is_healthy {
            tracing::warn!(
                service = %self.service.name,
                instance = self.address.authority(),
                is_healthy,
                "the health of an instance changed"
            );
        }
    }

    /// Any 2xx or 3xx is healthy. A check carries no credential and says nothing of anybody.
    async fn ask(&self) -> bool {
        let Ok(request) = self.request() else { return false };
        let Ok(identity) = identity_of(&self.means.secrets, &self.service).await else { return false };
        let Ok(pool) = self.means.pools.of(&self.service, &self.address, identity.as_ref()) else {
            return false;
        };
        pool.request(request)
            .await
            .is_ok_and(|reply| reply.status().is_success() || reply.status().is_redirection())
    }

    fn request(&self) -> Result<Request<RequestBody>, http::Error> {
        let authority = self.address.host_header();
        let uri = Uri::builder()
            .scheme(if self.address.secure { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(authority.as_str())
            .path_and_query(self.health.path.as_str())
            .build()?;
        let mut request = Request::get(uri)
            .header(USER_AGENT, concat!("rack-gateway-health/", env!("CARGO_PKG_VERSION")))
            .body(RequestBody::Empty)?;
        if self.service.protocol == UpstreamProtocol::Http1 {
            let headers = request.headers_mut();
            headers.insert(HOST, HeaderValue::from_str(&authority)?);
            // Whether connections can be made is part of the question.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(request)
    }
}
