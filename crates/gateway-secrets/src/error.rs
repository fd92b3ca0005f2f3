//! What can be wrong with a text, a pattern, a label or a reply. No variant ever carries a secret value.

use thiserror::Error;

/// Why a text is no environment. Lines count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum EnvError {
    /// A line is not `NAME=value`; usually the second line of a value that has several.
    #[error(
        "line {line} of the environment is not NAME=value; a value takes exactly one line, so encode values of \
         several lines, for example as base64"
    )]
    NoEquals {
        /// The line.
        line: usize,
    },
    /// The text before `=` cannot be a variable's name.
    #[error("line {line} of the environment has no acceptable name before the equals sign")]
    BadName {
        /// The line.
        line: usize,
    },
    /// The variable was set on an earlier line; readers differ in which one counts.
    #[error("line {line} of the environment sets a variable that an earlier line sets already")]
    Duplicate {
        /// The second line that sets it.
        line: usize,
    },
}

/// Handles in an environment that could not be put back to values.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("no known value belongs to the hidden value of {}", keys.join(", "))]
pub struct UnknownHandles {
    /// The variables, in the order of the environment.
    pub keys: Vec<String>,
}

/// Variables that two people changed differently since the environment both started from.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("somebody else changed {} in the meantime", keys.join(", "))]
pub struct MergeConflict {
    /// The variables, in the order of the merged environment.
    pub keys: Vec<String>,
}

/// Why a pattern of plain names is refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PlainKeysError {
    /// The pattern is empty.
    #[error("a pattern of plain names is empty; remove it")]
    Empty,
    /// The pattern would show every value.
    #[error("the pattern {pattern} would show every value; name the keys that are harmless")]
    MatchesAll {
        /// The pattern.
        pattern: String,
    },
    /// `*` stands somewhere else than at an end.
    #[error("the pattern {pattern} has an asterisk inside; it may stand only at the beginning or the end")]
    InnerAsterisk {
        /// The pattern.
        pattern: String,
    },
    /// The pattern holds a character that no name has.
    #[error("the pattern {pattern:?} holds a character that no name has")]
    BadCharacter {
        /// The pattern.
        pattern: String,
    },
}

/// Why a column of labels cannot be read. This is a mistake in the table of routes.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LabelError {
    /// There is nothing between two commas or dots.
    #[error("the label {label:?} has an empty part")]
    EmptyPart {
        /// The label.
        label: String,
    },
    /// `[]` stands somewhere else than at the beginning, `*` or `~` somewhere else than at the end.
    #[error("the label {label:?} has [], * or ~ in a place where it means nothing")]
    Misplaced {
        /// The label.
        label: String,
    },
}

/// Why a reply could not be made safe. It must then not be passed on.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RedactError {
    /// The body is not UTF-8.
    #[error("the reply is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// Where the first bad byte is.
        offset: usize,
    },
    /// The body begins with a byte order mark, which readers treat differently.
    #[error("the reply begins with a byte order mark")]
    ByteOrderMark,
    /// The body is not exactly one JSON value.
    #[error("the reply is not one JSON value: line {line}, column {column}")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A string or a member name where secrets are expected holds an escape that stands for no character.
    #[error("the reply holds a string that is no text, at byte {offset}")]
    NotText {
        /// Where the value begins.
        offset: usize,
    },
    /// The place a label leads to cannot be reached, because the reply is built differently.
    #[error("the reply is not built as the label {label} says, at byte {offset}")]
    UnexpectedShape {
        /// The label.
        label: String,
        /// Where the value begins.
        offset: usize,
    },
    /// A labelled value is nested deeper than the walk goes.
    #[error("a secret value of the reply is nested deeper than {limit} levels")]
    TooDeep {
        /// The deepest level walked.
        limit: usize,
    },
    /// An item does not say clearly which app it belongs to.
    #[error("an item of the reply does not say clearly in {field} which app it belongs to, at byte {offset}")]
    UnclearScope {
        /// The member that should say it.
        field: String,
        /// Where the item begins.
        offset: usize,
    },
}
