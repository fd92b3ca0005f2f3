//! What the lines of a backup say: the manifest, then each table's name and columns and its rows, then the count of all.
//! Neutral of the database: numbers, texts and bytes.

use data_encoding::BASE64_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{BackupError, Manifest, Rows};

/// The longest line, in bytes: one row.
pub(super) const MOST_LINE_BYTES: usize = 256 * 1024 * 1024;

/// A line that is no row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first.
    Manifest(Box<Manifest>),
    /// The rows of this table follow.
    Table(Table),
    /// The last.
    End(Rows),
}

/// A table and what its rows consist of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
}

/// A column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ColumnKind {
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// Bytes, written in base64.
    Bytes,
}

impl ColumnKind {
    /// The kind of a column of this type, as the catalogs of both databases write it.
    pub(super) fn of(declared: &str) -> Option<Self> {
        match declared.to_ascii_lowercase().as_str() {
            "bigint" => Some(ColumnKind::Number),
            "text" => Some(ColumnKind::Text),
            "blob" | "bytea" => Some(ColumnKind::Bytes),
            _ => None,
        }
    }
}

/// A value of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cell {
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// Whether this can stand in a statement as a name: what a backup says is never more than that.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// A row of the database as a line.
pub(super) fn line_of(row: &AnyRow, columns: &[Column]) -> Result<String, BackupError> {
    let mut values = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        values.push(match column.kind {
            ColumnKind::Number => json!(row.try_get::<Option<i64>, _>(index)?),
            ColumnKind::Text => json!(row.try_get::<Option<String>, _>(index)?),
            ColumnKind::Bytes => {
                json!(row.try_get::<Option<Vec<u8>>, _>(index)?.map(|bytes| BASE64_NOPAD.encode(&bytes)))
            }
        });
    }
    Ok(Value::Array(values).to_string())
}

/// The cells of a line.
pub(super) fn cells_of(line: &[u8], columns: &[Column]) -> Result<Vec<Cell>, BackupError> {
    let bad = || BackupError::Malformed { what: "a row" };
    let values: Vec<Value> = serde_json::from_slice(line).map_err(|_bad| bad())?;
    if values.len() != columns.len() {
        return Err(bad());
    }
    columns
        .iter()
        .zip(values)
        .map(|(column, value)| match (column.kind, value) {
            (ColumnKind::Number, Value::Null) => Ok(Cell::Number(None)),
            (ColumnKind::Number, Value::Number(number)) => {
                number.as_i64().map(|number| Cell::Number(Some(number))).ok_or_else(bad)
            }
            (ColumnKind::Text, Value::Null) => Ok(Cell::Text(None)),
            (ColumnKind::Text, Value::String(text)) => Ok(Cell::Text(Some(text))),
            (ColumnKind::Bytes, Value::Null) => Ok(Cell::Bytes(None)),
            (ColumnKind::Bytes, Value::String(text)) => {
                let bytes = BASE64_NOPAD.decode(text.as_bytes()).map_err(|_bad| bad())?;
                Ok(Cell::Bytes(Some(bytes)))
            }
            _ => Err(bad()),
        })
        .collect()
}
