//! Which files may be a build's manifest, and which of them are kept.
//!
//! At the time of an upload nobody knows which manifest the build will name, so every likely one is kept, the ones
//! nearest to the root first. What is not kept is remembered with its reason, so that a build that names it can be
//! refused with that reason and never be let through unread.

use std::collections::{BTreeMap, BTreeSet};

use super::path::{depth, is_yaml, normalise, shown};
use super::{ArchiveFault, LeftOut, Limits};

/// How many left-out files are remembered by name.
pub(super) const MOST_NAMES: usize = 1_000;

/// The likely manifests so far.
pub(super) struct Kept<'a> {
    limits: &'a Limits,
    named: BTreeSet<Vec<u8>>,
    /// By rank: named ones, then by depth, then by path. The last is dropped first.
    files: BTreeMap<(usize, String), Vec<u8>>,
    bytes: usize,
    pub(super) left_out: BTreeMap<String, LeftOut>,
    pub(super) is_truncated: bool,
    by_lower_case: BTreeMap<String, String>,
}

impl<'a> Kept<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        // A name that is no path of an archive matches nothing, and `Archive::manifest` says so when it is asked.
        let named = limits.named.iter().filter_map(|name| normalise(name.as_bytes(), limits).ok()).collect();
        Self {
            limits,
            named,
            files: BTreeMap::new(),
            bytes: 0,
            left_out: BTreeMap::new(),
            is_truncated: false,
            by_lower_case: BTreeMap::new(),
        }
    }

    /// Whether a build may name this path.
    pub(super) fn is_candidate(&self, path: &[u8]) -> bool {
        self.named.contains(path) || is_yaml(path) && depth(path) <= self.limits.manifest_depth
    }

    /// Whether this is where a manifest is expected, so that nothing odd may happen there. Deeper down, where
    /// dependencies bring their own YAML, odd ones are only left out.
    pub(super) fn is_protected(&self, path: &[u8]) -> bool {
        self.named.contains(path) || is_yaml(path) && depth(path) == 1
    }

    /// Notes a likely manifest before its content is read, and says whether that should be kept.
    pub(super) fn admit(&mut self, path: &[u8], size: u64) -> Result<bool, ArchiveFault> {
        let name = utf8(path)?;
        if let Some(other) = self.by_lower_case.insert(name.to_lowercase(), name.to_owned()) {
            return Err(ArchiveFault::TwiceButForCase { path: shown(path), other: shown(other.as_bytes()) });
        }
        if size > self.limits.manifest_bytes {
            self.leave_out(name.to_owned(), LeftOut::TooLarge { size_bytes: size });
            return Ok(false);
        }
        Ok(true)
    }

    /// Keeps a file, and drops the least likely ones when there are too many.
    pub(super) fn keep(&mut self, path: &[u8], content: Vec<u8>) -> Result<(), ArchiveFault> {
        let rank = if self.named.contains(path) { 0 } else { depth(path) };
        self.bytes = self.bytes.saturating_add(content.len());
        self.files.insert((rank, utf8(path)?.to_owned()), content);
        while self.files.len() > self.limits.manifests || self.bytes > self.limits.manifests_bytes {
            let Some(((_, name), content)) = self.files.pop_last() else { break };
            self.bytes = self.bytes.saturating_sub(content.len());
            self.leave_out(name, LeftOut::TooMany);
        }
        Ok(())
    }

    /// A link stands at a likely path, or leads to it.
    ///
    /// # Errors
    ///
    /// `fault`, if a manifest is expected there.
    pub(super) fn linked(&mut self, path: &[u8], fault: ArchiveFault) -> Result<(), ArchiveFault> {
        if self.is_protected(path) {
            return Err(fault);
        }
        let name = utf8(path)?.to_owned();
        if let Some(content) = self.files.remove(&(depth(path), name.clone())) {
            self.bytes = self.bytes.saturating_sub(content.len());
        }
        self.leave_out(name, LeftOut::Linked);
        Ok(())
    }

    fn leave_out(&mut self, name: String, why: LeftOut) {
        self.is_truncated = true;
        if self.left_out.len() < MOST_NAMES {
            self.left_out.insert(name, why);
        }
    }

    /// The kept files by path.
    pub(super) fn into_files(self) -> BTreeMap<String, Vec<u8>> {
        self.files.into_iter().map(|((_, path), content)| (path, content)).collect()
    }
}

fn utf8(path: &[u8]) -> Result<&str, ArchiveFault> {
    str::from_utf8(path).map_err(|_| ArchiveFault::NotUtf8 { path: shown(path) })
}
