//! What a change of policy would do, before it is made: faults with their place, and who gains or loses what.

use std::sync::Arc;

use super::plan::{self, Replayed, RoleChange};
use super::recorded::Period;
use super::{PolicyChangeError, candidate, check_id};
use crate::App;

/// The most recorded decisions that are replayed.
pub const MOST_REPLAYED: u32 = 5000;

/// How many are when nobody says.
pub const DEFAULT_REPLAY: u32 = 1000;

/// Why a text is not acceptable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// Line and column in the text, from 1, the column in characters.
    pub place: Option<(u32, u32)>,
}

/// What a change would do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Check {
    /// Why it would be refused; empty when it would be accepted.
    pub faults: Vec<Fault>,
    /// The version of the set, when it loads.
    pub policy_version: Option<String>,
    /// Who would gain or lose what, by role.
    pub roles: Vec<RoleChange>,
    /// Recorded decisions that would be others.
    pub replayed: Replayed,
}

/// Looks at what writing `text` as the document `id` would do, or removing it (`None`). Changes nothing.
/// `period`: which recorded decisions are asked again, at most [`MOST_REPLAYED`]; what holds by role is told with the
/// first of them only.
///
/// # Errors
/// When the store cannot be read. What is wrong with the text is in the answer.
pub async fn check(
    app: &App,
    id: &str,
    text: Option<&str>,
    period: impl Into<Period> + Send,
) -> Result<Check, PolicyChangeError> {
    let period = period.into();
    let documents = app.store.policies().list().await?;
    let candidate = match check_id(id) {
        Ok(()) => candidate(app, &documents, id, text).await,
        Err(error) => Err(error),
    };
    let candidate = match candidate {
        Ok((engine, _)) => Arc::new(engine),
        Err(error) => return Ok(Check { faults: faults(error, text.unwrap_or(""))?, ..Check::default() }),
    };
    if text.is_none() && !documents.iter().any(|document| document.id == id) {
        let unknown = PolicyChangeError::Unknown { id: id.to_owned() };
        return Ok(Check { faults: faults(unknown, "")?, ..Check::default() });
    }
    let present = app.policy();
    let replayed = plan::replay(app, &present, &candidate, period).await?;
    let policy_version = Some(candidate.version().to_owned());
    if period.before.is_some() {
        return Ok(Check { policy_version, replayed, ..Check::default() });
    }
    let roles = tokio::task::spawn_blocking(move || plan::roles(&present, &candidate))
        .await
        .map_err(PolicyChangeError::Interrupted)?;
    Ok(Check { faults: Vec::new(), policy_version, roles, replayed })
}

/// What is wrong with the text; an error when it is not the text that is at fault.
fn faults(error: PolicyChangeError, text: &str) -> Result<Vec<Fault>, PolicyChangeError> {
    match error {
        PolicyChangeError::NotLoadable(error) => Ok(error
            .faults()
            .into_iter()
            .map(|fault| Fault {
                message: fault.message,
                place: fault.offset.and_then(|offset| place(text, offset)),
            })
            .collect()),
        error @ (PolicyChangeError::BadId
        | PolicyChangeError::TooLong { .. }
        | PolicyChangeError::Empty
        | PolicyChangeError::Unknown { .. }
        | PolicyChangeError::NobodyCouldUndo { .. }) => {
            Ok(vec![Fault { message: error.to_string(), place: None }])
        }
        error @ (PolicyChangeError::Store(_)
        | PolicyChangeError::Record(_)
        | PolicyChangeError::Interrupted(_)) => Err(error),
    }
}

/// Line and column of a byte of the text, from 1.
fn place(text: &str, offset: usize) -> Option<(u32, u32)> {
    let before = text.get(..offset)?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        assert_eq!(place("a\nbé x", 0), Some((1, 1)));
        assert_eq!(place("a\nbé x", 2), Some((2, 1)));
        assert_eq!(place("a\nbé x", 6), Some((2, 4)));
        assert_eq!(place("a\nbé x", 4), None, "in the middle of a character");
        assert_eq!(place("a", 9), None);
    }
}
