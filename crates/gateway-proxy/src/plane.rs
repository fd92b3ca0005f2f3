//! What the pipeline works with: one value of narrow handles, made once by the composition root.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_app::App;
use gateway_app::access_tokens::AccessTokens;
use gateway_app::circumstances::Circumstances;
use gateway_app::control::ControlPlane;
use gateway_app::entitlements::Entitlements;
use gateway_app::factors::yubico::Yubico;
use gateway_app::notify::Notices;
use gateway_app::reveal_times::RevealTimes;
use gateway_app::rules::RulesInForce;
use gateway_app::settings::InForce;
use gateway_config::SettingKey;
use gateway_convox::RouteTable;
use gateway_policy::OwnTable;
use gateway_secrets::{HandleKeyring, Labels, NamePatterns, PlainKeys};
use gateway_store::Store;
use gateway_types::{Clock, Entropy, Layer, NamedNetworks, Problem, ProblemKind, RequestId};
use ipnet::IpNet;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Pace;
use crate::known::KnownSecrets;
use crate::limits::{LimitOptions, Limits};
use crate::metrics::Metrics;
use crate::outcome::{End, OutcomeGuard};
use crate::own_writes::OwnWrites;
use crate::rack_credential::RackCredential;
use crate::refusals::RefusalCounter;
use crate::services::ServiceUpstreams;
use crate::sessions::Sessions;
use crate::spans::Spans;
use crate::upstream::Upstream;

/// The largest reply that is read into memory because it may hold secrets, in bytes.
pub const LABELLED_REPLY_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// How many uploads are read on their way at one time: each has a thread.
const MOST_SCANS: usize = 32;

/// From where connections come, and who is believed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Networks {
    /// Peers whose word about the client's address and scheme is believed.
    pub trusted_forwarders: Vec<IpNet>,
    /// Peers whose connections begin with a PROXY header.
    pub proxy_protocol_from: Vec<IpNet>,
    /// From here alone the gateway is used; empty = from everywhere.
    pub allow: Vec<IpNet>,
    /// Never from here.
    pub deny: Vec<IpNet>,
    /// What policy calls networks.
    pub named: NamedNetworks,
}

/// What HTTP/2 may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Http2Options {
    /// Requests that one connection may have open at one time.
    pub streams: u32,
    /// Whether it is spoken without TLS to whoever begins so.
    pub without_tls: bool,
}

/// What the composition root provides.
#[derive(Debug)]
pub struct DataPlaneParts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Users, credentials, settings, the audit log.
    pub store: Arc<Store>,
    /// The rack's operations.
    pub routes: RouteTable,
    /// The gateway's own operations.
    pub own: OwnTable,
    /// Policies and services in force.
    pub rules: Arc<RulesInForce>,
    /// Checks access tokens of the issuers that services list.
    pub access_tokens: Arc<AccessTokens>,
    /// The application, for what approvals say to a deploy.
    pub app: Arc<App>,
    /// The way to the rack.
    pub upstream: Arc<Upstream>,
    /// Who holds what is signed in to the rack with.
    pub rack_credential: Arc<RackCredential>,
    /// Makes handles of secret values.
    pub keyring: HandleKeyring,
    /// Environment keys that are not secret.
    pub plain_keys: PlainKeys,
    /// The rack's name, for the list that a console-mode client asks for.
    pub rack_name: String,
    /// Hosts on which `/` is the rack.
    pub rack_hosts: Vec<String>,
    /// Settings in force.
    pub settings: Arc<InForce>,
    /// What people hold besides their roles.
    pub entitlements: Arc<Entitlements>,
    /// Who reads which app's values in plaintext for a while.
    pub reveal_times: Arc<RevealTimes>,
    /// From where connections come, and who is believed.
    pub networks: Networks,
    /// The largest form body that is read into memory, in bytes.
    pub form_limit_bytes: usize,
    /// The largest request head, in bytes.
    pub head_limit_bytes: usize,
    /// How long a request head may take.
    pub head_limit: Duration,
    /// How long a connection may stay open between two requests.
    pub idle_limit: Duration,
    /// How long a client may leave a reply unread.
    pub send_limit: Duration,
    /// How slowly a client may send a body.
    pub pace: Pace,
    /// What HTTP/2 may do.
    pub http2: Http2Options,
    /// How often, and how much at once.
    pub limits: LimitOptions,
    /// Who tells people what happened.
    pub notices: Arc<dyn Notices>,
    /// Who checks what YubiKeys type; `None` = nobody.
    pub yubico: Option<Arc<Yubico>>,
    /// What is counted and timed.
    pub metrics: Arc<Metrics>,
    /// Whether requests are traced; `None` = they are not.
    pub spans: Option<Spans>,
    /// Serves the gateway's own operations after the verdict.
    pub control: Arc<dyn ControlPlane>,
}

/// The data plane.
#[derive(Debug)]
pub struct DataPlane {
    pub(crate) parts: DataPlaneParts,
    pub(crate) known: KnownSecrets,
    pub(crate) own_writes: OwnWrites,
    pub(crate) refusals: RefusalCounter,
    pub(crate) limits: Limits,
    pub(crate) services: Arc<ServiceUpstreams>,
    /// Open sockets; they outlive the connection that they came over.
    pub(crate) sockets: TaskTracker,
    /// What is known of those that are sessions in the rack.
    pub(crate) sessions: Sessions,
    /// Places for uploads that are read on their way.
    pub(crate) scans: Arc<Semaphore>,
    /// Cancelled when open sockets have to end.
    pub(crate) closing: CancellationToken,
    /// What people in a shell are told while it goes on.
    pub(crate) announcement: watch::Sender<Option<Arc<str>>>,
    /// Parsed secret labels by the column's text, so that no reply parses them again.
    labels: BTreeMap<String, Labels>,
}

impl DataPlane {
    /// Makes the data plane.
    ///
    /// # Errors
    /// When a row's secret labels cannot be understood: then no reply of that row could be made safe.
    pub fn new(
        parts: DataPlaneParts,
        services: Arc<ServiceUpstreams>,
    ) -> Result<Arc<Self>, gateway_secrets::LabelError> {
        let labels = parts
            .routes
            .rows()
            .iter()
            .map(|row| Ok((row.secrets.clone(), Labels::parse(&row.secrets)?)))
            .collect::<Result<_, _>>()?;
        let limits = Limits::new(parts.limits.clone());
        Ok(Arc::new(Self {
            parts,
            known: KnownSecrets::new(),
            own_writes: OwnWrites::default(),
            refusals: RefusalCounter::default(),
            limits,
            services,
            sockets: TaskTracker::new(),
            sessions: Sessions::default(),
            scans: Arc::new(Semaphore::new(MOST_SCANS)),
            closing: CancellationToken::new(),
            announcement: watch::Sender::new(None),
            labels,
        }))
    }

    /// What adds the facts of this moment.
    pub(crate) fn circumstances(&self) -> Circumstances<'_> {
        let parts = &self.parts;
        let now = parts.clock.now();
        Circumstances { settings: &parts.settings, entitlements: &parts.entitlements, now }
    }

    pub(crate) fn labels_of(&self, column: &str) -> Option<&Labels> {
        self.labels.get(column)
    }

    /// Names whose values may be shown: of an app, or of everything (`None`), where a name that is secret for some app
    /// is shown for none.
    pub(crate) fn plain_keys(&self, app: Option<&str>) -> PlainKeys {
        let settings = &self.parts.settings;
        let plain = settings.env_keys(SettingKey::EnvPlain, app);
        let mut secret = settings.env_keys(SettingKey::EnvSecret, app);
        if app.is_none() {
            secret.extend(settings.env_keys_of_apps(SettingKey::EnvSecret));
        }
        if plain.is_empty() && secret.is_empty() {
            return self.parts.plain_keys.clone();
        }
        match (NamePatterns::new(plain), NamePatterns::new(secret)) {
            (Ok(plain), Ok(secret)) => self.parts.plain_keys.adjusted(plain, secret),
            // A setting has no such pattern; were there one, nothing would be plain.
            (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => PlainKeys::none(),
        }
    }

    /// Environment keys of an app that nobody changes through the gateway.
    pub(crate) fn protected_keys(&self, app: &str) -> Result<NamePatterns, Problem> {
        let names = self.parts.settings.env_keys(SettingKey::EnvProtected, Some(app));
        NamePatterns::new(names).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "env_protected cannot be read");
            Problem::new(
                ProblemKind::Internal,
                Layer::Authorization,
                "the setting env_protected cannot be read, so no environment is changed",
            )
        })
    }

    pub(crate) fn new_request_id(&self) -> RequestId {
        RequestId::new(self.parts.clock.now(), &*self.parts.entropy)
    }

    /// Tells the people at open terminals this sentence, in a line of its own. Sessions without a terminal are not
    /// told: what reads them takes every byte for the program's.
    pub fn tell_terminals(&self, sentence: &str) {
        self.announcement.send_replace(Some(Arc::from(sentence)));
    }

    /// Waits until every open socket has ended by itself.
    pub async fn sockets_ended(&self) {
        self.sockets.close();
        self.sockets.wait().await;
        // What was said last is kept before the log is closed.
        self.sessions.writers.close();
        self.sessions.writers.wait().await;
    }

    /// Ends open sockets with a reason and waits until their outcomes are written.
    pub async fn close_sockets(&self) {
        self.closing.cancel();
        self.sockets_ended().await;
    }

    /// How many sockets are open.
    pub fn open_sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Follows the services in force: health checks begin and end, signing keys are kept up. Called at start, each
    /// minute, and when services changed.
    pub async fn tend_services(&self) {
        self.services.tidy(&self.parts.rules).await;
    }

    /// Looks whether the rack's credential is another one now, and exchanges it. Returns why it cannot be read, or no
    /// token minted with it, while that is so: the last one then holds. Called at start and every two seconds.
    pub async fn tend_rack_credential(&self) -> Option<String> {
        self.parts.rack_credential.tend().await
    }

    /// Renews what the gateway signs in to Vault with, when that is due. Called each minute.
    pub async fn renew_vault_token(&self) {
        self.services.secrets.renew().await;
    }

    /// Closes connections to the rack that have rested for long. Called each minute.
    pub fn tidy_upstream(&self) {
        self.parts.upstream.tidy();
    }

    /// Forgets what the limits need no longer. Called each minute.
    pub async fn tidy_limits(&self) {
        self.limits.tidy(self.parts.clock.now());
        let counts = self.parts.store.rate_counts();
        if counts.are_shared()
            && let Err(error) = counts.tidy().await
        {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "old counts of limits were not deleted"
            );
        }
    }

    /// Shares what was counted with other instances, where there can be any. Called each second.
    pub async fn share_limits(&self) {
        if self.parts.settings.rate_limits() && self.parts.store.rate_counts().are_shared() {
            self.limits.share(&self.parts.store, self.parts.clock.now()).await;
        }
    }

    /// Writes down what was refused before there was a request: counted with others of its source.
    pub(crate) fn refuse_unread(self: &Arc<Self>, address: IpAddr, problem: &Problem) {
        let mut outcome = OutcomeGuard::begin(self, address);
        outcome.problem(problem);
        outcome.status(problem.kind.status());
        outcome.finish(End::Refused);
    }

    /// Writes the counts of refused callers without a credential whose minute is over.
    pub fn sum_up_refusals(&self) {
        self.write_refusals(false);
    }

    /// Writes all such counts. Called at shutdown.
    pub fn flush_refusals(&self) {
        self.write_refusals(true);
    }

    fn write_refusals(&self, everything: bool) {
        for event in self.refusals.drain(self.parts.clock.now(), &*self.parts.entropy, everything) {
            self.parts.store.audit().queue(event);
        }
    }
}
