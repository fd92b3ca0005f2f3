//! Files that are there as a whole or not at all.

use std::fs::{File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::Builder;

use super::{StoreError, ZoneState, ZoneStore, raw};
use crate::name::DnsName;

/// What begins the names of files that are not finished; those of a killed process are swept up at the start.
const UNFINISHED: &str = ".rack-gateway-dns-";

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Readers {
    /// The shim's own account.
    Own,
    /// Everybody, such as the account of a name server.
    All,
}

/// The directory of the state. While it lives, no other process can have it.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    lock: File,
}

impl Drop for StateDirectory {
    /// Closing the file is not enough: a child that is just being started has a copy of the descriptor, and with it
    /// the lock, until its `exec` (flock(2)).
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::debug!(error = &error as &dyn std::error::Error, "the lock ends with its file");
        }
    }
}

impl StateDirectory {
    /// Takes the directory.
    ///
    /// # Errors
    /// [`StoreError`], also when another process has it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |doing| move |source| StoreError::Io { path: path.to_owned(), doing, source };
        std::fs::create_dir_all(path).map_err(failed("made"))?;
        let lock = File::create(path.join("lock")).map_err(failed("written"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed("locked")(source)),
        }
        for entry in std::fs::read_dir(path).map_err(failed("read"))? {
            let entry = entry.map_err(failed("read"))?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                std::fs::remove_file(entry.path()).map_err(failed("swept"))?;
            }
        }
        Ok(Self { path: path.to_owned(), lock })
    }

    /// A zone's state, and whether there was a file of it.
    ///
    /// # Errors
    /// [`StoreError`]; a damaged file is left as it is.
    pub fn zone(&self, zone: &DnsName) -> Result<(ZoneStore, bool), StoreError> {
        let path = self.path.join(format!("{zone}.json"));
        let failed = |source| StoreError::Io { path: path.clone(), doing: "read", source };
        let (state, was_there) = match std::fs::read(&path) {
            Ok(bytes) => {
                let damaged =
                    |_no_text| StoreError::Damaged { path: path.clone(), what: "it is no text".into() };
                let text = String::from_utf8(bytes).map_err(damaged)?;
                (raw::read(&path, zone, &text)?, true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (ZoneState::default(), false),
            Err(error) => return Err(failed(error)),
        };
        Ok((ZoneStore::new(path, zone.clone(), state), was_there))
    }
}

/// Puts a file in the place of another: after a crash there is the old one or the new one, and once this returned, the new
/// one.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { path: path.to_owned(), doing: "written", source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = Builder::new().prefix(UNFINISHED).tempfile_in(directory).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if readers == Readers::All {
        file.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The name is durable only with its directory.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::{ChangeEntry, Edit};
    use super::*;
    use crate::record::{RawSet, RecordType, TtlLimits, parse_sets};

    fn zone() -> DnsName {
        DnsName::parse("corp.test").unwrap()
    }

    async fn put(store: &ZoneStore, name: &str) {
        let name = DnsName::parse(name).unwrap();
        let raw = RawSet { record_type: RecordType::Txt, ttl: 60, values: vec!["a\\b \"c\"".into()] };
        let sets = parse_sets(&[raw], TtlLimits { least: 1, most: 100 }).unwrap();
        let edit = move |state: &mut ZoneState| {
            let change = |revision| ChangeEntry {
                revision,
                name: name.clone(),
                at: gateway_types::Timestamp::from_micros(1),
                by: "ann".into(),
                subject: "1".into(),
                request_id: "r".into(),
            };
            Ok::<_, ()>(Edit::Changed(state.set(name.clone(), sets, change)))
        };
        store.edit(edit).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_was_written_is_read_again() {
        let place = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(place.path()).unwrap();
        let (store, was_there) = directory.zone(&zone()).unwrap();
        assert!(!was_there);
        put(&store, "a.corp.test").await;
        put(&store, "b.corp.test").await;
        std::fs::write(place.path().join(format!("{UNFINISHED}x")), "half").unwrap();
        assert!(matches!(StateDirectory::open(place.path()), Err(StoreError::InUse(_))));
        drop(directory);
        let directory = StateDirectory::open(place.path()).unwrap();
        let (again, was_there) = directory.zone(&zone()).unwrap();
        assert!(was_there && again.state() == store.state() && again.state().revision == 2);
        assert!(!place.path().join(format!("{UNFINISHED}x")).exists());
    }

    #[tokio::test]
    async fn damaged_files_are_refused_and_left() {
        let place = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(place.path()).unwrap();
        let (store, _) = directory.zone(&zone()).unwrap();
        put(&store, "a.corp.test").await;
        let good = std::fs::read_to_string(store.path()).unwrap();
        let check = |text: String| {
            std::fs::write(store.path(), &text).unwrap();
            let found = directory.zone(&zone());
            assert!(matches!(found, Err(StoreError::Damaged { .. })), "{text}");
            assert_eq!(std::fs::read_to_string(store.path()).unwrap(), text);
        };
        check(String::new());
        check(good[..good.len() - 1].to_owned());
        check(good.replace("corp.test", "other.test"));
        check(good.replace("\"a.corp.test\"", "\"a.other.test\""));
        check(good.replace("\"format\":1", "\"format\":2"));
        check(good.replace("\"TXT\"", "\"A\""));
        check(good.replace("\"revision\":1", "\"revision\":0").replacen(
            "\"revision\":0",
            "\"revision\":-1",
            1,
        ));
    }
}
