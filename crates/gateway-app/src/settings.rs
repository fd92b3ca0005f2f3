//! Settings in force: an app's own value before the gateway's, and of each the database's before the
//! configuration's before the default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway_approvals::chain::Order;
use gateway_config::{SettingKey, SettingValue, Settings as Configured};
use gateway_store::{SettingScope, Store, StoreError};
use gateway_types::{CredentialKind, Timestamp};
use jiff::tz::TimeZone;

/// The settings in force; read anew whenever [`InForce::refresh`] is called.
#[derive(Debug)]
pub struct InForce {
    configured: Configured,
    stored: ArcSwap<Stored>,
}

/// How sessions are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordingMode {
    /// Without a recording there is no session.
    Strict,
    /// A session goes on without one, and the log says so.
    BestEffort,
    /// They are not.
    Off,
}

impl RecordingMode {
    /// The word of the setting.
    pub const fn name(self) -> &'static str {
        match self {
            RecordingMode::Strict => "strict",
            RecordingMode::BestEffort => "best_effort",
            RecordingMode::Off => "off",
        }
    }
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
            let in_database = stored.apps.get(&(app.to_owned(), key)).cloned();
            in_database.or_else(|| self.configured.app_own(key, app).map(|setting| setting.value.clone()))
        });
        own.or_else(|| stored.gateway.get(&key).cloned())
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
        self.duration(SettingKey::StepUpWindow)
    }

    /// A length of time; nothing for a setting that is none.
    pub fn duration(&self, key: SettingKey) -> Duration {
        self.duration_for(key, None)
    }

    fn duration_for(&self, key: SettingKey, app: Option<&str>) -> Duration {
        match self.value(key, app) {
            SettingValue::Duration(duration) => duration,
            SettingValue::Switch(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Word(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_) => Duration::ZERO,
        }
    }

    /// People may ask for a higher role for a while.
    pub fn elevations(&self) -> bool {
        self.is_on(SettingKey::Elevations, None)
    }

    /// The longest elevation.
    pub fn elevation_longest(&self) -> Duration {
        self.duration(SettingKey::ElevationLongest)
    }

    /// How many people have to approve an elevation, at least 1.
    pub fn elevation_quorum(&self) -> u32 {
        self.number(SettingKey::ElevationQuorum, None)
    }

    fn number(&self, key: SettingKey, app: Option<&str>) -> u32 {
        match self.value(key, app) {
            SettingValue::Number(number) => number.max(1),
            SettingValue::Switch(_)
            | SettingValue::Duration(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Word(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_) => 1,
        }
    }

    /// What is approved of a deploy of `app`.
    pub fn approval_order(&self, app: &str) -> Order {
        match self.value(SettingKey::ApprovalOrder, Some(app)) {
            SettingValue::Word("artefact") => Order::Artefact,
            SettingValue::Word(_)
            | SettingValue::Switch(_)
            | SettingValue::Duration(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_) => Order::Commit,
        }
    }

    /// How many people have to approve a deploy of `app`, at least 1.
    pub fn approval_quorum(&self, app: &str) -> u32 {
        self.number(SettingKey::ApprovalQuorum, Some(app))
    }

    /// How long an approved deploy of `app` can be used.
    pub fn approval_life(&self, app: &str) -> Duration {
        self.duration_for(SettingKey::ApprovalLife, Some(app))
    }

    /// Only passkeys approve deploys of `app`.
    pub fn approval_passkeys(&self, app: &str) -> bool {
        self.is_on(SettingKey::ApprovalPasskeys, Some(app))
    }

    /// Which images the services of an approved deploy of `app` may have; empty = any.
    pub fn service_images(&self, app: &str) -> Vec<String> {
        match self.value(SettingKey::ServiceImages, Some(app)) {
            SettingValue::Images(images) => images,
            SettingValue::Switch(_)
            | SettingValue::Duration(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Word(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_) => Vec::new(),
        }
    }

    /// Images of an approved deploy of `app` are named by digest.
    pub fn image_digests(&self, app: &str) -> bool {
        self.is_on(SettingKey::ImageDigests, Some(app))
    }

    /// A text of its own form; empty for a setting that is none.
    pub fn text(&self, key: SettingKey, app: &str) -> String {
        match self.value(key, Some(app)) {
            SettingValue::Text(text) => text,
            SettingValue::Word(word) => word.to_owned(),
            SettingValue::Switch(_)
            | SettingValue::Duration(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_) => String::new(),
        }
    }

    /// Whether a switch is on for `app`.
    pub fn switch(&self, key: SettingKey, app: &str) -> bool {
        self.is_on(key, Some(app))
    }

    /// How many reviews a commit of `app` needs.
    pub fn github_reviews(&self, app: &str) -> u32 {
        match self.value(SettingKey::GithubReviews, Some(app)) {
            SettingValue::Number(number) => number,
            // No number is ever anything else; if it were, more would be asked for, not less.
            SettingValue::Switch(_)
            | SettingValue::Duration(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Word(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_) => 1,
        }
    }

    /// What the operator's own policies forbid is recorded and not refused.
    pub fn observe_policies(&self) -> bool {
        self.is_on(SettingKey::ObservePolicies, None)
    }

    /// The labels of `app`, or those that hold for the gateway.
    pub fn labels(&self, app: Option<&str>) -> BTreeSet<String> {
        match self.value(SettingKey::AppLabels, app) {
            SettingValue::Labels(labels) => labels,
            SettingValue::Switch(_)
            | SettingValue::Duration(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Word(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_) => BTreeSet::new(),
        }
    }

    /// The patterns of environment keys that a setting names for `app`; none for a setting of another type.
    pub fn env_keys(&self, key: SettingKey, app: Option<&str>) -> BTreeSet<String> {
        match self.value(key, app) {
            SettingValue::KeyPatterns(patterns) => patterns,
            SettingValue::Switch(_)
            | SettingValue::Duration(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Word(_)
            | SettingValue::Images(_)
            | SettingValue::Text(_) => BTreeSet::new(),
        }
    }

    /// The apps that have patterns of environment keys of their own under `key`, with them. For replies about many
    /// apps at once.
    pub fn env_keys_of_apps(&self, key: SettingKey) -> BTreeSet<String> {
        let stored = self.stored.load();
        let in_database = stored.apps.keys().filter(|(_, of)| *of == key).map(|(app, _)| app.clone());
        let configured = self.configured.apps_with(key);
        let apps: BTreeSet<String> = in_database.chain(configured).collect();
        apps.iter().flat_map(|app| self.env_keys(key, Some(app))).collect()
    }

    /// Admins get a mail when values are revealed.
    pub fn reveal_notice(&self) -> bool {
        self.is_on(SettingKey::RevealNotice, None)
    }

    /// The longest time for which a credential may read an app's values.
    pub fn reveal_longest(&self) -> Duration {
        self.duration(SettingKey::RevealLongest)
    }

    /// How sessions in `app`, or in the rack, are recorded.
    pub fn recording(&self, app: Option<&str>) -> RecordingMode {
        match self.value(SettingKey::Recording, app) {
            SettingValue::Word("off") => RecordingMode::Off,
            SettingValue::Word("best_effort") => RecordingMode::BestEffort,
            // What is not understood is as strict as can be.
            SettingValue::Word(_)
            | SettingValue::Switch(_)
            | SettingValue::Duration(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_) => RecordingMode::Strict,
        }
    }

    /// What is typed into sessions in `app` is recorded.
    pub fn record_input(&self, app: Option<&str>) -> bool {
        self.is_on(SettingKey::RecordInput, app)
    }

    /// People in `app`, or in the rack, are told who watches their session.
    pub fn watch_notice(&self, app: Option<&str>) -> bool {
        self.is_on(SettingKey::WatchNotice, app)
    }

    /// Sessions in `app`, or in the rack, wait for a second person.
    pub fn session_second_person(&self, app: Option<&str>) -> bool {
        self.is_on(SettingKey::SessionSecondPerson, app)
    }

    /// How long they wait.
    pub fn second_person_wait(&self, app: Option<&str>) -> Duration {
        self.duration_for(SettingKey::SecondPersonWait, app)
    }

    /// How long a session in `app`, or in the rack, goes on while its client is away; zero when it does not.
    pub fn session_resume(&self, app: Option<&str>) -> Duration {
        self.duration_for(SettingKey::SessionResume, app)
    }

    /// The rules about commands that `key` names for `app`, or for the rack, as they were written.
    pub fn commands(&self, key: SettingKey, app: Option<&str>) -> String {
        match self.value(key, app) {
            SettingValue::Text(text) => text,
            SettingValue::Switch(_)
            | SettingValue::Duration(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Word(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_) => String::new(),
        }
    }

    /// How long recordings are kept.
    pub fn recording_retention(&self) -> Duration {
        self.duration(SettingKey::RecordingRetention)
    }

    /// How long the bodies of entries of the audit log are kept; `None` for ever.
    pub fn audit_retention(&self) -> Option<Duration> {
        Some(self.duration(SettingKey::AuditRetention)).filter(|time| !time.is_zero())
    }

    /// Hour (0 to 23) and weekday (1 = Monday to 7 = Sunday) of a moment, in the time zone that is set.
    /// `None` for a moment that no calendar has.
    pub fn local_time(&self, at: Timestamp) -> Option<(u8, u8)> {
        let SettingValue::TimeZone(name) = self.value(SettingKey::TimeZone, None) else { return None };
        // A zone that was known when it was set is looked up in a table in memory.
        let zone = TimeZone::get(&name).ok()?;
        let local = jiff::Timestamp::from_microsecond(at.micros()).ok()?.to_zoned(zone);
        Some((u8::try_from(local.hour()).ok()?, u8::try_from(local.weekday().to_monday_one_offset()).ok()?))
    }

    /// People who have a second factor give it when they sign in.
    pub fn sign_in_factor(&self) -> bool {
        self.is_on(SettingKey::SignInFactor, None)
    }

    /// How long a new session of this kind may rest, and how long it lasts at most.
    pub fn session_limits(&self, kind: CredentialKind) -> (Duration, Duration) {
        let (idle, longest) = match kind {
            CredentialKind::CliSession => (SettingKey::CliSessionIdle, SettingKey::CliSessionLength),
            CredentialKind::WebSession
            | CredentialKind::None
            | CredentialKind::ApiToken
            | CredentialKind::AccessToken
            | CredentialKind::Workload => (SettingKey::WebSessionIdle, SettingKey::WebSessionLength),
        };
        (self.duration(idle), self.duration(longest))
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
