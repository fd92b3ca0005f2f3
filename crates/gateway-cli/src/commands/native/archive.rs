//! The archive of a directory that a build begins with: gzipped tar, the same bytes for the same files.
//!
//! Owners and times are left out, so that an archive whose digest was approved can be packed again. Symbolic links are
//! kept as links; sockets, pipes and devices are left out.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::ignore::Ignored;
use crate::failure::{Exit, Failure, Problem};

/// The file that says what is left out.
const IGNORE_FILE: &str = ".dockerignore";
/// The largest one, in bytes.
const MOST_IGNORE_BYTES: u64 = 1024 * 1024;

/// A packed directory. The file is gone when this is.
#[derive(Debug)]
pub(super) struct Packed {
    /// The archive, at its beginning.
    pub(super) file: File,
    /// Its size.
    pub(super) size_bytes: u64,
    /// How many files are in it.
    pub(super) files: usize,
}

/// Packs a directory. `kept` stays whatever is said to be left out: a build cannot begin without it.
///
/// # Errors
/// When there is no such directory, or something in it cannot be read.
pub(super) fn pack(directory: &Path, kept: &[&str]) -> Result<Packed, Failure> {
    let ignored = ignored(directory)?;
    let mut paths = Vec::new();
    collect(directory, &mut String::new(), &ignored, kept, &mut paths)?;
    paths.sort();
    let files = paths.len();
    if files == 0 {
        return Err(Failure::new(
            Exit::Usage,
            format!("there is nothing to build in {}", directory.display()),
        ));
    }
    let temporary = tempfile::tempfile().problem("no temporary file can be made")?;
    let mut builder = Builder::new(GzEncoder::new(BufWriter::new(temporary), Compression::default()));
    for path in &paths {
        append(&mut builder, &directory.join(path), path)
            .problem(format!("{} cannot be packed", directory.join(path).display()))?;
    }
    let finish = || -> io::Result<(File, u64)> {
        let mut writer = builder.into_inner()?.finish()?;
        writer.flush()?;
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        let size_bytes = file.stream_position()?;
        file.seek(SeekFrom::Start(0))?;
        Ok((file, size_bytes))
    };
    let (file, size_bytes) = finish().problem("the archive cannot be written")?;
    Ok(Packed { file, size_bytes, files })
}

fn ignored(directory: &Path) -> Result<Ignored, Failure> {
    let path = directory.join(IGNORE_FILE);
    match fs::metadata(&path) {
        Ok(known) if known.len() > MOST_IGNORE_BYTES => {
            return Err(Failure::new(Exit::Usage, format!("{} is too large", path.display())));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ignored::default()),
        Err(error) => return Err(error).problem(format!("{} cannot be read", path.display())),
    }
    let text = fs::read_to_string(&path).problem(format!("{} cannot be read", path.display()))?;
    Ok(Ignored::parse(&text))
}

/// Finds what is packed, by its path below the directory.
fn collect(
    directory: &Path,
    below: &mut String,
    ignored: &Ignored,
    kept: &[&str],
    paths: &mut Vec<String>,
) -> Result<(), Failure> {
    let here = directory.join(below.as_str());
    let cannot = || format!("{} cannot be read", here.display());
    for entry in fs::read_dir(&here).problem(cannot())? {
        let entry = entry.problem(cannot())?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| {
            Failure::new(Exit::Failed, format!("{} has a name that is not UTF-8", entry.path().display()))
        })?;
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        let is_kept = path == IGNORE_FILE || kept.contains(&path.as_str());
        let leads_to_kept = kept.iter().any(|kept| kept.starts_with(&format!("{path}/")));
        let is_out = ignored.leaves_out(&path) && !is_kept;
        let kind = entry.file_type().problem(cannot())?;
        if kind.is_dir() {
            if is_out && !ignored.may_take_back() && !leads_to_kept {
                continue;
            }
            if !is_out {
                paths.push(path.clone());
            }
            collect(directory, &mut path.clone(), ignored, kept, paths)?;
        } else if !is_out && (kind.is_file() || kind.is_symlink()) {
            paths.push(path);
        }
    }
    Ok(())
}

/// Puts one file in.
fn append<W: io::Write>(builder: &mut Builder<W>, from: &Path, name: &str) -> io::Result<()> {
    let known = fs::symlink_metadata(from)?;
    let mut header = header(&known);
    if known.is_symlink() {
        return builder.append_link(&mut header, name, fs::read_link(from)?);
    }
    if known.is_dir() {
        return builder.append_data(&mut header, name, io::empty());
    }
    let mut file = File::open(from)?;
    // Its size may have changed since: what is in the header is what is packed.
    let size = file.metadata()?.len();
    header.set_size(size);
    let mut source = io::Read::take(&mut file, size);
    builder.append_data(&mut header, name, &mut source)?;
    if source.limit() > 0 {
        return Err(io::Error::other("the file shrank while it was packed"));
    }
    Ok(())
}

/// What is told of a file: whether it can be executed, and nothing of whose it is or how old.
pub(super) fn header(known: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    let executable = known.permissions().mode() & 0o111 != 0;
    let (kind, mode) = match (known.is_symlink(), known.is_dir(), executable) {
        (true, _, _) => (EntryType::Symlink, 0o777),
        (_, true, _) => (EntryType::Directory, 0o755),
        (_, _, true) => (EntryType::Regular, 0o755),
        (_, _, false) => (EntryType::Regular, 0o644),
    };
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Where a build begins.
pub(super) fn directory(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let directory = given.unwrap_or(Path::new(".")).to_owned();
    if directory.is_dir() {
        return Ok(directory);
    }
    Err(Failure::new(Exit::Usage, format!("{} is no directory", directory.display())))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use flate2::read::GzDecoder;

    use super::*;

    fn write(directory: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn names(packed: Packed) -> Vec<String> {
        let mut archive = tar::Archive::new(GzDecoder::new(packed.file));
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn what_is_ignored_stays_here_and_what_a_build_needs_goes() {
        let directory = tempfile::tempdir().unwrap();
        write(
            directory.path(),
            &[
                (".dockerignore", "*\n!src\n"),
                ("convox.yml", "services: {}"),
                ("src/main.rs", "x"),
                ("secret.env", "KEY=1"),
                ("target/out", "x"),
            ],
        );
        let packed = pack(directory.path(), &["convox.yml"]).unwrap();
        assert_eq!(packed.files, 4);
        assert_eq!(names(packed), [".dockerignore", "convox.yml", "src", "src/main.rs"]);
    }

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let bytes = || {
            let directory = tempfile::tempdir().unwrap();
            write(directory.path(), &[("b", "2"), ("a/c", "1")]);
            symlink("../../etc/passwd", directory.path().join("link")).unwrap();
            let mut packed = pack(directory.path(), &[]).unwrap();
            let mut bytes = Vec::new();
            packed.file.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, packed.size_bytes);
            bytes
        };
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn a_link_is_packed_as_a_link_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", directory.path().join("link")).unwrap();
        let packed = pack(directory.path(), &[]).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(packed.file));
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.header().entry_type(), EntryType::Symlink);
    }

    #[test]
    fn an_empty_directory_is_nothing_to_build() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(pack(directory.path(), &[]).unwrap_err().exit(), Exit::Usage);
    }
}
