//! Racks that break off or misbehave at any byte: whatever came before, the client is told in frames
//! that it understands.

use gateway_framing::websocket::{Opcode, encode_server_frame};
use gateway_testkit::socket::Frame;
use gateway_testkit::{Socket, StubConnection, StubRack, TestGateway};
use gateway_types::Role;

use super::{MARKER, check_told, exec};

/// What the rack does after its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Closes,
    Waits,
}

/// Frames that a client receives when a rack sends exactly these segments.
async fn received(segments: Vec<Vec<u8>>, then: Then) -> Vec<Frame> {
    let rack = StubRack::start(move |mut connection: StubConnection| {
        let segments = segments.clone();
        async move {
            connection.switch().await;
            for segment in segments {
                connection.send(segment).await;
            }
            if then == Then::Waits {
                connection.until_closed().await;
            }
        }
    })
    .await;
    let gateway = TestGateway::builder().env("RACK_HOST", &rack.url()).start().await;
    let mut socket: Socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    let frames = socket.until_end().await;
    drop(socket);
    gateway.finish().await;
    frames
}

fn text(payload: &[u8]) -> Vec<u8> {
    encode_server_frame(Opcode::Text, payload)
}

#[tokio::test]
async fn a_frame_that_is_cut_is_filled_up_before_the_reason() {
    let cut = [text(b"before"), text(&[b'x'; 1000])[..20].to_vec()].concat();
    let frames = received(vec![cut], Then::Closes).await;
    check_told(&frames, "the connection to the rack was lost");
    assert_eq!(frames.len(), 5, "{frames:?}");
    assert_eq!(frames[0].payload, b"before");
    assert_eq!((frames[1].payload.len(), &frames[1].payload[..16]), (1000, &[b'x'; 16][..]));
    assert!(frames[1].payload[16..].iter().all(|byte| *byte == b' '));
}

#[tokio::test]
async fn a_frame_head_that_is_cut_does_not_pass() {
    for cut in 1..4 {
        let cut = [text(b"before"), text(&[b'x'; 1000])[..cut].to_vec()].concat();
        let frames = received(vec![cut], Then::Closes).await;
        check_told(&frames, "the connection to the rack was lost");
        assert_eq!(frames.len(), 4, "{frames:?}");
    }
}

#[tokio::test]
async fn a_first_frame_that_is_cut_while_it_is_looked_at_does_not_spoil_the_reason() {
    let cut = text(b"\0 may become a session blob")[..6].to_vec();
    let frames = received(vec![cut], Then::Closes).await;
    check_told(&frames, "the connection to the rack was lost");
}

#[tokio::test]
async fn a_message_that_is_cut_between_its_fragments_is_ended_before_the_reason() {
    let mut fragment = text(b"a part");
    fragment[0] = 0x01;
    let frames = received(vec![fragment.clone()], Then::Closes).await;
    check_told(&frames, "the connection to the rack was lost");
    assert_eq!(frames[0].payload, b"a part");
    // Also when the fragment itself is cut.
    let frames = received(vec![fragment[..5].to_vec()], Then::Closes).await;
    check_told(&frames, "the connection to the rack was lost");
}

#[tokio::test]
async fn a_malformed_frame_of_the_rack_does_not_pass() {
    // A reserved bit; a reserved opcode; a masked frame; a fragmented ping; a length not in its shortest form.
    let malformed: [&[u8]; 5] = [
        &[0xc1, 0x01, b'x'],
        &[0x83, 0x01, b'x'],
        &[0x81, 0x81, 0, 0, 0, 0, b'x'],
        &[0x09, 0x00],
        &[0x81, 0x7e, 0x00, 0x01, b'x'],
    ];
    for malformed in malformed {
        let bytes = [&text(b"before"), malformed].concat();
        let frames = received(vec![bytes], Then::Waits).await;
        check_told(&frames, "malformed frame");
        assert_eq!(frames.len(), 4, "{malformed:?}: {frames:?}");
    }
}

#[tokio::test]
async fn a_close_without_an_exit_code_becomes_a_reason() {
    let close = encode_server_frame(Opcode::Close, &1000_u16.to_be_bytes());
    let frames = received(vec![[text(b"before"), close.clone()].concat()], Then::Waits).await;
    check_told(&frames, "the rack");
    assert_eq!(frames[0].payload, b"before");
    assert_eq!(frames.len(), 4, "{frames:?}");
    // After the exit code a close is no surprise.
    let marker = text(&[MARKER, b"0\n"].concat());
    let end = encode_server_frame(Opcode::Binary, b"");
    let frames = received(vec![[marker, close, end].concat()], Then::Waits).await;
    assert_eq!(frames[0].payload, [MARKER, b"0\n"].concat());
    assert_eq!(frames[1].opcode, Opcode::Close);
}

#[tokio::test]
async fn no_byte_of_a_session_blob_passes_however_it_is_cut() {
    let blob = b"\0{\"sessionId\":\"x\",\"tokenValue\":\"secret\"}";
    let whole = text(blob);
    let ping = encode_server_frame(Opcode::Ping, b"");
    let mut fragment = text(&blob[..1]);
    fragment[0] = 0x01;
    let mut rest = text(&blob[1..]);
    rest[0] = 0x80;
    let mut empty = text(b"");
    empty[0] = 0x01;
    let mut all = text(blob);
    all[0] = 0x80;
    let blank = text(b"\0        \n        {\"sessionId\":\"x\"}");
    let blanks = text(&[b"\0", &[b' '; 5000][..], b"{\"sessionId\":\"x\"}"].concat());
    for segments in [
        vec![whole.clone()],
        whole.iter().map(|byte| vec![*byte]).collect(),
        vec![[ping, whole.clone()].concat()],
        vec![[fragment, rest].concat()],
        vec![[empty, all].concat()],
        vec![[text(b""), whole.clone()].concat()],
        vec![blank],
        vec![blanks],
        vec![encode_server_frame(Opcode::Binary, blob)],
    ] {
        let frames = received(segments.clone(), Then::Waits).await;
        check_told(&frames, "bypass the gateway");
        let output: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
        assert!(!output.windows(9).any(|part| part == b"sessionId"), "{segments:?}: {frames:?}");
    }
}

#[tokio::test]
async fn output_that_begins_with_nul_passes_when_it_is_no_session() {
    let end = [text(&[MARKER, b"0\n"].concat()), encode_server_frame(Opcode::Binary, b"")].concat();
    for first in [&b"\0"[..], b"\0x", b"\0\0\0\0", b"\0  ", b"\0[1]", b"{\"sessionId\":1}"] {
        let bytes = [text(first), end.clone()].concat();
        for segments in [vec![bytes.clone()], bytes.iter().map(|byte| vec![*byte]).collect()] {
            let frames = received(segments, Then::Waits).await;
            assert_eq!(frames.len(), 3, "{first:?}: {frames:?}");
            assert_eq!(frames[0].payload, first);
        }
    }
}
