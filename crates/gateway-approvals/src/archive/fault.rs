//! Why an uploaded archive is refused. Paths are shown with control characters escaped.

use std::io;

/// What is wrong with an uploaded archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// The bytes could not be had: the client went away, or the disk failed. Not the archive's fault.
    #[error("the upload could not be read to its end")]
    Source(#[source] io::Error),
    /// It is no gzip, or damaged, or something other than a further member follows.
    #[error(
        "the upload is not a whole gzip file (a plain tar is refused too): upload what `convox` makes, a .tgz"
    )]
    Gzip(#[source] io::Error),
    /// It ends before it should.
    #[error("the archive is cut short: upload it again")]
    Truncated,
    /// More members than allowed.
    #[error("the archive has more than {most} entries: leave some out with .dockerignore")]
    TooManyEntries {
        /// The limit.
        most: u64,
    },
    /// It unpacks to more than allowed.
    #[error("the archive unpacks to more than {most} bytes: leave some files out with .dockerignore")]
    TooLarge {
        /// The limit.
        most: u64,
    },
    /// It unpacks to many times its size.
    #[error("the archive unpacks to more than {most} times its own size, as a gzip bomb does")]
    Ratio {
        /// The limit.
        most: u64,
    },
    /// A path, or all paths together, or its depth, goes beyond what is kept in memory.
    #[error("the path of an entry is too long or too deep: `{path}`…")]
    PathTooLong {
        /// How it begins.
        path: String,
    },
    /// An entry has no name.
    #[error("an entry of the archive has an empty path")]
    EmptyPath,
    /// A path that begins at the root.
    #[error("`{path}` is an absolute path")]
    AbsolutePath {
        /// The path.
        path: String,
    },
    /// A path with a `..` part.
    #[error("`{path}` has a `..` part")]
    ParentPath {
        /// The path.
        path: String,
    },
    /// A path with a NUL byte.
    #[error("`{path}` has a NUL byte")]
    NulInPath {
        /// The path.
        path: String,
    },
    /// A path with a backslash, which some readers take for a slash.
    #[error("`{path}` has a backslash")]
    BackslashInPath {
        /// The path.
        path: String,
    },
    /// A manifest whose path is not UTF-8 cannot be named.
    #[error("`{path}` is not UTF-8")]
    NotUtf8 {
        /// The path, as far as it can be shown.
        path: String,
    },
    /// Two members have one path; which of them counts depends on who unpacks.
    #[error("`{path}` is in the archive twice")]
    Twice {
        /// The path.
        path: String,
    },
    /// Two manifests differ only in the case of letters.
    #[error("`{path}` and `{other}` differ only in upper and lower case: keep one of them")]
    TwiceButForCase {
        /// The later.
        path: String,
        /// The earlier.
        other: String,
    },
    /// A symbolic or hard link stands where a manifest is looked for.
    #[error("`{path}` is a link, and a manifest must be a file of its own")]
    LinkAtManifest {
        /// The path.
        path: String,
    },
    /// A hard link to a manifest: a second name to write it through.
    #[error("`{path}` is a hard link to the manifest `{target}`")]
    HardLinkToManifest {
        /// The link.
        path: String,
        /// The manifest.
        target: String,
    },
    /// A hard link to something that is not an earlier file of this archive.
    #[error("`{path}` is a hard link to `{target}`, which is no earlier file of the archive")]
    HardLinkTarget {
        /// The link.
        path: String,
        /// What it names.
        target: String,
    },
    /// An entry that would be written through a symbolic link.
    #[error("`{path}` goes through `{link}`, which is a symbolic link in the same archive")]
    ThroughLink {
        /// The entry.
        path: String,
        /// The link.
        link: String,
    },
    /// An entry below something that is a file.
    #[error("`{path}` is below `{file}`, which is a file in the same archive")]
    BelowFile {
        /// The entry.
        path: String,
        /// The file.
        file: String,
    },
    /// A link or file where earlier entries need a directory: it would move them elsewhere.
    #[error("`{path}` replaces a directory that `{inside}` is in")]
    ReplacesDirectory {
        /// The entry.
        path: String,
        /// An earlier entry below it.
        inside: String,
    },
    /// A sparse file: its bytes are not the ones that stand in the archive.
    #[error("`{path}` is a sparse file: pack it without --sparse")]
    Sparse {
        /// The path.
        path: String,
    },
    /// A device or a pipe.
    #[error("`{path}` is a device or a pipe")]
    Device {
        /// The path.
        path: String,
    },
    /// A kind of entry that not every reader knows.
    #[error("`{path}` is of the kind {kind:#04x}, which is neither file, directory nor link")]
    UnknownKind {
        /// The path.
        path: String,
        /// The type byte of its header.
        kind: u8,
    },
    /// A header that readers may take differently.
    #[error("a header of the archive is malformed: {reason}")]
    Header {
        /// What about it.
        reason: HeaderReason,
    },
    /// An extended header (PAX) that readers may take differently.
    #[error("an extended header of the archive is malformed: {reason}")]
    Pax {
        /// What about it.
        reason: PaxReason,
    },
    /// A global extended header that would set the path, link or size of all that follow.
    #[error("a global extended header sets `{key}`")]
    GlobalHeader {
        /// The key.
        key: String,
    },
    /// Two extended or long-name headers of one kind for one entry.
    #[error("an entry has two extended headers of the same kind")]
    RepeatedExtension,
    /// Extended headers that no entry follows.
    #[error("an extended header is followed by no entry of its own")]
    DanglingExtension,
    /// A PAX path and a GNU long name that are not the same.
    #[error("an entry is called `{pax}` and `{gnu}` at once")]
    NamesDisagree {
        /// By its PAX header.
        pax: String,
        /// By its GNU header.
        gnu: String,
    },
    /// Something follows the end of the archive.
    #[error("bytes follow the end of the archive")]
    TrailingBytes,
}

/// What is wrong with a header block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderReason {
    /// The sum of its bytes.
    #[error("its checksum is wrong")]
    Checksum,
    /// Neither `ustar` nor GNU.
    #[error("it is neither of the ustar nor of the GNU form")]
    Form,
    /// The size is no octal number, or negative, or too large.
    #[error("its size is not a plain octal number")]
    Size,
    /// Links and directories have no content; readers disagree about whether to skip it.
    #[error("a link or directory has a size")]
    SizeOfNoFile,
    /// A file's name ends in a slash: old readers make it a directory.
    #[error("a file's name ends in a slash")]
    FileNamedAsDirectory,
    /// A link leads nowhere.
    #[error("a link has no target")]
    NoTarget,
    /// One block of zeros, where two end an archive.
    #[error("a single block of zeros stands within it")]
    LoneZeroBlock,
}

/// What is wrong with an extended header.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PaxReason {
    /// It is longer than 1 MiB.
    #[error("it is too long")]
    TooLong,
    /// A record is not `LENGTH KEY=VALUE` with a final newline.
    #[error("a record is not of the form `length key=value`")]
    Record,
    /// A key appears twice.
    #[error("`{key}` appears twice")]
    Repeated {
        /// The key.
        key: String,
    },
    /// A key whose meaning is not known here, so that another reader may see another file.
    #[error("the key `{key}` is not known")]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A path or link target that is empty: some readers then use the header's own.
    #[error("`{key}` is empty")]
    Empty {
        /// The key.
        key: String,
    },
    /// A size that is not the header's.
    #[error("its size is not the one of the header")]
    Size,
}
