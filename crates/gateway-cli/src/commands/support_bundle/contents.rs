//! What goes into a bundle.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::Ipv4Addr;
use std::path::Path;

use gateway_app::reading;
use gateway_client::{TlsOptions, elsewhere};
use gateway_config::{Config, ConfigFaults};
use gateway_store::{JobFilter, JobState, SettingScope, Store, StoreError};
use serde_json::{Value, json};
use url::Url;

use super::bundle::Bundle;
use crate::Context;
use crate::local::{DataPlace, LocalStore};

/// How much of the end of a program log goes in, in bytes.
const MOST_LOG: u64 = 512 * 1024;

/// How many jobs that failed for good are told of.
const MOST_DEAD: u32 = 100;

/// The program and the machine.
pub(super) fn program(bundle: &mut Bundle) {
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let memory: BTreeMap<String, String> = read("/proc/meminfo")
        .unwrap_or_default()
        .lines()
        .take(3)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    bundle.document(
        "program.json",
        &json!({
            "version": env!("CARGO_PKG_VERSION"),
            "architecture": std::env::consts::ARCH,
            "kernel": read("/proc/sys/kernel/osrelease"),
            "cores": std::thread::available_parallelism().ok().map(usize::from),
            "memory": memory,
            "load": read("/proc/loadavg"),
            "most_files": read("/proc/sys/fs/file-max"),
        }),
    );
}

/// Every key of the configuration and where its value came from, or its faults.
pub(super) fn configuration(bundle: &mut Bundle, loaded: &Result<Config, ConfigFaults>) {
    match loaded {
        Ok(config) => {
            let keys: Vec<Value> = config
                .sources
                .iter()
                .map(|entry| {
                    json!({
                        "key": entry.key,
                        "value": entry.value,
                        "source": entry.origin.to_string(),
                        "default": entry.default,
                    })
                })
                .collect();
            let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
            bundle.document("configuration.json", &json!({ "keys": keys, "warnings": warnings }));
        }
        Err(faults) => {
            let faults: Vec<Value> = faults
                .0
                .iter()
                .map(|fault| {
                    json!({
                        "key": fault.key,
                        "source": fault.origin.to_string(),
                        "problem": fault.kind.to_string(),
                    })
                })
                .collect();
            bundle.document("configuration.json", &json!({ "faults": faults }));
            bundle.miss("the keys of the configuration", "it has faults, which configuration.json tells");
        }
    }
}

/// What the running gateway says on its second listener.
pub(super) async fn second_listener(bundle: &mut Bundle, named: Option<&Url>, config: Option<&Config>) {
    let configured = config.map(|config| {
        let mut address = config.admin_listener;
        // It may listen everywhere: it is asked on this machine.
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    });
    let base = named.cloned().or_else(|| Url::parse(&configured?).ok());
    let Some(base) = base else {
        for part in ["readiness.json", "metrics.txt"] {
            bundle.miss(part, "no second listener is known; name it with --admin");
        }
        return;
    };
    for (path, file) in [("/readyz", "readiness.json"), ("/metrics", "metrics.txt")] {
        let Ok(url) = base.join(path) else { continue };
        match elsewhere::whatever(&url, &TlsOptions::default()).await {
            Ok(text) => bundle.text(file, text),
            Err(error) => bundle.miss(file, &with_causes(&error)),
        }
    }
}

/// How the database stands: counts, and nothing of what is in it.
pub(super) async fn database(bundle: &mut Bundle, context: &Context, place: &DataPlace) {
    const FILE: &str = "database.json";
    let local = match LocalStore::open(context, place).await {
        Ok(local) => local,
        Err(failure) => return bundle.miss(FILE, &failure.sentence()),
    };
    let told = async {
        reading::announce(&local.store, &local.operator(), "gateway:support_bundle", &[]).await?;
        standing(&local.store).await.map_err(gateway_app::AppError::from)
    };
    match told.await {
        Ok(standing) => bundle.document(FILE, &standing),
        Err(error) => bundle.miss(FILE, &with_causes(&error)),
    }
    local.close().await;
}

async fn standing(store: &Store) -> Result<Value, StoreError> {
    let jobs: BTreeMap<&str, u64> =
        store.jobs().standing().await?.into_iter().map(|one| (one.state.name(), one.count)).collect();
    let filter = JobFilter { state: Some(JobState::Dead), limit: MOST_DEAD, ..JobFilter::default() };
    let dead: Vec<Value> = store
        .jobs()
        .list(&filter)
        .await?
        .items
        .into_iter()
        .map(|job| {
            json!({
                "kind": job.kind,
                "tries": job.tries,
                "error": job.error,
                "finished": job.finished.map(|at| at.to_rfc3339()),
            })
        })
        .collect();
    let sinks: Vec<Value> = store
        .audit_sinks()
        .all()
        .await?
        .into_iter()
        .map(|sink| json!({ "name": sink.name, "position": sink.position, "moved": sink.moved.to_rfc3339() }))
        .collect();
    let settings: Vec<Value> = store
        .settings()
        .list(None)
        .await?
        .into_iter()
        .map(|setting| {
            json!({
                "scope": match setting.scope {
                    SettingScope::Global => "global".to_owned(),
                    SettingScope::App(app) => format!("app {app}"),
                },
                "key": setting.key,
                "value": setting.value,
                "updated": setting.updated.to_rfc3339(),
            })
        })
        .collect();
    Ok(json!({
        "gateway_id": store.gateway_id().to_string(),
        "migrations": store.schema().await?,
        "log": { "entries": store.audit().head().await?.size },
        "jobs": jobs,
        "jobs_that_failed": dead,
        "sinks": sinks,
        "settings": settings,
    }))
}

/// The end of a file with the program's own log.
pub(super) fn program_log(bundle: &mut Bundle, file: &Path) {
    let shown = file.display().to_string();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let read = || {
        let mut open = fs::File::open(file)?;
        let length = open.metadata()?.len();
        open.seek(SeekFrom::Start(length.saturating_sub(MOST_LOG)))?;
        let mut bytes = Vec::new();
        open.take(MOST_LOG).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>((String::from_utf8_lossy(&bytes).into_owned(), length > MOST_LOG))
    };
    match read() {
        // The first line is whole only when the file is.
        Ok((text, true)) => {
            let whole = text.split_once('\n').map_or("", |(_part, rest)| rest).to_owned();
            bundle.text(&format!("program-log/{name}"), whole);
            bundle.miss(&shown, &format!("all but the last {} KiB", MOST_LOG / 1024));
        }
        Ok((text, false)) => bundle.text(&format!("program-log/{name}"), text),
        Err(error) => bundle.miss(&shown, &error.to_string()),
    }
}

/// An error and why, in a line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        text.push_str(": ");
        text.push_str(&one.to_string());
        cause = one.source();
    }
    text
}
