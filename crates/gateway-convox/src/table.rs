//! The route table: every operation of the rack API that exists for this gateway. A request that has
//! no row here has no operation, and is refused.
//!
//! It knows rows and how to find one; not callers, and not what policy makes of a row.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_types::Operation;

use crate::error::{PathFault, RouteError, RowFault, TableError};
use crate::method::Method;
use crate::path;
use crate::request::Identified;
use crate::template::PathClass;

mod notation;
mod row;

pub use row::{BodyKind, Row};

/// The table shipped with the gateway.
const BUILTIN: &str = include_str!("../data/routes.tsv");

/// How a request asks to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RequestKind {
    /// Ordinary HTTP.
    Plain,
    /// GET with `Upgrade: websocket`.
    Socket,
}

/// Where rows come from: only the built-in table's notes have a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    Builtin,
    Operator,
}

/// All rows, in the order in which they are tried.
#[derive(Clone, Debug)]
pub struct RouteTable {
    rows: Vec<Arc<Row>>,
}

impl RouteTable {
    /// The table shipped with the gateway.
    ///
    /// # Errors
    /// None in a release: a test reads it.
    pub fn builtin() -> Result<RouteTable, TableError> {
        RouteTable::parse(BUILTIN)
    }

    /// Reads a table in the format of `data/routes.tsv`; lines that begin with `#` and blank lines are skipped.
    ///
    /// # Errors
    /// The first line that is no row, or that can never be reached.
    pub fn parse(tsv: &str) -> Result<RouteTable, TableError> {
        RouteTable { rows: Vec::new() }.extended(tsv, Origin::Builtin)
    }

    /// Adds the operator's own rows, tried after the present ones.
    ///
    /// # Errors
    /// As [`RouteTable::parse`], with line numbers within `extra_tsv`. Notes that change what the
    /// gateway does are refused.
    pub fn with_rows(self, extra_tsv: &str) -> Result<RouteTable, TableError> {
        self.extended(extra_tsv, Origin::Operator)
    }

    fn extended(mut self, tsv: &str, origin: Origin) -> Result<RouteTable, TableError> {
        for (at, line) in tsv.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') || line.starts_with("method\t") {
                continue;
            }
            let fault = |fault| TableError::Row { line: at + 1, fault };
            let row = Row::parse(line, origin).map_err(fault)?;
            self.check_reachable(&row).map_err(fault)?;
            self.rows.push(Arc::new(row));
        }
        Ok(self)
    }

    fn check_reachable(&self, row: &Row) -> Result<(), RowFault> {
        let hides =
            |earlier: &&Arc<Row>| earlier.method.covers(row.method) && earlier.template.covers(&row.template);
        let Some(earlier) = self.rows.iter().find(hides) else { return Ok(()) };
        let route = earlier.operation.route.to_string();
        let same = row.method.covers(earlier.method) && row.template.covers(&earlier.template);
        Err(if same { RowFault::Duplicate { route } } else { RowFault::Unreachable { route } })
    }

    /// Switches on refused rows by their action, with or without the leading `convox:`. They become
    /// class *critical*.
    ///
    /// # Errors
    /// An action that no row has, or whose rows are not refused.
    pub fn switched_on(mut self, actions: &[String]) -> Result<RouteTable, TableError> {
        for action in actions {
            let full_name = format!("convox:{}", action.strip_prefix("convox:").unwrap_or(action));
            let mut known = false;
            let mut switched = false;
            for row in &mut self.rows {
                if row.operation.action.as_str() == full_name {
                    known = true;
                    switched |= row.is_refusable();
                    Arc::make_mut(row).switch_on();
                }
            }
            match (known, switched) {
                (_, true) => {}
                (true, false) => return Err(TableError::NotRefused { action: action.clone() }),
                (false, false) => return Err(TableError::UnknownAction { action: action.clone() }),
            }
        }
        Ok(self)
    }

    /// The rows, in the order in which they are tried; also refused ones.
    pub fn rows(&self) -> &[Arc<Row>] {
        &self.rows
    }

    /// Every operation that can be asked for: one for each row, and the derived ones. Refused rows
    /// are left out unless switched on.
    pub fn operations(&self) -> Vec<Operation> {
        self.rows
            .iter()
            .filter(|row| row.is_enabled())
            .flat_map(|row| std::iter::once(&row.operation).chain(row.unlock.as_ref()))
            .cloned()
            .collect()
    }

    /// Finds the row of a request. `raw_path` is the path as sent, after the proxy prefix was removed
    /// and without the query.
    ///
    /// The first row with this method and shape is taken; if a part of the path is not of its class,
    /// no later row is tried.
    ///
    /// # Errors
    /// See [`RouteError`]. A refused row answers as if it did not exist.
    pub fn identify(
        &self,
        method: &str,
        raw_path: &str,
        kind: RequestKind,
    ) -> Result<Identified, RouteError> {
        let segments = path::decode(raw_path).map_err(|reason| RouteError::MalformedPath { reason })?;
        let parsed = Method::parse(method);
        let mut allowed = BTreeSet::new();
        let mut has_shape = false;
        for row in &self.rows {
            let Some(captures) = row.template.captures(&segments) else { continue };
            has_shape = true;
            let accepting = parsed.filter(|method| row.accepts(*method, kind));
            match (accepting, row.is_enabled()) {
                (Some(method), true) => return identified(row, method, captures),
                (Some(_), false) => return Err(RouteError::UnknownRoute),
                (None, true) => allowed.extend(row.method.allowed().into_iter().map(Method::name)),
                (None, false) => {}
            }
        }
        if !has_shape && segments.iter().any(String::is_empty) {
            return Err(RouteError::MalformedPath { reason: PathFault::EmptySegment });
        }
        // A socket row without the upgrade, or the reverse: the rack answers 404 to the first, and
        // the second would be answered as plain HTTP, which nobody asked for.
        if kind == RequestKind::Socket || allowed.is_empty() || allowed.contains(method) {
            return Err(RouteError::UnknownRoute);
        }
        Err(RouteError::MethodNotAllowed { allowed: allowed.into_iter().map(str::to_owned).collect() })
    }
}

fn identified(row: &Arc<Row>, method: Method, captures: Vec<String>) -> Result<Identified, RouteError> {
    let mut values = Vec::with_capacity(captures.len());
    for (slot, value) in row.template.slots().zip(captures) {
        // The rack names an object itself when a POST gives no key.
        let unnamed_object = slot.class == PathClass::Key && value.is_empty() && method == Method::Post;
        if !unnamed_object && !slot.class.admits(&value) {
            return Err(RouteError::BadPathParameter { name: slot.name.clone() });
        }
        let has_empty = value.split('/').any(str::is_empty);
        if has_empty && !unnamed_object && !slot.class.admits_empty_segments() {
            return Err(RouteError::MalformedPath { reason: PathFault::EmptySegment });
        }
        values.push((slot.name.clone(), value));
    }
    Ok(Identified::new(Arc::clone(row), method, values))
}

#[cfg(test)]
pub(crate) mod tests;
