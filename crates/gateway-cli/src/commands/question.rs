//! What the questions about policy share: the engine and the facts that a request would meet now.

use clap::Args;
use gateway_app::settings::InForce;
use gateway_config::Config;
use gateway_policy::{OwnTable, PolicyEngine};
use gateway_server::{policy_engine, route_table, service_table};
use gateway_store::Store;
use gateway_types::{Facts, Resource, Verdict};

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

/// The facts of a plain request without a second factor, under the settings in force.
pub(crate) async fn facts(store: &Store, config: &Config, resource: &Resource) -> Result<Facts, Failure> {
    let settings = InForce::read(store, config.settings.clone()).await?;
    let app = resource.app_name();
    Ok(Facts {
        mfa_off: !settings.mfa_step_up(),
        mfa_required: settings.mfa_required(),
        destructive_allowed: settings.destructive_actions(app),
        external_builds_allowed: settings.external_builds(app),
        ..Facts::default()
    })
}

/// What would turn a refusal into a yes, in words; empty when nothing would.
pub(crate) fn remedies(verdict: &Verdict) -> String {
    let names: Vec<&str> = verdict.remedies.iter().map(|remedy| remedy.kind.name()).collect();
    names.join(", ")
}
