//! The handshakes that are not finished: a bounded set that always has room for one more, because the oldest
//! of the address that has the most is ended for it. A client that is quick is through long before that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

#[derive(Debug, Default)]
struct Places {
    next: u64,
    waiting: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
    of_source: HashMap<IpAddr, BTreeSet<u64>>,
}

impl Places {
    fn take(&mut self, number: u64) -> Option<oneshot::Sender<()>> {
        let (source, sender) = self.waiting.remove(&number)?;
        if let Some(numbers) = self.of_source.get_mut(&source) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.of_source.remove(&source);
            }
        }
        Some(sender)
    }

    /// The oldest of the source with the most; of sources with as many, the one that has waited longest.
    fn victim(&self) -> Option<u64> {
        let most = self
            .of_source
            .values()
            .max_by_key(|numbers| (numbers.len(), std::cmp::Reverse(numbers.first().copied())));
        most.and_then(|numbers| numbers.first().copied())
    }
}

/// The set.
#[derive(Clone, Debug)]
pub(super) struct Unfinished {
    most: usize,
    places: Arc<Mutex<Places>>,
}

/// A place in the set, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    displaced: oneshot::Receiver<()>,
    places: Arc<Mutex<Places>>,
}

impl Unfinished {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), places: Arc::default() }
    }

    /// Takes a place for a client at this address.
    pub(super) fn enter(&self, source: IpAddr) -> Place {
        let source = source.to_canonical();
        let (sender, displaced) = oneshot::channel();
        let mut places = lock(&self.places);
        while places.waiting.len() >= self.most {
            let Some(sender) = places.victim().and_then(|victim| places.take(victim)) else { break };
            // Whoever is gone already needs no message.
            let _gone = sender.send(());
        }
        let number = places.next;
        places.next += 1;
        places.waiting.insert(number, (source, sender));
        places.of_source.entry(source).or_default().insert(number);
        Place { number, displaced, places: self.places.clone() }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        lock(&self.places).waiting.len()
    }
}

impl Place {
    /// Waits until the place is needed for another.
    pub(super) async fn displaced(&mut self) {
        // The sender goes away only with a message or with this place.
        let _message = (&mut self.displaced).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _sender = lock(&self.places).take(self.number);
    }
}

fn lock(places: &Mutex<Places>) -> MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn is_displaced(place: &mut Place) -> bool {
        place.displaced.try_recv().is_ok()
    }

    #[test]
    fn a_flood_displaces_its_own() {
        let unfinished = Unfinished::new(4);
        let mut quiet = unfinished.enter(source(1));
        let mut flood: Vec<Place> = (0..20).map(|_| unfinished.enter(source(2))).collect();
        assert_eq!(unfinished.len(), 4);
        assert!(!is_displaced(&mut quiet));
        let ended = flood.iter_mut().map(is_displaced).filter(|ended| *ended).count();
        assert_eq!(ended, 17);
        assert!(!is_displaced(flood.last_mut().unwrap()), "the newest has its chance");
        let mut another = unfinished.enter(source(3));
        assert!(!is_displaced(&mut another) && !is_displaced(&mut quiet));
    }

    #[test]
    fn of_equals_the_oldest_goes() {
        let unfinished = Unfinished::new(2);
        let (mut first, mut second) = (unfinished.enter(source(1)), unfinished.enter(source(2)));
        let mut third = unfinished.enter(source(3));
        assert!(is_displaced(&mut first) && !is_displaced(&mut second) && !is_displaced(&mut third));
    }

    #[test]
    fn places_are_given_back() {
        let unfinished = Unfinished::new(2);
        for _ in 0..10 {
            let mut place = unfinished.enter(source(1));
            assert!(!is_displaced(&mut place));
        }
        assert_eq!(unfinished.len(), 0);
        assert!(lock(&unfinished.places).of_source.is_empty());
    }
}
