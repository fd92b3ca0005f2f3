//! Reading a backup whole: each piece opens, each line is one, and everything that the end counts is there. A
//! [`Verified`] is the proof that a restore begins with.

use std::collections::BTreeSet;
use std::io::Read;

use data_encoding::HEXLOWER;

use super::form::{Cell, Line, MOST_LINE_BYTES, Table, cells_of, is_name};
use super::sealed::{Opening, digest};
use super::{BackupError, BackupKey, Manifest, Rows, contents};
use crate::migrate;

/// A backup that was read to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// What it says about itself.
    pub manifest: Manifest,
    /// How many rows of each table it has.
    pub rows: Rows,
    /// SHA-256 of what it holds, in hexadecimal.
    pub digest: String,
}

/// What a line of a backup is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Item {
    /// Rows of another table follow.
    Table,
    /// A row of the table.
    Row,
}

/// Reads a backup to its end, and says whether it is whole.
///
/// # Errors
/// [`BackupError`]: what is wrong with it.
pub fn verified<R: Read>(from: R, key: &BackupKey) -> Result<Verified, BackupError> {
    let mut reading = Reading::begin(from, key)?;
    while let Some(item) = reading.next()? {
        if item == Item::Row {
            reading.cells()?;
        }
    }
    reading.finish()
}

/// A backup that is being read.
pub(super) struct Reading<R: Read> {
    opening: Opening<R>,
    digest: aws_lc_rs::digest::Context,
    manifest: Manifest,
    table: Option<Table>,
    line: Vec<u8>,
    rows: Rows,
    end: Option<Rows>,
}

impl<R: Read> Reading<R> {
    /// Reads the manifest.
    pub(super) fn begin(from: R, key: &BackupKey) -> Result<Self, BackupError> {
        let mut opening = Opening::begin(from, key)?;
        let first = opening.line(MOST_LINE_BYTES)?.ok_or(BackupError::Truncated)?;
        let Ok(Line::Manifest(manifest)) = serde_json::from_slice(&first) else {
            return Err(BackupError::Malformed { what: "a manifest" });
        };
        let known: BTreeSet<i64> = migrate::texts().map(|(stamp, _)| stamp).collect();
        if let Some(stamp) = manifest.schema.iter().find(|stamp| !known.contains(stamp)) {
            return Err(BackupError::NewerSchema { stamp: *stamp });
        }
        let mut digest = digest();
        digest.update(&first);
        Ok(Self {
            opening,
            digest,
            manifest: *manifest,
            table: None,
            line: Vec::new(),
            rows: Rows::new(),
            end: None,
        })
    }

    /// What the backup says about itself.
    pub(super) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads the next line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Item>, BackupError> {
        loop {
            let Some(line) = self.opening.line(MOST_LINE_BYTES)? else { return Ok(None) };
            if self.end.is_some() {
                return Err(BackupError::Malformed { what: "something behind its end" });
            }
            self.digest.update(b"\n");
            self.digest.update(&line);
            self.line = line;
            if self.line.starts_with(b"[") {
                let table =
                    self.table.as_ref().ok_or(BackupError::Malformed { what: "a row of no table" })?;
                *self.rows.entry(table.name.clone()).or_default() += 1;
                return Ok(Some(Item::Row));
            }
            match serde_json::from_slice(&self.line) {
                Ok(Line::Table(table)) => {
                    self.check(&table)?;
                    self.rows.insert(table.name.clone(), 0);
                    self.table = Some(table);
                    return Ok(Some(Item::Table));
                }
                Ok(Line::End(rows)) => {
                    self.end = Some(rows);
                    self.table = None;
                }
                Ok(Line::Manifest(_)) | Err(_) => return Err(BackupError::Malformed { what: "a line" }),
            }
        }
    }

    /// The table whose rows are read.
    pub(super) const fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// The cells of the row that was read.
    pub(super) fn cells(&self) -> Result<Vec<Cell>, BackupError> {
        let columns = self.table.as_ref().map(|table| table.columns.as_slice()).unwrap_or_default();
        cells_of(&self.line, columns)
    }

    fn check(&self, table: &Table) -> Result<(), BackupError> {
        let schema: BTreeSet<i64> = self.manifest.schema.iter().copied().collect();
        let is_ours = contents::tables(Some(&schema)).contains(&table.name.as_str());
        let names = table.columns.iter().all(|column| is_name(&column.name));
        if !is_ours || contents::is_left_out(&table.name) || !names || table.columns.is_empty() {
            return Err(BackupError::Malformed { what: "a table" });
        }
        if self.rows.contains_key(&table.name) {
            return Err(BackupError::Malformed { what: "a table that was there before" });
        }
        Ok(())
    }

    /// Says that everything was read, and what it was.
    pub(super) fn finish(self) -> Result<Verified, BackupError> {
        match self.end {
            None => Err(BackupError::Truncated),
            Some(end) if end != self.rows => Err(BackupError::Malformed { what: "counts of rows" }),
            Some(_) => Ok(Verified {
                manifest: self.manifest,
                rows: self.rows,
                digest: HEXLOWER.encode(self.digest.finish().as_ref()),
            }),
        }
    }
}
