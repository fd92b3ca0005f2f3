//! Owners are told in time that a token of theirs ends.

use std::time::Duration;

use gateway_store::{ApiToken, StoreError};

use crate::App;
use crate::notify::Notice;

/// How long before its end an owner is told; of a token with a short life, when a quarter of it is left.
const IN_TIME: Duration = Duration::from_secs(14 * 24 * 3600);

/// Who warns, and the longest that it takes.
const WARNING: &str = "token-ends";
const WARNING_TTL: Duration = Duration::from_secs(120);

/// Tells the owners of tokens that end soon, once for each end; by one instance at a time, and again when it is killed
/// before that is noted. Called every few minutes.
pub async fn warn_of_ends(app: &App) {
    let by = app.clock.now().saturating_add(IN_TIME);
    let warned = async {
        let lease = app.store.leases().acquire(WARNING, WARNING_TTL, Duration::ZERO).await?;
        warn(app, app.store.tokens().ending(by).await?).await?;
        lease.release().await
    };
    match warned.await {
        // Another instance does it.
        Ok(()) | Err(StoreError::LeaseHeld { .. }) => {}
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "owners of tokens that end soon cannot be told"
            );
        }
    }
}

async fn warn(app: &App, ending: Vec<ApiToken>) -> Result<(), StoreError> {
    for token in ending {
        let Some(expires) = token.expires else { continue };
        // Without its owner it does not work, and nobody is told.
        if let Some(owner) = app.store.users().by_id(token.creator).await? {
            let (name, last_used) = (token.name, token.last_used);
            let ending = Notice::TokenEnding { token: name, owner: owner.email, expires, last_used };
            app.notices.notify(ending).await;
        }
        app.store.tokens().warned(token.id, expires).await?;
    }
    Ok(())
}
