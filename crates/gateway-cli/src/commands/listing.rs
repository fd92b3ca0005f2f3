//! Whole listings of a gateway, page by page.

use std::time::Duration;

use gateway_client::{Client, ClientError, Page};
use gateway_types::ProblemKind;
use gateway_types::wire::Listing;

use crate::failure::Failure;
use crate::output::remark;
use crate::remote::Remote;

/// Items asked for at once.
const PAGE: u32 = 200;
/// The most items of one listing.
const MOST: usize = 20_000;

/// How often one request is made again because there were too many, at the most.
const MOST_WAITS: u32 = 100;
/// The longest that is waited before one of them, in seconds.
const LONGEST_WAIT: u64 = 60;

/// Asks once more whenever the gateway says that there were too many requests, after as long as it says.
///
/// # Errors
/// What the gateway says else.
pub(crate) async fn patiently<T>(ask: impl AsyncFn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    for _ in 0..MOST_WAITS {
        match ask().await {
            Err(error) if error.kind() == Some(ProblemKind::TooManyRequests) => {
                let told = error.refusal().and_then(|refusal| refusal.retry_after_seconds);
                tokio::time::sleep(Duration::from_secs(told.unwrap_or(1).clamp(1, LONGEST_WAIT))).await;
            }
            answer => return answer,
        }
    }
    ask().await
}

/// Items of a listing, and whether there are more than are taken.
pub(crate) struct Taken<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Whether the listing goes on.
    pub(crate) is_cut: bool,
}

/// Every item of a listing; of a very long one the first, which is said.
///
/// # Errors
/// What the gateway says.
pub(crate) async fn every<T, R>(remote: &Remote, search: Option<&str>, page: R) -> Result<Vec<T>, Failure>
where
    R: AsyncFn(&Client, &Page) -> Result<Listing<T>, ClientError>,
{
    let Taken { items, is_cut } = take(remote, search, page).await?;
    if is_cut {
        remark("warning: the listing is longer than what is shown; search for less");
    }
    Ok(items)
}

/// The items of a listing, page by page, up to a bound.
///
/// # Errors
/// What the gateway says.
pub(crate) async fn take<T, R>(remote: &Remote, search: Option<&str>, page: R) -> Result<Taken<T>, Failure>
where
    R: AsyncFn(&Client, &Page) -> Result<Listing<T>, ClientError>,
{
    let mut items = Vec::new();
    let mut asked = Page { cursor: None, limit: Some(PAGE), search: search.map(str::to_owned) };
    loop {
        let listing = remote.ask(async |client| patiently(async || page(client, &asked).await).await).await?;
        items.extend(listing.items);
        match listing.next {
            // A gateway that names the same page again would be asked for ever.
            Some(next) if asked.cursor.as_ref() != Some(&next) && items.len() < MOST => {
                asked.cursor = Some(next)
            }
            Some(_) => return Ok(Taken { items, is_cut: true }),
            None => return Ok(Taken { items, is_cut: false }),
        }
    }
}

/// A moment for a table: `2026-11-22 04:13`.
pub(crate) fn minute(time: Option<&str>, never: &str) -> String {
    time.map_or_else(
        || never.to_owned(),
        |time| time.get(..16).map_or_else(|| time.to_owned(), |text| text.replace('T', " ")),
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_gateway_that_is_asked_too_often_is_waited_for() {
        let refused = || {
            let refusal =
                json!({ "type": "/problems/too-many-requests", "status": 429, "retry_after_seconds": 1 });
            ClientError::Refused { refusal: Box::new(serde_json::from_value(refusal).unwrap()) }
        };
        let (began, tries) = (Instant::now(), Cell::new(0));
        let answer = patiently(async || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(refused()) } else { Ok("here") }
        });
        assert_eq!(answer.await.unwrap(), "here");
        assert!(began.elapsed() >= Duration::from_secs(2), "twice as long as it said");
    }
}
