//! Whole listings of a gateway, page by page.

use gateway_client::{Client, ClientError, Page};
use gateway_types::wire::Listing;

use crate::failure::Failure;
use crate::output::remark;
use crate::remote::Remote;

/// Items asked for at once.
const PAGE: u32 = 200;
/// The most items of one listing.
const MOST: usize = 20_000;

/// Every item of a listing.
///
/// # Errors
/// What the gateway says.
pub(crate) async fn every<T, R>(remote: &Remote, search: Option<&str>, page: R) -> Result<Vec<T>, Failure>
where
    R: AsyncFn(&Client, &Page) -> Result<Listing<T>, ClientError>,
{
    let mut items = Vec::new();
    let mut asked = Page { cursor: None, limit: Some(PAGE), search: search.map(str::to_owned) };
    loop {
        let listing = remote.ask(async |client| page(client, &asked).await).await?;
        items.extend(listing.items);
        match listing.next {
            // A gateway that names the same page again would be asked for ever.
            Some(next) if asked.cursor.as_ref() != Some(&next) && items.len() < MOST => {
                asked.cursor = Some(next)
            }
            Some(_) => {
                remark("warning: the listing is longer than what is shown; search for less");
                return Ok(items);
            }
            None => return Ok(items),
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
