//! A code that is right and spent where there is no session yet: at sign-in. It opens no window.

use gateway_identity::InlineFactor;
use gateway_store::{Store, StoreError, Try};
use gateway_types::{Timestamp, UserId};

use super::{TRIES_OF_PERSON, right_code};

/// What became of a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proven {
    /// It was right, and spent by this call.
    Right,
    /// It is not one of this person's, not one of this moment, or spent.
    Wrong,
    /// Too many were wrong; no more are looked at until this moment.
    TooMany(Timestamp),
}

/// Spends a code of this person. It is counted with all the person's others, on whatever way they come.
///
/// # Errors
/// Only when the database cannot be used; whether the code is spent is then not known.
pub async fn prove(
    store: &Store,
    now: Timestamp,
    user: UserId,
    factor: &InlineFactor,
) -> Result<Proven, StoreError> {
    let step_ups = store.step_ups();
    if let Try::TooMany(until) = step_ups.begin_try_of_person(user, TRIES_OF_PERSON).await? {
        return Ok(Proven::TooMany(until));
    }
    let Some(code) = right_code(store, now, user, factor).await? else { return Ok(Proven::Wrong) };
    if !step_ups.spend_alone(user, &code).await? {
        return Ok(Proven::Wrong);
    }
    if let Err(error) = step_ups.succeeded_of_person(user).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "a right code stays counted as a try");
    }
    Ok(Proven::Right)
}
