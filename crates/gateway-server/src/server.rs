//! Making a gateway out of its configuration, running it, stopping it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway_app::access_tokens::AccessTokens;
use gateway_app::entitlements::Entitlements;
use gateway_app::factors::yubico::Yubico;
use gateway_app::health::Health;
use gateway_app::integrations::Integrations;
use gateway_app::reveal_times::RevealTimes;
use gateway_app::rules::{Rules, RulesInForce};
use gateway_app::settings::InForce;
use gateway_app::sign_in::refresh;
use gateway_app::zone::ZoneInForce;
use gateway_app::{App, Operator, policies, restorations, services};
use gateway_audit::{Actor, Event, EventId};
use gateway_config::{Config, UpstreamTls};
use gateway_convox::RouteTable;
use gateway_identity::yubico::Client;
use gateway_integrations::aws::SecretsManager;
use gateway_jobs::{Handlers, Letterhead, Worker, WorkerOptions, mailer};
use gateway_policy::{OwnTable, PolicyEngine, PolicySource};
use gateway_proxy::{
    DataPlane, DataPlaneParts, Http2Options, LimitOptions, Networks, Pace, RackCredential,
    RackCredentialParts, RackLooks, RackTarget, RackTls, ServiceParts, ServiceUpstreams, ServiceWatch,
    Upstream, VaultAccess, VaultToken,
};
use gateway_secrets::{HandleKeyring, PlainKeys};
use gateway_services::{Service, ServiceTable};
use gateway_sinks::Source;
use gateway_store::{Access, Adoption, RackClaim, Store, StoreError, StoreOptions};
use gateway_types::{ActionName, Clock, Entropy, Resource};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::{Behind, Entrance, Shortage};
use crate::admin::{self, Probes};
use crate::anchors::Anchors;
use crate::aws;
use crate::background::{
    compare_searches, count_audit, first_look_up_of_services, follow_registrations, follow_zone,
    look_up_services, minute, probe_exposure, prune_audit, tend_registrations, tend_zone, tidy_what_is_over,
    watch_agents, watch_rack,
};
use crate::control_socket::Predecessor;
use crate::error::StartError;
use crate::fetch::HttpFetch;
use crate::follow::{self, ConfigFile, Shown};
use crate::identity::providers;
use crate::listeners::{GivenListeners, Listeners, local_addresses};
use crate::metrics::Telemetry;
use crate::own::OwnOperations;
use crate::sinks::Sinks;
use crate::stopping::{Stop, StopTimes};
use crate::tls::{OwnHosts, Tls, plain_address, redirect_parts};
use crate::traces;
use crate::waiting::{self, Held};

mod ending;
mod rounds;

/// Connections to the store.
const STORE_CONNECTIONS: u32 = 8;

/// How often refusals of unknown callers are summed up and a checkpoint is signed.
const MINUTE: Duration = Duration::from_secs(60);

/// How often old entries of the log are pruned.
const HOUR: Duration = Duration::from_secs(3600);

/// How often instances tell each other what they let through.
const SHARING: Duration = Duration::from_secs(1);

/// How often it is looked whether the rack's credential is another one.
const CREDENTIAL_POLL: Duration = Duration::from_secs(2);

/// How often ends of break-glass uses are looked for.
const ENDS_POLL: Duration = Duration::from_secs(5);

/// How often it is looked whether probe agents still report.
const AGENTS_POLL: Duration = Duration::from_secs(15);

/// How often tokens that end soon are looked for.
const ENDING_TOKENS_POLL: Duration = Duration::from_secs(600);

/// How often it is looked whether providers are due to be asked again about people with live sessions.
const REFRESHING: Duration = Duration::from_secs(5);

/// How often others are told that sessions go on here.
const SESSIONS_BEAT: Duration = Duration::from_secs(15);

/// How often it is looked whether the zone changed and whether the gateway's own leaf is due.
const ZONE_POLL: Duration = Duration::from_secs(1);

/// How often it is seen whether an answer of a name server is over.
const DISCOVERY_POLL: Duration = Duration::from_secs(1);

/// What the world provides: replaced in tests.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What becomes of a database that another rack's gateway used.
    pub adoption: Adoption,
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// Where it sends clients to HTTPS; empty when it does not.
    pub http_addresses: Vec<SocketAddr>,
    /// Where its second listener is.
    pub admin_address: SocketAddr,
    /// Its store.
    pub store: Arc<Store>,
    app: Arc<App>,
    anchors: Arc<Anchors>,
    /// The configuration as it is shown, for what changes in the file later.
    shown: Shown,
    plane: Arc<DataPlane>,
    names: watch::Sender<Vec<String>>,
    draining: CancellationToken,
    stopping: CancellationToken,
    connections: TaskTracker,
    background: TaskTracker,
    /// Cancelled when nothing new is accepted any more.
    closed: CancellationToken,
    /// Cancelled when another process has the listeners.
    replaced: CancellationToken,
    /// Cancelled when a supervisor waits after all.
    hurried: CancellationToken,
    told: watch::Sender<Option<(Stop, u32)>>,
    stop_times: StopTimes,
}

/// Where the listening sockets of a gateway come from.
#[derive(Debug)]
pub enum Beginning {
    /// They are opened, but for those that a supervisor gave.
    Fresh(GivenListeners),
    /// They are those of the gateway that runs on the same data directory, which ends its work when this one can
    /// serve. Without one there it is a fresh beginning.
    TakeOver,
}

/// The rack's routes as configured.
///
/// # Errors
/// [`StartError::Routes`] when a row that the operator added is wrong.
pub fn route_table(config: &Config) -> Result<RouteTable, StartError> {
    let table = RouteTable::builtin()?;
    let table = if config.routes.extra_rows.is_empty() {
        table
    } else {
        table.with_rows(&config.routes.extra_rows)?
    };
    Ok(table.switched_on(&config.routes.switched_on)?)
}

/// The services of the configuration.
///
/// # Errors
/// [`StartError::Services`]; a checked configuration has none of its faults.
pub fn service_table(config: &Config) -> Result<ServiceTable, StartError> {
    let checked: Result<Vec<_>, _> = config.services.iter().cloned().map(Service::check).collect();
    let services = checked.map_err(|faults| StartError::Service { faults })?;
    Ok(ServiceTable::new(services)?)
}

/// The policy engine as configured: the compiled-in policies and the files of `policy_dir`.
///
/// # Errors
/// [`StartError::Policy`] and [`StartError::PolicyFile`]: a gateway with half of its policies does not start.
pub fn policy_engine(
    config: &Config,
    routes: &RouteTable,
    own: &OwnTable,
    services: &ServiceTable,
) -> Result<PolicyEngine, StartError> {
    let mut operations = routes.operations();
    operations.extend(own.operations());
    operations.extend(services.operations());
    let extra = match &config.policy_dir {
        Some(directory) => policy_files(directory)?,
        None => Vec::new(),
    };
    Ok(PolicyEngine::new(operations, &extra)?)
}

fn policy_files(directory: &Path) -> Result<Vec<PolicySource>, StartError> {
    let unreadable = |path: &Path, source| StartError::PolicyFile { path: path.to_owned(), source };
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|source| unreadable(directory, source))? {
        let path = entry.map_err(|source| unreadable(directory, source))?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            let text = std::fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            sources.push(PolicySource { name, text });
        }
    }
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(sources)
}

/// Starts a gateway. When this returns, it answers.
///
/// # Errors
/// [`StartError`]; nothing is left running.
pub async fn start(config: Config, surroundings: Surroundings) -> Result<Running, StartError> {
    start_from(config, surroundings, Beginning::Fresh(GivenListeners::default())).await
}

/// Starts a gateway on listening sockets that may be there already. While PostgreSQL cannot be reached it answers that it
/// waits, and this returns once it serves.
///
/// # Errors
/// [`StartError`]; nothing is left running, and a gateway that was to be taken over goes on, unless it had to let go of
/// a SQLite file first.
pub async fn start_from(
    config: Config,
    surroundings: Surroundings,
    beginning: Beginning,
) -> Result<Running, StartError> {
    let routes = route_table(&config)?;
    let own = OwnTable::builtin()?;
    let services = service_table(&config)?;
    let integrations = Integrations::new(&config.integrations)?;
    let engine = policy_engine(&config, &routes, &own, &services)?;
    let upstream = Arc::new(Upstream::new(rack_target(&config, &surroundings.clock)?)?);
    // Ports are bound before the store is opened, so that a second start of the same gateway says
    // what is in its way and leaves the first alone.
    let (listeners, predecessor) = listeners(&config, beginning).await?;
    let (held, predecessor) = match predecessor {
        // Only one process has the file: the other lets go of it while clients wait in the listeners' queues.
        Some(mut predecessor) if is_file(&config) => {
            predecessor.replace().await.map_err(StartError::TakeOver)?;
            (Held::ByPredecessor, None)
        }
        predecessor => (Held::ByNobody, predecessor),
    };
    let open = || open_store(&config, &surroundings);
    let store = waiting::until_there(&config, &surroundings, &listeners, held, open).await?;
    let handles = listeners.duplicates().map_err(StartError::TakeOver)?;
    let Listeners { public: listeners, redirect: http_listeners, admin: admin_listener } = listeners;
    let hosts = OwnHosts::new(&config, &services);
    let names = hosts.names();
    let zone = Arc::new(ZoneInForce::new(surroundings.clock.clone()));
    let tls = Tls::set_up(&config, &store, &surroundings, names.clone(), &zone).await?;
    let settings = InForce::read(&store, config.settings.clone()).await?;
    integrations.refresh(&store).await?;
    let entitlements = Entitlements::read(&store).await?;
    let reveal_times = RevealTimes::read(&store).await?;
    let rules = Arc::new(RulesInForce::new(Rules { policy: Arc::new(engine), services: Arc::new(services) }));
    let wake = Arc::new(Notify::new());
    let fetch = Arc::new(HttpFetch::new(None)?);
    let aws = aws::secrets_manager(&config, &fetch, &surroundings.clock)?;
    let upstreams = Arc::new(ServiceUpstreams::new(
        service_parts(&config, &store, fetch.clone(), aws, &zone),
        store.clone(),
        surroundings.clock.clone(),
        surroundings.entropy.clone(),
    ));
    let rack_credential = RackCredentialParts {
        upstream: upstream.clone(),
        reference: config.rack.token_from.clone(),
        password: config.rack.token.clone(),
        store: store.clone(),
        clock: surroundings.clock.clone(),
        entropy: surroundings.entropy.clone(),
    };
    let rack_credential = Arc::new(RackCredential::new(rack_credential, &upstreams));
    let app = Arc::new(App {
        clock: surroundings.clock.clone(),
        entropy: surroundings.entropy.clone(),
        store: store.clone(),
        rules: rules.clone(),
        own: own.clone(),
        settings: settings.clone(),
        entitlements: entitlements.clone(),
        reveal_times: reveal_times.clone(),
        rack_name: config.rack.name.clone(),
        domain: config.listener.domain.clone(),
        plain_address: plain_address(&config),
        users: config.users.clone(),
        identity: config.identity.clone(),
        providers: providers(&config.identity),
        fetch: fetch.clone(),
        issuers: Arc::new(AccessTokens::new(fetch.clone())),
        yubico: yubico(&config, &fetch, &surroundings.entropy),
        notices: gateway_jobs::notices(&config.mail, &store, &surroundings.clock, &wake),
        instances: Arc::new(ServiceWatch::new(upstreams.clone(), rules.clone())),
        health: Arc::new(Health::new()),
        networks: config.network.named.clone(),
        zone,
        rack: Arc::new(RackLooks::new(upstream.clone(), HandleKeyring::new(&store.derive_key("handles/v1")))),
        rack_credential: rack_credential.clone(),
        integrations,
        compose_file: config.compose_file.clone(),
    });
    let worker = worker(&config, &app, &wake)?;
    // Before the policies, which may name their actions. Without them the gateway still serves the rack.
    if let Err(error) = services::reload(&app).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the services of the database are not in force"
        );
    }
    policies::reload(&app).await?;
    follow_zone(&app).await;
    tend_zone(&app).await;
    follow_registrations(&app).await;
    first_look_up_of_services(&app).await;
    let (telemetry, metrics) = Telemetry::new(surroundings.clock.now());
    let (spans, traces) = traces::prepare(config.traces.as_ref(), &metrics, store.gateway_id())
        .map_err(|source| StartError::Traces { source })?
        .unzip();
    let parts = DataPlaneParts {
        metrics,
        spans,
        clock: surroundings.clock,
        entropy: surroundings.entropy,
        keyring: HandleKeyring::new(&store.derive_key("handles/v1")),
        plain_keys: PlainKeys::new(config.secrets.plain_env_keys.iter().cloned())?,
        routes,
        own,
        rules,
        access_tokens: app.issuers.clone(),
        yubico: app.yubico.clone(),
        app: app.clone(),
        upstream,
        rack_credential,
        rack_name: config.rack.name.clone(),
        rack_hosts: config.proxy.hosts.clone(),
        settings: settings.clone(),
        entitlements,
        reveal_times,
        networks: networks(&config),
        notices: app.notices.clone(),
        control: Arc::new(OwnOperations::new(app.clone())),
        form_limit_bytes: config.limits.form_size_bytes,
        head_limit_bytes: config.limits.head_size_bytes,
        head_limit: config.limits.head_timeout,
        idle_limit: config.limits.idle_timeout,
        send_limit: config.limits.send_timeout,
        pace: Pace {
            pause: config.limits.body_timeout,
            bytes_per_second: config.limits.body_bytes_per_second,
        },
        http2: Http2Options { streams: config.limits.http2_streams, without_tls: config.listener.h2c },
        limits: limits(&config.limits),
        store: store.clone(),
    };
    gateway_app::modes::refresh(&store, &app.health).await?;
    gateway_app::settings_changes::shorten_all_sessions(&app).await?;
    let plane = DataPlane::new(parts, upstreams)?;
    plane.tend_services().await;
    app.health.set_credential_fault(plane.tend_rack_credential().await);
    let bucket = aws::anchor_bucket(&config, &app.clock)?;
    let declared = &config.audit_anchors;
    let anchors = Anchors::new(
        declared,
        bucket,
        store.clone(),
        app.health.clone(),
        app.clock.clone(),
        app.entropy.clone(),
    );
    let anchors = Arc::new(anchors.map_err(|source| StartError::Anchors { source })?);
    let running = Running {
        addresses: local_addresses(&listeners),
        http_addresses: local_addresses(&http_listeners),
        admin_address: admin_listener
            .local_addr()
            .map_err(|source| StartError::Listen { address: config.admin_listener, source })?,
        store: store.clone(),
        app: app.clone(),
        anchors: anchors.clone(),
        shown: Shown::of(&config),
        plane: plane.clone(),
        names: hosts.sender(),
        draining: CancellationToken::new(),
        stopping: CancellationToken::new(),
        connections: TaskTracker::new(),
        background: TaskTracker::new(),
        closed: CancellationToken::new(),
        replaced: CancellationToken::new(),
        hurried: CancellationToken::new(),
        told: watch::Sender::new(None),
        stop_times: StopTimes {
            notice: config.limits.drain_notice,
            requests: config.limits.drain_timeout,
            hand_over: config.limits.hand_over_timeout,
        },
    };
    let sinks = start_sinks(&config, &running)?;
    if let Some(traces) = traces {
        running.background.spawn(traces.run(running.stopping.clone()));
    }
    let tend_anchors = {
        let stopping = running.stopping.clone();
        move || {
            let (anchors, stopping) = (anchors.clone(), stopping.clone());
            // S3 that is slow must not hold up the stop, which anchors once more and has a limit for it.
            async move {
                stopping.run_until_cancelled(anchors.tend()).await;
            }
        }
    };
    running.background.spawn(tend_anchors());
    running.each("anchors", MINUTE, tend_anchors);
    let places = Arc::new(Semaphore::new(config.limits.connections));
    // What others counted before this instance ran is theirs; what they count from here on is charged here too.
    plane.share_limits().await;
    let terminator = tls.as_ref().map(|tls| tls.terminator.clone());
    running.probe(admin_listener, probes(&config, &running, (telemetry, sinks), tls.as_ref()));
    running.each("upkeep", MINUTE, minute(plane.clone(), store.clone(), terminator.clone()));
    // What a gateway that died left behind is marked before anybody asks.
    tidy_what_is_over(app.clone())().await;
    running.each("what-is-over", MINUTE, tidy_what_is_over(app.clone()));
    running.each("compare-searches", MINUTE, compare_searches(app.clone()));
    running.each("log-counts", MINUTE, count_audit(app.clone()));
    running.each("audit-retention", HOUR, prune_audit(app.clone()));
    if !config.limits.sentinel_interval.is_zero() {
        let period = config.limits.sentinel_interval;
        running.each("sentinel", period, watch_rack(app.clone(), period));
    }
    if !config.probe.interval.is_zero() {
        let probe = config.probe.clone();
        running.each("exposure-probe", probe.interval, probe_exposure(app.clone(), probe));
    }
    running.each("probe-agents", AGENTS_POLL, watch_agents(app.clone()));
    running.each("live-sessions", SESSIONS_BEAT, {
        let plane = plane.clone();
        move || {
            let plane = plane.clone();
            async move { plane.beat_sessions().await }
        }
    });
    if let Some(tls) = tls {
        let parts = Arc::new(redirect_parts(&config, running.addresses.first(), &tls, names));
        for listener in http_listeners {
            running.accept(listener, Behind::Redirect(parts.clone()), &places);
        }
        running.background.spawn(tls.keep_fresh(running.stopping.clone()));
    }
    for listener in listeners {
        let behind = Behind::DataPlane { terminator: terminator.clone() };
        running.accept(listener, behind, &places);
    }
    running.each("shared-limits", SHARING, {
        let plane = plane.clone();
        move || {
            let plane = plane.clone();
            async move { plane.share_limits().await }
        }
    });
    running.each("rack-credential", CREDENTIAL_POLL, {
        let (plane, app) = (plane.clone(), app.clone());
        move || {
            let (plane, app) = (plane.clone(), app.clone());
            async move { app.health.set_credential_fault(plane.tend_rack_credential().await) }
        }
    });
    running.each("ended-break-glass", ENDS_POLL, {
        let app = app.clone();
        move || {
            let app = app.clone();
            async move { gateway_app::break_glass::tell_ended(&app).await }
        }
    });
    running.each("ending-tokens", ENDING_TOKENS_POLL, {
        let app = app.clone();
        move || {
            let app = app.clone();
            async move { gateway_app::tokens::warn_of_ends(&app).await }
        }
    });
    running.each("identity-refresh", REFRESHING, {
        let (app, stopping) = (app.clone(), running.stopping.clone());
        move || {
            let (app, stopping) = (app.clone(), stopping.clone());
            async move {
                if let Err(error) = refresh::round(&app, || stopping.is_cancelled()).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "identity providers could not be asked again"
                    );
                }
            }
        }
    });
    running.each("zone-leaf", ZONE_POLL, {
        let app = app.clone();
        move || {
            let app = app.clone();
            async move {
                tend_zone(&app).await;
                tend_registrations(&app).await;
            }
        }
    });
    running.each("service-discovery", DISCOVERY_POLL, look_up_services(app.clone()));
    running.keep_up(hosts);
    running.background.spawn(worker.run(running.stopping.clone()));
    running.open_control_socket(&config, handles);
    running.open_neighbour_socket(&config);
    if let Some(mut predecessor) = predecessor {
        // Both serve from here on until the other has heard it.
        predecessor.replace().await.map_err(StartError::TakeOver)?;
    }
    Ok(running)
}

/// The listening sockets, and whose they were.
async fn listeners(
    config: &Config,
    beginning: Beginning,
) -> Result<(Listeners, Option<Predecessor>), StartError> {
    match beginning {
        Beginning::Fresh(given) => Ok((Listeners::open(config, given).await?, None)),
        Beginning::TakeOver => {
            let found = Predecessor::find(&config.data_dir).await.map_err(StartError::TakeOver)?;
            let Some(mut predecessor) = found else {
                tracing::info!("there is nobody to take over from");
                return Ok((Listeners::open(config, GivenListeners::default()).await?, None));
            };
            let sockets = predecessor.listeners().await.map_err(StartError::TakeOver)?;
            let listeners = Listeners::open(config, GivenListeners::of_process(sockets)).await?;
            Ok((listeners, Some(predecessor)))
        }
    }
}

/// Whether the database is a file, which one process has at a time.
fn is_file(config: &Config) -> bool {
    config.database_url.starts_with("sqlite:")
}

/// Who tells people what happened, for a command beside the server: the server's worker sends what it queues.
pub fn notices(config: &Config, store: &Arc<Store>) -> Arc<dyn gateway_app::Notices> {
    let clock: Arc<dyn Clock> = Arc::new(gateway_types::SystemClock);
    gateway_jobs::notices(&config.mail, store, &clock, &Arc::new(Notify::new()))
}

fn networks(config: &Config) -> Networks {
    Networks {
        trusted_forwarders: config.listener.trusted_forwarders.clone(),
        proxy_protocol_from: config.listener.proxy_protocol_from.clone(),
        allow: config.network.allow.clone(),
        deny: config.network.deny.clone(),
        named: config.network.named.clone(),
    }
}

fn limits(limits: &gateway_config::Limits) -> LimitOptions {
    LimitOptions {
        address: limits.address,
        sign_in: limits.sign_in,
        caller: limits.caller,
        reveal: limits.reveal,
        change: limits.change,
        execute: limits.execute,
        concurrent_requests: limits.concurrent_requests,
        address_concurrent_requests: limits.address_concurrent_requests,
        sockets: limits.sockets,
        connections_per_address: limits.connections_per_address,
    }
}

/// Starts what carries the audit log to other systems.
fn start_sinks(config: &Config, running: &Running) -> Result<Sinks, StartError> {
    let host = config.listener.domain.clone().unwrap_or_else(|| config.rack.name.clone());
    let source = Source { gateway: running.store.gateway_id(), host };
    Sinks::start(
        &config.audit_sinks,
        source,
        &running.store,
        &running.app.clock,
        &running.background,
        &running.stopping,
    )
    .map_err(|(name, source)| StartError::Sink { name, source })
}

fn probes(
    config: &Config,
    running: &Running,
    (telemetry, sinks): (Telemetry, Sinks),
    tls: Option<&Tls>,
) -> Arc<Probes> {
    let (app, store) = (&running.app, &running.store);
    let mut notes: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    if store.made_its_own_secret() {
        notes.push("APP_SECRET_KEY is not given; one was made and is kept in the database, so whoever reads the database reads what it seals".to_owned());
    }
    for note in &notes {
        tracing::warn!("{note}");
    }
    let host = config.rack.url.host_str().unwrap_or_default();
    let rack = (
        host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        config.rack.url.port_or_known_default().unwrap_or(443),
    );
    let certificates = tls.map(|tls| (tls.status.clone(), app.clock.clone()));
    Arc::new(Probes {
        store: store.clone(),
        rack,
        notes,
        health: app.health.clone(),
        certificates,
        clock: app.clock.clone(),
        plane: running.plane.clone(),
        connections: running.connections.clone(),
        connection_places: config.limits.connections,
        telemetry,
        sinks,
        anchors: running.anchors.clone(),
    })
}

/// Who checks what YubiKeys type.
fn yubico(config: &Config, fetch: &Arc<HttpFetch>, entropy: &Arc<dyn Entropy>) -> Option<Arc<Yubico>> {
    let known = config.yubico.as_ref()?;
    let client = Client { url: known.url.clone(), id: known.client_id, key: known.key.clone() };
    Some(Arc::new(Yubico::new(client, fetch.clone(), entropy.clone())))
}

/// What request tokens, and what the gateway signs in to services with, are made of.
fn service_parts(
    config: &Config,
    store: &Store,
    fetch: Arc<HttpFetch>,
    aws: Arc<SecretsManager>,
    zone: &Arc<ZoneInForce>,
) -> ServiceParts {
    ServiceParts {
        issuer: match &config.listener.domain {
            Some(domain) => format!("https://{domain}"),
            None => format!("urn:uuid:{}", store.gateway_id()),
        },
        environment: config.environment.clone(),
        zone: zone.clone(),
        vault: config.vault.as_ref().map(|vault| VaultAccess {
            address: vault.address.clone(),
            namespace: vault.namespace.clone(),
            token: match &vault.token {
                gateway_config::VaultToken::Value(token) => VaultToken::Value(token.clone()),
                gateway_config::VaultToken::File(path) => VaultToken::File(path.clone()),
            },
        }),
        aws,
        fetch,
    }
}

fn rack_target(config: &Config, clock: &Arc<dyn Clock>) -> Result<RackTarget, StartError> {
    let url = &config.rack.url;
    let host = url.host_str().ok_or(StartError::RackHost)?;
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    Ok(RackTarget {
        scheme: if url.scheme() == "http" { http::uri::Scheme::HTTP } else { http::uri::Scheme::HTTPS },
        authority: authority.parse().map_err(|_| StartError::RackHost)?,
        username: config.rack.username.clone(),
        password: config.rack.token.clone(),
        connect_limit: config.limits.rack_connect_timeout,
        tokens: config.rack.tokens.then(|| clock.clone()),
        tls: match &config.rack.tls {
            UpstreamTls::SystemRoots => RackTls::SystemRoots,
            UpstreamTls::CaFile(path) => RackTls::CaFile(path.clone()),
            UpstreamTls::Pinned { sha256 } => RackTls::Pinned(*sha256),
            UpstreamTls::TrustOnFirstUse => RackTls::TrustOnFirstUse,
        },
    })
}

async fn open_store(config: &Config, surroundings: &Surroundings) -> Result<Arc<Store>, StoreError> {
    let options = StoreOptions {
        url: config.database_url.clone(),
        clock: surroundings.clock.clone(),
        entropy: surroundings.entropy.clone(),
        max_connections: STORE_CONNECTIONS,
        access: Access::Serve,
        app_secret_key: config.app_secret_key.clone(),
    };
    let rack = host_and_port(&config.rack.url);
    let claim = RackClaim { rack, adoption: surroundings.adoption };
    let store = Store::open_for(options, claim, config.limits.known_callers_timeout).await?;
    let spool = config.data_dir.join("spool");
    if let Err(error) = store.audit().keep_in(&spool).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            path = %spool.display(),
            "events are kept in memory alone while the database is away: make this directory writable"
        );
    }
    if store.is_adopted() {
        adopted(&store, config, surroundings).await?;
    }
    // Of a restore whose program was ended before it could say so itself.
    let operator = Operator::system(&*surroundings.clock, &*surroundings.entropy);
    restorations::tell(&store, &operator).await?;
    Ok(store)
}

/// The one spelling of where a rack is.
fn host_and_port(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    format!("{host}:{}", url.port_or_known_default().unwrap_or_default())
}

/// Writes down that the database was another rack's until now.
async fn adopted(store: &Store, config: &Config, surroundings: &Surroundings) -> Result<(), StoreError> {
    let rack = host_and_port(&config.rack.url);
    tracing::warn!(%rack, "the database was another rack's and is this one's from now on");
    let (clock, entropy) = (&*surroundings.clock, &*surroundings.entropy);
    let id = EventId::new(clock.now(), entropy);
    let action = ActionName::new("gateway:database:adopt");
    let mut event = Event::new(clock.now(), id, action, Resource::gateway(), Actor::system());
    event.parameters.insert("rack".to_owned(), rack);
    store.audit().append(event).await.map(drop)
}

impl Running {
    fn accept(&self, listener: TcpListener, behind: Behind, places: &Arc<Semaphore>) {
        let entrance = Entrance {
            behind,
            plane: self.plane.clone(),
            connections: self.connections.clone(),
            places: places.clone(),
            closed: self.closed.clone(),
            draining: self.draining.clone(),
        };
        self.background.spawn(entrance.accept(listener));
    }

    /// Gives the gateway these host names from now on, its own first: it gets certificates for them where it
    /// gets any by ACME, and sends clients of plain HTTP to them.
    pub fn answer_to(&self, names: Vec<String>) {
        self.names.send_replace(names);
    }

    fn probe(&self, listener: TcpListener, probes: Arc<Probes>) {
        let (stopping, background) = (self.stopping.clone(), self.background.clone());
        let replaced = self.replaced.clone();
        self.background.spawn(async move {
            let mut shortage = Shortage::default();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    // While this instance drains, probes are told so; another process's probes are its own.
                    () = replaced.cancelled() => return,
                    () = stopping.cancelled() => return,
                };
                match accepted {
                    Ok((stream, _)) => {
                        let (probes, stopping) = (probes.clone(), stopping.clone());
                        background.spawn(async move {
                            tokio::select! {
                                () = admin::serve(probes, stream) => {}
                                () = stopping.cancelled() => {}
                            }
                        });
                    }
                    Err(error) => shortage.wait(&error).await,
                }
            }
        });
    }

    /// Follows the configuration file from now on: its services take effect when it changes, and on SIGHUP.
    pub fn follow(&self, file: ConfigFile) {
        let (app, stopping) = (self.app.clone(), self.stopping.clone());
        self.background.spawn(follow::follow(app, file, self.shown.clone(), stopping));
    }

    /// Tends the services now, as is done each minute.
    pub async fn tend_services(&self) {
        self.plane.tend_services().await;
    }

    /// Reads the configuration file now, as [`Self::follow`] does when it was changed.
    pub async fn read_again(&self, file: ConfigFile) {
        follow::read(&self.app, &file, &self.shown).await;
    }
}

/// What does the jobs: mail, today.
fn worker(config: &Config, app: &Arc<App>, wake: &Arc<Notify>) -> Result<Worker, StartError> {
    let web = config.listener.domain.as_ref().map(|domain| format!("https://{domain}"));
    let handlers = Handlers {
        mailer: mailer(&config.mail)?,
        letterhead: Letterhead { rack: config.rack.name.clone(), web },
        reporter: app.clone(),
    };
    Ok(Worker {
        store: app.store.clone(),
        handler: Arc::new(handlers),
        wake: wake.clone(),
        options: WorkerOptions::default(),
    })
}
