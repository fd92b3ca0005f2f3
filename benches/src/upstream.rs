//! What every party stands in front of: a rack that answers at once.
//!
//! It knows just the requests of the cases. One thread, so that it takes as little as it can of the two cores that
//! everybody shares.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tungstenite::handshake::derive_accept_key;

/// How much a download holds, in bytes.
pub(crate) const DOWNLOAD_BYTES: usize = 100 * 1024 * 1024;

/// One piece of a download, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// How many releases the long list has: about 200 kB of JSON.
const RELEASES: usize = 245;

type Body = BoxBody<Bytes, Infallible>;

/// The replies, made once.
struct Replies {
    services: Bytes,
    releases: Bytes,
    piece: Bytes,
}

/// Serves until the process ends.
pub(crate) async fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    let replies: &'static Replies = Box::leak(Box::new(Replies {
        services: Bytes::from_static(br#"[{"name":"web","count":2,"cpu":256,"memory":512,"ports":[]}]"#),
        releases: Bytes::from(releases()),
        piece: Bytes::from(vec![b'x'; PIECE_BYTES]),
    }));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service =
                service_fn(move |request| async move { Ok::<_, Infallible>(answer(replies, request).await) });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // A client that breaks off is how every case ends.
            let _ended = connection.await;
        });
    }
}

async fn answer(replies: &'static Replies, mut request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if request.headers().contains_key(UPGRADE) {
        return echo(&mut request);
    }
    if request.method() == Method::POST {
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                break;
            }
        }
        return whole(Bytes::from_static(b"{}"));
    }
    if path.ends_with("/releases") {
        whole(replies.releases.clone())
    } else if path.ends_with(".tgz") || path.contains("/download") {
        download(replies)
    } else {
        whole(replies.services.clone())
    }
}

fn whole(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn download(replies: &'static Replies) -> Response<Body> {
    let pieces = futures_util::stream::repeat(replies.piece.clone())
        .take(DOWNLOAD_BYTES / PIECE_BYTES)
        .map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    Response::new(BodyExt::boxed(StreamBody::new(pieces)))
}

/// A WebSocket that sends every byte back as it came. The frames of a client are masked and those of a server must
/// not be; the driver, the only client, does not mind.
fn echo(request: &mut Request<Incoming>) -> Response<Body> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        let mut response = Response::new(Full::new(Bytes::new()).boxed());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let accept =
        HeaderValue::try_from(derive_accept_key(key.as_bytes())).unwrap_or(HeaderValue::from_static(""));
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut stream = TokioIo::new(upgraded);
        // Small, so that nine thousand idle sockets are not nine thousand large buffers.
        let mut frame = Vec::new();
        let mut piece = [0u8; 2048];
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            frame.extend_from_slice(piece.get(..count).unwrap_or_default());
            while let Some((reply, taken)) = unmasked(&frame) {
                frame.drain(..taken);
                if stream.write_all(&reply).await.is_err() {
                    return;
                }
            }
        }
    });
    let mut response = Response::new(Full::new(Bytes::new()).boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The first whole frame of `bytes` as a server sends it, and how many bytes it took.
fn unmasked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let [first, second, rest @ ..] = bytes else { return None };
    let is_masked = second & 0x80 != 0;
    let (length, rest, long) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest, Some(*length))
        }
        short => (usize::from(short), rest, None),
    };
    let (mask, rest) = if is_masked {
        let (mask, rest) = rest.split_first_chunk::<4>()?;
        (*mask, rest)
    } else {
        ([0; 4], rest)
    };
    let payload = rest.get(..length)?;
    let mut reply = vec![*first, second & 0x7f];
    reply.extend(long.into_iter().flatten());
    reply.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    Some((reply, bytes.len() - rest.len() + length))
}

/// Releases whose environments hold secrets.
fn releases() -> String {
    let mut list = Vec::with_capacity(RELEASES);
    for number in 0..RELEASES {
        let env: String = (0..12)
            .map(|key| format!("SECRET_KEY_{key}=value-{number:04}-{key:02}-aVerySecretValueOfTheApp\n"))
            .collect();
        list.push(serde_json::json!({
            "id": format!("R{number:08}"),
            "app": "web",
            "build": format!("B{number:08}"),
            "created": "2026-11-22T00:00:00Z",
            "description": "a release",
            "env": env,
            "manifest": "services:\n  web:\n    build: .\n    port: 3000\n",
        }));
    }
    serde_json::Value::Array(list).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_without_their_mask() {
        let masked = [0x82, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3, 0xff];
        assert_eq!(unmasked(&masked), Some((vec![0x82, 3, b'a', b'b', b'c'], 9)));
        assert_eq!(unmasked(&masked[..8]), None);
    }

    #[test]
    fn the_long_list_is_long() {
        assert!((180_000..240_000).contains(&releases().len()), "{}", releases().len());
    }
}
