//! Secret values seen lately, for the texts that are scanned for them (command lines, manifests).
//!
//! # Security
//! Plaintext, in memory only, for a short time and a bounded number of apps.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gateway_secrets::KnownValues;

/// How long values are remembered without being read again.
const FRESH: Duration = Duration::from_secs(60);

/// How many apps are remembered at once.
const APPS: usize = 512;

/// How many values of one app are remembered at once.
const VALUES: usize = 8192;

/// What was seen of an app.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// Its newest environment.
    Newest,
    /// Some release, which may lack values of the newest one.
    Some,
}

/// What is known of one scope.
struct Known {
    /// When the newest values were read.
    read: Option<Instant>,
    values: Arc<KnownValues>,
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.read.is_some_and(|read| read.elapsed() < FRESH)
    }
}

/// Known secret values by scope.
#[derive(Default)]
pub(crate) struct KnownSecrets(Mutex<HashMap<String, Known>>);

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownSecrets(…)")
    }
}

impl KnownSecrets {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The values of `scope`, as far as known; empty when nothing is.
    pub(crate) fn of(&self, scope: &str) -> Arc<KnownValues> {
        let apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(scope).map(|known| known.values.clone()).unwrap_or_default()
    }

    /// The values of `scope` when the newest ones were read lately.
    pub(crate) fn fresh(&self, scope: &str) -> Option<Arc<KnownValues>> {
        let apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(scope).filter(|known| known.is_fresh()).map(|known| known.values.clone())
    }

    /// Remembers values of `scope`, besides those that are known: a command line may hold an older one.
    pub(crate) fn learn(&self, scope: &str, values: KnownValues, seen: Seen) -> Arc<KnownValues> {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if apps.len() >= APPS && !apps.contains_key(scope) {
            apps.retain(|_, known| known.is_fresh());
            if apps.len() >= APPS {
                apps.clear();
            }
        }
        let known =
            apps.entry(scope.to_owned()).or_insert_with(|| Known { read: None, values: Arc::default() });
        if known.values.len() + values.len() > VALUES {
            // What is forgotten here is read again before the next scan.
            *known = Known { read: None, values: Arc::default() };
        }
        if seen == Seen::Newest {
            known.read = Some(Instant::now());
        }
        Arc::make_mut(&mut known.values).extend(values);
        known.values.clone()
    }
}
