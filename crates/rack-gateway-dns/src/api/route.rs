//! From method, path and query to an operation. One table, from which the OpenAPI document is made too.

use std::time::Duration;

use http::Method;
use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// How long a caller may wait for a back end, in seconds.
const LONGEST_WAIT: u64 = 60;

/// How many names a page has, and at most.
const PAGE: usize = 100;
const LONGEST_PAGE: usize = 1000;

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    ListZones,
    ShowZone,
    ListNames,
    ShowName,
    PutName,
    DeleteName,
    ShowChange,
    Drift,
    Openapi,
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) operation: Operation,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// Query parameters and what they are.
    pub(crate) query: &'static [(&'static str, &'static str)],
}

const WAIT: (&str, &str) =
    ("wait", "How long to wait until the back end has it, such as 10s; at most 60s. Without it: not at all.");

/// Every operation there is.
pub(crate) const ROWS: &[Row] = &[
    Row {
        method: "GET",
        path: "/zones",
        operation: Operation::ListZones,
        id: "listZones",
        summary: "The zones that the caller can read.",
        query: &[],
    },
    Row {
        method: "GET",
        path: "/zones/{zone}",
        operation: Operation::ShowZone,
        id: "showZone",
        summary: "One zone and how it stands.",
        query: &[],
    },
    Row {
        method: "GET",
        path: "/zones/{zone}/names",
        operation: Operation::ListNames,
        id: "listNames",
        summary: "The names that are held, in order, a page at a time.",
        query: &[("after", "The last name of the page before."), ("limit", "How many, at most 1000.")],
    },
    Row {
        method: "GET",
        path: "/zones/{zone}/names/{name}",
        operation: Operation::ShowName,
        id: "showName",
        summary: "The record sets of a name, as desired.",
        query: &[],
    },
    Row {
        method: "PUT",
        path: "/zones/{zone}/names/{name}",
        operation: Operation::PutName,
        id: "putName",
        summary: "Says all record sets that a name is to have.",
        query: &[WAIT],
    },
    Row {
        method: "DELETE",
        path: "/zones/{zone}/names/{name}",
        operation: Operation::DeleteName,
        id: "deleteName",
        summary: "Says that a name is to have no record sets.",
        query: &[WAIT],
    },
    Row {
        method: "GET",
        path: "/zones/{zone}/changes/{revision}",
        operation: Operation::ShowChange,
        id: "showChange",
        summary: "How a change stands.",
        query: &[],
    },
    Row {
        method: "GET",
        path: "/drift",
        operation: Operation::Drift,
        id: "showDrift",
        summary: "Where back ends do not have what is desired.",
        query: &[],
    },
    Row {
        method: "GET",
        path: "/openapi.json",
        operation: Operation::Openapi,
        id: "openapi",
        summary: "This document.",
        query: &[],
    },
];

/// What was asked, and of what.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) operation: Operation,
    /// As written; empty where the path has none.
    pub(crate) zone: String,
    /// The name, or the revision.
    pub(crate) item: String,
}

impl Target {
    pub(crate) fn of(method: &Method, path: &str) -> Result<Self, Problem> {
        let segments: Vec<&str> = path.split('/').collect();
        let rows: Vec<&Row> = ROWS.iter().filter(|row| fits(row.path, &segments)).collect();
        if rows.is_empty() {
            return Err(Problem::NoRoute);
        }
        let row = rows.iter().find(|row| row.method == method.as_str());
        let row = row.ok_or_else(|| {
            Problem::OtherMethod(rows.iter().map(|row| row.method).collect::<Vec<_>>().join(", "))
        })?;
        let part = |index: usize| {
            let text = segments.get(index).copied().unwrap_or_default();
            percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| Problem::NoRoute)
        };
        Ok(Self { operation: row.operation, zone: part(2)?, item: part(4)? })
    }
}

fn fits(template: &str, segments: &[&str]) -> bool {
    let mut parts = template.split('/');
    let fits = segments.iter().all(|segment| match parts.next() {
        Some(part) if part.starts_with('{') => !segment.is_empty(),
        Some(part) => part == *segment,
        None => false,
    });
    fits && parts.next().is_none()
}

/// The query, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) wait: Option<Duration>,
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

impl Query {
    pub(crate) fn of(operation: Operation, text: Option<&str>) -> Result<Self, Problem> {
        let known = ROWS.iter().find(|row| row.operation == operation).map_or(&[][..], |row| row.query);
        let mut query = Self { limit: PAGE, ..Self::default() };
        let mut seen = Vec::new();
        for (key, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            if !known.iter().any(|(name, _)| *name == key) || seen.contains(&key) {
                return Err(Problem::Query(key.chars().take(40).collect()));
            }
            let bad = || Problem::Query(key.to_string());
            match &*key {
                "wait" => query.wait = Some(wait(&value).ok_or_else(bad)?),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
                    query.limit = limit.ok_or_else(bad)?;
                }
                _ => query.after = Some(value.into_owned()),
            }
            seen.push(key);
        }
        Ok(query)
    }
}

/// Whole seconds, with or without their unit.
fn wait(text: &str) -> Option<Duration> {
    let seconds: u64 = text.strip_suffix('s').unwrap_or(text).parse().ok()?;
    (seconds <= LONGEST_WAIT).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_are() {
        let check = |method: &str, path: &str, expected: Option<Operation>| {
            let found = Target::of(&method.parse().unwrap(), path).ok().map(|target| target.operation);
            assert_eq!(found, expected, "{method} {path}");
        };
        check("GET", "/zones", Some(Operation::ListZones));
        check("GET", "/zones/corp.test/names/%2A.corp.test", Some(Operation::ShowName));
        check("PUT", "/zones/corp.test/names/a.corp.test", Some(Operation::PutName));
        check("POST", "/zones", None);
        check("GET", "/zones/", None);
        check("GET", "//zones", None);
        check("GET", "/zones/corp.test/names/", None);
        check("GET", "/zones/corp.test/names/a/b", None);
        check("GET", "/zones/corp.test/names/%ff", None);
        check("GET", "/zones/../drift", None);
        assert!(
            matches!(Target::of(&Method::POST, "/drift"), Err(Problem::OtherMethod(allow)) if allow == "GET")
        );
    }

    #[test]
    fn queries_are_known() {
        let check = |text: &str, expected: bool| {
            assert_eq!(Query::of(Operation::PutName, Some(text)).is_ok(), expected, "{text}");
        };
        check("", true);
        check("wait=10s", true);
        check("wait=0", true);
        check("wait=61s", false);
        check("wait=1&wait=1", false);
        check("wait=-1", false);
        check("limit=1", false);
        assert!(Query::of(Operation::ListNames, Some("limit=0")).is_err());
        assert!(Query::of(Operation::ListNames, Some("limit=1000&after=a.b")).is_ok());
    }
}
