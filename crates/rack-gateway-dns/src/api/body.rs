//! The body of a write, and its conditions.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use tokio::time::timeout;

use super::problem::Problem;
use crate::record::{NameSets, RawSet, TtlLimits, parse_sets};

/// The largest body, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// How long a body may take.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawName {
    sets: Vec<RawSet>,
}

/// The sets that a body says.
pub(super) async fn sets<B>(headers: &HeaderMap, body: B, ttl: TtlLimits) -> Result<NameSets, Problem>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::OtherContent);
    }
    let limited = Limited::new(body, MOST_BYTES);
    let collected = timeout(LIMIT, limited.collect()).await.map_err(|_late| Problem::TooSlow)?;
    let bytes = collected.map_err(|error| match error.is::<LengthLimitError>() {
        true => Problem::TooLarge,
        false => Problem::Broken,
    })?;
    let raw: RawName = serde_json::from_slice(&bytes.to_bytes()).map_err(Problem::Body)?;
    if raw.sets.is_empty() {
        return Err(Problem::Empty);
    }
    Ok(parse_sets(&raw.sets, ttl)?)
}

/// What must be so for a write to be done (RFC 9110, section 13.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Condition {
    matches: Option<Tags>,
    matches_none: Option<Tags>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Tags {
    Any,
    These(Vec<String>),
}

impl Condition {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self { matches: tags(headers, IF_MATCH)?, matches_none: tags(headers, IF_NONE_MATCH)? })
    }

    /// Whether it holds for what is there now.
    pub(super) fn holds(&self, there: Option<&str>) -> bool {
        let is_among = |tags: &Tags| match (tags, there) {
            (_, None) => false,
            (Tags::Any, Some(_)) => true,
            (Tags::These(tags), Some(there)) => tags.iter().any(|tag| tag == there),
        };
        self.matches.as_ref().is_none_or(is_among) && !self.matches_none.as_ref().is_some_and(is_among)
    }
}

/// The tags of a header. Weak ones stay as they are, so that they never equal a strong one.
fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>, Problem> {
    let mut found = Vec::new();
    for value in headers.get_all(name) {
        for tag in value.to_str().map_err(|_| Problem::Condition)?.split(',') {
            found.push(tag.trim().to_owned());
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [any] if any == "*" => Ok(Some(Tags::Any)),
        tags if tags.iter().all(|tag| tag.len() >= 2 && tag.ends_with('"')) => Ok(Some(Tags::These(found))),
        _ => Err(Problem::Condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_strong() {
        let check = |name: HeaderName, value: &str, there: Option<&str>, expected: Option<bool>| {
            let mut headers = HeaderMap::new();
            headers.insert(name.clone(), value.parse().unwrap());
            let found = Condition::of(&headers).ok().map(|condition| condition.holds(there));
            assert_eq!(found, expected, "{name}: {value} for {there:?}");
        };
        check(IF_MATCH, "\"1\"", Some("\"1\""), Some(true));
        check(IF_MATCH, "\"0\", \"1\"", Some("\"1\""), Some(true));
        check(IF_MATCH, "\"0\"", Some("\"1\""), Some(false));
        check(IF_MATCH, "W/\"1\"", Some("\"1\""), Some(false));
        check(IF_MATCH, "*", Some("\"1\""), Some(true));
        check(IF_MATCH, "*", None, Some(false));
        check(IF_MATCH, "1", Some("\"1\""), None);
        check(IF_MATCH, "*, \"1\"", Some("\"1\""), None);
        check(IF_NONE_MATCH, "*", None, Some(true));
        check(IF_NONE_MATCH, "*", Some("\"1\""), Some(false));
    }
}
