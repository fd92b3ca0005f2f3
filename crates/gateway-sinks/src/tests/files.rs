use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{Compression, FileFault, RotatingFile, Rotation};

fn rotation(directory: &TempDir, most_bytes: u64, keep: u32, compression: Compression) -> Rotation {
    Rotation { path: directory.path().join("audit.jsonl"), most_bytes, keep, compression }
}

/// All lines of all files, oldest first, and the sizes of the files as they are before compression.
fn content(rotation: &Rotation) -> (Vec<Vec<u8>>, Vec<u64>) {
    let mut lines = Vec::new();
    let mut sizes = Vec::new();
    let named = |suffix: String| {
        let mut name = rotation.path.as_os_str().to_owned();
        name.push(suffix);
        std::path::PathBuf::from(name)
    };
    for number in (0..=rotation.keep + 1).rev() {
        let plain = if number == 0 { rotation.path.clone() } else { named(format!(".{number}")) };
        let mut bytes = fs::read(&plain).unwrap_or_default();
        let zipped = named(format!(".{number}.gz"));
        if zipped.exists() {
            assert!(bytes.is_empty(), "{number} is there twice");
            GzDecoder::new(fs::File::open(zipped).unwrap()).read_to_end(&mut bytes).unwrap();
        }
        sizes.push(bytes.len() as u64);
        lines.extend(bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
    }
    (lines, sizes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// No file is ever above its limit, and what is left is an unbroken end of what was written, also when it is
    /// opened again in between.
    #[test]
    fn files_stay_below_their_limit(
        lengths in prop::collection::vec(1_usize..300, 1..120),
        most in 300_u64..900,
        keep in 1_u32..4,
        zipped: bool,
        reopen in 1_usize..50,
    ) {
        let directory = TempDir::new().unwrap();
        let compression = if zipped { Compression::Gzip } else { Compression::None };
        let rotation = rotation(&directory, most, keep, compression);
        let mut file = RotatingFile::open(rotation.clone()).unwrap();
        let mut written = Vec::new();
        for (number, length) in lengths.into_iter().enumerate() {
            if number % reopen == 0 {
                file = RotatingFile::open(rotation.clone()).unwrap();
            }
            let line = format!("{number:-<length$}", length = length.max(4)).into_bytes();
            file.append(&line).unwrap();
            prop_assert_eq!(&file.last_line().unwrap(), &Some(line.clone()));
            written.push(line);
            prop_assert!(fs::metadata(&rotation.path).unwrap().len() <= most);
        }
        file.sync().unwrap();
        let (kept, sizes) = content(&rotation);
        prop_assert!(sizes.iter().all(|size| *size <= most), "{sizes:?}");
        prop_assert!(written.ends_with(&kept));
        let files = fs::read_dir(directory.path()).unwrap().count();
        prop_assert!(files <= keep as usize + 1, "{files} files");
    }
}

#[test]
fn a_line_above_the_limit_is_refused() {
    let directory = TempDir::new().unwrap();
    let mut file = RotatingFile::open(rotation(&directory, 10, 1, Compression::None)).unwrap();
    assert!(matches!(file.append(&[b'x'; 10]), Err(FileFault::TooLong { bytes: 11, most: 10 })));
    file.append(&[b'x'; 9]).unwrap();
    assert_eq!(fs::read(directory.path().join("audit.jsonl")).unwrap().len(), 10);
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

/// Whatever a killed process left, the file goes on with whole lines.
#[test]
fn what_was_left_unfinished_is_put_right() {
    let check = |before: &[u8], last: Option<&[u8]>, whole: usize| {
        let directory = TempDir::new().unwrap();
        let rotation = rotation(&directory, 1 << 20, 2, Compression::Gzip);
        write(&rotation.path, before);
        let mut file = RotatingFile::open(rotation.clone()).unwrap();
        assert_eq!(file.last_line().unwrap().as_deref(), last);
        file.append(b"next").unwrap();
        let expected = [before.get(..whole).unwrap(), b"next\n"].concat();
        assert_eq!(fs::read(&rotation.path).unwrap(), expected);
    };
    check(b"", None, 0);
    check(b"half", None, 0);
    check(b"one\n", Some(b"one"), 4);
    check(b"one\ntwo\n", Some(b"two"), 8);
    check(b"one\ntwo\nhal", Some(b"two"), 8);
    let long = [vec![b'a'; 200_000], b"\n".to_vec(), vec![b'b'; 100_000]].concat();
    check(&long, Some(&long[..200_000]), 200_001);

    let directory = TempDir::new().unwrap();
    let rotation = rotation(&directory, 1 << 20, 2, Compression::Gzip);
    write(&directory.path().join("audit.jsonl.1"), b"older\n");
    drop(RotatingFile::open(rotation.clone()).unwrap());
    assert_eq!(content(&rotation).0, [b"older".to_vec()]);
    assert!(!directory.path().join("audit.jsonl.1").exists());
}

#[test]
fn only_the_gateway_reads_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = TempDir::new().unwrap();
    let rotation = rotation(&directory, 1 << 20, 2, Compression::Gzip);
    drop(RotatingFile::open(rotation.clone()).unwrap());
    assert_eq!(fs::metadata(&rotation.path).unwrap().permissions().mode() & 0o777, 0o600);
}
