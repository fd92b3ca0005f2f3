//! Owners are told in time that a token of theirs ends.

use std::time::Duration;

use crate::App;
use crate::notify::Notice;

/// How long before its end an owner is told; of a token with a short life, when a quarter of it is left.
const IN_TIME: Duration = Duration::from_secs(14 * 24 * 3600);

/// Tells the owners of tokens that end soon, once for each end. Called every few minutes.
pub async fn warn_of_ends(app: &App) {
    let by = app.clock.now().saturating_add(IN_TIME);
    let ending = match app.store.tokens().take_ending(by).await {
        Ok(ending) => ending,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "tokens that end soon cannot be looked for"
            );
            return;
        }
    };
    for token in ending {
        let Some(expires) = token.expires else { continue };
        match app.store.users().by_id(token.creator).await {
            Ok(Some(owner)) => {
                let (token, last_used) = (token.name, token.last_used);
                app.notices
                    .notify(Notice::TokenEnding { token, owner: owner.email, expires, last_used })
                    .await;
            }
            // Its owner is gone, and so it does not work.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the owner of a token is not told of its end"
                );
            }
        }
    }
}
