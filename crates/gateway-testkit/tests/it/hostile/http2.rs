//! The same case once more over HTTP/2: a stream with the fields that the bytes of HTTP/1.1 stand for, written frame
//! by frame, so that what no HTTP/2 library would send is sent all the same.

use std::net::{Ipv4Addr, SocketAddr};

use crate::http2_frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameClient, GOAWAY, HEADERS, RST_STREAM, field_block, frame,
};

/// SETTINGS_HEADER_TABLE_SIZE = 0: then every head that comes back can be read by itself.
const NO_TABLE: [u8; 6] = [0, 1, 0, 0, 0, 0];

/// The largest frame that a peer has to take (RFC 9113, section 4.2).
const LARGEST_FRAME: usize = 16_384;

/// What a client of HTTP/2 is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// A whole reply.
    Reply { status: u16, body: Vec<u8> },
    /// The stream, or the connection with it, was ended: what HTTP/2 says to a head that is none.
    Ended,
}

/// Sends these bytes of HTTP/1.1 as a stream, over a connection from this address.
pub(crate) async fn ask(source: Ipv4Addr, gateway: SocketAddr, bytes: &[u8]) -> Told {
    ask_frames(source, gateway, &stream_of(bytes)).await
}

/// Sends these frames, of the stream 1, over a connection from this address.
pub(crate) async fn ask_frames(source: Ipv4Addr, gateway: SocketAddr, frames: &[u8]) -> Told {
    let mut client = FrameClient::connect(source, gateway, &NO_TABLE).await;
    client.send(frames).await;
    let (mut status, mut body) = (None, Vec::new());
    while let Some(came) = client.until(&[HEADERS, DATA, RST_STREAM, GOAWAY]).await {
        match came.kind {
            HEADERS => status = Some(status_of(&came.payload)),
            DATA => body.extend_from_slice(&came.payload),
            _ => break,
        }
        if came.flags & END_STREAM != 0 {
            return Told::Reply { status: status.expect("a head before its body"), body };
        }
    }
    Told::Ended
}

/// The frames of a request. Its method, target and fields are taken as they stand, whatever bytes they hold.
pub(crate) fn stream_of(bytes: &[u8]) -> Vec<u8> {
    const VERSION: &[u8] = b" HTTP/1.1\r\n";
    let end = bytes.windows(VERSION.len()).position(|some| some == VERSION).expect("a request line");
    let (line, rest) = (&bytes[..end], &bytes[end + VERSION.len()..]);
    let gap = line.iter().position(|byte| *byte == b' ').expect("a method");
    let (method, target) = (&line[..gap], &line[gap + 1..]);
    let (lines, body) = match rest.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(end) => (&rest[..end], &rest[end + 4..]),
        None => (&rest[..rest.len() - 2], &rest[rest.len()..]),
    };
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = vec![
        (b":method".to_vec(), method.to_vec()),
        (b":scheme".to_vec(), b"http".to_vec()),
        (b":path".to_vec(), target.to_vec()),
    ];
    let mut more = Vec::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
        let (name, value) = (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii().to_vec());
        match name.as_slice() {
            b"host" => fields.push((b":authority".to_vec(), value)),
            _ => more.push((name, value)),
        }
    }
    fields.append(&mut more);
    let block = field_block(&fields);
    let last = if body.is_empty() { END_STREAM } else { 0 };
    let pieces: Vec<&[u8]> = block.chunks(LARGEST_FRAME).collect();
    let mut frames = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let kind = if index == 0 { HEADERS } else { CONTINUATION };
        let end = if index + 1 == pieces.len() { END_HEADERS } else { 0 };
        let stream_end = if index == 0 { last } else { 0 };
        frames.extend(frame(kind, end | stream_end, 1, piece));
    }
    if !body.is_empty() {
        let pieces: Vec<&[u8]> = body.chunks(LARGEST_FRAME).collect();
        for (index, piece) in pieces.iter().enumerate() {
            let end = if index + 1 == pieces.len() { END_STREAM } else { 0 };
            frames.extend(frame(DATA, end, 1, piece));
        }
    }
    frames
}

/// The status of a head, whose first field it is (RFC 9113, section 8.3.2), out of HPACK (RFC 7541, section 6).
fn status_of(block: &[u8]) -> u16 {
    const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // Changes of the table's size come first.
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20).expect("a field");
    let (first, rest) = (block[start], &block[start + 1..]);
    if first & 0x80 != 0 {
        return KNOWN[usize::from(first & 0x7f) - 8];
    }
    let name = if first & 0x40 != 0 { first & 0x3f } else { first & 0x0f };
    assert!((8..15).contains(&name), "the first field is no status: {block:?}");
    let (length, text) = (usize::from(rest[0] & 0x7f), &rest[1..]);
    let digits = match rest[0] & 0x80 != 0 {
        true => digits(&text[..length]),
        false => String::from_utf8(text[..length].to_vec()).unwrap(),
    };
    digits.parse().unwrap_or_else(|_| panic!("no status: {digits}"))
}

/// Three digits in Huffman's code: 0 to 2 are their own five bits, the others have six (RFC 7541, appendix B).
fn digits(coded: &[u8]) -> String {
    let mut bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut take = |count: usize| bits.by_ref().take(count).fold(0_u8, |all, bit| all << 1 | bit);
    (0..3)
        .map(|_| match take(5) {
            digit @ 0..=2 => char::from(b'0' + digit),
            // 3 is 011001, 4 is 011010, and so on.
            more => char::from(b'3' + ((more << 1 | take(1)) - 0b01_1001)),
        })
        .collect()
}

#[test]
fn statuses_are_read() {
    assert_eq!(status_of(&[0x88]), 200);
    assert_eq!(status_of(&[0x20, 0x8c, 0x40]), 400);
    assert_eq!(status_of(&[0x48, 0x03, b'4', b'1', b'4']), 414);
    // 302 of RFC 7541, appendix C.6.1; 405 and 431 in the same code.
    assert_eq!(status_of(&[0x48, 0x82, 0x64, 0x02]), 302);
    assert_eq!(status_of(&[0x20, 0x08, 0x83, 0x68, 0x0d, 0xff]), 405);
    assert_eq!(status_of(&[0x48, 0x83, 0x69, 0x90, 0xff]), 431);
}
