//! Asks name servers where services are: the real [`SrvLookup`]. What an answer is good for is the application's business.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use gateway_app::services::discovery::{Looking, SrvAnswer, SrvFault, SrvLookup};
use gateway_dns_client::{ServiceAnswer, service_targets};
use gateway_services::{Srv, SrvTarget};

/// The file that says whom this machine asks (resolv.conf(5)).
const RESOLVERS: &str = "/etc/resolv.conf";

/// Where name servers listen.
const DNS_PORT: u16 = 53;

/// Asks the name servers of a declaration, or, where it names none, those of this machine.
#[derive(Debug)]
pub(crate) struct NameServers {
    resolvers: PathBuf,
}

impl NameServers {
    /// With the name servers of this machine.
    pub(crate) fn of_machine() -> Self {
        Self { resolvers: RESOLVERS.into() }
    }
}

impl SrvLookup for NameServers {
    fn look(&self, srv: Srv) -> Looking {
        let resolvers = self.resolvers.clone();
        Box::pin(async move { look(&srv, &resolvers).await })
    }
}

/// The answer of the first server that gives one.
async fn look(srv: &Srv, resolvers: &Path) -> Result<SrvAnswer, SrvFault> {
    let servers = match srv.nameservers.is_empty() {
        false => srv.nameservers.clone(),
        true => of_machine(resolvers).await?,
    };
    let mut last = SrvFault(format!("{} names no name server", resolvers.display()));
    for server in servers {
        match service_targets(server, &srv.name).await {
            Ok(answer) => return Ok(told(answer)),
            Err(error) => last = SrvFault(in_words(&error)),
        }
    }
    Err(last)
}

fn told(answer: ServiceAnswer) -> SrvAnswer {
    match answer {
        ServiceAnswer::Absent { holds } => SrvAnswer { targets: Vec::new(), holds },
        ServiceAnswer::Found { targets, holds } => SrvAnswer {
            targets: targets
                .into_iter()
                .map(|target| SrvTarget {
                    priority: target.priority,
                    weight: target.weight,
                    port: target.port,
                    addresses: target.addresses,
                })
                .collect(),
            holds: Some(holds),
        },
    }
}

/// Whom this machine asks; read each time, since it changes where a machine moves.
async fn of_machine(resolvers: &Path) -> Result<Vec<SocketAddr>, SrvFault> {
    let text = tokio::fs::read_to_string(resolvers).await;
    let text = text.map_err(|error| SrvFault(format!("{} cannot be read: {error}", resolvers.display())))?;
    Ok(name_servers(&text))
}

fn name_servers(text: &str) -> Vec<SocketAddr> {
    let of_line = |line: &str| {
        let mut words = line.split_whitespace();
        let address: IpAddr =
            words.next().filter(|word| *word == "nameserver").and(words.next())?.parse().ok()?;
        Some(SocketAddr::new(address, DNS_PORT))
    };
    text.lines().filter_map(of_line).collect()
}

fn in_words(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", in_words(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_of_a_machine_are_read() {
        let text = "# nameserver 9.9.9.9\nsearch corp\nnameserver 10.0.0.2\n nameserver\t::1 # local\n\
                    nameserver none\nnameserver\noptions ndots:1\n";
        let told: Vec<String> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["10.0.0.2:53", "[::1]:53"]);
    }

    #[tokio::test]
    async fn without_a_name_server_there_is_no_answer() {
        let directory = tempfile::tempdir().unwrap();
        let lookup = NameServers { resolvers: directory.path().join("resolv.conf") };
        let raw = gateway_services::RawService {
            name: "wiki".to_owned(),
            hosts: vec!["wiki.example.com".to_owned()],
            instances: gateway_services::RawInstances::Srv,
            srv: Some(gateway_services::RawSrv {
                name: "_wiki._tcp.corp.internal".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let srv = gateway_services::Service::check(raw).unwrap().srv.unwrap();
        assert!(lookup.look(srv.clone()).await.unwrap_err().to_string().contains("cannot be read"));
        std::fs::write(&lookup.resolvers, "search corp\n").unwrap();
        assert!(lookup.look(srv).await.unwrap_err().to_string().contains("names no name server"));
    }
}
