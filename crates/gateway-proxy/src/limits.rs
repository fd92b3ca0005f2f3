//! How often, and how much at once: the limits of addresses and callers.
//!
//! It knows neither requests nor problems; the phases [`crate::phases::admit`] and [`crate::phases::limit`] turn
//! what is said here into replies. Rates are token buckets (GCRA) on the gateway's clock. They are its own,
//! since none of the libraries can be charged for what another instance counted.

mod buckets;
mod open;
mod shared;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_services::{LimitedBy, ServiceRequest};
use gateway_store::Store;
use gateway_types::{Class, Rate, Timestamp};
use tokio::time::timeout;

pub(crate) use buckets::{Bucket, Slow, Standing};
use buckets::{Buckets, named};
pub(crate) use open::Held;
use open::Open;
use shared::Others;

/// How many keys each table of rates holds: addresses, and callers.
const MOST_KEYS: usize = 65_536;

/// How long one exchange with the store may take. The counts are only shared, never asked for by a request.
const SHARING_LIMIT: Duration = Duration::from_secs(2);

/// The limits, as configured.
#[derive(Clone, Debug)]
pub struct LimitOptions {
    /// Requests of one address, whatever its credential.
    pub address: Rate,
    /// Requests of one address to sign in, and about second factors.
    pub sign_in: Rate,
    /// Requests of one caller, of all classes together.
    pub caller: Rate,
    /// Requests of one caller of class *reveal*.
    pub reveal: Rate,
    /// Requests of one caller of class *change* or *critical*.
    pub change: Rate,
    /// Requests of one caller of class *execute*.
    pub execute: Rate,
    /// Requests that one caller may have open at one time.
    pub concurrent_requests: u32,
    /// Requests that one address may have open at one time.
    pub address_concurrent_requests: u32,
    /// Sockets that one caller may have open at one time.
    pub sockets: u32,
    /// Connections that one address may have open at one time.
    pub connections_per_address: u32,
}

impl LimitOptions {
    /// The rate of a bucket. What a service declares is told by the name of whose bucket it is.
    fn rate(&self, bucket: Bucket, whose: &str) -> Rate {
        match bucket {
            Bucket::Service => declared_rate(whose).unwrap_or(self.caller),
            Bucket::Address => self.address,
            Bucket::SignIn => self.sign_in,
            Bucket::Caller | Bucket::OldCredential => self.caller,
            Bucket::Reveal => self.reveal,
            Bucket::Change => self.change,
            Bucket::Execute => self.execute,
        }
    }
}

/// The limits of this instance, with what others told it.
#[derive(Debug)]
pub(crate) struct Limits {
    options: LimitOptions,
    /// Apart from callers, so that whoever has many addresses cannot make the gateway forget a caller.
    addresses: Buckets,
    callers: Buckets,
    open: Open,
    connections: Open,
    others: Others,
    store_is_away: AtomicBool,
}

impl Limits {
    pub(crate) fn new(options: LimitOptions) -> Self {
        Self {
            options,
            addresses: Buckets::new(MOST_KEYS),
            callers: Buckets::new(MOST_KEYS),
            open: Open::default(),
            connections: Open::default(),
            others: Others::default(),
            store_is_away: AtomicBool::new(false),
        }
    }

    /// Takes one request of this address from one of the buckets of addresses.
    pub(crate) fn take_address(
        &self,
        bucket: Bucket,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Vec<Standing>, Slow> {
        let whose = source(address);
        self.addresses.take(&whose, &[(bucket, self.options.rate(bucket, &whose))], now)
    }

    /// Takes one request of this class of this caller: from the bucket of all its requests, and from the one
    /// of the class, or from neither.
    pub(crate) fn take_caller(
        &self,
        whose: &str,
        class: Class,
        now: Timestamp,
    ) -> Result<Vec<Standing>, Slow> {
        let of = |bucket| (bucket, self.options.rate(bucket, whose));
        match bucket_of(class) {
            None => self.callers.take(whose, &[of(Bucket::Caller)], now),
            Some(bucket) => self.callers.take(whose, &[of(Bucket::Caller), of(bucket)], now),
        }
    }

    /// Takes one request of this caller from what a service, or a route of it, declares; all of it when it declares
    /// nothing.
    pub(crate) fn take_service(
        &self,
        request: &ServiceRequest,
        whose: &str,
        now: Timestamp,
    ) -> Result<Vec<Standing>, Slow> {
        let Some(rate) = request.rate else { return Ok(Vec::new()) };
        // The service's own rate is for all its routes together.
        let route = match request.limited_by {
            LimitedBy::Service => "",
            LimitedBy::Route => &*request.operation.route,
        };
        let whose = format!("{}/{} {} {route} {whose}", rate.count, rate.burst, request.service.name);
        self.callers.take(&whose, &[(Bucket::Service, rate)], now)
    }

    /// A place among the requests that this address has open; `None` when there is none.
    pub(crate) fn hold_address(&self, address: IpAddr) -> Option<Held> {
        self.open.hold(source(address), self.options.address_concurrent_requests)
    }

    /// A place among the requests that this caller has open; `None` when there is none.
    pub(crate) fn hold_request(&self, whose: &str) -> Option<Held> {
        self.open.hold(format!("request of {whose}"), self.options.concurrent_requests)
    }

    /// A place among the sockets that this caller has open; `None` when there is none.
    pub(crate) fn hold_socket(&self, whose: &str) -> Option<Held> {
        self.open.hold(format!("socket of {whose}"), self.options.sockets)
    }

    /// A place among the connections of this address; `None` when there is none.
    pub(crate) fn hold_connection(&self, address: IpAddr) -> Option<Held> {
        self.connections.hold(source(address), self.options.connections_per_address)
    }

    /// Forgets whose buckets are full again.
    pub(crate) fn tidy(&self, now: Timestamp) {
        self.addresses.tidy(now);
        self.callers.tidy(now);
    }

    /// Tells other instances what was taken here since the last time, and charges here what they took.
    ///
    /// Each instance counts by itself and goes on when the store is away; what could not be told is told later.
    pub(crate) async fn share(&self, store: &Store, now: Timestamp) {
        let counts = store.rate_counts();
        let least = |bucket: Bucket, whose: &str| self.least_news(bucket, whose);
        let changed: Vec<_> =
            self.addresses.unshared(least).into_iter().chain(self.callers.unshared(least)).collect();
        let told = timeout(SHARING_LIMIT, async {
            counts.put(&changed).await?;
            counts.of_others().await
        })
        .await;
        let rows = match told {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => return self.goes_on_alone(&error),
            Err(slow) => return self.goes_on_alone(&slow),
        };
        self.store_is_away.store(false, Ordering::Relaxed);
        for (name, used) in &changed {
            if let Some((bucket, whose)) = named(name) {
                self.table_of(bucket).shared(bucket, whose, *used);
            }
        }
        for (name, taken) in self.others.news(rows) {
            if let Some((bucket, whose)) = named(&name) {
                let rate = self.options.rate(bucket, whose);
                self.table_of(bucket).charge(bucket, whose, rate, taken, now);
            }
        }
    }

    /// How much must have been taken of a bucket before others are told: a twentieth of its burst. So what they
    /// count differs by a few percent, and addresses that rotate leave no row each.
    fn least_news(&self, bucket: Bucket, whose: &str) -> i64 {
        i64::from(self.options.rate(bucket, whose).burst / 20).max(1)
    }

    fn goes_on_alone(&self, error: &(dyn std::error::Error + 'static)) {
        if !self.store_is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "limits are counted by this instance alone until the store is back");
        }
    }

    fn table_of(&self, bucket: Bucket) -> &Buckets {
        match bucket {
            Bucket::Address | Bucket::SignIn | Bucket::OldCredential => &self.addresses,
            Bucket::Caller | Bucket::Reveal | Bucket::Change | Bucket::Execute | Bucket::Service => {
                &self.callers
            }
        }
    }
}

/// The rate in the name of whose bucket it is: `COUNT/BURST …`, in each second.
fn declared_rate(whose: &str) -> Option<Rate> {
    let (count, burst) = whose.split(' ').next()?.split_once('/')?;
    let (count, burst) = (count.parse().ok()?, burst.parse().ok()?);
    (count > 0 && burst > 0).then_some(Rate { count, period: Duration::from_secs(1), burst })
}

/// The bucket that requests of this class have beside the one of all; reading has none.
fn bucket_of(class: Class) -> Option<Bucket> {
    match class {
        Class::Open | Class::Read => None,
        Class::Reveal => Some(Bucket::Reveal),
        Class::Change | Class::Critical => Some(Bucket::Change),
        Class::Execute => Some(Bucket::Execute),
    }
}

/// Whom an address counts as: one host of IPv6 has a whole /64 to send from.
pub(crate) fn source(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("address {address}"),
        IpAddr::V6(address) => {
            let [one, two, three, four, ..] = address.segments();
            format!("network {one:x}:{two:x}:{three:x}:{four:x}")
        }
    }
}

#[cfg(test)]
mod tests;
