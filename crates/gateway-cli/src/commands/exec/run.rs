//! `run`: a command in a process of its own, which is stopped when the command is over.
//!
//! As with the official client the process only sleeps; the command is run in it, so that its exit code is known.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gateway_client::text::one_line;
use gateway_client::{ClientError, Execution, ProcessOptions, RackProcess, SessionRequest};
use serde::Serialize;
use tokio::time::sleep;

use super::super::native::{AppArgument, Place};
use super::raw::{is_typed, window};
use super::{Telling, session};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::Remote;

/// How long a process sleeps for its command when nothing else is said, in seconds.
const SLEEP_SECONDS: u32 = 3600;

/// Between two looks at a process that starts, and how often it has to be seen running.
const PAUSE: Duration = Duration::from_secs(1);
const SEEN_RUNNING: u32 = 2;

/// The arguments of `run`.
#[derive(Args, Debug)]
#[command(
    after_help = "The exit code is the command's own. Examples:\n  rack-gateway run web sh -a shop\n  rack-gateway run web \"bin/migrate --all\" -a shop --memory 512\n  rack-gateway run worker bin/nightly -a shop --detach"
)]
pub(crate) struct RunArguments {
    /// Which app.
    #[command(flatten)]
    pub(crate) which: AppArgument,
    /// The service whose image and environment the process gets
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,
    /// The command; flags of its own stand in quotes with it, or behind --
    #[arg(value_name = "COMMAND", required = true)]
    pub(crate) command: Vec<String>,
    /// Let it run in the background; print the process's id
    #[arg(long, short = 'd')]
    pub(crate) detach: bool,
    /// How much of a CPU, in thousandths
    #[arg(long, value_name = "MILLICORES")]
    pub(crate) cpu: Option<u32>,
    /// How much of a CPU at most, in thousandths
    #[arg(long, value_name = "MILLICORES")]
    pub(crate) cpu_limit: Option<u32>,
    /// How many GPUs
    #[arg(long, value_name = "COUNT")]
    pub(crate) gpu: Option<u32>,
    /// Whose GPUs
    #[arg(long, value_name = "VENDOR")]
    pub(crate) gpu_vendor: Option<String>,
    /// How much memory, in MB
    #[arg(long, value_name = "MB")]
    pub(crate) memory: Option<u32>,
    /// How much memory at most, in MB
    #[arg(long, value_name = "MB")]
    pub(crate) memory_limit: Option<u32>,
    /// On nodes with these labels only
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) node_labels: Option<String>,
    /// Of this release instead of the one that runs
    #[arg(long, value_name = "RELEASE")]
    pub(crate) release: Option<String>,
    /// Put it before other processes when nodes are full
    #[arg(long)]
    pub(crate) system_critical: bool,
    /// Give it the volumes of the service
    #[arg(long)]
    pub(crate) use_service_volume: bool,
    /// Put the service's entry point before the command, as is done anyway
    #[arg(long)]
    pub(crate) entrypoint: bool,
    /// After how many seconds the process ends by itself
    #[arg(long, short = 't', value_name = "SECONDS", default_value_t = SLEEP_SECONDS)]
    pub(crate) timeout: u32,
}

#[derive(Serialize)]
struct Detached<'a> {
    id: &'a str,
    app: &'a str,
    service: &'a str,
}

/// Runs a command in a new process.
pub(crate) async fn run(context: &Context, arguments: RunArguments) -> Result<ExitCode, Failure> {
    let app = arguments.which.name(context)?;
    let remote = Place::open(context)?.remote;
    let service = arguments.service.as_str();
    let command = arguments.command.join(" ");
    let sleep = format!("sleep {}", arguments.timeout);
    let options = options(&arguments, if arguments.detach { &command } else { &sleep })?;
    let process = remote.ask(async |client| client.start_process(&app, service, &options).await).await?;
    if arguments.detach {
        let told = Detached { id: &process.id, app: &app, service };
        context
            .output
            .answer(&told, || format!("Running detached process... OK, {}", one_line(&process.id)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let end = within(&remote, &app, &process, &command).await;
    // Also after a failure: whoever does not get in leaves nothing behind that sleeps.
    if let Err(failure) = remote.ask(async |client| client.stop_process(&app, &process.id).await).await {
        remark(&format!(
            "warning: the process {} could not be stopped ({}); it ends by itself",
            one_line(&process.id),
            failure.sentence()
        ));
    }
    end
}

/// Waits until the process runs, and runs the command in it.
async fn within(
    remote: &Remote,
    app: &str,
    process: &RackProcess,
    command: &str,
) -> Result<ExitCode, Failure> {
    let mut seen = 0;
    while seen < SEEN_RUNNING {
        sleep(PAUSE).await;
        let now = remote.ask(async |client| client.process(app, &process.id).await).await?;
        match now.status.as_str() {
            "running" => seen += 1,
            "complete" | "failed" | "stopped" | "unhealthy" => return Err(not_started(&now)),
            _ => seen = 0,
        }
    }
    let request = SessionRequest::exec(&Execution {
        app,
        process: &process.id,
        command,
        with_entrypoint: true,
        is_typed: is_typed(),
        window: window(),
    })?;
    session(remote, &request, Telling::ExitCode).await
}

fn not_started(process: &RackProcess) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the process {} did not start: it is {}", one_line(&process.id), one_line(&process.status)),
    )
    .hint("`rack-gateway convox logs` shows what the rack says of it")
}

/// What the rack is told of the process, as the official client tells it.
fn options(arguments: &RunArguments, command: &str) -> Result<ProcessOptions, ClientError> {
    let mut options = ProcessOptions::default();
    options.set("command", command)?;
    for (name, number) in [
        ("cpu", arguments.cpu),
        ("cpu-limit", arguments.cpu_limit),
        ("gpu", arguments.gpu),
        ("memory", arguments.memory),
        ("memory-limit", arguments.memory_limit),
    ] {
        if let Some(number) = number {
            options.set(name, &number.to_string())?;
        }
    }
    for (name, text) in [
        ("gpu-vendor", &arguments.gpu_vendor),
        ("node-labels", &arguments.node_labels),
        ("release", &arguments.release),
    ] {
        if let Some(text) = text {
            options.set(name, text)?;
        }
    }
    for (name, is_set) in
        [("system-critical", arguments.system_critical), ("use-service-volume", arguments.use_service_volume)]
    {
        if is_set {
            options.set(name, "true")?;
        }
    }
    Ok(options)
}
