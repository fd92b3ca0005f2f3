//! The SQLite file: made for the owner's eyes only, and locked by the one `serve` that writes to it.
//! Knows nothing of SQL.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Makes the directory (mode 0700) and an empty database file (mode 0600) where they are missing.
/// A file that is there is narrowed to 0600; a directory that is there is left as it is.
pub(crate) fn prepare(database: &Path) -> Result<(), StoreError> {
    let fault = |source| StoreError::File { path: database.to_path_buf(), source };
    if let Some(directory) = database.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fault)?;
    }
    // A file that is there is never opened here: closing it again would drop the POSIX locks that
    // SQLite connections of this very process hold on it (sqlite.org/howtocorrupt.html, 2.2).
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(database) {
        Ok(_empty) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(fault(error)),
    }
    let wide = fs::metadata(database).map_err(fault)?.permissions().mode() & 0o077 != 0;
    if wide {
        fs::set_permissions(database, Permissions::from_mode(0o600)).map_err(fault)?;
    }
    Ok(())
}

/// The advisory lock of the one `serve` on a SQLite file. Freed by the operating system when the
/// process ends in whatever way.
#[derive(Debug)]
pub(crate) struct ServeLock {
    file: File,
}

impl Drop for ServeLock {
    /// Closing the file is not enough: a child that this process is just starting has a copy of the
    /// descriptor until its `exec`, and with it the lock (flock(2)).
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(error = &error as &dyn std::error::Error, "the serve lock ends with its file");
        }
    }
}

impl ServeLock {
    /// Takes the lock next to `database`, or says that another `serve` has it.
    pub(crate) fn take(database: &Path) -> Result<ServeLock, StoreError> {
        let path = beside(database, ".serve-lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| StoreError::File { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(ServeLock { file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: database.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(StoreError::File { path, source }),
        }
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}
