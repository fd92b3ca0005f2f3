//! How often one caller may ask one service, or one route of it, when its declaration says so.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use gateway_services::{LimitedBy, ServiceRequest};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// What is counted together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Counted {
    service: String,
    route: Arc<str>,
    per_second: NonZeroU32,
}

/// The declared rates.
#[derive(Debug, Default)]
pub(crate) struct ServiceRates {
    limiters: Mutex<HashMap<Counted, Arc<DefaultKeyedRateLimiter<String>>>>,
    clock: DefaultClock,
}

impl ServiceRates {
    /// Takes one request of this caller; `Err` holds how many seconds to wait, at least 1.
    pub(crate) fn take(&self, request: &ServiceRequest, caller: &String) -> Result<(), u64> {
        let Some(per_second) = request.requests_per_second.and_then(NonZeroU32::new) else { return Ok(()) };
        let counted = Counted {
            service: request.service.name.to_string(),
            // The service's own rate is for all its routes together.
            route: match request.limited_by {
                LimitedBy::Service => Arc::from(""),
                LimitedBy::Route => Arc::clone(&request.operation.route),
            },
            per_second,
        };
        let limiter = Arc::clone(
            self.limiters
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(counted)
                .or_insert_with(|| Arc::new(RateLimiter::keyed(Quota::per_second(per_second)))),
        );
        limiter
            .check_key(caller)
            .map_err(|not_until| not_until.wait_time_from(self.clock.now()).as_secs() + 1)
    }

    /// Forgets callers whose bucket is full again, and rates that nobody uses.
    pub(crate) fn tidy(&self) {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, limiter| {
            limiter.retain_recent();
            limiter.shrink_to_fit();
            !limiter.is_empty()
        });
    }
}
