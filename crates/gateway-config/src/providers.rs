//! `[[identity.provider]]`: identity providers, written as tables in the file. A table named `google` completes the
//! variables `GOOGLE_*`, or changes the issuer behind them.

use std::collections::{BTreeMap, BTreeSet};

use gateway_types::{Role, Secret};
use url::{Host, Url};

use crate::config::{Explained, OidcProvider, ProviderKind, Warning};
use crate::document::{Located, Raw};
use crate::fault::{Fault, FaultKind, Origin};
use crate::host::canonical_host;
use crate::nearest::nearest;
use crate::resolver::Resolver;
use crate::secret_ref::{self, Shape};

/// The table's name in the file.
pub(crate) const PROVIDERS: &str = "identity.provider";

/// The provider that also has variables.
const GOOGLE: &str = "google";

/// Google's issuer, exactly as it stands in its tokens.
const GOOGLE_ISSUER: &str = "https://accounts.google.com";

/// GitHub's pages, and its API.
const GITHUB: &str = "https://github.com";
const GITHUB_API: &str = "https://api.github.com";

/// The longest title of a provider, in characters.
const MAX_TITLE: usize = 40;

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
    /// Only for this kind of provider; `None` = for each.
    pub(crate) only: Option<Speaks>,
}

/// The fields, in the order of the reference.
pub(crate) const FIELDS: [Field; 15] = [
    Field {
        name: "name",
        meaning: "its name in addresses (`/auth/callback/NAME`): lower-case letters, digits and hyphens, at most 32, \
                  each name once. A table named `google` completes the variables `GOOGLE_*`; a variable that is set \
                  comes before what stands here",
        example: "\"okta\"",
        only: None,
    },
    Field {
        name: "kind",
        meaning: "what it speaks: `oidc` (OpenID Connect), `google` (the same, with Google's issuer) or `github` \
                  (an OAuth app of GitHub or GitHub Enterprise); without it `oidc`, and for a table named `google` or \
                  `github` that",
        example: "\"oidc\"",
        only: None,
    },
    Field {
        name: "title",
        meaning: "what people read on the button that signs them in, at most 40 characters; without it, the name",
        example: "\"Example Inc.\"",
        only: None,
    },
    Field {
        name: "issuer",
        meaning: "its issuer, exactly as it stands in its tokens: an https address without query or fragment; plain \
                  http only on this machine (`google` and `github` have theirs by default; of GitHub Enterprise, the \
                  address of its pages)",
        example: "\"https://example.okta.com\"",
        only: None,
    },
    Field {
        name: "client_id",
        meaning: "the client id it gave the gateway",
        example: "\"0oa1b2c3d4\"",
        only: None,
    },
    Field {
        name: "client_secret",
        meaning: "the client secret it gave the gateway: the value, `env:NAME` or `file:/path`",
        example: "\"file:/run/secrets/okta-client-secret\"",
        only: None,
    },
    Field {
        name: "allowed_domains",
        meaning: "domains whose people may sign in without being listed or invited; without it, nobody's",
        example: "[\"example.com\"]",
        only: None,
    },
    Field {
        name: "allowed_groups",
        meaning: "groups of which one must be a member to sign in, by their exact names; who is may sign in without \
                  being listed or invited. Needs `groups_claim`; of GitHub, write `allowed_orgs` and `allowed_teams`",
        example: "[\"engineering\"]",
        only: Some(Speaks::Oidc),
    },
    Field {
        name: "allowed_orgs",
        meaning: "of GitHub: organizations of which one must be an active member to sign in; who is may sign in \
                  without being listed or invited",
        example: "[\"example-inc\"]",
        only: Some(Speaks::GitHub),
    },
    Field {
        name: "allowed_teams",
        meaning: "of GitHub: teams (`organization/team`) of which one must be a member to sign in, instead of a whole \
                  organization",
        example: "[\"example-inc/platform\"]",
        only: Some(Speaks::GitHub),
    },
    Field {
        name: "api_url",
        meaning: "of GitHub Enterprise: the base address of its API; without it `https://api.github.com`, or `/api/v3` \
                  at the issuer's address",
        example: "\"https://github.example.com/api/v3\"",
        only: Some(Speaks::GitHub),
    },
    Field {
        name: "refresh",
        meaning: "whether it is asked again while a person's sessions last (how often is the setting \
                  `provider_refresh`): their roles then follow their groups, and when it no longer knows them, their \
                  sessions end. What it is asked with is kept, sealed. Many providers ask people for their consent to \
                  this; without it, it is asked at sign-in only",
        example: "true",
        only: None,
    },
    Field {
        name: "email_verified_claim",
        meaning: "the claim of its ID tokens that says that the e-mail address is verified, for a provider that has \
                  none by the standard's name: `xms_edov` with Microsoft Entra. Without it `email_verified`, for which \
                  UserInfo is asked where the token leaves it out",
        example: "\"email_verified\"",
        only: Some(Speaks::Oidc),
    },
    Field {
        name: "groups_claim",
        meaning: "the claim of its ID tokens that holds a person's groups; without it, groups are not looked at",
        example: "\"groups\"",
        only: Some(Speaks::Oidc),
    },
    Field {
        name: "role_map",
        meaning: "the role that a group gives, by the group's exact name: `viewer`, `ops`, `deployer`, `admin` or \
                  `auditor`; needs `groups_claim`. Of GitHub a group is an organization, or `organization/team`",
        example: "{ \"platform-admins\" = \"admin\", \"developers\" = \"deployer\" }",
        only: None,
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
            title: None,
            kind: ProviderKind::Oidc,
            issuer: GOOGLE_ISSUER.to_owned(),
            allowed_groups: Vec::new(),
            refresh: false,
            client_id,
            client_secret,
            allowed_domains: allowed,
            email_verified_claim: None,
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
        let speaks = self.speaks();
        let title = self.text("title", title);
        let issuer = self.text("issuer", issuer);
        let api_url = self.text("api_url", issuer_form);
        let refresh = self.switch("refresh");
        let client_id = self.text("client_id", |text| Ok(text.to_owned()));
        let client_secret = self.secret();
        let allowed_domains = self.list("allowed_domains", domain);
        let allowed_groups = self.allowed_groups(speaks);
        let email_verified_claim = self.text("email_verified_claim", claim);
        let groups_claim = self.text("groups_claim", claim);
        let role_map = self.role_map(speaks);
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
        let issuer = match (issuer, speaks) {
            (Some(None), Some(Speaks::Google)) => Some(Some(GOOGLE_ISSUER.to_owned())),
            (Some(None), Some(Speaks::GitHub)) => Some(Some(GITHUB.to_owned())),
            (other, _) => other,
        };
        let name = self.required("name", name);
        let issuer = self.required("issuer", issuer);
        let client_id = self.required("client_id", client_id);
        let client_secret = self.required("client_secret", client_secret);
        let (groups_claim, role_map, allowed_groups) = (groups_claim?, role_map?, allowed_groups?);
        let speaks = speaks?;
        if speaks != Speaks::GitHub && groups_claim.is_none() {
            for (field, is_empty) in
                [("role_map", role_map.is_empty()), ("allowed_groups", allowed_groups.is_empty())]
            {
                if !is_empty {
                    let kind = FaultKind::Incomplete { other: "identity.provider.groups_claim" };
                    self.fault(field, self.raw.origin.clone(), kind);
                    return None;
                }
            }
        }
        let (issuer, api_url) = (issuer?, api_url?);
        let kind = match speaks {
            Speaks::GitHub => ProviderKind::GitHub { api_url: api_url.unwrap_or_else(|| api_of(&issuer)) },
            Speaks::Oidc | Speaks::Google => ProviderKind::Oidc,
        };
        let provider = OidcProvider {
            name: name?,
            title: title?,
            kind,
            issuer,
            allowed_groups,
            refresh: refresh?,
            client_id: client_id?,
            client_secret: client_secret?,
            allowed_domains: allowed_domains?,
            email_verified_claim: email_verified_claim?.filter(|claim| claim != "email_verified"),
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
            Raw::Text(text) => {
                secret_ref::resolve(text, Shape::Line, self.resolver.environment, self.resolver.files)
            }
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
                self.resolver.hidden.push(resolved.secret.clone());
                Some(Some(resolved.secret))
            }
            Err(kind) => {
                self.fault(FIELD, located.origin.clone(), kind);
                None
            }
        }
    }

    /// What the provider speaks; what belongs to another is a fault.
    fn speaks(&mut self) -> Option<Speaks> {
        let named = match self.raw.fields.get("name").map(|located| &located.raw) {
            Some(Raw::Text(name)) if name == GOOGLE => Speaks::Google,
            Some(Raw::Text(name)) if name == "github" => Speaks::GitHub,
            Some(_) | None => Speaks::Oidc,
        };
        let written = self.text("kind", |text| Speaks::named(text).map(|speaks| speaks.name().to_owned()))?;
        let speaks = written.as_deref().and_then(|text| Speaks::named(text).ok()).unwrap_or(named);
        let others: &[&str] = match speaks {
            Speaks::GitHub => &["email_verified_claim", "groups_claim", "allowed_groups"],
            Speaks::Oidc | Speaks::Google => &["api_url", "allowed_orgs", "allowed_teams"],
        };
        let mut is_whole = true;
        for field in others {
            if let Some(located) = self.raw.fields.get(*field) {
                let expected = match speaks {
                    Speaks::GitHub => "not for GitHub: write allowed_orgs, allowed_teams and role_map",
                    Speaks::Oidc | Speaks::Google => "only for `kind = \"github\"`",
                };
                let kind = FaultKind::Malformed { value: (*field).to_owned(), expected };
                self.fault(field, located.origin.clone(), kind);
                is_whole = false;
            }
        }
        is_whole.then_some(speaks)
    }

    /// Groups of which one must be a member, in the form in which the provider's groups are compared.
    fn allowed_groups(&mut self, speaks: Option<Speaks>) -> Option<Vec<String>> {
        let named = self.list("allowed_groups", group);
        let organizations = self.list("allowed_orgs", organization);
        let teams = self.list("allowed_teams", team);
        match speaks {
            Some(Speaks::GitHub) => Some([organizations?, teams?].concat()),
            Some(Speaks::Oidc | Speaks::Google) | None => named,
        }
    }

    fn switch(&mut self, field: &'static str) -> Option<bool> {
        let Some(located) = self.raw.fields.get(field) else { return Some(false) };
        match &located.raw {
            Raw::Switch(on) => Some(*on),
            other => {
                let kind = FaultKind::WrongType { expected: "true or false", found: other.type_name() };
                self.fault(field, located.origin.clone(), kind);
                None
            }
        }
    }

    fn list(
        &mut self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<String, FaultKind>,
    ) -> Option<Vec<String>> {
        let Some(located) = self.raw.fields.get(field) else { return Some(Vec::new()) };
        let Raw::List(items) = &located.raw else {
            let expected = "an array of strings, such as [\"one\", \"two\"]";
            let kind = FaultKind::WrongType { expected, found: located.raw.type_name() };
            self.fault(field, located.origin.clone(), kind);
            return None;
        };
        let mut parsed = Vec::new();
        for item in items {
            match parse(item) {
                Ok(item) => parsed.push(item),
                Err(kind) => self.fault(field, located.origin.clone(), kind),
            }
        }
        (parsed.len() == items.len()).then_some(parsed)
    }

    fn role_map(&mut self, speaks: Option<Speaks>) -> Option<BTreeMap<String, Role>> {
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
                    // GitHub compares names without regard to case.
                    let group = match speaks {
                        Some(Speaks::GitHub) => group.to_ascii_lowercase(),
                        Some(Speaks::Oidc | Speaks::Google) | None => group.clone(),
                    };
                    if map.insert(group.clone(), role).is_some() {
                        let kind = FaultKind::Repeated { value: group };
                        self.fault(FIELD, located.origin.clone(), kind);
                    }
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
        let (kind, api_url) = match &provider.kind {
            ProviderKind::Oidc => ("oidc", None),
            ProviderKind::GitHub { api_url } => ("github", Some(api_url.clone())),
        };
        let values = [
            ("kind", Some(kind.to_owned())),
            ("title", provider.title.clone()),
            ("issuer", Some(provider.issuer.clone())),
            ("api_url", api_url),
            ("allowed_groups", Some(provider.allowed_groups.join(","))),
            ("refresh", Some(provider.refresh.to_string())),
            ("client_id", Some(provider.client_id.clone())),
            ("client_secret", Some(HIDDEN.to_owned())),
            ("allowed_domains", Some(provider.allowed_domains.join(","))),
            ("email_verified_claim", provider.email_verified_claim.clone()),
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

/// What a provider speaks, as it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Speaks {
    Oidc,
    Google,
    GitHub,
}

impl Speaks {
    const fn name(self) -> &'static str {
        match self {
            Speaks::Oidc => "oidc",
            Speaks::Google => "google",
            Speaks::GitHub => "github",
        }
    }

    fn named(text: &str) -> Result<Self, FaultKind> {
        let known = [Speaks::Oidc, Speaks::Google, Speaks::GitHub];
        known.into_iter().find(|speaks| speaks.name() == text).ok_or_else(|| FaultKind::Malformed {
            value: text.escape_debug().to_string(),
            expected: "oidc, google or github",
        })
    }
}

/// The API of a GitHub whose pages are at this address.
fn api_of(issuer: &str) -> String {
    match issuer.trim_end_matches('/') {
        GITHUB => GITHUB_API.to_owned(),
        other => format!("{other}/api/v3"),
    }
}

/// A base address: as an issuer, without a slash at its end.
fn issuer_form(text: &str) -> Result<String, FaultKind> {
    issuer(text).map(|text| text.trim_end_matches('/').to_owned())
}

fn title(text: &str) -> Result<String, FaultKind> {
    let text = text.trim();
    if text.chars().count() <= MAX_TITLE && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        let expected = "at most 40 visible characters";
        Err(FaultKind::Malformed { value: text.escape_debug().to_string(), expected })
    }
}

fn group(text: &str) -> Result<String, FaultKind> {
    if text.trim().is_empty() { Err(FaultKind::Empty) } else { Ok(text.to_owned()) }
}

/// The login of an organization, in lower case: GitHub compares them so.
fn organization(text: &str) -> Result<String, FaultKind> {
    let is_login = (1..=39).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-');
    if is_login {
        Ok(text.to_ascii_lowercase())
    } else {
        let expected = "the name of an organization as it stands in its address, such as example-inc";
        Err(FaultKind::Malformed { value: text.escape_debug().to_string(), expected })
    }
}

/// `organization/team`, in lower case.
fn team(text: &str) -> Result<String, FaultKind> {
    let parts = text.split_once('/').filter(|(login, slug)| {
        let is_slug = (1..=100).contains(&slug.len())
            && slug.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        is_slug && organization(login).is_ok()
    });
    match parts {
        Some(_) => Ok(text.to_ascii_lowercase()),
        None => {
            let expected = "an organization and the team's name as it stands in its address, such as example-inc/platform";
            Err(FaultKind::Malformed { value: text.escape_debug().to_string(), expected })
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
