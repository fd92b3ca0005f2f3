//! One header block of a tar, held to the part of the format that all readers read alike.
//!
//! The rack unpacks with Go's `archive/tar`, the gateway reads with the `tar` crate's header, and both differ in corners
//! (which forms have a prefix, what an octal number may look like, whether a directory may have content). A header in
//! such a corner is refused, so that what is checked here is what is built there.
//!
//! Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".

use tar::Header;

use super::path::shown;
use super::{ArchiveFault, HeaderReason};

/// The size of a block.
pub(super) const BLOCK: usize = 512;

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    LongName,
    LongLink,
    Pax,
    GlobalPax,
}

/// A header, read.
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: u64,
}

fn fault(reason: HeaderReason) -> ArchiveFault {
    ArchiveFault::Header { reason }
}

/// Reads one block.
pub(super) fn read(block: &[u8; BLOCK]) -> Result<Entry, ArchiveFault> {
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(block);
    if header.cksum().ok() != Some(sum(block)) {
        return Err(fault(HeaderReason::Checksum));
    }
    check_form(block)?;
    let path = header.path_bytes().into_owned();
    let kind = kind(header.entry_type().as_byte(), &path)?;
    let size = size(block.get(124..136).unwrap_or_default()).ok_or_else(|| fault(HeaderReason::Size))?;
    let link = header.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
    if size > 0 && matches!(kind, Kind::Directory | Kind::Symlink | Kind::HardLink) {
        return Err(fault(HeaderReason::SizeOfNoFile));
    }
    Ok(Entry { kind, path, link, size })
}

/// The unsigned sum, with the checksum's own field taken as blanks.
fn sum(block: &[u8; BLOCK]) -> u32 {
    let others = block.iter().enumerate().filter(|(at, _)| !(148..156).contains(at));
    others.map(|(_, byte)| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ')
}

/// Exactly POSIX `ustar`, or GNU without the fields that some readers take for a name's prefix.
fn check_form(block: &[u8; BLOCK]) -> Result<(), ArchiveFault> {
    let magic = block.get(257..265).unwrap_or_default();
    let is_ustar = magic == b"ustar\x0000" && block.get(508..512) != Some(b"tar\0".as_slice());
    let times = block.get(345..369).unwrap_or_default();
    let is_gnu = magic == b"ustar  \0"
        && times.chunks(12).all(is_gnu_time)
        && block.get(369..).unwrap_or_default().iter().all(|byte| *byte == 0);
    // A sparse file's header has a map where others have zeros; it gets its own refusal.
    let is_sparse = magic == b"ustar  \0" && block.get(156) == Some(&b'S');
    if is_ustar || is_gnu || is_sparse { Ok(()) } else { Err(fault(HeaderReason::Form)) }
}

fn is_gnu_time(field: &[u8]) -> bool {
    field.iter().all(|byte| *byte == 0) || size(field).is_some()
}

fn kind(kind: u8, path: &[u8]) -> Result<Kind, ArchiveFault> {
    Ok(match kind {
        0 | b'0' if path.ends_with(b"/") => return Err(fault(HeaderReason::FileNamedAsDirectory)),
        0 | b'0' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'5' => Kind::Directory,
        b'L' => Kind::LongName,
        b'K' => Kind::LongLink,
        b'x' => Kind::Pax,
        b'g' => Kind::GlobalPax,
        b'S' => return Err(ArchiveFault::Sparse { path: shown(path) }),
        b'3' | b'4' | b'6' => return Err(ArchiveFault::Device { path: shown(path) }),
        kind => return Err(ArchiveFault::UnknownKind { path: shown(path), kind }),
    })
}

/// Octal digits, then blanks or NULs: no sign, no base 256 (which only sizes beyond 8 GiB need).
fn size(field: &[u8]) -> Option<u64> {
    let digits = field.iter().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let (digits, rest) = field.split_at_checked(digits)?;
    if digits.is_empty() || !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, byte| sum.checked_mul(8)?.checked_add(u64::from(byte - b'0')))
}
