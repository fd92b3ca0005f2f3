//! People, as far as others need them: found by address, made at first sight when a list names them.

use gateway_store::{NewUser, Store, StoreError, User, canonical_email};
use gateway_types::RoleSet;

use crate::error::AppError;
use crate::{Operator, record};

/// A person, and whether this was the first sight of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sight {
    /// They were made by this call.
    First(User),
    /// They were there already.
    Again(User),
}

impl Sight {
    /// The person.
    pub fn into_user(self) -> User {
        match self {
            Sight::First(user) | Sight::Again(user) => user,
        }
    }
}

/// The person with this address. Somebody whom the configuration's lists name (`listed`) is made at
/// first sight; a row that exists is never touched.
///
/// # Errors
/// [`AppError::UnknownPerson`] when there is no row and no list names the address.
pub async fn at_first_sight(
    store: &Store,
    operator: &Operator<'_>,
    email: &str,
    listed: RoleSet,
) -> Result<Sight, AppError> {
    let email = canonical_email(email);
    if let Some(user) = store.users().by_email(&email).await? {
        return Ok(Sight::Again(user));
    }
    if listed.is_empty() {
        return Err(AppError::UnknownPerson { email });
    }
    let mut event = operator.event("gateway:user:invite");
    event.parameters.insert("email".to_owned(), email.clone());
    event.parameters.insert("roles".to_owned(), listed.to_string());
    event.reason = Some("named in the configuration, seen for the first time".to_owned());
    record(store, event).await?;
    let new = NewUser { email: email.clone(), name: email.clone(), roles: listed };
    match store.users().create(new).await {
        Ok(user) => Ok(Sight::First(user)),
        // Another instance saw the person at the same moment.
        Err(StoreError::Exists) => {
            let user = store.users().by_email(&email).await?;
            Ok(Sight::Again(user.ok_or(AppError::UnknownPerson { email })?))
        }
        Err(error) => Err(error.into()),
    }
}
