//! Which instance of a service takes the next request: shares by weight, instances that fail left out for a
//! while, and how many repeats there may be. Reads no clock; the time and randomness are passed in.

use std::time::Duration;

use gateway_types::Timestamp;

use crate::service::UpstreamAddress;
use crate::standing::{InstanceStanding, InstanceState};

/// Failures without a reply in a row, after which an instance is left out.
const LOST_LIMIT: u32 = 3;

/// Replies with a 5xx in a row, after which an instance is left out.
const ERROR_LIMIT: u32 = 5;

/// How long an instance is left out the first time; each further time twice as long.
const FIRST_EJECTION: Duration = Duration::from_secs(5);

/// The longest time that it is left out, before jitter.
const LONGEST_EJECTION: Duration = Duration::from_secs(300);

/// Failed checks in a row, after which an instance is unhealthy.
const CHECK_LIMIT: u32 = 2;

/// Repeats that may be made at once; each ten requests earn one more.
const REPEATS: u32 = 10;

/// What a request costs and earns, in tenths of a repeat.
const TENTHS: u32 = 10;

/// How a request to an instance failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// No connection, or no reply on it.
    Lost,
    /// A reply with a status 500 to 599.
    Error,
}

/// The instances of one service.
#[derive(Clone, Debug)]
pub struct Balance {
    instances: Vec<Instance>,
    /// Tenths of repeats that may still be made.
    repeats: u32,
}

#[derive(Clone, Debug)]
struct Instance {
    address: UpstreamAddress,
    /// Smooth weighted round robin: grows by the weight, and falls by all weights when it is picked.
    credit: i64,
    lost: u32,
    errors: u32,
    ejections: u32,
    /// Since when, and until when it is left out.
    ejected: Option<(Timestamp, Timestamp)>,
    failed_checks: u32,
    /// When it came, was drained or undrained, or its checks began to fail or to succeed.
    changed: Timestamp,
}

impl Default for Balance {
    fn default() -> Self {
        Self { instances: Vec::new(), repeats: REPEATS * TENTHS }
    }
}

impl Balance {
    /// Takes over the addresses of a declaration. What is known of an address that was there before is kept.
    pub fn declare(&mut self, addresses: &[UpstreamAddress], now: Timestamp) {
        let mut before = std::mem::take(&mut self.instances);
        self.instances = addresses
            .iter()
            .map(|address| match before.iter().position(|instance| instance.is(address)) {
                Some(index) => {
                    let known = before.swap_remove(index);
                    let was_draining = known.address.weight == 0;
                    let changed = if was_draining == (address.weight == 0) { known.changed } else { now };
                    Instance { address: address.clone(), changed, ..known }
                }
                None => Instance::new(address.clone(), now),
            })
            .collect();
    }

    /// How every instance stands, in the order of the declaration.
    pub fn standings(&self, now: Timestamp) -> Vec<InstanceStanding> {
        self.instances.iter().map(|instance| instance.standing(now)).collect()
    }

    /// The instance for the next request of this version that is none of `tried`; `None` when there is none that
    /// takes requests. Instances that are left out or unhealthy come only when there is no other.
    pub fn pick(
        &mut self,
        version: Option<&str>,
        tried: &[UpstreamAddress],
        now: Timestamp,
    ) -> Option<UpstreamAddress> {
        let takes = |instance: &Instance| {
            instance.address.weight > 0
                && (instance.address.version.is_none() || instance.address.version.as_deref() == version)
                && !tried.iter().any(|address| instance.is(address))
        };
        let is_well = |instance: &Instance| takes(instance) && instance.is_well(now);
        match self.first_priority(is_well) {
            Some(first) => self.turn(|instance| is_well(instance) && instance.address.priority == first),
            None => {
                // Never all of them: a service whose every instance fails is still asked.
                let first = self.first_priority(takes)?;
                self.turn(|instance| takes(instance) && instance.address.priority == first)
            }
        }
    }

    /// The lowest number among these instances; `None` when there are none.
    fn first_priority(&self, takes: impl Fn(&Instance) -> bool) -> Option<u16> {
        self.instances.iter().filter(|instance| takes(instance)).map(|one| one.address.priority).min()
    }

    fn turn(&mut self, takes: impl Fn(&Instance) -> bool) -> Option<UpstreamAddress> {
        let mut total = 0;
        let mut best: Option<&mut Instance> = None;
        for instance in self.instances.iter_mut().filter(|instance| takes(instance)) {
            let weight = i64::from(instance.address.weight);
            total += weight;
            instance.credit += weight;
            if best.as_ref().is_none_or(|best| instance.credit > best.credit) {
                best = Some(instance);
            }
        }
        let best = best?;
        best.credit -= total;
        Some(best.address.clone())
    }

    /// An instance answered, with less than 500.
    pub fn succeeded(&mut self, address: &UpstreamAddress, now: Timestamp) {
        if let Some(instance) = self.find(address) {
            instance.lost = 0;
            instance.errors = 0;
            let is_long_ago = |(_, until): (Timestamp, Timestamp)| {
                now.checked_since(until).is_some_and(|since| since >= LONGEST_EJECTION)
            };
            if instance.ejected.is_some_and(is_long_ago) {
                instance.ejected = None;
                instance.ejections = 0;
            }
        }
    }

    /// An instance failed. Returns for how long it is left out from now on, when it is. `jitter` is any random
    /// number: it lengthens the time by up to a fifth, so that instances do not come back all at once.
    pub fn failed(
        &mut self,
        address: &UpstreamAddress,
        failure: Failure,
        now: Timestamp,
        jitter: u32,
    ) -> Option<Duration> {
        let instance = self.find(address)?;
        let (count, limit) = match failure {
            Failure::Lost => (&mut instance.lost, LOST_LIMIT),
            Failure::Error => (&mut instance.errors, ERROR_LIMIT),
        };
        *count += 1;
        // One that was left out before and fails again at once is no better than it was.
        let limit = if instance.ejections > 0 && failure == Failure::Lost { 1 } else { limit };
        if *count < limit || instance.is_ejected(now) {
            return None;
        }
        let doubled = FIRST_EJECTION.saturating_mul(1 << instance.ejections.min(16)).min(LONGEST_EJECTION);
        let length = doubled + doubled / 5 * (jitter % 1000) / 1000;
        instance.ejections += 1;
        instance.lost = 0;
        instance.errors = 0;
        instance.ejected = Some((now, now.saturating_add(length)));
        Some(length)
    }

    /// A health check of an instance ended.
    pub fn checked(&mut self, address: &UpstreamAddress, is_healthy: bool, now: Timestamp) {
        if let Some(instance) = self.find(address) {
            let was_healthy = instance.failed_checks < CHECK_LIMIT;
            instance.failed_checks = if is_healthy { 0 } else { instance.failed_checks.saturating_add(1) };
            if was_healthy != (instance.failed_checks < CHECK_LIMIT) {
                instance.changed = now;
            }
        }
    }

    /// Whether checks say that an instance is well; also while there was none.
    pub fn is_healthy(&self, address: &UpstreamAddress) -> bool {
        self.instances
            .iter()
            .find(|instance| instance.is(address))
            .is_none_or(|instance| instance.failed_checks < CHECK_LIMIT)
    }

    /// Notes a request: it earns a tenth of a repeat.
    pub fn asked(&mut self) {
        self.repeats = (self.repeats + 1).min(REPEATS * TENTHS);
    }

    /// Takes one repeat; false when there were too many, so that repeats never become the load that breaks what is
    /// left.
    pub fn may_repeat(&mut self) -> bool {
        match self.repeats.checked_sub(TENTHS) {
            Some(left) => {
                self.repeats = left;
                true
            }
            None => false,
        }
    }

    fn find(&mut self, address: &UpstreamAddress) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|instance| instance.is(address))
    }
}

impl Instance {
    fn new(address: UpstreamAddress, now: Timestamp) -> Self {
        Self {
            address,
            credit: 0,
            lost: 0,
            errors: 0,
            ejections: 0,
            ejected: None,
            failed_checks: 0,
            changed: now,
        }
    }

    /// The first reason that there is to leave it out, as [`Balance::pick`] looks at them.
    fn standing(&self, now: Timestamp) -> InstanceStanding {
        let ejected = self.ejected.filter(|_| self.is_ejected(now));
        let (state, since) = match ejected {
            _ if self.address.weight == 0 => (InstanceState::Draining, self.changed),
            Some((since, until)) => (InstanceState::Ejected { until }, since),
            None if self.failed_checks >= CHECK_LIMIT => (InstanceState::Unhealthy, self.changed),
            None => {
                // An ejection that is over ended by itself.
                let ended = self.ejected.map(|(_, until)| until).filter(|until| *until <= now);
                (InstanceState::Healthy, ended.map_or(self.changed, |ended| ended.max(self.changed)))
            }
        };
        InstanceStanding { address: self.address.clone(), state, since: Some(since) }
    }

    /// Whether it is the same place; its share may have changed.
    fn is(&self, other: &UpstreamAddress) -> bool {
        let one = &self.address;
        (one.secure, one.port, &one.host, &one.version)
            == (other.secure, other.port, &other.host, &other.version)
    }

    /// A clock that was moved back ends an ejection: it would last too long otherwise.
    fn is_ejected(&self, now: Timestamp) -> bool {
        self.ejected.is_some_and(|(since, until)| since <= now && now < until)
    }

    fn is_well(&self, now: Timestamp) -> bool {
        self.failed_checks < CHECK_LIMIT && !self.is_ejected(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, weight: u32, version: Option<&str>) -> UpstreamAddress {
        UpstreamAddress {
            secure: false,
            host: host.to_owned(),
            port: 80,
            weight,
            priority: 0,
            version: version.map(str::to_owned),
        }
    }

    fn balance(addresses: &[UpstreamAddress]) -> Balance {
        let mut balance = Balance::default();
        balance.declare(addresses, at(0));
        balance
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn turns(balance: &mut Balance, version: Option<&str>, count: usize, now: Timestamp) -> String {
        (0..count).map(|_| balance.pick(version, &[], now).map_or("-".to_owned(), |one| one.host)).collect()
    }

    #[test]
    fn shares_follow_weights_and_are_spread_out() {
        let check = |weights: &[(&str, u32)], expected: &str| {
            let addresses: Vec<_> =
                weights.iter().map(|(host, weight)| address(host, *weight, None)).collect();
            let told = turns(&mut balance(&addresses), None, expected.len(), at(0));
            assert_eq!(told, expected, "{weights:?}");
        };
        check(&[("a", 1)], "aaa");
        check(&[("a", 1), ("b", 1)], "abab");
        check(&[("a", 5), ("b", 1), ("c", 1)], "aabacaa");
        check(&[("a", 3), ("b", 0)], "aaaa");
        check(&[("a", 0)], "-");
        check(&[], "-");
    }

    #[test]
    fn a_later_priority_waits_until_no_earlier_one_is_well() {
        let of = |host: &str, priority: u16| UpstreamAddress { priority, ..address(host, 1, None) };
        let (a, b, c) = (of("a", 10), of("b", 10), of("c", 20));
        let mut all = balance(&[c.clone(), a.clone(), b.clone()]);
        assert_eq!(turns(&mut all, None, 4, at(0)), "abab");
        for _ in 0..3 {
            all.failed(&a, Failure::Lost, at(0), 0);
        }
        assert_eq!(turns(&mut all, None, 3, at(1)), "bbb");
        assert_eq!(all.pick(None, std::slice::from_ref(&b), at(1)), Some(c.clone()), "for a repeat too");
        for _ in 0..3 {
            all.failed(&b, Failure::Lost, at(1), 0);
        }
        assert_eq!(turns(&mut all, None, 3, at(2)), "ccc");
        assert!(!turns(&mut all, None, 4, at(9)).contains('c'), "the earlier ones are back");
        for _ in 0..2 {
            all.checked(&a, false, at(9));
            all.checked(&b, false, at(9));
            all.checked(&c, false, at(9));
        }
        assert!(!turns(&mut all, None, 4, at(9)).contains('c'), "nobody is well: the first are asked");
    }

    #[test]
    fn versions_have_instances_of_their_own() {
        let mut both =
            balance(&[address("a", 1, Some("v1")), address("b", 1, Some("v2")), address("c", 1, None)]);
        assert_eq!(turns(&mut both, Some("v1"), 4, at(0)), "acac");
        assert_eq!(turns(&mut both, Some("v2"), 2, at(0)), "bc");
        assert_eq!(turns(&mut both, None, 2, at(0)), "cc");
        let tried = [address("a", 9, Some("v1")), address("c", 1, None)];
        assert_eq!(both.pick(Some("v1"), &tried, at(0)), None);
    }

    #[test]
    fn failures_in_a_row_leave_an_instance_out_for_a_growing_time() {
        let (a, b) = (address("a", 1, None), address("b", 1, None));
        let mut both = balance(&[a.clone(), b.clone()]);
        assert_eq!(both.failed(&a, Failure::Lost, at(0), 0), None);
        both.succeeded(&a, at(0));
        assert_eq!(both.failed(&a, Failure::Lost, at(0), 0), None);
        assert_eq!(both.failed(&a, Failure::Lost, at(0), 0), None);
        assert_eq!(both.failed(&a, Failure::Lost, at(0), 0), Some(Duration::from_secs(5)));
        assert_eq!(turns(&mut both, None, 4, at(4)), "bbbb");
        assert!(turns(&mut both, None, 4, at(5)).contains('a'));
        assert_eq!(both.failed(&a, Failure::Lost, at(5), 999), Some(Duration::from_micros(11_998_000)));
        assert_eq!(both.failed(&a, Failure::Lost, at(17), 0), Some(Duration::from_secs(20)));
        for _ in 0..30 {
            both.failed(&a, Failure::Lost, at(100_000), 0);
            both.declare(&[a.clone(), b.clone()], at(100_000));
        }
        both.succeeded(&a, at(200_000));
        assert_eq!(both.failed(&a, Failure::Lost, at(200_000), 0), None, "long ago is forgotten");
    }

    #[test]
    fn errors_count_apart_and_never_all_are_left_out() {
        let (a, b) = (address("a", 1, None), address("b", 1, None));
        let mut both = balance(&[a.clone(), b.clone()]);
        for one in [&a, &b] {
            for _ in 0..4 {
                assert_eq!(both.failed(one, Failure::Error, at(0), 0), None);
            }
            assert!(both.failed(one, Failure::Error, at(0), 0).is_some());
        }
        assert_eq!(turns(&mut both, None, 4, at(1)).matches('a').count(), 2);
        assert_eq!(turns(&mut both, None, 1, at(-10)).len(), 1, "a clock that was moved back");
    }

    #[test]
    fn checks_and_reloads_are_remembered() {
        let (a, b) = (address("a", 1, None), address("b", 1, None));
        let mut both = balance(&[a.clone(), b.clone()]);
        both.checked(&a, false, at(0));
        assert!(both.is_healthy(&a));
        both.checked(&a, false, at(0));
        assert!(!both.is_healthy(&a));
        both.declare(&[b, address("a", 7, None), address("c", 1, None)], at(0));
        assert_eq!(turns(&mut both, None, 4, at(0)), "bcbc");
        both.checked(&a, true, at(0));
        assert!(turns(&mut both, None, 4, at(0)).contains('a'));
    }

    #[test]
    fn repeats_are_budgeted() {
        let mut one = balance(&[address("a", 1, None)]);
        assert_eq!((0..50).filter(|_| one.may_repeat()).count(), 10);
        (0..20).for_each(|_| one.asked());
        assert_eq!((0..50).filter(|_| one.may_repeat()).count(), 2);
    }

    #[test]
    fn how_instances_stand_is_told_with_the_time() {
        let (a, b, c) = (address("a", 1, None), address("b", 1, None), address("c", 0, None));
        let mut all = balance(&[a.clone(), b.clone(), c.clone()]);
        let told = |all: &Balance, now: i64| -> Vec<(InstanceState, Option<i64>)> {
            let seconds = |since: Timestamp| since.micros() / 1_000_000;
            all.standings(at(now)).iter().map(|one| (one.state, one.since.map(seconds))).collect()
        };
        let (healthy, draining) = (InstanceState::Healthy, InstanceState::Draining);
        assert_eq!(told(&all, 1), [(healthy, Some(0)), (healthy, Some(0)), (draining, Some(0))]);
        for _ in 0..3 {
            all.failed(&a, Failure::Lost, at(10), 0);
        }
        all.checked(&b, false, at(11));
        assert_eq!(told(&all, 12)[1], (healthy, Some(0)), "once is no habit");
        all.checked(&b, false, at(12));
        let ejected = InstanceState::Ejected { until: at(15) };
        let unhealthy = InstanceState::Unhealthy;
        assert_eq!(told(&all, 14), [(ejected, Some(10)), (unhealthy, Some(12)), (draining, Some(0))]);
        assert_eq!(told(&all, 16)[0], (healthy, Some(15)), "an ejection ends by itself");
        all.checked(&b, false, at(17));
        all.checked(&b, true, at(18));
        assert_eq!(told(&all, 20)[1], (healthy, Some(18)));
        // Drained by a change of the declaration, and taken back.
        all.declare(&[address("a", 0, None), b.clone(), address("c", 2, None)], at(30));
        assert_eq!(told(&all, 31), [(draining, Some(30)), (healthy, Some(18)), (healthy, Some(30))]);
        all.declare(&[address("a", 0, None), b, address("c", 3, None)], at(40));
        assert_eq!(told(&all, 41), [(draining, Some(30)), (healthy, Some(18)), (healthy, Some(30))]);
    }
}
