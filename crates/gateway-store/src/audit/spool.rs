//! Events that cannot be written to the database now, on this machine's disk until they can.
//!
//! One line for each event: its leaf as it will be stored, so that nothing is decided anew when it is. The file is
//! one process's (an advisory lock) and one gateway's (its name), and is emptied once all of it is in the log.
//! What was merged before a crash is found again by its hash and not written twice.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Error, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_audit::{Event, Hash, Leaf, leaf_hash};
use gateway_types::{GatewayId, Timestamp};
use serde::{Deserialize, Serialize};

use super::pending::{Pending, Urgency};
use crate::error::StoreError;

/// Processes of one gateway that may share a directory.
const MOST_FILES: usize = 16;
/// The most that is kept on disk, in bytes: some hundred thousand events.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
/// The longest line, in bytes: a leaf, and bodies that did not fit into it.
const LONGEST_LINE: usize = 64 * 1024 * 1024;

/// The first line: how many leaves the log surely had when the first event was kept. Whatever was merged later is
/// behind them.
#[derive(Serialize, Deserialize)]
struct Header {
    size: u64,
}

/// An event as a line.
#[derive(Serialize, Deserialize)]
struct Line {
    leaf: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    blobs: Vec<(String, String)>,
}

/// The file, and how far it was read.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    path: PathBuf,
    /// Events in it, and since when.
    count: usize,
    since: Option<Timestamp>,
    /// How many leaves the log surely had before.
    size: u64,
    bytes: u64,
    /// Where reading goes on.
    position: u64,
}

/// What was kept, for the event that says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    pub(super) count: usize,
    pub(super) since: Option<Timestamp>,
}

impl Drop for Spool {
    /// Closing the file is not enough, as for the lock beside a database ([`crate::files`]): a child that is just
    /// being started has the lock too, until its `exec`.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(error = &error as &dyn std::error::Error, "the spool's lock ends with its file");
        }
    }
}

impl Spool {
    /// Opens the first file of the directory that no other process has. What an earlier process left in it is there.
    pub(super) fn open(directory: &Path, gateway: GatewayId) -> Result<Self, StoreError> {
        let fault = |path: &Path| {
            let path = path.to_path_buf();
            move |source| StoreError::File { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fault(directory))?;
        for path in Self::paths(directory, gateway) {
            if let Some(spool) = Self::lock(path)? {
                return Ok(spool);
            }
        }
        Err(StoreError::Locked { path: directory.to_path_buf() })
    }

    /// Where one gateway's processes keep their events, in the order in which they are tried.
    fn paths(directory: &Path, gateway: GatewayId) -> impl Iterator<Item = PathBuf> {
        (0..MOST_FILES).map(move |number| directory.join(format!("audit-spool-{gateway}.{number}")))
    }

    /// The file as it is, or nothing when another process has it.
    fn lock(path: PathBuf) -> Result<Option<Self>, StoreError> {
        let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(source) => return Err(StoreError::File { path, source }),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(StoreError::File { path, source }),
        }
        let mut spool = Self { file, path, count: 0, since: None, size: 0, bytes: 0, position: 0 };
        spool.survey().map_err(|source| StoreError::File { path: spool.path.clone(), source })?;
        Ok(Some(spool))
    }

    /// Of an empty spool: a file that a process left which has ended since and was not started again.
    pub(super) fn left_behind(&self, gateway: GatewayId) -> Result<Option<Self>, StoreError> {
        let Some(directory) = self.path.parent() else { return Ok(None) };
        for path in Self::paths(directory, gateway) {
            let holds = path != self.path && path.metadata().is_ok_and(|file| file.len() > 0);
            if let Some(left) = holds.then(|| Self::lock(path)).transpose()?.flatten()
                && !left.is_empty()
            {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    /// How many events are kept.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What is kept now.
    pub(super) const fn kept(&self) -> Kept {
        Kept { count: self.count, since: self.since }
    }

    /// How many leaves the log surely had before any of it was kept.
    pub(super) const fn since_size(&self) -> u64 {
        self.size
    }

    /// Keeps these events, durably. When it fails none of them is kept. The log has `size` leaves, or more.
    pub(super) fn add(&mut self, events: &[&Pending], size: u64) -> Result<(), Error> {
        let mut lines = Vec::new();
        if self.bytes == 0 {
            serde_json::to_writer(&mut lines, &Header { size })?;
            lines.push(b'\n');
            self.size = size;
        }
        for event in events {
            let line = Line {
                leaf: STANDARD.encode(&event.leaf.bytes),
                blobs: event
                    .leaf
                    .blobs
                    .iter()
                    .map(|(hash, bytes)| (hash.to_string(), STANDARD.encode(bytes)))
                    .collect(),
            };
            serde_json::to_writer(&mut lines, &line)?;
            lines.push(b'\n');
        }
        if self.bytes.saturating_add(lines.len() as u64) > MOST_BYTES {
            return Err(Error::new(std::io::ErrorKind::StorageFull, "the spool is as large as it may be"));
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line would hide the next one.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        self.count += events.len();
        let first = events.first().map(|event| Timestamp::from_micros(event.columns.time));
        self.since = self.since.or(first);
        Ok(())
    }

    /// The next events, at most so many; none at the end.
    pub(super) fn next(&mut self, most: usize) -> Result<Vec<Pending>, Error> {
        self.file.seek(SeekFrom::Start(self.position))?;
        let mut reader = BufReader::new(&self.file);
        let (mut events, mut line) = (Vec::new(), Vec::new());
        while events.len() < most {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            self.position += read as u64;
            match line.len() <= LONGEST_LINE && line.ends_with(b"\n") {
                true => match (parse(&line), serde_json::from_slice::<Header>(&line)) {
                    (Some(pending), _) => events.push(pending),
                    (None, Ok(header)) => self.size = header.size,
                    (None, Err(_)) => {
                        tracing::error!(path = %self.path.display(), "a line of the spool is damaged and was left out")
                    }
                },
                // A process that was killed while it wrote: nobody was told that this was kept.
                false => tracing::warn!(path = %self.path.display(), "the spool ends in half a line"),
            }
        }
        Ok(events)
    }

    /// Reads from the beginning again.
    pub(super) fn rewind(&mut self) {
        self.position = 0;
    }

    /// Forgets everything: it is in the log.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        self.file.set_len(0)?;
        self.file.sync_data()?;
        (self.count, self.since, self.size, self.bytes, self.position) = (0, None, 0, 0, 0);
        Ok(())
    }

    /// Counts what an earlier process left.
    fn survey(&mut self) -> Result<(), Error> {
        loop {
            let events = self.next(256)?;
            let Some(first) = events.first() else { break };
            self.since = self.since.or(Some(Timestamp::from_micros(first.columns.time)));
            self.count += events.len();
        }
        self.bytes = self.file.metadata()?.len();
        if self.count == 0 && self.bytes > 0 {
            self.clear()?;
        }
        self.rewind();
        Ok(())
    }
}

fn parse(line: &[u8]) -> Option<Pending> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let bytes = STANDARD.decode(line.leaf).ok()?;
    let (event, _nonce) = Event::from_leaf(&bytes).ok()?;
    let blobs: Option<Vec<(Hash, Vec<u8>)>> = line
        .blobs
        .into_iter()
        .map(|(hash, bytes)| Some((hash.parse().ok()?, STANDARD.decode(bytes).ok()?)))
        .collect();
    let leaf = Leaf { hash: leaf_hash(&bytes), bytes, blobs: blobs? };
    Some(Pending::of_leaf(&event, leaf, Urgency::Kept))
}

#[cfg(test)]
mod tests {
    use gateway_types::{ActionName, EventId, OsEntropy, Resource};

    use super::*;

    fn pending(number: i64) -> Pending {
        let time = Timestamp::from_micros(1_700_000_000_000_000 + number);
        let id = EventId::new(time, &OsEntropy);
        let mut event = Event::new(
            time,
            id,
            ActionName::new("convox:app:list"),
            Resource::gateway(),
            gateway_audit::Actor::system(),
        );
        event.parameters.insert("number".to_owned(), number.to_string());
        Pending::new(&event, &OsEntropy, Urgency::Droppable).unwrap()
    }

    fn gateway() -> GatewayId {
        "018f0000-0000-7000-8000-000000000001".parse().unwrap()
    }

    fn all(spool: &mut Spool) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let some = spool.next(3).unwrap();
            if some.is_empty() {
                return all;
            }
            all.extend(some.into_iter().map(|pending| pending.leaf.bytes));
        }
    }

    #[test]
    fn what_was_kept_comes_back_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let events: Vec<Pending> = (0..10).map(pending).collect();
        let expected: Vec<Vec<u8>> = events.iter().map(|event| event.leaf.bytes.clone()).collect();
        let mut spool = Spool::open(place.path(), gateway()).unwrap();
        let (first, second) = events.split_at(4);
        spool.add(&first.iter().collect::<Vec<_>>(), 7).unwrap();
        spool.add(&second.iter().collect::<Vec<_>>(), 7).unwrap();
        assert_eq!(all(&mut spool), expected);
        spool.rewind();
        assert_eq!(all(&mut spool), expected, "once more, when merging failed");
        drop(spool);
        // Another process, after a crash.
        let mut spool = Spool::open(place.path(), gateway()).unwrap();
        assert_eq!(
            spool.kept(),
            Kept { count: 10, since: Some(Timestamp::from_micros(events[0].columns.time)) }
        );
        assert_eq!(spool.since_size(), 7);
        assert_eq!(all(&mut spool), expected);
        spool.clear().unwrap();
        assert!(spool.is_empty() && all(&mut spool).is_empty());
        drop(spool);
        assert!(Spool::open(place.path(), gateway()).unwrap().is_empty());
    }

    #[test]
    fn each_process_has_its_own() {
        let place = tempfile::tempdir().unwrap();
        let mut one = Spool::open(place.path(), gateway()).unwrap();
        let two = Spool::open(place.path(), gateway()).unwrap();
        assert_ne!(one.path, two.path);
        one.add(&[&pending(1)], 1).unwrap();
        assert!(two.is_empty());
        assert!(two.left_behind(gateway()).unwrap().is_none(), "its process lives");
        let path = one.path.clone();
        drop(one);
        let left = two.left_behind(gateway()).unwrap().unwrap();
        assert_eq!((left.len(), &left.path), (1, &path));
        // Another gateway's events are nobody else's to write.
        let other = "018f0000-0000-7000-8000-000000000002".parse().unwrap();
        assert!(Spool::open(place.path(), other).unwrap().is_empty());
    }

    #[test]
    fn what_is_damaged_is_left_out_and_hides_nothing() {
        let place = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(place.path(), gateway()).unwrap();
        spool.add(&[&pending(1)], 1).unwrap();
        spool.file.write_all(b"{\"leaf\":\"AAAA\"}\nnonsense\n").unwrap();
        spool.file.write_all(&[b'x'; 100]).unwrap();
        drop(spool);
        let mut spool = Spool::open(place.path(), gateway()).unwrap();
        assert_eq!(spool.len(), 1);
        assert_eq!(
            all(&mut spool),
            [pending(1).leaf.bytes.len()].map(|_| {
                spool.rewind();
                spool.next(1).unwrap().remove(0).leaf.bytes
            })
        );
    }

    #[test]
    fn nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let spool = Spool::open(&place.path().join("deep"), gateway()).unwrap();
        assert_eq!(spool.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(place.path().join("deep").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
