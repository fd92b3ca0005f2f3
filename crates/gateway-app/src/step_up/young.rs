//! A factor that was enrolled a moment ago: whoever rides somebody's window enrols one of their own with it. So while its
//! person has an older one, it opens a window and confirms nothing that is bound, until the window in which it was
//! enrolled is over (ADR 0013).

use std::time::Duration;

use gateway_store::{Store, StoreError, UsedFactor};
use gateway_types::{Problem, Timestamp, UserId};

use super::unreachable;
use crate::App;

/// What a person is told of such a factor.
pub const YOUNG: &str = "This factor was enrolled a short while ago. It opens the window; for this very action give one that you had before, \
     or wait until the time of a step-up has passed since.";

/// Whether the factor that was given is such a one.
///
/// # Errors
/// A problem, when the store cannot be reached.
pub(super) async fn is_young(app: &App, user: UserId, used: UsedFactor) -> Result<bool, Problem> {
    let window = app.settings.step_up_window();
    was_enrolled_lately(&app.store, user, used, app.clock.now(), window)
        .await
        .map_err(|error| unreachable(&error))
}

/// Whether a factor counts for less than a window of this length, while its person has an older one. Backup codes take a
/// factor for that very action to be made, so they are as old as what made them.
///
/// # Errors
/// Only when the database cannot be read.
pub async fn was_enrolled_lately(
    store: &Store,
    user: UserId,
    used: UsedFactor,
    now: Timestamp,
    window: Duration,
) -> Result<bool, StoreError> {
    let id = match used {
        UsedFactor::BackupCode => return Ok(false),
        UsedFactor::Factor(_, id) => id,
    };
    let factors = store.factors().list(user).await?;
    let Some(own) = factors.iter().find(|factor| factor.id == id).and_then(|factor| factor.confirmed) else {
        return Ok(false);
    };
    let age = now.checked_since(own).unwrap_or_default();
    let has_older = factors.iter().any(|other| other.confirmed.is_some_and(|confirmed| confirmed < own));
    Ok(has_older && age < window)
}
