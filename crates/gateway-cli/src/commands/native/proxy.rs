//! `proxy`: ports of this machine that lead to hosts in the rack's network. Each connection is a socket of its own:
//! decided, recorded and cut by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use gateway_client::rack::RackRequest;
use gateway_client::text::one_line;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Place;
use crate::failure::{Failure, Problem};
use crate::output::remark;
use crate::stop::StopSignals;

/// How long open connections have to end when the command is told to stop.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The arguments of `proxy`.
#[derive(Args, Debug)]
#[command(
    after_help = "The ports are open on this machine only, to every program on it. Example:\n  rack-gateway proxy 5432:db.internal:5432"
)]
pub(crate) struct ProxyArguments {
    /// `[PORT:]HOST:PORT`; the first port is this machine's, and the host's own when it is left out
    #[arg(value_name = "PORT:HOST:PORT", required = true)]
    passages: Vec<Passage>,
}

/// A port here and a place there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Passage {
    /// The port of this machine.
    pub(super) local: u16,
    /// The host in the rack's network.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
}

/// A text that names no passage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write it as PORT:HOST:PORT, or HOST:PORT")]
pub(super) struct NoPassage;

impl FromStr for Passage {
    type Err = NoPassage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, port) = text.rsplit_once(':').ok_or(NoPassage)?;
        let port = port.parse().map_err(|_| NoPassage)?;
        let (local, host) = match rest.split_once(':') {
            Some((local, host)) => (local.parse().map_err(|_| NoPassage)?, host),
            None => (port, rest),
        };
        if host.is_empty() || host.contains([':', '/']) {
            return Err(NoPassage);
        }
        Ok(Self { local, host: host.to_owned(), port })
    }
}

/// Opens the ports.
pub(super) async fn run(place: &Place<'_>, arguments: &ProxyArguments) -> Result<(), Failure> {
    open(place, arguments.passages.clone()).await
}

/// Opens these ports and carries until told to stop.
pub(super) async fn open(place: &Place<'_>, passages: Vec<Passage>) -> Result<(), Failure> {
    let mut signals = StopSignals::listen()?;
    let mut listeners = Vec::new();
    for passage in passages {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, passage.local));
        let listener = TcpListener::bind(at).await.problem(format!("port {} cannot be opened", at.port()))?;
        let bound = listener.local_addr().problem("the port has no address")?;
        place.step(&format!("proxying {bound} to {}:{}", one_line(&passage.host), passage.port))?;
        listeners.push((listener, passage));
    }
    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let serving = futures_util::future::join_all(
        listeners.iter().map(|(listener, passage)| serve(place, listener, passage, &stop, &connections)),
    );
    tokio::select! {
        _ended = serving => {}
        _signal = signals.next() => {}
    }
    stop.cancel();
    connections.close();
    // Who does not end in time is cut off with the program.
    let _ = tokio::time::timeout(LAST_WORDS, connections.wait()).await;
    Ok(())
}

async fn serve(
    place: &Place<'_>,
    listener: &TcpListener,
    passage: &Passage,
    stop: &CancellationToken,
    connections: &TaskTracker,
) {
    let asked = RackRequest::get(&["proxy", &passage.host, &passage.port.to_string()]);
    loop {
        let local: TcpStream = match listener.accept().await {
            Ok((local, _from)) => local,
            Err(error) => {
                remark(&format!("the port {} takes no connection: {error}", passage.local));
                return;
            }
        };
        match place.remote.ask(async |client| client.rack_socket(&asked).await).await {
            Ok(socket) => {
                let stop = stop.clone();
                connections.spawn(async move {
                    socket.carry(local, stop.cancelled_owned()).await;
                });
            }
            // The next connection may be let through: a step-up, an elevation, a rack that came back.
            Err(failure) => failure.report(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_are_read_as_the_official_client_reads_them() {
        let passage = |text: &str| text.parse::<Passage>().map(|one| (one.local, one.host, one.port));
        assert_eq!(passage("19321:db.svc:5432"), Ok((19321, "db.svc".to_owned(), 5432)));
        assert_eq!(passage("db.svc:5432"), Ok((5432, "db.svc".to_owned(), 5432)));
        for bad in ["", "db", "db:x", "x:db:1", ":1", "1::1", "1:a/b:1", "70000:db:1", "1:2:db:3"] {
            assert_eq!(passage(bad), Err(NoPassage), "{bad}");
        }
    }
}
