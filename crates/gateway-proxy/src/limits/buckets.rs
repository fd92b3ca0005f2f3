//! Token buckets by key, in a table of bounded size.
//!
//! A bucket is one moment, at which it will be full again (the generic cell rate algorithm, ITU-T I.371): what
//! was taken lies between that moment and now. It may be charged beyond empty for what other instances let
//! through, and then refuses until that debt is paid.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_types::{Rate, Timestamp};

/// The longest debt that a bucket can have beside a second burst: what is charged late counts, but a clock that
/// was moved back must not lock anybody out for long.
const LONGEST_DEBT: Duration = Duration::from_secs(5);

/// The most keys that are shared at one time; the busiest come first.
const MOST_SHARED: usize = 2000;

const SEPARATOR: char = '|';

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Bucket {
    /// Requests of an address.
    Address,
    /// Requests of an address to sign in, and about second factors.
    SignIn,
    /// Uses of credentials that were once good, by address.
    OldCredential,
    /// Requests of a caller.
    Caller,
    /// Those of class *reveal*.
    Reveal,
    /// Those of class *change* or *critical*.
    Change,
    /// Those of class *execute*.
    Execute,
    /// Requests of a caller to a service or a route that declares a rate.
    Service,
}

impl Bucket {
    const ALL: [Bucket; 8] = [
        Bucket::Address,
        Bucket::SignIn,
        Bucket::OldCredential,
        Bucket::Caller,
        Bucket::Reveal,
        Bucket::Change,
        Bucket::Execute,
        Bucket::Service,
    ];

    /// Its name in the reply's headers and between instances.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Bucket::Address => "address",
            Bucket::SignIn => "sign-in",
            Bucket::OldCredential => "old-credential",
            Bucket::Caller => "requests",
            Bucket::Reveal => "reveal",
            Bucket::Change => "change",
            Bucket::Execute => "execute",
            Bucket::Service => "service",
        }
    }
}

/// The name of a bucket between instances: its kind, and whose it is.
pub(super) fn name_of(bucket: Bucket, whose: &str) -> String {
    format!("{}{SEPARATOR}{whose}", bucket.name())
}

/// The kind of the bucket of this name, and whose it is.
pub(super) fn named(name: &str) -> Option<(Bucket, &str)> {
    let (kind, whose) = name.split_once(SEPARATOR)?;
    Some((Bucket::ALL.into_iter().find(|bucket| bucket.name() == kind)?, whose))
}

/// How a bucket stands after a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// Which.
    pub(crate) bucket: Bucket,
    /// Its rate.
    pub(crate) rate: Rate,
    /// How many more could be taken at once.
    pub(crate) remaining: u32,
    /// After how many seconds it is full again; with nothing left, after how many one more can be taken.
    pub(crate) reset_seconds: u64,
}

/// A request that comes too fast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Slow {
    /// The bucket that is empty.
    pub(crate) bucket: Bucket,
    /// After how many seconds a repeat is let through, at least 1.
    pub(crate) wait_seconds: u64,
    /// How the buckets stand.
    pub(crate) standings: Vec<Standing>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// When it is full again, in nanoseconds since the epoch.
    full_at: i64,
    /// What was taken from it here, ever.
    used: i64,
    /// What other instances were told of that.
    shared: i64,
}

/// The tables, one for each kind of bucket. Each has two halves: keys that were used lately, and those before them;
/// when the first is full, the second is forgotten. So the keys that were not used for longest go first, and none
/// costs more than two looks.
#[derive(Debug)]
pub(super) struct Buckets {
    tables: Mutex<Tables>,
    half_size: usize,
}

#[derive(Debug, Default)]
struct Tables([Halves; Bucket::ALL.len()]);

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Box<str>, State>,
    old: HashMap<Box<str>, State>,
}

impl Tables {
    #[expect(clippy::indexing_slicing, reason = "there is a table for each kind of bucket")]
    fn of(&mut self, bucket: Bucket) -> &mut Halves {
        &mut self.0[bucket as usize]
    }
}

impl Halves {
    /// How the bucket stands; it is among those that were used lately from here on.
    fn state(&mut self, whose: &str, half_size: usize) -> State {
        if let Some(state) = self.young.get(whose) {
            return *state;
        }
        let known = self.old.remove(whose);
        if self.young.len() >= half_size {
            self.old = std::mem::take(&mut self.young);
        }
        let state = known.unwrap_or(State { full_at: i64::MIN, used: 0, shared: 0 });
        self.young.insert(whose.into(), state);
        state
    }

    fn put(&mut self, whose: &str, state: State) {
        if let Some(known) = self.young.get_mut(whose) {
            *known = state;
        }
    }
}

impl Buckets {
    /// For at most `most_keys` of each kind.
    pub(super) fn new(most_keys: usize) -> Self {
        Self { tables: Mutex::default(), half_size: most_keys.div_ceil(2) }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one from each of these buckets, or from none when one of them is empty.
    pub(super) fn take(
        &self,
        whose: &str,
        kinds: &[(Bucket, Rate)],
        now: Timestamp,
    ) -> Result<Vec<Standing>, Slow> {
        let now = nanos(now);
        let mut tables = self.lock();
        let mut states = Vec::with_capacity(kinds.len());
        // Of several empty ones, the one that takes longest: a repeat after that is let through by all.
        let mut slowest: Option<(i64, Bucket)> = None;
        for (bucket, rate) in kinds {
            let mut state = tables.of(*bucket).state(whose, self.half_size);
            state.full_at = clipped(state.full_at, *rate, now);
            let wait = wait(state.full_at, *rate, now);
            if wait > 0 && slowest.is_none_or(|(longest, _)| wait >= longest) {
                slowest = Some((wait, *bucket));
            }
            states.push(state);
        }
        let mut standings = Vec::with_capacity(kinds.len());
        for ((bucket, rate), mut state) in kinds.iter().zip(states) {
            if slowest.is_none() {
                state.full_at = state.full_at.saturating_add(interval(*rate));
                state.used = state.used.saturating_add(1);
            }
            // Kept, also when nothing is taken: else a moment from before the clock was moved back would stand.
            tables.of(*bucket).put(whose, state);
            standings.push(standing(*bucket, *rate, state.full_at, now));
        }
        match slowest {
            Some((wait, bucket)) => Err(Slow { bucket, wait_seconds: seconds(wait), standings }),
            None => Ok(standings),
        }
    }

    /// Charges what another instance let through.
    pub(super) fn charge(&self, bucket: Bucket, whose: &str, rate: Rate, taken: i64, now: Timestamp) {
        let now = nanos(now);
        let mut tables = self.lock();
        let mut state = tables.of(bucket).state(whose, self.half_size);
        let full_at = clipped(state.full_at, rate, now).saturating_add(interval(rate).saturating_mul(taken));
        state.full_at = clipped(full_at, rate, now);
        tables.of(bucket).put(whose, state);
    }

    /// The buckets of which other instances do not know at least `least`, by name, with all that was taken of each.
    pub(super) fn unshared(&self, least: impl Fn(Bucket, &str) -> i64) -> Vec<(String, i64)> {
        let tables = self.lock();
        let mut changed: Vec<(i64, Bucket, &str, i64)> = Vec::new();
        for (bucket, halves) in Bucket::ALL.into_iter().zip(&tables.0) {
            let news = halves.young.iter().chain(&halves.old).filter_map(|(whose, state)| {
                let news = state.used.saturating_sub(state.shared);
                (news >= least(bucket, whose)).then_some((news, bucket, &**whose, state.used))
            });
            changed.extend(news);
        }
        changed.sort_by_key(|(news, ..)| std::cmp::Reverse(*news));
        let busiest = changed.into_iter().take(MOST_SHARED);
        busiest.map(|(_, bucket, whose, used)| (name_of(bucket, whose), used)).collect()
    }

    /// Notes that other instances were told this much.
    pub(super) fn shared(&self, bucket: Bucket, whose: &str, used: i64) {
        let mut tables = self.lock();
        let Halves { young, old } = tables.of(bucket);
        for state in [young.get_mut(whose), old.get_mut(whose)].into_iter().flatten() {
            state.shared = state.shared.max(used.min(state.used));
        }
    }

    /// Forgets the buckets that are full again.
    pub(super) fn tidy(&self, now: Timestamp) {
        let now = nanos(now);
        for Halves { young, old } in &mut self.lock().0 {
            for half in [young, old] {
                half.retain(|_, state| state.full_at > now);
                half.shrink_to_fit();
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().0.iter().map(|halves| halves.young.len() + halves.old.len()).sum()
    }
}

fn nanos(moment: Timestamp) -> i64 {
    moment.micros().saturating_mul(1000)
}

fn nanos_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// What one request takes, in nanoseconds.
fn interval(rate: Rate) -> i64 {
    (nanos_of(rate.period) / i64::from(rate.count.max(1))).max(1)
}

/// What a full bucket holds, in nanoseconds.
fn depth(rate: Rate) -> i64 {
    interval(rate).saturating_mul(i64::from(rate.burst.max(1)))
}

/// A full bucket is full now; and no bucket is emptier than its burst and the longest debt.
fn clipped(full_at: i64, rate: Rate, now: i64) -> i64 {
    let latest =
        now.saturating_add(depth(rate)).saturating_add(depth(rate)).saturating_add(nanos_of(LONGEST_DEBT));
    full_at.clamp(now, latest)
}

/// How long until one can be taken; 0 = now.
fn wait(full_at: i64, rate: Rate, now: i64) -> i64 {
    full_at.saturating_add(interval(rate)).saturating_sub(depth(rate)).saturating_sub(now).max(0)
}

fn standing(bucket: Bucket, rate: Rate, full_at: i64, now: i64) -> Standing {
    let left = depth(rate).saturating_sub(full_at.saturating_sub(now)).max(0) / interval(rate);
    let remaining = u32::try_from(left).unwrap_or(u32::MAX);
    let reset = if remaining == 0 { wait(full_at, rate, now) } else { full_at.saturating_sub(now) };
    Standing { bucket, rate, remaining, reset_seconds: seconds(reset) }
}

/// Whole seconds, rounded up, at least one.
fn seconds(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap_or(0).div_ceil(1_000_000_000).max(1)
}
