//! A file of lines that is exchanged before it would grow above its limit: `audit.jsonl`, then `audit.jsonl.1.gz`, the newest of the
//! older ones, up to the number that is kept.
//!
//! It knows lines, not what is in them. One process writes one file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;

/// How much is read at once when the last line is looked for.
const STEP: u64 = 64 * 1024;

/// Only the gateway's own user reads the files: they say who did what.
const MODE: u32 = 0o600;

/// Whether older files are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// As they are.
    None,
    /// With gzip (RFC 1952), `.gz` behind their names.
    Gzip,
}

/// How a file is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// Where the newest lines are.
    pub path: PathBuf,
    /// The most bytes of one file.
    pub most_bytes: u64,
    /// How many older files are kept, at least 1.
    pub keep: u32,
    /// What becomes of the older ones.
    pub compression: Compression,
}

/// Why lines could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The system refused.
    #[error("{} cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The line alone is larger than a file may be.
    #[error("a line of {bytes} bytes is larger than the limit of {most} bytes; raise size_bytes")]
    TooLong {
        /// The line's size with its line feed.
        bytes: u64,
        /// The limit.
        most: u64,
    },
}

/// The file that is written now.
#[derive(Debug)]
pub struct RotatingFile {
    rotation: Rotation,
    file: File,
    size_bytes: u64,
}

impl RotatingFile {
    /// Opens the file, or makes it. What a process that died left unfinished is put right: half of a last line is
    /// cut off, and a file that was not compressed yet is.
    ///
    /// # Errors
    /// [`FileFault::Io`].
    pub fn open(rotation: Rotation) -> Result<Self, FileFault> {
        let path = rotation.path.clone();
        let fault = |source| FileFault::Io { path: path.clone(), source };
        if rotation.compression == Compression::Gzip {
            compress(&numbered(&rotation.path, 1)).map_err(fault)?;
        }
        let mut file = open_file(&rotation.path).map_err(fault)?;
        let (whole, _line) = last_line(&mut file).map_err(fault)?;
        file.set_len(whole).map_err(fault)?;
        file.seek(SeekFrom::End(0)).map_err(fault)?;
        Ok(Self { rotation, file, size_bytes: whole })
    }

    /// The last whole line of the file, without its line feed; `None` when there is none.
    ///
    /// # Errors
    /// [`FileFault::Io`].
    pub fn last_line(&mut self) -> Result<Option<Vec<u8>>, FileFault> {
        let path = self.rotation.path.clone();
        let found = last_line(&mut self.file).and_then(|(_whole, line)| {
            self.file.seek(SeekFrom::End(0))?;
            Ok(line)
        });
        found.map_err(|source| FileFault::Io { path, source })
    }

    /// Adds a line; `line` is without a line feed. The file is exchanged first when it would grow above its limit.
    ///
    /// # Errors
    /// [`FileFault`]. A part of the line may then be in the file: it is cut off when the file is opened again.
    pub fn append(&mut self, line: &[u8]) -> Result<(), FileFault> {
        let bytes = line.len() as u64 + 1;
        let most = self.rotation.most_bytes;
        if bytes > most {
            return Err(FileFault::TooLong { bytes, most });
        }
        let path = self.rotation.path.clone();
        let fault = |source| FileFault::Io { path: path.clone(), source };
        if self.size_bytes + bytes > most {
            self.exchange().map_err(fault)?;
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        self.file.write_all(&whole).map_err(fault)?;
        self.size_bytes += bytes;
        Ok(())
    }

    /// Returns once everything is on the disk.
    ///
    /// # Errors
    /// [`FileFault::Io`].
    pub fn sync(&mut self) -> Result<(), FileFault> {
        let path = self.rotation.path.clone();
        self.file.sync_data().map_err(|source| FileFault::Io { path, source })
    }

    /// Every step leaves each line in a file of one of the known names, or in two with the same content.
    fn exchange(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let Rotation { path, keep, compression, .. } = &self.rotation;
        for number in (1..=*keep).rev() {
            for name in [numbered(path, number), compressed(&numbered(path, number))] {
                if !name.exists() {
                    continue;
                }
                if number == *keep {
                    fs::remove_file(&name)?;
                } else {
                    let next = numbered(path, number + 1);
                    let is_compressed = name.extension().is_some_and(|extension| extension == "gz");
                    fs::rename(&name, if is_compressed { compressed(&next) } else { next })?;
                }
            }
        }
        let first = numbered(path, 1);
        fs::rename(path, &first)?;
        self.file = open_file(path)?;
        self.size_bytes = 0;
        sync_directory(path)?;
        match compression {
            Compression::None => Ok(()),
            Compression::Gzip => compress(&first),
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(path)
}

/// `audit.jsonl.3`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    with_suffix(path, &format!(".{number}"))
}

/// `audit.jsonl.3.gz`.
fn compressed(path: &Path) -> PathBuf {
    with_suffix(path, ".gz")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Exchanges a file for its compressed form; does nothing when there is none.
fn compress(path: &Path) -> io::Result<()> {
    let mut from = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let part = with_suffix(path, ".gz.part");
    let to = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&part)?;
    let mut encoder = GzEncoder::new(to, flate2::Compression::default());
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&part, compressed(path))?;
    fs::remove_file(path)?;
    sync_directory(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// How many bytes the whole lines take, and the last of them.
fn last_line(file: &mut File) -> io::Result<(u64, Option<Vec<u8>>)> {
    let mut start = file.seek(SeekFrom::End(0))?;
    let mut tail: Vec<u8> = Vec::new();
    loop {
        // Behind the last line feed is half a line; between it and the one before is the last whole line.
        if let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') {
            let before = tail.get(..end).unwrap_or_default();
            let begin = before.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
            if let Some(line) = begin.or((start == 0).then_some(0)).and_then(|begin| before.get(begin..)) {
                return Ok((start + end as u64 + 1, Some(line.to_vec())));
            }
        }
        if start == 0 {
            return Ok((0, None));
        }
        let step = start.min(STEP);
        start -= step;
        file.seek(SeekFrom::Start(start))?;
        let mut piece = Vec::new();
        io::Read::by_ref(file).take(step).read_to_end(&mut piece)?;
        piece.extend_from_slice(&tail);
        tail = piece;
    }
}
