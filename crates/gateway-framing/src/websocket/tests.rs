//! Tables of good and bad frames, each cut at every place, and properties over random ones.

mod properties;

use super::*;

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
const LIMIT: u64 = 1 << 20;

/// A frame as it was scanned, its payload unmasked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) head: FrameHead,
    pub(super) payload: Vec<u8>,
    pub(super) ended: bool,
}

/// What the scanner said about a whole stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Outcome {
    pub(super) forwarded: usize,
    pub(super) frames: Vec<Frame>,
    pub(super) error: Option<FrameErrorKind>,
    pub(super) at_boundary: bool,
    pub(super) at_message_boundary: bool,
}

/// Plays a caller that receives `segments` one after the other.
pub(super) fn feed<'a>(
    sender: Sender,
    max_payload_bytes: u64,
    segments: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut scanner = FrameScanner::new(sender, max_payload_bytes);
    let mut frames: Vec<Frame> = Vec::new();
    let mut kept = Vec::new();
    let mut forwarded = 0;
    let mut error = None;
    'segments: for segment in segments {
        kept.extend_from_slice(segment);
        loop {
            match scanner.advance(&kept, |piece| take(&mut frames, piece)) {
                Ok(0) => break,
                Ok(count) => {
                    assert!(count <= kept.len(), "forwarded {count} of {}", kept.len());
                    kept.drain(..count);
                    forwarded += count;
                }
                Err(found) => {
                    assert_eq!(scanner.advance(&kept, |piece| take(&mut frames, piece)), Err(found));
                    error = Some(found.kind);
                    break 'segments;
                }
            }
        }
        assert!(kept.len() < 14 + MAX_CONTROL_PAYLOAD_BYTES, "the caller keeps {} bytes", kept.len());
    }
    Outcome {
        forwarded,
        frames,
        error,
        at_boundary: scanner.at_boundary(),
        at_message_boundary: scanner.at_message_boundary(),
    }
}

fn take(frames: &mut Vec<Frame>, piece: Piece<'_>) {
    if let Piece::Head(head) = piece {
        assert!(frames.last().is_none_or(|last| last.ended), "a head inside a frame");
        frames.push(Frame { head, payload: Vec::new(), ended: false });
        return;
    }
    let frame = frames.last_mut().expect("a frame has begun");
    assert!(!frame.ended, "{piece:?} after the end of a frame");
    match piece {
        Piece::Head(_) => unreachable!("handled above"),
        Piece::Payload(bytes) => {
            assert!(!bytes.is_empty());
            assert!(!frame.head.opcode.is_control() || frame.payload.is_empty(), "one piece");
            let mut bytes = bytes.to_vec();
            unmask(&mut bytes, frame.head.mask.unwrap_or_default(), frame.payload.len());
            frame.payload.extend(bytes);
        }
        Piece::End => {
            assert_eq!(frame.payload.len() as u64, frame.head.payload_bytes);
            frame.ended = true;
        }
    }
}

/// The outcome for `bytes`, which must not depend on where they are cut.
fn outcome(sender: Sender, bytes: &[u8]) -> Outcome {
    let whole = feed(sender, LIMIT, [bytes]);
    assert_eq!(feed(sender, LIMIT, bytes.chunks(1)), whole, "byte by byte: {}", bytes.escape_ascii());
    for at in 0..bytes.len() {
        let (before, after) = bytes.split_at(at);
        assert_eq!(feed(sender, LIMIT, [before, after]), whole, "cut at {at}: {}", bytes.escape_ascii());
    }
    whole
}

/// All of `bytes` is forwarded; the frames are of these opcodes and payloads.
fn accept(sender: Sender, bytes: &[u8], expected: &[(Opcode, &[u8])]) {
    let outcome = outcome(sender, bytes);
    assert_eq!((outcome.forwarded, outcome.error), (bytes.len(), None), "{}", bytes.escape_ascii());
    assert!(outcome.at_boundary);
    let frames: Vec<_> =
        outcome.frames.iter().map(|frame| (frame.head.opcode, frame.payload.as_slice())).collect();
    assert_eq!(frames, expected);
}

/// `forwarded` bytes of what the server sends are forwarded before the error.
fn refuse_after(forwarded: usize, bytes: &[u8], kind: FrameErrorKind) {
    refuse_from(Sender::Server, forwarded, bytes, kind);
}

fn refuse(bytes: &[u8], kind: FrameErrorKind) {
    refuse_after(0, bytes, kind);
}

fn refuse_from(sender: Sender, forwarded: usize, bytes: &[u8], kind: FrameErrorKind) {
    let outcome = outcome(sender, bytes);
    assert_eq!((outcome.forwarded, outcome.error), (forwarded, Some(kind)), "{}", bytes.escape_ascii());
    assert!(!outcome.at_boundary);
}

#[test]
fn frames_pass() {
    accept(Sender::Server, b"\x81\x02hi", &[(Opcode::Text, b"hi")]);
    accept(Sender::Server, b"\x82\x00", &[(Opcode::Binary, b"")]);
    accept(Sender::Server, b"\x89\x00\x8a\x01x", &[(Opcode::Ping, b""), (Opcode::Pong, b"x")]);
    accept(Sender::Client, b"\x81\x82\x11\x22\x33\x44\x79\x4b", &[(Opcode::Text, b"hi")]);
    accept(Sender::Client, b"\x82\x80\0\0\0\0", &[(Opcode::Binary, b"")]);
    // Text frames hold any bytes at all.
    accept(Sender::Server, b"\x81\x04\xff\xfe\0\xc3", &[(Opcode::Text, b"\xff\xfe\0\xc3")]);
}

#[test]
fn lengths_pass_in_their_shortest_form() {
    for length in [0, 1, 125, 126, 127, 300] {
        let payload = vec![b'x'; length];
        accept(Sender::Server, &encode_server_frame(Opcode::Text, &payload), &[(Opcode::Text, &payload)]);
        accept(
            Sender::Client,
            &encode_client_frame(Opcode::Binary, &payload, MASK),
            &[(Opcode::Binary, &payload)],
        );
    }
    for length in [0xFFFF, 0x1_0000, 0x1_0001] {
        let frame = encode_server_frame(Opcode::Text, &vec![0; length]);
        let outcome = feed(Sender::Server, LIMIT, [&frame[..]]);
        assert_eq!((outcome.forwarded, outcome.error), (frame.len(), None));
    }
}

#[test]
fn heads_are_reported_as_they_are() {
    let outcome = outcome(Sender::Client, b"\x01\x83\x01\x02\x03\x04abc");
    assert_eq!(
        outcome.frames[0].head,
        FrameHead { opcode: Opcode::Text, fin: false, payload_bytes: 3, mask: Some([1, 2, 3, 4]) }
    );
    assert!(outcome.at_boundary);
    assert!(!outcome.at_message_boundary, "the message goes on");
}

#[test]
fn fragments_and_control_frames_between_them_pass() {
    accept(
        Sender::Server,
        b"\x01\x01a\x89\x01p\x00\x00\x8a\x00\x80\x01b\x82\x01c",
        &[
            (Opcode::Text, b"a"),
            (Opcode::Ping, b"p"),
            (Opcode::Continuation, b""),
            (Opcode::Pong, b""),
            (Opcode::Continuation, b"b"),
            (Opcode::Binary, b"c"),
        ],
    );
    refuse(b"\x80\x01a", FrameErrorKind::UnexpectedContinuation);
    refuse(b"\x00\x01a", FrameErrorKind::UnexpectedContinuation);
    refuse_after(3, b"\x81\x01a\x80\x01b", FrameErrorKind::UnexpectedContinuation);
    refuse_after(3, b"\x01\x01a\x81\x01b", FrameErrorKind::MissingContinuation);
    refuse_after(5, b"\x02\x01a\x89\x00\x02\x00", FrameErrorKind::MissingContinuation);
}

#[test]
fn partial_frames_wait() {
    let waits = |bytes: &[u8], forwarded, at_boundary| {
        let outcome = outcome(Sender::Server, bytes);
        assert_eq!((outcome.forwarded, outcome.error, outcome.at_boundary), (forwarded, None, at_boundary));
    };
    waits(b"", 0, true);
    waits(b"\x81", 0, true);
    waits(b"\x81\x7e\x01", 0, true);
    waits(b"\x81\x7f\0\0\0\0\0\x01\0", 0, true);
    waits(b"\x81\x02", 2, false);
    waits(b"\x81\x02h", 3, false);
    // Control frames are forwarded whole.
    waits(b"\x89\x02h", 0, true);
    waits(b"\x88\x02\x03", 0, true);
    waits(b"\x81\x01x\x89\x02h", 3, true);
}

#[test]
fn reserved_bits_and_opcodes_are_refused() {
    for bit in [0x40, 0x20, 0x10, 0x70] {
        refuse(&[0x81 | bit, 0], FrameErrorKind::ReservedBits);
        refuse(&[0x89 | bit, 0], FrameErrorKind::ReservedBits);
    }
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        refuse(&[0x80 | opcode, 0], FrameErrorKind::ReservedOpcode);
        refuse(&[opcode, 0], FrameErrorKind::ReservedOpcode);
    }
    // At the first byte, without waiting for the rest.
    refuse_from(Sender::Client, 0, b"GET / HTTP/1.1\r\n", FrameErrorKind::ReservedBits);
}

#[test]
fn masking_goes_one_way() {
    refuse(b"\x81\x80\0\0\0\0", FrameErrorKind::Masked);
    refuse(b"\x88\x80\0\0\0\0", FrameErrorKind::Masked);
    refuse_from(Sender::Client, 0, b"\x81\x00", FrameErrorKind::NotMasked);
    refuse_from(Sender::Client, 0, b"\x89\x00", FrameErrorKind::NotMasked);
}

#[test]
fn control_frames_are_short_and_whole() {
    let longest = [b"\x89\x7d".as_slice(), &[7; 125]].concat();
    accept(Sender::Server, &longest, &[(Opcode::Ping, &[7; 125])]);
    refuse(&[b"\x89\x7e\0\x7e".as_slice(), &[7; 126]].concat(), FrameErrorKind::LongControl);
    refuse(b"\x8a\x7f\0\0\0\0\0\x01\0\0", FrameErrorKind::LongControl);
    refuse(b"\x8a\x7f\xff\xff\xff\xff\xff\xff\xff\xff", FrameErrorKind::LongControl);
    for opcode in [0x08, 0x09, 0x0A] {
        refuse(&[opcode, 0], FrameErrorKind::FragmentedControl);
    }
}

#[test]
fn lengths_are_minimal_and_limited() {
    refuse(b"\x81\x7e\0\x7d", FrameErrorKind::LengthNotMinimal);
    refuse(b"\x81\x7e\0\0", FrameErrorKind::LengthNotMinimal);
    refuse(b"\x81\x7f\0\0\0\0\0\0\xff\xff", FrameErrorKind::LengthNotMinimal);
    refuse(b"\x89\x7e\0\x01", FrameErrorKind::LengthNotMinimal);
    refuse(b"\x81\x7f\x80\0\0\0\0\0\0\0", FrameErrorKind::PayloadTooLarge);
    refuse(b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", FrameErrorKind::PayloadTooLarge);
    refuse(b"\x82\x7f\0\0\0\0\0\x10\0\x01", FrameErrorKind::PayloadTooLarge);

    let check = |limit, bytes: &[u8], expected| {
        assert_eq!(feed(Sender::Server, limit, [bytes]).error, expected, "{limit}");
    };
    check(3, b"\x81\x03abc", None);
    check(2, b"\x81\x03abc", Some(FrameErrorKind::PayloadTooLarge));
    check(0, b"\x81\x00\x89\x01x", None);
    check(u64::MAX, b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", None);
    check(u64::MAX, b"\x81\x7f\x80\0\0\0\0\0\0\0", Some(FrameErrorKind::PayloadTooLarge));
}

#[test]
fn close_frames_carry_a_code_that_may_be_sent() {
    let close = |code: u16| encode_server_frame(Opcode::Close, &close_payload(code, "why"));
    accept(Sender::Server, b"\x88\x00", &[(Opcode::Close, b"")]);
    accept(Sender::Server, b"\x88\x03\x03\xe8\xff", &[(Opcode::Close, b"\x03\xe8\xff")]);
    refuse(b"\x88\x01\x03", FrameErrorKind::ClosePayload);
    for code in
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
    {
        accept(Sender::Server, &close(code), &[(Opcode::Close, &close_payload(code, "why"))]);
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 6000, 65535] {
        refuse(&close(code), FrameErrorKind::CloseCode);
        let masked = encode_client_frame(Opcode::Close, &close_payload(code, ""), MASK);
        refuse_from(Sender::Client, 0, &masked, FrameErrorKind::CloseCode);
    }
    let masked = encode_client_frame(Opcode::Close, &close_payload(1000, ""), MASK);
    accept(Sender::Client, &masked, &[(Opcode::Close, b"\x03\xe8")]);
}

#[test]
fn what_is_good_goes_on_before_what_is_bad_is_reported() {
    refuse_after(4, b"\x81\x02hi\x83\x00", FrameErrorKind::ReservedOpcode);
    let mut scanner = FrameScanner::new(Sender::Server, LIMIT);
    assert_eq!(scanner.advance(b"\x81\x02hi\x83\x00", |_| {}), Ok(4));
    assert_eq!(scanner.advance(b"", |_| {}), Err(FrameError { kind: FrameErrorKind::ReservedOpcode }));
}

#[test]
fn errors_name_their_close_code() {
    let error = |kind| FrameError { kind };
    assert_eq!(error(FrameErrorKind::PayloadTooLarge).close_code(), 1009);
    assert_eq!(error(FrameErrorKind::ReservedBits).close_code(), 1002);
    assert_eq!(error(FrameErrorKind::CloseCode).close_code(), 1002);
    assert_eq!(error(FrameErrorKind::Masked).to_string(), "a WebSocket frame of the server is masked");
}

#[test]
fn encoding_is_as_the_standard_shows_it() {
    // RFC 6455, section 5.7.
    assert_eq!(encode_server_frame(Opcode::Text, b"Hello"), b"\x81\x05Hello");
    assert_eq!(
        encode_client_frame(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]),
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    );
    assert_eq!(encode_server_frame(Opcode::Binary, &[0; 256])[..4], *b"\x82\x7e\x01\x00");
    assert_eq!(encode_server_frame(Opcode::Binary, &vec![0; 65536])[..10], *b"\x82\x7f\0\0\0\0\0\x01\0\0");
}

#[test]
fn control_payloads_are_cut_to_what_is_allowed() {
    assert_eq!(encode_server_frame(Opcode::Ping, &[7; 200]), [b"\x89\x7d".as_slice(), &[7; 125]].concat());
    let payload = close_payload(1011, &"é".repeat(100));
    assert_eq!(payload.len(), 2 + 122, "cut between characters");
    assert_eq!(payload[2..], *"é".repeat(61).as_bytes());
    assert_eq!(close_payload(1000, ""), b"\x03\xe8");
}
