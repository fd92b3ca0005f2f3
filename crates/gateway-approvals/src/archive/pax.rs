//! Extended headers: `LENGTH KEY=VALUE` records, read by their length and not by line.
//!
//! Source: POSIX.1-2017, pax, "pax Extended Header".

use std::collections::BTreeSet;

use super::path::shown;
use super::{ArchiveFault, PaxReason};

/// Keys that say nothing about which bytes are at which path.
const HARMLESS: [&str; 8] = ["atime", "ctime", "mtime", "uid", "gid", "uname", "gname", "comment"];

/// The same, for whole families: attributes, access lists, flags.
const HARMLESS_FAMILIES: [&str; 10] = [
    "SCHILY.xattr.",
    "SCHILY.acl.",
    "SCHILY.dev",
    "SCHILY.fflags",
    "SCHILY.ino",
    "SCHILY.nlink",
    "LIBARCHIVE.creationtime",
    "LIBARCHIVE.xattr.",
    "RHT.security.selinux",
    "MSWINDOWS.rawsd",
];

/// What an extended header says about its entry.
#[derive(Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

fn fault(reason: PaxReason) -> ArchiveFault {
    ArchiveFault::Pax { reason }
}

/// The header of one entry.
pub(super) fn local(body: &[u8]) -> Result<Pax, ArchiveFault> {
    let mut pax = Pax::default();
    for (key, value) in records(body)? {
        match key {
            "path" => pax.path = Some(not_empty(key, value)?),
            "linkpath" => pax.link = Some(not_empty(key, value)?),
            "size" => pax.size = Some(decimal(value).ok_or_else(|| fault(PaxReason::Size))?),
            _ => harmless(key, value)?,
        }
    }
    Ok(pax)
}

/// A header for all entries that follow. Some readers obey it, some do not, so it must say nothing that matters.
pub(super) fn global(body: &[u8]) -> Result<(), ArchiveFault> {
    for (key, value) in records(body)? {
        match key {
            "path" | "linkpath" | "size" => return Err(ArchiveFault::GlobalHeader { key: key.to_owned() }),
            _ => harmless(key, value)?,
        }
    }
    Ok(())
}

fn harmless(key: &str, value: &[u8]) -> Result<(), ArchiveFault> {
    if key.starts_with("GNU.sparse.") {
        return Err(ArchiveFault::Sparse { path: shown(value) });
    }
    if HARMLESS.contains(&key) || HARMLESS_FAMILIES.iter().any(|family| key.starts_with(family)) {
        return Ok(());
    }
    Err(fault(PaxReason::UnknownKey { key: shown(key.as_bytes()) }))
}

fn not_empty(key: &str, value: &[u8]) -> Result<Vec<u8>, ArchiveFault> {
    if value.is_empty() { Err(fault(PaxReason::Empty { key: key.to_owned() })) } else { Ok(value.to_vec()) }
}

fn records(mut body: &[u8]) -> Result<Vec<(&str, &[u8])>, ArchiveFault> {
    let mut found = Vec::new();
    let mut keys = BTreeSet::new();
    while !body.is_empty() {
        let (key, value, rest) = record(body).ok_or_else(|| fault(PaxReason::Record))?;
        if !keys.insert(key) {
            return Err(fault(PaxReason::Repeated { key: shown(key.as_bytes()) }));
        }
        found.push((key, value));
        body = rest;
    }
    Ok(found)
}

fn record(body: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let space = body.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(body.get(..space)?)?).ok()?;
    let (record, rest) = body.split_at_checked(length)?;
    let text = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let (key, value) = text.split_at_checked(equals)?;
    let key = str::from_utf8(key).ok().filter(|key| !key.is_empty())?;
    Some((key, value.get(1..)?, rest))
}

/// A number without sign, blanks or leading zeros: what every reader reads alike.
fn decimal(digits: &[u8]) -> Option<u64> {
    let text = str::from_utf8(digits).ok()?;
    let is_plain = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}
