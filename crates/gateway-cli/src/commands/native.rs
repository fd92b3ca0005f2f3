//! The Convox commands by their own names: what the official client asks of a rack, through the gateway, with the
//! gateway's second factor, refusals and receipts. Names, flags and defaults are that client's (docs/cli.md says where
//! they differ), so that habits carry over.
//!
//! One module for each family; [`place`] is what they share. `env` is older and goes through the gateway's own API.

mod api;
mod app;
mod apps;
mod archive;
mod balancers;
mod budget;
mod build;
mod builds;
mod certs;
mod configs;
mod copy;
mod ignore;
mod instances;
mod logs;
mod place;
mod progress;
mod promote;
mod proxy;
mod ps;
mod registries;
mod releases;
mod resources;
mod scale;
pub(crate) mod services;
mod ssl;
pub(crate) mod system;
mod transfer;
mod waiting;

use std::process::ExitCode;

use clap::Subcommand;

use crate::Context;
use crate::failure::Failure;

pub(crate) use app::AppArgument;
pub(crate) use place::Place;
pub(crate) use waiting::Pace;

/// The Convox commands.
#[derive(Subcommand, Debug)]
pub(crate) enum NativeCommand {
    /// List, show, make, remove and change apps
    Apps(apps::AppsArguments),
    /// List, show and stop the processes of an app
    Ps(ps::PsArguments),
    /// Follow or print the log of an app
    Logs(logs::LogsArguments),
    /// Build an app from a directory
    Build(build::BuildArguments),
    /// Build an app from a directory and promote what was built
    Deploy(build::DeployArguments),
    /// List, show, export and import builds
    Builds(builds::BuildsArguments),
    /// List, show, promote and roll back releases
    Releases(releases::ReleasesArguments),
    /// Promote a release: the newest, or the one that is named
    Promote(promote::PromoteArguments),
    /// Make a new release of an older one and promote it
    Rollback(promote::RollbackArguments),
    /// Show or set how many processes services have, and how large they are
    Scale(scale::ScaleArguments),
    /// Restart all services of an app
    Restart(scale::RestartArguments),
    /// List, show, export, import and reach the resources of an app
    Resources(resources::ResourcesArguments),
    /// List, make, import, renew and remove certificates
    Certs(certs::CertsArguments),
    /// Show and set which certificate is in front of which service
    Ssl(ssl::SslArguments),
    /// Show and add DNS solvers of Let's Encrypt
    Letsencrypt(ssl::LetsencryptArguments),
    /// List, add and remove registries of container images
    Registries(registries::RegistriesArguments),
    /// List and terminate the instances of the rack
    Instances(instances::InstancesArguments),
    /// List, print and set the configs of an app
    Configs(configs::ConfigsArguments),
    /// List the balancers of an app
    Balancers(balancers::BalancersArguments),
    /// Show what an app costs
    Cost(budget::CostArguments),
    /// Show and set the budget of an app
    Budget(budget::BudgetArguments),
    /// Copy files to or from a process
    Cp(copy::CopyArguments),
    /// Open ports of this machine that lead to hosts in the rack's network
    Proxy(proxy::ProxyArguments),
    /// Diagnose why an app does not come up
    DeployDebug(apps::DiagnoseArguments),
    /// Make a plain request of the rack's API
    Api(api::ApiArguments),
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, command: NativeCommand) -> Result<ExitCode, Failure> {
    let place = Place::open(context)?;
    match command {
        NativeCommand::Apps(arguments) => apps::run(&place, arguments).await?,
        NativeCommand::Ps(arguments) => ps::run(&place, arguments).await?,
        NativeCommand::Logs(arguments) => logs::run(&place, &arguments).await?,
        NativeCommand::Build(arguments) => build::build(&place, &arguments).await?,
        NativeCommand::Deploy(arguments) => build::deploy(&place, &arguments).await?,
        NativeCommand::Builds(arguments) => builds::run(&place, arguments).await?,
        NativeCommand::Releases(arguments) => releases::run(&place, arguments).await?,
        NativeCommand::Promote(arguments) => promote::run(&place, &arguments).await?,
        NativeCommand::Rollback(arguments) => promote::roll_back(&place, &arguments).await?,
        NativeCommand::Scale(arguments) => scale::run(&place, &arguments).await?,
        NativeCommand::Restart(arguments) => scale::restart(&place, &arguments).await?,
        NativeCommand::Resources(arguments) => return resources::run(&place, arguments).await,
        NativeCommand::Certs(arguments) => certs::run(&place, arguments).await?,
        NativeCommand::Ssl(arguments) => ssl::run(&place, arguments).await?,
        NativeCommand::Letsencrypt(arguments) => ssl::letsencrypt(&place, arguments).await?,
        NativeCommand::Registries(arguments) => registries::run(&place, arguments).await?,
        NativeCommand::Instances(arguments) => return instances::run(&place, arguments).await,
        NativeCommand::Configs(arguments) => configs::run(&place, arguments).await?,
        NativeCommand::Balancers(arguments) => balancers::run(&place, &arguments).await?,
        NativeCommand::Cost(arguments) => budget::cost(&place, &arguments).await?,
        NativeCommand::Budget(arguments) => budget::run(&place, arguments).await?,
        NativeCommand::Cp(arguments) => copy::run(&place, &arguments).await?,
        NativeCommand::Proxy(arguments) => proxy::run(&place, &arguments).await?,
        NativeCommand::DeployDebug(arguments) => apps::diagnose(&place, &arguments).await?,
        NativeCommand::Api(arguments) => api::run(&place, &arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}
