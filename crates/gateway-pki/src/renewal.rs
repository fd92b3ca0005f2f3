//! When a member renews its leaf: at half of its life, with jitter, and sooner when its issuer is tainted. A member
//! that cannot reach the authority tries again, and its leaf holds meanwhile.

use std::time::Duration;

use gateway_types::{Entropy, Timestamp};

/// When to renew a leaf of these dates: between 0.45 and 0.55 of its life, so that members that enrolled together do
/// not renew together.
pub fn due(not_before: Timestamp, not_after: Timestamp, entropy: &dyn Entropy) -> Timestamp {
    let life = not_after.checked_since(not_before).unwrap_or_default();
    let mut random = [0u8; 2];
    entropy.fill(&mut random);
    let jitter = u32::from(u16::from_le_bytes(random)) % 101;
    // In thousandths of the life: 450 to 550.
    not_before.saturating_add(life.saturating_mul(450 + jitter) / 1000)
}

/// How long to wait after `failures` failures in a row: doubling from a fiftieth of the life, at most a tenth of it, so
/// that there are several tries before the end however short the life is.
pub fn retry(life: Duration, failures: u32) -> Duration {
    let first = (life / 50).max(Duration::from_millis(100));
    first.saturating_mul(1 << failures.min(8)).min((life / 10).max(first))
}

/// Whether less than a third of the life is left: what is told as a warning.
pub fn is_late(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> bool {
    let life = not_after.checked_since(not_before).unwrap_or_default();
    not_after.checked_since(now).unwrap_or_default() < life / 3
}

#[cfg(test)]
mod tests {
    use gateway_types::OsEntropy;

    use super::*;

    #[test]
    fn renewal_is_near_half_life_and_spread() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let times: Vec<i64> = (0..500)
            .map(|_| due(at(1000), at(1000 + 3600), &OsEntropy).micros() / 1_000_000 - 1000)
            .collect();
        assert!(times.iter().all(|time| (1620..=1980).contains(time)));
        assert!(times.iter().min().unwrap() + 200 < *times.iter().max().unwrap(), "they are not spread");
        assert!(!is_late(at(0), at(3600), at(2400)) && is_late(at(0), at(3600), at(2401)));
    }

    #[test]
    fn there_are_several_tries_before_the_end() {
        for life in [5, 60, 3600, 24 * 3600] {
            let life = Duration::from_secs(life);
            let spent: Duration = (0..5).map(|failures| retry(life, failures)).sum();
            assert!(spent < life / 2, "{life:?}: {spent:?}");
        }
    }
}
