//! The ways to the services behind the gateway.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_services::{Service, UpstreamAddress};
use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::body::RequestBody;
use crate::upstream::{Connector, UpstreamError};

/// How long an idle pooled connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(55);

/// How long connecting may take when the service does not say.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

type Pool = Client<Connector, RequestBody>;

/// Pools of connections, one for each address that a service names.
#[derive(Default)]
pub(crate) struct ServiceUpstreams {
    pools: Mutex<HashMap<UpstreamAddress, Arc<Pool>>>,
}

impl fmt::Debug for ServiceUpstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceUpstreams(…)")
    }
}

impl ServiceUpstreams {
    /// Sends a request to an instance of the service. `target` is `/path?query`.
    pub(crate) async fn send(
        &self,
        service: &Service,
        mut request: Request<RequestBody>,
        target: &str,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let Some(address) = service.upstreams.first() else {
            return Err(UpstreamError::ConnectTimeout { limit: Duration::ZERO });
        };
        let authority = address.authority();
        request.headers_mut().insert(HOST, HeaderValue::from_str(&authority)?);
        *request.uri_mut() = Uri::builder()
            .scheme(if address.secure { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(authority)
            .path_and_query(target)
            .build()?;
        let pool = self.pool(address, service)?;
        pool.request(request).await.map_err(UpstreamError::Pooled)
    }

    fn pool(&self, address: &UpstreamAddress, service: &Service) -> Result<Arc<Pool>, UpstreamError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(address) {
            return Ok(Arc::clone(pool));
        }
        let connector = Connector::to_service(address, &service.tls, CONNECT_LIMIT)?;
        let pool = Arc::new(
            Client::builder(TokioExecutor::new())
                .pool_idle_timeout(POOL_IDLE)
                .pool_timer(TokioTimer::new())
                .build(connector),
        );
        pools.insert(address.clone(), Arc::clone(&pool));
        Ok(pool)
    }
}
