//! Pages that show or do an operation of the rack: a further path to a row of the rack's table.

use std::sync::Arc;

use super::template::Template;

/// How the table spells the method of a WebSocket.
const SOCKET: &str = "SOCKET";

/// A page of an operation of the rack, and what the rack would be asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RackPage {
    /// The page, `METHOD /template`.
    pub page: Arc<str>,
    /// Names and values of the page's parameters, in the order of its path.
    pub parameters: Vec<(String, String)>,
    /// The method of the request to the rack; `GET` for a WebSocket.
    pub method: String,
    /// Its path, not decoded.
    pub path: String,
}

/// A line of the table of pages that names an operation of the rack.
#[derive(Debug, Clone)]
pub(super) struct RackPageRow {
    pub(super) method: String,
    pub(super) template: Template,
    pub(super) page: Arc<str>,
    /// The route in the rack's table, `METHOD /template`.
    pub(super) route: String,
    rack_method: String,
    rack_path: String,
}

impl RackPageRow {
    /// The row of these columns; `None` when a template is malformed, or the page's path lacks a parameter of the rack's.
    pub(super) fn parse(method: &str, page: &str, route: &str) -> Option<Self> {
        let (rack_method, rack_path) = route.split_once(' ')?;
        let (template, of_rack) = (Template::of(page), Template::of(rack_path));
        let is_whole = of_rack.names().all(|name| template.names().any(|known| known == name));
        let row = Self {
            method: method.to_owned(),
            page: format!("{method} {page}").into(),
            route: route.to_owned(),
            rack_method: rack_method.to_owned(),
            rack_path: rack_path.to_owned(),
            template,
        };
        (row.template.is_well_formed() && of_rack.is_well_formed() && is_whole).then_some(row)
    }

    pub(super) fn is_socket(&self) -> bool {
        self.rack_method == SOCKET
    }

    /// The page at these segments, when it is this row's.
    pub(super) fn at(&self, segments: &[&str]) -> Option<RackPage> {
        let parameters = self.template.matches(segments)?;
        let path = self.rack_path.split('/').map(|part| {
            let name = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let value = name.and_then(|name| parameters.iter().find(|(known, _)| known == name));
            value.map_or(part, |(_, value)| value.as_str())
        });
        let path = path.collect::<Vec<_>>().join("/");
        let method = if self.is_socket() { "GET" } else { self.rack_method.as_str() };
        Some(RackPage { page: Arc::clone(&self.page), method: method.to_owned(), path, parameters })
    }
}
