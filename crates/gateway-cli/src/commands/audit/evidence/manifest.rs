//! What an archive is: a gzipped tar whose first file is the manifest and whose second is the proof that the log holds the manifest's
//! digest. Everything else is listed in the manifest with its digest.

use serde::{Deserialize, Serialize};

/// How the manifest says which form it has.
pub(super) const FORM: &str = "rack-gateway-evidence/1";
/// The manifest's name in the archive.
pub(super) const MANIFEST: &str = "manifest.json";
/// The name of the proof that the log has the manifest's digest.
pub(super) const RECORD: &str = "record.json";
/// The entries, one JSON object a line: `index` and `leaf`, the very text that is hashed.
pub(super) const ENTRIES: &str = "log/entries.jsonl";
/// The checkpoint that the entries lead to: a signed note.
pub(super) const CHECKPOINT: &str = "log/checkpoint";
/// The log's keys.
pub(super) const KEYS: &str = "log/keys.json";
/// The action under which the log has an archive's digest.
pub(super) const RECORDED_AS: &str = "gateway:audit:evidence";

/// What is in an archive. Who made it, and when, is what the log's entry of it says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// [`FORM`].
    pub(super) form: String,
    /// Where it was read from.
    pub(super) gateway: String,
    /// The time that it is about: from this moment on,
    pub(super) from: String,
    /// and before this one.
    pub(super) to: String,
    /// The entries of the log that are in it.
    pub(super) entries: Entries,
    /// Every file but this one and the record.
    pub(super) files: Vec<Listed>,
    /// What should be in it and is not.
    pub(super) left_out: Vec<LeftOut>,
}

/// A piece of the log, whole: every entry from the first to the last.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entries {
    /// The index of the first one.
    pub(super) first: u64,
    /// How many.
    pub(super) count: u64,
    /// The roots of the subtrees before them, in hexadecimal.
    pub(super) left: Vec<String>,
    /// And after them, up to the checkpoint.
    pub(super) right: Vec<String>,
}

/// A file of an archive.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Its path in the archive.
    pub(super) path: String,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub(super) sha256: String,
    /// How many bytes.
    pub(super) bytes: u64,
    /// What it is.
    pub(super) about: String,
}

/// A file that is not there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeftOut {
    /// What it would be called.
    pub(super) path: String,
    /// Why it is not there.
    pub(super) why: String,
}

/// That the log has the manifest's digest: an entry and its audit path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The entry's index.
    pub(super) index: u64,
    /// The entry, as it is hashed.
    pub(super) leaf: String,
    /// Its audit path, in hexadecimal.
    pub(super) path: Vec<String>,
    /// The checkpoint that it leads to.
    pub(super) checkpoint: String,
}

/// Whether a name stays in the archive: parts of plain letters, none of them hidden.
pub(super) fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 200
        && path.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        })
}
