//! `[[identity.provider]]`: OpenID Connect providers, written as tables in the file. A table named `google`
//! completes the variables `GOOGLE_*`, or changes the issuer behind them.

use std::collections::{BTreeMap, BTreeSet};

use gateway_types::{Role, Secret};
use url::{Host, Url};

use crate::config::{Explained, OidcProvider, Warning};
use crate::document::{Located, Raw};
use crate::fault::{Fault, FaultKind, Origin};
use crate::host::canonical_host;
use crate::nearest::nearest;
use crate::resolver::Resolver;
use crate::secret_ref;

/// The table's name in the file.
pub(crate) const PROVIDERS: &str = "identity.provider";

/// The provider that also has variables.
const GOOGLE: &str = "google";

/// Google's issuer, exactly as it stands in its tokens.
const GOOGLE_ISSUER: &str = "https://accounts.google.com";

/// What a secret looks like in a listing.
const HIDDEN: &str = "(hidden)";

/// The longest name of a provider.
const MAX_NAME: usize = 32;

/// One `[[identity.provider]]` as the file has it.
#[derive(Clone, Debug)]
pub(crate) struct RawProvider {
    pub(crate) origin: Origin,
    pub(crate) fields: BTreeMap<String, Located>,
    /// `role_map`, when it is a table.
    pub(crate) role_map: Option<Vec<(String, Located)>>,
}

/// A field of `[[identity.provider]]`.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) example: &'static str,
}

/// The fields, in the order of the reference.
pub(crate) const FIELDS: [Field; 7] = [
    Field {
        name: "name",
        meaning: "its name in addresses (`/auth/callback/NAME`): lower-case letters, digits and hyphens, at most 32, \
                  each name once. A table named `google` completes the variables `GOOGLE_*`; a variable that is set \
                  comes before what stands here",
        example: "\"okta\"",
    },
    Field {
        name: "issuer",
        meaning: "its issuer, exactly as it stands in its tokens: an https address without query or fragment; plain \
                  http only on this machine (`google` has Google's by default)",
        example: "\"https://example.okta.com\"",
    },
    Field { name: "client_id", meaning: "the client id it gave the gateway", example: "\"0oa1b2c3d4\"" },
    Field {
        name: "client_secret",
        meaning: "the client secret it gave the gateway: the value, `env:NAME` or `file:/path`",
        example: "\"file:/run/secrets/okta-client-secret\"",
    },
    Field {
        name: "allowed_domains",
        meaning: "domains whose people may sign in without being listed or invited; without it, nobody's",
        example: "[\"example.com\"]",
    },
    Field {
        name: "groups_claim",
        meaning: "the claim of its ID tokens that holds a person's groups; without it, groups are not looked at",
        example: "\"groups\"",
    },
    Field {
        name: "role_map",
        meaning: "the role that a group gives, by the group's exact name: `viewer`, `ops`, `deployer`, `admin` or \
                  `auditor`; needs `groups_claim`",
        example: "{ \"platform-admins\" = \"admin\", \"developers\" = \"deployer\" }",
    },
];

/// What the variables `GOOGLE_*` say.
pub(crate) struct GoogleVariables {
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<Secret<String>>,
    /// `None` = the variable is not set.
    pub(crate) allowed_domains: Option<Vec<String>>,
}

impl GoogleVariables {
    /// The provider of the variables alone.
    pub(crate) fn provider(
        client_id: String,
        client_secret: Secret<String>,
        allowed: Vec<String>,
    ) -> OidcProvider {
        OidcProvider {
            name: GOOGLE.to_owned(),
            issuer: GOOGLE_ISSUER.to_owned(),
            client_id,
            client_secret,
            allowed_domains: allowed,
            groups_claim: None,
            role_map: BTreeMap::new(),
        }
    }
}

/// Whether this is the table that goes with the variables.
pub(crate) fn is_google(provider: &RawProvider) -> bool {
    matches!(provider.fields.get("name").map(|name| &name.raw), Some(Raw::Text(name)) if name == GOOGLE)
}

/// Reads every table. `None` = a fault was noted; every fault of every table is.
pub(crate) fn providers(resolver: &mut Resolver<'_>, google: &GoogleVariables) -> Option<Vec<OidcProvider>> {
    let document = resolver.document;
    let mut names = BTreeSet::new();
    let read: Vec<Option<OidcProvider>> = document
        .providers
        .iter()
        .map(|raw| {
            let provider = Table { raw, resolver }.provider(google)?;
            if names.insert(provider.name.clone()) {
                return Some(provider);
            }
            let kind = FaultKind::Repeated { value: provider.name };
            resolver.faults.push(fault("name", field_origin(raw, "name"), kind));
            None
        })
        .collect();
    read.into_iter().collect()
}

/// One table while it is read.
struct Table<'a, 'r> {
    raw: &'a RawProvider,
    resolver: &'a mut Resolver<'r>,
}

impl Table<'_, '_> {
    fn provider(mut self, google: &GoogleVariables) -> Option<OidcProvider> {
        self.unknown_fields();
        let name = self.text("name", name);
        let is_google = is_google(self.raw);
        let issuer = self.text("issuer", issuer);
        let client_id = self.text("client_id", |text| Ok(text.to_owned()));
        let client_secret = self.secret();
        let allowed_domains = self.domains();
        let groups_claim = self.text("groups_claim", claim);
        let role_map = self.role_map();
        // The variables stand for what the table leaves out, and come before what it says.
        let variable = |given: bool| is_google && given;
        let client_id =
            if variable(google.client_id.is_some()) { Some(google.client_id.clone()) } else { client_id };
        let client_secret = if variable(google.client_secret.is_some()) {
            Some(google.client_secret.clone())
        } else {
            client_secret
        };
        let allowed_domains = if variable(google.allowed_domains.is_some()) {
            google.allowed_domains.clone()
        } else {
            allowed_domains
        };
        let issuer = match issuer {
            Some(None) if is_google => Some(Some(GOOGLE_ISSUER.to_owned())),
            other => other,
        };
        let name = self.required("name", name);
        let issuer = self.required("issuer", issuer);
        let client_id = self.required("client_id", client_id);
        let client_secret = self.required("client_secret", client_secret);
        let (groups_claim, role_map) = (groups_claim?, role_map?);
        if groups_claim.is_none() && !role_map.is_empty() {
            let kind = FaultKind::Incomplete { other: "identity.provider.groups_claim" };
            self.fault("role_map", self.raw.origin.clone(), kind);
            return None;
        }
        let provider = OidcProvider {
            name: name?,
            issuer: issuer?,
            client_id: client_id?,
            client_secret: client_secret?,
            allowed_domains: allowed_domains?,
            groups_claim,
            role_map,
        };
        self.explain(&provider);
        Some(provider)
    }

    fn unknown_fields(&mut self) {
        for (name, value) in &self.raw.fields {
            if !FIELDS.iter().any(|field| field.name == name) {
                let nearest = nearest(name, FIELDS.iter().map(|field| field.name));
                self.fault(name, value.origin.clone(), FaultKind::Unknown { nearest });
            }
        }
    }

    /// A text, when there is one. The outer `None` = a fault was noted.
    fn text(
        &mut self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<String, FaultKind>,
    ) -> Option<Option<String>> {
        let Some(located) = self.raw.fields.get(field) else { return Some(None) };
        let parsed = match &located.raw {
            Raw::Text(text) if text.trim().is_empty() => Err(FaultKind::Empty),
            Raw::Text(text) => parse(text),
            other => {
                Err(FaultKind::WrongType { expected: "a string in double quotes", found: other.type_name() })
            }
        };
        match parsed {
            Ok(value) => Some(Some(value)),
            Err(kind) => {
                self.fault(field, located.origin.clone(), kind);
                None
            }
        }
    }

    fn secret(&mut self) -> Option<Option<Secret<String>>> {
        const FIELD: &str = "client_secret";
        let Some(located) = self.raw.fields.get(FIELD) else { return Some(None) };
        let resolved = match &located.raw {
            Raw::Text(text) => secret_ref::resolve(text, self.resolver.environment, self.resolver.files),
            other => {
                Err(FaultKind::WrongType { expected: "a string in double quotes", found: other.type_name() })
            }
        };
        match resolved {
            Ok(resolved) => {
                if let Some(path) = resolved.world_readable {
                    let key = format!("{PROVIDERS}.{FIELD}");
                    self.resolver.warnings.push(Warning::SecretFileWorldReadable { key, path });
                }
                Some(Some(resolved.secret))
            }
            Err(kind) => {
                self.fault(FIELD, located.origin.clone(), kind);
                None
            }
        }
    }

    fn domains(&mut self) -> Option<Vec<String>> {
        const FIELD: &str = "allowed_domains";
        let Some(located) = self.raw.fields.get(FIELD) else { return Some(Vec::new()) };
        let Raw::List(items) = &located.raw else {
            let expected = "an array of strings, such as [\"one\", \"two\"]";
            let kind = FaultKind::WrongType { expected, found: located.raw.type_name() };
            self.fault(FIELD, located.origin.clone(), kind);
            return None;
        };
        let mut domains = Vec::new();
        for item in items {
            match domain(item) {
                Ok(domain) => domains.push(domain),
                Err(kind) => self.fault(FIELD, located.origin.clone(), kind),
            }
        }
        (domains.len() == items.len()).then_some(domains)
    }

    fn role_map(&mut self) -> Option<BTreeMap<String, Role>> {
        const FIELD: &str = "role_map";
        if let Some(other) = self.raw.fields.get(FIELD) {
            let expected = "a table, such as { \"developers\" = \"deployer\" }";
            let kind = FaultKind::WrongType { expected, found: other.raw.type_name() };
            self.fault(FIELD, other.origin.clone(), kind);
            return None;
        }
        let entries = self.raw.role_map.as_deref().unwrap_or_default();
        let mut map = BTreeMap::new();
        for (group, located) in entries {
            match role(&located.raw) {
                Ok(role) if !group.trim().is_empty() => {
                    map.insert(group.clone(), role);
                }
                Ok(_) => self.fault(FIELD, located.origin.clone(), FaultKind::Empty),
                Err(kind) => self.fault(FIELD, located.origin.clone(), kind),
            }
        }
        (map.len() == entries.len()).then_some(map)
    }

    /// The value, or a note that it is not there.
    fn required<T>(&mut self, field: &'static str, value: Option<Option<T>>) -> Option<T> {
        let value = value?;
        if value.is_none() {
            let known = FIELDS.iter().find(|known| known.name == field);
            let (example, meaning) = known.map_or(("…", ""), |known| (known.example, known.meaning));
            let write = format!("write `{field} = {example}`: {meaning}");
            self.fault(field, self.raw.origin.clone(), FaultKind::Missing { write });
        }
        value
    }

    fn fault(&mut self, field: &str, origin: Origin, kind: FaultKind) {
        self.resolver.faults.push(fault(field, origin, kind));
    }

    fn explain(&mut self, provider: &OidcProvider) {
        let roles: Vec<String> =
            provider.role_map.iter().map(|(group, role)| format!("{group}={role}")).collect();
        let values = [
            ("issuer", Some(provider.issuer.clone())),
            ("client_id", Some(provider.client_id.clone())),
            ("client_secret", Some(HIDDEN.to_owned())),
            ("allowed_domains", Some(provider.allowed_domains.join(","))),
            ("groups_claim", provider.groups_claim.clone()),
            ("role_map", Some(roles.join(","))),
        ];
        for (field, value) in values {
            self.resolver.explained.push(Explained {
                key: format!("{PROVIDERS}.{}.{field}", provider.name),
                variable: None,
                value,
                origin: field_origin(self.raw, field),
                default: None,
            });
        }
    }
}

fn fault(field: &str, origin: Origin, kind: FaultKind) -> Fault {
    Fault { key: format!("{PROVIDERS}.{field}"), origin, kind }
}

/// The field's own line, else the table's.
fn field_origin(raw: &RawProvider, field: &str) -> Origin {
    raw.fields.get(field).map_or_else(|| raw.origin.clone(), |located| located.origin.clone())
}

fn name(text: &str) -> Result<String, FaultKind> {
    let is_name = text.len() <= MAX_NAME
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_name {
        Ok(text.to_owned())
    } else {
        let expected = "a name of at most 32 lower-case letters, digits and inner hyphens, such as okta";
        Err(FaultKind::Malformed { value: text.escape_debug().to_string(), expected })
    }
}

/// The text is kept as it is, because issuers are compared as texts; `Url` only decides what it is.
fn issuer(text: &str) -> Result<String, FaultKind> {
    // `Url` forgives blanks and tabs, which would then never be found in a token.
    let url = Url::parse(text).ok().filter(|_| text.chars().all(|c| c.is_ascii_graphic()));
    // It may hold a password, so it is not repeated.
    let malformed = FaultKind::MalformedSecret {
        expected: "an issuer: an https address without user name, query or fragment, such as https://example.okta.com \
                   (http only on this machine)",
    };
    let is_issuer = url.is_some_and(|url| {
        let reachable = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => is_loopback(&url),
            _ => false,
        };
        let bare = url.username().is_empty() && url.password().is_none();
        reachable && bare && !text.contains(['?', '#'])
    });
    if is_issuer { Ok(text.to_owned()) } else { Err(malformed) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn claim(text: &str) -> Result<String, FaultKind> {
    if text.len() <= 256 && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        let expected = "the name of a claim without blanks, such as groups";
        Err(FaultKind::Malformed { value: text.escape_debug().to_string(), expected })
    }
}

/// A domain in its canonical form.
pub(crate) fn domain(text: &str) -> Result<String, FaultKind> {
    canonical_host(text).ok_or_else(|| FaultKind::Malformed {
        value: text.to_owned(),
        expected: "a domain, such as example.com",
    })
}

/// A role that a person can have: `cicd` is for machines.
fn role(raw: &Raw) -> Result<Role, FaultKind> {
    let expected = "a role: viewer, ops, deployer, admin or auditor";
    match raw {
        Raw::Text(text) => match text.parse() {
            Ok(Role::Cicd) | Err(_) => Err(FaultKind::Malformed { value: text.clone(), expected }),
            Ok(role) => Ok(role),
        },
        other => Err(FaultKind::WrongType { expected, found: other.type_name() }),
    }
}
