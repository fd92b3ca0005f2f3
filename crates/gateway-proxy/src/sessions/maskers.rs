//! One masker for all sessions of an app: 500 sessions need no 500 copies of its secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use gateway_secrets::{KnownValues, Masker};

/// What masks by app; gone with the last session that uses it.
#[derive(Default)]
pub(super) struct Maskers(Mutex<HashMap<Option<String>, Made>>);

/// A masker, and the values that it was made of.
struct Made {
    of: Weak<KnownValues>,
    masker: Weak<Masker>,
}

impl Maskers {
    /// What masks these values of the app, or of the rack.
    pub(super) fn of(&self, app: Option<&str>, known: Arc<KnownValues>) -> Arc<Masker> {
        let mut maskers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        maskers.retain(|_, made| made.masker.strong_count() > 0);
        let found = maskers.get(&app.map(str::to_owned)).and_then(|made| {
            let same = made.of.upgrade().is_some_and(|of| Arc::ptr_eq(&of, &known));
            made.masker.upgrade().filter(|_| same)
        });
        found.unwrap_or_else(|| {
            let masker = Arc::new(Masker::new(&known));
            let entry = Made { of: Arc::downgrade(&known), masker: Arc::downgrade(&masker) };
            maskers.insert(app.map(str::to_owned), entry);
            masker
        })
    }
}
