//! Connections that were refused, summed up by who, and why. Bounded: whoever scans must not fill memory or the log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use gateway_types::wire::zone::RefusedConnections;

/// The most kinds that are told apart between two reports.
const MOST: usize = 100;

/// What is counted by itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Kind {
    peer: String,
    claimed: Option<String>,
    reason: String,
}

/// What was refused since the last report.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Kind, u64>>);

impl Refusals {
    /// Counts one. Addresses without port, which differs each time.
    pub(crate) fn note(&self, peer: IpAddr, claimed: Option<String>, reason: &str) {
        let kind = Kind { peer: peer.to_string(), claimed, reason: reason.to_owned() };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !counts.contains_key(&kind);
        let kind = match is_new && counts.len() >= MOST {
            true => Kind { peer: "others".to_owned(), claimed: None, reason: "others".to_owned() },
            false => kind,
        };
        let count = counts.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    /// What there is to report; it is forgotten here.
    pub(crate) fn take(&self) -> Vec<RefusedConnections> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let told = |(kind, count): (Kind, u64)| RefusedConnections {
            peer: kind.peer,
            claimed: kind.claimed,
            reason: kind.reason,
            count,
        };
        counts.into_iter().map(told).collect()
    }

    /// Puts back what could not be reported.
    pub(crate) fn put_back(&self, told: Vec<RefusedConnections>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in told {
            let kind = Kind { peer: one.peer, claimed: one.claimed, reason: one.reason };
            let count = counts.entry(kind).or_default();
            *count = count.saturating_add(one.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_a_few_counts() {
        let refusals = Refusals::default();
        for number in 0..1000u32 {
            refusals.note(IpAddr::from(number.to_be_bytes()), None, "no_tls");
        }
        let told = refusals.take();
        assert_eq!((told.len(), told.iter().map(|one| one.count).sum::<u64>()), (101, 1000));
        refusals.put_back(told.clone());
        refusals.note(IpAddr::from([0, 0, 0, 1]), None, "no_tls");
        assert_eq!(refusals.take().iter().map(|one| one.count).sum::<u64>(), 1001);
        assert!(refusals.take().is_empty());
    }
}
