//! What can be wrong with a table, a path or a parameter. All of it is the caller's fault (or, for
//! [`TableError`], the operator's), and every message says what to change.
//!
//! # Security
//! No error holds a parameter's value: values may be secret and errors are logged and shown.

use crate::parameter::Place;

/// Why a route table could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TableError {
    /// One line is not a row.
    #[error("line {line} of the route table: {fault}")]
    Row {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: RowFault,
    },
    /// An action to switch on that no row has.
    #[error("no route has the action `{action}`; check its spelling in the switched-on list")]
    UnknownAction {
        /// The action as it was given.
        action: String,
    },
    /// An action to switch on whose rows are not refused.
    #[error("the action `{action}` is not refused, so it cannot be switched on; remove it from the list")]
    NotRefused {
        /// The action as it was given.
        action: String,
    },
}

/// What is wrong with one line of a route table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowFault {
    /// Not ten columns.
    #[error("expected 10 columns separated by tabs, found {found}")]
    Columns {
        /// How many there are.
        found: usize,
    },
    /// The method column.
    #[error("unknown method `{text}`; use GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, any or socket")]
    Method {
        /// The column.
        text: String,
    },
    /// The path column.
    #[error("the path `{text}` is not a template: {reason}")]
    Template {
        /// The column.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The action column.
    #[error("the action `{text}` is not of the form area:verb in lower-case letters, digits and _")]
    Action {
        /// The column.
        text: String,
    },
    /// The class column.
    #[error("unknown class `{text}`; use open, read, reveal, change, execute, critical or refused")]
    Class {
        /// The column.
        text: String,
    },
    /// The role column.
    #[error("unknown role `{text}`; use viewer, ops, deployer, admin, or - with class open")]
    Role {
        /// The column.
        text: String,
    },
    /// The cicd column.
    #[error("unknown cicd value `{text}`; use yes, approval or no, or - with class open")]
    Cicd {
        /// The column.
        text: String,
    },
    /// The params column.
    #[error("the parameter `{text}`: {reason}")]
    Parameter {
        /// One item of the column.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The request_secrets column.
    #[error("`{text}` in request_secrets: {reason}")]
    Secret {
        /// One item of the column.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A note that only the built-in table may use, because it changes what the gateway does.
    #[error("the note `{phrase}` has a meaning in the built-in table only; say it in other words")]
    ReservedNote {
        /// The phrase.
        phrase: &'static str,
    },
    /// The same route twice.
    #[error("the route `{route}` is already in the table")]
    Duplicate {
        /// The earlier route.
        route: String,
    },
    /// A row that can never be reached.
    #[error("the route can never be reached, because `{route}` before it matches every such path")]
    Unreachable {
        /// The earlier route.
        route: String,
    },
}

/// Why a method and path are no operation.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum RouteError {
    /// No row has this path, or only rows that are refused.
    #[error("the rack API as this gateway knows it has no such path")]
    UnknownRoute,
    /// Rows have this path, with other methods.
    #[error("this path takes {} only", allowed.join(", "))]
    MethodNotAllowed {
        /// The methods that it takes, sorted.
        allowed: Vec<String>,
    },
    /// The path is not well-formed.
    #[error("the path is malformed: {reason}")]
    MalformedPath {
        /// What is wrong.
        reason: PathFault,
    },
    /// A part of the path is not of its type.
    #[error("the part `{name}` of the path is not a valid {name} name")]
    BadPathParameter {
        /// The name of the part in the template.
        name: String,
    },
}

/// What is wrong with a path.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy, Hash)]
pub enum PathFault {
    /// It does not begin with a slash.
    #[error("it must begin with a slash")]
    NotAbsolute,
    /// More than [`crate::path::MAX_PATH_BYTES`].
    #[error("it is too long")]
    TooLong,
    /// A byte that must not stand in a path unencoded.
    #[error("it holds a character that must be percent-encoded")]
    RawByte,
    /// A percent sign without two hexadecimal digits.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    BadEscape,
    /// An encoded slash.
    #[error("an encoded slash is not accepted")]
    EncodedSeparator,
    /// A backslash, encoded or not.
    #[error("a backslash is not accepted")]
    Backslash,
    /// A percent sign that is left after decoding once.
    #[error("it is percent-encoded twice")]
    DoubleEncoded,
    /// A control character, encoded or not.
    #[error("control characters are not accepted")]
    Control,
    /// A character beyond ASCII, encoded or not.
    #[error("characters beyond ASCII are not accepted")]
    NonAscii,
    /// A semicolon, encoded or not: path parameters do not exist in this API.
    #[error("a semicolon is not accepted")]
    Semicolon,
    /// A segment that is `.` or `..`.
    #[error("segments that are . or .. are not accepted")]
    DotSegment,
    /// Two slashes in a row, or one at the end.
    #[error("doubled and trailing slashes are not accepted here")]
    EmptySegment,
}

/// Why urlencoded text could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy, Hash)]
pub enum EncodingFault {
    /// Nothing between two separators.
    #[error("there is an empty pair; remove the extra &")]
    EmptyPair,
    /// A name without a value.
    #[error("a name has no value; write NAME=VALUE")]
    MissingEquals,
    /// A value without a name.
    #[error("a value has no name; write NAME=VALUE")]
    EmptyName,
    /// A percent sign without two hexadecimal digits.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    BadEscape,
    /// A byte that must be percent-encoded.
    #[error("a character must be percent-encoded")]
    RawByte,
    /// Decoded bytes that are no UTF-8.
    #[error("it is not UTF-8 after decoding")]
    NotUtf8,
}

/// Why the parameters of a request are not acceptable.
///
/// Names that the client chose are cut and escaped before they get here.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ParameterError {
    /// A name this operation does not take.
    #[error("the {place} parameter `{name}` is not known to this operation; remove it")]
    Unknown {
        /// The name.
        name: String,
        /// Where it was.
        place: Place,
    },
    /// The same name more than once.
    #[error("the {place} parameter `{name}` is given more than once; give it once")]
    Duplicate {
        /// The name.
        name: String,
        /// Where it was.
        place: Place,
    },
    /// A known name in another place than its own.
    #[error("the parameter `{name}` was sent as {given}; this operation takes it as {expected} only")]
    WrongPlace {
        /// The name.
        name: String,
        /// Where it was.
        given: Place,
        /// Where it belongs.
        expected: Place,
    },
    /// A required parameter is absent.
    #[error("the {place} parameter `{name}` is missing")]
    Missing {
        /// The name.
        name: String,
        /// Where it belongs.
        place: Place,
    },
    /// A value that is not of its type.
    #[error("the parameter `{name}` must be {expected}")]
    BadValue {
        /// The name.
        name: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The same inner name twice in a map.
    #[error("the parameter `{name}` names `{inner}` more than once; give it once")]
    DuplicateInner {
        /// The map's name.
        name: String,
        /// The inner name.
        inner: String,
    },
    /// A map that is not urlencoded text.
    #[error("the parameter `{name}` is not an urlencoded map: {fault}")]
    MalformedMap {
        /// The map's name.
        name: String,
        /// What is wrong.
        fault: EncodingFault,
    },
    /// A name that only the gateway may set, such as `data.actor`.
    #[error("the parameter `{name}` is set by the gateway; remove it")]
    Reserved {
        /// The name.
        name: String,
    },
    /// A query string or form that is not urlencoded text.
    #[error("the {place} is malformed: {fault}")]
    Malformed {
        /// Query or form.
        place: Place,
        /// What is wrong.
        fault: EncodingFault,
    },
    /// A body where none belongs.
    #[error("this operation takes no body; send none")]
    UnexpectedBody,
    /// A form with another content type, such as multipart.
    #[error("the body must be sent as application/x-www-form-urlencoded")]
    ContentType,
    /// Asked for the inner values of a parameter that is no map.
    #[error("the parameter `{name}` is not a map")]
    NotAMap {
        /// The name.
        name: String,
    },
    /// Path parameters decide the resource, so they cannot be changed once parsed.
    #[error("the parameter `{name}` is part of the path and cannot be changed")]
    Fixed {
        /// The name.
        name: String,
    },
}

/// A name the client chose, made safe to show: at most 64 characters, control characters and percent signs out.
///
/// # Security
/// The Convox client prints error text as a printf format (API.md 2.2), so a percent sign must not survive.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() || c == '%' { '?' } else { c }).collect()
}
