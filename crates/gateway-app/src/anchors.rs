//! Anchors: signed checkpoints of the log, kept where whoever can write the log cannot alter them. A log that was
//! rewritten, cut or rolled back does not extend them.
//!
//! Files are here, objects of S3 in `bucket.rs`; who else is sent them is not known here.

mod bucket;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use gateway_audit::{ChainError, Head, ProofError, verify_consistency};
use gateway_integrations::aws::AwsFault;
pub use gateway_integrations::aws::BucketPlace;
use gateway_store::{Store, StoreError};
use gateway_types::GatewayId;

use crate::audit::AuditError;
use crate::error::AppError;
use crate::{Operator, record, tree};

pub use bucket::{KeptInBucket, keep_in_bucket, read_bucket};

/// How the names of anchors end.
const EXTENSION: &str = "checkpoint";

/// Nobody writes an anchor again, its maker neither.
const MODE: u32 = 0o444;

/// The largest file that is read as an anchor, in bytes: a note is a few hundred.
const MOST_BYTES: u64 = 64 * 1024;

/// An anchor as it was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// Its file, or the address of its object.
    pub path: PathBuf,
    /// The signed checkpoint.
    pub note: String,
}

/// Why an anchor could not be kept, or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// A file cannot be read or written.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Too large for an anchor.
    #[error("{} is larger than any anchor", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// There is none.
    #[error("{} holds no anchor of this log", path.display())]
    None {
        /// Where it was looked.
        path: PathBuf,
    },
    /// It is not signed by a key of this log.
    #[error("it is not signed by a key that this log has")]
    Foreign(#[from] ChainError),
    /// The log is shorter.
    #[error("the log has {have} entries and had {size}: it was rolled back")]
    RolledBack {
        /// How many the anchor has.
        size: u64,
        /// How many there are.
        have: u64,
    },
    /// The log is another one.
    #[error("the first {size} entries of the log are not those that were anchored: it was rewritten")]
    Rewritten {
        /// How many the anchor has.
        size: u64,
        /// Which part of the proof does not hold.
        #[source]
        source: ProofError,
    },
    /// An anchor of this size is kept, with another root.
    #[error("{} was kept for as many entries, with another root: the log was rewritten", path.display())]
    Contradicted {
        /// The file.
        path: PathBuf,
    },
    /// An object that is an anchor was marked as removed; its versions are still there.
    #[error("{address} was removed: what is left is a version under a delete marker")]
    Removed {
        /// The object.
        address: String,
    },
    /// An anchor under the name of another one, as who wants to hide the newest ones would put it.
    #[error("it has {size} entries, and its name says something else")]
    Misnamed {
        /// How many it has.
        size: u64,
    },
    /// An object that is named as an anchor is listed and cannot be read.
    #[error("{} is there and cannot be read", path.display())]
    Unreadable {
        /// The object.
        path: PathBuf,
        /// What S3 said.
        #[source]
        source: AwsFault,
    },
    /// Somebody else is writing the same one.
    #[error("{address} is being written by another instance")]
    BeingWritten {
        /// The object.
        address: String,
    },
    /// S3 is of no use.
    #[error(transparent)]
    Bucket(#[from] AwsFault),
    /// The log cannot be asked.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AnchorError {
    /// Whether this tells that the log is not the one that was anchored, and not merely that something is away.
    pub const fn is_alarm(&self) -> bool {
        match self {
            AnchorError::Foreign(_)
            | AnchorError::RolledBack { .. }
            | AnchorError::Rewritten { .. }
            | AnchorError::Contradicted { .. }
            | AnchorError::Removed { .. }
            | AnchorError::Misnamed { .. }
            | AnchorError::Unreadable { .. }
            | AnchorError::Bucket(AwsFault::NoObjectLock { .. } | AwsFault::Unlocked { .. }) => true,
            AnchorError::Io { .. }
            | AnchorError::Bucket(_)
            | AnchorError::TooLarge { .. }
            | AnchorError::None { .. }
            | AnchorError::BeingWritten { .. }
            | AnchorError::Log(_)
            | AnchorError::Store(_) => false,
        }
    }
}

/// The anchors in a directory, or the one in a file; of this gateway alone when it is given, and only so many of the
/// newest when that is. The smallest first.
///
/// # Errors
/// [`AnchorError::Io`], [`AnchorError::TooLarge`], and [`AnchorError::None`] when there is none: who asks for a
/// comparison with nothing is mistaken about the place.
pub fn read(
    path: &Path,
    gateway: Option<GatewayId>,
    newest: Option<usize>,
) -> Result<Vec<Anchor>, AnchorError> {
    let fault = |path: &Path, source| AnchorError::Io { path: path.to_owned(), source };
    let mut files = Vec::new();
    if fs::metadata(path).map_err(|source| fault(path, source))?.is_dir() {
        for entry in fs::read_dir(path).map_err(|source| fault(path, source))? {
            let file = entry.map_err(|source| fault(path, source))?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_ours = gateway.is_none_or(|gateway| name.starts_with(&format!("{gateway}-")));
            if is_ours && file.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push(file);
            }
        }
        // The size in the name has all its digits, so names sort as sizes do.
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    if files.is_empty() {
        return Err(AnchorError::None { path: path.to_owned() });
    }
    let skipped = newest.map_or(0, |newest| files.len().saturating_sub(newest));
    files.into_iter().skip(skipped).map(read_one).collect()
}

fn read_one(path: PathBuf) -> Result<Anchor, AnchorError> {
    let read = || {
        if fs::metadata(&path)?.len() > MOST_BYTES { Ok(None) } else { fs::read_to_string(&path).map(Some) }
    };
    match read() {
        Ok(Some(note)) => Ok(Anchor { path, note }),
        Ok(None) => Err(AnchorError::TooLarge { path }),
        Err(source) => Err(AnchorError::Io { path, source }),
    }
}

/// The name of the anchor of a log of so many entries.
pub fn file_name(gateway: GatewayId, size: u64) -> String {
    format!("{gateway}-{size:020}.{EXTENSION}")
}

/// Keeps an anchor in a directory: a new file that is there whole or not at all. One that is kept for as many entries stays.
///
/// # Errors
/// [`AnchorError::Io`], and [`AnchorError::Contradicted`] when the one that is kept has another root.
pub fn keep(directory: &Path, gateway: GatewayId, head: &Head, note: &str) -> Result<PathBuf, AnchorError> {
    let path = directory.join(file_name(gateway, head.size));
    let fault = |source| AnchorError::Io { path: path.clone(), source };
    let part = path.with_extension("part");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&part).map_err(fault)?;
    file.write_all(note.as_bytes()).and_then(|()| file.sync_all()).map_err(fault)?;
    // A link never replaces what is there.
    let linked = fs::hard_link(&part, &path);
    fs::remove_file(&part).map_err(fault)?;
    match linked {
        Ok(()) => {
            let read_only = std::os::unix::fs::PermissionsExt::from_mode(MODE);
            fs::set_permissions(&path, read_only).map_err(fault)?;
            fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(fault)?;
            Ok(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let kept = read_one(path.clone())?;
            if has_root(&kept.note, head) { Ok(path) } else { Err(AnchorError::Contradicted { path }) }
        }
        Err(error) => Err(fault(error)),
    }
}

/// Whether a note has the root of this head. The third line of a checkpoint is its root (C2SP tlog-checkpoint).
fn has_root(note: &str, head: &Head) -> bool {
    note.lines().nth(2) == Some(head.root.to_base64().as_str())
}

/// Compares an anchor with the log as it is: whether it was signed for this log, and whether the log extends it. In the
/// time of a few reads, however large the log is.
///
/// # Errors
/// [`AnchorError`]; [`AnchorError::is_alarm`] says which.
pub async fn compare(store: &Store, note: &str) -> Result<Head, AnchorError> {
    let anchored = store.audit().keys().await?.verify(note)?.head();
    let head = store.audit().head().await?;
    if anchored.size > head.size {
        return Err(AnchorError::RolledBack { size: anchored.size, have: head.size });
    }
    let proof = match anchored.size {
        // Every log extends the empty one.
        0 => Vec::new(),
        size => tree::consistency(store, size, Some(head.size)).await?.path,
    };
    verify_consistency(&anchored, &head, &proof)
        .map_err(|source| AnchorError::Rewritten { size: anchored.size, source })?;
    Ok(anchored)
}

/// Holds the log to an anchor of it that was kept under its name: as [`compare`], and the name must be its own. Copies of
/// an old anchor under larger names would otherwise stand before the newest ones.
///
/// # Errors
/// [`AnchorError`]; [`AnchorError::is_alarm`] says which.
pub async fn hold(store: &Store, anchor: &Anchor) -> Result<Head, AnchorError> {
    let anchored = compare(store, &anchor.note).await?;
    let name = file_name(store.gateway_id(), anchored.size);
    let shown = anchor.path.to_string_lossy();
    let path = shown.split_once("?versionId=").map_or(&*shown, |(path, _)| path);
    if !path.ends_with(&name) {
        return Err(AnchorError::Misnamed { size: anchored.size });
    }
    Ok(anchored)
}

/// Records that the log does not extend what was anchored of it, or that an anchor or its lock is gone.
///
/// # Errors
/// The store's.
pub async fn alarm(store: &Store, operator: &Operator<'_>, reason: &str) -> Result<(), AppError> {
    let mut event = operator.event("gateway:audit:anchor_alarm");
    event.reason = Some(gateway_audit::bounded(reason));
    record(store, event).await
}
