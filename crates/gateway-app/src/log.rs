//! The audit log as people use it: verified, exported.

use std::io::Write;

use gateway_audit::{ExportHeader, ExportWriter, LogVerifier, Report, origin_of};
use gateway_store::Store;

use crate::error::AppError;

/// Leaves read at once.
const PAGE: u64 = 2000;

/// Recomputes the whole log from its stored bytes and compares it with the stored tree head and every
/// stored checkpoint.
///
/// # Errors
/// [`AppError::Log`] naming the first bad index; [`AppError::Checkpoint`] when a checkpoint was not
/// signed by this gateway.
pub async fn verify(store: &Store, progress: impl FnMut(u64, u64)) -> Result<Report, AppError> {
    verify_against(store, &[], progress).await
}

/// The same, and holds the log to checkpoints that were kept elsewhere.
///
/// # Errors
/// As [`verify`]; of a log that does not extend one of them, which its fault says.
pub async fn verify_against(
    store: &Store,
    anchors: &[String],
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, AppError> {
    loop {
        let first_kept = store.audit_retention().first_kept().await?;
        let verified = verify_from(store, anchors, first_kept, &mut progress).await;
        // What was pruned meanwhile was there or not, and said so or not: only a whole reading tells.
        if verified.is_ok() || store.audit_retention().first_kept().await? == first_kept {
            return verified;
        }
    }
}

/// The same of a log whose bodies begin at this entry.
async fn verify_from(
    store: &Store,
    anchors: &[String],
    first_kept: u64,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Report, AppError> {
    let keys = store.audit().keys().await?;
    let mut log = LogVerifier::new(&origin_of(store.gateway_id()));
    for note in anchors {
        log.checkpoint(&keys.verify(note).map_err(AppError::Anchor)?)?;
    }
    // Checkpoints before the head: a log only grows, so whatever was signed by now the head must
    // cover, and one that it does not cover tells that the log was rolled back.
    for stored in store.events().checkpoints(u32::MAX).await? {
        log.checkpoint(&keys.verify(&stored.note)?)?;
    }
    let head = store.audit().head().await?;
    let mut next = 0;
    while next < head.size {
        let rows = store.events().leaves(next, head.size.min(next + PAGE)).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            if row.has_no_body() && row.index < first_kept {
                log.pruned(row.index, &row.hash)?;
            } else {
                log.entry(row.index, &row.bytes, &row.hash)?;
            }
            next = row.index + 1;
        }
        progress(next, head.size);
    }
    Ok(log.finish(&head)?)
}

/// Writes the whole log in the export format, which verifies without the database.
///
/// # Errors
/// The store's, or [`AppError::Write`]; [`AppError::PrunedMeanwhile`] when bodies were removed since it began.
pub async fn export(store: &Store, out: impl Write) -> Result<u64, AppError> {
    let first_kept = store.audit_retention().first_kept().await?;
    let note = store.audit().checkpoint().await?;
    let checkpoint = store.audit().keys().await?.verify(&note)?;
    let verifier = store.audit().verifier();
    let head = gateway_audit::Head { size: checkpoint.size, root: checkpoint.root };
    let mut writer = ExportWriter::new(out, &ExportHeader::new(store.gateway_id(), &verifier, &head))?;
    let mut next = 0;
    while next < head.size {
        let rows = store.events().leaves(next, head.size.min(next + PAGE)).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let is_pruned = row.has_no_body() && row.index < first_kept;
            writer.entry(row.index, (!is_pruned).then_some(row.bytes.as_slice()), &row.hash)?;
            next = row.index + 1;
        }
    }
    if store.audit_retention().first_kept().await? != first_kept {
        return Err(AppError::PrunedMeanwhile);
    }
    writer.checkpoint(&note)?;
    writer.finish()?;
    Ok(head.size)
}
