//! Listings: how much of one is asked for, and requests that say nothing beside their path.

use gateway_app::control::OwnRequest;
use gateway_types::Problem;
use gateway_types::wire::Listing;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input::{self, bad};

/// Items of a page, unless somebody says.
const USUAL: u32 = 50;

/// The most items of a page.
const MOST: u32 = 200;

/// The query of a listing without a search.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// `next` of the page before.
    #[serde(default)]
    pub(crate) cursor: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
}

/// The query of a listing with a search.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Searching {
    /// `next` of the page before.
    #[serde(default)]
    pub(crate) cursor: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
    /// Only items that contain this.
    #[serde(default)]
    pub(crate) q: Option<String>,
}

/// The items of a page.
///
/// # Errors
/// A problem when it is not 1 to 200.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked {
        None => Ok(USUAL),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(_) => Err(bad(format!("a page has 1 to {MOST} items"))),
    }
}

/// A page of the store as a listing of the API.
pub(crate) fn listing<T, W>(page: gateway_store::Page<T>, shown: impl Fn(T) -> W) -> Listing<W> {
    Listing { items: page.items.into_iter().map(shown).collect(), next: page.next }
}

/// A query that says nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Refuses a query where none means anything.
///
/// # Errors
/// A problem that names the parameter.
pub(crate) fn no_query(request: &OwnRequest) -> Result<(), Problem> {
    input::query::<Nothing>(request).map(|Nothing {}| ())
}

/// Refuses a query and a body where none means anything.
///
/// # Errors
/// A problem.
pub(crate) fn bare(request: &OwnRequest) -> Result<(), Problem> {
    no_query(request)?;
    if request.body.is_empty() { Ok(()) } else { Err(bad("this operation takes no body")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded() {
        assert_eq!(
            (limit(None).ok(), limit(Some(1)).ok(), limit(Some(200)).ok()),
            (Some(50), Some(1), Some(200))
        );
        assert!(limit(Some(0)).is_err() && limit(Some(201)).is_err());
    }
}
