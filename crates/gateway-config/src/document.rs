//! The file as a flat list of located values: which key, on which line, what is written there. Every
//! key that does not exist is a fault here; what the values mean is decided later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::{Fault, FaultKind, Origin};
use crate::keys::{self, Key};
use crate::nearest::nearest;
use crate::providers::{PROVIDERS, RawProvider};
use crate::routes::RawRoute;
use crate::sections::services::{self, LocatedService, SERVICES};
use crate::settings::SettingKey;
use crate::sinks::{RawSink, SINKS};

/// A value as the file has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Raw {
    Text(String),
    Integer(String),
    Switch(bool),
    List(Vec<String>),
    Other(&'static str),
}

impl Raw {
    /// The TOML type's name with its article.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Raw::Text(_) => "a string",
            Raw::Integer(_) => "an integer",
            Raw::Switch(_) => "a boolean",
            Raw::List(_) => "an array of strings",
            Raw::Other(name) => name,
        }
    }
}

/// A value with its line.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) raw: Raw,
    pub(crate) origin: Origin,
}

/// A setting as the file has it.
#[derive(Clone, Debug)]
pub(crate) struct LocatedSetting {
    pub(crate) app: Option<String>,
    pub(crate) key: SettingKey,
    pub(crate) value: Located,
}

/// The whole file.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) values: BTreeMap<String, Located>,
    pub(crate) settings: Vec<LocatedSetting>,
    pub(crate) routes: Vec<RawRoute>,
    pub(crate) providers: Vec<RawProvider>,
    pub(crate) services: Vec<LocatedService>,
    pub(crate) sinks: Vec<RawSink>,
    /// The names under `[network.named]`.
    pub(crate) networks: BTreeMap<String, Located>,
    pub(crate) faults: Vec<Fault>,
}

impl Document {
    /// Reads TOML text. What cannot be read is in `faults`; the rest is still there.
    pub(crate) fn read(path: &Path, text: &str) -> Self {
        let mut reader = Reader { path: path.to_owned(), text, document: Document::default() };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let origin = reader.origin(error.span().map_or(0, |span| span.start));
            let kind = FaultKind::Syntax { message: error.message().to_owned() };
            reader.document.faults.push(Fault { key: "the file".to_owned(), origin, kind });
        }
        reader.table("", root.get_ref());
        reader.document
    }
}

/// The table of `[[rack.route]]`.
const ROUTES: &str = "rack.route";
const SETTINGS: &str = "settings";
/// The table of names of networks.
pub(crate) const NAMED: &str = "network.named";
const APP_SETTINGS: &str = "settings.app";

struct Reader<'a> {
    path: PathBuf,
    text: &'a str,
    document: Document,
}

impl Reader<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File { path: self.path.clone(), line }
    }

    fn fault(&mut self, key: String, origin: Origin, kind: FaultKind) {
        self.document.faults.push(Fault { key, origin, kind });
    }

    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = join(prefix, name.get_ref());
            let origin = self.origin(name.span().start);
            match value.get_ref() {
                DeValue::Table(inner) if key == SETTINGS => self.settings(inner),
                DeValue::Table(inner) if key == NAMED => {
                    let named: Vec<_> = inner.iter().map(|(name, value)| self.located(name, value)).collect();
                    self.document.networks.extend(named);
                }
                DeValue::Table(inner) if is_section(&key) => self.table(&key, inner),
                DeValue::Array(rows) if key == ROUTES => {
                    let rows: Vec<&Spanned<DeValue<'_>>> = rows.iter().collect();
                    self.routes(&rows);
                }
                DeValue::Array(tables) if key == PROVIDERS => {
                    for table in tables.iter() {
                        self.provider(table);
                    }
                }
                DeValue::Array(tables) if key == SERVICES => {
                    for table in tables.iter() {
                        self.service(table);
                    }
                }
                DeValue::Array(tables) if key == SINKS => {
                    for table in tables.iter() {
                        self.sink(table);
                    }
                }
                found if find(&key).is_some() => {
                    self.document.values.insert(key, Located { raw: raw(found), origin });
                }
                _ if key == ROUTES => self.wrong_type(key, origin, "tables written as [[rack.route]]", value),
                _ if key == PROVIDERS => {
                    self.wrong_type(key, origin, "tables written as [[identity.provider]]", value);
                }
                _ if key == SERVICES => {
                    self.wrong_type(key, origin, "tables written as [[service]]", value);
                }
                _ if key == SINKS => {
                    self.wrong_type(key, origin, "tables written as [[audit.sinks]]", value);
                }
                _ if key == SETTINGS || key == NAMED || is_section(&key) => {
                    self.wrong_type(key, origin, "a table, written in brackets on its own line", value);
                }
                _ => {
                    let nearest = nearest(&key, file_names());
                    self.fault(key, origin, FaultKind::Unknown { nearest });
                }
            }
        }
    }

    fn wrong_type(
        &mut self,
        key: String,
        origin: Origin,
        expected: &'static str,
        found: &Spanned<DeValue<'_>>,
    ) {
        let found = raw(found.get_ref()).type_name();
        self.fault(key, origin, FaultKind::WrongType { expected, found });
    }

    fn settings(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let origin = self.origin(name.span().start);
            match value.get_ref() {
                DeValue::Table(apps) if name.get_ref() == "app" => self.apps(apps),
                _ => self.setting(SETTINGS, None, name, value, origin),
            }
        }
    }

    fn apps(&mut self, apps: &DeTable<'_>) {
        for (app, value) in apps {
            let origin = self.origin(app.span().start);
            let key = join(APP_SETTINGS, app.get_ref());
            match value.get_ref() {
                DeValue::Table(settings) if is_app_name(app.get_ref()) => {
                    for (name, value) in settings {
                        let origin = self.origin(name.span().start);
                        self.setting(&key, Some(app.get_ref()), name, value, origin);
                    }
                }
                DeValue::Table(_) => {
                    let expected = "an app's name: letters, digits and hyphens";
                    let kind = FaultKind::Malformed { value: app.get_ref().to_string(), expected };
                    self.fault(key, origin, kind);
                }
                _ => self.wrong_type(key, origin, "a table, written as [settings.app.NAME]", value),
            }
        }
    }

    fn setting(
        &mut self,
        prefix: &str,
        app: Option<&str>,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) {
        match SettingKey::from_name(name.get_ref()) {
            Some(key) => {
                let value = Located { raw: raw(value.get_ref()), origin };
                self.document.settings.push(LocatedSetting { app: app.map(str::to_owned), key, value });
            }
            None => {
                let nearest = nearest(name.get_ref(), SettingKey::ALL.iter().map(|key| key.name()))
                    .map(|name| join(prefix, &name));
                self.fault(join(prefix, name.get_ref()), origin, FaultKind::Unknown { nearest });
            }
        }
    }

    fn routes(&mut self, rows: &[&Spanned<DeValue<'_>>]) {
        for row in rows {
            let origin = self.origin(row.span().start);
            match row.get_ref() {
                DeValue::Table(table) => {
                    let fields = table.iter().map(|(name, value)| self.located(name, value)).collect();
                    self.document.routes.push(RawRoute { origin, fields });
                }
                _ => self.wrong_type(ROUTES.to_owned(), origin, "tables written as [[rack.route]]", row),
            }
        }
    }
}

impl Reader<'_> {
    fn service(&mut self, service: &Spanned<DeValue<'_>>) {
        let origin = self.origin(service.span().start);
        let DeValue::Table(table) = service.get_ref() else {
            self.wrong_type(SERVICES.to_owned(), origin, "tables written as [[service]]", service);
            return;
        };
        match services::read(table, origin) {
            Ok(service) => self.document.services.push(service),
            Err(fault) => self.document.faults.push(*fault),
        }
    }

    fn sink(&mut self, sink: &Spanned<DeValue<'_>>) {
        let origin = self.origin(sink.span().start);
        let DeValue::Table(table) = sink.get_ref() else {
            self.wrong_type(SINKS.to_owned(), origin, "tables written as [[audit.sinks]]", sink);
            return;
        };
        let fields = table.iter().map(|(name, value)| self.located(name, value)).collect();
        self.document.sinks.push(RawSink { origin, fields });
    }

    fn provider(&mut self, provider: &Spanned<DeValue<'_>>) {
        let origin = self.origin(provider.span().start);
        let DeValue::Table(table) = provider.get_ref() else {
            self.wrong_type(
                PROVIDERS.to_owned(),
                origin,
                "tables written as [[identity.provider]]",
                provider,
            );
            return;
        };
        let mut found = RawProvider { origin, fields: BTreeMap::new(), role_map: None };
        for (name, value) in table {
            match value.get_ref() {
                DeValue::Table(map) if name.get_ref() == "role_map" => {
                    found.role_map =
                        Some(map.iter().map(|(name, value)| self.located(name, value)).collect());
                }
                _ => found.fields.extend([self.located(name, value)]),
            }
        }
        self.document.providers.push(found);
    }

    fn located(
        &self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> (String, Located) {
        let origin = self.origin(name.span().start);
        (name.get_ref().to_string(), Located { raw: raw(value.get_ref()), origin })
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn file_names() -> impl Iterator<Item = &'static str> {
    keys::ALL.iter().filter_map(|key| key.name).chain([ROUTES, PROVIDERS, SERVICES, SINKS, SETTINGS, NAMED])
}

fn find(name: &str) -> Option<&'static Key> {
    keys::ALL.iter().find(|key| key.name == Some(name))
}

/// Whether some key stands in the table of this name.
fn is_section(name: &str) -> bool {
    file_names().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// What the rack accepts as an app's name (`{app}` of `routes.tsv`).
pub(crate) fn is_app_name(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => Raw::Integer(number.to_string()),
        DeValue::Boolean(switch) => Raw::Switch(*switch),
        DeValue::Float(_) => Raw::Other("a fraction"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a table"),
        DeValue::Array(items) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map_or(Raw::Other("an array of other things"), Raw::List),
    }
}
