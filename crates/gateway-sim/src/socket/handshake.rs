//! The WebSocket handshake with the checks of the library a rack uses (API.md 0.5; `w01` in the recordings).

use aws_lc_rs::digest;
use data_encoding::BASE64;

use crate::reply::Reply;
use crate::wire::Head;

/// Answers the handshake: the bytes of the 101, or why not.
pub(crate) fn answer(head: &Head) -> Result<Vec<u8>, Reply> {
    if !head.has_token("connection", "upgrade") {
        return Err(refused(400, "websocket: 'upgrade' token not found in 'Connection' header"));
    }
    if !head.has_token("sec-websocket-version", "13") {
        let text = "websocket: unsupported version: 13 not found in 'Sec-Websocket-Version' header";
        return Err(refused(400, text));
    }
    if head.header("origin").is_some_and(|origin| !same_host(origin, head.header("host"))) {
        return Err(refused(403, "websocket: request origin not allowed by Upgrader.CheckOrigin"));
    }
    let key = head.header("sec-websocket-key").unwrap_or_default();
    if key.is_empty() {
        return Err(refused(400, "websocket: 'Sec-WebSocket-Key' header is missing or blank"));
    }
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept(key)
    )
    .into_bytes())
}

/// `Sec-WebSocket-Accept` for a key (RFC 6455, section 4.2.2).
pub(crate) fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
}

fn refused(status: u16, text: &str) -> Reply {
    let reason = super::super::server::reason(status);
    Reply::text(status, format!("{reason}\nERROR: {text}\n")).with("Sec-Websocket-Version", "13")
}

/// Whether an origin is that of the host the request went to.
fn same_host(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_rfc_and_of_a_recording() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accept("4NmX9q3wemP5OTJ2PmolxQ=="), "Ar6o02p0+UWArwBE6zvdOb39g6c=");
    }

    #[test]
    fn a_foreign_origin_is_refused() {
        let cases = [
            ("http://rack:1", Some("rack:1"), true),
            ("https://RACK:1", Some("rack:1"), true),
            ("http://gateway:1", Some("rack:1"), false),
            ("null", Some("rack:1"), false),
            ("http://rack:1", None, false),
        ];
        for (origin, host, same) in cases {
            assert_eq!(same_host(origin, host), same, "{origin}");
        }
    }
}
