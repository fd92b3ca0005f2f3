//! A code that is right and spent where there is no session yet: at sign-in. It opens no window.

use gateway_identity::InlineFactor;
use gateway_store::{Asker, StoreError, Try};
use gateway_types::{FactorId, Timestamp, UserId};

use super::{Checks, Found, Giver, Spending, TRIES_OF_PERSON, not_spent, right_code, stays_counted};
use crate::factors::passkeys::Purpose;

/// What became of a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proven {
    /// It was right, and spent by this call.
    Right,
    /// It is not one of this person's, not one of this moment, or spent.
    Wrong,
    /// It is of this key, whose counter went back: there may be a copy of it.
    Copied(FactorId),
    /// It cannot be found out now.
    Unknown,
    /// Too many were wrong; no more are looked at until this moment.
    TooMany(Timestamp),
}

/// Spends a factor of this person for the sign-in of this state. It is counted with all the person's others, on whatever way they come.
///
/// # Errors
/// Only when the database cannot be used; whether the code is spent is then not known.
pub async fn prove(
    checks: &Checks<'_>,
    user: UserId,
    state: &str,
    factor: &InlineFactor,
) -> Result<Proven, StoreError> {
    let step_ups = checks.store.step_ups();
    if let Try::TooMany(until) = step_ups.begin_try_of_person(user, TRIES_OF_PERSON).await? {
        return Ok(Proven::TooMany(until));
    }
    let giver = Giver { user, session: None, by: Asker::SignIn(state), purpose: &Purpose::SignIn };
    let code = match right_code(checks, &giver, factor).await? {
        Found::Code(code) => code,
        Found::Not(Spending::Unknown) => {
            if let Err(error) = step_ups.unchecked_of_person(user).await {
                stays_counted(&error);
            }
            return Ok(Proven::Unknown);
        }
        Found::Not(Spending::Copied(factor)) => return Ok(Proven::Copied(factor)),
        // Nothing was used before by a session that is not there yet.
        Found::Before | Found::Not(Spending::Before | Spending::Fresh(_)) => return Ok(Proven::Wrong),
        Found::Not(Spending::Wrong | Spending::Spent) => return Ok(Proven::Wrong),
        Found::Not(Spending::TooMany(until)) => return Ok(Proven::TooMany(until)),
    };
    if !step_ups.spend_alone(user, &code).await? {
        return Ok(match not_spent(&code) {
            Spending::Copied(factor) => Proven::Copied(factor),
            Spending::Fresh(_)
            | Spending::Before
            | Spending::Wrong
            | Spending::Spent
            | Spending::Unknown
            | Spending::TooMany(_) => Proven::Wrong,
        });
    }
    if let Err(error) = step_ups.succeeded_of_person(user).await {
        stays_counted(&error);
    }
    Ok(Proven::Right)
}
