//! One HTTP/1.1 connection, over TCP or TLS.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use memchr::memmem;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// How much of an upload is written at once, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection to a party.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    filled: usize,
}

/// What is of interest of a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    pub(crate) keeps_alive: bool,
}

/// How a reply's end is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Length {
    Known(u64),
    Chunked,
}

struct Head {
    status: u16,
    bytes: usize,
    length: Length,
    keeps_alive: bool,
}

impl Connection {
    pub(crate) async fn open(
        port: u16,
        tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    ) -> Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(tcp),
            Some((config, name)) => Box::new(TlsConnector::from(config).connect(name, tcp).await?),
        };
        Ok(Self { stream, buffer: vec![0; 16 * 1024], filled: 0 })
    }

    /// Sends one request and reads its reply to the end.
    pub(crate) async fn exchange(&mut self, request: &[u8], body_bytes: usize) -> Result<Reply> {
        self.stream.write_all(request).await?;
        if body_bytes > 0 {
            let piece = vec![b'u'; WRITE_BYTES];
            let mut left = body_bytes;
            while left > 0 {
                let count = left.min(WRITE_BYTES);
                self.stream.write_all(piece.get(..count).unwrap_or_default()).await?;
                left -= count;
            }
        }
        // With TLS, what was written may still wait here.
        self.stream.flush().await?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<Reply> {
        let head = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            self.fill().await?;
        };
        self.take(head.bytes);
        let body_bytes = match head.length {
            Length::Known(length) => {
                self.skip(length).await?;
                length
            }
            Length::Chunked => self.chunks().await?,
        };
        Ok(Reply { status: head.status, body_bytes, keeps_alive: head.keeps_alive })
    }

    /// Reads a 101 and leaves the stream to frames.
    pub(crate) async fn upgrade(mut self, request: &[u8]) -> Result<(Upgraded, Vec<u8>)> {
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            self.fill().await?;
        };
        if head.status != 101 {
            bail!("a socket was answered {} instead of 101", head.status);
        }
        self.take(head.bytes);
        let early = self.buffer.get(..self.filled).unwrap_or_default().to_vec();
        Ok((Upgraded(self.stream), early))
    }

    fn head(&self) -> Result<Option<Head>> {
        let seen = self.buffer.get(..self.filled).unwrap_or_default();
        let Some(end) = memmem::find(seen, b"\r\n\r\n") else { return Ok(None) };
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        parsed.parse(seen)?;
        let status = parsed.code.context("a reply has no status")?;
        let (mut length, mut keeps_alive) = (Length::Known(0), true);
        for header in parsed.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                length = Length::Known(std::str::from_utf8(header.value)?.trim().parse()?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                length = Length::Chunked;
            } else if header.name.eq_ignore_ascii_case("connection") {
                keeps_alive = !header.value.eq_ignore_ascii_case(b"close");
            }
        }
        Ok(Some(Head { status, bytes: end + 4, length, keeps_alive }))
    }

    async fn fill(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize((self.buffer.len() * 2).min(READ_BYTES), 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let count = self.stream.read(room).await?;
        if count == 0 {
            bail!("the connection ended within a reply");
        }
        self.filled += count;
        Ok(())
    }

    /// Forgets the first bytes of what was read.
    fn take(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    async fn skip(&mut self, mut count: u64) -> Result<()> {
        loop {
            let here = usize::try_from(count).unwrap_or(usize::MAX).min(self.filled);
            self.take(here);
            count -= here as u64;
            if count == 0 {
                return Ok(());
            }
            if count > self.buffer.len() as u64 && self.buffer.len() < READ_BYTES {
                self.buffer.resize(READ_BYTES, 0);
            }
            self.fill().await?;
        }
    }

    async fn chunks(&mut self) -> Result<u64> {
        let mut all = 0;
        loop {
            let (line, size) = loop {
                let seen = self.buffer.get(..self.filled).unwrap_or_default();
                if let httparse::Status::Complete(found) =
                    httparse::parse_chunk_size(seen).ok().context("a chunk has no size")?
                {
                    break found;
                }
                self.fill().await?;
            };
            self.take(line);
            self.skip(size + 2).await?;
            if size == 0 {
                return Ok(all);
            }
            all += size;
        }
    }
}

/// A connection that frames go over.
pub(crate) struct Upgraded(Box<dyn Stream>);

impl Upgraded {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).await?;
        Ok(())
    }

    pub(crate) async fn read_exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.0.read_exact(bytes).await?;
        Ok(())
    }
}
