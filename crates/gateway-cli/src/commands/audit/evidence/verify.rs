//! Checks an archive without any gateway: the files against the manifest, the manifest against the log, the entries against the log's
//! signed head.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context as Digest, SHA256};
use gateway_audit::{
    Event, Hash, KeyChain, NoteVerifier, RangeVerifier, digest, leaf_hash, verify_inclusion,
};
use gateway_client::text::one_line;
use gateway_types::Timestamp;
use gateway_types::wire::log::LogKeys;
use serde::{Deserialize, Serialize};

use super::archive;
use super::manifest::{
    CHECKPOINT, ENTRIES, Entries, FORM, KEYS, MANIFEST, Manifest, RECORD, RECORDED_AS, Record,
};
use crate::Context;
use crate::failure::{Exit, Failure, Problem as _};
use crate::output::{Tone, remark};
use crate::witness::{KeysFault, chain_of};

/// The longest line of the entries that is read, in bytes. A leaf has at most 65,535, each written with six at the most.
const MOST_LINE: u64 = 1024 * 1024;

/// Why an archive does not hold.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It cannot be read.
    #[error("it cannot be read as an archive")]
    Unreadable(#[from] io::Error),
    /// A part is missing or not of its form.
    #[error("{0} is missing, or not of its form")]
    Garbled(&'static str),
    /// A file that the manifest does not list, or lists otherwise.
    #[error("{0} is not the file that the manifest lists")]
    File(String),
    /// A file of the manifest is not there.
    #[error("{0} is in the manifest and not in the archive")]
    Missing(String),
    /// The keys are not those of the log that is trusted, or did not sign.
    #[error("the log's signatures do not hold")]
    Keys(#[from] gateway_audit::ChainError),
    /// The keys are no chain.
    #[error("the log's keys do not hold")]
    Chain(#[from] KeysFault),
    /// The entries are not all entries of that piece of the log.
    #[error("the entries are not all entries from the first to the last, in their order")]
    Entries(#[source] gateway_audit::ProofError),
    /// The log does not hold the manifest's digest.
    #[error("the log's entry {0} does not hold this manifest's digest: the manifest was altered")]
    Record(u64),
    /// The entry is not in the log.
    #[error("it is not proven that the entry with the manifest's digest is in the log")]
    Unproven(#[source] gateway_audit::ProofError),
}

/// What an archive that holds is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Held {
    pub(super) gateway: String,
    /// Who had it recorded, and when, as the log has it.
    pub(super) made_by: String,
    pub(super) made: String,
    /// The time that it says it is about.
    pub(super) from: String,
    pub(super) to: String,
    pub(super) first: u64,
    pub(super) entries: u64,
    /// The earliest and the latest time of its entries.
    pub(super) earliest: Option<String>,
    pub(super) latest: Option<String>,
    pub(super) files: usize,
    pub(super) left_out: usize,
    pub(super) recorded_as: u64,
    pub(super) key: String,
}

/// One line of the entries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    index: u64,
    leaf: String,
}

/// Checks the archive in a file, and says what it is.
pub(super) fn run(context: &Context, file: &Path, key: Option<&str>) -> Result<(), Failure> {
    let shown = file.display().to_string();
    let trusted = match key.map(str::parse::<NoteVerifier>) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(_garbled)) => {
            return Err(Failure::new(
                Exit::Usage,
                "--key is no key of a log: NAME+ID+BASE64, as `/log/keys` has it",
            ));
        }
    };
    let opened = File::open(file).problem(format!("{shown} cannot be opened"))?;
    let held = check(BufReader::new(opened), trusted.as_ref()).problem(format!("{shown} does not hold"))?;
    if trusted.is_none() {
        remark("the key is the archive's own: compare it with what the gateway shows, or name it with --key");
    }
    context.output.answer(&held, || {
        format!(
            "{}: {} entries of the log from the one at {} on, none left out between them, and {} files as they were made\n  \
             entries    {} to {}\n  about      {} to {}\n  gateway    {}\n  \
             made       {} by {}, entry {} of the log\n  key        {}{}",
            context.output.toned(Tone::Good, "it holds"),
            held.entries,
            held.first,
            held.files,
            held.earliest.as_deref().unwrap_or("-"),
            held.latest.as_deref().unwrap_or("-"),
            one_line(&held.from),
            one_line(&held.to),
            one_line(&held.gateway),
            held.made,
            one_line(&held.made_by),
            held.recorded_as,
            one_line(&held.key),
            if held.left_out > 0 {
                format!("\n  left out   {} files; the manifest says why", held.left_out)
            } else {
                String::new()
            }
        )
    })
}

/// Checks an archive.
///
/// # Errors
/// [`Fault`], the first one.
pub(super) fn check(file: impl Read, trusted: Option<&NoteVerifier>) -> Result<Held, Fault> {
    let mut parts = Parts::default();
    // What a fault is, besides being one of reading.
    let mut fault = None;
    let read = archive::read(file, |path, content| {
        parts.take(path, content).map_err(|found| match found {
            Fault::Unreadable(error) => error,
            found => {
                fault = Some(found);
                io::Error::other("it does not hold")
            }
        })
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    read?;
    parts.judge(trusted)
}

/// What was read so far.
#[derive(Default)]
struct Parts {
    manifest: Option<(Manifest, Hash)>,
    record: Option<Record>,
    checkpoint: Option<String>,
    keys: Option<LogKeys>,
    entries: Option<ReadEntries>,
    seen: BTreeSet<String>,
}

impl Parts {
    fn take(&mut self, path: &str, content: &mut dyn Read) -> Result<(), Fault> {
        if !self.seen.insert(path.to_owned()) {
            return Err(Fault::File(path.to_owned()));
        }
        match path {
            MANIFEST => {
                let bytes = archive::head(content)?;
                let manifest: Manifest =
                    serde_json::from_slice(&bytes).map_err(|_other| Fault::Garbled(MANIFEST))?;
                if manifest.form != FORM {
                    return Err(Fault::Garbled(MANIFEST));
                }
                self.manifest = Some((manifest, digest(&bytes)));
                return Ok(());
            }
            RECORD => {
                let bytes = archive::head(content)?;
                self.record = Some(serde_json::from_slice(&bytes).map_err(|_other| Fault::Garbled(RECORD))?);
                return Ok(());
            }
            _ => {}
        }
        let (manifest, _digest) = self.manifest.as_ref().ok_or(Fault::Garbled(MANIFEST))?;
        let listed = manifest
            .files
            .iter()
            .find(|one| one.path == path)
            .ok_or_else(|| Fault::File(path.to_owned()))?
            .clone();
        let mut hashed = Hashing { inner: content, sha256: Digest::new(&SHA256), bytes: 0 };
        match path {
            ENTRIES => self.entries = Some(entries(&mut hashed, &manifest.entries)?),
            CHECKPOINT => {
                let bytes = archive::head(&mut hashed)?;
                self.checkpoint =
                    Some(String::from_utf8(bytes).map_err(|_no_text| Fault::Garbled(CHECKPOINT))?);
            }
            KEYS => {
                let bytes = archive::head(&mut hashed)?;
                self.keys = Some(serde_json::from_slice(&bytes).map_err(|_other| Fault::Garbled(KEYS))?);
            }
            _ => {
                io::copy(&mut hashed, &mut io::sink())?;
            }
        }
        let (sha256, bytes) = hashed.done();
        if sha256 != listed.sha256 || bytes != listed.bytes {
            return Err(Fault::File(path.to_owned()));
        }
        Ok(())
    }

    fn judge(self, trusted: Option<&NoteVerifier>) -> Result<Held, Fault> {
        let (manifest, digest) = self.manifest.ok_or(Fault::Garbled(MANIFEST))?;
        if let Some(missing) = manifest.files.iter().find(|one| !self.seen.contains(&one.path)) {
            return Err(Fault::Missing(missing.path.clone()));
        }
        let record = self.record.ok_or(Fault::Garbled(RECORD))?;
        let chain = chain_of(self.keys.ok_or(Fault::Garbled(KEYS))?)?;
        if let Some(trusted) = trusted {
            chain.goes_back_to(&trusted.to_string())?;
        }
        let checkpoint = chain.verify(&self.checkpoint.ok_or(Fault::Garbled(CHECKPOINT))?)?;
        let right = hashes(&manifest.entries.right).ok_or(Fault::Garbled(MANIFEST))?;
        let entries = self.entries.ok_or(Fault::Garbled(ENTRIES))?;
        entries.verifier.finish(&checkpoint.head(), &right).map_err(Fault::Entries)?;
        let event = recorded(&record, &digest, &chain)?;
        let key = trusted.or_else(|| chain.newest()).map(ToString::to_string).unwrap_or_default();
        Ok(Held {
            gateway: manifest.gateway,
            made_by: event.actor.name,
            made: event.time.to_rfc3339(),
            from: manifest.from,
            to: manifest.to,
            first: manifest.entries.first,
            entries: manifest.entries.count,
            earliest: entries.earliest.map(Timestamp::to_rfc3339),
            latest: entries.latest.map(Timestamp::to_rfc3339),
            files: manifest.files.len(),
            left_out: manifest.left_out.len(),
            recorded_as: record.index,
            key,
        })
    }
}

/// The entries of an archive, read and not yet held to the log's head.
struct ReadEntries {
    verifier: RangeVerifier,
    earliest: Option<Timestamp>,
    latest: Option<Timestamp>,
}

/// Reads the entries into what checks them.
fn entries(file: &mut dyn Read, expected: &Entries) -> Result<ReadEntries, Fault> {
    let left = hashes(&expected.left).ok_or(Fault::Garbled(MANIFEST))?;
    let mut verifier = RangeVerifier::new(expected.first, &left).map_err(Fault::Entries)?;
    let mut lines = BufReader::new(file);
    let mut next = expected.first;
    let (mut earliest, mut latest) = (None, None);
    loop {
        let mut text = Vec::new();
        (&mut lines).take(MOST_LINE).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            break;
        }
        let line: Line = serde_json::from_slice(&text).map_err(|_other| Fault::Garbled(ENTRIES))?;
        if line.index != next {
            return Err(Fault::Garbled(ENTRIES));
        }
        verifier.push(leaf_hash(line.leaf.as_bytes()));
        let (event, _nonce) =
            Event::from_leaf(line.leaf.as_bytes()).map_err(|_other| Fault::Garbled(ENTRIES))?;
        earliest = Some(earliest.map_or(event.time, |known: Timestamp| known.min(event.time)));
        latest = Some(latest.map_or(event.time, |known: Timestamp| known.max(event.time)));
        next += 1;
    }
    if next - expected.first != expected.count {
        return Err(Fault::Garbled(ENTRIES));
    }
    Ok(ReadEntries { verifier, earliest, latest })
}

/// The entry of the log that holds the digest.
fn recorded(record: &Record, digest: &Hash, chain: &KeyChain) -> Result<Event, Fault> {
    let checkpoint = chain.verify(&record.checkpoint)?;
    let path = hashes(&record.path).ok_or(Fault::Garbled(RECORD))?;
    let leaf = record.leaf.as_bytes();
    verify_inclusion(&leaf_hash(leaf), record.index, &checkpoint.head(), &path).map_err(Fault::Unproven)?;
    let (event, _nonce) = Event::from_leaf(leaf).map_err(|_other| Fault::Garbled(RECORD))?;
    let is_it = event.action.as_str() == RECORDED_AS
        && event.parameters.get("digest").is_some_and(|found| *found == digest.to_hex());
    if is_it { Ok(event) } else { Err(Fault::Record(record.index)) }
}

fn hashes(texts: &[String]) -> Option<Vec<Hash>> {
    texts.iter().map(|text| Hash::from_hex(text)).collect()
}

/// Takes the digest of what is read.
struct Hashing<'a> {
    inner: &'a mut dyn Read,
    sha256: Digest,
    bytes: u64,
}

impl Hashing<'_> {
    fn done(self) -> (String, u64) {
        (data_encoding::HEXLOWER.encode(self.sha256.finish().as_ref()), self.bytes)
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sha256.update(buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}
