//! An upgraded connection as the handlers see it: data in, data out, frame by frame.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::seen::Entry;
use crate::wire::frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, write_frame};
use crate::wire::{Wire, broken};

/// What the client sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    /// The payload of one data frame.
    Data(Vec<u8>),
    /// The end of its input: a binary frame, a close frame or the end of the stream.
    End,
}

/// Both directions of a socket.
#[derive(Debug)]
pub(crate) struct SocketIo<R, W> {
    reader: Wire<R>,
    writer: W,
    seen: Entry,
    /// A close frame was answered: nothing more may be sent.
    closed: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> SocketIo<R, W> {
    pub(crate) fn new(reader: Wire<R>, writer: W, seen: Entry) -> Self {
        Self { reader, writer, seen, closed: false }
    }

    /// The next data. Only here pings are answered, so a command that does not read does not pong.
    pub(crate) async fn input(&mut self) -> io::Result<Input> {
        loop {
            let Some(frame) = self.next().await? else { return Ok(Input::End) };
            if !frame.masked || frame.reserved != 0 {
                // As the rack's library: a client must mask, and no extension was agreed.
                self.write(&Frame { opcode: CLOSE, ..Frame::text(1002_u16.to_be_bytes()) }).await?;
                return Err(broken("frame without a mask"));
            }
            match frame.opcode {
                TEXT | CONTINUATION => return Ok(Input::Data(frame.payload)),
                BINARY => return Ok(Input::End),
                PING => self.write(&Frame { opcode: PONG, ..Frame::text(frame.payload) }).await?,
                CLOSE => {
                    self.write(&Frame { opcode: CLOSE, ..Frame::text(frame.payload) }).await?;
                    self.closed = true;
                    return Ok(Input::End);
                }
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> io::Result<Option<Frame>> {
        let frame = self.reader.frame().await?;
        if let Some(frame) = &frame {
            self.seen.frame(frame.payload.len());
        }
        Ok(frame)
    }

    /// Sends a frame as it is.
    pub(crate) async fn write(&mut self, frame: &Frame) -> io::Result<()> {
        if self.closed { Ok(()) } else { write_frame(&mut self.writer, frame).await }
    }

    /// Sends one text frame.
    pub(crate) async fn text(&mut self, payload: impl Into<Vec<u8>>) -> io::Result<()> {
        self.write(&Frame::text(payload)).await
    }

    /// Sends the frame that means "no more".
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        self.write(&Frame::end()).await
    }

    /// Waits until the client closes, answering nothing: a rack does not close either.
    pub(crate) async fn until_closed(&mut self) {
        while let Ok(Some(_)) = self.next().await {}
        // Whatever happens to this goodbye, the connection is over.
        let _ = self.writer.shutdown().await;
    }
}
