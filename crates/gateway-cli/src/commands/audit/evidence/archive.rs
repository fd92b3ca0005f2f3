//! An archive as bytes: written in the order of its manifest, and read file by file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::manifest::{MANIFEST, Manifest, RECORD, Record};

/// The largest manifest or record that is read, in bytes.
const MOST_HEAD: u64 = 16 * 1024 * 1024;

/// Writes an archive of the files below `place`.
pub(super) fn write(
    out: &mut File,
    place: &Path,
    manifest: &Manifest,
    manifest_bytes: &[u8],
    record: &Record,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(&mut *out, Compression::default()));
    let record = serde_json::to_vec_pretty(record)?;
    for (name, bytes) in [(MANIFEST, manifest_bytes), (RECORD, record.as_slice())] {
        archive.append_data(&mut header(bytes.len() as u64), name, bytes)?;
    }
    for file in &manifest.files {
        let source = File::open(place.join(&file.path))?;
        archive.append_data(&mut header(file.bytes), &file.path, source.take(file.bytes))?;
    }
    archive.into_inner()?.finish()?.flush()?;
    out.sync_all()
}

/// The same bytes for the same files: no owner, no time of this machine.
fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}

/// Reads an archive: `each` is given every file by its name, in order, and reads it as it likes.
///
/// # Errors
/// When it is no archive, holds something else than plain files, or `each` says so.
pub(super) fn read(
    file: impl Read,
    mut each: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_str().unwrap_or_default().to_owned();
        if !entry.header().entry_type().is_file() || !super::manifest::is_plain(&path) {
            let said = format!("it holds {path:?}, which is no plain file of such an archive");
            return Err(io::Error::new(io::ErrorKind::InvalidData, said));
        }
        each(&path, &mut entry)?;
    }
    Ok(())
}

/// A manifest or record, whole.
///
/// # Errors
/// When it is larger than any is.
pub(super) fn head(file: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MOST_HEAD + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_HEAD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its manifest is larger than any is"));
    }
    Ok(bytes)
}
