//! A whole gateway for one test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway_app::log;
use gateway_audit::Event;
use gateway_config::{Flags, SecretFile, SecretFiles, Sources};
use gateway_server::{ConfigFile, Running, Surroundings};
use gateway_sim::idp::{DevIdp, DevPerson, IdpOptions};
use gateway_sim::{Flavour, SimOptions, SimRack};
use gateway_store::{Adoption, EventFilter, NewSession, NewToken, NewUser, Store, User};
use gateway_types::{Clock, CredentialKind, Grant, OsEntropy, Role, RoleSet, Secret};
use tempfile::TempDir;

use crate::clock::FakeClock;

/// The database under a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Database {
    /// A file of its own.
    Sqlite,
    /// A database of its own on this process's PostgreSQL server.
    Postgres,
}

impl Database {
    /// Both, for tests that must hold on each.
    pub const BOTH: [Database; 2] = [Database::Sqlite, Database::Postgres];

    /// The URL of a new, empty database; a file one is in `directory`.
    pub fn fresh(self, directory: &Path) -> String {
        match self {
            Database::Sqlite => format!("sqlite://{}", directory.join("gateway.db").display()),
            Database::Postgres => {
                let server =
                    gateway_testdb::postgres().expect("PostgreSQL; run ./scripts/test, which installs it");
                gateway_testdb::fresh_database(server).expect("a database")
            }
        }
    }
}

/// What two instances of one gateway have in common.
#[derive(Clone, Debug)]
struct Shared {
    rack: Arc<SimRack>,
    idp: Option<Arc<DevIdp>>,
    clock: Arc<FakeClock>,
    database_url: String,
    people: BTreeMap<Role, User>,
    tokens: BTreeMap<Role, String>,
}

/// How a [`TestGateway`] is started.
#[derive(Clone, Debug)]
pub struct TestGatewayBuilder {
    database: Database,
    shared: Option<Shared>,
    rack: SimOptions,
    people_of_idp: Option<Vec<DevPerson>>,
    environment: BTreeMap<String, String>,
    default_forwarders: bool,
    file: Option<String>,
}

/// What the development provider and its gateway share.
const IDP_SECRET: &str = "a secret of the provider and the gateway";

impl TestGatewayBuilder {
    /// With a development provider at which the person of each role can sign in.
    #[must_use]
    pub fn idp(self) -> Self {
        let roles = [Role::Viewer, Role::Ops, Role::Deployer, Role::Admin, Role::Auditor];
        let person = |role: Role| DevPerson::new(&format!("{role}@example.com"), role.name(), &[]);
        self.idp_of(roles.into_iter().map(person).collect())
    }

    /// With a development provider at which these people can sign in.
    #[must_use]
    pub fn idp_of(mut self, people: Vec<DevPerson>) -> Self {
        self.people_of_idp = Some(people);
        self
    }

    /// On this database instead of SQLite.
    #[must_use]
    pub fn database(mut self, database: Database) -> Self {
        self.database = database;
        self
    }

    /// In front of a rack of this flavour instead of v3.
    #[must_use]
    pub fn flavour(mut self, flavour: Flavour) -> Self {
        self.rack.flavour = flavour;
        self
    }

    /// In front of a rack started so.
    #[must_use]
    pub fn rack(mut self, options: SimOptions) -> Self {
        self.rack = options;
        self
    }

    /// With this environment variable, such as `RGW_SETTING_DESTRUCTIVE_ACTIONS`.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Believing the routers that are believed unless somebody says otherwise.
    #[must_use]
    pub fn default_forwarders(mut self) -> Self {
        self.default_forwarders = true;
        self
    }

    /// With this configuration file.
    #[must_use]
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// As another instance of `first`: on its database, its clock and its rack, with its people and tokens.
    #[must_use]
    pub fn share(mut self, first: &TestGateway) -> Self {
        self.shared = Some(Shared {
            rack: first.rack.clone(),
            idp: first.idp.clone(),
            clock: first.clock.clone(),
            database_url: first.database_url.clone(),
            people: first.people.clone(),
            tokens: first.tokens.clone(),
        });
        self
    }

    /// Starts it.
    pub async fn start(self) -> TestGateway {
        let directory = TempDir::new().expect("a temporary directory");
        let fill = self.shared.is_none();
        let Shared { rack, idp, clock, database_url, people, tokens } = match self.shared {
            Some(shared) => shared,
            None => {
                let clock: Arc<FakeClock> = Arc::default();
                let idp = match self.people_of_idp {
                    None => None,
                    Some(people) => {
                        let mut options =
                            IdpOptions { clock: clock.clone(), ..IdpOptions::new(people, IDP_SECRET) };
                        // Behind a front that ends TLS people come back to the public address.
                        let public = self.environment.get("DOMAIN");
                        let back = public.map(|domain| format!("https://{domain}/auth/callback/dev"));
                        for client in &mut options.clients {
                            client.redirect_uris.extend(back.clone());
                        }
                        Some(Arc::new(DevIdp::start(options).await.expect("the development provider")))
                    }
                };
                Shared {
                    rack: Arc::new(SimRack::start(self.rack).await.expect("the simulated rack")),
                    idp,
                    clock,
                    database_url: self.database.fresh(directory.path()),
                    people: BTreeMap::new(),
                    tokens: BTreeMap::new(),
                }
            }
        };
        let mut environment = self.environment;
        let mut set = |name: &str, value: String| {
            environment.entry(name.to_owned()).or_insert(value);
        };
        set("RACK_HOST", rack.url());
        set("RACK_TOKEN", rack.password().to_owned());
        set("RACK_NAME", "testrack".to_owned());
        set("DATABASE_URL", database_url.clone());
        set("DATA_DIR", directory.path().display().to_string());
        set("LISTENER_ADDRESSES", "127.0.0.1".to_owned());
        set("PORT", "0".to_owned());
        // Tests are on loopback, where routers are believed by default; the tests of that list one.
        if !self.default_forwarders {
            set("TRUSTED_FORWARDERS", String::new());
        }
        // Tests send as fast as they can; the test of the limits switches them on.
        set("RGW_SETTING_RATE_LIMITS", "off".to_owned());
        // It would ask the racks of tests, which count their requests.
        set("SENTINEL_INTERVAL", "0s".to_owned());
        // It would connect to the services of tests, which count their connections.
        set("ZONE_PROBE_INTERVAL", "0s".to_owned());
        set("ADMIN_PORT", "0".to_owned());
        set("APP_SECRET_KEY", "a test key of at least thirty-two characters".to_owned());
        let mut gateway = TestGateway {
            clock,
            environment,
            file: with_provider(self.file, idp.as_deref()),
            idp,
            database_url,
            people,
            tokens,
            running: None,
            rack,
            directory,
        };
        gateway.run().await;
        if fill {
            gateway.fill().await;
        }
        gateway
    }
}

/// Files with secrets, as `serve` reads them.
struct Disk;

impl SecretFiles for Disk {
    fn read(&self, path: &Path) -> Result<SecretFile, std::io::ErrorKind> {
        let content = std::fs::read_to_string(path).map_err(|error| error.kind())?;
        Ok(SecretFile { content: Secret::new(content), mode: 0o600 })
    }
}

/// The configuration file with the provider in it.
fn with_provider(file: Option<String>, idp: Option<&DevIdp>) -> Option<String> {
    let Some(idp) = idp else { return file };
    let provider = format!(
        "[[identity.provider]]\nname = \"dev\"\nissuer = \"{}\"\nclient_id = \"rack-gateway\"\nclient_secret = \"{IDP_SECRET}\"\n",
        idp.url()
    );
    Some(format!("{}\n{provider}", file.unwrap_or_default()))
}

/// A gateway in front of a simulated rack, with a person and a token of each role.
#[derive(Debug)]
pub struct TestGateway {
    /// The rack behind it.
    pub rack: Arc<SimRack>,
    /// The provider at which its people sign in, when it was asked for.
    pub idp: Option<Arc<DevIdp>>,
    /// Its clock.
    pub clock: Arc<FakeClock>,
    /// Its database's address.
    pub database_url: String,
    environment: BTreeMap<String, String>,
    file: Option<String>,
    people: BTreeMap<Role, User>,
    tokens: BTreeMap<Role, String>,
    running: Option<Running>,
    directory: TempDir,
}

impl TestGateway {
    /// The usual one: SQLite, a v3 rack in the recorded state.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// One that differs from the usual.
    pub fn builder() -> TestGatewayBuilder {
        TestGatewayBuilder {
            database: Database::Sqlite,
            shared: None,
            rack: SimOptions::for_tests(),
            people_of_idp: None,
            environment: BTreeMap::new(),
            default_forwarders: false,
            file: None,
        }
    }

    async fn run(&mut self) {
        let sources = Sources {
            file: self.file.clone().map(|text| ("rack-gateway.toml".into(), text)),
            environment: self.environment.clone(),
            flags: Flags::default(),
        };
        let config = gateway_config::parse_with(sources, &Disk).unwrap_or_else(|faults| panic!("{faults}"));
        let surroundings = Surroundings {
            clock: self.clock.clone(),
            entropy: Arc::new(OsEntropy),
            adoption: Adoption::Refuse,
        };
        let running =
            gateway_server::start(config, surroundings).await.unwrap_or_else(|error| panic!("{error:?}"));
        self.running = Some(running);
    }

    async fn fill(&mut self) {
        for role in [Role::Viewer, Role::Ops, Role::Deployer, Role::Admin, Role::Auditor] {
            let email = format!("{role}@example.com");
            let new = NewUser { name: email.clone(), email, roles: RoleSet::of(role) };
            let user = self.store().users().create(new).await.expect("a person");
            self.people.insert(role, user);
        }
        for role in Role::ALL {
            let token = self.new_token(role, vec![Grant::everything()]).await;
            self.tokens.insert(role, token);
        }
    }

    /// Its public address.
    pub fn addr(&self) -> SocketAddr {
        *self.running().addresses.first().expect("an address")
    }

    /// Where it sends clients to HTTPS.
    pub fn http_addr(&self) -> SocketAddr {
        *self.running().http_addresses.first().expect("a plain-HTTP listener")
    }

    /// Gives it these host names from now on.
    pub fn answer_to(&self, names: &[&str]) {
        self.running().answer_to(names.iter().map(|name| (*name).to_owned()).collect());
    }

    /// Its second listener.
    pub fn admin_addr(&self) -> SocketAddr {
        self.running().admin_address
    }

    /// Its store.
    pub fn store(&self) -> &Arc<Store> {
        &self.running().store
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("a gateway that runs")
    }

    /// Stops it and starts it again on the same database.
    pub async fn restart(&mut self) {
        self.restart_after(|| {}).await;
    }

    /// The same, with this done in between.
    pub async fn restart_after(&mut self, meanwhile: impl FnOnce()) {
        self.running.take().expect("a gateway that runs").stop().await;
        meanwhile();
        self.run().await;
    }

    /// The person with this role; there is none for `cicd`, which is for machines.
    pub fn person(&self, role: Role) -> &User {
        self.people.get(&role).expect("a person with the role")
    }

    /// An API token of this role, granted everything short of class *critical*, made by the admin.
    pub fn token(&self, role: Role) -> &str {
        self.tokens.get(&role).expect("a token of the role")
    }

    /// A new token of this role, made by the admin, with these grants.
    pub async fn new_token(&self, role: Role, grants: Vec<Grant>) -> String {
        self.new_token_of(Role::Admin, role, grants).await
    }

    /// A new token of this role, made by the person with the role `creator`.
    pub async fn new_token_of(&self, creator: Role, role: Role, grants: Vec<Grant>) -> String {
        let new = NewToken {
            name: format!("{role} for tests"),
            roles: RoleSet::of(role),
            grants,
            creator: self.person(creator).id,
            expires: None,
            networks: Vec::new(),
        };
        self.store().tokens().create(new).await.expect("a token").1.expose().clone()
    }

    /// An admin's token that also reaches class *critical*, as a bound step-up of its creator would grant.
    pub async fn critical_token(&self) -> String {
        self.new_token(Role::Admin, vec![Grant { critical: true, ..Grant::everything() }]).await
    }

    /// A new CLI session of the person with this role.
    pub async fn session(&self, role: Role) -> String {
        self.session_of(self.person(role)).await
    }

    /// A new CLI session of this person.
    pub async fn session_of(&self, user: &User) -> String {
        let new = NewSession {
            user: user.id,
            kind: CredentialKind::CliSession,
            expires: self.clock.now().saturating_add(Duration::from_secs(30 * 24 * 3600)),
            idle_limit: Duration::from_secs(8 * 3600),
            device: "test".to_owned(),
            ip: None,
        };
        self.store().sessions().create(new).await.expect("a session").1.expose().clone()
    }

    /// Every event so far, oldest first, after what is queued was written.
    pub async fn events(&self) -> Vec<(u64, Event)> {
        self.store().audit().flush().await.expect("a log that can be written");
        let mut events = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self
                .store()
                .events()
                .page(&EventFilter::default(), cursor.as_deref(), 1000)
                .await
                .expect("a log that can be read");
            events.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        events.sort_by_key(|(index, _)| *index);
        events
    }

    /// Stops the gateway and verifies its whole log. Every test ends with this.
    pub async fn finish(mut self) {
        let running = self.running.take().expect("a gateway that runs");
        let store = running.store.clone();
        running.store.audit().flush().await.expect("a log that can be written");
        log::verify(&store, |_, _| {})
            .await
            .unwrap_or_else(|error| panic!("the log does not verify: {error}"));
        running.stop().await;
    }

    /// Writes its configuration file again, as an operator would, with the provider in it.
    pub fn write_file(&self, text: &str) {
        let text = with_provider(Some(text.to_owned()), self.idp.as_deref()).unwrap_or_default();
        // A new file in the place of the old one, as editors and deployments do it.
        let new = self.directory.path().join("rack-gateway.toml.new");
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(new, self.file_path()).expect("a file in its place");
    }

    /// Follows the configuration file from now on, as `serve` does.
    pub fn follow_file(&self) {
        self.running().follow(self.config_file());
    }

    /// Does now what `serve` does for its services each minute: its own minutes are no test's.
    pub async fn minute_of_services(&self) {
        self.running().tend_services().await;
    }

    /// Reads the configuration file again now, as `serve` does when it was changed.
    pub async fn read_file_again(&self) {
        self.running().read_again(self.config_file()).await;
    }

    fn config_file(&self) -> ConfigFile {
        let (path, environment) = (self.file_path(), self.environment.clone());
        let read = path.clone();
        let load = move || {
            let text = std::fs::read_to_string(&read).unwrap_or_default();
            gateway_config::parse(Sources {
                file: Some((read.clone(), text)),
                environment: environment.clone(),
                flags: Flags::default(),
            })
        };
        ConfigFile { path, load: Arc::new(load) }
    }

    fn file_path(&self) -> PathBuf {
        self.directory.path().join("rack-gateway.toml")
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        // A test that forgets `finish` would not notice a broken log.
        if self.running.is_some() && !std::thread::panicking() {
            panic!("end the test with `gateway.finish().await`, which verifies the log");
        }
    }
}
