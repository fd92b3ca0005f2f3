//! Reads an uploaded source archive (`.tgz`) as a stream, keeps its manifests, and refuses what two readers could read
//! in two ways.
//!
//! The rack unpacks the same bytes later with another program. An approval says "this manifest, these images", so the
//! file checked here must be the file built there: a name that is twice in the archive, a link that moves a directory, a
//! header that one reader skips are refused rather than interpreted. Nothing is ever written to a disk.
//!
//! Start reading at [`read`]. It knows nothing of YAML ([`crate::manifest`]) and nothing of approvals.

use std::io::Read;

mod fault;
mod found;
mod header;
mod kept;
mod ledger;
mod path;
mod pax;
mod stream;
#[cfg(test)]
mod tests;

pub use fault::{ArchiveFault, HeaderReason, PaxReason};
pub use found::{Archive, LeftOut, NoManifest};

use header::{BLOCK, Entry, Kind};
use kept::Kept;
use ledger::{Ledger, Seen};
use path::{normalise, shown};
use pax::Pax;
use stream::Unpacked;

/// An extended header is at most this long; Go's reader has the same limit.
const MOST_PAX_BYTES: u64 = 1024 * 1024;

/// How much an archive may be, and what of it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Entries, with global headers.
    pub entries: u64,
    /// Bytes of the unpacked tar, headers and padding counted.
    pub unpacked_bytes: u64,
    /// How many times its own size it may unpack to…
    pub ratio: u64,
    /// …once it has unpacked to more than this: short files of zeros are no attack.
    pub ratio_from_bytes: u64,
    /// Longest path.
    pub path_bytes: usize,
    /// Largest manifest that is kept.
    pub manifest_bytes: u64,
    /// How many manifests are kept…
    pub manifests: usize,
    /// …and how large they may be together.
    pub manifests_bytes: usize,
    /// How deep `.yml` and `.yaml` files are looked for; 1 is the root of the archive.
    pub manifest_depth: usize,
    /// Further paths to keep, whatever their name and depth.
    pub named: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 50_000,
            unpacked_bytes: 4 * 1024 * 1024 * 1024,
            ratio: 250,
            ratio_from_bytes: 64 * 1024 * 1024,
            path_bytes: 4_096,
            manifest_bytes: 1024 * 1024,
            manifests: 64,
            manifests_bytes: 4 * 1024 * 1024,
            manifest_depth: 3,
            named: Vec::new(),
        }
    }
}

/// Reads an archive to the very end of its source, so that whoever hands out the bytes can hash them all.
///
/// On a fault it stops where it is. Only the manifests are kept in memory, and for each entry its path.
///
/// # Errors
///
/// [`ArchiveFault::Source`] if the bytes could not be had; every other variant is the uploader's fault.
///
/// # Security
///
/// The same bytes give the same answer however the source cuts them.
pub fn read(source: impl Read, limits: &Limits) -> Result<Archive, ArchiveFault> {
    let mut reader = Reader {
        bytes: Unpacked::new(source, limits),
        limits,
        ledger: Ledger::default(),
        kept: Kept::new(limits),
        entries: 0,
        pending: Pending::default(),
    };
    while let Some(block) = reader.next_header()? {
        reader.take(header::read(&block)?)?;
    }
    reader.drain()?;
    Ok(reader.finish())
}

/// Extended headers whose entry has not come yet.
#[derive(Default)]
struct Pending {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && self.pax.is_none()
    }
}

struct Reader<'a, R> {
    bytes: Unpacked<'a, R>,
    limits: &'a Limits,
    ledger: Ledger,
    kept: Kept<'a>,
    entries: u64,
    pending: Pending,
}

impl<R: Read> Reader<'_, R> {
    /// The next header; `None` after the two blocks of zeros that end an archive.
    fn next_header(&mut self) -> Result<Option<[u8; BLOCK]>, ArchiveFault> {
        let mut block = [0_u8; BLOCK];
        self.bytes.fill_all(&mut block)?;
        if block.iter().any(|byte| *byte != 0) {
            return Ok(Some(block));
        }
        if !self.pending.is_empty() {
            return Err(ArchiveFault::DanglingExtension);
        }
        self.bytes.fill_all(&mut block)?;
        if block.iter().any(|byte| *byte != 0) {
            return Err(ArchiveFault::Header { reason: HeaderReason::LoneZeroBlock });
        }
        Ok(None)
    }

    fn take(&mut self, entry: Entry) -> Result<(), ArchiveFault> {
        match entry.kind {
            Kind::LongName => {
                let name = self.long_name(entry.size)?;
                once(self.pending.name.replace(name))
            }
            Kind::LongLink => {
                let link = self.long_name(entry.size)?;
                once(self.pending.link.replace(link))
            }
            Kind::Pax => {
                let body = self.pax_body(entry.size)?;
                once(self.pending.pax.replace(pax::local(&body)?))
            }
            Kind::GlobalPax => {
                // Go forgets an extended header when a global one follows it; others apply it.
                if !self.pending.is_empty() {
                    return Err(ArchiveFault::DanglingExtension);
                }
                self.count()?;
                let body = self.pax_body(entry.size)?;
                pax::global(&body)
            }
            Kind::File | Kind::Directory | Kind::Symlink | Kind::HardLink => self.member(entry),
        }
    }

    fn member(&mut self, entry: Entry) -> Result<(), ArchiveFault> {
        self.count()?;
        let Pending { name, link, pax } = std::mem::take(&mut self.pending);
        let pax = pax.unwrap_or_default();
        if pax.size.is_some_and(|size| size != entry.size) {
            return Err(ArchiveFault::Pax { reason: PaxReason::Size });
        }
        let named = one_name(pax.path, name)?.unwrap_or(entry.path);
        let link = one_name(pax.link, link)?.unwrap_or(entry.link);
        let path = normalise(&named, self.limits)?;
        if path.is_empty() && entry.kind != Kind::Directory {
            return Err(ArchiveFault::EmptyPath);
        }
        match entry.kind {
            Kind::File if named.ends_with(b"/") => {
                Err(ArchiveFault::Header { reason: HeaderReason::FileNamedAsDirectory })
            }
            Kind::File => self.file(&path, entry.size),
            Kind::Directory if path.is_empty() => Ok(()),
            Kind::Directory => self.ledger.enter(&path, Seen::Directory),
            Kind::Symlink => self.symlink(&path, &link),
            Kind::HardLink => self.hard_link(&path, &link),
            Kind::LongName | Kind::LongLink | Kind::Pax | Kind::GlobalPax => Ok(()),
        }
    }

    fn file(&mut self, path: &[u8], size: u64) -> Result<(), ArchiveFault> {
        self.ledger.enter(path, Seen::File)?;
        if self.kept.is_candidate(path) && self.kept.admit(path, size)? {
            let content = self.body(size)?;
            return self.kept.keep(path, content);
        }
        self.bytes.skip(padded(size))
    }

    fn symlink(&mut self, path: &[u8], target: &[u8]) -> Result<(), ArchiveFault> {
        check_target(target)?;
        if self.kept.is_candidate(path) {
            self.kept.linked(path, ArchiveFault::LinkAtManifest { path: shown(path) })?;
        }
        self.ledger.enter(path, Seen::Symlink)
    }

    /// A second name of an earlier entry of the same archive. Where it leads is what stands there.
    fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), ArchiveFault> {
        check_target(target)?;
        if self.kept.is_candidate(path) {
            self.kept.linked(path, ArchiveFault::LinkAtManifest { path: shown(path) })?;
        }
        let target = normalise(target, self.limits)?;
        let names = || (shown(path), shown(&target));
        let what = match self.ledger.at(&target) {
            Some(what @ (Seen::File | Seen::Symlink)) => what,
            Some(Seen::Directory) | None => {
                let (path, target) = names();
                return Err(ArchiveFault::HardLinkTarget { path, target });
            }
        };
        if self.kept.is_candidate(&target) {
            let (path, named) = names();
            self.kept.linked(&target, ArchiveFault::HardLinkToManifest { path, target: named })?;
        }
        self.ledger.enter(path, what)
    }

    fn count(&mut self) -> Result<(), ArchiveFault> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ArchiveFault::TooManyEntries { most: self.limits.entries });
        }
        Ok(())
    }

    /// The content of an entry that is known to be small, and what pads it.
    fn body(&mut self, size: u64) -> Result<Vec<u8>, ArchiveFault> {
        let mut body = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.bytes.fill_all(&mut body)?;
        self.bytes.skip(padded(size) - size)?;
        Ok(body)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, ArchiveFault> {
        if size > self.limits.path_bytes as u64 + 1 {
            return Err(ArchiveFault::PathTooLong { path: String::new() });
        }
        let mut name = self.body(size)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        if name.is_empty() { Err(ArchiveFault::EmptyPath) } else { Ok(name) }
    }

    fn pax_body(&mut self, size: u64) -> Result<Vec<u8>, ArchiveFault> {
        if size > MOST_PAX_BYTES {
            return Err(ArchiveFault::Pax { reason: PaxReason::TooLong });
        }
        self.body(size)
    }

    /// What follows the end may only be zeros: one reader stops there, another goes on.
    fn drain(&mut self) -> Result<(), ArchiveFault> {
        let mut rest = [0_u8; 16 * 1024];
        loop {
            let count = self.bytes.fill(&mut rest)?;
            if rest.iter().take(count).any(|byte| *byte != 0) {
                return Err(ArchiveFault::TrailingBytes);
            }
            if count < rest.len() {
                return Ok(());
            }
        }
    }

    fn finish(mut self) -> Archive {
        Archive {
            left_out: std::mem::take(&mut self.kept.left_out),
            truncated: self.kept.is_truncated,
            entries: self.entries,
            unpacked_bytes: self.bytes.bytes(),
            manifest_depth: self.limits.manifest_depth,
            manifests: self.kept.into_files(),
        }
    }
}

fn once<T>(earlier: Option<T>) -> Result<(), ArchiveFault> {
    if earlier.is_some() { Err(ArchiveFault::RepeatedExtension) } else { Ok(()) }
}

/// The name that extended headers give, if they agree.
fn one_name(pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, ArchiveFault> {
    match (pax, gnu) {
        (Some(pax), Some(gnu)) if pax != gnu => {
            Err(ArchiveFault::NamesDisagree { pax: shown(&pax), gnu: shown(&gnu) })
        }
        (Some(name), _) | (None, Some(name)) => Ok(Some(name)),
        (None, None) => Ok(None),
    }
}

fn check_target(target: &[u8]) -> Result<(), ArchiveFault> {
    if target.is_empty() {
        return Err(ArchiveFault::Header { reason: HeaderReason::NoTarget });
    }
    if target.contains(&0) {
        return Err(ArchiveFault::NulInPath { path: shown(target) });
    }
    Ok(())
}

/// The size with the zeros that fill its last block.
fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64)
}
