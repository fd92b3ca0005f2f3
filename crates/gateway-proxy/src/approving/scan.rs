//! An archive on its way up, read beside: its digest and the manifests in it. The bytes that go to the rack are the
//! bytes that are read here.
//!
//! # Security
//! Reading unpacks what a caller sent, so it runs on a thread of its own, within the limits of
//! `gateway_approvals::archive`; the upload waits for it, never the other way round, so that nothing piles up.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::{Buf as _, Bytes};
use data_encoding::HEXLOWER;
use gateway_approvals::archive::{self, Archive, Limits};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::PollSender;

/// How long reading may go on once the rack has answered.
const LAST_BYTES: Duration = Duration::from_secs(60);

const EARLY: &str = "the rack answered before all of it was sent";

/// How many pieces of the body wait to be read.
const WAITING: usize = 16;

/// What was read.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// SHA-256 of all bytes, in hexadecimal.
    pub(crate) sha256: String,
    /// How many bytes.
    pub(crate) size_bytes: u64,
    /// What is in it; or why it cannot be read.
    pub(crate) archive: Result<Archive, String>,
}

/// The end that the body is fed into.
pub struct Scan {
    sender: PollSender<Bytes>,
    complete: Arc<AtomicBool>,
}

/// The end at which the result is waited for.
#[derive(Debug)]
pub(crate) struct Reading {
    thread: JoinHandle<Scanned>,
    complete: Arc<AtomicBool>,
}

/// Begins to read.
pub(crate) fn begin() -> (Scan, Reading) {
    let (sender, pieces) = mpsc::channel(WAITING);
    let complete = Arc::new(AtomicBool::new(false));
    let thread = tokio::task::spawn_blocking(move || read(pieces));
    let scan = Scan { sender: PollSender::new(sender), complete: complete.clone() };
    (scan, Reading { thread, complete })
}

impl Scan {
    /// Ready when one more piece can be taken.
    pub(crate) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // A reader that is gone takes everything.
        self.sender.poll_reserve(context).map(|_taken| ())
    }

    /// Takes a piece, after [`Scan::poll_ready`].
    pub(crate) fn feed(&mut self, piece: Bytes) {
        let _gone = self.sender.send_item(piece);
    }

    /// The body ended as it should.
    pub(crate) fn end(&mut self) {
        self.complete.store(true, Ordering::Release);
        self.sender.close();
    }
}

impl Reading {
    /// What was read, once the body has ended or was dropped.
    pub(crate) async fn result(self) -> Scanned {
        let unread =
            |why: &str| Scanned { sha256: String::new(), size_bytes: 0, archive: Err(why.to_owned()) };
        // A rack that answers before it took all of it leaves the body where it is.
        let mut scanned = match timeout(LAST_BYTES, self.thread).await {
            Ok(joined) => joined.unwrap_or_else(|_panicked| unread("it could not be read")),
            Err(_slow) => unread(EARLY),
        };
        if !self.complete.load(Ordering::Acquire) {
            scanned.archive = Err(EARLY.to_owned());
        }
        scanned
    }
}

fn read(pieces: mpsc::Receiver<Bytes>) -> Scanned {
    let mut source =
        Hashed { pieces, piece: Bytes::new(), digest: digest::Context::new(&digest::SHA256), size_bytes: 0 };
    let archive = archive::read(&mut source, &Limits::default()).map_err(|fault| fault.to_string());
    // Also what is behind a fault is part of the digest.
    let drained = io::copy(&mut source, &mut io::sink());
    Scanned {
        sha256: HEXLOWER.encode(source.digest.finish().as_ref()),
        size_bytes: source.size_bytes,
        archive: archive.and_then(|archive| drained.map(|_| archive).map_err(|error| error.to_string())),
    }
}

/// The pieces as one stream, hashed as they are read.
struct Hashed {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
    digest: digest::Context,
    size_bytes: u64,
}

impl Read for Hashed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => {
                    self.digest.update(&piece);
                    self.size_bytes = self.size_bytes.saturating_add(piece.len() as u64);
                    self.piece = piece;
                }
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.piece.len());
        let (Some(target), Some(source)) = (into.get_mut(..length), self.piece.get(..length)) else {
            return Ok(0);
        };
        target.copy_from_slice(source);
        self.piece.advance(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::path::Path;

    use super::*;

    /// The archive that the official client sent in a recorded deploy.
    fn recorded() -> Vec<u8> {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway-testkit/transcripts/31-deploy.jsonl");
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines =
            text.lines().skip(1).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines
            .find(|line| line["kind"] == "request" && line["target"].as_str().unwrap().contains("/objects/"));
        let body = lines.find(|line| line["kind"] == "body" && line["from"] == "client").unwrap();
        data_encoding::BASE64.decode(body["data_b64"].as_str().unwrap().as_bytes()).unwrap()
    }

    fn sha256(bytes: &[u8]) -> String {
        HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
    }

    async fn fed(bytes: &[u8], piece: usize, is_whole: bool) -> Scanned {
        let (mut scan, reading) = begin();
        for piece in bytes.chunks(piece) {
            poll_fn(|context| scan.poll_ready(context)).await;
            scan.feed(Bytes::copy_from_slice(piece));
        }
        if is_whole {
            scan.end();
        }
        drop(scan);
        reading.result().await
    }

    #[tokio::test]
    async fn pieces_of_whatever_size_are_the_same_archive() {
        let bytes = recorded();
        for piece in [1, 7, 511, 4096, bytes.len()] {
            let scanned = fed(&bytes, piece, true).await;
            assert_eq!((scanned.sha256, scanned.size_bytes), (sha256(&bytes), bytes.len() as u64));
            let archive = scanned.archive.unwrap();
            assert!(archive.manifests.contains_key("convox.yml"), "{piece}");
        }
    }

    #[tokio::test]
    async fn what_is_behind_a_fault_is_part_of_the_digest() {
        let bytes = [&b"no archive at all"[..], &[0; 100_000]].concat();
        let scanned = fed(&bytes, 1000, true).await;
        assert_eq!((scanned.sha256, scanned.size_bytes), (sha256(&bytes), bytes.len() as u64));
        assert!(scanned.archive.is_err());
        let mut changed = recorded();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        assert!(fed(&changed, 512, true).await.archive.is_err(), "a checksum is not right");
    }

    #[tokio::test]
    async fn what_did_not_end_is_nothing() {
        let bytes = recorded();
        // All bytes came, and nobody said that it was all of them.
        let scanned = fed(&bytes, 512, false).await;
        assert_eq!(scanned.archive.unwrap_err(), EARLY);
        let half = fed(&bytes[..bytes.len() / 2], 512, true).await;
        assert!(half.archive.is_err());
        assert!(fed(&[], 1, true).await.archive.is_err());
    }
}
