//! Sessions opened for people by somebody else than a sign-in page: each an event before it is made.

use gateway_store::{NewSession, Session, Store};
use gateway_types::Secret;

use crate::error::AppError;
use crate::{Operator, record};

/// Opens a session; its secret is shown once.
///
/// # Errors
/// The store's; nothing is opened when it cannot be recorded.
///
/// # Security
/// Whoever calls this vouches for the person. Only commands on the server's own machine may.
pub async fn open(
    store: &Store,
    operator: &Operator<'_>,
    new: NewSession,
) -> Result<(Session, Secret<String>), AppError> {
    let mut event = operator.event("gateway:session:open");
    event.parameters.insert("user".to_owned(), new.user.to_string());
    event.parameters.insert("kind".to_owned(), new.kind.name().to_owned());
    event.parameters.insert("expires".to_owned(), new.expires.to_rfc3339());
    record(store, event).await?;
    Ok(store.sessions().create(new).await?)
}
