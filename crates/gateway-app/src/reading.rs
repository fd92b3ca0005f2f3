//! Looking at what the gateway keeps, without asking it: whoever can open the database needs nobody's
//! leave, but leaves a trace.

use std::collections::BTreeMap;

use gateway_audit::bounded;
use gateway_store::Store;

use crate::error::AppError;
use crate::{Operator, record};

/// Records, durably and before anything is shown, that the operator reads with `action`.
///
/// # Errors
/// Only the store's; then nothing must be shown.
pub async fn announce(
    store: &Store,
    operator: &Operator<'_>,
    action: &str,
    parameters: &[(&str, &str)],
) -> Result<(), AppError> {
    let mut event = operator.event(action);
    event.parameters = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), bounded(value)))
        .collect::<BTreeMap<_, _>>();
    record(store, event).await
}
