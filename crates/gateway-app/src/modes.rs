//! Read-only on purpose: what changes is refused on all instances, with the reason and who gave it, and what reads or takes
//! rights away goes on. It must not know requests or tables.

use gateway_store::{ReadOnly, Store, StoreError};
use gateway_types::{Class, Layer, Operation, Problem, ProblemKind};
use serde_json::{Value, json};

use crate::error::AppError;
use crate::health::Health;
use crate::users::by;
use crate::{Operator, problems, record};

/// The longest reason, in characters: it stands in every refusal and on every page.
pub const LONGEST_REASON: usize = 300;

/// What goes on while everything else that changes is refused, beside signing in and out: the way back, and what takes
/// rights away, which must never have to wait.
const GOES_ON: [&str; 13] = [
    "gateway:mode:set",
    "gateway:mode:drain",
    "gateway:session:revoke",
    "gateway:session:revoke_any",
    // What goes on may go on; it is no new session.
    "gateway:session:resume",
    "gateway:user:lock",
    "gateway:token:revoke",
    "gateway:elevation:end",
    "gateway:approval:withdraw",
    "gateway:breakglass:end",
    "gateway:secret:end_reveal",
    "gateway:live:end",
    "gateway:zone:ban",
];

/// The actions of signing in and out, and of second factors that are given on the way.
const SIGNING_IN: &str = "gateway:auth:";

/// A mode that somebody asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Nothing changes, for this reason.
    ReadOnly {
        /// Why, 1 to [`LONGEST_REASON`] characters in one line.
        reason: String,
    },
    /// As usual.
    Normal,
}

/// Why a mode was not set.
#[derive(Debug, thiserror::Error)]
pub enum ModeError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// Whoever is refused has to be told why.
    #[error(
        "read-only needs a reason of 1 to {LONGEST_REASON} characters in one line: everybody who is refused reads it"
    )]
    BadReason,
}

impl From<ModeError> for Problem {
    fn from(error: ModeError) -> Self {
        match error {
            ModeError::Store(error) => problems::of_store(&error),
            ModeError::Record(error) => error.into(),
            ModeError::BadReason => {
                Problem::new(ProblemKind::BadParameter, Layer::Network, ModeError::BadReason.to_string())
            }
        }
    }
}

/// Sets the mode of all instances; others hear of it within a second. Returns why it is read-only, if it is.
///
/// # Errors
/// [`ModeError`]; nothing is then changed.
pub async fn set(store: &Store, operator: &Operator<'_>, mode: Mode) -> Result<Option<ReadOnly>, ModeError> {
    if let Mode::ReadOnly { reason } = &mode {
        let length = reason.chars().count();
        if !(1..=LONGEST_REASON).contains(&length)
            || reason.trim().is_empty()
            || reason.contains(char::is_control)
        {
            return Err(ModeError::BadReason);
        }
    }
    let before = store.modes().read_only().await?;
    let mut event = operator.event("gateway:mode:set");
    event.before = Some(shown(before.as_ref().map(|before| before.reason.as_str())));
    event.after = Some(match &mode {
        Mode::ReadOnly { reason } => shown(Some(reason)),
        Mode::Normal => shown(None),
    });
    record(store, event).await?;
    match mode {
        Mode::ReadOnly { reason } => Ok(Some(store.modes().set_read_only(&reason, &by(operator)).await?)),
        Mode::Normal => {
            store.modes().set_normal().await?;
            Ok(None)
        }
    }
}

fn shown(reason: Option<&str>) -> Value {
    match reason {
        Some(reason) => json!({ "mode": "read-only", "reason": reason }),
        None => json!({ "mode": "normal" }),
    }
}

/// Reads the mode again; when that fails the last one holds.
///
/// # Errors
/// Only the store's.
pub async fn refresh(store: &Store, health: &Health) -> Result<(), StoreError> {
    health.set_read_only(store.modes().read_only().await?);
    Ok(())
}

/// The refusal of an operation because the gateway is read-only; `None` when the operation goes on.
pub fn refusal(health: &Health, operation: &Operation) -> Option<Problem> {
    let read_only = health.read_only()?;
    if !is_change(operation) {
        return None;
    }
    let ReadOnly { reason, set_by, .. } = &*read_only;
    let detail = format!("nothing can be changed for now, says {set_by}: {reason}");
    Some(Problem::new(ProblemKind::ReadOnly, Layer::Authorization, detail))
}

fn is_change(operation: &Operation) -> bool {
    let action = operation.action.as_str();
    match operation.class {
        Class::Open | Class::Read | Class::Reveal => false,
        Class::Change | Class::Execute | Class::Critical => {
            !action.starts_with(SIGNING_IN) && !GOES_ON.contains(&action)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gateway_policy::OwnTable;
    use gateway_types::Timestamp;

    use super::*;

    fn health() -> Health {
        let health = Health::new();
        health.set_read_only(Some(ReadOnly {
            reason: "the rack moves".to_owned(),
            set_by: "ann@example.com".to_owned(),
            since: Timestamp::from_micros(1),
        }));
        health
    }

    #[test]
    fn what_takes_rights_away_goes_on_and_every_name_is_an_action() {
        let table = OwnTable::builtin().unwrap();
        let operations = table.operations();
        let known: BTreeSet<&str> = operations.iter().map(|operation| operation.action.as_str()).collect();
        for action in GOES_ON {
            assert!(known.contains(action), "{action}");
        }
        let refused = |action: &str| {
            let operation = operations.iter().find(|operation| operation.action.as_str() == action).unwrap();
            refusal(&health(), operation)
        };
        for action in ["gateway:mode:set", "gateway:auth:logout", "gateway:user:lock", "gateway:user:list"] {
            assert!(refused(action).is_none(), "{action}");
        }
        for action in ["gateway:user:unlock", "gateway:token:create", "gateway:setting:update"] {
            let problem = refused(action).unwrap_or_else(|| panic!("{action} goes on"));
            assert_eq!(problem.kind, ProblemKind::ReadOnly);
            assert_eq!(
                problem.detail,
                "nothing can be changed for now, says ann@example.com: the rack moves"
            );
        }
    }
}
