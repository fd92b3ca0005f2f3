//! `probe-agent`: looks from a second vantage point whether the rack, or anything else that only the gateway may reach, answers there, and
//! tells the gateway.
//!
//! # Security
//! It connects and sends nothing to what it looks at. Its token should be granted `gateway:vantage:report` alone: then whoever takes
//! it from the machine can say that all is well there, and nothing else.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gateway_client::text::one_line;
use gateway_config::duration::{format_duration, parse_duration};
use gateway_exposure::{Expected, targets};
use gateway_probe::{Place, Watched, sightings};
use gateway_types::wire::vantage::{Found, Sighting, VantageReport};
use serde::Serialize;

use super::exposure::manifest;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::Remote;
use crate::stop::StopSignals;

/// The arguments of `probe-agent`.
#[derive(Args, Debug)]
#[command(
    after_help = "It reports to the gateway that RACK_GATEWAY_URL names, with the token of RACK_GATEWAY_TOKEN. A token for nothing else:\n  rack-gateway tokens create office-probe --role ops --grant gateway:vantage:report\nExample:\n  rack-gateway probe-agent --name office --rack-address rack.internal --every 1m"
)]
pub(crate) struct ProbeAgentArguments {
    /// What this vantage point is called at the gateway; the first that reports under a name has it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The rack, HOST or HOST:PORT (443 unless given): nothing but the gateway may reach it
    #[arg(long, value_name = "HOST", value_parser = Place::parse, required_unless_present_any = ["targets", "manifest"])]
    rack_address: Option<Place>,
    /// Something else that must not answer here, HOST:PORT or HOST:PORT=WHAT IT IS; may be given several times
    #[arg(long = "target", value_name = "TARGET", value_parser = target)]
    targets: Vec<Watched>,
    /// A manifest (docs/zone.md), whose gateway and external ports alone may answer at --at
    #[arg(long, value_name = "FILE", requires = "at")]
    manifest: Option<PathBuf>,
    /// The machine that the manifest is looked for at; may be given several times
    #[arg(long, value_name = "HOST", requires = "manifest")]
    at: Vec<String>,
    /// How often: 10s to 1h. Three reports that stay away are an alert
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = interval)]
    every: Duration,
    /// Look and report once: it exits with 1 when something answers
    #[arg(long)]
    once: bool,
}

/// What programs are told of a look.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    looked: usize,
    /// What answers and should not.
    open: Vec<&'a str>,
    /// What could not be looked at.
    unclear: Vec<&'a str>,
    /// What is news of it.
    news: &'a [String],
}

/// Reads `10.0.0.5:5432=the database`.
fn target(text: &str) -> Result<Watched, String> {
    let (place, meaning) = text.split_once('=').unwrap_or((text, "declared as unreachable from here"));
    let is_plain = (1..=300).contains(&meaning.chars().count()) && !meaning.contains(char::is_control);
    if !is_plain {
        return Err("what it is takes 1 to 300 characters".to_owned());
    }
    Ok(Watched { place: Place::parse(place)?, meaning: meaning.to_owned() })
}

fn interval(text: &str) -> Result<Duration, String> {
    let limits = Duration::from_secs(10)..=Duration::from_secs(3600);
    parse_duration(text)
        .filter(|every| limits.contains(every))
        .ok_or_else(|| "10s to 1h, such as 1m".to_owned())
}

/// Runs the agent until it is told to stop.
pub(crate) async fn run(context: &Context, arguments: ProbeAgentArguments) -> Result<ExitCode, Failure> {
    let watched = watched(&arguments)?;
    let remote = Remote::open(context)?;
    if arguments.once {
        let seen = sightings(&watched).await;
        report(context, &remote, &arguments, seen.clone()).await?;
        let is_quiet = seen.iter().all(|one| one.found != Found::Open);
        return Ok(if is_quiet { ExitCode::SUCCESS } else { Exit::Failed.code() });
    }
    let mut signals = StopSignals::listen()?;
    let mut ticks = tokio::time::interval(arguments.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_first = true;
    loop {
        tokio::select! {
            _due = ticks.tick() => {}
            _stop = signals.next() => return Ok(ExitCode::SUCCESS),
        }
        let looked = async { report(context, &remote, &arguments, sightings(&watched).await).await };
        let reported = tokio::select! {
            reported = looked => reported,
            _stop = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        match reported {
            Ok(()) => is_first = false,
            // A token that is no good, or a name that is taken, does not become better by waiting.
            Err(failure) if is_first => return Err(failure),
            Err(failure) => {
                let every = format_duration(arguments.every);
                remark(&format!("not reported, next try in {every}: {failure}"));
            }
        }
    }
}

async fn report(
    context: &Context,
    remote: &Remote,
    arguments: &ProbeAgentArguments,
    sightings: Vec<Sighting>,
) -> Result<(), Failure> {
    let report = VantageReport { every_seconds: arguments.every.as_secs(), sightings };
    let name = &arguments.name;
    let news = remote.ask(async |client| client.report_sightings(name, &report).await).await?;
    let of = |found: Found| {
        let these = report.sightings.iter().filter(move |one| one.found == found);
        these.map(|one| one.target.as_str()).collect::<Vec<_>>()
    };
    let (open, unclear) = (of(Found::Open), of(Found::Unclear));
    let told = Told { name, looked: report.sightings.len(), open, unclear, news: &news };
    context.output.answer(&told, || text(&told))
}

fn text(told: &Told<'_>) -> String {
    let list = |targets: &[&str]| targets.iter().map(|one| one_line(one)).collect::<Vec<_>>().join(", ");
    let mut line = format!("{} targets looked at", told.looked);
    if told.open.is_empty() && told.unclear.is_empty() {
        line.push_str(", none answers");
    }
    if !told.open.is_empty() {
        line.push_str(&format!(", answering: {}", list(&told.open)));
    }
    if !told.unclear.is_empty() {
        line.push_str(&format!(", not looked at: {}", list(&told.unclear)));
    }
    for news in told.news {
        line.push_str(&format!("\nnews: {}", one_line(news)));
    }
    line
}

fn watched(arguments: &ProbeAgentArguments) -> Result<Vec<Watched>, Failure> {
    let rack = arguments.rack_address.iter().map(|place| Watched {
        place: place.clone(),
        meaning: "the rack's API, past the gateway".to_owned(),
    });
    let mut watched: Vec<Watched> = rack.chain(arguments.targets.iter().cloned()).collect();
    if let Some(file) = &arguments.manifest {
        let declared = targets(&manifest(file)?, false);
        for host in &arguments.at {
            // Only a host: the ports are the manifest's.
            if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(Failure::new(Exit::Usage, "--at is a name or an address, without a port"));
            }
            let closed = declared.iter().filter(|one| one.expected == Expected::Closed);
            watched.extend(closed.map(|one| Watched {
                place: Place { host: host.clone(), port: one.port },
                meaning: one.meaning.clone(),
            }));
        }
    }
    Ok(watched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_intervals() {
        let read = target("10.0.0.5:5432=the database").unwrap();
        assert_eq!(
            (read.place.to_string().as_str(), read.meaning.as_str()),
            ("10.0.0.5:5432", "the database")
        );
        assert_eq!(target("[::1]:1").unwrap().place.to_string(), "[::1]:1");
        for bad in ["", "=x", "a:b", "a:1=", "https://a"] {
            assert!(target(bad).is_err(), "{bad}");
        }
        assert_eq!(interval("10s"), Ok(Duration::from_secs(10)));
        for bad in ["9s", "2h", "x"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_look_is_a_line() {
        let mut told = Told { name: "office", looked: 2, open: vec![], unclear: vec![], news: &[] };
        assert_eq!(text(&told), "2 targets looked at, none answers");
        let news = ["rack:443 answers: x".to_owned()];
        (told.open, told.unclear, told.news) = (vec!["rack:443"], vec!["a:1"], &news);
        assert_eq!(
            text(&told),
            "2 targets looked at, answering: rack:443, not looked at: a:1\nnews: rack:443 answers: x"
        );
    }
}
