//! What the tests of this crate stand on: an application on a store of its own, people in it, and requests
//! as the data plane hands them over after the verdict.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gateway_app::control::{OwnHead, OwnReply, OwnRequest, PageAsked};
use gateway_app::health::Health;
use gateway_app::origin::{Origin, Scheme};
use gateway_app::rules::RulesInForce;
use gateway_app::settings::InForce;
use gateway_app::{App, NoNotices, csrf};
use gateway_config::{Identity, SettingKey, Settings, Users};
use gateway_identity::oidc::{Answer, Fetch, FetchError};
use gateway_identity::{TotpSecret, TotpStep};
use gateway_policy::{OwnTable, PolicyEngine};
use gateway_store::{Access, NewSession, NewUser, SettingScope, Store, StoreOptions};
use gateway_types::{
    Caller, Channel, Clock, CredentialKind, Facts, OsEntropy, Principal, Problem, RequestId, RoleSet, Secret,
    SessionId, Timestamp,
};
use http::{HeaderMap, Method, Request};
use tempfile::TempDir;

use crate::Web;

/// A device's name as somebody would write it who wants to run a script in our pages.
pub(crate) const HOSTILE: &str =
    "<script>alert(1)</script>\"><img src=x onerror=alert(2)>' \u{202e}\u{200b}\u{1b}[31m {{ 7*7 }} &amp;";

/// A clock that moves when it is told to.
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

/// An identity provider that cannot be reached.
#[derive(Debug)]
struct Unreachable;

impl Fetch for Unreachable {
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        Box::pin(async move { Err(FetchError::Timeout { host }) })
    }
}

/// The compose file that the gateway watches, in its directory.
const COMPOSE_FILE: &str = "compose.yaml";

/// The pages over an empty gateway.
pub(crate) struct Sample {
    pub(crate) web: Web,
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<TestClock>,
    directory: TempDir,
}

impl Sample {
    /// An empty gateway.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_795_000_000_000_000)));
        let store = Store::open(StoreOptions {
            url: format!("sqlite://{}", directory.path().join("gateway.db").display()),
            clock: clock.clone(),
            entropy: Arc::new(OsEntropy),
            max_connections: 4,
            access: Access::Serve,
            app_secret_key: None,
        })
        .await
        .unwrap();
        let own = OwnTable::builtin().unwrap();
        let mut operations = gateway_convox::RouteTable::builtin().unwrap().operations();
        operations.extend(own.operations());
        let app = Arc::new(App {
            clock: clock.clone(),
            entropy: Arc::new(OsEntropy),
            settings: InForce::read(&store, Settings::default()).await.unwrap(),
            reveal_times: gateway_app::reveal_times::RevealTimes::read(&store).await.unwrap(),
            entitlements: gateway_app::entitlements::Entitlements::read(&store).await.unwrap(),
            store,
            rules: Arc::new(RulesInForce::of_policy(PolicyEngine::new(operations, &[]).unwrap())),
            own,
            rack_name: "production".to_owned(),
            domain: None,
            plain_address: None,
            users: Users::default(),
            identity: Identity::default(),
            providers: Vec::new(),
            fetch: Arc::new(Unreachable),
            issuers: Arc::new(gateway_app::access_tokens::AccessTokens::new(Arc::new(Unreachable))),
            yubico: None,
            instances: Arc::new(gateway_app::services::NoInstances),
            notices: Arc::new(NoNotices),
            health: Arc::new(Health::new()),
            networks: Default::default(),
            zone: Arc::default(),
            rack: Arc::new(gateway_app::approvals::EmptyRack),
            rack_credential: Arc::new(gateway_app::rack_credential::NoRackCredential),
            compose_file: Some(directory.path().join(COMPOSE_FILE)),
            integrations: gateway_app::integrations::Integrations::new(&nobody()).unwrap(),
        });
        let sample = Self { web: Web::new(app.clone()), app, clock, directory };
        sample.write_compose_file("services: {}\n");
        sample
    }

    /// Writes the compose file that is watched.
    pub(crate) fn write_compose_file(&self, text: &str) {
        std::fs::write(self.directory.path().join(COMPOSE_FILE), text).unwrap();
    }

    /// Switches second factors off.
    pub(crate) async fn switch_factors_off(&self) {
        let settings = self.app.store.settings();
        let key = SettingKey::MfaStepUp.name();
        settings.set(&SettingScope::Global, key, "false", None, "somebody").await.unwrap();
        self.app.settings.refresh(&self.app.store).await.unwrap();
    }

    /// A person with a web session, opened with a browser of this name.
    pub(crate) async fn person_with(&self, email: &str, roles: &str, device: &str) -> Caller {
        let roles: RoleSet = roles.parse().unwrap();
        let known = self.app.store.users().by_email(email).await.unwrap();
        let user = match known {
            Some(user) => user,
            None => {
                let new = NewUser { email: email.to_owned(), name: email.to_owned(), roles };
                self.app.store.users().create(new).await.unwrap()
            }
        };
        let new = NewSession {
            user: user.id,
            kind: CredentialKind::WebSession,
            expires: self.app.clock.now().saturating_add(Duration::from_secs(12 * 3600)),
            idle_limit: Duration::from_secs(1800),
            device: device.to_owned(),
            ip: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))),
        };
        let (session, _secret) = self.app.store.sessions().create(new).await.unwrap();
        Caller {
            principal: Principal::User {
                id: user.id,
                email: user.email.into(),
                roles: user.roles,
                session: session.id,
                kind: CredentialKind::WebSession,
            },
            channel: Channel::Web,
            source_ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)),
        }
    }

    /// A person with a web session.
    pub(crate) async fn person(&self, email: &str, roles: &str) -> Caller {
        self.person_with(email, roles, "Firefox on Linux").await
    }

    /// Nobody, at a browser.
    pub(crate) fn nobody() -> Caller {
        Caller {
            principal: Principal::Anonymous,
            channel: Channel::Web,
            source_ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)),
        }
    }

    /// A request that has been allowed.
    pub(crate) fn request(
        &self,
        method: &str,
        target: &str,
        caller: &Caller,
        form: &[(&str, &str)],
    ) -> OwnRequest {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let route = self.app.own.identify(method, path).unwrap();
        self.request_of(route, method, path, query, caller, form)
    }

    /// A request for a page of the rack's, which answered with `reply`.
    pub(crate) fn rack_request(
        &self,
        method: &str,
        target: &str,
        caller: &Caller,
        form: &[(&str, &str)],
        reply: &str,
    ) -> OwnRequest {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let found = self.app.own.rack_page(method, path, false).unwrap();
        let (_, route) = self.app.own.rack_pages().find(|(page, _)| **page == found.page).unwrap();
        let policy = self.app.policy();
        let operation = policy.operations().iter().find(|operation| *operation.route == *route).unwrap();
        let route = gateway_policy::OwnRoute {
            operation: Arc::new(operation.clone()),
            page: Some(found.page),
            parameters: found.parameters,
            about: None,
        };
        let request = self.request_of(route, method, path, query, caller, form);
        OwnRequest { rack_reply: Some(Bytes::copy_from_slice(reply.as_bytes())), ..request }
    }

    fn request_of(
        &self,
        route: gateway_policy::OwnRoute,
        method: &str,
        path: &str,
        query: Option<String>,
        caller: &Caller,
        form: &[(&str, &str)],
    ) -> OwnRequest {
        OwnRequest {
            operation: route.operation,
            page: route.page,
            parameters: route.parameters,
            head: OwnHead {
                method: Method::from_bytes(method.as_bytes()).unwrap(),
                path: path.to_owned(),
                query,
                origin: Origin { scheme: Scheme::Https, authority: "gateway.example.com".to_owned() },
                headers: HeaderMap::new(),
                client_certificate: None,
                arrived: None,
            },
            form: owned(form),
            body: Bytes::new(),
            rack_reply: None,
            caller: caller.clone(),
            facts: Facts::default(),
            csrf: self.csrf(caller),
            request_id: RequestId::new(self.app.clock.now(), &OsEntropy),
            rack: Arc::new(gateway_app::environments::NoRack),
        }
    }

    /// The token of this caller's forms.
    pub(crate) fn csrf(&self, caller: &Caller) -> Option<String> {
        session(caller).map(|session| csrf::token(&self.app.store, session))
    }

    /// The answer to a request, also when it is a problem.
    pub(crate) async fn ask(&self, request: OwnRequest) -> OwnReply {
        let target = match &request.head.query {
            Some(query) => format!("{}?{query}", request.head.path),
            None => request.head.path.clone(),
        };
        let asked = PageAsked {
            at_service: false,
            method: request.head.method.clone(),
            target,
            form: request.form.clone(),
            caller: Some(request.caller.clone()),
            csrf: request.csrf.clone(),
        };
        let id = request.request_id;
        match self.web.serve(request).await {
            Ok(reply) => reply,
            Err(problem) => self.web.problem_page(&asked, &problem, id),
        }
    }

    /// The page at `target`, checked as every page is.
    pub(crate) async fn get(&self, caller: &Caller, target: &str) -> String {
        let reply = self.ask(self.request("GET", target, caller, &[])).await;
        assert_eq!(reply.status, 200, "{target}: {}", text(&reply));
        self.checked(caller, target, &reply)
    }

    /// The answer to a form.
    pub(crate) async fn post(&self, caller: &Caller, target: &str, form: &[(&str, &str)]) -> OwnReply {
        self.ask(self.request("POST", target, caller, form)).await
    }

    /// The page that tells a problem, checked as every page is.
    pub(crate) fn problem(
        &self,
        caller: &Caller,
        method: Method,
        target: &str,
        form: &[(&str, &str)],
        problem: &Problem,
    ) -> OwnReply {
        let asked = PageAsked {
            at_service: false,
            method,
            target: target.to_owned(),
            form: owned(form),
            caller: Some(caller.clone()),
            csrf: self.csrf(caller),
        };
        let reply = self.web.problem_page(&asked, problem, RequestId::new(self.app.clock.now(), &OsEntropy));
        if reply.status != 303 {
            self.checked(caller, target, &reply);
        }
        reply
    }

    /// The text of a page, checked as every page is.
    pub(crate) fn checked(&self, caller: &Caller, target: &str, reply: &OwnReply) -> String {
        let html = text(reply);
        crate::tests::check_page(target, &html, self.csrf(caller).as_deref());
        html
    }

    /// Gives the person an authenticator that counts.
    pub(crate) async fn enrolled(&self, caller: &Caller) -> TotpSecret {
        let Principal::User { id, .. } = &caller.principal else { panic!("not a person") };
        let secret = TotpSecret::generate(&OsEntropy);
        let factors = self.app.store.factors();
        let factor = factors.create_totp(*id, "phone", secret.bytes()).await.unwrap();
        factors.confirm(*id, factor.id, None).await.unwrap();
        secret
    }

    /// The code that an authenticator shows now.
    pub(crate) fn code(&self, secret: &TotpSecret) -> Secret<String> {
        secret.code(TotpStep::at(self.app.clock.now())).unwrap().digits()
    }
}

/// The session of a caller.
pub(crate) fn session(caller: &Caller) -> Option<SessionId> {
    match &caller.principal {
        Principal::User { session, .. } => Some(*session),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => None,
    }
}

/// The body of a reply.
pub(crate) fn text(reply: &OwnReply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

/// Where a reply leads.
pub(crate) fn location(reply: &OwnReply) -> &str {
    let (_, value) = reply.headers.iter().find(|(name, _)| name == http::header::LOCATION).unwrap();
    value.to_str().unwrap()
}

fn owned(form: &[(&str, &str)]) -> Vec<(String, String)> {
    form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A configuration that gives nobody's credentials.
pub(crate) fn nobody() -> gateway_config::Integrations {
    let at = |address: &str| address.parse().unwrap();
    gateway_config::Integrations {
        github: gateway_config::GitHub { api: at("https://api.github.com"), access: None },
        circleci: gateway_config::CircleCi { host: at("https://circleci.com"), token: None },
        slack: gateway_config::Slack { api: at("https://slack.com/api"), access: None },
        attestations: None,
    }
}
