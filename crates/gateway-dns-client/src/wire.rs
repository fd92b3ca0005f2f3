//! Messages on a TCP connection, each behind its length (RFC 1035, section 4.2.2).

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection on which one question was asked.
pub(crate) struct Asked {
    stream: TcpStream,
    id: [u8; 2],
}

impl Asked {
    /// Connects and asks.
    pub(crate) async fn ask(server: SocketAddr, question: &[u8]) -> io::Result<Self> {
        let length = u16::try_from(question.len()).map_err(|_long| io::ErrorKind::InvalidInput)?;
        let id = question.first_chunk::<2>().copied().ok_or(io::ErrorKind::InvalidInput)?;
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
        Ok(Self { stream, id })
    }

    /// The next message of the answer; one to another question is an error.
    pub(crate) async fn message(&mut self) -> io::Result<Vec<u8>> {
        let mut answer = vec![0u8; usize::from(self.stream.read_u16().await?)];
        self.stream.read_exact(&mut answer).await?;
        if answer.first_chunk::<2>() == Some(&self.id) {
            Ok(answer)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}
