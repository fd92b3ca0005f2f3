//! Phase 4: how often. One caller's flood must not be everybody's.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::ControlFlow;

use gateway_types::{Layer, Problem, ProblemKind};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::authenticate::Authenticated;
use crate::flow::{Flow, refuse};
use crate::plane::DataPlane;

/// Requests of each credential, counted as a token bucket (GCRA).
#[derive(Debug)]
pub(crate) struct CallerLimits {
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

impl CallerLimits {
    /// `per_second` requests in the long run, `burst` at once; both at least 1.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Forgets callers whose bucket is full again.
    pub(crate) fn tidy(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// Takes one request of this credential; `Err` holds how many seconds to wait, at least 1.
    pub(super) fn take(&self, credential: &String) -> Result<(), u64> {
        self.limiter.check_key(credential).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            wait.as_secs() + 1
        })
    }
}

/// A request within its caller's rate.
#[derive(Debug)]
pub struct Limited(Authenticated);

impl Limited {
    pub(super) fn into_authenticated(self) -> Authenticated {
        self.0
    }
}

/// The bucket of an address: one host of IPv6 has a whole /64 to send from.
pub(super) fn source(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(address) => format!("address {address}"),
        IpAddr::V6(address) => {
            let [one, two, three, four, ..] = address.segments();
            format!("network {one:x}:{two:x}:{three:x}:{four:x}")
        }
    }
}

/// Counts the request: of a credential, or, without one, of the address, whose sign-ins and probes
/// must not be everybody's either.
pub(crate) fn limit(plane: &DataPlane, authenticated: Authenticated) -> Flow<Limited> {
    let caller = &authenticated.caller;
    let whose = caller.principal.credential_id().unwrap_or_else(|| source(caller.source_ip));
    let taken = if plane.parts.settings.rate_limits() { plane.limits.take(&whose) } else { Ok(()) };
    match taken {
        Ok(()) => ControlFlow::Continue(Limited(authenticated)),
        Err(seconds) => {
            let mut problem = Problem::new(
                ProblemKind::TooManyRequests,
                Layer::Network,
                format!("requests of this credential or address come too fast; wait {seconds} s, then go on"),
            );
            problem.retry_after_seconds = Some(seconds);
            refuse(problem)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_one_waits() {
        let limits = CallerLimits::new(1, 3);
        let (one, other) = ("one".to_owned(), "other".to_owned());
        for _ in 0..3 {
            assert_eq!(limits.take(&one), Ok(()));
        }
        assert!(limits.take(&one).is_err_and(|seconds| seconds >= 1));
        assert_eq!(limits.take(&other), Ok(()), "one caller's flood is not another's");
    }
}
