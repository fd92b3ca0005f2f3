//! The audit rows of the Go project in one sealed file: its own rows, unchanged, and at the end how many there are, their
//! digest and how its chain stands. The digest is what our log keeps, so that the file can be told from any other.
//!
//! # Security
//! Those rows hold values of environments in clear, so the file is sealed as backups are. What its chain of HMACs says
//! cannot be recomputed from the rows (times are stored coarser than they were hashed, and fields were joined without
//! their lengths); only whether each row names the hash of the one before it can be looked at, and is.

use std::io::{Read, Write};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use gateway_types::Entropy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Predecessor, PredecessorError};
use crate::backup::sealed::{Opening, Sealing};
use crate::backup::{BackupError, BackupKey};

/// The first line within the file.
const FORM: &str = "rack-gateway appendix 1";

/// The longest line within the file, in bytes.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// How the chain of those rows stands, as far as it can be seen from them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The index of the first row.
    pub first: Option<i64>,
    /// The index of the last row.
    pub last: Option<i64>,
    /// The hash that the last row has, as it is stored.
    pub last_hash: Option<String>,
    /// How many indexes are missing between the first and the last.
    pub gaps: u64,
    /// How many rows do not name the hash of the row before them.
    pub breaks: u64,
    /// The index of the first of these.
    pub first_break: Option<i64>,
}

impl Chain {
    /// Looks at the next row.
    fn next(&mut self, row: &Value) {
        let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
        let index = row.get("chain_index").and_then(Value::as_i64);
        let is_first = self.first.is_none() && self.last_hash.is_none();
        if !is_first && (self.last_hash.is_none() || text("previous_hash") != self.last_hash) {
            self.breaks += 1;
            self.first_break = self.first_break.or(index);
        }
        if let (Some(last), Some(index)) = (self.last, index) {
            let missing = index.saturating_sub(last).saturating_sub(1);
            self.gaps = self.gaps.saturating_add(u64::try_from(missing).unwrap_or_default());
        }
        self.first = self.first.or(index);
        self.last = index.or(self.last);
        self.last_hash = text("event_hash");
    }
}

/// What an appendix says of itself, in its last line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appendix {
    /// How many rows.
    pub rows: u64,
    /// SHA-256 of all rows, each with the end of its line, in hexadecimal.
    pub digest: String,
    /// How their chain stands.
    pub chain: Chain,
}

/// Counts rows, digests them, and looks at their chain.
struct Look {
    rows: u64,
    digest: Context,
    chain: Chain,
}

impl Look {
    fn new() -> Self {
        Self { rows: 0, digest: Context::new(&SHA256), chain: Chain::default() }
    }

    fn row(&mut self, line: &str) -> Result<(), BackupError> {
        let row = serde_json::from_str(line).map_err(|_bad| BackupError::Malformed { what: "a row" })?;
        self.rows += 1;
        self.digest.update(line.as_bytes());
        self.digest.update(b"\n");
        self.chain.next(&row);
        Ok(())
    }

    fn finish(self) -> Appendix {
        Appendix {
            rows: self.rows,
            digest: HEXLOWER.encode(self.digest.finish().as_ref()),
            chain: self.chain,
        }
    }
}

/// Looks at the audit rows and writes nothing; `None` when there are none.
///
/// # Errors
/// When they cannot be read.
pub async fn look(from: &mut Predecessor) -> Result<Option<Appendix>, PredecessorError> {
    let mut look = Look::new();
    from.audit_rows(|line| Ok(look.row(line)?)).await?;
    Ok(Some(look.finish()).filter(|appendix| appendix.rows > 0))
}

/// Writes the audit rows to `to`, sealed, and says what they are.
///
/// # Errors
/// When they cannot be read, or `to` not be written; `to` is then of no use.
pub async fn write<W: Write + Send>(
    from: &mut Predecessor,
    to: W,
    key: &BackupKey,
    entropy: &dyn Entropy,
) -> Result<(Appendix, W), PredecessorError> {
    let mut sealing = Sealing::begin(to, key, entropy)?;
    let io = |error: std::io::Error| PredecessorError::Appendix(BackupError::Io(error));
    writeln!(sealing, "{FORM}").map_err(io)?;
    let mut look = Look::new();
    from.audit_rows(|line| {
        look.row(line)?;
        writeln!(sealing, "{line}").map_err(io)
    })
    .await?;
    let appendix = look.finish();
    let last =
        serde_json::to_string(&appendix).map_err(|_never| BackupError::Malformed { what: "an end" })?;
    // A row begins with a brace; this line cannot be taken for one.
    writeln!(sealing, "end {last}").map_err(io)?;
    Ok((appendix, sealing.finish().map_err(io)?))
}

/// Reads an appendix to its end, hands over each row, and says what it is. Only when this ends well were all rows that
/// were handed over those that were written: whoever shows them reads it twice.
///
/// # Errors
/// [`BackupError::WrongKey`], [`BackupError::Altered`], [`BackupError::Truncated`], [`BackupError::NotAnAppendix`],
/// [`BackupError::Malformed`], [`BackupError::Different`] when its rows are not those of its last line; or what `each` says.
pub fn read<R: Read>(
    from: R,
    key: &BackupKey,
    mut each: impl FnMut(&str) -> Result<(), BackupError>,
) -> Result<Appendix, BackupError> {
    let mut lines = Opening::begin(from, key)?;
    let mut next = || -> Result<String, BackupError> {
        let line = lines.line(LONGEST_LINE)?.ok_or(BackupError::Truncated)?;
        String::from_utf8(line).map_err(|_bad| BackupError::Malformed { what: "a line" })
    };
    if next()? != FORM {
        return Err(BackupError::NotAnAppendix);
    }
    let mut look = Look::new();
    let said: Appendix = loop {
        let line = next()?;
        if let Some(end) = line.strip_prefix("end ") {
            break serde_json::from_str(end).map_err(|_bad| BackupError::Malformed { what: "an end" })?;
        }
        look.row(&line)?;
        each(&line)?;
    };
    if said == look.finish() && lines.line(LONGEST_LINE)?.is_none() {
        Ok(said)
    } else {
        Err(BackupError::Different)
    }
}
