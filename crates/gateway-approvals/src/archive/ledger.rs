//! Which paths were seen, and as what: the rules between entries.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

use super::ArchiveFault;
use super::path::{above, shown};

/// All paths of an archive together; more than any project has, little enough to keep in memory.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// What stands at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    File,
    Directory,
    Symlink,
}

/// The entries so far.
#[derive(Default)]
pub(super) struct Ledger {
    seen: BTreeMap<Vec<u8>, Seen>,
    bytes: usize,
}

impl Ledger {
    /// What an earlier entry put at `path`.
    pub(super) fn at(&self, path: &[u8]) -> Option<Seen> {
        self.seen.get(path).copied()
    }

    /// Writes an entry down.
    ///
    /// # Errors
    ///
    /// Where unpacking it would write somewhere else than its path says, or replace what was there: then two
    /// readers see two archives.
    pub(super) fn enter(&mut self, path: &[u8], what: Seen) -> Result<(), ArchiveFault> {
        self.check_above(path)?;
        match (self.at(path), what) {
            (Some(Seen::Directory), Seen::Directory) => return Ok(()),
            (Some(_), _) => return Err(ArchiveFault::Twice { path: shown(path) }),
            (None, Seen::File | Seen::Symlink) => self.check_nothing_below(path)?,
            (None, Seen::Directory) => {}
        }
        self.bytes = self.bytes.saturating_add(path.len());
        if self.bytes > MOST_BYTES {
            return Err(ArchiveFault::PathTooLong { path: shown(path) });
        }
        self.seen.insert(path.to_vec(), what);
        Ok(())
    }

    /// Below a file or link nothing can be entered, and neither can be entered above something. So a directory that an
    /// earlier entry is in is known to be one; the two neighbours in order share the most with `path`, and only what
    /// lies deeper is looked up. Without this a hostile archive of deep paths would cost minutes.
    fn check_above(&self, path: &[u8]) -> Result<(), ArchiveFault> {
        let before = self.seen.range::<[u8], _>((Unbounded, Excluded(path))).next_back();
        let after = self.seen.range::<[u8], _>((Included(path), Unbounded)).next();
        let shared =
            |(other, _): (&Vec<u8>, &Seen)| path.iter().zip(other).take_while(|(a, b)| a == b).count();
        let known = before.map_or(0, shared).max(after.map_or(0, shared));
        for directory in above(path).filter(|directory| directory.len() >= known) {
            match self.at(directory) {
                Some(Seen::Symlink) => {
                    return Err(ArchiveFault::ThroughLink { path: shown(path), link: shown(directory) });
                }
                Some(Seen::File) => {
                    return Err(ArchiveFault::BelowFile { path: shown(path), file: shown(directory) });
                }
                Some(Seen::Directory) | None => {}
            }
        }
        Ok(())
    }

    /// Directories need no entry of their own, so the entries below are asked.
    fn check_nothing_below(&self, path: &[u8]) -> Result<(), ArchiveFault> {
        let mut start = path.to_vec();
        start.push(b'/');
        match self.seen.range(start.clone()..).next() {
            Some((inside, _)) if inside.starts_with(&start) => {
                Err(ArchiveFault::ReplacesDirectory { path: shown(path), inside: shown(inside) })
            }
            Some(_) | None => Ok(()),
        }
    }
}
