//! Token buckets by key, in a table of bounded size.
//!
//! A bucket is one moment, at which it will be full again (the generic cell rate algorithm, ITU-T I.371): what
//! was taken lies between that moment and now. It may be charged beyond empty for what other instances let
//! through, and then refuses until that debt is paid.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
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
}

impl Bucket {
    const ALL: [Bucket; 7] = [
        Bucket::Address,
        Bucket::SignIn,
        Bucket::OldCredential,
        Bucket::Caller,
        Bucket::Reveal,
        Bucket::Change,
        Bucket::Execute,
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
        }
    }
}

/// Whose bucket of which kind.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) bucket: Bucket,
    pub(super) whose: String,
}

impl Key {
    /// The key as one text.
    fn text(&self) -> String {
        format!("{}{SEPARATOR}{}", self.bucket.name(), self.whose)
    }

    /// The kind of the bucket whose key this text is.
    pub(super) fn bucket_of(text: &str) -> Option<Bucket> {
        let (name, _) = text.split_once(SEPARATOR)?;
        Bucket::ALL.into_iter().find(|bucket| bucket.name() == name)
    }
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

/// The table. It has two halves: keys that were used lately, and those before them; when the first is full, the
/// second is forgotten. So the keys that were not used for longest go first, and none costs more than two looks.
#[derive(Debug)]
pub(super) struct Buckets {
    halves: Mutex<Halves>,
    half_size: usize,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<String, State>,
    old: HashMap<String, State>,
}

impl Halves {
    fn state(&mut self, key: &str, half_size: usize) -> &mut State {
        let known = self.old.remove(key);
        if self.young.len() >= half_size && !self.young.contains_key(key) {
            self.old = std::mem::take(&mut self.young);
        }
        let fresh = State { full_at: i64::MIN, used: 0, shared: 0 };
        self.young.entry(key.to_owned()).or_insert(known.unwrap_or(fresh))
    }
}

impl Buckets {
    /// For at most `most_keys`.
    pub(super) fn new(most_keys: usize) -> Self {
        Self { halves: Mutex::default(), half_size: most_keys.div_ceil(2) }
    }

    /// Takes one from each of these buckets, or from none when one of them is empty.
    pub(super) fn take(&self, keys: &[(Key, Rate)], now: Timestamp) -> Result<Vec<Standing>, Slow> {
        let now = nanos(now);
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked = Vec::with_capacity(keys.len());
        for (key, rate) in keys {
            let text = key.text();
            let state = halves.state(&text, self.half_size);
            // Kept, also when nothing is taken: else a moment from before the clock was moved back would stand.
            state.full_at = clipped(state.full_at, *rate, now);
            let full_at = state.full_at;
            looked.push((key.bucket, *rate, text, full_at));
        }
        // Of several empty ones, the one that takes longest: a repeat after that is let through by all.
        let slowest = looked
            .iter()
            .map(|(bucket, rate, _, full_at)| (wait(*full_at, *rate, now), *bucket))
            .max_by_key(|(wait, _)| *wait);
        if let Some((wait, bucket)) = slowest
            && wait > 0
        {
            let standings = looked
                .iter()
                .map(|(bucket, rate, _, full_at)| standing(*bucket, *rate, *full_at, now))
                .collect();
            return Err(Slow { bucket, wait_seconds: seconds(wait), standings });
        }
        let mut standings = Vec::with_capacity(looked.len());
        for (bucket, rate, text, full_at) in looked {
            let full_at = full_at.saturating_add(interval(rate));
            let state = halves.state(&text, self.half_size);
            state.full_at = full_at;
            state.used = state.used.saturating_add(1);
            standings.push(standing(bucket, rate, full_at, now));
        }
        Ok(standings)
    }

    /// Charges what another instance let through.
    pub(super) fn charge(&self, key: &str, rate: Rate, taken: i64, now: Timestamp) {
        let now = nanos(now);
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let state = halves.state(key, self.half_size);
        let full_at = clipped(state.full_at, rate, now).saturating_add(interval(rate).saturating_mul(taken));
        state.full_at = clipped(full_at, rate, now);
    }

    /// The keys of which other instances do not know at least `least`, with all that was taken of each.
    pub(super) fn unshared(&self, least: impl Fn(&str) -> i64) -> Vec<(String, i64)> {
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed: Vec<(i64, &String, i64)> = halves
            .young
            .iter()
            .chain(&halves.old)
            .filter(|(key, state)| state.used.saturating_sub(state.shared) >= least(key))
            .map(|(key, state)| (state.used.saturating_sub(state.shared), key, state.used))
            .collect();
        changed.sort_by_key(|(news, _, _)| std::cmp::Reverse(*news));
        changed.into_iter().take(MOST_SHARED).map(|(_, key, used)| (key.clone(), used)).collect()
    }

    /// Notes that other instances were told this much.
    pub(super) fn shared(&self, key: &str, used: i64) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let Halves { young, old } = &mut *halves;
        for state in [young.get_mut(key), old.get_mut(key)].into_iter().flatten() {
            state.shared = state.shared.max(used.min(state.used));
        }
    }

    /// Forgets the buckets that are full again.
    pub(super) fn tidy(&self, now: Timestamp) {
        let now = nanos(now);
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let Halves { young, old } = &mut *halves;
        for half in [young, old] {
            half.retain(|_, state| state.full_at > now);
            half.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let halves = self.halves.lock().unwrap();
        halves.young.len() + halves.old.len()
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
