//! From rows to typed values, and what may go into a row. Knows no table.

use std::str::FromStr;

use gateway_types::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;

/// One page of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The things on the page, in the listing's order.
    pub items: Vec<T>,
    /// What to pass as the cursor for the next page; `None` when this is the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Cuts a result that was asked for with one row more than `limit`.
    pub(crate) fn cut(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Page<T> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let next = if items.len() > limit {
            items.truncate(limit);
            items.last().map(cursor)
        } else {
            None
        };
        Page { items, next }
    }
}

/// The most rows of one page, whatever is asked for.
const MOST_ROWS: u32 = 1000;

/// A usable page size: at least 1, at most 1000.
pub(crate) fn page_size(limit: u32) -> u32 {
    limit.clamp(1, MOST_ROWS)
}

/// A column that holds an id, a set of roles, or anything else with a text form.
pub(crate) fn parsed<T: FromStr>(row: &AnyRow, column: &str, what: &'static str) -> Result<T, StoreError> {
    row.try_get::<String, _>(column)?.parse().map_err(|_bad| StoreError::Corrupt { what })
}

/// The same, where the column may be NULL.
pub(crate) fn optional_parsed<T: FromStr>(
    row: &AnyRow,
    column: &str,
    what: &'static str,
) -> Result<Option<T>, StoreError> {
    row.try_get::<Option<String>, _>(column)?
        .map(|text| text.parse().map_err(|_bad| StoreError::Corrupt { what }))
        .transpose()
}

/// A moment.
pub(crate) fn moment(row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_micros(row.try_get(column)?))
}

/// A moment that may be NULL.
pub(crate) fn optional_moment(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros))
}

/// Refuses a text that PostgreSQL could not keep, on both databases alike.
pub(crate) fn storable(field: &'static str, text: &str) -> Result<(), StoreError> {
    if text.contains('\0') { Err(StoreError::NotStorable { field }) } else { Ok(()) }
}
