//! What the gateway keeps: its directory, its database, the key that seals secrets, policies.

use std::path::{Path, PathBuf};

use gateway_types::Secret;
use url::Url;

use crate::fault::FaultKind;
use crate::keys;
use crate::resolver::Resolver;

/// The file name of the SQLite database that is used when no other is named.
const SQLITE_FILE: &str = "gateway.db";

/// 32 characters of hexadecimal digits hold 128 bits, the least for a key.
const LEAST_KEY_LENGTH: usize = 32;

/// Where the gateway's data are.
#[derive(Clone)]
pub struct Database {
    /// Where the gateway keeps its own files.
    pub data_dir: PathBuf,
    /// `postgres://…` or `sqlite://…`. May hold a password: print [`masked_database_url`] instead.
    pub url: String,
    /// The key that seals secrets at rest; `None` = the one kept in the database.
    pub app_secret_key: Option<Secret<String>>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("data_dir", &self.data_dir)
            .field("url", &masked_database_url(&self.url))
            .finish_non_exhaustive()
    }
}

pub(crate) fn database(resolver: &mut Resolver<'_>) -> Option<Database> {
    let data_dir = resolver.one(&keys::DATA_DIR, |text| Ok(PathBuf::from(text)));
    let given = resolver.secret(&keys::DATABASE_URL);
    let app_secret_key = app_secret_key(resolver);
    let (data_dir, given, app_secret_key) = (data_dir?, given?, app_secret_key?);
    let url = match given {
        Some(url) => match check_url(url.expose()) {
            Ok(()) => url.expose().clone(),
            Err(kind) => {
                let origin = resolver.origin(&keys::DATABASE_URL);
                resolver.fault(&keys::DATABASE_URL, origin, kind);
                return None;
            }
        },
        None => sqlite_url(&data_dir.join(SQLITE_FILE)),
    };
    resolver.show(&keys::DATABASE_URL, masked_database_url(&url));
    Some(Database { data_dir, url, app_secret_key })
}

fn app_secret_key(resolver: &mut Resolver<'_>) -> Option<Option<Secret<String>>> {
    let key = resolver.secret(&keys::APP_SECRET_KEY)?;
    if key.as_ref().is_some_and(|key| key.expose().len() < LEAST_KEY_LENGTH) {
        let origin = resolver.origin(&keys::APP_SECRET_KEY);
        let expected = "at least 32 characters long; make one with `openssl rand -hex 32`";
        resolver.fault(&keys::APP_SECRET_KEY, origin, FaultKind::MalformedSecret { expected });
        return None;
    }
    Some(key)
}

pub(crate) fn policy_dir(resolver: &mut Resolver<'_>) -> Option<Option<PathBuf>> {
    resolver.optional(&keys::POLICY_DIR, |text| Ok(PathBuf::from(text)))
}

fn check_url(text: &str) -> Result<(), FaultKind> {
    let fault = || FaultKind::MalformedSecret {
        expected: "postgres://user:password@host/name or sqlite:///path/to/file",
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(fault)?;
    match scheme {
        "postgres" | "postgresql" => {
            let url = Url::parse(text).map_err(|_| fault())?;
            // A socket directory may stand in the query instead of a host.
            let has_place = url.has_host() || url.query_pairs().any(|(name, _)| name == "host");
            if has_place { Ok(()) } else { Err(fault()) }
        }
        // A database in memory would lose the audit log with the process.
        "sqlite" => {
            let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
            let in_memory = path.contains(":memory:") || query.contains("mode=memory");
            if path.is_empty() || in_memory { Err(fault()) } else { Ok(()) }
        }
        _ => Err(fault()),
    }
}

fn sqlite_url(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for character in path.to_string_lossy().chars() {
        match character {
            // These three end or change the path of a URL.
            '%' | '?' | '#' => url.push_str(&format!("%{:02X}", u32::from(character))),
            other => url.push(other),
        }
    }
    url
}

/// A database URL that may be printed: without password and query (a password may stand there too).
pub fn masked_database_url(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    match Url::parse(url) {
        Ok(mut parsed) => {
            let hidden = parsed.password().is_none() || parsed.set_password(Some("hidden")).is_ok();
            parsed.set_query(None);
            parsed.set_fragment(None);
            if hidden { parsed.to_string() } else { "(hidden)".to_owned() }
        }
        Err(_) => "(hidden)".to_owned(),
    }
}
