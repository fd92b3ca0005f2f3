//! One whole measurement: parties up, rounds, parties down, report.

mod once;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::RunArguments;
use crate::cases::{self, Case, What, Who};
use crate::load::{self, Measured, Target, websocket};
use crate::party::{self, Database, Gateway, Party, TlsMode};
use crate::report::{self, Run};

/// Everybody who takes part, running.
struct Field {
    parties: BTreeMap<Who, Party>,
    gateways: BTreeMap<Who, Gateway>,
    tls: Arc<rustls::ClientConfig>,
    _certificate: tempfile::TempDir,
}

/// Measures.
pub(crate) async fn run(arguments: &RunArguments) -> Result<()> {
    let wanted = |id: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == id);
    let cases: Vec<Case> = cases::all().into_iter().filter(|case| wanted(case.id)).collect();
    let field = Field::enter(arguments, &cases)?;
    let mut runs: Vec<(Who, Run)> = Vec::new();
    for round in 0..arguments.rounds {
        for case in &cases {
            for who in order(case.who, round) {
                let run = field.measure(case, who, round, &runs, arguments.seconds).await;
                let run = run.with_context(|| format!("{} at {}", case.title, who.title()))?;
                eprintln!(
                    "{:>2}  {:<52} {:<22} {:>9.0}/s  p50 {:>7} µs  p99 {:>7} µs  {:>6.1} µs CPU{}",
                    round + 1,
                    case.title,
                    who.title(),
                    run.rate,
                    run.p50_us,
                    run.p99_us,
                    run.processor_us,
                    if run.failures > 0 { format!("  {} FAILED", run.failures) } else { String::new() },
                );
                runs.push((who, run));
            }
        }
    }
    let fixed = if wanted("once") { once::measure(&field, arguments).await? } else { Vec::new() };
    let summaries = report::summaries(&runs);
    let verdicts = report::verdicts(&summaries, &fixed);
    let text = report::markdown(&once::machine(arguments), &cases, &summaries, &fixed, &verdicts);
    report::write(&arguments.output, &runs, &cases, &text)?;
    println!("{text}");
    println!("raw numbers and plots: {}", arguments.output.display());
    match runs.iter().map(|(_, run)| run.failures).sum::<u64>() {
        0 => Ok(()),
        failures => bail!("{failures} requests failed, so the numbers of their cases do not count"),
    }
}

/// The parties in another order each round, so that nobody always comes after the same one.
fn order(who: &[Who], round: usize) -> Vec<Who> {
    let mut order = who.to_vec();
    order.rotate_left(round % who.len().max(1));
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

impl Field {
    fn enter(arguments: &RunArguments, cases: &[Case]) -> Result<Self> {
        let takes_part = |who: Who| cases.iter().any(|case| case.who.contains(&who));
        let binary = arguments.binary.canonicalize().with_context(|| {
            format!("{} is not there; scripts/bench builds it", arguments.binary.display())
        })?;
        let upstream = party::upstream()?;
        let rack = upstream.port;
        let (certificate, tls, files) = certificate()?;
        let mut field =
            Self { parties: BTreeMap::new(), gateways: BTreeMap::new(), tls, _certificate: certificate };
        field.parties.insert(Who::Direct, upstream);
        for who in Who::ALL.into_iter().filter(|who| takes_part(*who) || *who == Who::Gateway) {
            let party = match who {
                Who::Direct => continue,
                Who::Hop => party::hop(rack)?,
                Who::Nginx => party::nginx(rack, false)?,
                Who::NginxAuth => party::nginx(rack, true)?,
                Who::Caddy => party::caddy(rack)?,
                Who::Gateway
                | Who::GatewayPostgres
                | Who::GatewayTls
                | Who::GatewayTokens
                | Who::GatewayPolicies => {
                    let database = if who == Who::GatewayPostgres {
                        Database::Postgres(once::postgres()?)
                    } else {
                        Database::Sqlite
                    };
                    let gateway = Gateway::seed(&binary, database, rack)?;
                    if who == Who::GatewayTokens {
                        once::add_tokens(gateway.directory(), 1_000_000)?;
                    }
                    if who == Who::GatewayPolicies {
                        once::add_policies(gateway.directory(), 10_000)?;
                    }
                    let tls = if who == Who::GatewayTls { files.clone() } else { TlsMode::Off };
                    let (party, _) = gateway.serve(who.title(), &tls)?;
                    field.gateways.insert(who, gateway);
                    party
                }
            };
            field.parties.insert(who, party);
        }
        Ok(field)
    }

    fn party(&self, who: Who) -> Result<&Party> {
        self.parties.get(&who).with_context(|| format!("{} does not take part", who.title()))
    }

    /// Where and how a case asks a party.
    fn target(&self, case: &Case, who: Who) -> Result<Target> {
        let mut headers = vec!["user-agent: convox.go/3.23.4".to_owned(), "accept: */*".to_owned()];
        if !case.role.is_empty() {
            // Everybody is sent a credential of the same length; the bare proxies pass it on.
            let seeded = &self.gateways.get(&who).or(self.gateways.get(&Who::Gateway));
            headers.push(seeded.context("no gateway was seeded")?.seeded.authorization(case.role)?);
        }
        Ok(Target {
            port: self.party(who)?.port,
            path: case.path_at(who),
            method: case.method,
            headers,
            body_bytes: case.body_bytes,
            tls: (who == Who::GatewayTls).then(|| self.tls.clone()),
            status: if who.is_gateway() { case.gateway_status } else { 200 },
        })
    }

    async fn measure(
        &self,
        case: &Case,
        who: Who,
        round: usize,
        runs: &[(Who, Run)],
        seconds: f64,
    ) -> Result<Run> {
        let (party, target) = (self.party(who)?, self.target(case, who)?);
        let time = Duration::from_secs_f64(seconds);
        let before = party.processor_time();
        let measured: Measured = match case.what {
            What::Throughput => load::as_fast_as_it_goes(&target, case.connections, case.reuse, time).await?,
            What::HalfOf(id) => {
                let full = runs.iter().rev().find(|(other, run)| *other == who && run.case == id);
                let (_, full) = full.with_context(|| format!("the case {id} must be measured first"))?;
                load::at_rate(&target, full.rate / 2.0, case.connections, time).await?
            }
            What::Echo(bytes) => websocket::round_trips(&target, bytes, time).await?,
        };
        let processor = party.processor_time().saturating_sub(before);
        Ok(Run::of(case, who, round, &measured, processor, party.resident_bytes()))
    }
}

/// A certificate for `localhost`, and a client that trusts it and resumes sessions as clients do.
fn certificate() -> Result<(tempfile::TempDir, Arc<rustls::ClientConfig>, TlsMode)> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let directory = tempfile::tempdir()?;
    let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((directory, Arc::new(config), TlsMode::Files(certificate, key)))
}
