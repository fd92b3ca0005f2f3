//! An application with two providers, a clock that stands, and browsers that keep their cookie.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::rules::RulesInForce;
use gateway_config::{Identity, OidcProvider, Settings, Users};
use gateway_convox::RouteTable;
use gateway_identity::oidc::{Fetch, Provider, ProviderConfig};
use gateway_policy::{OwnTable, PolicyEngine};
use gateway_store::{Access, EventFilter, NewUser, Store, StoreOptions, User};
use gateway_types::{
    Caller, Channel, Clock, OsEntropy, Principal, RequestId, Role, RoleSet, Secret, Timestamp,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::provider::{CLIENT_SECRET, TestProvider};
use crate::App;
use crate::health::Health;
use crate::notify::{Notice, Notices, Notifying};
use crate::origin::{Origin, Scheme};
use crate::settings::InForce;
use crate::sign_in::{Begun, Finished, SignInError, Visitor, begin_web, finish};

#[derive(Debug)]
pub(super) struct TestClock(AtomicI64);

impl TestClock {
    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    pub(super) fn seconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst) / 1_000_000
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Whoever is told keeps what was said.
#[derive(Debug, Default)]
pub(super) struct Told(pub(super) Mutex<Vec<Notice>>);

impl Notices for Told {
    fn notify(&self, notice: Notice) -> Notifying<'_> {
        self.0.lock().unwrap().push(notice);
        Box::pin(std::future::ready(()))
    }
}

/// One gateway.
pub(super) struct World {
    pub(super) app: Arc<App>,
    pub(super) idp: Arc<TestProvider>,
    pub(super) clock: Arc<TestClock>,
    pub(super) told: Arc<Told>,
    _directory: TempDir,
}

/// A browser: it keeps the one cookie that matters here.
#[derive(Clone, Debug)]
pub(super) struct Browser {
    pub(super) cookie: Option<String>,
    pub(super) trusted: Option<String>,
    pub(super) agent: String,
}

impl Browser {
    pub(super) fn new() -> Self {
        Self { cookie: None, trusted: None, agent: "Mozilla/5.0 (X11; Linux x86_64) Test/1".to_owned() }
    }

    pub(super) fn visitor(&self) -> Visitor<'_> {
        Visitor {
            browser: self.cookie.as_deref(),
            trusted: self.trusted.as_deref(),
            client: &self.agent,
            source_ip: "192.0.2.7".parse().unwrap(),
            device: &self.agent,
            request_id: RequestId::new(Timestamp::from_micros(0), &OsEntropy),
        }
    }

    /// Keeps what a reply sets.
    pub(super) fn keep(&mut self, begun: &Begun) {
        let pair = begun.cookie.expose().split(';').next().unwrap();
        self.cookie = Some(pair.strip_prefix("__Host-rgw-login=").unwrap().to_owned());
    }
}

pub(super) fn here() -> Origin {
    Origin { scheme: Scheme::Https, authority: "gw.example.com".to_owned() }
}

/// What the provider says of an account in the organisation.
pub(super) fn account(subject: &str, email: &str) -> Value {
    json!({ "sub": subject, "email": email, "email_verified": true, "name": "A Name" })
}

/// Runs a test on both databases.
pub(super) async fn on_both<F: AsyncFn(World)>(test: F) {
    test(World::new(Place::Sqlite).await).await;
    test(World::new(Place::Postgres).await).await;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Sqlite,
    Postgres,
}

fn provider(name: &str, allowed_domains: &[&str]) -> (OidcProvider, Arc<Provider>) {
    let configured = OidcProvider {
        name: name.to_owned(),
        title: None,
        kind: gateway_config::ProviderKind::Oidc,
        allowed_groups: Vec::new(),
        refresh: name == "corp",
        issuer: format!("https://{name}.test"),
        client_id: "gateway".to_owned(),
        client_secret: Secret::new(CLIENT_SECRET.to_owned()),
        allowed_domains: allowed_domains.iter().map(|domain| (*domain).to_owned()).collect(),
        email_verified_claim: None,
        groups_claim: Some("groups".to_owned()),
        role_map: BTreeMap::from([
            ("deployers".to_owned(), Role::Deployer),
            ("operators".to_owned(), Role::Ops),
            ("robots".to_owned(), Role::Cicd),
        ]),
    };
    let provider = Provider::new(ProviderConfig {
        name: configured.name.clone(),
        kind: gateway_identity::oidc::ProviderKind::Oidc,
        allowed_groups: Vec::new(),
        again: if configured.refresh {
            gateway_identity::oidc::Again::Refresh
        } else {
            gateway_identity::oidc::Again::Never
        },
        issuer: configured.issuer.clone(),
        client_id: configured.client_id.clone(),
        client_secret: configured.client_secret.clone(),
        allowed_domains: configured.allowed_domains.clone(),
        email_verified_claim: None,
        groups_claim: configured.groups_claim.clone(),
        role_map: configured.role_map.clone(),
        canonical_email: |text| gateway_config::canonical_email(text).ok(),
    });
    (configured, Arc::new(provider))
}

impl World {
    pub(super) async fn new(place: Place) -> World {
        Self::with_domain(place, None).await
    }

    pub(super) async fn with_domain(place: Place, domain: Option<&str>) -> World {
        Self::with(place, domain, Settings::default()).await
    }

    pub(super) async fn with(place: Place, domain: Option<&str>, configured: Settings) -> World {
        let directory = tempfile::tempdir().unwrap();
        let url = match place {
            Place::Sqlite => format!("sqlite://{}", directory.path().join("gateway.db").display()),
            Place::Postgres => gateway_testdb::fresh_database(gateway_testdb::postgres().unwrap()).unwrap(),
        };
        let clock = Arc::new(TestClock(AtomicI64::new(1_795_000_000_000_000)));
        let store = Store::open(StoreOptions {
            url,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(OsEntropy),
            max_connections: 8,
            access: Access::Serve,
            app_secret_key: Some(Secret::new("a key for tests, long enough".to_owned())),
        })
        .await
        .unwrap();
        let idp = Arc::new(TestProvider::new(Arc::clone(&clock)));
        let told = Arc::new(Told::default());
        // `corp` is the organisation's own; at `public` anybody can have an account.
        let (corp, corp_provider) = provider("corp", &["example.com"]);
        let (public, public_provider) = provider("public", &[]);
        let own = OwnTable::builtin().unwrap();
        let mut operations = RouteTable::builtin().unwrap().operations();
        operations.extend(own.operations());
        let app = App {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(OsEntropy),
            settings: InForce::read(&store, configured).await.unwrap(),
            entitlements: crate::entitlements::Entitlements::read(&store).await.unwrap(),
            reveal_times: crate::reveal_times::RevealTimes::read(&store).await.unwrap(),
            store,
            rules: Arc::new(RulesInForce::of_policy(PolicyEngine::new(operations, &[]).unwrap())),
            own,
            rack_name: "test".to_owned(),
            domain: domain.map(str::to_owned),
            plain_address: None,
            users: Users {
                admin: vec!["admin@example.com".to_owned()],
                viewer: vec!["listed@elsewhere.test".to_owned()],
                ..Users::default()
            },
            identity: Identity { providers: vec![corp, public] },
            providers: vec![corp_provider, public_provider],
            fetch: Arc::clone(&idp) as Arc<dyn Fetch>,
            issuers: Arc::new(crate::access_tokens::AccessTokens::new(Arc::clone(&idp) as Arc<dyn Fetch>)),
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
        World { app: Arc::new(app), idp, clock, told, _directory: directory }
    }

    /// A whole sign-in at `provider`; the page that it leads to and the session's secret.
    pub(super) async fn sign_in_at(
        &self,
        provider: &str,
        browser: &mut Browser,
        claims: Value,
    ) -> Result<(String, String), SignInError> {
        let begun = begin_web(&self.app, provider, Some("/app/audit"), &here(), browser.visitor()).await?;
        browser.keep(&begun);
        let query = self.idp.sign_in(&begun.location, claims);
        match finish(&self.app, provider, &query, browser.visitor()).await? {
            Finished::Web { secret, return_to } => Ok((secret.expose().clone(), return_to)),
            Finished::Factor { location } => panic!("{location}"),
            Finished::Cli { redirect_to } => panic!("{redirect_to}"),
        }
    }

    pub(super) async fn sign_in(&self, claims: Value) -> Result<Caller, SignInError> {
        let (secret, _) = self.sign_in_at("corp", &mut Browser::new(), claims).await?;
        Ok(self.caller(&secret).await)
    }

    /// Who a secret stands for.
    pub(super) async fn caller(&self, secret: &str) -> Caller {
        let known = self.app.store.callers().resolve(secret, self.clock.now()).await.unwrap();
        Caller {
            principal: known.principal.clone(),
            channel: Channel::Web,
            source_ip: "192.0.2.7".parse().unwrap(),
        }
    }

    pub(super) async fn is_live(&self, secret: &str) -> bool {
        self.app.store.callers().resolve(secret, self.clock.now()).await.is_ok()
    }

    pub(super) async fn invite(&self, email: &str, roles: &[Role]) -> User {
        let roles: RoleSet = roles.iter().copied().collect();
        let new = NewUser { email: email.to_owned(), name: email.to_owned(), roles };
        self.app.store.users().create(new).await.unwrap()
    }

    /// Reasons of refused sign-ins in the log, newest first.
    pub(super) async fn refusals(&self) -> Vec<String> {
        self.events("gateway:auth:*").await.into_iter().filter_map(|event| event.reason).collect()
    }

    pub(super) async fn events(&self, action: &str) -> Vec<gateway_audit::Event> {
        let filter = EventFilter { action: Some(action.to_owned()), ..EventFilter::default() };
        let page = self.app.store.events().search(&filter, None, 1000).await.unwrap();
        page.items.into_iter().map(|(_, event)| event).collect()
    }
}

pub(super) fn email(caller: &Caller) -> &str {
    match &caller.principal {
        Principal::User { email, .. } => email,
        other => panic!("{other:?}"),
    }
}

pub(super) fn roles(caller: &Caller) -> String {
    match &caller.principal {
        Principal::User { roles, .. } => roles.to_string(),
        other => panic!("{other:?}"),
    }
}
