//! Writes answers the way Go's server does: up to 2048 bytes with a length, more of them chunked. Can be told to
//! break one off.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::fault::Fault;
use crate::reply::{Body, Filler, Reply};
use crate::state::now;
use crate::wire::{Head, PIECE};

/// What Go answers to what it cannot read.
pub(super) const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\n400 Bad Request";

/// Go buffers so much of an answer before it gives up knowing the length.
const BUFFERED: usize = 2048;

/// The reason phrase of a status.
pub(crate) const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        302 => "Found",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

/// Writes an answer.
pub(crate) async fn reply<W: AsyncWrite + Unpin>(
    to: &mut W,
    request: &Head,
    reply: Reply,
    fault: Option<&Fault>,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    for (name, value) in &reply.headers {
        field(&mut head, name, value);
    }
    if !reply.from_router {
        field(&mut head, "Request-Id", &request_id());
        field(&mut head, "X-Content-Type-Options", "nosniff");
        field(&mut head, "X-Frame-Options", "DENY");
    }
    field(&mut head, "Date", &http_date());
    let without_body = request.first == "HEAD";
    match (reply.body, fault) {
        (Body::Bytes(bytes), Some(Fault::CloseMidBody)) => short_body(to, head, &bytes).await,
        (Body::Bytes(bytes) | Body::Chunks(bytes), Some(Fault::CloseMidChunk)) => {
            broken_chunk(to, head, &bytes).await
        }
        (Body::Bytes(bytes), _) if bytes.len() <= BUFFERED => {
            field(&mut head, "Content-Length", &bytes.len().to_string());
            head.push_str("\r\n");
            let mut message = head.into_bytes();
            if !without_body {
                message.extend_from_slice(&bytes);
            }
            to.write_all(&message).await?;
            to.flush().await
        }
        (body, _) => {
            field(&mut head, "Transfer-Encoding", "chunked");
            head.push_str("\r\n");
            to.write_all(head.as_bytes()).await?;
            if !without_body {
                chunked(to, body).await?;
            }
            to.flush().await
        }
    }
}

fn field(head: &mut String, name: &str, value: &str) {
    head.push_str(name);
    head.push_str(": ");
    head.push_str(value);
    head.push_str("\r\n");
}

async fn chunked<W: AsyncWrite + Unpin>(to: &mut W, body: Body) -> io::Result<()> {
    match body {
        Body::Bytes(bytes) => chunk(to, &bytes).await?,
        Body::Chunks(bytes) => {
            for piece in bytes.chunks(4096) {
                chunk(to, piece).await?;
            }
        }
        Body::Filler(length, filler) => fill(to, length, filler).await?,
    }
    to.write_all(b"0\r\n\r\n").await
}

async fn chunk<W: AsyncWrite + Unpin>(to: &mut W, piece: &[u8]) -> io::Result<()> {
    if piece.is_empty() {
        return Ok(());
    }
    to.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
    to.write_all(piece).await?;
    to.write_all(b"\r\n").await
}

/// Makes the bytes while they go, one piece at a time.
async fn fill<W: AsyncWrite + Unpin>(to: &mut W, length: u64, filler: Filler) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < length {
        let size = usize::try_from(length - at).unwrap_or(PIECE).min(PIECE);
        if let Some(part) = piece.get_mut(..size) {
            filler.fill(at, part);
            chunk(to, part).await?;
        }
        at += size as u64;
    }
    Ok(())
}

/// A length that is one more than what comes.
async fn short_body<W: AsyncWrite + Unpin>(to: &mut W, mut head: String, bytes: &[u8]) -> io::Result<()> {
    field(&mut head, "Content-Length", &(bytes.len() + 1).to_string());
    head.push_str("\r\n");
    to.write_all(head.as_bytes()).await?;
    to.write_all(bytes).await?;
    to.flush().await
}

/// A chunk that announces twice what comes.
async fn broken_chunk<W: AsyncWrite + Unpin>(to: &mut W, mut head: String, bytes: &[u8]) -> io::Result<()> {
    field(&mut head, "Transfer-Encoding", "chunked");
    head.push_str("\r\n");
    to.write_all(head.as_bytes()).await?;
    to.write_all(format!("{:x}\r\n", bytes.len() * 2 + 1).as_bytes()).await?;
    to.write_all(bytes).await?;
    to.flush().await
}

/// Twelve hexadecimal digits, different each time.
fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    format!("{:012x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16)
}

/// Now, as HTTP writes it (RFC 9110, section 5.6.7).
fn http_date() -> String {
    let seconds = now().micros().div_euclid(1_000_000);
    let days = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400);
    // RFC 3339 has the calendar already: 2026-11-22T00:09:15Z
    let text = now().to_rfc3339();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = part(5, 7).parse::<usize>().ok().and_then(|number| months.get(number.wrapping_sub(1)));
    let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let weekday = usize::try_from(days.rem_euclid(7)).ok().and_then(|day| weekdays.get(day));
    format!(
        "{}, {} {} {} {:02}:{:02}:{:02} GMT",
        weekday.unwrap_or(&"Thu"),
        part(8, 10),
        month.unwrap_or(&"Jan"),
        part(0, 4),
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}
