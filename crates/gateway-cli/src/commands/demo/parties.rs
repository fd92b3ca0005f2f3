//! Who takes part in a demo: a directory, a rack, a sign-in page, people, machines.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_app::people::at_first_sight;
use gateway_app::tokens::{TokenRequest, create};
use gateway_app::{Operator, factors, sessions};
use gateway_config::{Config, OidcProvider, variables};
use gateway_sim::idp::{DevIdp, DevPerson, IdpOptions};
use gateway_sim::{Seed, SimOptions, SimRack};
use gateway_store::{NewSession, Store, TokenFilter, User};
use gateway_types::{
    CredentialKind, OsEntropy, Role, RoleSet, Secret, SystemClock, Timestamp, TokenKind, UserId,
};
use tempfile::TempDir;
use url::Url;

use crate::environment;
use crate::failure::{Exit, Failure, Problem};
use crate::operator;

/// The people of a demo with their roles and the variable that lists them.
const PEOPLE: [(&str, Role, &str); 4] = [
    ("admin@example.com", Role::Admin, variables::ADMIN_USERS),
    ("deployer@example.com", Role::Deployer, variables::DEPLOYER_USERS),
    ("ops@example.com", Role::Ops, variables::OPERATIONS_USERS),
    ("viewer@example.com", Role::Viewer, variables::VIEWER_USERS),
];

/// The roles that a token is made of.
const TOKEN_ROLES: [Role; 5] = [Role::Viewer, Role::Ops, Role::Deployer, Role::Admin, Role::Cicd];

/// How long the credentials of a demo hold.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// The lists that make the people of a demo.
pub(super) fn people_variables() -> impl Iterator<Item = (&'static str, Option<String>)> {
    PEOPLE.into_iter().map(|(email, _, variable)| (variable, Some(email.to_owned())))
}

/// Where a demo's data are: kept where it was asked for, else gone at the end.
#[derive(Debug)]
pub(super) enum DataDirectory {
    /// Made for this run.
    Temporary(TempDir),
    /// Kept.
    Kept(PathBuf),
}

impl DataDirectory {
    pub(super) fn open(kept: Option<&Path>) -> Result<Self, Failure> {
        match kept {
            Some(path) => {
                std::fs::create_dir_all(path).problem(format!("{} cannot be made", path.display()))?;
                let whole = path.canonicalize().problem(format!("{} cannot be used", path.display()))?;
                Ok(DataDirectory::Kept(whole))
            }
            // Only this user can look into a directory that is made so.
            None => tempfile::Builder::new()
                .prefix("rack-gateway-demo-")
                .tempdir()
                .map(DataDirectory::Temporary)
                .problem("no temporary directory can be made"),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            DataDirectory::Temporary(directory) => directory.path(),
            DataDirectory::Kept(path) => path,
        }
    }

    /// Removes what is not to be kept.
    pub(super) fn close(self) -> Result<(), Failure> {
        match self {
            DataDirectory::Temporary(directory) => {
                directory.close().problem("the demo's data cannot be removed")
            }
            DataDirectory::Kept(_) => Ok(()),
        }
    }
}

/// The rack behind the demo's gateway.
#[derive(Debug)]
pub(super) struct Rack {
    simulated: Option<SimRack>,
    /// Without credentials and without a slash at the end.
    pub(super) url: String,
    username: Option<String>,
    pub(super) token: Secret<String>,
}

impl Rack {
    /// Starts a simulated rack, or takes the address of a real one.
    pub(super) async fn start(real: Option<&str>, port: u16) -> Result<Self, Failure> {
        if let Some(text) = real {
            return Self::real(text);
        }
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let options = SimOptions { listen, seed: Seed::Demo, ..SimOptions::default() };
        let simulated =
            SimRack::start(options).await.problem(format!("the simulated rack cannot listen on {listen}"));
        let simulated = simulated
            .map_err(|failure| failure.hint("take another port with --rack-port; 0 takes any free one"))?;
        let token = Secret::new(simulated.password().to_owned());
        Ok(Self { url: simulated.url(), simulated: Some(simulated), username: None, token })
    }

    /// The address is not repeated in a fault: it holds a password.
    pub(super) fn real(text: &str) -> Result<Self, Failure> {
        let wrong = |what: &'static str| {
            Failure::new(Exit::Usage, what).hint("write --rack-url https://convox:TOKEN@rack.example.com")
        };
        let mut url = Url::parse(text).map_err(|_| wrong("--rack-url is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.path() != "/" {
            return Err(wrong("--rack-url is not the address of a rack: http or https, a host, no path"));
        }
        let variable = |name| environment::read(name).and_then(|value| value.into_string().ok());
        // The official client sends what stands in the URL as it stands, percent signs and all.
        let given = url.password().map(str::to_owned);
        let username = match &given {
            Some(_) => Some(url.username().to_owned()).filter(|name| !name.is_empty()),
            None => variable(variables::RACK_USERNAME),
        };
        let token = given
            .or_else(|| variable(variables::RACK_TOKEN))
            .ok_or_else(|| wrong("--rack-url holds no password, and RACK_TOKEN is not set"))?;
        url.set_username("")
            .and_then(|()| url.set_password(None))
            .map_err(|()| wrong("--rack-url has no host"))?;
        let url = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { simulated: None, url, username, token: Secret::new(token) })
    }

    /// Whether it is one of ours.
    pub(super) fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    /// What the configuration says of it. How a real rack's certificate is checked may be said by the
    /// environment; a simulated one has none.
    pub(super) fn variables(&self) -> Vec<(&'static str, Option<String>)> {
        let mut provided = vec![
            (variables::RACK_HOST, Some(self.url.clone())),
            (variables::RACK_USERNAME, self.username.clone()),
            (variables::RACK_TOKEN, Some(self.token.expose().clone())),
        ];
        if self.is_simulated() {
            provided.extend([
                (variables::RACK_NAME, Some("demo".to_owned())),
                (variables::RACK_CA_FILE, None),
                (variables::RACK_CERT_FINGERPRINT, None),
                (variables::RACK_TRUST_ON_FIRST_USE, None),
            ]);
        }
        provided
    }

    pub(super) async fn stop(self) {
        if let Some(rack) = self.simulated {
            rack.stop().await;
        }
    }
}

/// The page at which the demo's people sign in, by choosing who they are.
#[derive(Debug)]
pub(super) struct Provider {
    page: DevIdp,
    pub(super) url: String,
    secret: Secret<String>,
}

impl Provider {
    /// Starts it.
    pub(super) async fn start(port: u16) -> Result<Self, Failure> {
        let secret = TokenKind::Api.generate(&OsEntropy);
        let people =
            PEOPLE.iter().map(|(email, role, _)| DevPerson::new(email, &title(*role), &[])).collect();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let options = IdpOptions { address, ..IdpOptions::new(people, secret.expose()) };
        let page = DevIdp::start(options)
            .await
            .problem(format!("the sign-in page cannot listen on {address}"))
            .map_err(|failure| failure.hint("take another port with --idp-port; 0 takes any free one"))?;
        Ok(Self { url: page.url(), page, secret })
    }

    /// As the gateway's configuration names it.
    pub(super) fn configured(&self) -> OidcProvider {
        OidcProvider {
            name: "demo".to_owned(),
            title: None,
            kind: gateway_config::ProviderKind::Oidc,
            allowed_groups: Vec::new(),
            refresh: false,
            issuer: self.url.clone(),
            client_id: "rack-gateway".to_owned(),
            client_secret: self.secret.clone(),
            allowed_domains: Vec::new(),
            email_verified_claim: None,
            groups_claim: None,
            role_map: BTreeMap::new(),
        }
    }

    pub(super) async fn stop(self) {
        self.page.stop().await;
    }
}

/// A role as the name of somebody who has it.
fn title(role: Role) -> String {
    let mut name = role.name().to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{name} of the demo")
}

/// A person of the demo, signed in.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) email: &'static str,
    pub(super) role: Role,
    pub(super) session: Secret<String>,
    /// The secret of the person's authenticator, in base32.
    pub(super) totp: Secret<String>,
}

/// A machine of the demo.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) token: Secret<String>,
}

/// Everybody.
#[derive(Debug)]
pub(super) struct People {
    pub(super) persons: Vec<Person>,
    pub(super) machines: Vec<Machine>,
}

impl People {
    /// Finds or makes the people, signs them in anew, and makes new tokens. People who are there
    /// already stay as they are, with the roles they have by now.
    pub(super) async fn settle(store: &Store, config: &Config, now: Timestamp) -> Result<Self, Failure> {
        let name = operator::name();
        let operator = Operator::local(&name, &SystemClock, &OsEntropy);
        let until = now.saturating_add(LIFETIME);
        let mut persons = Vec::new();
        let (mut admin, mut deployer) = (None, None);
        for (email, role, _) in PEOPLE {
            let user =
                at_first_sight(store, &operator, email, config.users.roles_of(email)).await?.into_user();
            let (_, session) = sessions::open(store, &operator, session_of(&user, until)).await?;
            let totp = authenticator(store, &operator, user.id).await?;
            persons.push(Person { email, role, session, totp });
            match role {
                Role::Admin => admin = Some(user.id),
                Role::Deployer => deployer = Some(user.id),
                Role::Viewer | Role::Ops | Role::Auditor | Role::Cicd => {}
            }
        }
        let admin = admin.ok_or_else(|| Failure::new(Exit::Failed, "the demo has no admin"))?;
        let mut machines = Vec::new();
        for role in TOKEN_ROLES {
            let name = free_name(store, &format!("demo-{role}")).await?;
            // What the CI token asks for, its maker cannot approve; the admin is to be able to.
            let creator = if role == Role::Cicd { deployer.unwrap_or(admin) } else { admin };
            // No grants: everything the role may, short of class critical.
            let request = TokenRequest {
                name: name.clone(),
                roles: RoleSet::of(role),
                grants: Vec::new(),
                creator,
                expires: Some(until),
                networks: Vec::new(),
            };
            let (_, token) = create(store, &operator, request).await?;
            machines.push(Machine { name, role, token });
        }
        Ok(Self { persons, machines })
    }
}

/// A new authenticator in the place of the demo's last one, whose secret cannot be shown again.
async fn authenticator(
    store: &Store,
    operator: &Operator<'_>,
    user: UserId,
) -> Result<Secret<String>, Failure> {
    for old in factors::list(store, user).await?.into_iter().filter(|factor| factor.name == AUTHENTICATOR) {
        factors::remove(store, operator, user, old.id).await?;
    }
    Ok(factors::enrol_confirmed_totp(store, operator, user, AUTHENTICATOR).await?.secret)
}

/// The name of the authenticators of the demo's people.
const AUTHENTICATOR: &str = "demo";

fn session_of(user: &User, expires: Timestamp) -> NewSession {
    NewSession {
        user: user.id,
        kind: CredentialKind::CliSession,
        expires,
        idle_limit: LIFETIME,
        device: "rack-gateway demo".to_owned(),
        ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    }
}

/// `base`, or `base-2` and so on where a demo before this one left its token, so that names stay unique.
async fn free_name(store: &Store, base: &str) -> Result<String, Failure> {
    let filter =
        TokenFilter { search: Some(base.to_owned()), live_only: true, limit: 1000, ..TokenFilter::default() };
    let taken = store.tokens().list(&filter).await?.items;
    let is_free = |name: &String| !taken.iter().any(|token| token.name == *name);
    let numbered = (2u32..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.to_owned())
        .chain(numbered)
        .find(is_free)
        .ok_or_else(|| Failure::new(Exit::Failed, "every name for the demo's tokens is taken"))
}
