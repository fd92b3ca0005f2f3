//! Work that goes on beside requests: each minute, and whenever somebody changed something.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gateway_app::audit::{ColumnsWatch, retention, shares, summary};
use gateway_app::services::discovery::{self, SrvLookup};
use gateway_app::vantage::Turn;
use gateway_app::zone::registry;
use gateway_app::{
    App, Operator, approvals, elevations, modes, policies, recordings, reveals, sentinel, services, vantage,
};
use gateway_config::Probe;
use gateway_proxy::DataPlane;
use gateway_store::Store;
use gateway_tls::Terminator;
use tokio::time::timeout;

use crate::discovery::NameServers;
use crate::probing;
use crate::tls::tell_of_handshakes;

/// How long a start waits for name servers.
const FIRST_LOOK_LIMIT: Duration = Duration::from_secs(2);

type Work = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is done each minute: counts are summed up, what rested is let go, a checkpoint is signed.
pub(crate) fn minute(
    plane: Arc<DataPlane>,
    store: Arc<Store>,
    terminator: Option<Arc<Terminator>>,
) -> impl FnMut() -> Work + Send + 'static {
    let mut before = terminator.as_ref().map(|terminator| terminator.counts()).unwrap_or_default();
    move || {
        let (plane, store) = (plane.clone(), store.clone());
        if let Some(terminator) = &terminator {
            let now = terminator.counts();
            tell_of_handshakes(before, now);
            before = now;
        }
        Box::pin(async move {
            plane.sum_up_refusals();
            plane.tidy_upstream();
            plane.tidy_limits().await;
            plane.tend_services().await;
            plane.renew_vault_token().await;
            if let Err(error) = store.audit().checkpoint().await {
                tracing::error!(error = &error as &dyn std::error::Error, "no checkpoint could be signed");
            }
        })
    }
}

/// Marks what is over by the clock; whatever it gave, it gives nothing any more in any case.
pub(crate) fn tidy_what_is_over(app: Arc<App>) -> impl FnMut() -> Work + Send + 'static {
    move || {
        let app = app.clone();
        Box::pin(async move {
            let operator = Operator::system(&*app.clock, &*app.entropy);
            if let Err(error) = elevations::tidy(&app.store, &operator).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "elevations that are over were not marked so; they give nothing all the same"
                );
            }
            if let Err(error) = reveals::tidy(&app.store, &operator).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "times of reading values that are over were not marked so; they give nothing all the same"
                );
            }
            if let Err(error) = recordings::tidy(&app, &operator).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "sessions whose gateway died were not marked so, or old recordings were not deleted"
                );
            }
            if let Err(error) = app.store.zone().tidy().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "members of the zone that are long over were not forgotten"
                );
            }
            if let Err(error) = shares::tidy(&app).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "links for auditors that are long over were not forgotten; they open nothing all the same"
                );
            }
            if let Err(error) = approvals::tidy(&app, &operator).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "approvals that are over were not marked so; they allow nothing all the same"
                );
            }
        })
    }
}

/// Counts what was written to the log since the last minute, for charts.
pub(crate) fn count_audit(app: Arc<App>) -> impl FnMut() -> Work + Send + 'static {
    move || {
        let app = app.clone();
        Box::pin(async move {
            if let Err(error) = summary::tend(&app.store).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the log was not counted for charts"
                );
            }
        })
    }
}

/// Removes the bodies of old entries of the log.
pub(crate) fn prune_audit(app: Arc<App>) -> impl FnMut() -> Work + Send + 'static {
    move || {
        let app = app.clone();
        Box::pin(async move {
            if let Err(error) = retention::tend(&app).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old entries of the log were not pruned; it is tried again in an hour"
                );
            }
        })
    }
}

/// Compares the rack with the log, and tells of what nobody asked for.
pub(crate) fn watch_rack(app: Arc<App>, period: Duration) -> impl FnMut() -> Work + Send + 'static {
    move || {
        let app = app.clone();
        Box::pin(async move {
            match sentinel::look(&app, period).await {
                Ok(unasked) => {
                    for change in unasked {
                        tracing::error!(%change, "somebody went around the gateway");
                    }
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the rack was not compared with the log; the next look finds what this one would have"
                ),
            }
        })
    }
}

/// Looks whether anything answers past the gateway.
pub(crate) fn probe_exposure(app: Arc<App>, probe: Probe) -> impl FnMut() -> Work + Send + 'static {
    let probe = Arc::new(probe);
    move || {
        let (app, probe) = (app.clone(), probe.clone());
        Box::pin(async move {
            let looked = probing::look(&app, &probe).await;
            app.health.set_probe_fault(looked.as_ref().err().map(with_cause));
            match looked {
                Ok(turns) => {
                    for turn in turns {
                        match turn {
                            Turn::Opened { .. } => {
                                tracing::error!(%turn, "something answers past the gateway")
                            }
                            Turn::Closed { .. } | Turn::Returned => tracing::info!(%turn, "past the gateway"),
                        }
                    }
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "it was not looked whether anything answers past the gateway; the next look finds what this one would have"
                ),
            }
        })
    }
}

/// An error and why, in a line.
fn with_cause(error: &probing::ProbeError) -> String {
    match std::error::Error::source(error) {
        None => error.to_string(),
        Some(cause) => format!("{error}: {cause}"),
    }
}

/// Tells of agents whose reports stay away.
pub(crate) fn watch_agents(app: Arc<App>) -> impl FnMut() -> Work + Send + 'static {
    move || {
        let app = app.clone();
        Box::pin(async move {
            match vantage::tell_of_silence(&app).await {
                Ok(silent) => {
                    for name in silent {
                        tracing::error!(name, "a probe agent does not report any more");
                    }
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "whether probe agents still report is not known"
                ),
            }
        })
    }
}

/// Compares a piece of the log with what searches find it by.
pub(crate) fn compare_searches(app: Arc<App>) -> impl FnMut() -> Work + Send + 'static {
    let watch = Arc::new(ColumnsWatch::default());
    move || {
        let (app, watch) = (app.clone(), watch.clone());
        Box::pin(async move {
            if let Err(error) = watch.tend(&app).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the log was not compared with what searches find it by"
                );
            }
        })
    }
}

/// Reads settings and policies again. What cannot be read, or does not load, leaves in force what was.
pub(crate) async fn refresh(app: &App) {
    if let Err(error) = app.settings.refresh(&app.store).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "settings could not be read again; the last ones hold"
        );
    }
    if let Err(error) = modes::refresh(&app.store, &app.health).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "whether the gateway is read-only could not be read again; the last mode holds"
        );
    }
    if let Err(error) = app.integrations.refresh(&app.store).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the credentials for GitHub, CircleCI and Slack could not be read again; the last ones hold"
        );
    }
    if let Err(error) = app.entitlements.refresh(&app.store).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "elevations and grants of roles could not be read again; the last ones hold, each until its end"
        );
    }
    if let Err(error) = app.reveal_times.refresh(&app.store).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "who may read values in plaintext could not be read again; the last times hold, each until its end"
        );
    }
    follow_zone(app).await;
    reload_services(app).await;
    follow_registrations(app).await;
    match policies::reload(app).await {
        Ok(policies::Reloaded::Unchanged) => {}
        // Policies that named actions of services that are gone may have gone with them.
        Ok(policies::Reloaded::Exchanged) => reload_services(app).await,
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "the policies in the database are not in force here; the last ones hold"
        ),
    }
}

/// Reads the zone again.
pub(crate) async fn follow_zone(app: &App) {
    if let Err(error) = app.zone.reload(&app.store).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the trust zone could not be read again; what was in force stays"
        );
    }
}

/// Keeps the gateway's own leaf in the zone fresh.
pub(crate) async fn tend_zone(app: &App) {
    if let Err(error) = app.zone.tend(&app.store, &*app.clock, &*app.entropy).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the gateway's own leaf in the zone could not be renewed; the one before holds until its end"
        );
    }
}

/// Puts the instances in force that members of the zone registered.
pub(crate) async fn follow_registrations(app: &App) {
    if let Err(error) = registry::follow(app).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "what members of the zone registered could not be read; the instances before stay in force"
        );
    }
}

/// Forgets members of the zone that are not heard of any more, and follows the others.
pub(crate) async fn tend_registrations(app: &App) {
    if let Err(error) = registry::tend(app).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "what members of the zone registered could not be tended; the instances before stay in force"
        );
    }
}

/// Looks up where services are whose instances a DNS record names, whenever an answer is over.
pub(crate) fn look_up_services(app: Arc<App>) -> impl FnMut() -> Work + Send + 'static {
    let lookup = Arc::new(NameServers::of_machine());
    move || {
        let (app, lookup) = (app.clone(), lookup.clone());
        Box::pin(async move { look_up(&app, &*lookup).await })
    }
}

/// The same before anybody is served, so that a start costs such services no request. Name servers that are away hold up
/// no start.
pub(crate) async fn first_look_up_of_services(app: &App) {
    let lookup = NameServers::of_machine();
    if timeout(FIRST_LOOK_LIMIT, look_up(app, &lookup)).await.is_err() {
        tracing::warn!(
            "where services are could not be looked up in time; it is tried again while others are served"
        );
    }
}

async fn look_up(app: &App, lookup: &dyn SrvLookup) {
    if let Err(error) = discovery::look(app, lookup).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "what was looked up of where services are could not be put in force; the instances before stay"
        );
    }
}

async fn reload_services(app: &App) {
    if let Err(error) = services::reload(app).await {
        // What does not go together is logged where it is found.
        tracing::debug!(error = &error as &dyn std::error::Error, "the services before stay in force");
    }
}
