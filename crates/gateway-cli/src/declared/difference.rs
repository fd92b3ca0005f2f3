//! The changes between what is declared and what a gateway has, in the order in which they are safe to make: first
//! what adds, so that whoever applies keeps what they need, policies after what they name, and last what takes away.
//! Pure: nothing is asked and nothing is made here.

use std::collections::{BTreeMap, BTreeSet};

use gateway_app::workloads::{Kind as RuleKind, rules::networks};
use gateway_config::duration::parse_duration;
use gateway_config::{IpNet, SettingKey};
use gateway_services::RawService;
use gateway_types::wire::elevations::CreateRoleGrant;
use gateway_types::wire::settings::Setting;
use gateway_types::wire::trust_rules::WriteTrustRule;
use gateway_types::wire::users::{self, InviteUser, UpdateUser};
use gateway_types::{Role, RoleSet};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Kind;
use super::document::{self, DeclaredKey, Document, SettingText, TrustRule, address, grant_name};
use super::present::{DATABASE, Present, declaration, grant, trust_rule};
use crate::failure::{Exit, Failure};

/// What is done to one thing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verb {
    /// It is not there yet.
    Add,
    /// It is otherwise.
    Change,
    /// It is not declared.
    Remove,
}

/// A change, with the version that it is a change of.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Change {
    /// Write a service.
    Service { name: String, declaration: Value, version: i64 },
    /// Remove a service.
    RemoveService { name: String, version: i64 },
    /// Add a person.
    Invite(InviteUser),
    /// Change a person.
    Update { id: String, version: i64, update: UpdateUser },
    /// Lock a person out, who may be one that was added just now.
    Lock { email: String },
    /// Let a person in again.
    Unlock { id: String },
    /// Remove a person.
    RemoveUser { id: String },
    /// Set what the members of a group get.
    Group { name: String, roles: RoleSet, version: i64 },
    /// Grant a role.
    Grant(CreateRoleGrant),
    /// Take a grant back.
    RemoveGrant { id: String },
    /// Write a trust rule.
    TrustRule { name: String, rule: Box<WriteTrustRule>, version: i64 },
    /// Remove a trust rule.
    RemoveTrustRule { name: String, version: i64 },
    /// Give a setting another value.
    Setting { app: Option<String>, key: String, value: String, version: i64 },
    /// Take a setting out of the database.
    ResetSetting { app: Option<String>, key: String, version: i64 },
    /// Write a policy document.
    Policy { id: String, text: String, version: i64 },
    /// Remove a policy document.
    RemovePolicy { id: String, version: i64 },
}

/// A change, with what it is about for people and programs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Planned {
    /// What is done.
    pub(crate) verb: Verb,
    /// To what kind of thing.
    pub(crate) kind: &'static str,
    /// To which one.
    pub(crate) name: String,
    /// What it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Value>,
    /// What it will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Value>,
    /// How it is done.
    #[serde(skip)]
    pub(crate) change: Change,
}

/// The changes from `present` to `declared`, in their order; with what is not declared of the kinds `prune` removed.
///
/// # Errors
/// When it cannot be made so: something belongs to the gateway's own file, or whoever applies would change their own
/// rights, or nobody would be an admin any more.
pub(crate) fn between(
    declared: &Document,
    present: &Present,
    prune: &BTreeSet<Kind>,
) -> Result<Vec<Planned>, Failure> {
    let mut changes = Changes { present, prune, adding: Vec::new(), removing: Vec::new() };
    changes.services(&declared.service)?;
    changes.users(&declared.user)?;
    changes.groups(&declared.group);
    changes.grants(&declared.grant)?;
    changes.trust_rules(&declared.trust_rule);
    changes.settings(None, &present.settings, &declared.settings)?;
    for (app, declared) in &declared.app {
        let present = present.apps.get(app).map(Vec::as_slice).unwrap_or_default();
        changes.settings(Some(app), present, &declared.settings)?;
    }
    for (app, present) in present.apps.iter().filter(|(app, _)| !declared.app.contains_key(*app)) {
        changes.settings(Some(app), present, &BTreeMap::new())?;
    }
    changes.policies(&declared.policy)?;
    // Policies that name a service's actions go before the service, and people after what they hold.
    let Changes { mut adding, mut removing, .. } = changes;
    removing.sort_by_key(|planned| removal_order(&planned.change));
    adding.append(&mut removing);
    Ok(adding)
}

const fn removal_order(change: &Change) -> u8 {
    match change {
        Change::RemovePolicy { .. } => 0,
        Change::ResetSetting { .. } => 1,
        Change::RemoveTrustRule { .. } => 2,
        Change::RemoveGrant { .. } => 3,
        Change::Group { .. } => 4,
        Change::Update { .. } => 5,
        Change::Lock { .. } => 6,
        Change::RemoveUser { .. } => 7,
        Change::RemoveService { .. } => 8,
        Change::Service { .. }
        | Change::Invite(_)
        | Change::Unlock { .. }
        | Change::Grant(_)
        | Change::TrustRule { .. }
        | Change::Setting { .. }
        | Change::Policy { .. } => 9,
    }
}

struct Changes<'a> {
    present: &'a Present,
    prune: &'a BTreeSet<Kind>,
    adding: Vec<Planned>,
    removing: Vec<Planned>,
}

fn planned(kind: Kind, name: &str, before: Option<Value>, after: Option<Value>, change: Change) -> Planned {
    let verb = match (&before, &after) {
        (None, _) => Verb::Add,
        (Some(_), Some(_)) => Verb::Change,
        (Some(_), None) => Verb::Remove,
    };
    Planned { verb, kind: kind.singular(), name: name.to_owned(), before, after, change }
}

fn impossible(what: String, hint: &'static str) -> Failure {
    Failure::new(Exit::Failed, what).hint(hint)
}

impl Changes<'_> {
    fn prunes(&self, kind: Kind) -> bool {
        self.prune.contains(&kind)
    }

    fn services(&mut self, declared: &[RawService]) -> Result<(), Failure> {
        for wanted in declared {
            let name = &wanted.name;
            let present = self.present.services.iter().find(|service| service.name == *name);
            let now = present.map(declaration).transpose()?;
            if now.as_ref() == Some(wanted) {
                continue;
            }
            if present.is_some_and(|present| present.source != DATABASE) {
                return Err(impossible(
                    format!(
                        "the service {name} is declared in the gateway's own configuration file, and otherwise"
                    ),
                    "change it there, or take it out of what is applied",
                ));
            }
            let change = Change::Service {
                name: name.clone(),
                declaration: json!(wanted),
                version: present.and_then(|present| present.version).unwrap_or(0),
            };
            let before = now.map(|now| json!(now));
            self.adding.push(planned(Kind::Services, name, before, Some(json!(wanted)), change));
        }
        if self.prunes(Kind::Services) {
            for present in self.present.services.iter().filter(|service| service.source == DATABASE) {
                if declared.iter().all(|wanted| wanted.name != present.name) {
                    let version = present.version.unwrap_or(0);
                    let change = Change::RemoveService { name: present.name.clone(), version };
                    let before = Some(present.declaration.clone().unwrap_or_default());
                    self.removing.push(planned(Kind::Services, &present.name, before, None, change));
                }
            }
        }
        Ok(())
    }

    fn users(&mut self, declared: &[document::User]) -> Result<(), Failure> {
        let own = self.present.person().map(address);
        let mut left: BTreeMap<String, (RoleSet, bool)> =
            self.present.users.iter().map(|user| (address(&user.email), (user.roles, user.locked))).collect();
        for wanted in declared {
            let email = address(&wanted.email);
            let present = self.present.users.iter().find(|user| address(&user.email) == email);
            let is_self = own.as_ref() == Some(&email);
            match present {
                Some(present) => self.user(wanted, present, is_self)?,
                None => self.new_user(wanted, &email),
            }
            let locked = wanted.locked.unwrap_or_else(|| present.is_some_and(|present| present.locked));
            left.insert(email, (wanted.roles, locked));
        }
        if self.prunes(Kind::Users) {
            for present in &self.present.users {
                let email = address(&present.email);
                if declared.iter().any(|wanted| address(&wanted.email) == email) {
                    continue;
                }
                if own.as_ref() == Some(&email) {
                    return Err(impossible(
                        format!("{email} is not declared, and is you: nobody removes themselves"),
                        "declare yourself with the roles that you have, or let another admin apply it",
                    ));
                }
                left.remove(&email);
                let change = Change::RemoveUser { id: present.id.clone() };
                self.removing.push(planned(Kind::Users, &email, Some(shown(present)), None, change));
            }
        }
        let is_touched = !declared.is_empty() || self.prunes(Kind::Users);
        let has_admin = left.values().any(|(roles, locked)| roles.contains(Role::Admin) && !locked);
        if is_touched && !has_admin {
            return Err(impossible(
                "nobody would be an admin any more".to_owned(),
                "declare at least one person with the role admin who is not locked out",
            ));
        }
        Ok(())
    }

    fn new_user(&mut self, wanted: &document::User, email: &str) {
        let invitation =
            InviteUser { email: wanted.email.clone(), name: wanted.name.clone(), roles: wanted.roles };
        let after = Some(json!(wanted));
        self.adding.push(planned(Kind::Users, email, None, after, Change::Invite(invitation)));
        if wanted.locked == Some(true) {
            let change = Change::Lock { email: email.to_owned() };
            let (before, after) = (Some(json!({ "locked": false })), Some(json!({ "locked": true })));
            self.removing.push(planned(Kind::Users, email, before, after, change));
        }
    }

    fn user(&mut self, wanted: &document::User, present: &users::User, is_self: bool) -> Result<(), Failure> {
        let email = address(&present.email);
        let name = wanted.name.clone().filter(|name| *name != present.name);
        let roles = Some(wanted.roles).filter(|roles| *roles != present.roles);
        if is_self && (roles.is_some() || wanted.locked == Some(true)) {
            return Err(impossible(
                format!("{email} is you, and nobody changes their own roles or locks themselves out"),
                "declare the roles that you have, or let another admin apply it",
            ));
        }
        if name.is_some() || roles.is_some() {
            let (mut before, mut after) = (Map::new(), Map::new());
            if let Some(name) = &name {
                before.insert("name".to_owned(), json!(present.name));
                after.insert("name".to_owned(), json!(name));
            }
            if let Some(roles) = roles {
                before.insert("roles".to_owned(), json!(present.roles));
                after.insert("roles".to_owned(), json!(roles));
            }
            let (before, after) = (Some(Value::Object(before)), Some(Value::Object(after)));
            let change = Change::Update {
                id: present.id.clone(),
                version: present.version,
                update: UpdateUser { name, roles },
            };
            // Whoever loses a role loses it last: until then somebody else may have to go on from half-way.
            let loses = roles.is_some_and(|roles| present.roles.iter().any(|role| !roles.contains(role)));
            let list = if loses { &mut self.removing } else { &mut self.adding };
            list.push(planned(Kind::Users, &email, before, after, change));
        }
        let lock = |locked: bool| Some(json!({ "locked": locked }));
        match (present.locked, wanted.locked) {
            (false, Some(true)) => {
                let change = Change::Lock { email: email.clone() };
                self.removing.push(planned(Kind::Users, &email, lock(false), lock(true), change));
            }
            (true, Some(false)) => {
                let change = Change::Unlock { id: present.id.clone() };
                self.adding.push(planned(Kind::Users, &email, lock(true), lock(false), change));
            }
            (true, Some(true) | None) | (false, Some(false) | None) => {}
        }
        Ok(())
    }

    fn groups(&mut self, declared: &[document::Group]) {
        for wanted in declared {
            let present = self.present.groups.iter().find(|group| group.id == wanted.name);
            if present.is_some_and(|present| present.roles == wanted.roles) {
                continue;
            }
            let version = present.map_or(0, |present| present.version);
            let change = Change::Group { name: wanted.name.clone(), roles: wanted.roles, version };
            let before = present.map(|present| json!({ "roles": present.roles }));
            let after = Some(json!({ "roles": wanted.roles }));
            self.adding.push(planned(Kind::Groups, &wanted.name, before, after, change));
        }
        if self.prunes(Kind::Groups) {
            for present in self.present.groups.iter().filter(|group| group.source == DATABASE) {
                let is_declared = declared.iter().any(|wanted| wanted.name == present.id);
                if !is_declared && !present.roles.is_empty() {
                    let (name, version) = (present.id.clone(), present.version);
                    let change = Change::Group { name, roles: RoleSet::EMPTY, version };
                    let before = Some(json!({ "roles": present.roles }));
                    self.removing.push(planned(Kind::Groups, &present.id, before, None, change));
                }
            }
        }
    }

    fn grants(&mut self, declared: &[CreateRoleGrant]) -> Result<(), Failure> {
        let own = self.present.person().map(address);
        let present: BTreeMap<String, &str> =
            self.present.grants.iter().map(|one| (grant_name(&grant(one)), one.id.as_str())).collect();
        for wanted in declared {
            let name = grant_name(wanted);
            if present.contains_key(&name) {
                continue;
            }
            if wanted.person.is_some() && wanted.person.as_deref().map(address) == own {
                return Err(impossible(
                    format!("{name}: nobody grants a role to themselves"),
                    "let another admin apply it",
                ));
            }
            let after = Some(json!(wanted));
            self.adding.push(planned(Kind::Grants, &name, None, after, Change::Grant(wanted.clone())));
        }
        if self.prunes(Kind::Grants) {
            let wanted: BTreeSet<String> = declared.iter().map(grant_name).collect();
            for one in &self.present.grants {
                let name = grant_name(&grant(one));
                if !wanted.contains(&name) {
                    let change = Change::RemoveGrant { id: one.id.clone() };
                    self.removing.push(planned(Kind::Grants, &name, Some(json!(grant(one))), None, change));
                }
            }
        }
        Ok(())
    }

    fn trust_rules(&mut self, declared: &[TrustRule]) {
        for wanted in declared {
            let present = self.present.trust_rules.iter().find(|rule| rule.name == wanted.name);
            let now = present.map(trust_rule);
            if now.as_ref().is_some_and(|now| settled(now) == settled(wanted)) {
                continue;
            }
            let change = Change::TrustRule {
                name: wanted.name.clone(),
                rule: Box::new(wanted.written()),
                version: present.map_or(0, |present| present.version),
            };
            let before = now.map(|now| json!(now));
            self.adding.push(planned(Kind::TrustRules, &wanted.name, before, Some(json!(wanted)), change));
        }
        if self.prunes(Kind::TrustRules) {
            for present in &self.present.trust_rules {
                if declared.iter().all(|wanted| wanted.name != present.name) {
                    let (name, version) = (present.name.clone(), present.version);
                    let change = Change::RemoveTrustRule { name, version };
                    let before = Some(json!(trust_rule(present)));
                    self.removing.push(planned(Kind::TrustRules, &present.name, before, None, change));
                }
            }
        }
    }

    fn settings(
        &mut self,
        app: Option<&str>,
        present: &[Setting],
        declared: &BTreeMap<DeclaredKey, SettingText>,
    ) -> Result<(), Failure> {
        let named = |key: &str| app.map_or_else(|| key.to_owned(), |app| format!("{key} of {app}"));
        for (DeclaredKey(key), text) in declared {
            let name = named(key.name());
            let Some(now) = present.iter().find(|setting| setting.key == key.name()) else {
                let what = format!("the gateway has no setting {name}");
                return Err(impossible(what, "it is another version of the gateway than of this program"));
            };
            let is_own = app.is_none() || now.own;
            if is_own && same_value(*key, &now.value, &text.to_string()) {
                continue;
            }
            let change = Change::Setting {
                app: app.map(str::to_owned),
                key: now.key.clone(),
                value: text.to_string(),
                version: now.version,
            };
            let (before, after) = (json!({ "value": now.value }), json!({ "value": text.to_string() }));
            self.adding.push(planned(Kind::Settings, &name, Some(before), Some(after), change));
        }
        if self.prunes(Kind::Settings) {
            let is_own = |setting: &&Setting| {
                setting.source.kind == DATABASE && (app.is_none() || setting.own) && setting.version != 0
            };
            for now in present.iter().filter(is_own) {
                if declared.keys().any(|key| key.0.name() == now.key) {
                    continue;
                }
                let change = Change::ResetSetting {
                    app: app.map(str::to_owned),
                    key: now.key.clone(),
                    version: now.version,
                };
                let before = json!({ "value": now.value, "then": now.without_database });
                self.removing.push(planned(Kind::Settings, &named(&now.key), Some(before), None, change));
            }
        }
        Ok(())
    }

    fn policies(&mut self, declared: &[document::Policy]) -> Result<(), Failure> {
        for wanted in declared {
            let id = &wanted.id;
            let present = self.present.policies.iter().find(|policy| policy.id == *id);
            if present.is_some_and(|present| present.text.as_ref() == Some(&wanted.text)) {
                continue;
            }
            if present.is_some_and(|present| present.origin != DATABASE) {
                return Err(impossible(
                    format!(
                        "the policy document {id} is not of the database, and is changed in its own place"
                    ),
                    "give what is applied another id, or change the gateway's own file",
                ));
            }
            let change = Change::Policy {
                id: id.clone(),
                text: wanted.text.clone(),
                version: present.and_then(|present| present.version).unwrap_or(0),
            };
            let before = present.map(|present| json!({ "text": present.text }));
            let after = Some(json!({ "text": wanted.text }));
            self.adding.push(planned(Kind::Policies, id, before, after, change));
        }
        if self.prunes(Kind::Policies) {
            for present in self.present.policies.iter().filter(|policy| policy.origin == DATABASE) {
                if declared.iter().all(|wanted| wanted.id != present.id) {
                    let (id, version) = (present.id.clone(), present.version.unwrap_or(0));
                    let before = Some(json!({ "text": present.text }));
                    let change = Change::RemovePolicy { id, version };
                    self.removing.push(planned(Kind::Policies, &present.id, before, None, change));
                }
            }
        }
        Ok(())
    }
}

fn shown(user: &users::User) -> Value {
    json!({ "name": user.name, "roles": user.roles, "locked": user.locked })
}

/// Whether two texts are the same value: `300s` and `5m` are.
fn same_value(key: SettingKey, one: &str, other: &str) -> bool {
    match (key.parse(one), key.parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), _) | (_, Err(_)) => one == other,
    }
}

/// How long what a rule gives lives when the rule does not say.
const USUAL_LIFETIME: &str = "15m";

/// A trust rule in its one form: what the gateway would add is added, and lists that are sets have one order.
fn settled(rule: &TrustRule) -> (TrustRule, Vec<IpNet>) {
    let mut settled = rule.clone();
    let kind = rule.kind.parse::<RuleKind>().ok();
    if settled.issuer.is_none() {
        settled.issuer = kind.and_then(RuleKind::usual_issuer).map(str::to_owned);
    }
    if let Some(kind) = kind {
        settled.claims = kind.completed(settled.claims);
    }
    if kind != Some(RuleKind::Certificate) {
        let lifetime = settled.lifetime.as_deref().unwrap_or(USUAL_LIFETIME);
        let seconds = parse_duration(lifetime).map(|lifetime| format!("{}s", lifetime.as_secs()));
        settled.lifetime = Some(seconds.unwrap_or_else(|| lifetime.to_owned()));
    }
    settled.authority = settled.authority.map(|pem| pem.trim().to_owned());
    for values in settled.claims.values_mut() {
        values.sort();
        values.dedup();
    }
    for grant in &mut settled.grants {
        grant.apps.sort();
    }
    settled.grants.sort_by(|one, other| (&one.actions, &one.apps).cmp(&(&other.actions, &other.apps)));
    // Networks that are none stay as they are written; the gateway says what is wrong with them.
    let known = networks(&settled.networks).map(|mut known| {
        known.sort();
        settled.networks.clear();
        known
    });
    (settled, known.unwrap_or_default())
}
