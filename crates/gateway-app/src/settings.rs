//! Settings in force: an app's own value before the gateway's, and of each the database's before the
//! configuration's before the default.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway_config::{SettingKey, SettingValue, Settings as Configured};
use gateway_store::{SettingScope, Store, StoreError};

/// The settings in force; read anew whenever [`InForce::refresh`] is called.
#[derive(Debug)]
pub struct InForce {
    configured: Configured,
    stored: ArcSwap<Stored>,
}

/// What the database says.
#[derive(Debug, Default)]
struct Stored {
    gateway: BTreeMap<SettingKey, SettingValue>,
    apps: BTreeMap<(String, SettingKey), SettingValue>,
}

impl InForce {
    /// Reads the settings.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn read(store: &Store, configured: Configured) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self { configured, stored: ArcSwap::from_pointee(stored(store).await?) }))
    }

    /// Reads the database's values again; when that fails the last ones hold.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        self.stored.store(Arc::new(stored(store).await?));
        Ok(())
    }

    /// The value in force: for `app`, or for the gateway.
    pub fn value(&self, key: SettingKey, app: Option<&str>) -> SettingValue {
        let stored = self.stored.load();
        let own = app.and_then(|app| {
            let in_database = stored.apps.get(&(app.to_owned(), key)).copied();
            in_database.or_else(|| self.configured.app_own(key, app).map(|setting| setting.value))
        });
        own.or_else(|| stored.gateway.get(&key).copied())
            .unwrap_or_else(|| self.configured.gateway(key).value)
    }

    fn is_on(&self, key: SettingKey, app: Option<&str>) -> bool {
        matches!(self.value(key, app), SettingValue::Switch(true))
    }

    /// What environment and file say.
    pub fn configured(&self) -> &Configured {
        &self.configured
    }

    /// Rates are enforced.
    pub fn rate_limits(&self) -> bool {
        self.is_on(SettingKey::RateLimits, None)
    }

    /// Second factors are asked for.
    pub fn mfa_step_up(&self) -> bool {
        self.is_on(SettingKey::MfaStepUp, None)
    }

    /// Everybody must have a second factor.
    pub fn mfa_required(&self) -> bool {
        self.is_on(SettingKey::MfaRequired, None)
    }

    /// How long a second factor counts.
    pub fn step_up_window(&self) -> Duration {
        match self.value(SettingKey::StepUpWindow, None) {
            SettingValue::Duration(window) => window,
            SettingValue::Switch(_) => Duration::ZERO,
        }
    }

    /// Destructive actions are switched on for `app` (`None`: the rack itself).
    pub fn destructive_actions(&self, app: Option<&str>) -> bool {
        self.is_on(SettingKey::DestructiveActions, app)
    }

    /// External builds are switched on for `app`.
    pub fn external_builds(&self, app: Option<&str>) -> bool {
        self.is_on(SettingKey::ExternalBuilds, app)
    }
}

/// A stored value that is not of its type is left out with a line in the log: the configuration's
/// value then holds.
async fn stored(store: &Store) -> Result<Stored, StoreError> {
    let mut stored = Stored::default();
    for row in store.settings().list(None).await? {
        let Some(key) = SettingKey::from_name(&row.key) else { continue };
        match key.parse(&row.value) {
            Ok(value) => match row.scope {
                SettingScope::Global => drop(stored.gateway.insert(key, value)),
                SettingScope::App(app) => drop(stored.apps.insert((app, key), value)),
            },
            Err(fault) => {
                tracing::error!(
                    key = key.name(),
                    error = &fault as &dyn std::error::Error,
                    "a stored setting is not of its type"
                );
            }
        }
    }
    Ok(stored)
}
