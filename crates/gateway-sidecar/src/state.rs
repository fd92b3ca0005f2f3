//! What a member keeps on disk between two runs: its key, its leaf and what it knows. The file is its owner's alone,
//! and worth nothing once the leaf is over.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use gateway_types::wire::zone::Enrolled;
use serde::{Deserialize, Serialize};

/// What is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    /// The private key, PKCS #8 in base64.
    pub(crate) key: String,
    /// What the gateway answered.
    pub(crate) enrolled: Enrolled,
}

/// Reads it; `None` when there is nothing that can be read.
pub(crate) fn read(path: &Path) -> Option<Kept> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Writes it in one step.
pub(crate) fn write(path: &Path, kept: &Kept) -> std::io::Result<()> {
    let next = path.with_extension("next");
    // Whatever a run before left half written.
    let _absent = std::fs::remove_file(&next);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    std::fs::rename(&next, path)
}
