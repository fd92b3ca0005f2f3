//! The gateway's own operations: `data/gateway-routes.tsv` as a table that paths are looked up in.
//!
//! Its job: turn a method and a path into the one row they name, or refuse. It must not know what an
//! operation does, nor decode, normalise or repair a path: a path that is not spelled plainly names nothing.

use std::sync::Arc;

use gateway_types::{Operation, Resource};

mod rack_page;
mod row;
mod template;

#[cfg(test)]
mod tests;

pub use rack_page::RackPage;
use rack_page::RackPageRow;
use row::Row;
use template::Template;
pub use template::is_plain_segment;

const BUILTIN: &str = include_str!("../data/gateway-routes.tsv");
const PAGES: &str = include_str!("../data/pages.tsv");

/// Why a route table could not be read. Each is a fault of the file, found by the tests of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnTableError {
    /// A line has not six columns.
    #[error("line {line} of the gateway's route table has {found} columns instead of 6")]
    Columns {
        /// Line number, from 1.
        line: usize,
        /// How many columns it has.
        found: usize,
    },
    /// A line names no known class.
    #[error("line {line} of the gateway's route table has the unknown class `{class}`")]
    UnknownClass {
        /// Line number, from 1.
        line: usize,
        /// What stands there.
        class: String,
    },
    /// A line names no known role.
    #[error("line {line} of the gateway's route table has the unknown role `{role}`")]
    UnknownRole {
        /// Line number, from 1.
        line: usize,
        /// What stands there.
        role: String,
    },
    /// A path template is not made of plain segments, `{name}` and one last `{name*}`.
    #[error("line {line} of the gateway's route table has the malformed path `{path}`")]
    Path {
        /// Line number, from 1.
        line: usize,
        /// What stands there.
        path: String,
    },
    /// Class `open` and role `public` stand together or not at all.
    #[error("line {line} of the gateway's route table: class open and role public belong together")]
    OpenIsPublic {
        /// Line number, from 1.
        line: usize,
    },
    /// Two lines have the same method and path.
    #[error("line {line} of the gateway's route table repeats `{route}`")]
    Duplicate {
        /// Line number of the second one, from 1.
        line: usize,
        /// The route.
        route: String,
    },
    /// A page shows or does an operation that there is not, or lacks one of its parameters.
    #[error(
        "line {line} of the table of pages names `{operation}`, which is no operation or has other parameters"
    )]
    Page {
        /// Line number, from 1.
        line: usize,
        /// What stands there.
        operation: String,
    },
}

/// Why a method and a path name no operation of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnRouteError {
    /// No row has this path, or the path is not spelled plainly.
    #[error("the gateway has no such operation")]
    Unknown,
    /// Rows have this path, with other methods.
    #[error("this path takes only {}", allowed.join(", "))]
    MethodNotAllowed {
        /// The methods it takes, sorted.
        allowed: Vec<String>,
    },
}

/// A row together with what the path said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRoute {
    /// The row.
    pub operation: Arc<Operation>,
    /// The page that was asked for, `METHOD /template`, when a browser's form may come this way.
    pub page: Option<Arc<str>>,
    /// Names and values of the template's parameters, in the order of the path.
    pub parameters: Vec<(String, String)>,
    /// The app that it is about, when the path does not name one and somebody knows it.
    pub about: Option<String>,
}

impl OwnRoute {
    /// What the row is about: the app that its path names or that it is known to be about, else the gateway.
    pub fn resource(&self) -> Resource {
        let app = self.parameters.iter().find(|(name, _)| name == "app").map(|(_, app)| app);
        app.or(self.about.as_ref()).map_or_else(Resource::gateway, |app| Resource::app(app))
    }
}

/// The table of the gateway's own operations.
#[derive(Debug, Clone)]
pub struct OwnTable {
    /// In the order of the file.
    operations: Vec<Arc<Operation>>,
    /// Most literal template first, so that the first match is the one meant.
    rows: Vec<Row>,
    /// Pages that show or do an operation of the rack, in the same order.
    rack_pages: Vec<RackPageRow>,
}

/// Which listener a row answers on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    Main,
    Second,
    /// The main one, at hosts that are services' own.
    ServiceHosts,
}

impl OwnTable {
    /// The table compiled in.
    ///
    /// # Errors
    /// When the file is malformed; the tests of this crate read it, so a released binary never answers so.
    pub fn builtin() -> Result<Self, OwnTableError> {
        Self::parse(BUILTIN)?.with_pages(PAGES)
    }

    /// The same with pages: further paths to operations that are there.
    fn with_pages(mut self, text: &str) -> Result<Self, OwnTableError> {
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') || line.starts_with("method\t") {
                continue;
            }
            let columns: Vec<&str> = line.split('\t').collect();
            let [method, page, operation] = columns.as_slice() else {
                return Err(OwnTableError::Columns { line: index + 1, found: columns.len() });
            };
            let unknown = || OwnTableError::Page { line: index + 1, operation: (*operation).to_owned() };
            if let Some(of_rack) = operation.strip_prefix("rack ") {
                self.rack_pages.push(RackPageRow::parse(method, page, of_rack).ok_or_else(unknown)?);
                continue;
            }
            let shown = self
                .rows
                .iter()
                .find(|row| row.page.is_none() && *row.operation.route == **operation)
                .ok_or_else(unknown)?;
            let template = Template::of(page);
            if !template.is_well_formed() || !template.has_parameters_of(&shown.template) {
                return Err(unknown());
            }
            let row = Row {
                method: (*method).to_owned(),
                listener: shown.listener,
                template,
                operation: Arc::clone(&shown.operation),
                page: Some(format!("{method} {page}").into()),
            };
            // The operation's own path: the page takes its place.
            self.rows.retain(|other| other.method != row.method || other.template != row.template);
            self.rows.push(row);
        }
        self.rows.sort_by(|a, b| a.template.cmp_literal_first(&b.template));
        self.rack_pages.sort_by(|a, b| a.template.cmp_literal_first(&b.template));
        Ok(self)
    }

    /// The page of an operation of the rack that a request on the main listener names, with the request of the rack
    /// that it stands for; `socket` says whether the request opens a WebSocket. `None` when there is no such page.
    ///
    /// # Security
    /// As [`OwnTable::identify`]: nothing is decoded or repaired. What the rack would be asked is only a spelling until
    /// the rack's own grammar has read it.
    pub fn rack_page(&self, method: &str, path: &str, socket: bool) -> Option<RackPage> {
        let segments = split(path)?;
        let mut rows = self.rack_pages.iter().filter(|row| row.method == method && row.is_socket() == socket);
        rows.find_map(|row| row.at(&segments))
    }

    /// Every page of an operation of the rack, `METHOD /template`, with that operation's route as the rack's table
    /// spells it: `GET /apps`, `SOCKET /apps/{app}/logs`.
    pub fn rack_pages(&self) -> impl Iterator<Item = (&Arc<str>, &str)> {
        self.rack_pages.iter().map(|row| (&row.page, &*row.route))
    }

    /// Every page, `METHOD /template`, with the operation that it shows or does.
    pub fn pages(&self) -> Vec<(Arc<str>, Arc<Operation>)> {
        self.rows
            .iter()
            .filter_map(|row| row.page.clone().map(|page| (page, Arc::clone(&row.operation))))
            .collect()
    }

    fn parse(text: &str) -> Result<Self, OwnTableError> {
        let mut rows: Vec<Row> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') || line.starts_with("method\t") {
                continue;
            }
            let row = Row::parse(index + 1, line)?;
            if rows.iter().any(|earlier| earlier.operation.route == row.operation.route) {
                return Err(OwnTableError::Duplicate {
                    line: index + 1,
                    route: row.operation.route.to_string(),
                });
            }
            rows.push(row);
        }
        let operations = rows.iter().map(|row| Arc::clone(&row.operation)).collect();
        rows.sort_by(|a, b| a.template.cmp_literal_first(&b.template));
        Ok(Self { operations, rows, rack_pages: Vec::new() })
    }

    /// Every operation, in the order of the file.
    pub fn operations(&self) -> Vec<Operation> {
        self.operations.iter().map(|operation| operation.as_ref().clone()).collect()
    }

    /// The row that a request on the main listener names. `path` is the whole path as sent, without
    /// query: `/api/v1/users/018f…`.
    ///
    /// # Errors
    /// [`OwnRouteError::Unknown`] when no row has the path, [`OwnRouteError::MethodNotAllowed`] when only
    /// other methods have it.
    ///
    /// # Security
    /// Segments are `[A-Za-z0-9._:@+=,~-]{1,200}` and neither `.` nor `..`. Nothing is decoded: a
    /// percent-encoded, doubled or trailing slash names nothing, so that no two spellings of a path
    /// can be told apart by anything in front of or behind the gateway. Rows of the second listener
    /// are unknown here.
    pub fn identify(&self, method: &str, path: &str) -> Result<OwnRoute, OwnRouteError> {
        self.identify_on(Listener::Main, method, path)
    }

    /// The row that a request on the second, never public, listener names.
    ///
    /// # Errors
    /// As [`OwnTable::identify`]; the rows of the main listener are unknown here.
    pub fn identify_on_second_listener(&self, method: &str, path: &str) -> Result<OwnRoute, OwnRouteError> {
        self.identify_on(Listener::Second, method, path)
    }

    /// The row that a request names at a host that is a service's own: those below `/.rack-gateway`, which are
    /// unknown everywhere else.
    ///
    /// # Errors
    /// As [`OwnTable::identify`]; all other rows are unknown there.
    pub fn identify_at_service(&self, method: &str, path: &str) -> Result<OwnRoute, OwnRouteError> {
        self.identify_on(Listener::ServiceHosts, method, path)
    }

    fn identify_on(&self, listener: Listener, method: &str, path: &str) -> Result<OwnRoute, OwnRouteError> {
        let segments = split(path).ok_or(OwnRouteError::Unknown)?;
        let mut allowed: Vec<String> = Vec::new();
        for row in self.rows.iter().filter(|row| row.listener == listener) {
            let Some(parameters) = row.template.matches(&segments) else { continue };
            if row.method == method {
                return Ok(OwnRoute {
                    operation: Arc::clone(&row.operation),
                    page: row.page.clone(),
                    parameters,
                    about: None,
                });
            }
            allowed.push(row.method.clone());
        }
        if allowed.is_empty() {
            return Err(OwnRouteError::Unknown);
        }
        allowed.sort();
        allowed.dedup();
        Err(OwnRouteError::MethodNotAllowed { allowed })
    }
}

/// The segments of a plain path; `None` for any other.
fn split(path: &str) -> Option<Vec<&str>> {
    if path == "/" {
        return Some(Vec::new());
    }
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    segments.iter().all(|segment| is_plain_segment(segment)).then_some(segments)
}

/// The whole path of a row's template, and the listener it answers on.
fn place(path: &str) -> (Listener, Template) {
    const ROOTS: [&str; 13] = [
        "/app",
        "/auth",
        "/device",
        "/step-up",
        "/login",
        "/problems",
        "/.well-known",
        "/openapi.json",
        "/log",
        "/zone/enrol",
        "/zone/renew",
        "/zone/report",
        "/zone/bundle",
    ];
    let under =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if under("/drain") {
        (Listener::Second, Template::of(path))
    } else if under("/.rack-gateway") {
        (Listener::ServiceHosts, Template::of(path))
    } else if path == "/" || ROOTS.into_iter().any(under) {
        (Listener::Main, Template::of(path))
    } else {
        (Listener::Main, Template::of(&format!("/api/v1{path}")))
    }
}
