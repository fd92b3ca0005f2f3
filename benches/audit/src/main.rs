//! Measures the audit log beside a plain batched INSERT of the same rows, on SQLite and on PostgreSQL, in one run: how many events it
//! takes durably, how long one waits, and how fast a whole log is checked.
//!
//! It links the store alone: no HTTP, so that what is compared is what both write. Start reading at [`run`].

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that counts and prints"
)]

mod events;
mod ingest;
mod place;
mod plain;
mod report;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use place::{Engine, Place};
use report::{Bound, Figure, Report};

/// Measures the audit log beside a plain batched INSERT
#[derive(Parser)]
struct Arguments {
    /// How often each figure is measured; the table shows medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Events per second of the measurement of latency
    #[arg(long, default_value_t = 5000)]
    rate: u32,
    /// Where table and raw numbers go
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

/// What one round measured on one database.
#[derive(Default)]
struct Rounds {
    plain: Vec<f64>,
    durable: Vec<f64>,
    reads: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    read_and_verified: Vec<f64>,
    verified: Vec<f64>,
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(&Arguments::parse()))
}

async fn run(arguments: &Arguments) -> Result<()> {
    let length = Duration::from_secs(arguments.seconds.max(1));
    let rounds = arguments.rounds.max(1);
    let mut report = Report::new(rounds, length);
    let mut measured = Engine::BOTH.map(|engine| (engine, Rounds::default()));
    for round in 1..=rounds {
        // One after the other, so that whatever else the machine does at a time meets all of them.
        for (engine, into) in &mut measured {
            eprintln!("{}, round {round} of {rounds}", engine.name());
            into.measure(*engine, length, arguments.rate).await?;
        }
    }
    for (engine, rounds) in &measured {
        rounds.tell(*engine, arguments.rate, &mut report);
    }
    report.write(&arguments.output)
}

impl Rounds {
    async fn measure(&mut self, engine: Engine, length: Duration, rate: u32) -> Result<()> {
        let place = Place::new(engine)?;
        self.plain.push(plain::rate(&place, length).await?);
        place.settle()?;
        let own = Place::new(engine)?;
        let store = own.open().await?;
        // First, while nothing else is still being put in its place by the database.
        let latency = ingest::latency(&store, rate, length).await?;
        self.p50_ms.push(latency.value_at_quantile(0.5) as f64 / 1000.0);
        self.p99_ms.push(latency.value_at_quantile(0.99) as f64 / 1000.0);
        self.durable.push(ingest::durable(&store, length).await?);
        self.reads.push(ingest::reads(&store, length).await?);
        let checked = verify::rates(&store).await?;
        self.read_and_verified.push(checked.with_reading);
        self.verified.push(checked.alone);
        store.audit().close().await?;
        Ok(())
    }

    fn tell(&self, engine: Engine, rate: u32, report: &mut Report) {
        let plain = median(&self.plain);
        let mut add = |figure: Figure| report.add(figure.on(engine.name()));
        add(Figure::rate("plain INSERT of 256 rows in each transaction", plain));
        let durable = Figure::rate("durable events, 512 wait at the same time", median(&self.durable));
        add(durable.beside(plain).bounded(Bound::AtLeast(20_000.0)));
        add(Figure::rate("reads, for which nobody waits", median(&self.reads)).beside(plain));
        add(Figure::milliseconds(&format!("append at {rate}/s, p50"), median(&self.p50_ms)));
        let p99 = Figure::milliseconds(&format!("append at {rate}/s, p99"), median(&self.p99_ms));
        add(p99.bounded(Bound::AtMost(10.0)));
        add(Figure::rate("leaves read and verified", median(&self.read_and_verified)));
        let verified = Figure::rate("leaves verified", median(&self.verified));
        add(verified.bounded(Bound::AtLeast(200_000.0)));
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
