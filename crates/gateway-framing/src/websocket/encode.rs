//! Frames of the gateway's own: pings, notices, exit markers, closes. Always one frame a message.
//!
//! Does not know when a frame may be put in; see [`FrameScanner::at_boundary`](super::FrameScanner::at_boundary).

use super::{MAX_CONTROL_PAYLOAD_BYTES, Opcode};

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// The longest reason: the code takes two bytes of a control frame's payload.
const MAX_REASON_BYTES: usize = MAX_CONTROL_PAYLOAD_BYTES - 2;

/// A final, unmasked frame.
///
/// The payload of a control frame is cut to 125 bytes, the most that the protocol allows.
pub fn encode_server_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    encode(opcode, payload, None)
}

/// A final frame, masked with `mask`, which should be random (RFC 6455, section 10.3).
///
/// The payload of a control frame is cut to 125 bytes, the most that the protocol allows.
pub fn encode_client_frame(opcode: Opcode, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    encode(opcode, payload, Some(mask))
}

/// The payload of a close frame: the code, and the reason cut at a character to at most 123 bytes.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let reason = reason.get(..reason.floor_char_boundary(MAX_REASON_BYTES)).unwrap_or_default();
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    payload
}

/// Removes the mask from `bytes`, which begin `offset` bytes into their frame's payload. Doing it
/// again puts the mask back.
///
/// Source: RFC 6455, section 5.3.
pub fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut key = mask;
    key.rotate_left(offset % mask.len());
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

fn encode(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let payload = match opcode.is_control() {
        true => payload.get(..MAX_CONTROL_PAYLOAD_BYTES).unwrap_or(payload),
        false => payload,
    };
    // 14 bytes are the longest head.
    let mut frame = Vec::with_capacity(14 + payload.len());
    frame.push(FIN | opcode.number());
    push_length(&mut frame, payload.len(), if mask.is_some() { MASKED } else { 0 });
    frame.extend(mask.into_iter().flatten());
    let head_bytes = frame.len();
    frame.extend_from_slice(payload);
    if let (Some(mask), Some(payload)) = (mask, frame.get_mut(head_bytes..)) {
        unmask(payload, mask, 0);
    }
    frame
}

/// The length in its shortest form (RFC 6455, section 5.2).
fn push_length(frame: &mut Vec<u8>, length: usize, masked: u8) {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => frame.push(masked | length),
        (_, Ok(length)) => {
            frame.push(masked | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(masked | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}
