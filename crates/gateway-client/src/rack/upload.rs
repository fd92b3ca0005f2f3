//! Bytes on their way to the rack, read as fast as the gateway takes them.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for the network at most.
const PIECES_AHEAD: usize = 4;

/// What is sent, and who is told how far it is.
pub struct Upload {
    source: Box<dyn Read + Send>,
    length_bytes: Option<u64>,
    told: Box<dyn FnMut(u64) + Send>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("length_bytes", &self.length_bytes).finish_non_exhaustive()
    }
}

impl Upload {
    /// All that `source` has: exactly `length_bytes`, or, when it is not known, in chunks.
    pub fn new(source: impl Read + Send + 'static, length_bytes: Option<u64>) -> Self {
        Self { source: Box::new(source), length_bytes, told: Box::new(|_| ()) }
    }

    /// The same; `told` hears how many bytes were handed over so far.
    #[must_use]
    pub fn telling(mut self, told: impl FnMut(u64) + Send + 'static) -> Self {
        self.told = Box::new(told);
        self
    }

    /// As a body. Its reader ends when the body is dropped.
    pub(super) fn into_body(self) -> reqwest::Body {
        let Self { mut source, length_bytes, mut told } = self;
        let (pieces, received) = mpsc::channel(PIECES_AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut sent = 0u64;
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let read = match source.read(&mut piece) {
                    Ok(0) => return,
                    Ok(count) => Ok(Bytes::copy_from_slice(piece.get(..count).unwrap_or_default())),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                sent = sent.saturating_add(read.as_ref().map_or(0, |bytes| bytes.len() as u64));
                if pieces.blocking_send(read).is_err() || failed {
                    return;
                }
                told(sent);
            }
        });
        reqwest::Body::wrap(Pieces { received, left: length_bytes })
    }
}

struct Pieces {
    received: mpsc::Receiver<io::Result<Bytes>>,
    /// How many bytes are still to come, when that is known.
    left: Option<u64>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.received.poll_recv(context).map(|received| match received {
            Some(Ok(bytes)) => {
                if let Some(left) = self.left {
                    let Some(left) = left.checked_sub(bytes.len() as u64) else {
                        return Some(Err(io::Error::other("the file grew while it was sent")));
                    };
                    self.left = Some(left);
                }
                Some(Ok(Frame::data(bytes)))
            }
            Some(Err(error)) => Some(Err(error)),
            None if self.left.is_some_and(|left| left > 0) => {
                self.left = None;
                Some(Err(io::Error::other("the file shrank while it was sent")))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::client::Client;
    use crate::rack::RackRequest;
    use crate::stub::{Stub, good};
    use crate::tls::TlsOptions;

    async fn sent(length_bytes: Option<u64>, text: &'static str) -> (String, u64) {
        let stub = Stub::answering(vec![good("{}")]).await;
        let client =
            Client::new(stub.address.clone(), Some("rgs_x".to_owned().into()), &TlsOptions::default())
                .unwrap();
        let far = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&far);
        let upload = Upload::new(text.as_bytes(), length_bytes)
            .telling(move |bytes| told.store(bytes, Ordering::Relaxed));
        client.rack_upload(&RackRequest::post(&["apps", "web", "objects", "tmp"]), upload).await.unwrap();
        (stub.seen().await.remove(0).to_ascii_lowercase(), far.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_file_goes_with_its_length_and_its_progress_is_told() {
        let (seen, far) = sent(Some(5), "bytes").await;
        assert!(seen.contains("content-length: 5\r\n") && seen.ends_with("\r\n\r\nbytes"), "{seen}");
        assert!(seen.contains("content-type: application/octet-stream\r\n"), "{seen}");
        assert_eq!(far, 5);
    }

    #[tokio::test]
    async fn a_stream_goes_in_chunks() {
        let (seen, _) = sent(None, "bytes").await;
        assert!(seen.contains("transfer-encoding: chunked\r\n"), "{seen}");
    }
}
