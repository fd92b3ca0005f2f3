//! Connections to instances: one pool for each way of reaching one, kept across reloads while the way is declared.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use gateway_app::zone::ZoneInForce;
use gateway_services::{Credential, Service, ServiceTable, UpstreamAddress, UpstreamProtocol, UpstreamTls};
use gateway_types::Secret;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::SendError;
use super::secrets::SecretReader;
use crate::body::RequestBody;
use crate::upstream::{ClientIdentity, Connector, RackStream, UpstreamError};

/// How long an idle connection is kept: less than what servers usually do, so that they are not closed by the other
/// side while a request is on its way.
const IDLE: Duration = Duration::from_secs(55);

/// Idle connections of one pool.
const MOST_IDLE: usize = 64;

/// The largest head of a reply, in bytes.
const HEAD_LIMIT_BYTES: usize = 128 * 1024;

/// The same for HTTP/2, where names and values count with 32 bytes each.
const HTTP2_HEAD_LIMIT_BYTES: u32 = 128 * 1024;

/// The most header lines of a reply.
const MOST_HEADERS: usize = 200;

/// How often a quiet HTTP/2 connection is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_LIMIT: Duration = Duration::from_secs(10);

/// A client certificate, and what tells it from another.
pub(super) struct Identity {
    digest: [u8; 32],
    identity: ClientIdentity,
}

impl Identity {
    /// Reads both PEM files.
    pub(super) fn read(
        chain: &Secret<String>,
        key: &Secret<String>,
    ) -> Result<Self, rustls_pki_types::pem::Error> {
        let mut context = Context::new(&SHA256);
        for text in [chain, key] {
            context.update(&(text.expose().len() as u64).to_be_bytes());
            context.update(text.expose().as_bytes());
        }
        let mut digest = [0u8; 32];
        digest.copy_from_slice(context.finish().as_ref());
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(chain.expose().as_bytes()).collect::<Result<_, _>>()?;
        if chain.is_empty() {
            return Err(rustls_pki_types::pem::Error::NoItemsFound);
        }
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())?;
        Ok(Self { digest, identity: ClientIdentity { chain, key } })
    }
}

/// The client certificate that is shown to a service, when its declaration has one.
pub(super) async fn identity_of(
    secrets: &SecretReader,
    service: &Service,
) -> Result<Option<Identity>, SendError> {
    let Credential::Certificate { certificate, key } = &service.way.credential else { return Ok(None) };
    let chain = secrets.file(certificate).await?;
    let key = secrets.file(key).await?;
    Identity::read(&chain, &key).map(Some).map_err(SendError::CertificateContent)
}

/// Everything that makes two connections to one instance different.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    place: Place,
    identity: Option<[u8; 32]>,
}

/// The part of it that a declaration says. Weights and versions are not of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Place {
    /// Two services at one address may show different certificates, and neither's pool is the other's older one.
    service: String,
    secure: bool,
    host: String,
    port: u16,
    tls: UpstreamTls,
    protocol: UpstreamProtocol,
    connect_limit: Duration,
    shows_certificate: bool,
}

impl Place {
    fn of(service: &Service, address: &UpstreamAddress) -> Self {
        Self {
            service: service.name.to_string(),
            secure: address.secure,
            host: address.host.clone(),
            port: address.port,
            tls: service.tls.clone(),
            protocol: service.protocol,
            connect_limit: service.way.connect_limit,
            shows_certificate: matches!(service.way.credential, Credential::Certificate { .. }),
        }
    }
}

/// A pool of connections, and what makes those that become sockets, which are HTTP/1.1 always and in no pool. Its TLS
/// settings are read once: the system's roots are hundreds of files.
pub(super) struct Pool {
    client: Client<Connector, RequestBody>,
    sockets: Connector,
}

impl Pool {
    pub(super) fn request(&self, request: Request<RequestBody>) -> ResponseFuture {
        self.client.request(request)
    }
}

/// All pools.
#[derive(Default)]
pub(super) struct Pools {
    /// The zone whose members are called.
    zone: Arc<ZoneInForce>,
    pools: Mutex<HashMap<Key, Arc<Pool>>>,
}

impl Pools {
    /// None yet. Members of `zone` are called by their ids.
    pub(super) fn new(zone: Arc<ZoneInForce>) -> Self {
        Self { zone, pools: Mutex::default() }
    }

    /// The zone whose members are called.
    pub(super) fn zone(&self) -> &ZoneInForce {
        &self.zone
    }

    /// The pool for an instance; made when there is none.
    pub(super) fn of(
        &self,
        service: &Service,
        address: &UpstreamAddress,
        identity: Option<&Identity>,
    ) -> Result<Arc<Pool>, UpstreamError> {
        let place = Place::of(service, address);
        let shown = match service.tls {
            // Another leaf of the gateway's is another connection: the other side ends those of the leaf before.
            UpstreamTls::Zone => Some(generation(self.zone.leaf.generation())),
            UpstreamTls::SystemRoots | UpstreamTls::CaFile(_) | UpstreamTls::Pinned(_) => {
                identity.map(|identity| identity.digest)
            }
        };
        let key = Key { place, identity: shown };
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&key) {
            return Ok(Arc::clone(pool));
        }
        // An older certificate of the same service is not shown any more.
        pools.retain(|other, _| other.place != key.place);
        let connector = self.connector(service, address, service.protocol, identity)?;
        let sockets = match service.protocol {
            UpstreamProtocol::Http1 => connector.clone(),
            UpstreamProtocol::Http2 => self.connector(service, address, UpstreamProtocol::Http1, identity)?,
        };
        let pool = Arc::new(Pool { client: client(service.protocol, connector), sockets });
        pools.insert(key, Arc::clone(&pool));
        Ok(pool)
    }

    fn connector(
        &self,
        service: &Service,
        address: &UpstreamAddress,
        protocol: UpstreamProtocol,
        identity: Option<&Identity>,
    ) -> Result<Connector, UpstreamError> {
        let identity = identity.map(|identity| &identity.identity);
        let limit = service.way.connect_limit;
        let name = service.name.as_str();
        Ok(Connector::to_service(name, address, &service.tls, protocol, identity, &self.zone, limit)?)
    }

    /// A connection of its own to an instance, in no pool: for tunnels. Where the service is in the zone it is encrypted, and
    /// the other end is exactly the member that is called as the service is.
    pub(super) async fn connect(
        &self,
        service: &Service,
        address: &UpstreamAddress,
    ) -> Result<RackStream, UpstreamError> {
        self.connector(service, address, UpstreamProtocol::Http1, None)?.connect().await
    }

    /// Lets go of the pools of what is not declared any more. Requests that are under way end as they would.
    pub(super) fn keep_only(&self, services: &ServiceTable) {
        let declared: HashSet<Place> = services
            .services()
            .flat_map(|service| service.upstreams.iter().map(|address| Place::of(service, address)))
            .collect();
        self.pools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|key, _| declared.contains(&key.place));
    }
}

fn generation(number: u64) -> [u8; 32] {
    let mut bytes = [0u8; 32];
    for (to, from) in bytes.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    bytes
}

fn client(protocol: UpstreamProtocol, connector: Connector) -> Client<Connector, RequestBody> {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http1_max_buf_size(HEAD_LIMIT_BYTES)
        .http1_max_headers(MOST_HEADERS);
    if protocol == UpstreamProtocol::Http2 {
        builder
            .http2_only(true)
            .http2_adaptive_window(true)
            .http2_max_header_list_size(HTTP2_HEAD_LIMIT_BYTES)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_LIMIT);
    }
    builder.build(connector)
}

/// Sends a request that may become a socket, over HTTP/1.1 and a connection of its own.
pub(super) async fn open(
    pools: &Pools,
    service: &Service,
    address: &UpstreamAddress,
    identity: Option<&Identity>,
    mut request: Request<RequestBody>,
    target: &str,
) -> Result<Response<Incoming>, SendError> {
    let authority = request.uri().authority().map(ToString::to_string);
    let stream = pools.of(service, address, identity)?.sockets.connect().await?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_LIMIT_BYTES)
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(SendError::Socket)?;
    // The connection lives as long as the exchange, then as the socket made of it.
    tokio::spawn(connection.with_upgrades());
    *request.uri_mut() = Uri::builder().path_and_query(target).build()?;
    if let Some(authority) = authority {
        let value = http::HeaderValue::from_str(&authority).map_err(http::Error::from)?;
        request.headers_mut().insert(http::header::HOST, value);
    }
    sender.send_request(request).await.map_err(SendError::Socket)
}

#[cfg(test)]
mod tests {
    use gateway_services::{RawService, RawUpstream};

    use super::*;

    fn service(url: &str, weight: u32, connect_timeout: &str) -> Service {
        Service::check(RawService {
            name: "wiki".to_owned(),
            hosts: vec!["wiki.example.com".to_owned()],
            upstreams: vec![RawUpstream { url: url.to_owned(), weight: Some(weight), version: None }],
            connect_timeout: Some(connect_timeout.to_owned()),
            ..RawService::default()
        })
        .unwrap()
    }

    #[tokio::test]
    async fn a_pool_outlives_reloads_that_do_not_change_its_address() {
        let pools = Pools::default();
        let before = service("http://10.0.0.1", 1, "5s");
        let address = before.upstreams.first().unwrap();
        let pool = pools.of(&before, address, None).unwrap();
        let is_kept = |now: Service| {
            pools.keep_only(&ServiceTable::new(vec![now]).unwrap());
            Arc::ptr_eq(&pool, &pools.of(&before, address, None).unwrap())
        };
        assert!(is_kept(service("http://10.0.0.1", 1, "5s")));
        assert!(is_kept(service("http://10.0.0.1:80", 7, "5s")), "a share is no way");
        assert!(!is_kept(service("http://10.0.0.1", 1, "6s")));
        let weak = Arc::downgrade(&pool);
        drop(pool);
        pools.keep_only(&ServiceTable::default());
        assert!(weak.upgrade().is_none(), "what is not declared is let go");
    }
}
