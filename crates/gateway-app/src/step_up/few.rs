//! Telling a person that their backup codes run out: whenever one of the last was used, whichever way it came.

use gateway_store::Store;
use gateway_types::UserId;

use crate::notify::{BACKUP_CODES_LOW, Notice, Notices};

/// Tells of it, when few are left. Called after a backup code was spent. What goes wrong is logged: the code counts
/// either way.
pub async fn tell_of_few_codes(store: &Store, notices: &dyn Notices, user: UserId, email: &str) {
    let left = match store.factors().backup_codes_left(user).await {
        Ok(left) => u32::try_from(left).unwrap_or(u32::MAX),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "how many backup codes are left cannot be read"
            );
            return;
        }
    };
    if left <= BACKUP_CODES_LOW {
        notices.notify(Notice::BackupCodesLow { email: email.to_owned(), left }).await;
    }
}
