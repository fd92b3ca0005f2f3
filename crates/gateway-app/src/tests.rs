//! The application on both databases: people, a clock that is moved, and everything that people are told.

mod factors;
mod groups;
mod me;
mod sessions;
mod tokens;
mod users;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use crate::rules::RulesInForce;
use gateway_audit::Event;
use gateway_config::{Identity, OidcProvider, Settings, Users};
use gateway_convox::RouteTable;
use gateway_identity::oidc::{Answer, Fetch, FetchError};
use gateway_policy::{OwnTable, PolicyEngine};
use gateway_store::{
    Access, ApiToken, CallerFault, NewSession, NewToken, NewUser, ResolveError, Store, StoreOptions, User,
};
use gateway_types::{
    Caller, Channel, Clock, CredentialKind, Facts, Grant, OsEntropy, Principal, Problem, ProblemKind,
    RequestId, Role, RoleSet, Secret, Timestamp,
};
use tempfile::TempDir;

use crate::health::Health;
use crate::notify::{Notice, Notices, Notifying};
use crate::settings::InForce;
use crate::{App, Operator};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Everything that people were told.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Vec<Notice>>);

impl Notices for Told {
    fn notify(&self, notice: Notice) -> Notifying<'_> {
        self.0.lock().unwrap().push(notice);
        Box::pin(std::future::ready(()))
    }
}

/// There is no identity provider.
#[derive(Debug)]
struct Nowhere;

impl Fetch for Nowhere {
    fn fetch(&self, _request: http::Request<Vec<u8>>) -> Answer<'_> {
        let refused = FetchError::Connect { host: "nowhere".to_owned(), source: None };
        Box::pin(std::future::ready(Err(refused)))
    }
}

/// Made once: a second of work in a debug build.
static POLICY: LazyLock<Arc<RulesInForce>> = LazyLock::new(|| {
    let mut operations = RouteTable::builtin().unwrap().operations();
    operations.extend(OwnTable::builtin().unwrap().operations());
    Arc::new(RulesInForce::of_policy(PolicyEngine::new(operations, &[]).unwrap()))
});

/// An application over one empty database.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) clock: Arc<TestClock>,
    told: Arc<Told>,
    _directory: TempDir,
}

/// Somebody who is signed in.
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) caller: Caller,
    /// The secret of the session.
    pub(crate) secret: String,
}

impl World {
    pub(crate) async fn both() -> [World; 2] {
        let directory = tempfile::tempdir().unwrap();
        let sqlite = format!("sqlite://{}", directory.path().join("data/gateway.db").display());
        let postgres = gateway_testdb::fresh_database(gateway_testdb::postgres().unwrap()).unwrap();
        [Self::open(sqlite, directory).await, Self::open(postgres, tempfile::tempdir().unwrap()).await]
    }

    async fn open(url: String, directory: TempDir) -> World {
        let clock = Arc::new(TestClock(AtomicI64::new(1_795_000_000_000_000)));
        let store = Store::open(StoreOptions {
            url,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(OsEntropy),
            max_connections: 4,
            access: Access::Serve,
            app_secret_key: Some(Secret::new("a key for tests, long enough".to_owned())),
        })
        .await
        .unwrap();
        let told = Arc::new(Told::default());
        let app = App {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(OsEntropy),
            settings: InForce::read(&store, Settings::default()).await.unwrap(),
            entitlements: crate::entitlements::Entitlements::read(&store).await.unwrap(),
            reveal_times: crate::reveal_times::RevealTimes::read(&store).await.unwrap(),
            store,
            rules: Arc::clone(&POLICY),
            own: OwnTable::builtin().unwrap(),
            rack_name: "test".to_owned(),
            domain: None,
            plain_address: None,
            users: Users::default(),
            identity: Identity { providers: vec![provider()] },
            providers: Vec::new(),
            fetch: Arc::new(Nowhere),
            issuers: Arc::new(crate::access_tokens::AccessTokens::new(Arc::new(Nowhere))),
            yubico: None,
            instances: Arc::new(crate::services::NoInstances),
            notices: Arc::clone(&told) as Arc<dyn Notices>,
            health: Arc::new(Health::new()),
            networks: Default::default(),
            zone: Arc::default(),
            rack: Arc::new(crate::approvals::EmptyRack),
            rack_credential: Arc::new(crate::rack_credential::NoRackCredential),
            compose_file: None,
            integrations: crate::integrations::Integrations::new(&crate::integrations::tests::nobody())
                .unwrap(),
        };
        World { app, clock, told, _directory: directory }
    }

    /// Adds somebody who is signed in on the command line.
    pub(crate) async fn person(&self, name: &str, roles: &[Role]) -> Person {
        let email = format!("{name}@example.com");
        let new = NewUser { email, name: name.to_owned(), roles: roles.iter().copied().collect() };
        let user = self.app.store.users().create(new).await.unwrap();
        self.signed_in(&user, CredentialKind::CliSession).await
    }

    pub(crate) async fn signed_in(&self, user: &User, kind: CredentialKind) -> Person {
        let new = NewSession {
            user: user.id,
            kind,
            expires: self.clock.now().saturating_add(Duration::from_secs(12 * 3600)),
            idle_limit: Duration::from_secs(3600),
            device: "test".to_owned(),
            ip: None,
        };
        let (_, secret) = self.app.store.sessions().create(new).await.unwrap();
        let caller = self.caller(secret.expose()).await.unwrap();
        Person { user: user.clone(), caller, secret: secret.expose().clone() }
    }

    /// A token as a caller.
    pub(crate) async fn machine(&self, owner: &User, roles: &[Role]) -> (ApiToken, Caller) {
        let new = NewToken {
            name: "machine".to_owned(),
            roles: roles.iter().copied().collect(),
            grants: vec![Grant { critical: true, ..Grant::everything() }],
            creator: owner.id,
            expires: None,
            networks: Vec::new(),
        };
        let (token, secret) = self.app.store.tokens().create(new).await.unwrap();
        (token, self.caller(secret.expose()).await.unwrap())
    }

    /// Who a credential stands for now.
    pub(crate) async fn caller(&self, secret: &str) -> Result<Caller, CallerFault> {
        match self.app.store.callers().resolve(secret, self.clock.now()).await {
            Ok(known) => Ok(caller(known.principal.clone())),
            Err(ResolveError::Refused(fault)) => Err(fault),
            Err(ResolveError::Store(error)) => panic!("{error:?}"),
        }
    }

    pub(crate) fn operator(&self, caller: &Caller) -> Operator<'_> {
        self.app.operator(caller, RequestId::new(self.clock.now(), &OsEntropy))
    }

    /// What people were told since this was last asked.
    pub(crate) fn told(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.told.0.lock().unwrap())
    }

    /// The events of the log, oldest first.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let head = self.app.store.events().head().await.unwrap();
        let leaves = self.app.store.events().leaves(0, head.size).await.unwrap();
        leaves.iter().map(|leaf| Event::from_leaf(&leaf.bytes).unwrap().0).collect()
    }

    /// The last event: its action, and what was and will be.
    pub(crate) async fn last(&self) -> (String, serde_json::Value, serde_json::Value) {
        let last = self.events().await.pop().unwrap();
        (last.action.as_str().to_owned(), last.before.unwrap_or_default(), last.after.unwrap_or_default())
    }
}

pub(crate) fn caller(principal: Principal) -> Caller {
    Caller { principal, channel: Channel::Api, source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

fn provider() -> OidcProvider {
    OidcProvider {
        name: "idp".to_owned(),
        title: None,
        kind: gateway_config::ProviderKind::Oidc,
        allowed_groups: Vec::new(),
        refresh: false,
        issuer: "https://idp.example.com".to_owned(),
        client_id: "gateway".to_owned(),
        client_secret: Secret::new("secret".to_owned()),
        allowed_domains: Vec::new(),
        email_verified_claim: None,
        groups_claim: Some("groups".to_owned()),
        role_map: [("devs", Role::Deployer), ("sre", Role::Ops), ("robots", Role::Cicd)]
            .map(|(group, role)| (group.to_owned(), role))
            .into(),
    }
}

/// The facts of a request that spent a fresh code.
pub(crate) fn bound() -> Facts {
    Facts { mfa_bound: true, mfa_window: true, mfa_enrolled: true, own_object: true, ..Facts::default() }
}

/// The problem that a refusal becomes.
pub(crate) fn problem<T: std::fmt::Debug, E: Into<Problem>>(result: Result<T, E>) -> Problem {
    match result {
        Ok(done) => panic!("not refused: {done:?}"),
        Err(error) => error.into(),
    }
}

/// Checks the kind of a refusal and words of its sentence.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug, E: Into<Problem>>(
    result: Result<T, E>,
    kind: ProblemKind,
    words: &str,
) {
    let problem = problem(result);
    assert_eq!(problem.kind, kind, "{}", problem.detail);
    assert!(problem.detail.contains(words), "{}", problem.detail);
}

pub(crate) fn roles(names: &str) -> RoleSet {
    names.parse().unwrap()
}
