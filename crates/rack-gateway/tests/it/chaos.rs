//! Three gateways on one PostgreSQL behind a balancer, under a load that never stops, while everything around them
//! breaks. The short scenario is part of the suite; `scripts/chaos` runs the long one (`RGW_CHAOS_SECONDS`), and the
//! long soak (`RGW_SOAK_MINUTES`).

mod away;
mod balancers;
mod client;
mod health;
mod load;
mod shells;
mod site;
mod soak;
mod verdicts;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway_testkit::eventually;
use gateway_testkit::faulty::Reset;
use gateway_testkit::raw::basic;
use tokio::time::interval;

use balancers::Balancer;
use client::exchange;
use load::{Load, Pace};
use shells::{Shell, looks_like_success, says_it_was_not_recorded};
use site::{Instance, Site};
use verdicts::{Seen, events, judge};

const INSTANCES: usize = 3;
const SHELLS: usize = 6;

/// A number that the one who starts the tests gives; the gateway knows nothing of it.
#[expect(clippy::disallowed_methods, reason = "the size of a test run is no setting of the gateway")]
fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// How long a run is.
struct Size {
    /// How long the whole series of events is repeated at least; once in any case.
    whole: Duration,
    /// How long the database stands still.
    pause: Duration,
    /// Rounds of connections that are reset.
    resets: usize,
    pace: Pace,
}

impl Size {
    fn given() -> Self {
        match given("RGW_CHAOS_SECONDS") {
            Some(seconds) => Self {
                whole: Duration::from_secs(seconds),
                pause: Duration::from_secs(30),
                resets: 40,
                pace: Pace { readers: 8, changers: 4, pause: Duration::from_millis(50) },
            },
            None => Self {
                whole: Duration::ZERO,
                pause: Duration::from_secs(5),
                resets: 8,
                pace: Pace { readers: 4, changers: 2, pause: Duration::from_millis(100) },
            },
        }
    }
}

/// The scenario while it runs.
struct Scene {
    site: Site,
    instances: Vec<Instance>,
    balancer: Balancer,
    admin: String,
    shells: Vec<Shell>,
    seen: Seen,
    began: Instant,
}

impl Scene {
    async fn set() -> Self {
        let site = Site::on_postgresql().await;
        let mut instances = Vec::new();
        for number in 0..INSTANCES {
            instances.push(site.instance(&format!("gateway-{number}")).await);
        }
        let fronts: Vec<SocketAddr> = instances.iter().map(|instance| instance.front.addr()).collect();
        let balancer = Balancer::nginx(&fronts).await;
        let admin = site.token("admin").await.1;
        let (shells, seen) = (Vec::new(), Seen::default());
        Self { site, instances, balancer, admin, shells, seen, began: Instant::now() }
    }

    fn say(&self, what: &str) {
        println!("{:>6.1} s  {what}", self.began.elapsed().as_secs_f64());
    }

    /// Opens sessions until there are as many as there should be, and one in each process that serves.
    async fn fill_shells(&mut self) {
        let fronts: Vec<SocketAddr> = self.instances.iter().map(|instance| instance.front.addr()).collect();
        let starts: Vec<usize> = self.instances.iter().map(|instance| instance.starts).collect();
        let holds = |shells: &[Shell], holder| shells.iter().any(|shell| shell.holder == holder);
        while self.shells.len() < SHELLS
            || !starts.iter().enumerate().all(|(number, start)| holds(&self.shells, (number, *start)))
        {
            let shell = Shell::open(self.balancer.addr, &self.admin, &fronts, &starts).await;
            self.shells.push(shell);
        }
    }

    /// Every session goes on after `what`.
    async fn shells_go_on(&mut self, what: &str) {
        self.shells_go_on_but(what, |_| false).await;
    }

    /// The same, but for those that showed why they ended.
    async fn shells_go_on_but(&mut self, what: &str, may_end: impl Fn(&str) -> bool) {
        let mut kept = Vec::new();
        for shell in self.shells.drain(..) {
            if shell.goes_on().await {
                self.seen.kept_sessions += 1;
                kept.push(shell);
                continue;
            }
            let shown = shell.ended().unwrap_or_default();
            if may_end(&shown) {
                self.seen.ended_with_reason += 1;
            } else {
                let last: Vec<&str> = shown.lines().rev().take(3).collect();
                self.seen.lost_sessions.push(format!("one did not outlive {what}: {last:?}"));
            }
        }
        self.shells = kept;
    }

    /// A new token is good on all instances; then it is revoked over the balancer and good on none.
    async fn revoke(&mut self) {
        let (id, secret) = self.site.token("to be revoked").await;
        for instance in &self.instances {
            assert_eq!(instance.ask("/apps", &secret).await.status, 200, "{}", instance.name);
        }
        let path = format!("/api/v1/tokens/{id}");
        let authorization = basic(&self.admin);
        eventually("a revocation that is recorded", async || {
            let headers = [("Authorization", authorization.as_str())];
            let answer = exchange(self.balancer.addr, "DELETE", &path, &headers, "").await;
            // Until the database can be written again it is refused. A balancer may have asked twice.
            match answer {
                Ok(answer) if matches!(answer.status, 200 | 204 | 404 | 409) => Some(()),
                Ok(answer) if answer.status == 503 => None,
                Ok(answer) => panic!("{} {}", answer.status, answer.body),
                Err(_) => None,
            }
        })
        .await;
        let since = Instant::now();
        for instance in &self.instances {
            eventually("a token that is refused", async || {
                (instance.ask("/apps", &secret).await.status == 401).then_some(())
            })
            .await;
        }
        self.seen.revocations.push(since.elapsed());
    }

    async fn take_over_each(&mut self) {
        self.fill_shells().await;
        for number in 0..INSTANCES {
            self.say(&format!("a new process takes over from gateway-{number}"));
            self.instances[number].take_over(&self.site).await;
        }
        self.shells_go_on("a rolling restart").await;
    }

    async fn kill_each(&mut self) {
        for number in 0..INSTANCES {
            self.fill_shells().await;
            self.say(&format!("kill -9 of gateway-{number}"));
            let holder = (number, self.instances[number].starts);
            self.instances[number].kill().await;
            let (theirs, others): (Vec<Shell>, Vec<Shell>) =
                self.shells.drain(..).partition(|shell| shell.holder == holder);
            self.shells = others;
            for shell in theirs {
                let shown = shell.end().await;
                self.seen.killed_sessions += 1;
                if looks_like_success(&shown) {
                    self.seen.false_successes.push(shown);
                }
            }
            self.instances[number].start(&self.site, &[]).await;
            self.shells_go_on("the end of another instance").await;
        }
    }

    async fn restart_database(&mut self) {
        self.fill_shells().await;
        self.say("PostgreSQL restarts");
        self.site.server.as_ref().unwrap().restart().unwrap();
        self.shells_go_on("a restart of the database").await;
    }

    async fn pause_database(&mut self, how_long: Duration) {
        self.fill_shells().await;
        self.say(&format!("PostgreSQL stands still for {} s", how_long.as_secs()));
        let server = self.site.server.as_ref().unwrap();
        server.pause().unwrap();
        tokio::time::sleep(how_long).await;
        server.resume().unwrap();
        // What is not recorded is not shown (`recording = strict`): after some seconds they end, and say so.
        self.shells_go_on_but("a database that stood still", says_it_was_not_recorded).await;
    }

    async fn reset_connections(&mut self, times: usize) {
        self.fill_shells().await;
        self.say(&format!("connections are reset, {times} times each"));
        let mut turns = interval(Duration::from_millis(100));
        for turn in 0..times {
            turns.tick().await;
            let instance = &self.instances[turn % INSTANCES];
            instance.front.reset(Reset::Unanswered);
            if turn % 4 == 0 {
                instance.database.as_ref().unwrap().reset(Reset::All);
            }
        }
        self.shells_go_on("connections that were reset").await;
    }

    /// Each session's end is in the log: of those that are closed now, and of those that were killed.
    async fn end_shells(&mut self) {
        self.shells.clear();
        let store = self.site.store().await;
        eventually("the end of each session in the log", async || {
            let events = events(&store).await;
            let of = |action: &str| events.iter().filter(|event| event.action.as_str() == action).count();
            let ended = of("gateway:recording:end") + of("gateway:recording:cut");
            (of("gateway:recording:begin") == ended).then_some(())
        })
        .await;
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_gateways_keep_their_promises_while_everything_breaks() {
    let size = Size::given();
    let mut scene = Scene::set().await;
    let load = Load::start(&scene.site, scene.balancer.addr, size.pace).await;
    scene.began = Instant::now();
    loop {
        scene.take_over_each().await;
        scene.revoke().await;
        scene.kill_each().await;
        scene.revoke().await;
        scene.restart_database().await;
        scene.revoke().await;
        scene.pause_database(size.pause).await;
        scene.revoke().await;
        scene.reset_connections(size.resets).await;
        scene.revoke().await;
        if scene.began.elapsed() >= size.whole {
            break;
        }
    }
    scene.say("the load ends");
    let ledger = load.end().await;
    scene.end_shells().await;
    for instance in scene.instances.drain(..) {
        instance.stop().await;
    }
    judge(&scene.site, &ledger, scene.seen).await;
}
