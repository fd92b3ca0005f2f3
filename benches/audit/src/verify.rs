//! A whole log is checked.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use gateway_audit::LogVerifier;
use gateway_store::Store;

/// Leaves per second.
pub(crate) struct Rates {
    /// Read from the database and checked.
    pub(crate) with_reading: f64,
    /// Checked: each leaf's bytes against its hash, that they are a canonical event, and the tree.
    pub(crate) alone: f64,
}

pub(crate) async fn rates(store: &Store) -> Result<Rates> {
    let audit = store.audit();
    audit.flush().await?;
    let head = audit.head().await?;
    let origin = audit.verifier().name().to_owned();
    let mut verifier = LogVerifier::new(&origin);
    let (began, mut checking, mut next) = (Instant::now(), Duration::ZERO, 0);
    while next < head.size {
        let leaves = store.events().leaves(next, head.size).await?;
        ensure!(!leaves.is_empty(), "the log ends at {next} of {}", head.size);
        let started = Instant::now();
        for leaf in &leaves {
            verifier.entry(leaf.index, &leaf.bytes, &leaf.hash)?;
            next = leaf.index + 1;
        }
        checking += started.elapsed();
    }
    let took = began.elapsed();
    let report = verifier.finish(&head)?;
    let count = report.size as f64;
    Ok(Rates { with_reading: count / took.as_secs_f64(), alone: count / checking.as_secs_f64() })
}
