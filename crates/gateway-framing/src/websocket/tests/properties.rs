//! Properties over made-up, damaged and random frames.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{LIMIT, feed};
use crate::segments::cut_at;
use crate::websocket::{
    MAX_CONTROL_PAYLOAD_BYTES, Opcode, Sender, encode_client_frame, encode_server_frame, unmask,
};

fn message() -> impl Strategy<Value = (Opcode, Vec<u8>)> {
    let control = vec(any::<u8>(), 0..=MAX_CONTROL_PAYLOAD_BYTES);
    prop_oneof![
        (select(vec![Opcode::Text, Opcode::Binary]), vec(any::<u8>(), 0..400)),
        (select(vec![Opcode::Ping, Opcode::Pong]), control),
    ]
}

fn cuts_agree(sender: Sender, bytes: &[u8], cuts: &[Index]) {
    let whole = feed(sender, LIMIT, [bytes]);
    assert!(whole.forwarded <= bytes.len());
    assert_eq!(feed(sender, LIMIT, cut_at(bytes, cuts)), whole);
    assert_eq!(feed(sender, LIMIT, bytes.chunks(1)), whole);
}

proptest! {
    #[test]
    fn what_is_encoded_is_scanned(
        messages in vec(message(), 0..6),
        mask in proptest::option::of(any::<[u8; 4]>()),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let sender = if mask.is_some() { Sender::Client } else { Sender::Server };
        let bytes: Vec<u8> = messages
            .iter()
            .flat_map(|(opcode, payload)| match mask {
                Some(mask) => encode_client_frame(*opcode, payload, mask),
                None => encode_server_frame(*opcode, payload),
            })
            .collect();
        let outcome = feed(sender, LIMIT, cut_at(&bytes, &cuts));
        prop_assert_eq!((outcome.forwarded, outcome.error), (bytes.len(), None));
        prop_assert!(outcome.at_message_boundary);
        let scanned: Vec<_> =
            outcome.frames.into_iter().map(|frame| (frame.head.opcode, frame.payload)).collect();
        prop_assert_eq!(scanned, messages);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), cuts in vec(any::<Index>(), 0..6)) {
        cuts_agree(Sender::Client, &bytes, &cuts);
        cuts_agree(Sender::Server, &bytes, &cuts);
    }

    #[test]
    fn damaged_frames_have_one_outcome(
        messages in vec(message(), 1..4),
        damages in vec((any::<Index>(), any::<u8>()), 0..3),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let mut bytes: Vec<u8> =
            messages.iter().flat_map(|(opcode, payload)| encode_server_frame(*opcode, payload)).collect();
        for (at, byte) in damages {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        cuts_agree(Sender::Server, &bytes, &cuts);
    }

    #[test]
    fn unmasking_is_its_own_inverse_at_every_offset(
        bytes in vec(any::<u8>(), 0..80),
        mask in any::<[u8; 4]>(),
        cut in any::<Index>(),
        offset in 0..9_usize,
    ) {
        let expected: Vec<u8> =
            bytes.iter().enumerate().map(|(index, byte)| byte ^ mask[(index + offset) % 4]).collect();
        let mut unmasked = bytes.clone();
        let at = cut.index(bytes.len() + 1);
        unmask(&mut unmasked[..at], mask, offset);
        unmask(&mut unmasked[at..], mask, offset + at);
        prop_assert_eq!(&unmasked, &expected);
        unmask(&mut unmasked, mask, offset);
        prop_assert_eq!(unmasked, bytes);
    }
}
