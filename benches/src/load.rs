//! The driver: connections that repeat one request, as fast as it goes or at a fixed rate.
//!
//! One thread, requests prepared as bytes, replies read only as far as it takes to know where they end. At a fixed
//! rate each reply is measured from the moment at which its request was *due*, whether or not a connection was free
//! then: so a stall counts for everything that would have been sent meanwhile (no coordinated omission).

mod connection;
pub(crate) mod websocket;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use rustls::pki_types::ServerName;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

pub(crate) use connection::Connection;

/// The longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// Where a party is asked, and how.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) method: &'static str,
    /// Whole header lines, without the line ends.
    pub(crate) headers: Vec<String>,
    /// How many bytes go up.
    pub(crate) body_bytes: usize,
    /// Set where TLS is spoken.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// The status that counts as a success.
    pub(crate) status: u16,
}

impl Target {
    fn request(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nhost: localhost:{}\r\n", self.method, self.path, self.port);
        for line in &self.headers {
            text.push_str(line);
            text.push_str("\r\n");
        }
        if self.body_bytes > 0 || self.method == "POST" {
            text.push_str(&format!("content-length: {}\r\n", self.body_bytes));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let name = ServerName::try_from("localhost")?;
        Connection::open(self.port, self.tls.clone().map(|config| (config, name))).await
    }
}

/// What a run of one case at one party measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) latencies_us: Histogram<u64>,
    /// Replies of the wanted status.
    pub(crate) count: u64,
    /// Replies of another one, and broken connections.
    pub(crate) failures: u64,
    pub(crate) elapsed: Duration,
    /// Bytes of bodies that came down.
    pub(crate) bytes_down: u64,
}

impl Measured {
    fn new() -> Result<Self> {
        Ok(Self {
            latencies_us: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
            count: 0,
            failures: 0,
            elapsed: Duration::ZERO,
            bytes_down: 0,
        })
    }

    /// Replies in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The latency that this share of the replies stayed within, in microseconds.
    pub(crate) fn quantile_us(&self, share: f64) -> u64 {
        self.latencies_us.value_at_quantile(share)
    }

    fn note(&mut self, since: Instant, reply: &connection::Reply, wanted: u16) {
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(LONGEST_US);
        self.latencies_us.saturating_record(micros.max(1));
        self.bytes_down += reply.body_bytes;
        if reply.status == wanted { self.count += 1 } else { self.failures += 1 }
    }
}

/// Whether each request has a connection of its own, as a command line has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reuse {
    Kept,
    New,
}

/// Repeats the request over `connections` connections as fast as replies come, for `time`.
pub(crate) async fn as_fast_as_it_goes(
    target: &Target,
    connections: usize,
    reuse: Reuse,
    time: Duration,
) -> Result<Measured> {
    let measured = Rc::new(RefCell::new(Measured::new()?));
    let request: Rc<[u8]> = target.request().into();
    let local = LocalSet::new();
    let mut opened = Vec::new();
    for _ in 0..connections {
        let mut connection = target.connect().await?;
        // The first exchange of a connection warms it up, and shows that the case is what it says.
        let reply = connection.exchange(&request, target.body_bytes).await?;
        if reply.status != target.status {
            bail!("{} {} answered {} instead of {}", target.method, target.path, reply.status, target.status);
        }
        opened.push(connection);
    }
    let begun = Instant::now();
    for mut connection in opened {
        let (measured, request, target) = (measured.clone(), request.clone(), target.clone());
        local.spawn_local(async move {
            while begun.elapsed() < time {
                let since = Instant::now();
                if reuse == Reuse::New {
                    match target.connect().await {
                        Ok(new) => connection = new,
                        Err(_) => {
                            measured.borrow_mut().failures += 1;
                            continue;
                        }
                    }
                }
                match connection.exchange(&request, target.body_bytes).await {
                    Ok(reply) => {
                        measured.borrow_mut().note(since, &reply, target.status);
                        if !reply.keeps_alive && reuse == Reuse::Kept {
                            match target.connect().await {
                                Ok(new) => connection = new,
                                Err(_) => return measured.borrow_mut().failures += 1,
                            }
                        }
                    }
                    Err(_) => {
                        measured.borrow_mut().failures += 1;
                        match target.connect().await {
                            Ok(new) => connection = new,
                            Err(_) => return,
                        }
                    }
                }
            }
        });
    }
    local.await;
    finish(measured, begun)
}

/// Sends `rate` requests a second for `time`, over as many connections as that takes, up to `connections`.
pub(crate) async fn at_rate(
    target: &Target,
    rate: f64,
    connections: usize,
    time: Duration,
) -> Result<Measured> {
    let measured = Rc::new(RefCell::new(Measured::new()?));
    let request: Rc<[u8]> = target.request().into();
    let (due, slots) = mpsc::unbounded_channel::<Instant>();
    let slots = Rc::new(tokio::sync::Mutex::new(slots));
    let local = LocalSet::new();
    let mut opened = Vec::new();
    for _ in 0..connections {
        let mut connection = target.connect().await?;
        connection.exchange(&request, target.body_bytes).await?;
        opened.push(connection);
    }
    let begun = Instant::now();
    let pacer = std::thread::spawn(move || pace(&due, begun, rate, time));
    for mut connection in opened {
        let (measured, request, target, slots) =
            (measured.clone(), request.clone(), target.clone(), slots.clone());
        local.spawn_local(async move {
            loop {
                let Some(since) = slots.lock().await.recv().await else { return };
                match connection.exchange(&request, target.body_bytes).await {
                    Ok(reply) => measured.borrow_mut().note(since, &reply, target.status),
                    Err(_) => {
                        measured.borrow_mut().failures += 1;
                        match target.connect().await {
                            Ok(new) => connection = new,
                            Err(_) => return,
                        }
                    }
                }
            }
        });
    }
    local.await;
    pacer.join().ok().context("the pacer of the load broke off")?;
    finish(measured, begun)
}

/// Tells the moments at which requests are due. A thread of its own, since the timer of the runtime is no finer than
/// a millisecond.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread that does nothing but wait for the next request's moment"
)]
fn pace(due: &mpsc::UnboundedSender<Instant>, begun: Instant, rate: f64, time: Duration) {
    let mut number = 0u64;
    loop {
        let offset = Duration::from_secs_f64(number as f64 / rate);
        if offset >= time {
            return;
        }
        let moment = begun + offset;
        let left = moment.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
        if due.send(moment).is_err() {
            return;
        }
        number += 1;
    }
}

fn finish(measured: Rc<RefCell<Measured>>, begun: Instant) -> Result<Measured> {
    let mut measured =
        Rc::into_inner(measured).context("a connection of the load is still open")?.into_inner();
    measured.elapsed = begun.elapsed();
    Ok(measured)
}
