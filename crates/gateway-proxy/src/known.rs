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

/// Known secret values by scope.
#[derive(Default)]
pub(crate) struct KnownSecrets(Mutex<HashMap<String, (Instant, Arc<KnownValues>)>>);

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
        apps.get(scope).map(|(_, values)| values.clone()).unwrap_or_default()
    }

    /// The values of `scope` when they were read lately.
    pub(crate) fn fresh(&self, scope: &str) -> Option<Arc<KnownValues>> {
        let apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(scope).filter(|(read, _)| read.elapsed() < FRESH).map(|(_, values)| values.clone())
    }

    /// Remembers the values of `scope`.
    pub(crate) fn learn(&self, scope: &str, values: KnownValues) -> Arc<KnownValues> {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if apps.len() >= APPS && !apps.contains_key(scope) {
            apps.retain(|_, (read, _)| read.elapsed() < FRESH);
            if apps.len() >= APPS {
                apps.clear();
            }
        }
        let values = Arc::new(values);
        apps.insert(scope.to_owned(), (Instant::now(), values.clone()));
        values
    }
}
