//! Reading without memory that waits with the reader.
//!
//! Most of what is open is idle, and a buffer of each direction of each connection was most of a gateway's memory
//! (ADR 0010). What is read comes through the stack of whoever polls, and only bytes that came are kept.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

/// Reads what there is, at most `MOST` bytes, to the end of `into`; returns how many came, and 0 at the end of the
/// stream. While nothing comes, an empty buffer holds no memory.
///
/// # Errors
/// The reader's.
pub(crate) fn poll_read<const MOST: usize, R: AsyncRead>(
    reader: Pin<&mut R>,
    context: &mut Context<'_>,
    into: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let mut scratch = [const { MaybeUninit::uninit() }; MOST];
    let mut scratch = ReadBuf::uninit(&mut scratch);
    let polled = reader.poll_read(context, &mut scratch);
    if polled.is_pending() && into.is_empty() {
        *into = BytesMut::new();
    }
    ready!(polled)?;
    into.extend_from_slice(scratch.filled());
    Poll::Ready(Ok(scratch.filled().len()))
}

/// The same, waiting. Dropping it loses nothing: what came is in `into` by then.
///
/// # Errors
/// The reader's.
pub(crate) async fn read<const MOST: usize, R: AsyncRead + Unpin>(
    reader: &mut R,
    into: &mut BytesMut,
) -> io::Result<usize> {
    poll_fn(|context| poll_read::<MOST, R>(Pin::new(&mut *reader), context, into)).await
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn an_idle_reader_holds_no_memory() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut buffer = BytesMut::with_capacity(4096);
        let idle = tokio::time::timeout(
            std::time::Duration::from_millis(5),
            read::<4096, _>(&mut near, &mut buffer),
        );
        idle.await.unwrap_err();
        assert_eq!(buffer.capacity(), 0);

        far.write_all(b"first").await.unwrap();
        assert_eq!(read::<4096, _>(&mut near, &mut buffer).await.unwrap(), 5);
        buffer.advance(2);
        // What was not taken yet stays, with what comes.
        far.write_all(b"then").await.unwrap();
        assert_eq!(read::<4096, _>(&mut near, &mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer[..], b"rstthen");

        drop(far);
        assert_eq!(read::<4096, _>(&mut near, &mut buffer).await.unwrap(), 0);
        assert_eq!(&buffer[..], b"rstthen");
    }

    #[tokio::test]
    async fn no_more_is_read_at_once_than_was_asked_for() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(&[7; 20]).await.unwrap();
        let mut buffer = BytesMut::new();
        assert_eq!(read::<16, _>(&mut near, &mut buffer).await.unwrap(), 16);
        assert_eq!(read::<16, _>(&mut near, &mut buffer).await.unwrap(), 4);
        assert_eq!(buffer.len(), 20);
    }
}
