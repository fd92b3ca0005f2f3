//! The ways to the services behind the gateway: which instance, over which connection, with which credential, and what
//! is done when it fails. Start reading at [`ServiceUpstreams::send`].
//!
//! # Security
//! The credential is added here, after everything else, and no function returns it.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_app::origin::Origin;
use gateway_app::rules::{Rules, RulesInForce};
use gateway_app::signing::SigningKeys;
use gateway_app::zone::ZoneInForce;
use gateway_identity::oidc::Fetch;
use gateway_integrations::aws::SecretsManager;
use gateway_services::{
    Balance, Credential, Environment, Failure, RawHost, RawIdentity, Service, ServiceRequest, ServiceTable,
    UpstreamAddress, UpstreamTls, headers,
};
use gateway_store::Store;
use gateway_types::{Caller, Clock, Entropy, Facts, RequestId};
use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::body::RequestBody;
use crate::upstream::{RackStream, UpstreamError};

pub(crate) mod body;
mod credentials;
mod document;
mod health;
mod pool;
mod secrets;
mod token;

pub use credentials::CredentialError;
pub use document::ServiceWatch;
pub use secrets::{SecretError, VaultAccess, VaultToken};
pub use token::TokenError;

pub use body::BodyFault;
use body::{Lender, Upload};
use credentials::{Credentials, Held};
use health::{HealthChecks, Means};
use pool::Pools;
pub(crate) use secrets::{STORE_FRESH, SecretReader};
pub(crate) use token::kind_of;
use token::{Bound, RequestTokens, Subject, roles_of};

/// The request token's header.
const TOKEN: HeaderName = HeaderName::from_static("gateway-token");

/// Methods that may be repeated (RFC 9110, section 9.2.2).
const IDEMPOTENT: [Method; 5] = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE];

/// What the composition root provides for services.
#[derive(Debug)]
pub struct ServiceParts {
    /// `iss` of request tokens.
    pub issuer: String,
    /// The gateway's environment, for `env:` references.
    pub environment: Environment,
    /// Where `vault:` references lead.
    pub vault: Option<VaultAccess>,
    /// Where `aws:secretsmanager:` references lead.
    pub aws: Arc<SecretsManager>,
    /// The trust zone.
    pub zone: Arc<ZoneInForce>,
    /// How token endpoints and Vault are asked.
    pub fetch: Arc<dyn Fetch>,
}

/// A request on its way to a service, complete but for what the gateway signs in with.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// The rules that it was found in.
    pub(crate) rules: Arc<Rules>,
    pub(crate) request: ServiceRequest,
    pub(crate) method: Method,
    /// What may go up of the client's headers, and the gateway's own; neither identity nor credential.
    pub(crate) headers: HeaderMap,
    pub(crate) caller: Caller,
    pub(crate) facts: Facts,
    pub(crate) request_id: RequestId,
    /// The origin that the client used.
    pub(crate) origin: Origin,
    /// What is known of the body while it goes up.
    pub(crate) upload: Arc<Upload>,
}

/// A service's reply, and what must not be in it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) needles: Vec<gateway_types::Secret<String>>,
}

/// Why a service could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No instance takes requests of this version.
    #[error("no instance of the service takes requests")]
    NoInstance,
    /// Instances registered, and none of them understands the action.
    #[error("no instance of the service says that it understands this action")]
    NotUnderstood,
    /// The way to the instance cannot be used.
    #[error("the way to the instance cannot be used")]
    Way(#[from] UpstreamError),
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    /// The instance did not answer.
    #[error("the instance did not answer")]
    Exchange(#[source] hyper_util::client::legacy::Error),
    /// A socket could not be asked for.
    #[error("the instance did not answer the request for a socket")]
    Socket(#[source] hyper::Error),
    /// The client's own body was not fit to be sent.
    #[error("the client's body broke off or is too large")]
    Body(BodyFault),
    /// It took too long.
    #[error("nothing came and nothing went for {limit:?}")]
    TooSlow {
        /// The declared limit.
        limit: Duration,
    },
    /// The gateway's own credential for the service cannot be had.
    #[error("the credential for the service cannot be had")]
    Credential(#[from] CredentialError),
    /// The service cannot be told who calls.
    #[error("the service cannot be told who calls")]
    Identity(#[from] TokenError),
    /// The client certificate for the service cannot be had.
    #[error("the client certificate for the service cannot be had")]
    Certificate(#[from] SecretError),
    /// The files of the client certificate hold something else.
    #[error("the files of the client certificate hold no certificate and key")]
    CertificateContent(#[source] rustls_pki_types::pem::Error),
}

impl SendError {
    /// Whether nothing reached the instance.
    fn is_unsent(&self) -> bool {
        match self {
            SendError::Exchange(error) => error.is_connect(),
            SendError::Way(_) => true,
            SendError::NoInstance
            | SendError::NotUnderstood
            | SendError::Request(_)
            | SendError::Socket(_)
            | SendError::Body(_)
            | SendError::TooSlow { .. }
            | SendError::Credential(_)
            | SendError::Identity(_)
            | SendError::Certificate(_)
            | SendError::CertificateContent(_) => false,
        }
    }

    /// Whether it is the instance that failed.
    fn is_of_instance(&self) -> bool {
        match self {
            SendError::Exchange(_) | SendError::Way(_) | SendError::Socket(_) | SendError::TooSlow { .. } => {
                true
            }
            SendError::NoInstance
            | SendError::NotUnderstood
            | SendError::Body(_)
            | SendError::Request(_)
            | SendError::Credential(_)
            | SendError::Identity(_)
            | SendError::Certificate(_)
            | SendError::CertificateContent(_) => false,
        }
    }
}

/// The ways to all services.
pub struct ServiceUpstreams {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    pools: Arc<Pools>,
    balances: Arc<Mutex<HashMap<String, Balance>>>,
    checks: HealthChecks,
    pub(crate) secrets: Arc<SecretReader>,
    credentials: Credentials,
    tokens: RequestTokens,
    /// The table that the rest was made for.
    table: Mutex<Arc<ServiceTable>>,
}

impl fmt::Debug for ServiceUpstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceUpstreams(…)")
    }
}

impl ServiceUpstreams {
    /// None is known yet.
    pub fn new(
        parts: ServiceParts,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let keys = SigningKeys::new(store, Arc::clone(&clock), Arc::clone(&entropy));
        let secrets = SecretReader::new(parts.environment, parts.vault, parts.aws, Arc::clone(&parts.fetch));
        let secrets = Arc::new(secrets);
        Self {
            pools: Arc::new(Pools::new(Arc::clone(&parts.zone))),
            balances: Arc::default(),
            checks: HealthChecks::default(),
            credentials: Credentials::new(Arc::clone(&clock), parts.fetch, Arc::clone(&secrets)),
            secrets,
            tokens: RequestTokens::new(parts.issuer, Arc::clone(&clock), keys),
            table: Mutex::default(),
            clock,
            entropy,
        }
    }

    /// Follows a changed table: new instances are known, checks of new services begin. Connections of declarations
    /// that did not change stay; those of others end when their last request did.
    pub(crate) fn follow(&self, rules: &RulesInForce) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that nobody follows an older table behind somebody who followed a newer one.
        let services = rules.services();
        if Arc::ptr_eq(&table, &services) {
            return;
        }
        self.make_for(&services);
        *table = services;
    }

    fn make_for(&self, services: &Arc<ServiceTable>) {
        let now = self.clock.now();
        let mut balances = self.balances.lock().unwrap_or_else(PoisonError::into_inner);
        balances.retain(|name, _| services.named(name).is_some());
        for service in services.services() {
            balances.entry(service.name.to_string()).or_default().declare(&service.upstreams, now);
        }
        drop(balances);
        self.pools.keep_only(services);
        let means = Means {
            pools: Arc::clone(&self.pools),
            balances: Arc::clone(&self.balances),
            secrets: Arc::clone(&self.secrets),
            clock: Arc::clone(&self.clock),
        };
        self.checks.follow(services, &means);
    }

    /// Each minute: signing keys are kept up, and what nobody needs is let go.
    pub(crate) async fn tidy(&self, rules: &RulesInForce) {
        let services = {
            // Under the lock, so that this never works for an older table behind somebody who works for a newer one.
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            let services = rules.services();
            self.make_for(&services);
            *table = Arc::clone(&services);
            services
        };
        let needs_tokens = services.services().any(|service| {
            matches!(service.way.credential, Credential::TokenExchange { .. })
                || service.way.identity == RawIdentity::Token
        });
        if needs_tokens && let Err(error) = self.tokens.keys.keep_up().await {
            tracing::error!(
                error = &error as &dyn StdError,
                "the keys of request tokens could not be kept up; the present one still signs"
            );
        }
    }

    /// Sends a request to an instance of its service.
    ///
    /// A request is repeated, on another instance, only when the one before cannot have done anything (no
    /// connection) or may be done twice (an idempotent method whose body was not read), and never after the first
    /// byte of a reply.
    pub(crate) async fn send(&self, outgoing: &Outgoing, body: RequestBody) -> Result<Answered, SendError> {
        let body = Lender::new(body);
        let service = &outgoing.request.service;
        let is_idempotent = IDEMPOTENT.contains(&outgoing.method);
        let (mut tried, mut is_renewed, mut is_stale_tried) = (Vec::new(), false, false);
        let unfit = unfit(outgoing)?;
        let mut held = self.hold(outgoing).await?;
        self.balance(service, Balance::asked);
        let mut last = SendError::NoInstance;
        loop {
            let now = self.clock.now();
            let version = outgoing.request.version.as_deref();
            let left_out: Vec<UpstreamAddress> = unfit.iter().chain(&tried).cloned().collect();
            let picked = self.balance(service, |balance| balance.pick(version, &left_out, now));
            let Some(address) = picked else {
                // A kept connection may have been closed by the other side at this very moment: then the only
                // instance there is gets one more try, over a new one.
                let is_lost = matches!(last, SendError::Exchange(_)) && !last.is_unsent();
                if is_lost && tried.len() == 1 && !is_stale_tried {
                    is_stale_tried = true;
                    tried.clear();
                    continue;
                }
                return Err(last);
            };
            match self.once(outgoing, &held, &address, body.lend()).await {
                Ok(response) => {
                    self.note_reply(service, &address, response.status());
                    let is_refused = response.status() == StatusCode::UNAUTHORIZED;
                    if is_refused && !is_renewed && body.is_whole() && self.credentials.renew(&held).await {
                        is_renewed = true;
                        held = self.hold(outgoing).await?;
                        continue;
                    }
                    return Ok(Answered { response, needles: held.needles });
                }
                Err(error) => {
                    let error = outgoing.upload.fault().map_or(error, SendError::Body);
                    let is_safe = body.is_whole() && (error.is_unsent() || is_idempotent);
                    let may_repeat = is_safe
                        && error.is_of_instance()
                        && !matches!(error, SendError::TooSlow { .. })
                        && self.balance(service, Balance::may_repeat);
                    self.note_failure(service, &address, &error);
                    if !may_repeat {
                        return Err(error);
                    }
                    tracing::info!(
                        error = &error as &dyn StdError,
                        service = %service.name,
                        instance = address.authority(),
                        request_id = %outgoing.request_id,
                        "a request is repeated on another instance"
                    );
                    tried.push(address);
                    last = error;
                }
            }
        }
    }

    /// Asks for a socket, over a connection of its own, which is never pooled.
    pub(crate) async fn open(&self, outgoing: &Outgoing) -> Result<Answered, SendError> {
        let service = &outgoing.request.service;
        let unfit = unfit(outgoing)?;
        let held = self.hold(outgoing).await?;
        let now = self.clock.now();
        let version = outgoing.request.version.as_deref();
        let picked = self.balance(service, |balance| balance.pick(version, &unfit, now));
        let address = picked.ok_or(SendError::NoInstance)?;
        let request = self.build(outgoing, &held, &address, RequestBody::Empty).await?;
        let identity = pool::identity_of(&self.secrets, service).await?;
        let opened = pool::open(
            &self.pools,
            service,
            &address,
            identity.as_ref(),
            request,
            outgoing.request.target.as_str(),
        );
        // Nothing is sent up before the answer, so silence is a hang.
        let opened = match service.way.reply_limit {
            None => opened.await,
            Some(limit) => timeout(limit, opened).await.unwrap_or(Err(SendError::TooSlow { limit })),
        };
        match opened {
            Ok(response) => {
                self.note_reply(service, &address, response.status());
                Ok(Answered { response, needles: held.needles })
            }
            Err(error) => {
                self.note_failure(service, &address, &error);
                Err(error)
            }
        }
    }

    /// A connection to the first instance of a TCP service that accepts one; `None` when none does.
    pub(crate) async fn dial(&self, service: &Service) -> Option<RackStream> {
        let taking = service.upstreams.iter().filter(|upstream| upstream.weight > 0);
        for address in taking {
            match self.pools.connect(service, address).await {
                Ok(stream) => return Some(stream),
                Err(error) => tracing::warn!(
                    error = &error as &dyn StdError,
                    service = %service.name,
                    instance = address.authority(),
                    "a TCP service cannot be connected to"
                ),
            }
        }
        None
    }

    async fn hold(&self, outgoing: &Outgoing) -> Result<Held, SendError> {
        let subject = subject(outgoing);
        Ok(self.credentials.hold(&outgoing.request.service, subject, &self.tokens).await?)
    }

    async fn once(
        &self,
        outgoing: &Outgoing,
        held: &Held,
        address: &UpstreamAddress,
        body: RequestBody,
    ) -> Result<Response<Incoming>, SendError> {
        let service = &outgoing.request.service;
        let request = self.build(outgoing, held, address, body).await?;
        let identity = pool::identity_of(&self.secrets, service).await?;
        let pool = self.pools.of(service, address, identity.as_ref())?;
        let mut sending = std::pin::pin!(pool.request(request));
        let Some(limit) = service.way.reply_limit else {
            return sending.await.map_err(SendError::Exchange);
        };
        loop {
            let before = outgoing.upload.counter.load(Ordering::Relaxed);
            match timeout(limit, sending.as_mut()).await {
                Ok(sent) => return sent.map_err(SendError::Exchange),
                // A long upload is no hang.
                Err(_) if outgoing.upload.counter.load(Ordering::Relaxed) != before => {}
                Err(_) => return Err(SendError::TooSlow { limit }),
            }
        }
    }

    async fn build(
        &self,
        outgoing: &Outgoing,
        held: &Held,
        address: &UpstreamAddress,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, SendError> {
        let service = &outgoing.request.service;
        let authority = match service.way.host {
            RawHost::Upstream => address.host_header(),
            RawHost::Keep => outgoing.origin.authority.clone(),
        };
        let mut request = Request::new(body);
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = Uri::builder()
            .scheme(if address.secure { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(authority.as_str())
            .path_and_query(outgoing.request.target.as_str())
            .build()?;
        let headers = request.headers_mut();
        headers.clone_from(&outgoing.headers);
        if service.protocol == gateway_services::UpstreamProtocol::Http1 {
            headers.insert(HOST, HeaderValue::from_str(&authority).map_err(http::Error::from)?);
        }
        self.identify(outgoing, headers).await?;
        if let Some((name, value)) = &held.header {
            remove_spellings(headers, name);
            headers.insert(name.clone(), value.clone());
        }
        Ok(request)
    }

    /// For whom request tokens are. In the zone that is exactly the member that is called, unless it is declared
    /// otherwise.
    fn audience(&self, service: &Service) -> String {
        let member = match (&service.tls, &service.raw.audience) {
            (UpstreamTls::Zone, None) => self.pools.zone().member(&service.name.to_string()),
            (UpstreamTls::Zone, Some(_))
            | (UpstreamTls::SystemRoots | UpstreamTls::CaFile(_) | UpstreamTls::Pinned(_), _) => None,
        };
        member.map_or_else(|| service.audience.clone(), |id| id.to_string())
    }

    /// Tells the service who calls, as it wants to be told.
    async fn identify(&self, outgoing: &Outgoing, headers: &mut HeaderMap) -> Result<(), SendError> {
        let service = &outgoing.request.service;
        match service.way.identity {
            RawIdentity::None => {}
            RawIdentity::Token => {
                let bound = Bound { method: outgoing.method.as_str(), target: &outgoing.request.target };
                let audience = self.audience(service);
                let signed = self.tokens.sign(subject(outgoing), &audience, Some(bound)).await?;
                if let Some(signed) = signed {
                    let mut value = HeaderValue::from_str(signed.expose()).map_err(http::Error::from)?;
                    value.set_sensitive(true);
                    headers.insert(TOKEN, value);
                }
            }
            RawIdentity::Headers => {
                for (name, text) in told(outgoing) {
                    let value = HeaderValue::from_str(&visible(&text)).map_err(http::Error::from)?;
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
        }
        Ok(())
    }

    fn balance<T>(&self, service: &Service, ask: impl FnOnce(&mut Balance) -> T) -> T {
        let mut balances = self.balances.lock().unwrap_or_else(PoisonError::into_inner);
        match balances.get_mut(service.name.as_str()) {
            Some(balance) => ask(balance),
            // Its declaration was taken away while the request was under way, which it does not notice.
            None => {
                let balance = balances.entry(service.name.to_string()).or_default();
                balance.declare(&service.upstreams, self.clock.now());
                ask(balance)
            }
        }
    }

    fn note_reply(&self, service: &Service, address: &UpstreamAddress, status: StatusCode) {
        let now = self.clock.now();
        if status.is_server_error() {
            self.note(service, address, Failure::Error);
        } else {
            self.balance(service, |balance| balance.succeeded(address, now));
        }
    }

    fn note_failure(&self, service: &Service, address: &UpstreamAddress, error: &SendError) {
        if error.is_of_instance() {
            self.note(service, address, Failure::Lost);
        }
    }

    fn note(&self, service: &Service, address: &UpstreamAddress, failure: Failure) {
        let mut random = [0u8; 4];
        self.entropy.fill(&mut random);
        let (now, jitter) = (self.clock.now(), u32::from_be_bytes(random));
        let ejected = self.balance(service, |balance| balance.failed(address, failure, now, jitter));
        if let Some(length) = ejected {
            tracing::warn!(
                service = %service.name,
                instance = address.authority(),
                seconds = length.as_secs(),
                "an instance failed too often in a row and is left out for a while"
            );
        }
    }
}

/// Takes away every header that a service may read as this one.
///
/// # Security
/// CGI-like servers read `X.Api.Key` as `x-api-key`: were a client's left in, it would stand beside the gateway's, or
/// in its place.
fn remove_spellings(headers: &mut HeaderMap, name: &HeaderName) {
    let normalised = headers::normalised(name.as_str());
    let alike: Vec<HeaderName> =
        headers.keys().filter(|other| headers::normalised(other.as_str()) == normalised).cloned().collect();
    for other in alike {
        headers.remove(other);
    }
}

/// The instances that never get this request, since they do not say that they understand its action.
fn unfit(outgoing: &Outgoing) -> Result<Vec<UpstreamAddress>, SendError> {
    let request = &outgoing.request;
    let unfit = request.service.without(request.operation.action.as_str());
    match !unfit.is_empty() && unfit.len() == request.service.registered.len() {
        true => Err(SendError::NotUnderstood),
        false => Ok(unfit),
    }
}

fn subject(outgoing: &Outgoing) -> Subject<'_> {
    Subject {
        caller: &outgoing.caller,
        facts: &outgoing.facts,
        request_id: outgoing.request_id,
        service: outgoing.request.service.name.as_str(),
    }
}

/// What a service that cannot check a token is told. All of it is set, so that nothing of it is ever a client's.
fn told(outgoing: &Outgoing) -> [(&'static str, String); 5] {
    use gateway_types::Principal;
    let principal = &outgoing.caller.principal;
    let email = match principal {
        Principal::User { email, .. } => email.to_string(),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => String::new(),
    };
    [
        ("x-gateway-user", principal.display_name()),
        ("x-gateway-email", email),
        ("x-gateway-roles", roles_of(principal).join(",")),
        ("x-gateway-kind", kind_of(principal).to_owned()),
        ("x-gateway-request-id", outgoing.request_id.to_string()),
    ]
}

/// Visible ASCII as it is, everything else percent-encoded, so that two names never become one.
fn visible(text: &str) -> String {
    const HIDDEN: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%');
    percent_encoding::utf8_percent_encode(text, HIDDEN).to_string()
}
