//! `scale`, `restart`, and what `services` does with the services of an app.

use std::collections::BTreeMap;

use clap::Args;
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::AppService;
use gateway_client::text::one_line;

use super::super::completion;
use super::place::Fetched;
use super::waiting::until_running;
use super::{AppArgument, Place};
use crate::failure::{Exit, Failure};
use crate::table::Rows;

/// The arguments of `scale`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rack-gateway scale -a web\n  rack-gateway scale worker --count 3 --memory 1024 -a web"
)]
pub(crate) struct ScaleArguments {
    #[command(flatten)]
    app: AppArgument,
    /// The service; without it, show all
    #[arg(value_name = "SERVICE", add = completion::services())]
    service: Option<String>,
    #[command(flatten)]
    size: Size,
}

/// How many processes a service has, and how large they are.
#[derive(Args, Debug)]
pub(crate) struct Size {
    /// How many processes
    #[arg(long, value_name = "N")]
    count: Option<u32>,
    /// CPU units of each: 1000 are one processor
    #[arg(long, value_name = "UNITS")]
    cpu: Option<u32>,
    /// Memory of each, in MB
    #[arg(long, value_name = "MB")]
    memory: Option<u32>,
    /// GPUs of each
    #[arg(long, value_name = "N")]
    gpu: Option<u32>,
    /// Whose GPUs
    #[arg(long, value_name = "VENDOR")]
    gpu_vendor: Option<String>,
    /// The least processes, where the service scales by itself
    #[arg(long, value_name = "N")]
    min: Option<u32>,
    /// The most processes
    #[arg(long, value_name = "N")]
    max: Option<u32>,
}

impl Size {
    fn says_nothing(&self) -> bool {
        let Self { count, cpu, memory, gpu, gpu_vendor, min, max } = self;
        [count, cpu, memory, gpu, min, max].iter().all(|number| number.is_none()) && gpu_vendor.is_none()
    }
}

/// The arguments of `restart`.
#[derive(Args, Debug)]
pub(crate) struct RestartArguments {
    #[command(flatten)]
    app: AppArgument,
}

/// Shows or scales.
pub(super) async fn run(place: &Place<'_>, arguments: &ScaleArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    match &arguments.service {
        Some(service) => update(place, &app, service, &arguments.size, "Scaling").await,
        None if arguments.size.says_nothing() => show(place, &app).await,
        None => Err(Failure::new(Exit::Usage, "name the service that is scaled")),
    }
}

async fn show(place: &Place<'_>, app: &str) -> Result<(), Failure> {
    let Fetched { raw, value } = services(place, app).await?;
    let mut running: BTreeMap<String, usize> = BTreeMap::new();
    for process in place.processes(app).await?.value {
        *running.entry(process.name).or_default() += 1;
    }
    place.budget_notice(app).await;
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let mut rows = Rows::new(&["SERVICE", "DESIRED", "RUNNING", "CPU", "MEMORY", "GPU", "MIN", "MAX"]);
    for one in value {
        rows.add(vec![
            one.name.clone(),
            one.count.to_string(),
            running.get(&one.name).copied().unwrap_or_default().to_string(),
            one.cpu.to_string(),
            one.memory.to_string(),
            number(Some(one.gpu).filter(|gpu| *gpu > 0)),
            number(one.min),
            number(one.max),
        ]);
    }
    place.listing(&raw, &rows, "there are no services")
}

/// The services of an app.
pub(super) async fn services(place: &Place<'_>, app: &str) -> Result<Fetched<Vec<AppService>>, Failure> {
    place.fetch(&RackRequest::get(&["apps", app, "services"])).await
}

/// Sets the size of a service and waits until it has it.
pub(super) async fn update(
    place: &Place<'_>,
    app: &str,
    service: &str,
    size: &Size,
    doing: &str,
) -> Result<(), Failure> {
    if size.says_nothing() {
        return Err(Failure::new(Exit::Usage, "nothing is to be changed").hint("say what, such as --count 2"));
    }
    if size.min.is_some() || size.max.is_some() {
        place.system().await?;
    }
    let asked = RackRequest::put(&["apps", app, "services", service])
        .form("count", size.count)
        .form("cpu", size.cpu)
        .form("memory", size.memory)
        .form("gpu", size.gpu)
        .form("gpu-vendor", size.gpu_vendor.as_deref())
        .form("min", size.min)
        .form("max", size.max);
    place.order(&asked).await?;
    until_running(place, app).await?;
    place.done(&format!("{doing} {service}"), None)
}

/// Restarts all services of an app.
pub(super) async fn restart(place: &Place<'_>, arguments: &RestartArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    let services = services(place, &app).await?.value;
    for service in &services {
        restart_one(place, &app, &service.name).await?;
        place.step(&format!("Restarting {}... OK", one_line(&service.name)))?;
    }
    match place.context.output.format {
        crate::output::Format::Text => Ok(()),
        crate::output::Format::Json => place.done("Restarting all services", None),
    }
}

/// Restarts one of them.
pub(super) async fn restart_one(place: &Place<'_>, app: &str, service: &str) -> Result<(), Failure> {
    place.order(&RackRequest::post(&["apps", app, "services", service, "restart"])).await
}
