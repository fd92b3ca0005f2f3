//! A gateway that runs for long holds no more memory than one that has just warmed up.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::interval;

use super::balancers::Balancer;
use super::given;
use super::load::{Load, Pace};
use super::shells::Shell;
use super::site::Site;

/// What the allocator may keep beyond what is needed, whatever the load.
const SLACK_BYTES: u64 = 8 * 1024 * 1024;

/// The middle one of these values.
fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}

/// Whether memory grows: after the first half, in which caches fill, the last quarter holds no more than the one before
/// but for a twentieth and the allocator's slack.
fn grows(samples: &[u64]) -> bool {
    let quarter = samples.len() / 4;
    let (before, after) = (median(&samples[2 * quarter..3 * quarter]), median(&samples[3 * quarter..]));
    after > before + before / 20 + SLACK_BYTES
}

#[test]
fn growth_is_told_from_noise() {
    let mebibytes = |value: u64| value * 1024 * 1024;
    let flat: Vec<u64> = (0..40).map(|at| mebibytes(100 + at % 5)).collect();
    assert!(!grows(&flat));
    let warm: Vec<u64> = (0..40).map(|at| mebibytes(if at < 12 { 60 + at * 3 } else { 100 })).collect();
    assert!(!grows(&warm));
    let leaking: Vec<u64> = (0..40).map(|at| mebibytes(100 + at * 3)).collect();
    assert!(grows(&leaking));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat() {
    let whole = given("RGW_SOAK_MINUTES")
        .map_or(Duration::from_secs(24), |minutes| Duration::from_secs(minutes * 60));
    let site = Site::on_sqlite().await;
    let instance = site.instance("gateway").await;
    let balancer = Balancer::nginx(&[instance.front.addr()]).await;
    let admin = site.token("admin").await.1;
    let pace = Pace { readers: 6, changers: 2, pause: Duration::from_millis(25) };
    let load = Load::start(&site, balancer.addr, pace).await;
    let (began, mut turns, mut samples) = (Instant::now(), interval(whole / 60), Vec::new());
    while began.elapsed() < whole {
        turns.tick().await;
        // Sessions come and go as well.
        let shell = Shell::open(balancer.addr, &admin, &[instance.front.addr()], &[instance.starts]).await;
        assert!(shell.goes_on().await);
        samples.push(instance.resident_bytes());
    }
    let ledger = load.end().await;
    let shown: Vec<u64> = samples.iter().map(|bytes| bytes / (1024 * 1024)).collect();
    let failed = ledger.failed_reads.lock().unwrap().clone();
    println!("{} reads; MiB held: {shown:?}", ledger.reads.load(Ordering::Relaxed));
    assert!(failed.is_empty(), "{failed:?}");
    assert!(!grows(&samples), "MiB held: {shown:?}");
    instance.stop().await;
}
