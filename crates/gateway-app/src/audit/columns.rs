//! Whether the log is found by what it says: a search looks at columns that stand beside the recorded bytes, and the
//! tree vouches for the bytes alone. The comparison goes over the whole log in pieces, again and again.

use std::sync::atomic::{AtomicU64, Ordering};

use gateway_store::{Store, StoreError};

use crate::{App, AppError, Operator, record};

/// The most leaves of one piece; at one piece a minute, over a million in an hour.
const PIECE: u64 = 20_000;

/// How far the comparison of this process is.
#[derive(Debug, Default)]
pub struct ColumnsWatch {
    next: AtomicU64,
    wrong_in_round: AtomicU64,
}

impl ColumnsWatch {
    /// Compares the next piece. What is wrong is in [`Health`](crate::health::Health) until a whole round found nothing, and in
    /// the log once for each round: whoever alters a million rows does not fill the log as well.
    ///
    /// # Errors
    /// The store's.
    pub async fn tend(&self, app: &App) -> Result<(), AppError> {
        let size = app.store.events().head().await?.size;
        let mut next = self.next.load(Ordering::Relaxed);
        if next >= size {
            if self.wrong_in_round.swap(0, Ordering::Relaxed) == 0 {
                app.health.set_search_fault(None);
            }
            next = 0;
        }
        let end = size.min(next.saturating_add(PIECE));
        while next < end {
            next = match compare(&app.store, next, end).await? {
                (after, None) => after,
                (_, Some(wrong)) => {
                    if self.wrong_in_round.fetch_add(1, Ordering::Relaxed) == 0 {
                        alarm(app, wrong).await?;
                    }
                    // `audit verify` looks further into it.
                    end
                }
            };
            self.next.store(next, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The first leaf of the whole log that a search would show wrongly, or not at all.
///
/// # Errors
/// The store's.
pub async fn first_wrong(store: &Store) -> Result<Option<u64>, StoreError> {
    let size = store.events().head().await?.size;
    let mut next = 0;
    while next < size {
        let (after, wrong) = compare(store, next, size).await?;
        if wrong.is_some() {
            return Ok(wrong);
        }
        next = after;
    }
    Ok(None)
}

async fn compare(store: &Store, next: u64, end: u64) -> Result<(u64, Option<u64>), StoreError> {
    let compared = store.events().compare_columns(next, end).await?;
    Ok((compared.next, compared.first_wrong))
}

pub(super) async fn alarm(app: &App, index: u64) -> Result<(), AppError> {
    let text = format!(
        "ALARM: entry {index} of the audit log is not found by what it says: the columns beside it were altered"
    );
    tracing::error!(index, "searches of the audit log do not agree with the log");
    app.health.set_search_fault(Some(text.clone()));
    let mut event = Operator::system(&*app.clock, &*app.entropy).event("gateway:audit:search_alarm");
    event.parameters.insert("index".to_owned(), index.to_string());
    event.reason = Some(text);
    record(&app.store, event).await
}
