//! Events into the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use gateway_store::Store;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::events;

/// How many wait for their commit at the same time.
const WAITING: usize = 512;
/// How many reads are recorded between two looks at the log.
const READS: u64 = 2000;

/// Events per second, each of which somebody waits for.
pub(crate) async fn durable(store: &Arc<Store>, length: Duration) -> Result<f64> {
    let count = Arc::new(AtomicU64::new(0));
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    for _ in 0..WAITING {
        let (store, count) = (Arc::clone(store), Arc::clone(&count));
        tasks.spawn(async move {
            while began.elapsed() < length {
                let number = count.fetch_add(1, Ordering::Relaxed);
                store.audit().append(events::read(number)).await?;
            }
            anyhow::Ok(())
        });
    }
    for done in tasks.join_all().await {
        done?;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

/// Events per second that are written soon and without anybody who waits, as plain reads are.
pub(crate) async fn reads(store: &Store, length: Duration) -> Result<f64> {
    let before = store.audit().head().await?.size;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < length {
        for number in 0..READS {
            store.audit().queue(events::read(number));
        }
        count += READS;
        store.audit().flush().await?;
    }
    let took = began.elapsed().as_secs_f64();
    let written = store.audit().head().await?.size - before;
    ensure!(written >= count, "of {count} reads only {written} are in the log");
    Ok(count as f64 / took)
}

/// How long appends take, in microseconds, at so many per second: counted from when each was due, so that a stall counts for all that
/// it holds up.
pub(crate) async fn latency(store: &Arc<Store>, rate: u32, length: Duration) -> Result<Histogram<u64>> {
    let (began, mut tasks, mut number) = (Instant::now(), JoinSet::new(), 0u32);
    while began.elapsed() < length {
        tokio::time::sleep(Duration::from_millis(1)).await;
        loop {
            let due = began + Duration::from_secs(1) * number / rate.max(1);
            if due > Instant::now() {
                break;
            }
            let store = Arc::clone(store);
            let event = u64::from(number);
            tasks.spawn(async move {
                store.audit().append(events::read(event)).await?;
                anyhow::Ok(due.elapsed())
            });
            number += 1;
        }
    }
    let mut histogram = Histogram::new(3)?;
    for took in tasks.join_all().await {
        histogram.record(u64::try_from(took?.as_micros())?)?;
    }
    Ok(histogram)
}
