//! `cp`: files to and from a process, as tar both ways.
//!
//! # Security
//! An archive from a process was made by whoever runs there. It is unpacked into a directory of its own: a name that
//! leads elsewhere ends it all, links and devices are never made, and only then it is moved to where it belongs.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use gateway_client::rack::RackRequest;
use gateway_client::text::one_line;
use tar::{Archive, Builder, EntryType, Header};

use super::{AppArgument, Place, archive, transfer};
use crate::failure::{Exit, Failure, Problem};
use crate::output::remark;

/// Bytes of a name in the head of an entry.
const NAME_BYTES: usize = 100;

/// The arguments of `cp`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rack-gateway cp config.json web-7d9f8b6c5-aaaa0:/srv/ -a web\n  rack-gateway cp web-7d9f8b6c5-aaaa0:/var/log/app.log . -a web"
)]
pub(crate) struct CopyArguments {
    #[command(flatten)]
    app: AppArgument,
    /// What is copied: a path here, or PID:PATH
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Where to
    #[arg(value_name = "DESTINATION")]
    destination: String,
    /// More for the tar program of the process, such as --no-same-owner
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    tar_extra: Option<String>,
}

/// A place of a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
enum End<'a> {
    Here(&'a Path),
    There { pid: &'a str, path: &'a str },
}

impl<'a> End<'a> {
    fn of(text: &'a str) -> Result<Self, Failure> {
        // A path with a slash before its first colon is one of this machine.
        match text.split_once(':') {
            Some((pid, path)) if !pid.is_empty() && !pid.contains('/') => {
                if !path.starts_with('/') {
                    return Err(Failure::new(Exit::Usage, "the path in a process has to begin with a slash"));
                }
                Ok(End::There { pid, path })
            }
            _ => Ok(End::Here(Path::new(text))),
        }
    }
}

/// Copies.
pub(super) async fn run(place: &Place<'_>, arguments: &CopyArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    match (End::of(&arguments.source)?, End::of(&arguments.destination)?) {
        (End::Here(from), End::There { pid, path }) => {
            let file = packed(from, path)?;
            let asked = RackRequest::post(&["apps", &app, "processes", pid, "files"])
                .query("tar-extra", arguments.tar_extra.as_deref());
            transfer::send(place, &asked, &file, "Copying").await?;
            done(place)
        }
        (End::There { pid, path }, End::Here(to)) => {
            let mut file = tempfile::tempfile().problem("no temporary file can be made")?;
            let asked =
                RackRequest::get(&["apps", &app, "processes", pid, "files"]).query("file", Some(path));
            transfer::fetch_into(place, &asked, &file).await?;
            file.seek(SeekFrom::Start(0)).problem("a temporary file cannot be read")?;
            unpack(&file, path, to)?;
            done(place)
        }
        (End::Here(_), End::Here(_)) | (End::There { .. }, End::There { .. }) => Err(Failure::new(
            Exit::Usage,
            "one of the two is here and the other in a process: write that one as PID:PATH",
        )),
    }
}

/// Programs are told; people see by the silence, as of `cp`.
fn done(place: &Place<'_>) -> Result<(), Failure> {
    match place.context.output.format {
        crate::output::Format::Text => Ok(()),
        crate::output::Format::Json => place.done("Copying", None),
    }
}

/// Packs a file or a directory under the name that it gets there.
fn packed(from: &Path, to: &str) -> Result<File, Failure> {
    let cannot = || format!("{} cannot be read", from.display());
    let known = fs::metadata(from).problem(cannot())?;
    let name = match (to.ends_with('/'), known.is_dir()) {
        // Into the directory, as of `cp`; of a directory its content goes.
        (true, false) => {
            let file = from.file_name().and_then(|name| name.to_str());
            let file = file.ok_or_else(|| Failure::new(Exit::Usage, "the file has no name"))?;
            format!("{to}{file}")
        }
        _ => to.trim_end_matches('/').to_owned(),
    };
    let mut builder = Builder::new(tempfile::tempfile().problem("no temporary file can be made")?);
    append(&mut builder, from, &name).problem(cannot())?;
    let mut file = builder.into_inner().problem("a temporary file cannot be written")?;
    file.seek(SeekFrom::Start(0)).problem("a temporary file cannot be read")?;
    Ok(file)
}

/// Links are followed, as of `cp`, but no link to a directory, which may lead in a circle.
fn append<W: Write>(builder: &mut Builder<W>, from: &Path, name: &str) -> io::Result<()> {
    let known = fs::metadata(from)?;
    let mut header = archive::header(&known);
    if known.is_dir() {
        put(builder, &mut header, name, io::empty())?;
        let mut entries = fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Ok(below) = entry.file_name().into_string() else {
                return Err(io::Error::other("a name in it is not UTF-8"));
            };
            let is_link = entry.file_type()?.is_symlink();
            if is_link && fs::metadata(entry.path()).is_ok_and(|known| known.is_dir()) {
                let shown = one_line(&entry.path().to_string_lossy());
                remark(&format!("left out: {shown} is a link to a directory"));
                continue;
            }
            append(builder, &entry.path(), &format!("{name}/{below}"))?;
        }
        return Ok(());
    }
    if !known.is_file() {
        remark(&format!("left out: {} is no file", one_line(&from.to_string_lossy())));
        return Ok(());
    }
    let mut file = File::open(from)?;
    // Its size may have changed since: what is in the header is what is packed.
    let size = file.metadata()?.len();
    header.set_size(size);
    let mut source = (&mut file).take(size);
    put(builder, &mut header, name, &mut source)?;
    if source.limit() > 0 {
        return Err(io::Error::other("the file shrank while it was packed"));
    }
    Ok(())
}

/// Puts an entry in under an absolute name, as the official client writes it. A long one is told ahead (GNU tar).
fn put<W: Write>(
    builder: &mut Builder<W>,
    header: &mut Header,
    name: &str,
    data: impl io::Read,
) -> io::Result<()> {
    if name.len() > NAME_BYTES {
        let mut long = Header::new_gnu();
        long.set_entry_type(EntryType::GNULongName);
        long.set_path("././@LongLink")?;
        long.set_mode(0o644);
        long.set_size(name.len() as u64 + 1);
        long.set_cksum();
        let text: Vec<u8> = name.bytes().chain([0]).collect();
        builder.append(&long, text.as_slice())?;
    }
    let bytes = name.as_bytes();
    for (to, from) in header.as_old_mut().name.iter_mut().zip(bytes) {
        *to = *from;
    }
    header.set_cksum();
    builder.append(header, data)
}

/// Unpacks an archive of `path` to `to`: into it when it is a directory, else under that name.
fn unpack(archive: &File, path: &str, to: &Path) -> Result<(), Failure> {
    let into = to.is_dir();
    let name = Path::new(path)
        .file_name()
        .ok_or_else(|| Failure::new(Exit::Usage, "name a file or a directory in the process"))?;
    let target: PathBuf = if into { to.join(name) } else { to.to_owned() };
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fresh = tempfile::Builder::new()
        .prefix(".rack-gateway-cp-")
        .tempdir_in(parent)
        .problem(format!("nothing can be written in {}", parent.display()))?;
    unpack_into(archive, Path::new(path), fresh.path())?;
    if target.is_dir() {
        let what = format!("{} is there already, and directories are not mixed", target.display());
        return Err(Failure::new(Exit::Failed, what).hint("name another destination"));
    }
    fs::rename(fresh.path().join(name), &target).problem(format!("{} cannot be written", target.display()))
}

/// Unpacks what was asked for into a fresh directory, where it has its last name.
fn unpack_into(archive: &File, asked: &Path, fresh: &Path) -> Result<(), Failure> {
    let cannot = "what came from the process is no archive";
    let asked = inside(asked).unwrap_or_default();
    let name = PathBuf::from(asked.file_name().unwrap_or_default());
    let elsewhere = |named: &Path| {
        let what = format!(
            "the archive names {}, which leads elsewhere; nothing was written",
            one_line(&named.to_string_lossy())
        );
        Failure::new(Exit::Failed, what)
    };
    // Racks name a file by its whole path, some by its last name. `None` = a directory above what was asked for.
    let placed = |named: &Path| {
        let full = inside(named).ok_or_else(|| elsewhere(named))?;
        match full.strip_prefix(&asked) {
            Ok(rest) if rest.as_os_str().is_empty() => Ok(Some(name.clone())),
            Ok(rest) => Ok(Some(name.join(rest))),
            Err(_) if full.starts_with(&name) => Ok(Some(full)),
            Err(_) if asked.starts_with(&full) => Ok(None),
            Err(_) => {
                let told = one_line(&named.to_string_lossy());
                let what = format!("the archive holds {told}, which was not asked for; nothing was written");
                Err(Failure::new(Exit::Failed, what))
            }
        }
    };
    for entry in Archive::new(archive).entries().problem(cannot)? {
        let mut entry = entry.problem(cannot)?;
        let full = entry.path().problem(cannot)?.into_owned();
        let told = || one_line(&full.to_string_lossy());
        let Some(below) = placed(&full)? else { continue };
        let path = fresh.join(&below);
        let written = match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&path),
            EntryType::Regular | EntryType::Continuous => write(&mut entry, &path),
            // Another name of a file that came before it.
            EntryType::Link => {
                let first = entry.link_name().problem(cannot)?.map(std::borrow::Cow::into_owned);
                let first = first.as_deref().map(placed).transpose()?.flatten();
                let first = first.ok_or_else(|| {
                    Failure::new(Exit::Failed, format!("{} is a link to what was not asked for", told()))
                })?;
                link(&fresh.join(first), &path)
            }
            EntryType::Symlink => {
                remark(&format!("left out: {} is a symbolic link", told()));
                Ok(())
            }
            _ => {
                let what =
                    format!("{} is no file, so the copy would not be whole; nothing was written", told());
                return Err(Failure::new(Exit::Failed, what));
            }
        };
        written.problem(format!("{} cannot be written", path.display()))?;
    }
    if fresh.join(&name).exists() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "there is no such file in the process"))
}

/// Copies a file that was unpacked to its other name.
fn link(first: &Path, path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(first, path).map(|_bytes| ())
}

/// A name below the directory; `None` when it leads elsewhere. A slash at its beginning means nothing, as to tar.
fn inside(name: &Path) -> Option<PathBuf> {
    let mut below = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => below.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(below)
}

fn write(entry: &mut tar::Entry<'_, &File>, path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
    let mut file = File::create(path)?;
    io::copy(entry, &mut file)?;
    // Of its mode only this is taken over: nothing becomes writable for others, or runs as somebody else.
    file.set_permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, EntryType, &str)]) -> File {
        let mut builder = Builder::new(tempfile::tempfile().unwrap());
        for (name, kind, text) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            if *kind == EntryType::Symlink {
                header.set_link_name(text).unwrap();
                header.set_size(0);
                put(&mut builder, &mut header, name, io::empty()).unwrap();
            } else {
                header.set_size(text.len() as u64);
                put(&mut builder, &mut header, name, text.as_bytes()).unwrap();
            }
        }
        let mut file = builder.into_inner().unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file
    }

    use EntryType::{Directory, Regular, Symlink};

    #[test]
    fn a_file_and_a_directory_come_under_their_names() {
        let here = tempfile::tempdir().unwrap();
        unpack(&archive(&[("etc/motd", Regular, "hi")]), "/etc/motd", &here.path().join("other")).unwrap();
        unpack(&archive(&[("etc/", Directory, ""), ("etc/motd", Regular, "hi")]), "/etc", here.path())
            .unwrap();
        assert_eq!(fs::read_to_string(here.path().join("other")).unwrap(), "hi");
        assert_eq!(fs::read_to_string(here.path().join("etc/motd")).unwrap(), "hi");
        let mode = fs::metadata(here.path().join("other")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755, "nothing runs as somebody else");
    }

    #[test]
    fn a_hostile_archive_writes_nothing_elsewhere() {
        let hostile: &[&[(&str, EntryType, &str)]] = &[
            &[("../evil", Regular, "x")],
            &[("a/../../evil", Regular, "x")],
            &[("a", Symlink, "/tmp"), ("a/evil", Regular, "x")],
            &[("a", Regular, "x"), ("evil", Regular, "x")],
            &[("a", Symlink, "../..")],
            &[],
        ];
        for entries in hostile {
            let here = tempfile::tempdir().unwrap();
            let inner = here.path().join("inner");
            fs::create_dir(&inner).unwrap();
            let ended = unpack(&archive(entries), "/srv/a", &inner);
            assert!(!here.path().join("evil").exists() && !Path::new("/tmp/evil").exists(), "{entries:?}");
            if ended.is_ok() {
                // The link was left out, so what was to lie behind it lies below.
                assert!(inner.join("a/evil").is_file() && !inner.join("a").is_symlink(), "{entries:?}");
            }
            assert!(
                fs::read_dir(&inner).unwrap().all(|entry| entry.unwrap().file_name() == "a"),
                "{entries:?}"
            );
        }
    }

    #[test]
    fn an_absolute_name_stays_below() {
        assert_eq!(inside(Path::new("/etc/./motd")), Some("etc/motd".into()));
        assert_eq!(inside(Path::new("a/../b")), None);
    }

    #[test]
    fn directories_are_not_mixed() {
        let here = tempfile::tempdir().unwrap();
        fs::create_dir(here.path().join("etc")).unwrap();
        assert!(unpack(&archive(&[("etc/", Directory, "")]), "/etc", here.path()).is_err());
    }

    #[test]
    fn a_copy_goes_under_the_name_that_it_gets() {
        let here = tempfile::tempdir().unwrap();
        let long = "n".repeat(120);
        fs::create_dir(here.path().join("d")).unwrap();
        fs::write(here.path().join("d").join(&long), "x").unwrap();
        let names = |from: &Path, to: &str| -> Vec<String> {
            let file = packed(from, to).unwrap();
            let mut archive = Archive::new(file);
            archive
                .entries()
                .unwrap()
                .map(|entry| entry.unwrap().path().unwrap().display().to_string())
                .collect()
        };
        assert_eq!(names(&here.path().join("d"), "/srv/"), ["/srv".to_owned(), format!("/srv/{long}")]);
        let file = here.path().join("d").join(&long);
        assert_eq!(names(&file, "/srv/x"), ["/srv/x"]);
        assert_eq!(names(&file, "/srv/"), [format!("/srv/{long}")]);
    }

    #[test]
    fn one_end_is_in_a_process() {
        assert_eq!(End::of("p-1:/a:b").unwrap(), End::There { pid: "p-1", path: "/a:b" });
        assert_eq!(End::of("./a:b").unwrap(), End::Here(Path::new("./a:b")));
        assert!(End::of("p-1:a").is_err());
    }
}
