//! Requests of HTTP/2 written frame by frame, so that what no library sends can be sent, and as much of the reply as
//! says what became of one. It knows nothing of what is tested.

/// What a client sends first (RFC 9113, section 3.4), and settings without a table for heads, so that each head that
/// comes back can be read by itself.
const OPENING: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00";

/// Our word that we saw the other side's settings.
pub(super) const SETTINGS_SEEN: [u8; HEAD_BYTES] = [0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0];

/// Kinds of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// Flags.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame's own head.
const HEAD_BYTES: usize = 9;

/// What became of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stream {
    /// A reply.
    Reply {
        /// Its status; 0 when it is none of those that are told here.
        status: u16,
        /// Its body.
        body: Vec<u8>,
    },
    /// It was ended, or the connection was.
    Ended,
    /// Whoever answered does not speak HTTP/2.
    Foreign,
    /// Nothing, for as long as was waited.
    Silent,
}

/// The bytes of a connection's first request, without a body.
pub(super) fn request(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A field that is in no table (RFC 7541, section 6.2.2).
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    let length = u32::try_from(block.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = OPENING.to_vec();
    bytes.extend(length.iter().skip(1));
    bytes.extend([HEADERS, END_HEADERS | END_STREAM, 0, 0, 0, 1]);
    bytes.extend(block);
    bytes
}

/// A string as it stands (RFC 7541, section 5.2), its length in a prefix of seven bits.
fn text(into: &mut Vec<u8>, text: &str) {
    const PREFIX: u8 = 127;
    match u8::try_from(text.len()) {
        Ok(short) if short < PREFIX => into.push(short),
        Ok(_) | Err(_) => {
            into.push(PREFIX);
            let mut rest = text.len().saturating_sub(usize::from(PREFIX));
            loop {
                let [low, ..] = rest.to_le_bytes();
                rest >>= 7;
                if rest == 0 {
                    into.push(low & 0x7f);
                    break;
                }
                into.push(low | 0x80);
            }
        }
    }
    into.extend_from_slice(text.as_bytes());
}

/// What `bytes` say of the first stream so far; `None` while more is to come. `ended` says that nothing will.
pub(super) fn outcome(bytes: &[u8], ended: bool) -> Option<Stream> {
    if bytes.starts_with(b"HTTP") || bytes.first() == Some(&b'<') {
        return Some(Stream::Foreign);
    }
    let (mut status, mut body, mut rest) = (None, Vec::new(), bytes);
    while let Some(Frame { kind, flags, payload, behind }) = frame(rest) {
        match kind {
            HEADERS => status = status.or(Some(status_of(payload))),
            DATA => body.extend_from_slice(payload),
            RST_STREAM | GOAWAY => {
                return Some(status.map_or(Stream::Ended, |status| Stream::Reply { status, body }));
            }
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            return Some(status.map_or(Stream::Ended, |status| Stream::Reply { status, body }));
        }
        rest = behind;
    }
    ended.then(|| status.map_or(Stream::Ended, |status| Stream::Reply { status, body }))
}

/// Whether the other side's settings are among these bytes.
pub(super) fn has_settings(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(Frame { kind, flags, behind, .. }) = frame(rest) {
        if kind == SETTINGS && flags & ACK == 0 {
            return true;
        }
        rest = behind;
    }
    false
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    payload: &'a [u8],
    behind: &'a [u8],
}

fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let ([a, b, c, kind, flags, _, _, _, _], rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).ok()?;
    let (payload, behind) = rest.split_at_checked(length)?;
    Some(Frame { kind: *kind, flags: *flags, payload, behind })
}

/// The status, which is a head's first field (RFC 9113, section 8.3.2): in the table of RFC 7541, appendix A, or three
/// digits behind its name's place there. 0 when it is written otherwise.
fn status_of(block: &[u8]) -> u16 {
    // A change of the table's size may come first (section 6.3).
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap_or(block.len());
    match block.get(start..).unwrap_or_default() {
        [0x88, ..] => 200,
        [0x89, ..] => 204,
        [0x8a, ..] => 206,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        [0x08..=0x0e | 0x48..=0x4e | 0x18..=0x1e, length, rest @ ..] => {
            let text = rest.get(..usize::from(length & 0x7f)).unwrap_or_default();
            if length & 0x80 != 0 { unpacked(text) } else { plain(text) }
        }
        _ => 0,
    }
}

fn plain(digits: &[u8]) -> u16 {
    std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Three digits in Huffman's code (RFC 7541, appendix B): 0, 1 and 2 have five bits, the others six.
fn unpacked(coded: &[u8]) -> u16 {
    let mut bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |place| u16::from(byte >> place & 1)));
    let mut status = 0;
    for _digit in 0..3 {
        let five = bits.by_ref().take(5).fold(0, |all, bit| all << 1 | bit);
        let digit = match five {
            0..=2 => five,
            // 3 is 011001, 4 is 011010, and so on to 9.
            _ => match (five << 1 | bits.next().unwrap_or(0)).checked_sub(0b01_1001) {
                Some(above) if above <= 6 => above + 3,
                Some(_) | None => return 0,
            },
        };
        status = status * 10 + digit;
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn statuses_are_read() {
        let check = |block: &[u8], status: u16| assert_eq!(status_of(block), status, "{block:?}");
        check(&[0x88], 200);
        check(&[0x20, 0x8c, 0x01], 400);
        check(&[0x48, 0x03, b'4', b'2', b'1'], 421);
        // RFC 7541, appendix C.6.1, and two more in the same code.
        check(&[0x48, 0x82, 0x64, 0x02], 302);
        check(&[0x08, 0x83, 0x68, 0x0d, 0xff], 405);
        check(&[0x20, 0x48, 0x83, 0x69, 0x90, 0xff], 431);
        check(&[], 0);
        check(&[0x48, 0x83], 0);
        check(&[0x48, 0x82, 0xff, 0xff], 0);
        check(&[0x82], 0);
    }

    #[test]
    fn replies_are_told_from_ends() {
        let settings = framed(SETTINGS, 0, &[]);
        let head = framed(HEADERS, END_HEADERS, &[0x88]);
        let data = framed(DATA, END_STREAM, b"ok");
        let whole = [settings.clone(), head.clone(), data].concat();
        for cut in 0..whole.len() {
            assert_eq!(outcome(&whole[..cut], false), None, "{cut}");
        }
        let reply = Stream::Reply { status: 200, body: b"ok".to_vec() };
        assert_eq!(outcome(&whole, false), Some(reply));
        assert!(has_settings(&whole) && !has_settings(&head));
        assert_eq!(outcome(&framed(RST_STREAM, 0, &[0, 0, 0, 1]), false), Some(Stream::Ended));
        assert_eq!(outcome(&framed(GOAWAY, 0, &[0; 8]), false), Some(Stream::Ended));
        assert_eq!(outcome(&settings, true), Some(Stream::Ended));
        assert_eq!(outcome(b"HTTP/1.1 400 Bad Request\r\n", false), Some(Stream::Foreign));
    }

    #[test]
    fn long_strings_have_their_length() {
        let mut bytes = Vec::new();
        text(&mut bytes, &"a".repeat(1337));
        // RFC 7541, appendix C.1.2, counts from another prefix: 1337 - 127 = 1210 = 58 + 9 * 128 + 128 * 0.
        assert_eq!(bytes.get(..3), Some([127, 0x80 | (1210_u16 % 128) as u8, 9].as_slice()));
        assert_eq!(bytes.len(), 1337 + 3);
    }
}
