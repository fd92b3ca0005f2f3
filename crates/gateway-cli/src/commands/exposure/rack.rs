//! `zone probe --rack-address`: whether the rack answers at a place from which only the gateway may reach it. It connects, and
//! sends nothing: no credential is needed, and none can be lost.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::process::ExitCode;

use gateway_client::text::one_line;
use gateway_exposure::{Expected, Target};
use serde::Serialize;

use super::{addresses, look};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::Tone;
use crate::terminal::{Assent, waiting};

/// Where racks answer unless something else is said.
const HTTPS: u16 = 443;

/// Where the rack is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    host: String,
    port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// What a look found.
#[derive(Serialize)]
struct Report {
    host: String,
    port: u16,
    /// Where it was looked.
    addresses: Vec<IpAddr>,
    /// Of these, the ones that take connections.
    answering: Vec<IpAddr>,
}

/// Reads `rack.internal`, `rack.internal:5443`, `10.0.0.1`, `::1` or `[::1]:5443`.
pub(super) fn place(text: &str) -> Result<Place, String> {
    let form = || "the rack is HOST or HOST:PORT, without a scheme and a path".to_owned();
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(form);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(form)?;
            let _is_address: Ipv6Addr = host.parse().map_err(|_bad| form())?;
            let port = match rest.strip_prefix(':') {
                Some(text) => port(text)?,
                None if rest.is_empty() => HTTPS,
                None => return Err(form()),
            };
            (host, port)
        }
        None if text.parse::<Ipv6Addr>().is_ok() => (text, HTTPS),
        None => match text.split_once(':') {
            Some((host, text)) => (host, port(text)?),
            None => (text, HTTPS),
        },
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return Err(form());
    }
    Ok(Place { host: host.to_owned(), port })
}

/// Looks from here. A name that is not found is a failure, not a good sign: nothing was looked at.
pub(super) async fn probe(context: &Context, place: &Place, assent: Assent) -> Result<ExitCode, Failure> {
    let addresses = addresses(&place.host).await?;
    if addresses.is_empty() {
        return Err(Failure::new(Exit::Unreachable, format!("{} has no address", one_line(&place.host))));
    }
    let what = format!("This connects to the rack at {place}, and sends nothing. Look at your own rack only");
    waiting(|| context.terminal.confirm(&what, assent))?;
    let report = report(place, addresses).await;
    context.output.answer(&report, || text(context, place, &report))?;
    Ok(if report.answering.is_empty() { ExitCode::SUCCESS } else { Exit::Failed.code() })
}

async fn report(place: &Place, addresses: Vec<IpAddr>) -> Report {
    let mut answering = Vec::new();
    for address in &addresses {
        let target =
            Target { port: place.port, expected: Expected::Closed, meaning: "the rack's API".to_owned() };
        let looked = look(*address, vec![target]).await;
        if looked.iter().any(|one| one.found != one.expected) {
            answering.push(*address);
        }
    }
    Report { host: place.host.clone(), port: place.port, addresses, answering }
}

fn text(context: &Context, place: &Place, report: &Report) -> String {
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

    #[test]
    fn places_of_racks() {
        for (text, read) in [
            ("rack.internal", "rack.internal:443"),
            ("rack.internal:5443", "rack.internal:5443"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("::1", "[::1]:443"),
            ("[::1]", "[::1]:443"),
            ("[::1]:5443", "[::1]:5443"),
        ] {
            assert_eq!(place(text).unwrap().to_string(), read, "{text}");
        }
        for bad in [
            "",
            ":443",
            "rack:",
            "rack:0",
            "rack:65536",
            "https://rack",
            "rack/apps",
            "user@rack",
            "[::1",
            "[::1]x",
            "[rack]:443",
            "a b",
            "rack:1:2",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_rack_that_answers_here_is_found() {
        let rack = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = IpAddr::from([127, 0, 0, 1]);
        let place = place(&rack.local_addr().unwrap().to_string()).unwrap();
        assert_eq!(report(&place, vec![here]).await.answering, [here]);
        drop(rack);
        assert!(report(&place, vec![here]).await.answering.is_empty());
    }
}
