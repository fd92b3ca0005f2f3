//! What was found in an archive, and why something was not.

use std::collections::BTreeMap;

use super::Limits;
use super::kept::MOST_NAMES;
use super::path::{depth, is_yaml, normalise, shown};

/// Why a file that may be a manifest was not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeftOut {
    /// It is larger than [`Limits::manifest_bytes`].
    TooLarge {
        /// Its size.
        size_bytes: u64,
    },
    /// There are more, or larger ones together, than are kept.
    TooMany,
    /// It is a link, or a hard link leads to it.
    Linked,
}

/// What is kept of an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archive {
    /// The files that may be a build's manifest, by path, without a leading `./`.
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// Files that may be one and were not kept, by path; of many only the first 1,000.
    pub left_out: BTreeMap<String, LeftOut>,
    /// Whether any was left out.
    pub truncated: bool,
    /// How many entries there are.
    pub entries: u64,
    /// How many bytes the tar has.
    pub unpacked_bytes: u64,
    /// How deep manifests were looked for.
    pub manifest_depth: usize,
}

/// Why an archive has no manifest to check at a path.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoManifest {
    /// No such file.
    #[error("the uploaded archive has no file `{path}`")]
    Missing {
        /// The path.
        path: String,
    },
    /// The path could mean another file to the rack.
    #[error("`{path}` is no plain path below the root of the archive")]
    Path {
        /// The path.
        path: String,
    },
    /// It is not among those that are looked at.
    #[error(
        "`{path}` was not looked at: a manifest ends in .yml or .yaml and is at most {depth} levels deep"
    )]
    NotLookedAt {
        /// The path.
        path: String,
        /// The limit.
        depth: usize,
    },
    /// It is too large.
    #[error("`{path}` has {size_bytes} bytes, which is too large for a manifest")]
    TooLarge {
        /// The path.
        path: String,
        /// Its size.
        size_bytes: u64,
    },
    /// There are too many.
    #[error(
        "`{path}` was not kept: the archive has too many .yml files; move the manifest nearer to its root"
    )]
    TooMany {
        /// The path.
        path: String,
    },
    /// It is a link, or has one.
    #[error("`{path}` is a link or has a hard link to it: make it a file of its own")]
    Linked {
        /// The path.
        path: String,
    },
}

impl Archive {
    /// The manifest at the path that a build names.
    ///
    /// # Errors
    ///
    /// [`NoManifest`] says why there is none to check; the build must then be refused.
    pub fn manifest(&self, path: &str) -> Result<&[u8], NoManifest> {
        let owned = || shown(path.as_bytes());
        let plain =
            normalise(path.as_bytes(), &Limits::default()).map_err(|_| NoManifest::Path { path: owned() })?;
        let plain = String::from_utf8(plain).map_err(|_| NoManifest::Path { path: owned() })?;
        if let Some(content) = self.manifests.get(&plain) {
            return Ok(content);
        }
        Err(match self.left_out.get(&plain) {
            Some(LeftOut::TooLarge { size_bytes }) => {
                NoManifest::TooLarge { path: owned(), size_bytes: *size_bytes }
            }
            Some(LeftOut::TooMany) => NoManifest::TooMany { path: owned() },
            Some(LeftOut::Linked) => NoManifest::Linked { path: owned() },
            None if self.left_out.len() >= MOST_NAMES => NoManifest::TooMany { path: owned() },
            None if !is_yaml(plain.as_bytes()) || depth(plain.as_bytes()) > self.manifest_depth => {
                NoManifest::NotLookedAt { path: owned(), depth: self.manifest_depth }
            }
            None => NoManifest::Missing { path: owned() },
        })
    }
}
