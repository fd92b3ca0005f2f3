//! The credential that the gateway holds for a service: what it is made of, and where its secrets are. The secrets
//! themselves are never here; a declaration that holds one is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use gateway_types::Secret;
use url::{Host, Url};

use crate::fault::{FaultKind, Faults};
use crate::headers;
use crate::raw::{RawCredential, RawCredentialKind, RawService};

/// Where a secret is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SecretRef {
    /// An environment variable of the gateway.
    Env(String),
    /// A file; read again when it changes.
    File(PathBuf),
    /// A value in Vault's KV engine, version 2.
    Vault {
        /// Where the engine is mounted.
        mount: String,
        /// The secret's path.
        path: String,
        /// The key in it.
        key: String,
    },
    /// A text in AWS Secrets Manager.
    Aws {
        /// The secret's name or ARN.
        secret: String,
        /// The stage of its version; `None` = the current one.
        stage: Option<String>,
        /// The key in it when it is a JSON object; `None` = all of it.
        key: Option<String>,
    },
}

impl SecretRef {
    /// `env:NAME`, `file:/path`, `vault:mount/path#key` or `aws:secretsmanager:NAME[?stage=STAGE][#key]`; `None` for
    /// everything else, a secret itself among it.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("env:") {
            let is_name =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            return is_name.then(|| SecretRef::Env(name.to_owned()));
        }
        if let Some(path) = text.strip_prefix("file:") {
            let path = PathBuf::from(path);
            return path.is_absolute().then_some(SecretRef::File(path));
        }
        if let Some(place) = text.strip_prefix("aws:secretsmanager:") {
            return aws(place);
        }
        let (place, key) = text.strip_prefix("vault:")?.split_once('#')?;
        let (mount, path) = place.split_once('/')?;
        let is_path = path.split('/').chain([mount, key]).all(is_vault_name);
        is_path.then(|| SecretRef::Vault {
            mount: mount.to_owned(),
            path: path.to_owned(),
            key: key.to_owned(),
        })
    }
}

/// `NAME[?stage=STAGE][#key]`, where the name may be an ARN.
///
/// Source: AWS Secrets Manager API Reference, `CreateSecret` (names) and `UpdateSecretVersionStage`.
fn aws(place: &str) -> Option<SecretRef> {
    let (place, key) = match place.split_once('#') {
        Some((place, key)) => (place, Some(key)),
        None => (place, None),
    };
    let (secret, stage) = match place.split_once("?stage=") {
        Some((secret, stage)) => (secret, Some(stage)),
        None => (place, None),
    };
    let letters = if secret.starts_with("arn:") { "/_+=.@-:" } else { "/_+=.@-" };
    let is_made_of = |text: &str, signs: &str, longest: usize| {
        (1..=longest).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || signs.as_bytes().contains(&byte))
    };
    let is_fit = is_made_of(secret, letters, 2048)
        && stage.is_none_or(|stage| is_made_of(stage, "/_+=.@-", 256))
        && key.is_none_or(|key| !key.is_empty() && is_text(key));
    is_fit.then(|| SecretRef::Aws {
        secret: secret.to_owned(),
        stage: stage.map(str::to_owned),
        key: key.map(str::to_owned),
    })
}

fn is_vault_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
            SecretRef::Vault { mount, path, key } => write!(f, "vault:{mount}/{path}#{key}"),
            SecretRef::Aws { secret, stage, key } => {
                write!(f, "aws:secretsmanager:{secret}")?;
                stage.as_ref().map_or(Ok(()), |stage| write!(f, "?stage={stage}"))?;
                key.as_ref().map_or(Ok(()), |key| write!(f, "#{key}"))
            }
        }
    }
}

/// The gateway's environment variables, for `env:` references. Its `Debug` shows none of them.
#[derive(Clone, Default)]
pub struct Environment(Arc<BTreeMap<String, Secret<String>>>);

impl Environment {
    /// These variables.
    pub fn new(variables: &BTreeMap<String, String>) -> Self {
        let secret = |(name, value): (&String, &String)| (name.clone(), Secret::new(value.clone()));
        Self(Arc::new(variables.iter().map(secret).collect()))
    }

    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<&Secret<String>> {
        self.0.get(name)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment(…)")
    }
}

/// An OAuth client of the gateway's own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OAuthClient {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: SecretRef,
}

/// Where and how tokens are asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TokenEndpoint {
    /// The endpoint: https, or http on loopback.
    pub url: String,
    /// The scope asked for.
    pub scope: Option<String>,
    /// The audience asked for.
    pub audience: Option<String>,
}

/// What the gateway signs in to a service with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Credential {
    /// Nothing.
    None,
    /// HTTP Basic (RFC 7617).
    Basic {
        /// User name.
        username: String,
        /// Password.
        secret: SecretRef,
    },
    /// A bearer token (RFC 6750).
    Bearer {
        /// The token.
        secret: SecretRef,
    },
    /// A header of its own.
    Header {
        /// Its name, in lower case.
        name: String,
        /// Its value.
        secret: SecretRef,
    },
    /// OAuth 2.0 client credentials (RFC 6749, section 4.4).
    ClientCredentials {
        /// Where.
        endpoint: TokenEndpoint,
        /// Who.
        client: OAuthClient,
    },
    /// OAuth 2.0 token exchange (RFC 8693) of a token that names the caller.
    TokenExchange {
        /// Where.
        endpoint: TokenEndpoint,
        /// Who, when the endpoint asks it.
        client: Option<OAuthClient>,
    },
    /// A TLS client certificate.
    Certificate {
        /// PEM file of the certificate and those behind it.
        certificate: PathBuf,
        /// PEM file of its key.
        key: PathBuf,
    },
}

impl Credential {
    /// Whether it is in the head of requests, where an upstream could repeat it.
    pub const fn is_sent(&self) -> bool {
        !matches!(self, Credential::None | Credential::Certificate { .. })
    }
}

/// The checked credential of a declaration; [`Credential::None`] when it has a fault.
pub(crate) fn credential(raw: &RawService, faults: &mut Faults) -> Credential {
    let Some(declared) = &raw.credential else { return Credential::None };
    refuse_unused(declared, faults);
    let checked = match declared.kind {
        RawCredentialKind::None => Some(Credential::None),
        RawCredentialKind::Basic => {
            let username = required(declared.username.as_ref(), "credential.username", faults);
            if declared.username.as_ref().is_some_and(|name| !is_text(name) || name.contains(':')) {
                let found = declared.username.as_deref().unwrap_or_default();
                faults.malformed("credential.username", found, "a user name without colon");
            }
            let secret = secret(declared, faults);
            username.zip(secret).map(|(username, secret)| Credential::Basic { username, secret })
        }
        RawCredentialKind::Bearer => secret(declared, faults).map(|secret| Credential::Bearer { secret }),
        RawCredentialKind::Header => {
            let name = header(declared, faults);
            let secret = secret(declared, faults);
            name.zip(secret).map(|(name, secret)| Credential::Header { name, secret })
        }
        RawCredentialKind::ClientCredentials => {
            let endpoint = endpoint(declared, faults);
            let client = client(declared, faults);
            endpoint.zip(client).map(|(endpoint, client)| Credential::ClientCredentials { endpoint, client })
        }
        RawCredentialKind::TokenExchange => {
            let endpoint = endpoint(declared, faults);
            let is_client = declared.username.is_some() || declared.secret.is_some();
            let client = if is_client { client(declared, faults) } else { None };
            endpoint.map(|endpoint| Credential::TokenExchange { endpoint, client })
        }
        RawCredentialKind::Certificate => certificate(raw, declared, faults),
    };
    checked.unwrap_or(Credential::None)
}

/// A field that the kind has no use for is a mistake in the kind.
fn refuse_unused(declared: &RawCredential, faults: &mut Faults) {
    let kind = declared.kind;
    let is_oauth = matches!(kind, RawCredentialKind::ClientCredentials | RawCredentialKind::TokenExchange);
    let fields = [
        ("username", declared.username.is_some(), is_oauth || kind == RawCredentialKind::Basic),
        ("secret", declared.secret.is_some(), kind != RawCredentialKind::None),
        ("header", declared.header.is_some(), kind == RawCredentialKind::Header),
        ("token_url", declared.token_url.is_some(), is_oauth),
        ("scope", declared.scope.is_some(), is_oauth),
        ("audience", declared.audience.is_some(), is_oauth),
        ("certificate", declared.certificate.is_some(), kind == RawCredentialKind::Certificate),
    ];
    for (field, is_given, is_used) in fields {
        if is_given && !is_used {
            let why = "this kind of credential has no use for it: leave it out, or choose another `kind`";
            faults.conflict(format!("credential.{field}"), why);
        }
    }
}

fn required(value: Option<&String>, field: &'static str, faults: &mut Faults) -> Option<String> {
    let given = value.filter(|value| !value.is_empty()).cloned();
    if given.is_none() {
        faults.add(field, FaultKind::Missing { wanted: "this kind of credential needs it" });
    }
    given
}

fn secret(declared: &RawCredential, faults: &mut Faults) -> Option<SecretRef> {
    let text = required(declared.secret.as_ref(), "credential.secret", faults)?;
    let parsed = SecretRef::parse(&text);
    if parsed.is_none() {
        // What stands there may be the secret itself, so it is not repeated.
        faults.conflict(
            "credential.secret",
            "the secret itself must not stand here: write `env:NAME`, `file:/path`, `vault:mount/path#key` or `aws:secretsmanager:NAME`",
        );
    }
    parsed
}

fn header(declared: &RawCredential, faults: &mut Faults) -> Option<String> {
    let name = required(declared.header.as_ref(), "credential.header", faults)?.to_ascii_lowercase();
    let is_token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-!#$%&'*+^|~".contains(&byte));
    if !is_token || !(name == "authorization" || headers::goes_up(&name)) {
        faults.malformed("credential.header", &name, "a header that the gateway has no other use for");
        return None;
    }
    Some(name)
}

fn client(declared: &RawCredential, faults: &mut Faults) -> Option<OAuthClient> {
    let id = required(declared.username.as_ref(), "credential.username", faults);
    let secret = secret(declared, faults);
    id.zip(secret).map(|(id, secret)| OAuthClient { id, secret })
}

fn endpoint(declared: &RawCredential, faults: &mut Faults) -> Option<TokenEndpoint> {
    let text = required(declared.token_url.as_ref(), "credential.token_url", faults)?;
    let is_fit = Url::parse(&text).is_ok_and(|url| {
        let is_loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    if !is_fit {
        faults.malformed("credential.token_url", &text, "an https address (http on loopback only)");
        return None;
    }
    let (scope, audience) = (declared.scope.clone(), declared.audience.clone());
    Some(TokenEndpoint { url: text, scope, audience })
}

fn certificate(raw: &RawService, declared: &RawCredential, faults: &mut Faults) -> Option<Credential> {
    if raw.upstreams.iter().any(|upstream| !upstream.url.starts_with("https:")) {
        faults.conflict(
            "credential.kind",
            "a client certificate needs TLS: every upstream must be `https://…`",
        );
    }
    let certificate =
        required(declared.certificate.as_ref(), "credential.certificate", faults).map(PathBuf::from);
    if let Some(path) = certificate.as_ref().filter(|path| !path.is_absolute()) {
        faults.malformed("credential.certificate", &path.display().to_string(), "an absolute path");
    }
    match secret(declared, faults) {
        Some(SecretRef::File(key)) => {
            certificate.map(|certificate| Credential::Certificate { certificate, key })
        }
        Some(SecretRef::Env(_) | SecretRef::Vault { .. } | SecretRef::Aws { .. }) => {
            faults.conflict("credential.secret", "the certificate's key is a file: write `file:/path`");
            None
        }
        None => None,
    }
}

fn is_text(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RawUpstream, Service};

    fn faults_of(credential: RawCredential, url: &str) -> Vec<String> {
        let raw = RawService {
            name: "wiki".to_owned(),
            hosts: vec!["wiki.example.com".to_owned()],
            upstreams: vec![RawUpstream { url: url.to_owned(), weight: None, version: None }],
            credential: Some(credential),
            ..RawService::default()
        };
        match Service::check(raw) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(|fault| fault.field.clone()).collect(),
        }
    }

    #[test]
    fn references() {
        let check = |text: &str, expected: bool| {
            let parsed = SecretRef::parse(text);
            assert_eq!(parsed.is_some(), expected, "{text}");
            if let Some(parsed) = parsed {
                assert_eq!(parsed.to_string(), text);
            }
        };
        check("env:WIKI_PASSWORD", true);
        check("file:/run/secrets/wiki", true);
        check("vault:secret/apps/wiki#password", true);
        check("aws:secretsmanager:prod/rack", true);
        check("aws:secretsmanager:prod/rack#the password", true);
        check("aws:secretsmanager:prod/rack?stage=AWSPENDING#password", true);
        check("aws:secretsmanager:arn:aws:secretsmanager:eu-west-1:1:secret:prod/rack-AbCdEf#password", true);
        check("aws:secretsmanager:", false);
        check("aws:secretsmanager:#x", false);
        check("aws:secretsmanager:a b", false);
        check("aws:secretsmanager:a:b", false);
        check("aws:secretsmanager:a?version=1", false);
        check("aws:secretsmanager:a?stage=#x", false);
        check("aws:secretsmanager:a#", false);
        check("aws:s3:a", false);
        check("env:", false);
        check("env:A B", false);
        check("file:relative", false);
        check("vault:secret#x", false);
        check("vault:secret/../sys#x", false);
        check("vault:secret/a//b#x", false);
        check("vault:secret/a?b#x", false);
        check("hunter2", false);
        check("", false);
    }

    #[test]
    fn a_secret_in_the_declaration_is_refused_and_not_repeated() {
        let literal = RawCredential {
            kind: RawCredentialKind::Bearer,
            secret: Some("canary-7a1".to_owned()),
            ..RawCredential::default()
        };
        let raw = RawService {
            name: "wiki".to_owned(),
            hosts: vec!["wiki.example.com".to_owned()],
            upstreams: vec![RawUpstream { url: "http://h".to_owned(), weight: None, version: None }],
            credential: Some(literal),
            ..RawService::default()
        };
        let faults = Service::check(raw).unwrap_err();
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert_eq!(fault.field, "credential.secret");
        assert!(!fault.to_string().contains("canary"), "{fault}");
    }

    #[test]
    fn each_kind_says_what_it_needs() {
        let check = |kind: RawCredentialKind, url: &str, expected: &[&str]| {
            let found = faults_of(RawCredential { kind, ..RawCredential::default() }, url);
            assert_eq!(found, expected, "{kind:?}");
        };
        check(RawCredentialKind::None, "http://h", &[]);
        check(RawCredentialKind::Basic, "http://h", &["credential.username", "credential.secret"]);
        check(RawCredentialKind::Bearer, "http://h", &["credential.secret"]);
        check(RawCredentialKind::Header, "http://h", &["credential.header", "credential.secret"]);
        check(
            RawCredentialKind::ClientCredentials,
            "http://h",
            &["credential.token_url", "credential.username", "credential.secret"],
        );
        check(RawCredentialKind::TokenExchange, "http://h", &["credential.token_url"]);
        check(RawCredentialKind::Certificate, "https://h", &["credential.certificate", "credential.secret"]);
        let unused = RawCredential { scope: Some("x".to_owned()), ..RawCredential::default() };
        assert_eq!(faults_of(unused, "http://h"), ["credential.scope"]);
    }

    #[test]
    fn headers_and_endpoints_are_held_to_rules() {
        let header = |name: &str| RawCredential {
            kind: RawCredentialKind::Header,
            header: Some(name.to_owned()),
            secret: Some("env:X".to_owned()),
            ..RawCredential::default()
        };
        for (name, expected) in [
            ("X-Api-Key", true),
            ("Authorization", true),
            ("X-Gateway-User", false),
            ("Host", false),
            ("Cookie", false),
            ("a b", false),
        ] {
            assert_eq!(faults_of(header(name), "http://h").is_empty(), expected, "{name}");
        }
        let endpoint = |url: &str| RawCredential {
            kind: RawCredentialKind::TokenExchange,
            token_url: Some(url.to_owned()),
            ..RawCredential::default()
        };
        for (url, expected) in [
            ("https://login.example/token", true),
            ("http://127.0.0.1:9/token", true),
            ("http://login.example/token", false),
            ("https://u:p@login.example/token", false),
            ("token", false),
        ] {
            assert_eq!(faults_of(endpoint(url), "http://h").is_empty(), expected, "{url}");
        }
    }
}
