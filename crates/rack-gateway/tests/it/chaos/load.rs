//! The load: people and machines who read, change and sign in through a balancer, without a pause and without knowing
//! what happens behind it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_testkit::raw::basic;
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};

use super::client::{Answer, exchange};
use super::site::{PERSON, Site};

/// Starts a process in the rack: a change whose command tells it from all others.
const CHANGE: &str = "/api/v1/rack-proxy/apps/other/services/web/processes";
const READS: [&str; 2] = ["/api/v1/rack-proxy/apps", "/api/v1/rack-proxy/apps/myapp"];

/// What became of the load.
#[derive(Debug)]
pub(super) struct Ledger {
    began: Instant,
    pub(super) reads: AtomicUsize,
    pub(super) failed_reads: Mutex<Vec<String>>,
    /// The slowest answered read.
    pub(super) slowest_read: Mutex<Duration>,
    pub(super) asked_changes: AtomicUsize,
    /// What those changes are known by that were answered with success.
    pub(super) answered_changes: Mutex<Vec<String>>,
    /// Answers to changes and sign-ins that are neither success nor one of the refusals that an outage explains.
    pub(super) odd: Mutex<Vec<String>>,
    pub(super) sign_ins: AtomicUsize,
    pub(super) repeated_sign_ins: AtomicUsize,
    /// What stopped the last sign-in that had to begin again.
    pub(super) stopped_sign_in: Mutex<Vec<String>>,
}

impl Ledger {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            reads: AtomicUsize::default(),
            failed_reads: Mutex::default(),
            slowest_read: Mutex::default(),
            asked_changes: AtomicUsize::default(),
            answered_changes: Mutex::default(),
            odd: Mutex::default(),
            sign_ins: AtomicUsize::default(),
            repeated_sign_ins: AtomicUsize::default(),
            stopped_sign_in: Mutex::default(),
        }
    }

    fn note(&self, list: &Mutex<Vec<String>>, what: &str, answer: &Result<Answer, String>) {
        let answer = match answer {
            Ok(answer) => format!("{} {}", answer.status, answer.body.trim()),
            Err(broken) => broken.clone(),
        };
        list.lock().unwrap().push(format!("{:.1} s: {what}: {answer}", self.began.elapsed().as_secs_f64()));
    }
}

/// How much is asked.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) readers: usize,
    pub(super) changers: usize,
    /// Between two requests of one of them.
    pub(super) pause: Duration,
}

/// The clients.
pub(super) struct Load {
    pub(super) ledger: Arc<Ledger>,
    clients: JoinSet<()>,
    done: Arc<AtomicBool>,
}

/// One of them.
#[derive(Clone)]
struct Client {
    balancer: SocketAddr,
    ledger: Arc<Ledger>,
    done: Arc<AtomicBool>,
    pause: Duration,
}

/// The turns of a client, until the load ends.
struct Turns {
    every: Interval,
    done: Arc<AtomicBool>,
    number: usize,
}

impl Turns {
    async fn next(&mut self) -> Option<usize> {
        self.every.tick().await;
        self.number += 1;
        (!self.done.load(Ordering::Relaxed)).then_some(self.number)
    }
}

impl Load {
    /// Half of the readers have tokens, the others sessions.
    pub(super) async fn start(site: &Site, balancer: SocketAddr, pace: Pace) -> Self {
        let (ledger, done) = (Arc::new(Ledger::new()), Arc::<AtomicBool>::default());
        let client = Client { balancer, ledger: ledger.clone(), done: done.clone(), pause: pace.pause };
        let mut clients = JoinSet::new();
        for number in 0..pace.readers {
            let credential = match number % 2 {
                0 => site.token(&format!("reader-{number}")).await.1,
                _ => site.session().await,
            };
            clients.spawn(client.clone().read(basic(&credential)));
        }
        for number in 0..pace.changers {
            let name = format!("changer-{number}");
            let token = site.token(&name).await.1;
            clients.spawn(client.clone().change(basic(&token), name));
        }
        clients.spawn(client.sign_in(site.provider.addr()));
        Self { ledger, clients, done }
    }

    /// Ends it after what is under way.
    pub(super) async fn end(mut self) -> Arc<Ledger> {
        self.done.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.unwrap();
        }
        self.ledger
    }
}

impl Client {
    fn turns(&self, every: Duration) -> Turns {
        Turns { every: interval(every), done: self.done.clone(), number: 0 }
    }

    async fn read(self, authorization: String) {
        let mut turns = self.turns(self.pause);
        while let Some(number) = turns.next().await {
            let (path, begun) = (READS[number % READS.len()], Instant::now());
            let answer = exchange(self.balancer, "GET", path, &[("Authorization", &authorization)], "").await;
            match &answer {
                Ok(reply) if reply.status == 200 => {
                    self.ledger.reads.fetch_add(1, Ordering::Relaxed);
                    let mut slowest = self.ledger.slowest_read.lock().unwrap();
                    *slowest = begun.elapsed().max(*slowest);
                }
                _ => self.ledger.note(&self.ledger.failed_reads, path, &answer),
            }
        }
    }

    async fn change(self, authorization: String, name: String) {
        let mut turns = self.turns(self.pause);
        while let Some(number) = turns.next().await {
            let unique = format!("{name}-{number}");
            let command = format!("echo {unique}");
            let headers = [("Authorization", authorization.as_str()), ("Command", &command)];
            self.ledger.asked_changes.fetch_add(1, Ordering::Relaxed);
            let answer = exchange(self.balancer, "POST", CHANGE, &headers, "").await;
            match &answer {
                Ok(reply) if reply.status == 200 => self.ledger.answered_changes.lock().unwrap().push(unique),
                Ok(reply) if !matches!(reply.status, 502..=504) => {
                    self.ledger.note(&self.ledger.odd, "a change", &answer);
                }
                // Nobody knows whether it was done; the log does.
                _ => {}
            }
        }
    }

    async fn sign_in(self, provider: SocketAddr) {
        let mut turns = self.turns(Duration::from_millis(400));
        while turns.next().await.is_some() {
            let Err(answer) = self.signed_in(provider).await else {
                self.ledger.sign_ins.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            self.ledger.repeated_sign_ins.fetch_add(1, Ordering::Relaxed);
            self.ledger.stopped_sign_in.lock().unwrap().clear();
            self.ledger.note(&self.ledger.stopped_sign_in, "a sign-in", &answer);
            if answer.as_ref().is_ok_and(|reply| reply.status == 500) {
                self.ledger.note(&self.ledger.odd, "a sign-in", &answer);
            }
        }
    }

    /// A whole sign-in, each step of which may come to another instance; the answer that stopped it.
    async fn signed_in(&self, provider: SocketAddr) -> Result<(), Result<Answer, String>> {
        let browser = [("Accept", "text/html"), ("Sec-Fetch-Site", "none")];
        let begun = located(exchange(self.balancer, "GET", "/auth/login?provider=dev", &browser, "").await)?;
        let cookies: Vec<&str> =
            begun.all("set-cookie").filter_map(|cookie| cookie.split(';').next()).collect();
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let person = format!("person={}", PERSON.replace('@', "%40"));
        let place = path_of(begun.header("location").unwrap_or_default());
        let chosen = located(exchange(provider, "POST", place, &form, &person).await)?;
        let back = path_of(chosen.header("location").unwrap_or_default());
        let cookies = cookies.join("; ");
        let browser = [("Accept", "text/html"), ("Sec-Fetch-Site", "none"), ("Cookie", &cookies)];
        let done = located(exchange(self.balancer, "GET", back, &browser, "").await)?;
        let is_session = |cookie: &str| cookie.starts_with(gateway_app::cookies::SESSION);
        if done.all("set-cookie").any(is_session) { Ok(()) } else { Err(Ok(done)) }
    }
}

fn located(answer: Result<Answer, String>) -> Result<Answer, Result<Answer, String>> {
    match answer {
        Ok(answer) if answer.header("location").is_some() => Ok(answer),
        other => Err(other),
    }
}

/// Path and query of an address.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |start| &rest[start..])
}
