//! A directory that is its owner's alone: files are written whole or not at all, by one process at a time.
//!
//! # Security
//! What others may read or write, what belongs to somebody else, and links are refused and never repaired:
//! whoever could change them may have done so already (M2).

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::RacksError;
use crate::operator;

/// Rights of others: any of read, write, execute.
const OTHERS: u32 = 0o077;
/// Everybody may write.
const WORLD_WRITABLE: u32 = 0o002;
/// Only the owner of an entry may move it, though everybody may write.
const STICKY: u32 = 0o1000;
/// The largest file that is read, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;
/// The file whose lock is the directory's.
const LOCK: &str = ".lock";

/// The directory; it may not exist yet.
#[derive(Clone, Debug)]
pub(super) struct PrivateDirectory {
    path: PathBuf,
}

/// The directory while nobody else writes in it.
#[derive(Debug)]
pub(super) struct Locked<'a> {
    directory: &'a PrivateDirectory,
    /// The lock ends when the file is closed.
    _lock: File,
}

impl PrivateDirectory {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The content of a file; `None` when there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, RacksError> {
        if !self.is_there()? {
            return Ok(None);
        }
        let path = self.file(name);
        let Some(before) = metadata(&path)? else { return Ok(None) };
        check_file(&path, &before)?;
        let file = File::open(&path).map_err(|source| cannot(&path, source))?;
        // What was looked at and what was opened are the same file, or somebody is at work here.
        let opened = file.metadata().map_err(|source| cannot(&path, source))?;
        if (opened.dev(), opened.ino()) != (before.dev(), before.ino()) && !is_safe_file(&opened) {
            return Err(RacksError::Strange { path });
        }
        let mut content = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut content).map_err(|source| cannot(&path, source))?;
        Ok(Some(content))
    }

    /// Waits until nobody else writes; makes the directory when it is not there.
    pub(super) fn lock(&self) -> Result<Locked<'_>, RacksError> {
        self.make()?;
        let path = self.file(LOCK);
        if let Some(there) = metadata(&path)? {
            check_file(&path, &there)?;
        }
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| cannot(&path, source))?;
        lock.lock().map_err(|source| cannot(&path, source))?;
        Ok(Locked { directory: self, _lock: lock })
    }

    fn make(&self) -> Result<(), RacksError> {
        if self.is_there()? {
            return Ok(());
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        made.map_err(|source| cannot(&self.path, source))?;
        self.is_there().map(drop)
    }

    /// Whether it exists; then it is safe.
    fn is_there(&self) -> Result<bool, RacksError> {
        let path = &self.path;
        let Some(found) = metadata(path)? else { return Ok(false) };
        if found.is_symlink() {
            return Err(RacksError::Link { path: path.clone() });
        }
        if !found.is_dir() {
            return Err(RacksError::Strange { path: path.clone() });
        }
        check_owner(path, &found)?;
        check_mode(path, &found, OTHERS, "700")?;
        // Whoever may write in the directory above could put another one in its place.
        let above = path.parent().unwrap_or(Path::new("/"));
        let parent = fs::metadata(above).map_err(|source| cannot(above, source))?;
        if parent.mode() & STICKY == 0 {
            check_mode(above, &parent, WORLD_WRITABLE, "o-w")?;
        }
        Ok(true)
    }
}

impl Locked<'_> {
    /// Puts `content` in the place of the file, whole.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), RacksError> {
        let path = self.directory.file(name);
        if let Some(there) = metadata(&path)? {
            check_file(&path, &there)?;
        }
        let replace = || -> io::Result<()> {
            // A temporary file is made with mode 600, and renaming keeps it.
            let mut file = NamedTempFile::new_in(&self.directory.path)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(&self.directory.path)?.sync_all()
        };
        replace().map_err(|source| cannot(&path, source))
    }
}

fn metadata(path: &Path) -> Result<Option<Metadata>, RacksError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(cannot(path, source)),
    }
}

fn check_file(path: &Path, found: &Metadata) -> Result<(), RacksError> {
    if found.is_symlink() {
        return Err(RacksError::Link { path: path.to_owned() });
    }
    if !found.is_file() {
        return Err(RacksError::Strange { path: path.to_owned() });
    }
    check_owner(path, found)?;
    check_mode(path, found, OTHERS, "600")
}

fn is_safe_file(found: &Metadata) -> bool {
    check_file(Path::new(""), found).is_ok()
}

fn check_mode(path: &Path, found: &Metadata, forbidden: u32, right: &'static str) -> Result<(), RacksError> {
    let mode = found.mode() & 0o777;
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(RacksError::OpenToOthers { path: path.to_owned(), mode, right })
}

fn check_owner(path: &Path, found: &Metadata) -> Result<(), RacksError> {
    match operator::uid() {
        Some(uid) if uid != found.uid() => Err(RacksError::Foreign { path: path.to_owned() }),
        Some(_) | None => Ok(()),
    }
}

fn cannot(path: &Path, source: io::Error) -> RacksError {
    RacksError::Io { path: path.to_owned(), source }
}
