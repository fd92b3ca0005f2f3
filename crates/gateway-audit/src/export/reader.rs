//! Reading and verifying an export that nobody vouches for but its signatures.

use std::io::{BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ExportError, ExportHeader, FORMAT, Line, MAX_LINE_BYTES};
use crate::checkpoint::origin_of;
use crate::note::NoteVerifier;
use crate::verify::{Fault, LogVerifier, Report};

/// Verifies a whole export, line by line.
///
/// With `trusted` the header must name exactly that key. Without, the export is only shown to be
/// consistent with the key it names itself: compare that key with the gateway's by other means.
/// Entries behind [`Report::signed_size`] are covered by the header's word only.
///
/// # Errors
/// The first thing found wrong.
pub fn verify_export(reader: impl BufRead, trusted: Option<&NoteVerifier>) -> Result<Report, ExportError> {
    verify_export_against(reader, trusted, &[])
}

/// The same, and holds the export to checkpoints that were kept elsewhere. An export that is older than one of them
/// cannot be held to it, and is refused.
///
/// # Errors
/// The first thing found wrong.
pub fn verify_export_against(
    reader: impl BufRead,
    trusted: Option<&NoteVerifier>,
    anchors: &[String],
) -> Result<Report, ExportError> {
    let mut lines = Lines { reader, buffer: Vec::new(), number: 0 };
    lines.advance()?;
    let header: ExportHeader = lines.parse()?;
    let verifier = key_of(&header, trusted)?;
    let mut log = LogVerifier::new(verifier.name());
    for note in anchors {
        log.checkpoint(&verifier.verify(note).map_err(|source| ExportError::BadAnchor { source })?)?;
    }
    while lines.advance()? {
        match lines.parse()? {
            Line::Entry { index, hash, leaf, leaf_base64 } => match (leaf, leaf_base64) {
                (None, None) => log.pruned(index, &hash)?,
                (Some(leaf), None) => log.entry(index, leaf.as_bytes(), &hash)?,
                (None, Some(leaf)) => {
                    let bad = |_| ExportError::BadLeaf { line: lines.number };
                    log.entry(index, &STANDARD.decode(leaf).map_err(bad)?, &hash)?;
                }
                (Some(_), Some(_)) => return Err(ExportError::BadLeaf { line: lines.number }),
            },
            Line::Checkpoint { checkpoint } => {
                let checkpoint = verifier
                    .verify(&checkpoint)
                    .map_err(|source| ExportError::BadCheckpoint { line: lines.number, source })?;
                log.checkpoint(&checkpoint)?;
            }
        }
    }
    let report = log.finish(&header.head())?;
    if report.checkpoints == 0 { Err(ExportError::NoCheckpoint) } else { Ok(report) }
}

/// The key to check with: of this program's format, of this gateway, and the trusted one if there is one.
fn key_of(header: &ExportHeader, trusted: Option<&NoteVerifier>) -> Result<NoteVerifier, ExportError> {
    if header.format != FORMAT {
        return Err(ExportError::UnknownFormat { found: header.format.clone() });
    }
    let verifier: NoteVerifier = header.vkey.parse().map_err(|source| ExportError::BadKey { source })?;
    if let Some(trusted) = trusted.filter(|trusted| **trusted != verifier) {
        return Err(ExportError::ForeignKey { expected: trusted.to_string(), found: header.vkey.clone() });
    }
    let origin = origin_of(header.gateway_id);
    if verifier.name() != origin {
        let found = verifier.name().to_owned();
        return Err(Fault::ForeignGateway { expected: origin, found }.into());
    }
    Ok(verifier)
}

/// Lines of bounded length.
struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Reads the next line; false at the end.
    fn advance(&mut self) -> Result<bool, ExportError> {
        self.buffer.clear();
        self.number += 1;
        let mut bounded = self.reader.by_ref().take(MAX_LINE_BYTES as u64 + 1);
        let read =
            bounded.read_until(b'\n', &mut self.buffer).map_err(|source| ExportError::Read { source })?;
        if read > MAX_LINE_BYTES {
            return Err(ExportError::LineTooLong { line: self.number });
        }
        Ok(read > 0)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ExportError> {
        serde_json::from_slice(&self.buffer)
            .map_err(|source| ExportError::BadLine { line: self.number, source })
    }
}
