//! Echo over a WebSocket: round trips of small messages, and as much as goes of larger ones.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::connection::Upgraded;
use super::{Measured, Target};

/// The key of RFC 6455's own example; whoever answers derives from it, nobody else needs it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Opens a socket.
pub(crate) async fn open(target: &Target) -> Result<Upgraded> {
    let mut text = format!("GET {} HTTP/1.1\r\nhost: localhost:{}\r\n", target.path, target.port);
    for line in &target.headers {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str(&format!(
        "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    ));
    let (socket, early) = target.connect().await?.upgrade(text.as_bytes()).await?;
    if !early.is_empty() {
        bail!("a socket said something before it was asked");
    }
    Ok(socket)
}

/// Sends one message after the other, each when the one before came back.
pub(crate) async fn round_trips(target: &Target, message_bytes: usize, time: Duration) -> Result<Measured> {
    let mut socket = open(target).await?;
    let frame = masked(message_bytes);
    let mut reply = vec![0; frame.len() - 4];
    let mut measured = Measured::new()?;
    let begun = Instant::now();
    while begun.elapsed() < time {
        let since = Instant::now();
        socket.write(&frame).await?;
        socket.read_exact(&mut reply).await?;
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        measured.latencies_us.saturating_record(micros.max(1));
        measured.count += 1;
        measured.bytes_down += message_bytes as u64;
    }
    measured.elapsed = begun.elapsed();
    Ok(measured)
}

/// A binary message of this many bytes (less than 65,536), masked.
fn masked(bytes: usize) -> Vec<u8> {
    let mut frame = vec![0x82];
    match (u8::try_from(bytes), u16::try_from(bytes)) {
        (Ok(short @ ..=125), _) => frame.push(0x80 | short),
        (_, long) => {
            frame.push(0x80 | 126);
            frame.extend(long.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend([1, 2, 3, 4]);
    frame.extend(std::iter::repeat_n(b'w', bytes));
    frame
}
