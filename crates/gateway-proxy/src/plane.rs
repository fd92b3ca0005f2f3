//! What the pipeline works with: one value of narrow handles, made once by the composition root.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_app::control::ControlPlane;
use gateway_app::rules::RulesInForce;
use gateway_app::settings::InForce;
use gateway_convox::RouteTable;
use gateway_policy::OwnTable;
use gateway_secrets::{HandleKeyring, Labels, PlainKeys};
use gateway_store::Store;
use gateway_types::{Clock, Entropy, RequestId};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::known::KnownSecrets;
use crate::own_writes::OwnWrites;
use crate::phases::limit::CallerLimits;
use crate::refusals::RefusalCounter;
use crate::services::ServiceUpstreams;
use crate::upstream::Upstream;

/// The largest reply that is read into memory because it may hold secrets, in bytes.
pub const LABELLED_REPLY_LIMIT_BYTES: usize = 64 * 1024 * 1024;

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
    /// The way to the rack.
    pub upstream: Upstream,
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
    /// Peers whose word about the client's address and scheme is believed.
    pub trusted_forwarders: Vec<IpNet>,
    /// The largest form body that is read into memory, in bytes.
    pub form_limit_bytes: usize,
    /// The largest request head, in bytes.
    pub head_limit_bytes: usize,
    /// How long a request head may take.
    pub head_limit: Duration,
    /// Requests of one credential in each second, in the long run.
    pub requests_per_second: u32,
    /// Requests of one credential at once.
    pub request_burst: u32,
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
    pub(crate) limits: CallerLimits,
    pub(crate) services: ServiceUpstreams,
    /// Open sockets; they outlive the connection that they came over.
    pub(crate) sockets: TaskTracker,
    /// Cancelled when open sockets have to end.
    pub(crate) closing: CancellationToken,
    /// Parsed secret labels by the column's text, so that no reply parses them again.
    labels: BTreeMap<String, Labels>,
}

impl DataPlane {
    /// Makes the data plane.
    ///
    /// # Errors
    /// When a row's secret labels cannot be understood: then no reply of that row could be made safe.
    pub fn new(parts: DataPlaneParts) -> Result<Arc<Self>, gateway_secrets::LabelError> {
        let labels = parts
            .routes
            .rows()
            .iter()
            .map(|row| Ok((row.secrets.clone(), Labels::parse(&row.secrets)?)))
            .collect::<Result<_, _>>()?;
        let limits = CallerLimits::new(parts.requests_per_second, parts.request_burst);
        Ok(Arc::new(Self {
            parts,
            known: KnownSecrets::new(),
            own_writes: OwnWrites::default(),
            refusals: RefusalCounter::default(),
            limits,
            services: ServiceUpstreams::default(),
            sockets: TaskTracker::new(),
            closing: CancellationToken::new(),
            labels,
        }))
    }

    pub(crate) fn labels_of(&self, column: &str) -> Option<&Labels> {
        self.labels.get(column)
    }

    pub(crate) fn new_request_id(&self) -> RequestId {
        RequestId::new(self.parts.clock.now(), &*self.parts.entropy)
    }

    /// Waits until every open socket has ended by itself.
    pub async fn sockets_ended(&self) {
        self.sockets.close();
        self.sockets.wait().await;
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

    /// Forgets what the limits need no longer. Called each minute.
    pub fn tidy_limits(&self) {
        self.limits.tidy();
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
