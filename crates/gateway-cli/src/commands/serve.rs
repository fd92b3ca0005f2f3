//! `serve`: the gateway, until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use gateway_config::{Flags, load};
use gateway_server::{Beginning, ConfigFile, GivenListeners, Stop, Surroundings, start_from};
use gateway_store::Adoption;
use gateway_types::{OsEntropy, SystemClock};

use crate::failure::{Exit, Failure};
use crate::local::DataPlace;
use crate::stop::{SIGTERM, StopSignals, Stopped};
use crate::{Context, program_log};

/// The arguments of `serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    /// Port of the public listener; 0 takes any free one [env: PORT] [default: 8443]
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Port of the second listener (/healthz, /readyz) [env: ADMIN_PORT] [default: 9443]
    #[arg(long)]
    pub(crate) admin_port: Option<u16>,
    /// Take over a database that was used before another rack: this one, moved to another address
    #[arg(long)]
    pub(crate) adopt_database: bool,
    /// Take the listeners of the gateway that runs on this data directory, and serve in its place: no connection is
    /// refused, and its sessions go on in it until they end. Without one there it is a plain start
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// Serves, until a signal, `rack-gateway drain` or a process that takes over. After a signal a second one ends what is
/// still open; after the others the first signal says that a supervisor waits now.
pub(crate) async fn run(context: &Context, arguments: ServeArguments) -> Result<ExitCode, Failure> {
    let flags = Flags { port: arguments.port, admin_port: arguments.admin_port, ..arguments.place.flags() };
    let config = load(context.config.clone(), flags.clone())?;
    program_log::start(config.log.format, &config.log.filter)?;
    let mut signals = StopSignals::listen()?;
    let adoption = if arguments.adopt_database { Adoption::Adopt } else { Adoption::Refuse };
    let beginning = match arguments.take_over {
        true => Beginning::TakeOver,
        false => Beginning::Fresh(GivenListeners::of_supervisor()),
    };
    let starting = start_from(config, surroundings(adoption), beginning);
    let running = tokio::select! {
        running = starting => running?,
        // While the database is away a start takes as long as that.
        signal = signals.next() => {
            tracing::info!(signal, "stopped before the database was reached");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let named = context.config.clone();
    running.follow(ConfigFile {
        path: gateway_config::file_path(named.as_deref()),
        load: Arc::new(move || load(named.clone(), flags.clone())),
    });
    for address in &running.addresses {
        tracing::info!(%address, "listening");
    }
    tracing::info!(address = %running.admin_address, "listening for probes");
    tracing::info!(gateway_id = %running.store.gateway_id(), version = env!("CARGO_PKG_VERSION"), "ready");
    let stop = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping: requests in hand are finished, a second signal ends them");
            if signal == SIGTERM { Stop::BySupervisor } else { Stop::AtOnce }
        }
        stop = running.told_to_stop() => stop,
    };
    let hurry = running.hurry();
    let stopping = running.stop_as(stop);
    tokio::pin!(stopping);
    if matches!(stop, Stop::Drained | Stop::HandedOver { .. }) {
        tokio::select! {
            () = &mut stopping => {
                tracing::info!("stopped");
                return Ok(ExitCode::SUCCESS);
            }
            signal = signals.next() => {
                tracing::info!(signal, "sessions have no longer than requests now; a second signal ends them");
                hurry.cancel();
            }
        }
    }
    match signals.or_at_once(stopping).await {
        Stopped::Gracefully => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Stopped::AtOnce => Err(Failure::new(Exit::Failed, "a second signal ended what was still open")),
    }
}

/// The world as it is.
pub(crate) fn surroundings(adoption: Adoption) -> Surroundings {
    Surroundings { clock: Arc::new(SystemClock), entropy: Arc::new(OsEntropy), adoption }
}
