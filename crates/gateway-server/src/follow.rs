//! Follows the configuration file while the gateway runs: its services take effect at once, everything else
//! needs a restart and is said.
//!
//! What the file says is the business of gateway-config; what becomes of services that of gateway-app.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use gateway_app::{App, services};
use gateway_config::{Config, ConfigFaults};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often the file is looked at.
const POLL: Duration = Duration::from_secs(2);

/// The configuration file, and how it is read again together with what else the configuration is made of.
#[derive(Clone)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// Reads everything again.
    pub load: Arc<dyn Fn() -> Result<Config, ConfigFaults> + Send + Sync>,
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What is known of the file.
struct Followed {
    app: Arc<App>,
    file: ConfigFile,
    /// The digest of its content; `None` when it cannot be read.
    content: Option<Vec<u8>>,
    started_with: Shown,
}

/// Follows the file until the gateway stops. `started_with` is the configuration that is in force.
pub(crate) async fn follow(
    app: Arc<App>,
    file: ConfigFile,
    started_with: Shown,
    stopping: CancellationToken,
) {
    // The first look reads it in any case: it may have changed since the gateway read it to start.
    let mut followed = Followed { app, content: None, file, started_with };
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hangup = signal(SignalKind::hangup()).ok();
    loop {
        let asked = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let is_asked = tokio::select! {
            _ = poll.tick() => false,
            _ = asked => true,
            () = stopping.cancelled() => return,
        };
        followed.look(is_asked).await;
    }
}

/// The keys of a configuration, each with its value as it is shown, secrets masked.
#[derive(Clone, Debug)]
pub(crate) struct Shown(BTreeMap<String, String>);

impl Shown {
    pub(crate) fn of(config: &Config) -> Self {
        let keys = config.sources.iter();
        Self(keys.map(|entry| (entry.key.clone(), entry.value.clone().unwrap_or_default())).collect())
    }
}

/// The digest of the file; hashed, since it may hold secrets.
async fn content(file: &ConfigFile) -> Option<Vec<u8>> {
    let bytes = tokio::fs::read(&file.path).await.ok()?;
    Some(digest::digest(&digest::SHA256, &bytes).as_ref().to_vec())
}

impl Followed {
    async fn look(&mut self, is_asked: bool) {
        let content = content(&self.file).await;
        if content != self.content || is_asked {
            let is_dealt_with = read(&self.app, &self.file, &self.started_with).await;
            // What the store kept from being in force is read again at the next look.
            self.content = content.filter(|_| is_dealt_with);
        }
    }
}

/// Reads the file, and puts its services in force if it can be used. Whether that is the last word: while the store is
/// away, or has a service that one of the file conflicts with, it is not.
pub(crate) async fn read(app: &App, file: &ConfigFile, started_with: &Shown) -> bool {
    let load = Arc::clone(&file.load);
    // Reading takes the disk, and secrets of other files.
    let Ok(loaded) = tokio::task::spawn_blocking(move || load()).await else { return true };
    let (fault, is_last_word) = match loaded {
        Ok(config) => {
            started_with.say_what_waits(&config);
            let followed = services::follow_file(app, config.services).await;
            let fault = followed.err().map(|error| {
                format!("the services of the configuration file are not in force yet: {}", chain(&error))
            });
            let is_last_word = fault.is_none();
            (fault, is_last_word)
        }
        Err(faults) => (Some(format!("the configuration file cannot be used: {faults}")), true),
    };
    if app.health.set_file_fault(fault.clone())
        && let Some(fault) = fault
    {
        tracing::error!(path = %file.path.display(), "{fault}; what was read before stays in force");
    }
    is_last_word
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Shown {
    /// Names the keys that are others now and take effect at the next start.
    fn say_what_waits(&self, config: &Config) {
        let now = Self::of(config);
        let names = self.0.keys().chain(now.0.keys());
        let mut waiting: Vec<&str> =
            names.filter(|name| self.0.get(*name) != now.0.get(*name)).map(String::as_str).collect();
        waiting.sort_unstable();
        waiting.dedup();
        if !waiting.is_empty() {
            tracing::warn!(
                keys = waiting.join(", "),
                "the configuration file was changed; these keys take effect when the gateway is started again"
            );
        }
    }
}
