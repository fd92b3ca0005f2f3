//! HTTP/1.1 messages on a byte stream, as both ends of the simulator need them: the rack reads requests, the
//! replay reads answers. Bytes are kept as they came (targets, header names and their order), because what a
//! gateway really sent is what the tests look at.
//!
//! This is a test peer: it is as lenient as Go's server where that matters and knows nothing of policy.

pub mod frame;

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest head that is read, as Go's default.
const MAX_HEAD: usize = 1 << 20;
/// How much of a body is read at a time.
pub(crate) const PIECE: usize = 32 * 1024;

/// A byte stream with what was read too far.
#[derive(Debug)]
pub struct Wire<R> {
    inner: R,
    buffer: Vec<u8>,
    /// Where the unread part of `buffer` starts.
    at: usize,
}

/// One end of a request or answer: its first line in three parts and its header fields, in order, verbatim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Method of a request, `HTTP/1.1` of an answer.
    pub first: String,
    /// Target of a request (verbatim), status of an answer.
    pub second: String,
    /// Version of a request, reason of an answer.
    pub third: String,
    /// Header fields in order, names as they were written.
    pub headers: Vec<(String, String)>,
}

/// How long a message's body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// So many bytes.
    Known(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the peer closes (answers only).
    UntilClose,
}

impl Head {
    /// The first value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether one of the comma-separated words of a header is `word`, whatever its case.
    pub fn has_token(&self, name: &str, word: &str) -> bool {
        self.headers
            .iter()
            .filter(|(have, _)| have.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(word))
    }

    /// The length of the body this head announces; `otherwise` when it says nothing.
    ///
    /// # Errors
    /// `InvalidData` for a length that is no number, or for two lengths that differ.
    pub fn length(&self, otherwise: Length) -> io::Result<Length> {
        if self.has_token("transfer-encoding", "chunked") {
            return Ok(Length::Chunked);
        }
        let mut length = None;
        for (_, value) in self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            let value: u64 = value.trim().parse().map_err(|_| broken("bad Content-Length"))?;
            if length.is_some_and(|before| before != value) {
                return Err(broken("two different lengths"));
            }
            length = Some(value);
        }
        Ok(length.map_or(otherwise, Length::Known))
    }
}

/// An `InvalidData` error.
pub(crate) fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<R: AsyncRead + Unpin> Wire<R> {
    /// Reads from `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, buffer: Vec::new(), at: 0 }
    }

    /// The bytes that were read and not yet used.
    fn unread(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Reads some more; 0 at the end of the stream.
    async fn more(&mut self) -> io::Result<usize> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.reserve(PIECE);
        self.inner.read_buf(&mut self.buffer).await
    }

    /// Reads a head; `None` when the peer closed before its first byte.
    ///
    /// # Errors
    /// What the stream says; `InvalidData` for what is no HTTP; `UnexpectedEof` within a head.
    pub async fn head(&mut self, kind: HeadKind) -> io::Result<Option<Head>> {
        loop {
            // Go skips empty lines before a request line.
            while let [b'\r' | b'\n', ..] = self.unread() {
                self.at += 1;
            }
            if let Some((head, used)) = parse_head(kind, self.unread())? {
                self.at += used;
                return Ok(Some(head));
            }
            if self.unread().len() > MAX_HEAD {
                return Err(broken("head too long"));
            }
            let nothing_yet = self.unread().is_empty();
            if self.more().await? == 0 {
                return if nothing_yet { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The next bytes of a body, at most `limit`; empty at the end of the stream.
    async fn some(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        if self.unread().is_empty() && self.more().await? == 0 {
            return Ok(Vec::new());
        }
        let take = self.unread().len().min(limit);
        let piece = self.unread().get(..take).unwrap_or_default().to_vec();
        self.at += take;
        Ok(piece)
    }

    /// Reads and drops everything until the peer closes.
    pub async fn until_closed(&mut self) {
        while self.some(PIECE).await.is_ok_and(|piece| !piece.is_empty()) {}
    }

    /// Exactly `count` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` when the stream ends before.
    pub async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread().len() < count {
            if self.more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let taken = self.unread().get(..count).unwrap_or_default().to_vec();
        self.at += count;
        Ok(taken)
    }

    /// A line without its end.
    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread().iter().position(|byte| *byte == b'\n') {
                let line = self.some(end + 1).await?;
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.unread().len() > MAX_HEAD {
                return Err(broken("line too long"));
            }
            if self.more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads a body of the given length and hands each piece to `take`.
    ///
    /// # Errors
    /// What the stream says; `UnexpectedEof` for a body that ends early.
    pub async fn body(&mut self, length: Length, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        match length {
            Length::Known(count) => self.piecewise(count, &mut take).await,
            Length::UntilClose => loop {
                let piece = self.some(PIECE).await?;
                if piece.is_empty() {
                    return Ok(());
                }
                take(&piece);
            },
            Length::Chunked => self.chunks(&mut take).await,
        }
    }

    async fn piecewise(&mut self, count: u64, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let piece = self.some(usize::try_from(left).unwrap_or(PIECE).min(PIECE)).await?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= piece.len() as u64;
            take(&piece);
        }
        Ok(())
    }

    async fn chunks(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| broken("bad chunk size"))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.piecewise(size, take).await?;
            if !self.line().await?.is_empty() {
                return Err(broken("chunk without an end"));
            }
        }
    }
}

/// Which head is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadKind {
    /// A request line and header fields.
    Request,
    /// A status line and header fields.
    Answer,
}

/// Parses a head when it is there whole; gives it and its length.
fn parse_head(kind: HeadKind, bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut fields = vec![httparse::EMPTY_HEADER; 256];
    let not_http = |_| broken("not HTTP");
    let (first, second, third, used) = match kind {
        HeadKind::Request => {
            let mut request = httparse::Request::new(&mut fields);
            let httparse::Status::Complete(used) = request.parse(bytes).map_err(not_http)? else {
                return Ok(None);
            };
            let version = format!("HTTP/1.{}", request.version.unwrap_or(1));
            let target = request.path.unwrap_or_default().to_owned();
            (request.method.unwrap_or_default().to_owned(), target, version, used)
        }
        HeadKind::Answer => {
            let mut answer = httparse::Response::new(&mut fields);
            let httparse::Status::Complete(used) = answer.parse(bytes).map_err(not_http)? else {
                return Ok(None);
            };
            let version = format!("HTTP/1.{}", answer.version.unwrap_or(1));
            let status = answer.code.unwrap_or_default().to_string();
            (version, status, answer.reason.unwrap_or_default().to_owned(), used)
        }
    };
    let headers = fields
        .iter()
        .take_while(|field| !field.name.is_empty())
        .map(|field| (field.name.to_owned(), String::from_utf8_lossy(field.value).into_owned()))
        .collect();
    Ok(Some((Head { first, second, third, headers }, used)))
}

#[cfg(test)]
mod tests;
