//! `zone probe --rack-address`: whether the rack answers at a place from which only the gateway may reach it. It connects, and
//! sends nothing: no credential is needed, and none can be lost.

use std::net::IpAddr;
use std::process::ExitCode;

use gateway_client::text::one_line;
use gateway_exposure::{Expected, Target};
use gateway_probe::{Place, look};
use gateway_types::wire::vantage::VantagePoint;
use serde::Serialize;

use super::addresses;
use crate::Context;
use crate::commands::vantage;
use crate::failure::{Exit, Failure};
use crate::output::Tone;
use crate::remote::Remote;
use crate::terminal::{Assent, waiting};

/// What a look found.
#[derive(Serialize)]
struct Report {
    host: String,
    port: u16,
    /// Where it was looked.
    addresses: Vec<IpAddr>,
    /// Of these, the ones that take connections.
    answering: Vec<IpAddr>,
    /// What the gateway's vantage points last saw; `None` = it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    agents: Option<Vec<VantagePoint>>,
}

/// Looks from here. A name that is not found is a failure, not a good sign: nothing was looked at.
pub(super) async fn probe(
    context: &Context,
    place: &Place,
    assent: Assent,
    asks_agents: bool,
) -> Result<ExitCode, Failure> {
    // Before anything is connected to: a gateway that cannot be asked is no reason to look twice.
    let agents = match asks_agents {
        false => None,
        true => Some(Remote::open(context)?.ask(async |client| client.vantage_points().await).await?),
    };
    let addresses = addresses(&place.host).await?;
    if addresses.is_empty() {
        return Err(Failure::new(Exit::Unreachable, format!("{} has no address", one_line(&place.host))));
    }
    let what = format!("This connects to the rack at {place}, and sends nothing. Look at your own rack only");
    waiting(|| context.terminal.confirm(&what, assent))?;
    let report = Report { agents, ..report(place, addresses).await };
    context.output.answer(&report, || text(context, place, &report))?;
    let is_open_elsewhere = report.agents.iter().flatten().any(|point| !point.open.is_empty());
    Ok(if report.answering.is_empty() && !is_open_elsewhere {
        ExitCode::SUCCESS
    } else {
        Exit::Failed.code()
    })
}

async fn report(place: &Place, addresses: Vec<IpAddr>) -> Report {
    let mut answering = Vec::new();
    for address in &addresses {
        let target =
            Target { port: place.port, expected: Expected::Closed, meaning: "the rack's API".to_owned() };
        let looked = look(*address, vec![target]).await;
        if looked.iter().any(|one| one.found != one.target.expected) {
            answering.push(*address);
        }
    }
    Report { host: place.host.clone(), port: place.port, addresses, answering, agents: None }
}

fn text(context: &Context, place: &Place, report: &Report) -> String {
    let here = here(context, place, report);
    match &report.agents {
        None => here,
        Some(points) => format!("{here}\n{}", vantage::text(context, points)),
    }
}

fn here(context: &Context, place: &Place, report: &Report) -> String {
    if report.answering.is_empty() {
        let good = context.output.toned(Tone::Good, "green");
        let count = report.addresses.len();
        return format!(
            "{good}: the rack at {place} takes no connection from here (addresses looked at: {count})"
        );
    }
    let bad = context.output.toned(Tone::Bad, "red");
    let at: Vec<String> = report.answering.iter().map(ToString::to_string).collect();
    format!(
        "{bad}: the rack at {place} answers here, past the gateway ({}). Let its firewall or load balancer admit the \
         gateway's addresses only",
        at.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_rack_that_answers_here_is_found() {
        let rack = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = IpAddr::from([127, 0, 0, 1]);
        let place = Place::parse(&rack.local_addr().unwrap().to_string()).unwrap();
        assert_eq!(report(&place, vec![here]).await.answering, [here]);
        drop(rack);
        assert!(report(&place, vec![here]).await.answering.is_empty());
    }
}
