//! Paths of entries: one spelling for each place.

use super::{ArchiveFault, Limits};

/// Deeper than any project; bounds the work of looking at each directory above an entry.
const MOST_PARTS: usize = 128;

/// A path as people may see it: control characters escaped, and cut.
pub(super) fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path.get(..path.len().min(300)).unwrap_or_default());
    text.chars().flat_map(|letter| letter.escape_debug()).collect()
}

/// The path without `./`, doubled slashes and a final slash; empty for the root of the archive.
pub(super) fn normalise(path: &[u8], limits: &Limits) -> Result<Vec<u8>, ArchiveFault> {
    if path.len() > limits.path_bytes {
        return Err(ArchiveFault::PathTooLong { path: shown(path) });
    }
    if path.contains(&0) {
        return Err(ArchiveFault::NulInPath { path: shown(path) });
    }
    if path.contains(&b'\\') {
        return Err(ArchiveFault::BackslashInPath { path: shown(path) });
    }
    if path.first() == Some(&b'/') {
        return Err(ArchiveFault::AbsolutePath { path: shown(path) });
    }
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&b"..".as_slice()) {
        return Err(ArchiveFault::ParentPath { path: shown(path) });
    }
    if parts.len() > MOST_PARTS {
        return Err(ArchiveFault::PathTooLong { path: shown(path) });
    }
    Ok(parts.join(&b'/'))
}

/// Each directory above a normalised path, the nearest to the root first.
pub(super) fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').filter_map(|(at, _)| path.get(..at))
}

/// How many parts a normalised path has: 1 at the root of the archive.
pub(super) fn depth(path: &[u8]) -> usize {
    above(path).count() + 1
}

/// Whether the name is one of a manifest. In any case of letters: a file system may not see the difference.
pub(super) fn is_yaml(path: &[u8]) -> bool {
    let ends_in = |ending: &[u8]| {
        let at = path.len().saturating_sub(ending.len());
        path.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    ends_in(b".yml") || ends_in(b".yaml")
}
