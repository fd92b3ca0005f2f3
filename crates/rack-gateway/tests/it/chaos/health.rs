//! What a balancer with health checks makes of a gateway that drains, and of one whose database is away.

use std::time::{Duration, Instant};

use gateway_testkit::eventually;
use gateway_testkit::raw::basic;
use tokio::time::interval;

use super::balancers::Balancer;
use super::client::{Answer, exchange};
use super::site::{Instance, Site};

const READ: &str = "/api/v1/rack-proxy/apps";

struct Pair {
    site: Site,
    first: Instance,
    second: Instance,
    balancer: Balancer,
    authorization: String,
}

impl Pair {
    /// Two gateways, both of which have answered.
    async fn start() -> Self {
        let site = Site::on_postgresql().await;
        let (first, second) = (site.instance("first").await, site.instance("second").await);
        let balancer = Balancer::caddy(&[first.addr, second.addr]).await;
        let authorization = basic(&site.token("reader").await.1);
        let pair = Self { site, first, second, balancer, authorization };
        for instance in [&pair.first, &pair.second] {
            eventually("a reply of each", async || pair.is_answered_by(instance).await.then_some(())).await;
        }
        pair
    }

    /// A read over the balancer, which must succeed.
    async fn read(&self) -> Answer {
        let headers = [("Authorization", self.authorization.as_str())];
        let answer = exchange(self.balancer.addr, "GET", READ, &headers, "").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }

    async fn is_answered_by(&self, instance: &Instance) -> bool {
        self.read().await.header("x-instance") == Some(instance.addr.to_string().as_str())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_gateway_gets_no_new_request_and_none_fails() {
    let pair = Pair::start().await;
    pair.first.drain(&pair.site).await;
    eventually("the balancer's word that it drains", async || {
        (pair.first.ask("!/api/v1/health", "").await.status == 503).then_some(())
    })
    .await;
    // The balancer asks four times a second; from then on it sends nothing there, until the end and after it.
    let (began, mut turns, mut last) = (Instant::now(), interval(Duration::from_millis(20)), None);
    while began.elapsed() < Duration::from_secs(5) {
        turns.tick().await;
        if pair.is_answered_by(&pair.first).await {
            last = Some(began.elapsed());
        }
    }
    assert!(last.is_none_or(|last| last < Duration::from_millis(1500)), "a request came after {last:?}");
    pair.first.ended().await;
    pair.second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_degraded_gateway_stays_in() {
    let pair = Pair::start().await;
    let database = pair.first.database.as_ref().unwrap();
    database.away(true);
    let is_degraded = async || {
        let answer = pair.read().await;
        let is_first = answer.header("x-instance") == Some(pair.first.addr.to_string().as_str());
        is_first && answer.header("gateway-mode") == Some("degraded")
    };
    eventually("a reply of the one whose database is away", async || is_degraded().await.then_some(())).await;
    // It goes on being asked, for many turns of the health checks.
    let (began, mut turns, mut count) = (Instant::now(), interval(Duration::from_millis(20)), 0);
    while began.elapsed() < Duration::from_secs(2) {
        turns.tick().await;
        count += usize::from(is_degraded().await);
    }
    assert!(count > 10, "{count} replies in two seconds");
    database.away(false);
    eventually("a gateway that is whole again", async || {
        let ready = pair.first.ask("!/api/v1/health", "").await;
        (ready.status == 200 && ready.header("gateway-mode").is_none()).then_some(())
    })
    .await;
    pair.first.stop().await;
    pair.second.stop().await;
}
