//! The file: TOML, with the same words as the API and, for services, as the configuration file. An unknown key, or a
//! value that is none, is refused with its line; a name that is declared twice is refused too.
//!
//! # Security
//! There is no field for a secret: services name where their credential is, and tokens, factors and keys are not here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gateway_config::{SettingFault, SettingKey, SettingScope, canonical_email};
use gateway_services::RawService;
use gateway_types::RoleSet;
use gateway_types::wire::elevations::CreateRoleGrant;
use gateway_types::wire::trust_rules::WriteTrustRule;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Kind;

/// The form of the file that this program writes and reads.
const FORM: u32 = 1;
/// The largest file, in bytes.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// What is declared. What is absent is left as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// The form of the file: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<Form>,
    /// The gateway's settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) settings: BTreeMap<DeclaredKey, SettingText>,
    /// Apps, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) app: BTreeMap<String, App>,
    /// People.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) user: Vec<User>,
    /// Groups of identity providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) group: Vec<Group>,
    /// Roles of persons and groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) grant: Vec<CreateRoleGrant>,
    /// Policy documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) policy: Vec<Policy>,
    /// Services, as in the configuration file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) service: Vec<RawService>,
    /// Trust rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trust_rule: Vec<TrustRule>,
}

/// The form of a file that this program knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Form;

/// What is declared of an app.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct App {
    /// Its own settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) settings: BTreeMap<DeclaredKey, SettingText>,
}

/// A person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// E-mail address.
    pub(crate) email: String,
    /// The name shown to people; absent: left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// All roles.
    pub(crate) roles: RoleSet,
    /// Whether they are locked out; absent: left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) locked: Option<bool>,
}

/// A group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// Its name, as the provider writes it.
    pub(crate) name: String,
    /// What its members get; none: nothing.
    pub(crate) roles: RoleSet,
}

/// A policy document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// Its name.
    pub(crate) id: String,
    /// Cedar text.
    pub(crate) text: String,
}

/// A trust rule: what `PUT /trust-rules/{name}` takes, and the name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustRule {
    /// Its name.
    pub(crate) name: String,
    /// `github`, `gitlab`, `circleci`, `buildkite` or `certificate`.
    pub(crate) kind: String,
    /// The issuer; absent: the CI system's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// Certificates in PEM that must have signed a client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authority: Option<String>,
    /// What a machine may be.
    pub(crate) roles: RoleSet,
    /// From which networks what it gets may be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) networks: Vec<String>,
    /// How long what it gets lives; absent: 15 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lifetime: Option<String>,
    /// What must hold: every claim, with one of its values.
    pub(crate) claims: BTreeMap<String, Vec<String>>,
    /// What it is granted.
    pub(crate) grants: Vec<gateway_types::wire::tokens::Grant>,
}

impl TrustRule {
    /// As the API takes it.
    pub(crate) fn written(&self) -> WriteTrustRule {
        WriteTrustRule {
            kind: self.kind.clone(),
            issuer: self.issuer.clone(),
            claims: self.claims.clone(),
            authority: self.authority.clone(),
            roles: self.roles,
            grants: self.grants.clone(),
            networks: self.networks.clone(),
            lifetime: self.lifetime.clone(),
        }
    }
}

/// A setting's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct DeclaredKey(pub(crate) SettingKey);

/// A setting's value: a text, a switch or a whole number, as in the configuration file.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum SettingText {
    /// `true` or `false`.
    Switch(bool),
    /// A whole number.
    Number(u32),
    /// Everything else.
    Text(String),
}

impl fmt::Display for SettingText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingText::Switch(on) => write!(f, "{on}"),
            SettingText::Number(number) => write!(f, "{number}"),
            SettingText::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for SettingText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            SettingText::Switch(on) => serializer.serialize_bool(*on),
            SettingText::Number(number) => serializer.serialize_u32(*number),
            SettingText::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl Serialize for DeclaredKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for DeclaredKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        SettingKey::from_name(&name).map(DeclaredKey).ok_or_else(|| {
            de::Error::custom(format!(
                "no setting is called `{name}`; `rack-gateway settings list` shows them"
            ))
        })
    }
}

impl Serialize for Form {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(FORM)
    }
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            FORM => Ok(Form),
            other => {
                Err(de::Error::custom(format!("this program reads files of version {FORM}, not of {other}")))
            }
        }
    }
}

/// What keeps files from being read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentFault {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large.
    #[error("{} has more than {MOST_BYTES} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// The directory has no file that could be meant.
    #[error("{} has no file whose name ends in .toml", path.display())]
    NoFiles {
        /// Which.
        path: PathBuf,
    },
    /// It is no such file: the message names the line.
    #[error("{file} is not a declaration")]
    NotADeclaration {
        /// Which.
        file: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// Something is declared twice.
    #[error("{file} declares the {} `{name}`, which was declared before", kind.singular())]
    Twice {
        /// The file of the second one.
        file: String,
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// A setting has a value that it does not take.
    #[error("{file}: the value of `{key}` is none that it takes")]
    Value {
        /// Which file.
        file: String,
        /// Which setting.
        key: String,
        /// Why.
        source: SettingFault,
    },
    /// A setting that only the gateway has stands at an app.
    #[error("{file}: `{key}` cannot differ between apps; declare it under [settings]")]
    NotPerApp {
        /// Which file.
        file: String,
        /// Which setting.
        key: String,
    },
    /// A grant is of nobody, or of two.
    #[error("{file}: a grant of `{role}` names a person or a group, and not both")]
    Holder {
        /// Which file.
        file: String,
        /// Of which role.
        role: String,
    },
    /// It cannot be written down.
    #[error("the configuration cannot be written as TOML")]
    Write(#[from] toml::ser::Error),
}

impl Document {
    /// What `paths` declare together: files, and each `*.toml` of a directory, in the order of their names.
    ///
    /// # Errors
    /// [`DocumentFault`].
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, DocumentFault> {
        let mut whole = Self::default();
        for path in paths {
            for file in files(path)? {
                let text = text_of(&file)?;
                whole.add(&file.display().to_string(), &text)?;
            }
        }
        Ok(whole)
    }

    /// Adds what the text of one file declares.
    ///
    /// # Errors
    /// [`DocumentFault`].
    pub(crate) fn add(&mut self, file: &str, text: &str) -> Result<(), DocumentFault> {
        let read: Document = toml::from_str(text).map_err(|source| DocumentFault::NotADeclaration {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
        read.check_settings(file)?;
        let Document { version: _, settings, app, user, group, grant, policy, service, trust_rule } = read;
        self.version = Some(Form);
        self.settings.extend(settings_once(file, &self.settings, settings)?);
        for (name, declared) in app {
            let known = self.app.entry(name).or_default();
            let added = settings_once(file, &known.settings, declared.settings)?;
            known.settings.extend(added);
        }
        if let Some(grant) = grant.iter().find(|grant| grant.person.is_some() == grant.group.is_some()) {
            return Err(DocumentFault::Holder { file: file.to_owned(), role: grant.role.clone() });
        }
        self.user.extend(user);
        self.group.extend(group);
        self.grant.extend(grant);
        self.policy.extend(policy);
        self.service.extend(service);
        self.trust_rule.extend(trust_rule);
        self.check_names(file)
    }

    fn check_settings(&self, file: &str) -> Result<(), DocumentFault> {
        let own = self.settings.iter().map(|(key, text)| (key, text, false));
        let of_apps =
            self.app.values().flat_map(|app| app.settings.iter().map(|(key, text)| (key, text, true)));
        for (DeclaredKey(key), text, of_app) in own.chain(of_apps) {
            if of_app && key.scope() == SettingScope::Gateway {
                return Err(DocumentFault::NotPerApp { file: file.to_owned(), key: key.name().to_owned() });
            }
            key.parse(&text.to_string()).map_err(|source| DocumentFault::Value {
                file: file.to_owned(),
                key: key.name().to_owned(),
                source,
            })?;
        }
        Ok(())
    }

    fn check_names(&self, file: &str) -> Result<(), DocumentFault> {
        let lists: [(Kind, Vec<String>); 6] = [
            (Kind::Users, self.user.iter().map(|user| address(&user.email)).collect()),
            (Kind::Groups, self.group.iter().map(|group| group.name.clone()).collect()),
            (Kind::Grants, self.grant.iter().map(grant_name).collect()),
            (Kind::Policies, self.policy.iter().map(|policy| policy.id.clone()).collect()),
            (Kind::Services, self.service.iter().map(|service| service.name.clone()).collect()),
            (Kind::TrustRules, self.trust_rule.iter().map(|rule| rule.name.clone()).collect()),
        ];
        for (kind, names) in lists {
            let mut seen = BTreeSet::new();
            for name in names {
                if !seen.insert(name.clone()) {
                    return Err(DocumentFault::Twice { file: file.to_owned(), kind, name });
                }
            }
        }
        Ok(())
    }

    /// Whether anything of this kind is declared.
    pub(crate) fn declares(&self, kind: Kind) -> bool {
        match kind {
            Kind::Services => !self.service.is_empty(),
            Kind::Users => !self.user.is_empty(),
            Kind::Groups => !self.group.is_empty(),
            Kind::Grants => !self.grant.is_empty(),
            Kind::TrustRules => !self.trust_rule.is_empty(),
            Kind::Settings => !self.settings.is_empty() || !self.app.is_empty(),
            Kind::Policies => !self.policy.is_empty(),
        }
    }

    /// As a file.
    ///
    /// # Errors
    /// [`DocumentFault::Write`].
    pub(crate) fn to_toml(&self) -> Result<String, DocumentFault> {
        Ok(toml::to_string_pretty(self)?)
    }
}

/// The settings of one more file, when none of them was declared before.
fn settings_once(
    file: &str,
    known: &BTreeMap<DeclaredKey, SettingText>,
    added: BTreeMap<DeclaredKey, SettingText>,
) -> Result<BTreeMap<DeclaredKey, SettingText>, DocumentFault> {
    match added.keys().find(|key| known.contains_key(key)) {
        Some(DeclaredKey(key)) => Err(DocumentFault::Twice {
            file: file.to_owned(),
            kind: Kind::Settings,
            name: key.name().to_owned(),
        }),
        None => Ok(added),
    }
}

/// An address in its one spelling; what is none is left for the gateway to refuse.
pub(crate) fn address(email: &str) -> String {
    canonical_email(email).unwrap_or_else(|_| email.to_lowercase())
}

/// What tells a grant from all others.
pub(crate) fn grant_name(grant: &CreateRoleGrant) -> String {
    let holder = match (&grant.person, &grant.group) {
        (Some(person), _) => address(person),
        (None, group) => format!("group {}", group.as_deref().unwrap_or_default()),
    };
    match &grant.app {
        Some(app) => format!("{holder}: {} on {app}", grant.role),
        None => format!("{holder}: {} everywhere", grant.role),
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, DocumentFault> {
    let unreadable = |source| DocumentFault::Unreadable { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "toml") && file.is_file() {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() { Err(DocumentFault::NoFiles { path: path.to_owned() }) } else { Ok(found) }
}

fn text_of(path: &Path) -> Result<String, DocumentFault> {
    let unreadable = |source| DocumentFault::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let mut file = io::Read::take(fs::File::open(path).map_err(unreadable)?, MOST_BYTES + 1);
    let read = io::Read::read_to_string(&mut file, &mut text).map_err(unreadable)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(DocumentFault::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}
