//! What a gateway has now, of the kinds that are asked for, and the same as a document.
//!
//! What is given by the gateway's own file, environment or defaults is known here, and never exported: it is not of
//! the database, and declaring it would pin it there.

use std::collections::{BTreeMap, BTreeSet};

use gateway_config::SettingKey;
use gateway_services::RawService;
use gateway_types::wire::elevations::{CreateRoleGrant, RoleGrant};
use gateway_types::wire::groups;
use gateway_types::wire::me::Me;
use gateway_types::wire::policy::PolicyDocument;
use gateway_types::wire::services::Service;
use gateway_types::wire::settings::Setting;
use gateway_types::wire::trust_rules;
use gateway_types::wire::users;

use super::Kind;
use super::document::{App, DeclaredKey, Document, Form, Group, Policy, SettingText, TrustRule, User};
use crate::commands::listing::every;
use crate::failure::{Exit, Failure};
use crate::remote::Remote;

/// Where a policy document or a service comes from that can be changed through the API.
pub(crate) const DATABASE: &str = "database";

/// What a gateway has. Kinds that were not asked for are empty.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    /// Who asks.
    pub(crate) me: Me,
    /// People.
    pub(crate) users: Vec<users::User>,
    /// Groups.
    pub(crate) groups: Vec<groups::Group>,
    /// Grants of roles.
    pub(crate) grants: Vec<RoleGrant>,
    /// Policy documents, of every origin.
    pub(crate) policies: Vec<PolicyDocument>,
    /// Services, of every source.
    pub(crate) services: Vec<Service>,
    /// Trust rules.
    pub(crate) trust_rules: Vec<trust_rules::TrustRule>,
    /// The gateway's settings.
    pub(crate) settings: Vec<Setting>,
    /// The settings that hold for these apps.
    pub(crate) apps: BTreeMap<String, Vec<Setting>>,
}

/// Which apps' settings are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Apps {
    /// Those of the rack.
    OfTheRack,
    /// These.
    Named(BTreeSet<String>),
}

impl Present {
    /// Asks a gateway for these kinds.
    ///
    /// # Errors
    /// What the gateway says.
    pub(crate) async fn ask(remote: &Remote, kinds: &BTreeSet<Kind>, apps: &Apps) -> Result<Self, Failure> {
        let wants = |kind| kinds.contains(&kind);
        let mut present = Self {
            me: remote.ask(async |client| client.me().await).await?,
            users: Vec::new(),
            groups: Vec::new(),
            grants: Vec::new(),
            policies: Vec::new(),
            services: Vec::new(),
            trust_rules: Vec::new(),
            settings: Vec::new(),
            apps: BTreeMap::new(),
        };
        if wants(Kind::Users) {
            present.users =
                every(remote, None, async |client, page| client.users(page, None, None).await).await?;
        }
        if wants(Kind::Groups) {
            present.groups = every(remote, None, async |client, page| client.groups(page).await).await?;
        }
        if wants(Kind::Grants) {
            present.grants = every(remote, None, async |client, page| client.role_grants(page).await).await?;
        }
        if wants(Kind::Policies) {
            present.policies = remote.ask(async |client| client.policies().await).await?.items;
        }
        if wants(Kind::Services) {
            present.services = remote.ask(async |client| client.services().await).await?.items;
        }
        if wants(Kind::TrustRules) {
            present.trust_rules = remote.ask(async |client| client.trust_rules().await).await?.items;
        }
        if wants(Kind::Settings) {
            present.settings = remote.ask(async |client| client.settings(None).await).await?.items;
            let apps = match apps {
                Apps::Named(apps) => apps.clone(),
                Apps::OfTheRack => {
                    remote.ask(async |client| client.apps().await).await?.into_iter().collect()
                }
            };
            for app in apps {
                let settings = remote.ask(async |client| client.settings(Some(&app)).await).await?.items;
                present.apps.insert(app, settings);
            }
        }
        Ok(present)
    }

    /// The person behind the caller: themselves, or whose token it is.
    pub(crate) fn person(&self) -> Option<&str> {
        match &self.me.on_behalf_of {
            Some(person) => Some(person),
            None => Some(self.me.name.as_str()).filter(|name| name.contains('@')),
        }
    }

    /// The same as a document: what the database has, and nothing that the file, the environment or the defaults give.
    ///
    /// # Errors
    /// When the gateway does not show what a document must have.
    pub(crate) fn document(&self) -> Result<Document, Failure> {
        let policy = self.policies.iter().filter(|policy| policy.origin == DATABASE);
        let service = self.services.iter().filter(|service| service.source == DATABASE);
        Ok(Document {
            version: Some(Form),
            settings: own_settings(&self.settings, |setting| setting.source.kind == DATABASE),
            app: self
                .apps
                .iter()
                .map(|(name, settings)| {
                    let own = |setting: &Setting| setting.own && setting.source.kind == DATABASE;
                    (name.clone(), App { settings: own_settings(settings, own) })
                })
                .filter(|(_, app)| !app.settings.is_empty())
                .collect(),
            user: self.users.iter().map(user).collect(),
            group: self
                .groups
                .iter()
                .filter(|group| group.source == DATABASE)
                .map(|group| Group { name: group.id.clone(), roles: group.roles })
                .collect(),
            grant: self.grants.iter().map(grant).collect(),
            policy: policy
                .map(|policy| Policy { id: policy.id.clone(), text: policy.text.clone().unwrap_or_default() })
                .collect(),
            service: service.map(declaration).collect::<Result<_, _>>()?,
            trust_rule: self.trust_rules.iter().map(trust_rule).collect(),
        })
    }
}

/// The declaration of a service, which only those see who could change it.
///
/// # Errors
/// When it is not shown, or is one of a newer gateway.
pub(crate) fn declaration(service: &Service) -> Result<RawService, Failure> {
    let Some(shown) = &service.declaration else {
        let what = format!("the declaration of the service {} is not shown to you", service.name);
        return Err(Failure::new(Exit::Refused, what)
            .hint("only those see it who could change it; choose other kinds with --kind"));
    };
    serde_json::from_value(shown.clone()).map_err(|error| {
        let what = format!("the declaration of the service {} is not understood: {error}", service.name);
        Failure::new(Exit::Failed, what).hint("use the command line of the gateway's own version")
    })
}

/// A grant without what the gateway adds to it.
pub(crate) fn grant(grant: &RoleGrant) -> CreateRoleGrant {
    CreateRoleGrant {
        person: grant.person.clone(),
        group: grant.group.clone(),
        role: grant.role.clone(),
        app: grant.app.clone(),
    }
}

/// A trust rule without what the gateway adds to it.
pub(crate) fn trust_rule(rule: &trust_rules::TrustRule) -> TrustRule {
    TrustRule {
        name: rule.name.clone(),
        kind: rule.kind.clone(),
        issuer: rule.issuer.clone(),
        authority: rule.authority.clone(),
        roles: rule.roles,
        networks: rule.networks.clone(),
        lifetime: rule.lifetime.clone(),
        claims: rule.claims.clone(),
        grants: rule.grants.clone(),
    }
}

fn user(user: &users::User) -> User {
    User {
        email: user.email.clone(),
        name: Some(user.name.clone()).filter(|name| *name != user.email),
        roles: user.roles,
        locked: user.locked.then_some(true),
    }
}

fn own_settings(
    settings: &[Setting],
    is_own: impl Fn(&Setting) -> bool,
) -> BTreeMap<DeclaredKey, SettingText> {
    let own = settings.iter().filter(|setting| is_own(setting));
    own.filter_map(|setting| {
        // A newer gateway may have settings that this program does not know, and so could not read back.
        let key = SettingKey::from_name(&setting.key)?;
        Some((DeclaredKey(key), SettingText::Text(setting.value.clone())))
    })
    .collect()
}
