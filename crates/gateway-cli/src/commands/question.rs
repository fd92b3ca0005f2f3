//! What the questions about policy share: the engine and the facts that a request would meet now.

use std::sync::Arc;

use clap::Args;
use gateway_app::circumstances::Circumstances;
use gateway_app::entitlements::Entitlements;
use gateway_app::settings::InForce;
use gateway_config::Config;
use gateway_policy::{OwnTable, PolicyEngine};
use gateway_server::{policy_engine, route_table, service_table};
use gateway_store::Store;
use gateway_types::{Clock as _, Facts, Resource, SystemClock, Verdict};

use crate::failure::Failure;

/// What is asked about.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    /// The action, such as convox:app:list or gateway:token:create
    #[arg(value_name = "ACTION")]
    pub(crate) action: String,
    /// On this app; without it, on the rack or the gateway as a whole
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
}

impl Asked {
    /// What the action would be on.
    pub(crate) fn resource(&self) -> Resource {
        match &self.app {
            Some(app) => Resource::app(app),
            None if self.action.starts_with("gateway:") => Resource::gateway(),
            None => Resource::rack(),
        }
    }
}

/// The engine that decides requests under this configuration.
pub(crate) fn engine(config: &Config) -> Result<PolicyEngine, Failure> {
    let routes = route_table(config)?;
    Ok(policy_engine(config, &routes, &OwnTable::builtin()?, &service_table(config)?)?)
}

/// What a request would meet now.
pub(crate) struct Moment {
    settings: Arc<InForce>,
    entitlements: Arc<Entitlements>,
    /// The facts of a plain request without a second factor, short of those of the moment.
    pub(crate) facts: Facts,
}

impl Moment {
    /// Reads it, for a request on `resource`.
    pub(crate) async fn read(store: &Store, config: &Config, resource: &Resource) -> Result<Self, Failure> {
        let settings = InForce::read(store, config.settings.clone()).await?;
        let entitlements = Entitlements::read(store).await?;
        let app = resource.app_name();
        let facts = Facts {
            mfa_off: !settings.mfa_step_up(),
            mfa_required: settings.mfa_required(),
            destructive_allowed: settings.destructive_actions(app),
            external_builds_allowed: settings.external_builds(app),
            ..Facts::default()
        };
        Ok(Self { settings, entitlements, facts })
    }

    /// What adds the facts of the moment.
    pub(crate) fn circumstances(&self) -> Circumstances<'_> {
        let now = SystemClock.now();
        Circumstances { settings: &self.settings, entitlements: &self.entitlements, now }
    }
}

/// What would turn a refusal into a yes, in words; empty when nothing would.
pub(crate) fn remedies(verdict: &Verdict) -> String {
    let names: Vec<&str> = verdict.remedies.iter().map(|remedy| remedy.kind.name()).collect();
    names.join(", ")
}
