//! Measures the trust zone beside openssl, in one run: how many leaves an authority issues, how many handshakes two members make, and
//! what it takes when ten thousand members renew at once.
//!
//! It links `gateway-pki` alone: no database and no HTTP, so that what is compared is what both do. Start reading at [`run`].

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that counts and prints"
)]

mod handshakes;
mod issuing;
mod openssl;
mod processor;
mod report;
mod storm;
mod zone;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use processor::Done;
use report::{Figure, Rates, Report};
use zone::{KeyExchange, Zone};

/// Measures the trust zone beside openssl
#[derive(Parser)]
struct Arguments {
    /// How often each rate is measured; the table shows medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Members that renew at once
    #[arg(long, default_value_t = 10_000)]
    members: usize,
    /// Where table and raw numbers go
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

fn main() -> Result<()> {
    run(&Arguments::parse())
}

/// What was measured in each round.
#[derive(Default)]
struct Rounds {
    signs: Vec<f64>,
    verifies: Vec<f64>,
    alone: Vec<Done>,
    together: Vec<Done>,
    reference: Vec<Done>,
    classical: Vec<Done>,
    hybrid: Vec<Done>,
}

impl Rounds {
    /// One after the other, so that whatever else the machine does at a time meets all of them.
    fn measure(&mut self, zone: &Zone, cores: usize, length: Duration) -> Result<()> {
        let speed = openssl::speed(length)?;
        self.signs.push(speed.signs);
        self.verifies.push(speed.verifies);
        self.alone.push(issuing::rate(zone, 1, length)?);
        self.together.push(issuing::rate(zone, cores, length)?);
        self.reference.push(openssl::handshakes(zone, length)?);
        self.classical.push(handshakes::rate(zone, KeyExchange::Classical, length)?);
        self.hybrid.push(handshakes::rate(zone, KeyExchange::Hybrid, length)?);
        Ok(())
    }

    fn tell(&self, report: &mut Report) {
        const OWN: &str = "gateway-pki";
        let (signs, verifies) = (median(self.signs.iter()), median(self.verifies.iter()));
        report.add(Figure::of_processor("ECDSA P-256 sign", "openssl speed", signs));
        report.add(Figure::of_processor("ECDSA P-256 verify", "openssl speed", verifies));
        // What no authority can do without: one signature, and the check of the request's own.
        let bound = 1.0 / (1.0 / signs + 1.0 / verifies);
        report.add(Figure::of_processor("one sign and one verify", "openssl, computed", bound));
        report.add(Figure::of("leaves issued, one thread", OWN, medians(&self.alone)).beside(bound));
        let together = Figure::of("leaves issued, a thread per core", OWN, medians(&self.together));
        report.add(together.beside(bound));
        let reference = medians(&self.reference);
        let name = "full handshakes of TLS 1.3, both ends show a certificate, X25519";
        report.add(Figure::of(name, "openssl s_time, s_server", reference));
        let reference = reference.per_processor_second;
        let name = "the same between two members, peers checked, X25519";
        report.add(Figure::of(name, OWN, medians(&self.classical)).beside(reference));
        let name = "the same as the zone has it, X25519MLKEM768";
        report.add(Figure::of(name, OWN, medians(&self.hybrid)).beside(reference));
    }
}

fn medians(rounds: &[Done]) -> Rates {
    let per_second: Vec<f64> = rounds.iter().map(Done::per_second).collect();
    let per_processor_second: Vec<f64> = rounds.iter().map(Done::per_processor_second).collect();
    Rates { per_second: median(per_second.iter()), per_processor_second: median(per_processor_second.iter()) }
}

fn median<'a>(rates: impl Iterator<Item = &'a f64>) -> f64 {
    let mut sorted: Vec<f64> = rates.copied().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn run(arguments: &Arguments) -> Result<()> {
    let length = Duration::from_secs(arguments.seconds.max(1));
    let cores = std::thread::available_parallelism()?.get();
    let zone = Zone::make()?;
    let rounds = arguments.rounds.max(1);
    let mut measured = Rounds::default();
    for round in 1..=rounds {
        eprintln!("rates, round {round} of {rounds}");
        measured.measure(&zone, cores, length)?;
    }
    let mut report = Report::new(openssl::version()?, cores, rounds, length);
    measured.tell(&mut report);
    eprintln!("{} members renew at once", arguments.members);
    report.storm(storm::run(&zone, arguments.members, cores)?);
    report.write(&arguments.output)
}
