//! `sidecar`: a member of the trust zone for a service that cannot be one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use gateway_sidecar::{Egress, Forward, Join, Options, Register, RequestToken, Surroundings};
use gateway_types::{OsEntropy, Secret, SystemClock};
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::stop::StopSignals;

/// The arguments of `sidecar`.
#[derive(Args, Debug)]
#[command(
    after_help = "The first start takes a join token (`rack-gateway zone join-token NAME`); with --state a restart takes none while the leaf holds. Example:\n  rack-gateway sidecar --service wiki --zone-gateway gateway.internal:8443 --listen 0.0.0.0:6754 --forward 127.0.0.1:8080 --token-file /run/join-token --state /var/lib/rack-gateway/wiki.json"
)]
pub(crate) struct SidecarArguments {
    /// The service that it stands before, as it is registered in the zone
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Host and port at which the gateway ends TLS
    #[arg(long, value_name = "HOST:PORT")]
    zone_gateway: String,
    /// Where the gateway and other callers reach it
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where the service is; on this machine only
    #[arg(long, value_name = "ADDRESS:PORT")]
    forward: SocketAddr,
    /// Pass bytes on instead of HTTP requests: for databases; request tokens are then not checked
    #[arg(long, conflicts_with = "open")]
    raw: bool,
    /// A path that is asked for without a request token, such as a health check; may be given several times
    #[arg(long = "open", value_name = "PATH")]
    open: Vec<String>,
    /// Pass the request token on, once it was checked: for a service that checks it itself, such as rack-gateway-dns
    #[arg(long, conflicts_with = "raw")]
    pass_token: bool,
    /// A way out, LOCAL=ID@HOST:PORT: a local address and port that leads to exactly that member; may be given several times
    #[arg(long = "egress", value_name = "WAY", value_parser = way)]
    egress: Vec<Egress>,
    /// Register as an instance of the service, reached by the gateway here; for services with instances = "registered"
    #[arg(long, value_name = "HOST:PORT")]
    register: Option<String>,
    /// The version that the instance serves; all of them unless given
    #[arg(long, value_name = "VERSION", requires = "register")]
    register_version: Option<String>,
    /// The prefix that the instance serves; it must be the one that is declared
    #[arg(long, value_name = "PATH", requires = "register")]
    register_prefix: Option<String>,
    /// An action that the instance understands, as order:read; may be given several times, and it gets all unless given
    #[arg(long = "understands", value_name = "ACTION", requires = "register")]
    understands: Vec<String>,
    /// The join token: the first line of this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where key and leaf are kept between two runs
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

/// What programs are told.
#[derive(Serialize)]
struct Told {
    id: String,
    listening: SocketAddr,
    egress: Vec<SocketAddr>,
}

/// Reads `127.0.0.1:5432=spiffe://prod.internal/svc/db@db.internal:5432`.
fn way(text: &str) -> Result<Egress, String> {
    let form = || "a way out is LOCAL=ID@HOST:PORT".to_owned();
    let (listen, rest) = text.split_once('=').ok_or_else(form)?;
    let (to, address) = rest.rsplit_once('@').ok_or_else(form)?;
    let listen: SocketAddr = listen.parse().map_err(|_bad| form())?;
    if !listen.ip().is_loopback() {
        return Err(
            "a way out is open to every program that reaches it: LOCAL is a loopback address".to_owned()
        );
    }
    let to = to.parse().map_err(|error: gateway_pki::IdFault| error.to_string())?;
    Ok(Egress { listen, to, address: address.to_owned() })
}

/// Runs the sidecar until it is told to stop.
pub(crate) async fn run(context: &Context, arguments: SidecarArguments) -> Result<ExitCode, Failure> {
    let mut signals = StopSignals::listen()?;
    if !arguments.forward.ip().is_loopback() {
        let said = "--forward must be a loopback address: what is sent there is not protected";
        return Err(Failure::new(Exit::Usage, said));
    }
    let join_token = match &arguments.token_file {
        None => None,
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .problem(format!("the join token cannot be read from {}", file.display()))?;
            Some(Secret::new(text.lines().next().unwrap_or_default().to_owned()))
        }
    };
    let to = arguments.forward;
    let token = match arguments.pass_token {
        true => RequestToken::PassedOn,
        false => RequestToken::TakenAway,
    };
    let understands = arguments.understands;
    let register = arguments.register.map(|address| Register {
        address,
        prefix: arguments.register_prefix,
        version: arguments.register_version,
        capabilities: (!understands.is_empty()).then(|| understands.into_iter().collect()),
    });
    let options = Options {
        join: Join {
            gateway: arguments.zone_gateway,
            service: arguments.service,
            token: join_token,
            state: arguments.state,
        },
        listen: arguments.listen,
        forward: match arguments.raw {
            true => Forward::Raw { to },
            false => Forward::Http { to, open: arguments.open, token },
        },
        egress: arguments.egress,
        register,
    };
    let surroundings = Surroundings { clock: Arc::new(SystemClock), entropy: Arc::new(OsEntropy) };
    let running = gateway_sidecar::start(options, surroundings).await.problem("the sidecar cannot start")?;
    let told = Told {
        id: running.member.id().to_string(),
        listening: running.address,
        egress: running.egress.clone(),
    };
    context.output.answer(&told, || format!("{} listens on {}", told.id, told.listening))?;
    signals.next().await;
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::way;

    #[test]
    fn ways_out() {
        let read = way("127.0.0.1:5432=spiffe://prod.internal/svc/db@db.internal:5432").unwrap();
        assert_eq!(
            (read.listen.port(), read.to.to_string().as_str()),
            (5432, "spiffe://prod.internal/svc/db")
        );
        assert_eq!(read.address, "db.internal:5432");
        for bad in
            ["", "x=y", "127.0.0.1:1=spiffe://a/b", "0.0.0.0:1=spiffe://a/b@h:1", "127.0.0.1:1=svc/b@h:1"]
        {
            assert!(way(bad).is_err(), "{bad}");
        }
    }
}
