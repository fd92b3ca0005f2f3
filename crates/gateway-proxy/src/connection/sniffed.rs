//! A stream whose first bytes were looked at and are read again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// What a stream begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begins {
    /// The bytes that were looked for.
    With,
    /// Something else.
    Otherwise,
}

/// The stream, from its first byte on.
#[derive(Debug)]
pub(super) struct Sniffed<S> {
    inner: S,
    first: Bytes,
}

impl<S: AsyncRead + Unpin> Sniffed<S> {
    /// Reads as far as it takes to know whether the stream begins with `sought`. `None` when it ends before, or
    /// when that takes longer than `limit`.
    pub(super) async fn read(mut inner: S, sought: &[u8], limit: Duration) -> Option<(Self, Begins)> {
        let mut first = BytesMut::with_capacity(sought.len());
        let begins = timeout(limit, async {
            loop {
                let count = (&mut inner).take(u64::try_from(sought.len() - first.len()).unwrap_or(0));
                let mut count = count;
                if count.read_buf(&mut first).await.ok()? == 0 {
                    return None;
                }
                if !sought.starts_with(&first) {
                    return Some(Begins::Otherwise);
                }
                if first.len() == sought.len() {
                    return Some(Begins::With);
                }
            }
        });
        let begins = begins.await.ok()??;
        Some((Self { inner, first: first.freeze() }, begins))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sniffed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.first.has_remaining() {
            let count = this.first.len().min(out.remaining());
            out.put_slice(&this.first.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.inner).poll_read(context, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sniffed<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn check(pieces: &[&str], expected: Option<(Begins, &str)>) {
        let (mut client, server) = tokio::io::duplex(64);
        let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        tokio::spawn(async move {
            for piece in pieces {
                client.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let told = match Sniffed::read(server, b"PRI * x", Duration::from_secs(5)).await {
            None => None,
            Some((mut stream, begins)) => {
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                Some((begins, text))
            }
        };
        assert_eq!(told.as_ref().map(|(begins, text)| (*begins, text.as_str())), expected);
    }

    #[tokio::test]
    async fn nothing_is_lost() {
        check(&["PRI * xyz"], Some((Begins::With, "PRI * xyz"))).await;
        check(&["P", "RI", " * x", "yz"], Some((Begins::With, "PRI * xyz"))).await;
        check(&["GET / x"], Some((Begins::Otherwise, "GET / x"))).await;
        check(&["PRI ", "/ HTTP"], Some((Begins::Otherwise, "PRI / HTTP"))).await;
        check(&["PRI"], None).await;
        check(&[], None).await;
    }
}
