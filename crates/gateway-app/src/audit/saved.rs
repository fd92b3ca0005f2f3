//! Searches of the log that people keep under a name, for themselves or shared with everybody who signs in. What is kept is
//! a question; whoever opens it sees what they may see, and nothing by it.

use gateway_audit::{Event, bounded};
use gateway_store::{NewSavedSearch, SavedSearch, StoreError};
use gateway_types::wire::audit::AuditFilter;
use gateway_types::{Caller, Layer, Problem, ProblemKind, SavedSearchId};
use serde_json::{Value, json};

use super::AuditError;
use crate::environments::person;
use crate::{App, Operator, record};

/// The most searches of one person.
pub const MOST_SAVED: usize = 100;

/// The longest name, in characters.
pub const LONGEST_NAME: usize = 80;

/// The longest filter, in bytes of JSON.
const LONGEST_FILTER: usize = 4096;

/// Why a search was not kept or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum SavedSearchError {
    /// The store cannot be reached, or the change could not be recorded.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A machine keeps nothing.
    #[error("searches are kept by people; sign in as one")]
    NotAPerson,
    /// The name is no name.
    #[error("a saved search needs a name of 1 to {LONGEST_NAME} characters, without control characters")]
    BadName,
    /// The filter is too long.
    #[error("the filter is too long to be kept; leave some of it out")]
    TooLong,
    /// There are too many.
    #[error("{MOST_SAVED} searches are kept already; remove one first")]
    TooMany,
    /// There is none with this id.
    #[error("there is no saved search with this id, or it is somebody else's and not shared")]
    Unknown,
}

impl From<StoreError> for SavedSearchError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => SavedSearchError::Unknown,
            error => SavedSearchError::Audit(error.into()),
        }
    }
}

impl From<SavedSearchError> for Problem {
    fn from(error: SavedSearchError) -> Self {
        match error {
            SavedSearchError::Audit(error) => error.into(),
            SavedSearchError::Unknown => {
                Problem::new(ProblemKind::NotFound, Layer::Authorization, error.to_string())
            }
            SavedSearchError::TooMany => {
                Problem::new(ProblemKind::NotPossible, Layer::Authorization, error.to_string())
            }
            SavedSearchError::NotAPerson | SavedSearchError::BadName | SavedSearchError::TooLong => {
                Problem::new(ProblemKind::BadParameter, Layer::Network, error.to_string())
            }
        }
    }
}

/// One's own, and those that are shared, by name.
///
/// # Errors
/// [`SavedSearchError::NotAPerson`], or the store's.
pub async fn list(app: &App, caller: &Caller) -> Result<Vec<SavedSearch>, SavedSearchError> {
    let user = person(&caller.principal).ok_or(SavedSearchError::NotAPerson)?;
    Ok(app.store.saved_searches().visible_to(user).await?)
}

/// What a saved search asks for.
///
/// # Errors
/// When what is stored is no filter.
pub fn filter_of(search: &SavedSearch) -> Result<AuditFilter, AuditError> {
    serde_json::from_str(&search.filter)
        .map_err(|_other| AuditError::Store(StoreError::Corrupt { what: "saved search" }))
}

/// Keeps a search under a name, in the place of one's own of the same name.
///
/// # Errors
/// [`SavedSearchError`].
pub async fn keep(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    name: &str,
    filter: &AuditFilter,
    shared: bool,
) -> Result<SavedSearch, SavedSearchError> {
    let user = person(&caller.principal).ok_or(SavedSearchError::NotAPerson)?;
    let name = name.trim();
    let is_hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(is_hazard) {
        return Err(SavedSearchError::BadName);
    }
    // What no search takes is not kept either.
    super::filter(filter)?;
    let text = serde_json::to_string(filter).map_err(AuditError::Json)?;
    if text.len() > LONGEST_FILTER {
        return Err(SavedSearchError::TooLong);
    }
    let own: Vec<SavedSearch> =
        list(app, caller).await?.into_iter().filter(|search| search.user == user).collect();
    let before = own.iter().find(|search| search.name == name);
    if before.is_none() && own.len() >= MOST_SAVED {
        return Err(SavedSearchError::TooMany);
    }
    let id = before.map_or_else(|| SavedSearchId::new(app.clock.now(), &*app.entropy), |known| known.id);
    let mut event = event(operator, "gateway:audit:save_search", id, name);
    event.before = Some(before.map_or(Value::Null, shown));
    event.after = Some(json!({ "filter": bounded(&text), "shared": shared }));
    record(&app.store, event).await.map_err(AuditError::from)?;
    let new = NewSavedSearch { id, user, name: name.to_owned(), filter: text, shared };
    app.store.saved_searches().keep(&new).await?;
    app.store.saved_searches().by_id(id).await?.ok_or(SavedSearchError::Unknown)
}

/// Forgets one.
///
/// # Errors
/// [`SavedSearchError::Unknown`], also for somebody else's that is not shared; or the store's.
pub async fn remove(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: SavedSearchId,
) -> Result<(), SavedSearchError> {
    let visible = list(app, caller).await?.into_iter().find(|search| search.id == id);
    let search = visible.ok_or(SavedSearchError::Unknown)?;
    let mut event = event(operator, "gateway:audit:remove_search", id, &search.name);
    event.parameters.insert("owner".to_owned(), bounded(&search.owner));
    event.before = Some(shown(&search));
    event.after = Some(Value::Null);
    record(&app.store, event).await.map_err(AuditError::from)?;
    Ok(app.store.saved_searches().remove(id).await?)
}

fn shown(search: &SavedSearch) -> Value {
    json!({ "filter": bounded(&search.filter), "shared": search.shared })
}

fn event(operator: &Operator<'_>, action: &str, id: SavedSearchId, name: &str) -> Event {
    let mut event = operator.event(action);
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("name".to_owned(), bounded(name));
    event
}
