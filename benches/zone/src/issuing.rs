//! How many leaves an authority issues.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use gateway_pki::request;
use gateway_types::{OsEntropy, ZoneMemberId};

use crate::processor::{Done, spent};
use crate::zone::{Zone, now};

/// Leaves of so many threads.
pub(crate) fn rate(zone: &Zone, threads: usize, length: Duration) -> Result<Done> {
    let id = zone.domain.service("wiki")?;
    let member = ZoneMemberId::new(now(), &OsEntropy);
    let (_key, csr) = request::make()?;
    let began = Instant::now();
    let all = std::thread::scope(|scope| {
        let work = || {
            spent(|| {
                let mut count = 0;
                while began.elapsed() < length {
                    zone.issue(&id, member, &csr)?;
                    count += 1;
                }
                Ok(count)
            })
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
            .collect::<Result<Vec<Done>>>()
    })?;
    Ok(Done {
        count: all.iter().map(|one| one.count).sum(),
        took: began.elapsed(),
        processor: all.iter().map(|one| one.processor).sum(),
    })
}
