//! Archives made by hand, one fault each, and the one of the recorded deploy.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::{EntryType, Header};

use super::*;

/// `convox deploy` as recorded in `31-deploy.jsonl`: Dockerfile, convox.yml, index.html.
const RECORDED: &str = include_str!("../../../gateway-testkit/transcripts/31-deploy.jsonl");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

fn sealed(mut header: Header, content: &[u8]) -> Vec<u8> {
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn header(kind: u8, path: &str, size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::new(kind));
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_size(size as u64);
    header.set_mode(0o644);
    header
}

fn entry(kind: u8, path: &str, content: &[u8]) -> Vec<u8> {
    sealed(header(kind, path, content.len()), content)
}

fn file(path: &str, content: &str) -> Vec<u8> {
    entry(b'0', path, content.as_bytes())
}

fn link(kind: u8, path: &str, target: &str) -> Vec<u8> {
    let mut header = header(kind, path, 0);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    sealed(header, b"")
}

fn directory(path: &str) -> Vec<u8> {
    entry(b'5', path, b"")
}

fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let body: String = records.iter().map(|(key, value)| pax_record(key, value)).collect();
    entry(b'x', "pax", body.as_bytes())
}

/// Any entry whose header was changed after it was made, with a right checksum.
fn changed(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(&bytes[..512]);
    header.as_mut_bytes()[at..at + with.len()].copy_from_slice(with);
    let mut all = sealed(header, b"");
    all.extend_from_slice(&bytes[512..]);
    all
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn read_tar(bytes: &[u8]) -> Result<Archive, ArchiveFault> {
    read(gzip(bytes).as_slice(), &Limits::default())
}

fn archive(entries: &[Vec<u8>]) -> Archive {
    read_tar(&tar(entries)).unwrap_or_else(|fault| panic!("{fault}"))
}

/// A part of the refusal.
fn check(entries: &[Vec<u8>], expected: &str) {
    refused(read_tar(&tar(entries)), expected);
}

#[track_caller]
fn refused(result: Result<Archive, ArchiveFault>, expected: &str) {
    match result {
        Ok(archive) => panic!("was read, expected {expected}: {archive:?}"),
        Err(fault) => assert!(fault.to_string().contains(expected), "{fault} is not {expected}"),
    }
}

fn keeps(entries: &[Vec<u8>], expected: &[&str]) {
    let archive = archive(entries);
    assert_eq!(archive.manifests.keys().map(String::as_str).collect::<Vec<_>>(), expected);
}

fn m() -> Vec<u8> {
    file("convox.yml", "services: {}\n")
}

fn recorded() -> Vec<u8> {
    let is_upload = |line: &serde_json::Value| {
        line["kind"] == "body"
            && line["from"] == "client"
            && line["length"].as_u64().is_some_and(|length| length > 150)
    };
    let lines = RECORDED.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let bodies = lines.filter(is_upload).map(|line| line["data_b64"].as_str().expect("a body").to_owned());
    bodies
        .map(|body| data_encoding::BASE64.decode(body.as_bytes()).expect("base64"))
        .find(|body| body.starts_with(&[0x1f, 0x8b]))
        .expect("an upload")
}

#[test]
fn the_upload_of_a_real_client_is_read() {
    let archive = read(recorded().as_slice(), &Limits::default()).expect("an archive");
    assert_eq!(archive.entries, 3);
    assert_eq!(archive.unpacked_bytes, 4096);
    assert_eq!(
        archive.manifest("convox.yml"),
        Ok(b"services:\n  web:\n    build: .\n    port: 3000\n".as_slice())
    );
    assert!(!archive.truncated);
}

#[test]
fn manifests_are_kept_by_name_and_depth() {
    keeps(&[file("convox.yml", "a"), file("x.txt", "a")], &["convox.yml"]);
    keeps(&[directory("./"), file("./convox.yml", "a")], &["convox.yml"]);
    keeps(&[file("deploy//convox.yaml", "a")], &["deploy/convox.yaml"]);
    keeps(&[file("a/b/c.yml", "a"), file("a/b/c/d.yml", "a")], &["a/b/c.yml"]);
    keeps(&[entry(0, "CONVOX.YML", b"a")], &["CONVOX.YML"]);
    let named = Limits { named: vec!["./a/b/c/d/manifest".to_owned()], ..Limits::default() };
    let bytes = gzip(&tar(&[file("a/b/c/d/manifest", "x")]));
    let archive = read(bytes.as_slice(), &named).expect("an archive");
    assert_eq!(archive.manifest("a/b/c/d/manifest"), Ok(b"x".as_slice()));
}

#[test]
fn what_a_project_has_is_allowed() {
    keeps(
        &[
            directory("node_modules/"),
            directory("node_modules/.bin"),
            link(b'2', "node_modules/.bin/tsc", "../typescript/bin/tsc"),
            file("node_modules/a.js", "x"),
            link(b'1', "node_modules/b.js", "node_modules/a.js"),
            link(b'1', "node_modules/.bin/tsc2", "node_modules/.bin/tsc"),
            link(b'2', "current", "/etc"),
            directory("node_modules"),
            m(),
        ],
        &["convox.yml"],
    );
    let long = format!("{}x.txt", "directory/".repeat(20));
    keeps(
        &[
            pax(&[("path", &long), ("mtime", "1.5"), ("SCHILY.xattr.user.x", "a\nb")]),
            file("short", "x"),
            m(),
        ],
        &["convox.yml"],
    );
    keeps(
        &[entry(b'L', "././@LongLink", format!("{long}\0").as_bytes()), file("short", "x"), m()],
        &["convox.yml"],
    );
    keeps(
        &[entry(b'g', "pax_global_header", pax_record("comment", "0123").as_bytes()), m()],
        &["convox.yml"],
    );
    keeps(&[pax(&[("path", "convox.yml")]), file("x", "x")], &["convox.yml"]);
}

#[test]
fn several_gzip_members_are_one_archive() {
    let bytes = tar(&[file("x", "y"), m()]);
    let (one, other) = bytes.split_at(700);
    let archive = read([gzip(one), gzip(other)].concat().as_slice(), &Limits::default()).expect("an archive");
    assert!(archive.manifests.contains_key("convox.yml"));
    assert_eq!(archive.unpacked_bytes, bytes.len() as u64);
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    check(&[file("/convox.yml", "a")], "absolute");
    check(&[file("../convox.yml", "a")], "`..`");
    check(&[file("a/../convox.yml", "a")], "`..`");
    check(&[link(b'2', "a/../b", "x")], "`..`");
    check(&[file("a\\convox.yml", "a")], "backslash");
    check(&[pax(&[("path", "convox.yml\0x")]), file("x", "a")], "NUL");
    check(&[entry(b'L', "L", b"convox.yml\0x\0"), file("x", "a")], "NUL");
    check(&[pax(&[("linkpath", "a\0b")]), link(b'2', "x", "a")], "NUL");
    check(&[file("", "a")], "empty path");
    check(&[file(".", "a")], "empty path");
    check(&[entry(b'L', "L", b"\0"), file("x", "a")], "empty path");
    check(&[pax(&[("path", &"a".repeat(5_000))]), file("x", "a")], "too long");
    check(&[entry(b'L', "L", &[b'a'; 5_000]), file("x", "a")], "too long");
    check(&[pax(&[("path", &"a/".repeat(129))]), directory("x")], "too deep");
    let mut latin = file("x.yml", "a");
    latin = changed(&latin, 0, b"\xe9.yml");
    check(&[latin], "not UTF-8");
}

#[test]
fn a_path_is_in_an_archive_once() {
    check(&[m(), m()], "twice");
    check(&[m(), file("./convox.yml", "evil")], "twice");
    check(&[file("a", "1"), file("a", "2")], "twice");
    check(&[link(b'2', "a", "x"), link(b'2', "a", "y")], "twice");
    check(&[directory("a"), file("a", "x")], "twice");
    check(&[file("a", "x"), directory("a")], "twice");
    check(&[m(), file("Convox.yml", "evil")], "upper and lower case");
    check(&[file("a/b.yml", ""), file("A/b.yml", "")], "upper and lower case");
    check(&[m(), pax(&[("path", "convox.yml")]), file("x", "evil")], "twice");
}

#[test]
fn links_cannot_stand_for_a_manifest() {
    check(&[m(), link(b'2', "convox.yml", "evil.yml")], "is a link");
    check(&[link(b'2', "convox.yml", "evil.txt")], "is a link");
    check(&[link(b'2', "CONVOX.yaml", "evil.txt")], "is a link");
    check(&[file("evil", "x"), link(b'1', "convox.yml", "evil")], "is a link");
    check(&[m(), link(b'1', "other", "convox.yml")], "hard link to the manifest");
    check(&[m(), link(b'1', "other", "./convox.yml")], "hard link to the manifest");
    check(&[link(b'1', "other", "/etc/passwd")], "absolute");
    check(&[link(b'1', "other", "../x")], "`..`");
    check(&[link(b'1', "other", "later"), file("later", "x")], "no earlier file");
    check(&[directory("d"), link(b'1', "other", "d")], "no earlier file");
    check(&[link(b'2', "a", "")], "no target");
    check(&[link(b'1', "a", "")], "no target");
    // Deeper down a link is only left out, and a build that names it is told.
    let archive = archive(&[
        file("x", ""),
        link(b'2', "a/b.yml", "../x"),
        link(b'1', "a/c.yml", "x"),
        file("a/d.yml", ""),
        link(b'1', "a/e", "a/d.yml"),
    ]);
    assert!(archive.truncated && archive.manifests.is_empty());
    for path in ["a/b.yml", "a/c.yml", "a/d.yml"] {
        assert_eq!(archive.manifest(path), Err(NoManifest::Linked { path: path.to_owned() }));
    }
    let named = Limits { named: vec!["a/b.yml".to_owned()], ..Limits::default() };
    refused(read(gzip(&tar(&[link(b'2', "a/b.yml", "x")])).as_slice(), &named), "is a link");
}

#[test]
fn nothing_is_written_through_a_link() {
    check(&[link(b'2', "deploy", "."), file("deploy/convox.yml", "evil")], "goes through `deploy`");
    check(&[link(b'2', "a/b", "."), file("a/b/c/d", "evil")], "goes through `a/b`");
    check(&[link(b'2', "a", "."), link(b'1', "b", "a"), file("b/convox.yml", "evil")], "goes through `b`");
    check(&[link(b'2', "a", "."), directory("a/b")], "goes through `a`");
    check(&[file("deploy/convox.yml", "x"), link(b'2', "deploy", "other")], "replaces a directory");
    check(&[directory("deploy"), link(b'2', "deploy", "other")], "twice");
    check(&[file("a/b/c", "x"), file("a/b", "x")], "replaces a directory");
    check(&[file("a", "x"), file("a/b", "x")], "below `a`");
    keeps(&[file("a-b", "x"), file("a/b", "x"), file("a.b", "x"), m()], &["convox.yml"]);
}

#[test]
fn other_kinds_of_entries_are_refused() {
    for kind in *b"346" {
        check(&[entry(kind, "dev", b"")], "device or a pipe");
    }
    for kind in *b"7VMDNXAz" {
        check(&[entry(kind, "x", b"")], "is of the kind");
    }
    check(&[entry(b'S', "x", b"")], "sparse");
    check(&[pax(&[("GNU.sparse.major", "1")]), file("x", "")], "sparse");
    check(&[pax(&[("GNU.sparse.name", "convox.yml")]), file("x", "")], "sparse");
}

#[test]
fn headers_in_corners_are_refused() {
    let mut broken = m();
    broken[0] ^= 1;
    check(&[broken], "checksum");
    check(&[changed(&m(), 257, b"\0\0\0\0\0\0\0\0")], "neither of the ustar");
    check(&[changed(&m(), 263, b"99")], "neither of the ustar");
    check(&[changed(&m(), 508, b"tar\0")], "neither of the ustar");
    let gnu = changed(&m(), 257, b"ustar  \0");
    keeps(std::slice::from_ref(&gnu), &["convox.yml"]);
    check(&[changed(&gnu, 345, b"evil")], "neither of the ustar");
    check(&[changed(&gnu, 400, b"evil")], "neither of the ustar");
    check(&[changed(&m(), 124, b"+0000000015\0")], "octal");
    check(&[changed(&m(), 124, b"\0\0\0\0\0\0\0\0\0\0\0\0")], "octal");
    check(&[changed(&m(), 124, b"0000000001 5")], "octal");
    check(&[changed(&m(), 124, b"\x80\0\0\0\0\0\0\0\0\0\0\x0d")], "octal");
    for kind in *b"125" {
        let mut header = header(kind, "d", 512);
        header.as_old_mut().linkname[0] = b'x';
        check(&[sealed(header, &m()[..512])], "has a size");
    }
    check(&[file("convox.yml/", "x")], "ends in a slash");
    check(&[entry(0, "convox.yml/", b"x")], "ends in a slash");
    check(&[pax(&[("path", "convox.yml/")]), file("x", "x")], "ends in a slash");
    check(&[file("x", "y"), vec![0; 512], m()], "single block of zeros");
}

#[test]
fn extended_headers_are_plain_or_refused() {
    let raw = |body: &str| entry(b'x', "pax", body.as_bytes());
    check(&[raw("9 path=a\n1"), file("x", "")], "length key=value");
    check(&[raw("11 path=a\n"), file("x", "")], "length key=value");
    check(&[raw("8 path=a\n"), file("x", "")], "length key=value");
    check(&[raw("011 path=a\n"), file("x", "")], "length key=value");
    check(&[raw("+11 path=a\n"), file("x", "")], "length key=value");
    check(&[raw("path=a\n"), file("x", "")], "length key=value");
    check(&[raw("5 =a\n"), file("x", "")], "length key=value");
    check(&[raw("7 path\n"), file("x", "")], "length key=value");
    check(&[raw("99999999999999999999 path=a\n"), file("x", "")], "length key=value");
    check(&[pax(&[("path", "a"), ("path", "b")]), file("x", "")], "`path` appears twice");
    check(&[pax(&[("path", "")]), file("x", "")], "`path` is empty");
    check(&[pax(&[("linkpath", "")]), link(b'2', "x", "y")], "`linkpath` is empty");
    check(&[pax(&[("hdrcharset", "BINARY")]), file("x", "")], "`hdrcharset` is not known");
    check(&[pax(&[("size", "7")]), file("x", "")], "not the one of the header");
    check(&[pax(&[("size", "-1")]), file("x", "")], "not the one of the header");
    keeps(&[pax(&[("size", "13")]), m()], &["convox.yml"]);
    check(&[pax(&[("path", "a")]), pax(&[("path", "b")]), file("x", "")], "two extended headers");
    check(&[entry(b'L', "L", b"a"), entry(b'L', "L", b"b"), file("x", "")], "two extended headers");
    check(&[entry(b'K', "K", b"a"), entry(b'K', "K", b"b"), link(b'2', "x", "y")], "two extended headers");
    check(&[pax(&[("path", "a")]), entry(b'L', "L", b"b"), file("x", "")], "at once");
    check(&[pax(&[("linkpath", "a")]), entry(b'K', "K", b"b"), link(b'2', "x", "y")], "at once");
    keeps(&[pax(&[("path", "a")]), entry(b'L', "L", b"a\0"), file("x", ""), m()], &["convox.yml"]);
    check(&[m(), pax(&[("path", "a")])], "followed by no entry");
    check(&[pax(&[("path", "a")]), entry(b'g', "g", b""), m()], "followed by no entry");
    for key in ["path", "linkpath", "size"] {
        check(&[entry(b'g', "g", pax_record(key, "1").as_bytes()), m()], "global extended header");
    }
    check(&[entry(b'g', "g", pax_record("GNU.sparse.name", "x").as_bytes()), m()], "sparse");
    check(&[sealed(header(b'x', "pax", 2 << 20), b""), m()], "too long");
}

#[test]
fn an_archive_that_ends_early_or_late_is_refused() {
    let whole = tar(&[file("x", "y"), m()]);
    for end in [0, 100, 512, 700, 1024, 1536, whole.len() - 1024, whole.len() - 512, whole.len() - 1] {
        refused(read_tar(&whole[..end]), "cut short");
    }
    let packed = gzip(&whole);
    for end in 0..packed.len() {
        refused(read(&packed[..end], &Limits::default()), "cut short");
    }
    refused(read_tar(&[whole.clone(), m()].concat()), "follow the end");
    refused(read_tar(&[whole.clone(), b"x".to_vec()].concat()), "follow the end");
    refused(read([packed.clone(), gzip(&m())].concat().as_slice(), &Limits::default()), "follow the end");
    refused(
        read([packed.clone(), b"garbage, and enough".to_vec()].concat().as_slice(), &Limits::default()),
        "gzip",
    );
    refused(read(whole.as_slice(), &Limits::default()), "gzip");
    let mut damaged = packed.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    refused(read(damaged.as_slice(), &Limits::default()), "gzip");
    assert!(read_tar(&[whole.clone(), vec![0; 7_777]].concat()).is_ok());
    assert!(read([packed, gzip(b"")].concat().as_slice(), &Limits::default()).is_ok());
}

#[test]
fn everything_is_bounded() {
    let limited = |limits: Limits, entries: &[Vec<u8>]| read(gzip(&tar(entries)).as_slice(), &limits);
    let files: Vec<_> = (0..10).map(|at| file(&format!("f{at}"), "x")).collect();
    refused(limited(Limits { entries: 9, ..Limits::default() }, &files), "more than 9 entries");
    assert!(limited(Limits { entries: 10, ..Limits::default() }, &files).is_ok());
    let globals = vec![entry(b'g', "g", b""); 10];
    refused(limited(Limits { entries: 9, ..Limits::default() }, &globals), "more than 9 entries");
    refused(limited(Limits { unpacked_bytes: 5_000, ..Limits::default() }, &files), "more than 5000 bytes");
    let zeros = vec![entry(b'0', "zeros", &vec![0; 1 << 20])];
    let ratio = Limits { ratio: 100, ratio_from_bytes: 100_000, ..Limits::default() };
    refused(limited(ratio.clone(), &zeros), "100 times");
    assert!(limited(Limits { ratio_from_bytes: 2 << 20, ..ratio }, &zeros).is_ok());
    refused(read_tar(&tar(&[sealed(header(b'0', "x", 1 << 32), b"")])), "cut short");
}

#[test]
fn what_is_left_out_is_told() {
    let limits = Limits { manifest_bytes: 10, manifests: 2, manifests_bytes: 15, ..Limits::default() };
    let entries = [
        file("a/b/c.yml", "12345"),
        file("a/c.yml", "12345"),
        file("big.yml", "12345678901"),
        file("convox.yml", "1234567890"),
        file("d.yml", "12345"),
        file("a/b/c/d.yml", ""),
    ];
    let archive = read(gzip(&tar(&entries)).as_slice(), &limits).expect("an archive");
    assert_eq!(archive.manifests.keys().collect::<Vec<_>>(), ["convox.yml", "d.yml"]);
    assert!(archive.truncated);
    let no = |path: &str| archive.manifest(path).expect_err("a reason");
    assert!(matches!(no("big.yml"), NoManifest::TooLarge { size_bytes: 11, .. }));
    assert!(matches!(no("a/b/c.yml"), NoManifest::TooMany { .. }));
    assert!(matches!(no("./a/c.yml"), NoManifest::TooMany { .. }));
    assert!(matches!(no("other.yml"), NoManifest::Missing { .. }));
    assert!(matches!(no("a/b/c/d.yml"), NoManifest::NotLookedAt { depth: 3, .. }));
    assert!(matches!(no("Dockerfile"), NoManifest::NotLookedAt { .. }));
    for path in ["../convox.yml", "/convox.yml", "a/../convox.yml", "convox.yml\0"] {
        assert!(matches!(no(path), NoManifest::Path { .. }), "{path}");
    }
    assert!(archive.manifest("./convox.yml").is_ok());
}

/// A source that gives what it has in parts of the given sizes, and then fails or ends.
struct Parts<'a> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
    at: usize,
    fails: bool,
}

impl Read for Parts<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && self.fails {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone"));
        }
        self.at += 1;
        let wanted = self.sizes[self.at % self.sizes.len()].min(into.len());
        let count = wanted.min(self.bytes.len());
        into[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}

#[test]
fn a_source_that_fails_is_not_a_bad_archive() {
    let packed = recorded();
    let source = Parts { bytes: &packed[..100], sizes: vec![7], at: 0, fails: true };
    let fault = read(source, &Limits::default()).expect_err("a fault");
    assert!(
        matches!(&fault, ArchiveFault::Source(error) if error.kind() == io::ErrorKind::ConnectionReset),
        "{fault:?}"
    );
}

#[test]
fn the_source_is_read_to_its_end() {
    let bytes = gzip(&[tar(&[m()]), vec![0; 300_000]].concat());
    let mut source = Parts { bytes: &bytes, sizes: vec![50], at: 0, fails: false };
    read(&mut source, &Limits::default()).expect("an archive");
    assert!(source.bytes.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_split_gives_the_same(sizes in proptest::collection::vec(1_usize..600, 1..6), cut in 0_usize..400) {
        let packed = gzip(&tar(&[file("x", "y"), m(), file("a/z.yml", "b: c")]));
        let bytes = &packed[..packed.len().saturating_sub(cut)];
        let whole = read(bytes, &Limits::default());
        let split = read(Parts { bytes, sizes, at: 0, fails: false }, &Limits::default());
        prop_assert_eq!(format!("{whole:?}"), format!("{split:?}"));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read(bytes.as_slice(), &Limits::default());
        let _ = read_tar(&bytes);
    }

    #[test]
    fn no_change_of_a_header_panics_or_hides_a_manifest(at in 0_usize..512, byte in any::<u8>()) {
        let bytes = tar(&[changed(&m(), at, &[byte]), file("z.yml", "last")]);
        if let Ok(archive) = read_tar(&bytes) {
            // What is accepted, the tar crate reads in the same way.
            let mut other = tar::Archive::new(bytes.as_slice());
            let mut names = Vec::new();
            for entry in other.entries().expect("entries") {
                let entry = entry.expect("an entry");
                let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
                if entry.header().entry_type().is_file() && archive.manifests.contains_key(&name) {
                    names.push(name);
                }
            }
            names.sort();
            prop_assert_eq!(names, archive.manifests.keys().cloned().collect::<Vec<_>>());
        }
    }
}
