//! Opening and closing the store, and the way to each aggregate.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use gateway_audit::{NoteSigner, PreviousShutdown, origin_of};
use gateway_types::{Clock, Entropy, GatewayId, Secret, Timestamp};
use tokio::task::JoinHandle;

use crate::approvals::Approvals;
use crate::audit::{self, AuditLog};
use crate::audit_counts::AuditTallies;
use crate::audit_retention::AuditRetention;
use crate::audit_shares::AuditShares;
use crate::audit_sinks::AuditSinks;
use crate::bases::Bases;
use crate::break_glass::BreakGlass;
use crate::callers::{Callers, KNOWN_FOR, keep_current, write_touches};
use crate::ceremonies::Ceremonies;
use crate::certificates::{self, Certificates};
use crate::challenges::Challenges;
use crate::changes::{self, Changes};
use crate::cli_codes::CliCodes;
use crate::database::{Database, Location};
use crate::devices::Devices;
use crate::elevations::Elevations;
use crate::error::StoreError;
use crate::events::Events;
use crate::factors::{self, Factors};
use crate::files::{self, ServeLock};
use crate::groups::Groups;
use crate::handoffs::Handoffs;
use crate::identities::Identities;
use crate::imports::Imports;
use crate::integrations::{self, Integrations};
use crate::jobs::Jobs;
use crate::kept::Kept;
use crate::leases::{Leases, LocalNames};
use crate::migrate::{self, AppliedMigration};
use crate::modes::Modes;
use crate::policies::Policies;
use crate::provider_sessions::{self, ProviderSessions};
use crate::rate_counts::RateCounts;
use crate::recordings::{self, Recordings};
use crate::restorations::Restorations;
use crate::reveals::Reveals;
use crate::role_grants::RoleGrants;
use crate::runs::Run;
use crate::saved_searches::SavedSearches;
use crate::sealing::Sealer;
use crate::secrets::{self, Stamp};
use crate::sentinel::Sentinel;
use crate::services::Services;
use crate::sessions::Sessions;
use crate::settings::Settings;
use crate::sign_ins::{self, SignIns};
use crate::signing_keys::{self, SigningKeys};
use crate::slack::SlackMessages;
use crate::step_ups::{self, StepUps};
use crate::tokens::Tokens;
use crate::trust_rules::TrustRules;
use crate::trusted_devices::TrustedDevices;
use crate::users::Users;
use crate::vantage::VantagePoints;
use crate::workloads::Workloads;
use crate::zone::{self, Zones};

/// What the signing key of the checkpoints is derived for.
const CHECKPOINT_KEY: &str = "audit-checkpoint-signing/v1";

/// Who opens the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// `serve`. On SQLite there is one at a time; it records its start and stop.
    Serve,
    /// A command on the server's machine; may run beside a `serve`.
    Tool,
}

/// How to open the store.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite:///path/file.db` or `postgres://…`. In-memory SQLite is refused.
    pub url: String,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub entropy: Arc<dyn Entropy>,
    /// Connections of the pool, at least 2.
    pub max_connections: u32,
    /// Who opens it.
    pub access: Access,
    /// `APP_SECRET_KEY`. `None` or empty: one is made and kept in the database, see
    /// [`Store::made_its_own_secret`].
    pub app_secret_key: Option<Secret<String>>,
}

/// What becomes of a database that another rack's gateway used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adoption {
    /// It is refused: its people, tokens and log are about something else.
    Refuse,
    /// It is taken over: the rack moved to another address, or the operator says so.
    Adopt,
}

/// The connections to the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreConnections {
    /// Those that somebody uses.
    pub used: u32,
    /// Those that are open and rest.
    pub idle: u32,
    /// The most that may be open; whoever finds none waits.
    pub most: u32,
}

/// Before which rack the gateway stands that opens the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RackClaim {
    /// The rack's host and port, in their one spelling.
    pub rack: String,
    /// What becomes of a database of another one.
    pub adoption: Adoption,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the URL: it may hold a password.
        f.debug_struct("StoreOptions").field("access", &self.access).finish_non_exhaustive()
    }
}

/// What every aggregate needs.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) database: Database,
    pub(crate) changes: Arc<Changes>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) lease_names: LocalNames,
    /// The run of `serve` that this is; not set for tools.
    pub(crate) run_id: OnceLock<String>,
    pub(crate) step_ups: step_ups::Remembered,
}

/// The store of one gateway.
pub struct Store {
    core: Arc<Core>,
    callers: Arc<Callers>,
    audit: AuditLog,
    stamp: Stamp,
    sealer: Arc<Sealer>,
    sign_in_sealer: Arc<Sealer>,
    provider_sealer: Arc<Sealer>,
    signing_sealer: Arc<Sealer>,
    certificate_sealer: Arc<Sealer>,
    recording_sealer: Arc<Sealer>,
    zone_sealer: Arc<Sealer>,
    integration_sealer: Arc<Sealer>,
    adopted: bool,
    run: Option<Run>,
    lock: Mutex<Option<ServeLock>>,
    tasks: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("gateway_id", &self.stamp.gateway_id).finish_non_exhaustive()
    }
}

impl Store {
    /// Connects, migrates, stamps the database at first use, checks the key against the stamp, and
    /// for [`Access::Serve`] records the start.
    ///
    /// # Errors
    /// [`StoreError::Locked`] for a second `serve` on one SQLite file, [`StoreError::WrongSecretKey`]
    /// or [`StoreError::SecretKeyMissing`] for a database of another key, and whatever keeps the
    /// database from being used.
    pub async fn open(options: StoreOptions) -> Result<Arc<Store>, StoreError> {
        Self::open_with(options, None, KNOWN_FOR).await
    }

    /// The same for the gateway of one rack: the first one stamps the database with its rack. `known_for` is how long
    /// callers may be answered from memory while the database cannot be asked.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`StoreError::OtherRack`]; nothing is then written to the log.
    pub async fn open_for(
        options: StoreOptions,
        claim: RackClaim,
        known_for: Duration,
    ) -> Result<Arc<Store>, StoreError> {
        Self::open_with(options, Some(claim), known_for).await
    }

    async fn open_with(
        options: StoreOptions,
        claim: Option<RackClaim>,
        known_for: Duration,
    ) -> Result<Arc<Store>, StoreError> {
        let serving = options.access == Access::Serve;
        let (location, lock) = prepare(&options.url, serving)?;
        let database = Database::connect(&location, options.max_connections).await?;
        let now = options.clock.now();
        migrate::run(&database, now.micros()).await?;
        let stamp = secrets::stamp(&database, options.app_secret_key, now, &*options.entropy).await?;
        let adopted = match &claim {
            Some(claim) => secrets::claim(&database, claim).await?,
            None => false,
        };
        let changes = Arc::new(Changes::new(database.version().await?));
        let (callers, touches) =
            Callers::new(database.clone(), Arc::clone(&changes), options.max_connections, known_for);
        let callers = Arc::new(callers);
        let mut tasks = Vec::new();
        if serving {
            let listen_url = match &location {
                Location::Postgres { url } => Some(url.clone()),
                Location::Sqlite { .. } => None,
            };
            tasks.push(tokio::spawn(changes::watch(database.clone(), Arc::clone(&changes), listen_url)));
            tasks.push(tokio::spawn(write_touches(database.clone(), touches)));
            let (callers, clock) = (Arc::downgrade(&callers), Arc::clone(&options.clock));
            tasks.push(tokio::spawn(keep_current(callers, Arc::clone(&changes), clock)));
        }
        let core = Arc::new(Core {
            database,
            changes,
            clock: options.clock,
            entropy: options.entropy,
            lease_names: LocalNames::default(),
            run_id: OnceLock::new(),
            step_ups: step_ups::Remembered::new(known_for),
        });
        let signer = signer(&stamp)?;
        let sealer = Arc::new(Sealer::new(&stamp, factors::SEALING_KEY)?);
        let sign_in_sealer = Arc::new(Sealer::new(&stamp, sign_ins::SEALING_KEY)?);
        let provider_sealer = Arc::new(Sealer::new(&stamp, provider_sessions::SEALING_KEY)?);
        let signing_sealer = Arc::new(Sealer::new(&stamp, signing_keys::SEALING_KEY)?);
        let certificate_sealer = Arc::new(Sealer::new(&stamp, certificates::SEALING_KEY)?);
        let zone_sealer = Arc::new(Sealer::new(&stamp, zone::SEALING_KEY)?);
        let integration_sealer = Arc::new(Sealer::new(&stamp, integrations::SEALING_KEY)?);
        let recording_sealer = Arc::new(Sealer::new(&stamp, recordings::SEALING_KEY)?);
        let log_sealer = Arc::new(Sealer::new(&stamp, audit::SEALING_KEY)?);
        let audit = AuditLog::start(Arc::clone(&core), stamp.gateway_id, signer, log_sealer, serving).await?;
        let mut store = Store {
            core,
            callers,
            audit,
            stamp,
            sealer,
            sign_in_sealer,
            provider_sealer,
            signing_sealer,
            certificate_sealer,
            recording_sealer,
            zone_sealer,
            integration_sealer,
            adopted,
            run: None,
            lock: Mutex::new(lock),
            tasks,
        };
        if serving {
            store.run = Some(store.begin_run(&location, now).await?);
        }
        Ok(Arc::new(store))
    }

    async fn begin_run(&self, location: &Location, now: Timestamp) -> Result<Run, StoreError> {
        let core = &self.core;
        let (run, previous) = Run::begin(&core.database, location, now, &*core.entropy).await?;
        // A store begins one run in its life.
        let _first = core.run_id.set(run.id().to_owned());
        if previous == PreviousShutdown::Unclean {
            tracing::warn!("the previous run did not shut down cleanly");
        }
        self.audit.record_start(previous).await?;
        Ok(run)
    }

    /// Whether there is a database at this address: for commands that would rather say that there is
    /// none than make one. A server's databases are taken to be there; opening says more.
    ///
    /// # Errors
    /// [`StoreError::Url`].
    pub fn is_there(url: &str) -> Result<bool, StoreError> {
        Ok(match Location::parse(url)? {
            Location::Sqlite { path, .. } => path.exists(),
            Location::Postgres { .. } => true,
        })
    }

    /// Applies what is missing of the schema; returns what was applied, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Migration`]; nothing is then changed.
    pub async fn migrate(url: &str, clock: &dyn Clock) -> Result<Vec<AppliedMigration>, StoreError> {
        let (location, _no_lock) = prepare(url, false)?;
        let database = Database::connect(&location, 2).await?;
        let applied = migrate::run(&database, clock.now().micros()).await;
        database.pool().close().await;
        applied
    }

    /// The id stamped into the database.
    pub const fn gateway_id(&self) -> GatewayId {
        self.stamp.gateway_id
    }

    /// Whether the database was another rack's until it was opened this time.
    pub const fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// Whether no `APP_SECRET_KEY` was given and the database keeps one of its own: whoever can read
    /// the database can then derive every key of this gateway.
    pub const fn made_its_own_secret(&self) -> bool {
        self.stamp.own_secret
    }

    /// 32 bytes for this purpose, the same ones each time: HKDF-SHA256 of the app secret key.
    /// Name purposes like `audit-checkpoint-signing/v1`.
    pub fn derive_key(&self, purpose: &str) -> Secret<Vec<u8>> {
        self.stamp.derive(purpose)
    }

    /// How the pool of connections stands at this moment.
    pub fn connections(&self) -> StoreConnections {
        let pool = self.core.database.pool();
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        StoreConnections {
            used: pool.size().saturating_sub(idle),
            idle,
            most: pool.options().get_max_connections(),
        }
    }

    /// The stamps of the migrations that the database has, oldest first.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn schema(&self) -> Result<Vec<i64>, StoreError> {
        let mut connection = self.core.database.pool().acquire().await?;
        Ok(migrate::applied(&mut connection).await?.into_keys().collect())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.core.database.ping().await
    }

    /// Writes everything out, records the stop, and lets go of the database. Closing again does
    /// nothing.
    pub async fn close(&self) {
        match self.audit.close().await {
            Ok(()) => {
                if let Some(run) = &self.run
                    && let Err(error) = run.end(&self.core.database).await
                {
                    tracing::debug!(error = &error as &dyn std::error::Error, "the end was not noted");
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the audit log did not close cleanly"
                );
            }
        }
        for task in &self.tasks {
            task.abort();
        }
        self.core.database.pool().close().await;
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    #[cfg(test)]
    pub(crate) fn core_for_tests(&self) -> &Core {
        &self.core
    }

    /// The run of `serve` that this is.
    #[cfg(test)]
    pub(crate) const fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// The people.
    pub fn users(&self) -> Users {
        Users { core: Arc::clone(&self.core) }
    }

    /// The API tokens.
    pub fn tokens(&self) -> Tokens {
        Tokens { core: Arc::clone(&self.core) }
    }

    /// The sessions.
    pub fn sessions(&self) -> Sessions {
        Sessions { core: Arc::clone(&self.core) }
    }

    /// The second factors of people.
    pub fn factors(&self) -> Factors {
        Factors { core: Arc::clone(&self.core), sealer: Arc::clone(&self.sealer) }
    }

    /// The step-ups of sessions.
    pub fn step_ups(&self) -> StepUps {
        StepUps { core: Arc::clone(&self.core) }
    }

    /// The step-up challenges of sessions.
    pub fn challenges(&self) -> Challenges {
        Challenges { core: Arc::clone(&self.core) }
    }

    /// Challenges that passkeys were given.
    pub fn ceremonies(&self) -> Ceremonies {
        Ceremonies { core: Arc::clone(&self.core) }
    }

    /// Who people are at identity providers.
    pub fn identities(&self) -> Identities {
        Identities { core: Arc::clone(&self.core) }
    }

    /// Sign-ins that wait for the identity provider.
    pub fn sign_ins(&self) -> SignIns {
        SignIns { core: Arc::clone(&self.core), sealer: Arc::clone(&self.sign_in_sealer) }
    }

    /// Sessions of people at identity providers.
    pub fn provider_sessions(&self) -> ProviderSessions {
        ProviderSessions { core: Arc::clone(&self.core), sealer: Arc::clone(&self.provider_sealer) }
    }

    /// Browsers that need no second factor to sign in.
    pub fn trusted_devices(&self) -> TrustedDevices {
        TrustedDevices { core: Arc::clone(&self.core) }
    }

    /// Certificates of the gateway's own listener, with what it takes to get them.
    pub fn certificates(&self) -> Certificates {
        Certificates { core: Arc::clone(&self.core), sealer: Arc::clone(&self.certificate_sealer) }
    }

    /// Codes that a command line turns into a session.
    pub fn cli_codes(&self) -> CliCodes {
        CliCodes { core: Arc::clone(&self.core) }
    }

    /// Devices that wait to be let in.
    pub fn devices(&self) -> Devices {
        Devices { core: Arc::clone(&self.core) }
    }

    /// What the gateway learnt about itself.
    pub fn kept(&self) -> Kept {
        Kept { core: Arc::clone(&self.core) }
    }

    /// The groups of identity providers.
    pub fn groups(&self) -> Groups {
        Groups { core: Arc::clone(&self.core) }
    }

    /// The credentials with which others are asked and told.
    pub fn integrations(&self) -> Integrations {
        Integrations { core: Arc::clone(&self.core), sealer: Arc::clone(&self.integration_sealer) }
    }

    /// Where Slack was told of approvals, and what it said.
    pub fn slack(&self) -> SlackMessages {
        SlackMessages { core: Arc::clone(&self.core) }
    }

    /// The keys that sign request tokens for services.
    pub fn signing_keys(&self) -> SigningKeys {
        SigningKeys { core: Arc::clone(&self.core), sealer: Arc::clone(&self.signing_sealer) }
    }

    /// The settings kept in the database.
    pub fn settings(&self) -> Settings {
        Settings { core: Arc::clone(&self.core) }
    }

    /// Approvals: roles for a while.
    pub fn approvals(&self) -> Approvals {
        Approvals { core: Arc::clone(&self.core) }
    }

    /// Elevations: roles for a while.
    pub fn elevations(&self) -> Elevations {
        Elevations { core: Arc::clone(&self.core) }
    }

    /// Sessions in the rack, and what was recorded of them.
    pub fn recordings(&self) -> Recordings {
        Recordings { core: Arc::clone(&self.core), sealer: Arc::clone(&self.recording_sealer) }
    }

    /// Times in which one credential reads an app's values.
    pub fn reveals(&self) -> Reveals {
        Reveals { core: Arc::clone(&self.core) }
    }

    /// How many requests were decided.
    pub fn audit_tallies(&self) -> AuditTallies {
        AuditTallies { core: Arc::clone(&self.core) }
    }

    /// From which entry on the log has bodies.
    pub fn audit_retention(&self) -> AuditRetention {
        AuditRetention { core: Arc::clone(&self.core) }
    }

    /// Links by which auditors read a part of the log.
    pub fn audit_shares(&self) -> AuditShares {
        AuditShares { core: Arc::clone(&self.core) }
    }

    /// Searches of the log that people kept.
    pub fn saved_searches(&self) -> SavedSearches {
        SavedSearches { core: Arc::clone(&self.core) }
    }

    /// Grants of roles, and who is in which group.
    pub fn role_grants(&self) -> RoleGrants {
        RoleGrants { core: Arc::clone(&self.core) }
    }

    /// The policy documents kept in the database.
    pub fn policies(&self) -> Policies {
        Policies { core: Arc::clone(&self.core) }
    }

    /// What the sentinel saw of the rack.
    pub fn sentinel(&self) -> Sentinel {
        Sentinel { core: Arc::clone(&self.core) }
    }

    /// From where it is looked what answers.
    pub fn vantage_points(&self) -> VantagePoints {
        VantagePoints { core: Arc::clone(&self.core) }
    }

    /// What is to be told of the last restore.
    pub fn restorations(&self) -> Restorations {
        Restorations { core: Arc::clone(&self.core) }
    }

    /// What was taken over from another gateway's database.
    pub fn imports(&self) -> Imports {
        Imports { core: Arc::clone(&self.core) }
    }

    /// Whether all instances are read-only on purpose.
    pub fn modes(&self) -> Modes {
        Modes { core: Arc::clone(&self.core) }
    }

    /// The services declared in the database.
    pub fn services(&self) -> Services {
        Services { core: Arc::clone(&self.core) }
    }

    /// Browsers on their way from a service's host to the gateway and back.
    pub fn handoffs(&self) -> Handoffs {
        Handoffs { core: Arc::clone(&self.core) }
    }

    /// From credentials to callers.
    pub fn callers(&self) -> &Callers {
        &self.callers
    }

    /// The remembered bases of environment merges.
    pub fn bases(&self) -> Bases {
        Bases { core: Arc::clone(&self.core) }
    }

    /// How far the sinks of the log are.
    pub fn audit_sinks(&self) -> AuditSinks {
        AuditSinks { core: Arc::clone(&self.core) }
    }

    /// What instances tell each other of the limits.
    pub fn rate_counts(&self) -> RateCounts {
        RateCounts { core: Arc::clone(&self.core) }
    }

    /// Trust rules: how machines without secrets sign in.
    pub fn trust_rules(&self) -> TrustRules {
        TrustRules { core: Arc::clone(&self.core) }
    }

    /// Short tokens of workloads.
    pub fn workloads(&self) -> Workloads {
        Workloads { core: Arc::clone(&self.core) }
    }

    /// The codes for emergencies.
    pub fn break_glass(&self) -> BreakGlass {
        BreakGlass { core: Arc::clone(&self.core) }
    }

    /// The trust zone.
    pub fn zone(&self) -> Zones {
        Zones { core: Arc::clone(&self.core), sealer: Arc::clone(&self.zone_sealer) }
    }

    /// Mutual exclusion across instances.
    pub fn leases(&self) -> Leases {
        Leases { core: Arc::clone(&self.core) }
    }

    /// The jobs: work that is done later and again until it succeeds.
    pub fn jobs(&self) -> Jobs {
        Jobs { core: Arc::clone(&self.core) }
    }

    /// The audit log, for writing.
    pub const fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// The audit log, for reading.
    pub fn events(&self) -> Events {
        Events { core: Arc::clone(&self.core) }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Makes the SQLite file ready and takes its lock where one is needed.
pub(crate) fn prepare(url: &str, serving: bool) -> Result<(Location, Option<ServeLock>), StoreError> {
    let location = Location::parse(url)?;
    let lock = match &location {
        Location::Sqlite { path, .. } => {
            files::prepare(path)?;
            if serving { Some(ServeLock::take(path)?) } else { None }
        }
        Location::Postgres { .. } => None,
    };
    Ok((location, lock))
}

fn signer(stamp: &Stamp) -> Result<NoteSigner, StoreError> {
    NoteSigner::from_seed(&origin_of(stamp.gateway_id), &stamp.derive(CHECKPOINT_KEY))
        .map_err(|_bad| StoreError::Crypto { doing: "the checkpoint signing key" })
}
