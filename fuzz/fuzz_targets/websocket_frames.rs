//! The frame scanner: no panic, pieces in order and as long as their heads say, and one outcome however
//! the bytes are cut. The first byte of the input is the length of the segments, its top bit the sender.
#![no_main]

use gateway_framing::websocket::{FrameErrorKind, FrameScanner, Piece, Sender};
use libfuzzer_sys::fuzz_target;

const MAX_PAYLOAD_BYTES: u64 = 1 << 16;

fn feed<'a>(
    sender: Sender,
    segments: impl Iterator<Item = &'a [u8]>,
) -> (usize, Option<FrameErrorKind>, bool, Vec<u8>) {
    let mut scanner = FrameScanner::new(sender, MAX_PAYLOAD_BYTES);
    let mut kept = Vec::new();
    let mut forwarded = 0;
    let mut error = None;
    let mut payloads = Vec::new();
    let mut left = None;
    let mut on_piece = |piece: Piece<'_>| match piece {
        Piece::Head(head) => {
            assert!(left.replace(head.payload_bytes).is_none());
            assert!(head.payload_bytes <= MAX_PAYLOAD_BYTES);
            assert_eq!(head.mask.is_some(), sender == Sender::Client);
        }
        Piece::Payload(bytes) => {
            let expected = left.expect("inside a frame");
            left = Some(expected.checked_sub(bytes.len() as u64).expect("not more than the head says"));
            payloads.extend_from_slice(bytes);
        }
        Piece::End => assert_eq!(left.take(), Some(0)),
    };
    'segments: for segment in segments {
        kept.extend_from_slice(segment);
        loop {
            match scanner.advance(&kept, &mut on_piece) {
                Ok(0) => break,
                Ok(count) => {
                    assert!(count <= kept.len());
                    kept.drain(..count);
                    forwarded += count;
                }
                Err(found) => {
                    error = Some(found.kind);
                    break 'segments;
                }
            }
        }
    }
    (forwarded, error, scanner.at_boundary(), payloads)
}

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let sender = if first & 0x80 == 0 { Sender::Client } else { Sender::Server };
    let whole = feed(sender, std::iter::once(bytes));
    let cut = feed(sender, bytes.chunks(usize::from(first & 0x7F).max(1)));
    assert_eq!(whole, cut);
});
