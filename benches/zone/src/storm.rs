//! Ten thousand members that renew at once: each makes a new key, shows its leaf in a handshake, and gets the next one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use gateway_pki::peer::Allowed;
use gateway_pki::request;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use serde::Serialize;

use crate::handshakes::{accept, check_peer, connect};
use crate::processor::spent;
use crate::zone::{KeyExchange, LEAF_LIFE, Zone};

/// Members that ask at the same moment; the others wait for their turn.
const TOGETHER: usize = 64;

/// The largest message of either end, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Storm {
    pub(crate) members: usize,
    pub(crate) seconds: f64,
    pub(crate) renewals_per_second: f64,
    /// Of processor time, authority and members together.
    pub(crate) renewals_per_processor_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// What so many members need when they renew at half of their leaves' life, as they do.
    pub(crate) usual_per_second: f64,
}

/// Lets them all renew; authority and members share the cores.
pub(crate) fn run(zone: &Zone, members: usize, cores: usize) -> Result<Storm> {
    let authority = zone.member(zone.domain.gateway())?;
    let settings = zone.server(&authority, KeyExchange::Hybrid)?;
    // They had leaves before.
    let id = zone.domain.service("wiki")?;
    let clients: Vec<Arc<ClientConfig>> = (0..members)
        .map(|_| zone.client(&zone.member(id.clone())?, &authority.id, KeyExchange::Hybrid))
        .collect::<Result<_>>()?;
    let name = ServerName::try_from(authority.id.dns_name())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?;
    let (next, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    let (mut latencies, processor) = std::thread::scope(|scope| -> Result<(Vec<Duration>, Duration)> {
        let serving: Vec<_> = (0..cores.max(2))
            .map(|_| scope.spawn(|| spent(|| serve(zone, &listener, &settings, members, &served))))
            .collect();
        let asking: Vec<_> = (0..TOGETHER.min(members))
            .map(|_| {
                scope.spawn(|| {
                    let mut latencies = Vec::new();
                    let done = spent(|| ask(at, &clients, &name, &next, &mut latencies))?;
                    Ok::<_, anyhow::Error>((latencies, done.processor))
                })
            })
            .collect();
        let (mut latencies, mut processor) = (Vec::with_capacity(members), Duration::ZERO);
        for thread in asking {
            let (took, spent) = thread.join().map_err(|_| anyhow!("a member panicked"))??;
            latencies.extend(took);
            processor += spent;
        }
        // Each thread of the authority waits for one more connection.
        for _ in &serving {
            let _woken = std::net::TcpStream::connect(at);
        }
        for thread in serving {
            processor += thread.join().map_err(|_| anyhow!("the authority panicked"))??.processor;
        }
        Ok((latencies, processor))
    })?;
    let seconds = began.elapsed().as_secs_f64();
    latencies.sort();
    let quantile = |share: usize| {
        let at = latencies.len().saturating_sub(1) * share / 100;
        latencies.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    };
    Ok(Storm {
        members,
        seconds,
        renewals_per_second: latencies.len() as f64 / seconds,
        renewals_per_processor_second: latencies.len() as f64 / processor.as_secs_f64(),
        p50_ms: quantile(50),
        p99_ms: quantile(99),
        usual_per_second: members as f64 / (LEAF_LIFE.as_secs_f64() / 2.0),
    })
}

/// The authority: who it is, is checked; then the next leaf, for the same member.
fn serve(
    zone: &Zone,
    listener: &TcpListener,
    settings: &Arc<ServerConfig>,
    members: usize,
    served: &AtomicUsize,
) -> Result<u32> {
    loop {
        let (stream, _) = listener.accept()?;
        if served.load(Ordering::SeqCst) >= members {
            return Ok(0);
        }
        let mut tls = accept(stream, settings)?;
        let peer = check_peer(&tls, zone, Allowed::Members)?;
        let csr = receive(&mut tls)?;
        let leaf = zone.issue(peer.id(), peer.member(), &csr)?;
        // Before the reply: whoever has it may be the last one.
        served.fetch_add(1, Ordering::SeqCst);
        let chain: Vec<u8> = leaf.chain.iter().flat_map(|one| one.to_vec()).collect();
        send(&mut tls, &chain)?;
    }
}

/// Members, one after the other until all have had their turn; how long each one took, and how many there were.
fn ask(
    at: SocketAddr,
    clients: &[Arc<ClientConfig>],
    name: &ServerName<'static>,
    next: &AtomicUsize,
    latencies: &mut Vec<Duration>,
) -> Result<u32> {
    while let Some(settings) = clients.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = Instant::now();
        let (_key, csr) = request::make()?;
        let mut tls = connect(at, settings, name)?;
        send(&mut tls, &csr)?;
        receive(&mut tls)?;
        latencies.push(began.elapsed());
    }
    Ok(u32::try_from(latencies.len())?)
}

fn send(tls: &mut impl Write, message: &[u8]) -> Result<()> {
    let length = u32::try_from(message.len())?;
    tls.write_all(&length.to_be_bytes())?;
    tls.write_all(message)?;
    Ok(tls.flush()?)
}

fn receive(tls: &mut impl Read) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    tls.read_exact(&mut length).context("a message")?;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    anyhow::ensure!(length <= MOST_BYTES, "a message of {length} bytes");
    let mut message = vec![0; length];
    tls.read_exact(&mut message)?;
    Ok(message)
}
