//! The handlers behind a verdict, on both databases: as the data plane asks them, short of HTTP.

mod approvals;
mod audit;
mod elevations;
mod jobs;
mod meta;
mod modes;
mod people;
mod policies;
mod settings;
mod vantage;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use gateway_app::control::{OwnHead, OwnQuestion, OwnReply, OwnRequest};
use gateway_app::health::Health;
use gateway_app::origin::{Origin, Scheme};
use gateway_app::rules::{Rules, RulesInForce};
use gateway_app::settings::InForce;
use gateway_app::{App, NoNotices, ownership};
use gateway_config::{Identity, Settings, Users};
use gateway_convox::RouteTable;
use gateway_identity::oidc::{Answer, Fetch, FetchError};
use gateway_policy::{OwnTable, PolicyEngine};
use gateway_store::{Access, NewUser, Store, StoreOptions, User};
use gateway_types::{
    Caller, Channel, CredentialKind, Facts, Layer, OsEntropy, Principal, Problem, ProblemKind, RequestId,
    Role, Secret, SessionId, SystemClock, Timestamp,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use tempfile::TempDir;

use crate::Api;

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
static ENGINE: LazyLock<Arc<PolicyEngine>> = LazyLock::new(|| {
    let mut operations = RouteTable::builtin().unwrap().operations();
    operations.extend(OwnTable::builtin().unwrap().operations());
    Arc::new(PolicyEngine::new(operations, &[]).unwrap())
});

/// The API over one empty database.
pub(super) struct Bench {
    pub(super) app: Arc<App>,
    api: Api,
    _directory: TempDir,
}

/// A call.
pub(super) struct Call<'a> {
    method: Method,
    target: &'a str,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, target: &'a str) -> Self {
        Self { method, target, headers: Vec::new(), body: None }
    }

    pub(super) fn get(target: &'a str) -> Self {
        Self::new(Method::GET, target)
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self.with("content-type", "application/json")
    }
}

impl Bench {
    pub(super) async fn both() -> [Bench; 2] {
        let directory = tempfile::tempdir().unwrap();
        let sqlite = format!("sqlite://{}", directory.path().join("data/gateway.db").display());
        let postgres = gateway_testdb::fresh_database(gateway_testdb::postgres().unwrap()).unwrap();
        [Self::open(sqlite, directory).await, Self::open(postgres, tempfile::tempdir().unwrap()).await]
    }

    async fn open(url: String, directory: TempDir) -> Bench {
        let store = Store::open(StoreOptions {
            url,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            max_connections: 4,
            access: Access::Serve,
            app_secret_key: Some(Secret::new("a key for tests, long enough".to_owned())),
        })
        .await
        .unwrap();
        let app = Arc::new(App {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            settings: InForce::read(&store, Settings::default()).await.unwrap(),
            entitlements: gateway_app::entitlements::Entitlements::read(&store).await.unwrap(),
            reveal_times: gateway_app::reveal_times::RevealTimes::read(&store).await.unwrap(),
            store,
            rules: Arc::new(RulesInForce::new(Rules {
                policy: Arc::clone(&ENGINE),
                services: Arc::default(),
            })),
            own: OwnTable::builtin().unwrap(),
            rack_name: "test".to_owned(),
            domain: None,
            plain_address: None,
            users: Users::default(),
            identity: Identity { providers: Vec::new() },
            providers: Vec::new(),
            fetch: Arc::new(Nowhere),
            issuers: Arc::new(gateway_app::access_tokens::AccessTokens::new(Arc::new(Nowhere))),
            yubico: None,
            instances: Arc::new(gateway_app::services::NoInstances),
            notices: Arc::new(NoNotices),
            health: Arc::new(Health::new()),
            networks: Default::default(),
            zone: Arc::default(),
            rack: Arc::new(gateway_app::approvals::EmptyRack),
            rack_credential: Arc::new(gateway_app::rack_credential::NoRackCredential),
            compose_file: None,
            integrations: gateway_app::integrations::Integrations::new(&no_integrations()).unwrap(),
        });
        Bench { api: Api::new(Arc::clone(&app)), app, _directory: directory }
    }

    pub(super) async fn user(&self, name: &str, roles: &[Role]) -> (User, Caller) {
        let email = format!("{name}@example.com");
        let new = NewUser { email, name: name.to_owned(), roles: roles.iter().copied().collect() };
        let user = self.app.store.users().create(new).await.unwrap();
        let principal = Principal::User {
            id: user.id,
            email: user.email.as_str().into(),
            roles: user.roles,
            session: SessionId::new(user.created, &OsEntropy),
            kind: CredentialKind::CliSession,
        };
        (user, caller(principal))
    }

    /// Asks as the data plane does: which row, whose object, the verdict, then the handler. Every second
    /// factor was given.
    pub(super) async fn ask(&self, caller: &Caller, call: Call<'_>) -> Result<OwnReply, Problem> {
        let (path, query) = match call.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (call.target, None),
        };
        let route = self.app.own.identify(call.method.as_str(), path).unwrap();
        assert!(self.api.serves(&route.operation), "{}", route.operation.route);
        let body = call.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let question =
            OwnQuestion { principal: &caller.principal, route: &route, query, form: &[], body: &body };
        let facts = Facts {
            mfa_window: true,
            mfa_bound: true,
            mfa_enrolled: true,
            own_object: ownership::is_own(&self.app, question).await,
            ..Facts::default()
        };
        let verdict = self.app.policy().decide(caller, &route.operation, &route.resource(), &facts);
        if !verdict.is_allowed() {
            return Err(Problem::new(ProblemKind::Refused, Layer::Authorization, verdict.reason));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in call.headers {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
        }
        let request = OwnRequest {
            operation: Arc::clone(&route.operation),
            page: None,
            parameters: route.parameters.clone(),
            head: OwnHead {
                method: call.method,
                path: path.to_owned(),
                query: query.map(str::to_owned),
                origin: Origin { scheme: Scheme::Https, authority: "gateway.example".to_owned() },
                headers,
                client_certificate: None,
                arrived: None,
            },
            form: Vec::new(),
            body,
            rack_reply: None,
            caller: caller.clone(),
            facts,
            csrf: None,
            request_id: RequestId::new(Timestamp::from_micros(1), &OsEntropy),
            rack: std::sync::Arc::new(gateway_app::environments::NoRack),
        };
        self.api.serve(request).await
    }

    /// The document of a reply that must be a 200.
    pub(super) async fn read(&self, caller: &Caller, call: Call<'_>) -> Value {
        let reply = self.ask(caller, call).await.unwrap();
        assert_eq!(reply.status, 200);
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// A refusal of this kind.
    pub(super) async fn refused(&self, caller: &Caller, call: Call<'_>, kind: ProblemKind) -> String {
        let target = call.target.to_owned();
        let problem = self.ask(caller, call).await.unwrap_err();
        assert_eq!(problem.kind, kind, "{target}: {}", problem.detail);
        problem.detail
    }
}

pub(super) fn caller(principal: Principal) -> Caller {
    Caller { principal, channel: Channel::Api, source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

pub(super) fn nobody() -> Caller {
    caller(Principal::Anonymous)
}

pub(super) fn header<'r>(reply: &'r OwnReply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_str().unwrap())
}

#[tokio::test]
async fn what_is_not_served_does_not_exist() {
    let [bench, _] = Bench::both().await;
    let path = "/auth/login";
    let route = bench.app.own.identify("GET", path).unwrap();
    assert!(!bench.api.serves(&route.operation), "{path}");
}

/// A configuration that gives nobody's credentials.
fn no_integrations() -> gateway_config::Integrations {
    let at = |address: &str| address.parse().unwrap();
    gateway_config::Integrations {
        github: gateway_config::GitHub { api: at("https://api.github.com"), access: None },
        circleci: gateway_config::CircleCi { host: at("https://circleci.com"), token: None },
        slack: gateway_config::Slack { api: at("https://slack.com/api"), access: None },
        attestations: None,
    }
}
