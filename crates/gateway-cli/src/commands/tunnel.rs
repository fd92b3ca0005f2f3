//! `tunnel`: a port of this machine that leads to a TCP service behind the gateway.
//!
//! Each local connection is a tunnel of its own: decided, recorded and cut by itself. The first one is opened before
//! anything connects, so that a refusal is told, and a second factor asked for, at the start.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gateway_client::{Carried, Tunnel};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Context;
use crate::failure::{Failure, Problem};
use crate::output::{Format, Output, escaped, remark};
use crate::remote::Remote;
use crate::stop::StopSignals;

/// How long the tunnel that was opened ahead waits for somebody to use it. Databases hang up on those who do not
/// sign in.
const AHEAD: Duration = Duration::from_secs(20);

/// How long open connections have to end when the command is told to stop.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The arguments of `tunnel`.
#[derive(Args, Debug)]
#[command(
    after_help = "The port is open on this machine only, to every program on it. Example:\n  rack-gateway tunnel orders-db --local-port 5432\n  psql -h 127.0.0.1 -p 5432 -U app orders"
)]
pub(crate) struct TunnelArguments {
    /// The service, as the gateway's configuration calls it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The port of this machine; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) local_port: u16,
}

/// What programs are told, one line each.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Told<'a> {
    Listening { service: &'a str, address: SocketAddr },
    Opened { connection: u64, from: SocketAddr },
    Refused { connection: u64, reason: String },
    Closed { connection: u64, sent_bytes: u64, received_bytes: u64, reason: Option<String> },
}

/// Opens the port.
pub(crate) async fn run(context: &Context, arguments: TunnelArguments) -> Result<ExitCode, Failure> {
    let mut signals = StopSignals::listen()?;
    let remote = Remote::open(context)?;
    let name = arguments.name.as_str();
    let place = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.local_port));
    let listener =
        TcpListener::bind(place).await.problem(format!("port {} cannot be opened", place.port()))?;
    let first = remote.ask(async |client| client.tunnel(name).await).await?;
    let address = listener.local_addr().problem("the port has no address")?;
    tell(context, &Told::Listening { service: name, address });
    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let serving = serve(context, &remote, name, listener, first, &stop, &connections);
    tokio::select! {
        served = serving => served?,
        _signal = signals.next() => {}
    }
    stop.cancel();
    connections.close();
    let ended = async {
        // Who does not end in time is cut off with the program.
        let _ = tokio::time::timeout(LAST_WORDS, connections.wait()).await;
    };
    let _ = signals.or_at_once(ended).await;
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    context: &Context,
    remote: &Remote,
    name: &str,
    listener: TcpListener,
    first: Tunnel,
    stop: &CancellationToken,
    connections: &TaskTracker,
) -> Result<(), Failure> {
    let output = context.output;
    let mut ahead = Some(first);
    let until = Instant::now() + AHEAD;
    for connection in 1.. {
        let (local, from) = loop {
            tokio::select! {
                accepted = listener.accept() => break accepted.problem("the port takes no connection")?,
                () = sleep_until(until), if ahead.is_some() => ahead = None,
            }
        };
        let opened = match ahead.take() {
            Some(tunnel) => Ok(tunnel),
            None => remote.ask(async |client| client.tunnel(name).await).await,
        };
        match opened {
            Ok(tunnel) => {
                tell(context, &Told::Opened { connection, from });
                let stop = stop.clone();
                connections.spawn(async move {
                    let carried = carry(tunnel, local, stop).await;
                    let Carried { sent_bytes, received_bytes, reason } = carried;
                    say(output, &Told::Closed { connection, sent_bytes, received_bytes, reason });
                });
            }
            // The next one may be let in again: the local program sees a connection that closes.
            Err(failure) => tell(context, &Told::Refused { connection, reason: failure.sentence() }),
        }
    }
    Ok(())
}

async fn carry(tunnel: Tunnel, local: TcpStream, stop: CancellationToken) -> Carried {
    // Without it small packets wait; the tunnel works all the same.
    let _ = local.set_nodelay(true);
    tunnel.carry(local, stop.cancelled_owned()).await
}

fn tell(context: &Context, told: &Told<'_>) {
    say(context.output, told);
}

/// Says it on standard error to people, as a line of JSON on standard output to programs.
fn say(output: Output, told: &Told<'_>) {
    match output.format {
        Format::Json => {
            let line = serde_json::to_string(told).unwrap_or_default();
            // Nobody may be reading any more; the tunnel goes on.
            let _ = output.line(&escaped(&line));
        }
        Format::Text => {
            if let Some(text) = sentence(told) {
                remark(&text);
            }
        }
    }
}

fn sentence(told: &Told<'_>) -> Option<String> {
    match told {
        Told::Listening { service, address } => {
            Some(format!("{address} leads to {service}; end it with Ctrl-C"))
        }
        Told::Refused { connection, reason } => {
            Some(format!("connection {connection} was refused: {reason}"))
        }
        Told::Closed { connection, reason: Some(reason), .. } => {
            Some(format!("connection {connection} was cut: {reason}"))
        }
        Told::Opened { .. } | Told::Closed { reason: None, .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_hear_of_what_they_can_do_something_about() {
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let closed = |reason: Option<&str>| Told::Closed {
            connection: 2,
            sent_bytes: 0,
            received_bytes: 0,
            reason: reason.map(str::to_owned),
        };
        assert_eq!(sentence(&Told::Opened { connection: 1, from }), None);
        assert_eq!(sentence(&closed(None)), None);
        assert_eq!(
            sentence(&closed(Some("the session is no longer valid"))).as_deref(),
            Some("connection 2 was cut: the session is no longer valid")
        );
        let listening = Told::Listening { service: "db", address: from };
        assert_eq!(sentence(&listening).as_deref(), Some("127.0.0.1:1 leads to db; end it with Ctrl-C"));
        let json = serde_json::to_string(&listening).unwrap();
        assert_eq!(json, r#"{"event":"listening","service":"db","address":"127.0.0.1:1"}"#);
    }
}
