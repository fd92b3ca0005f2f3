//! Both ends of a tunnel, back to back.

use std::sync::Arc;
use std::time::Duration;

use gateway_framing::websocket::{Opcode, Sender, encode_client_frame, encode_server_frame};
use gateway_types::OsEntropy;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use crate::carry::{Pulse, carry_with};
use crate::{ByteReceiver, Control, Counters, End, Ending, Side, TunnelFault, carry};

fn received(input: &[u8], step: usize) -> (Vec<u8>, Vec<Control>, Option<TunnelFault>) {
    let mut receiver = ByteReceiver::new(Sender::Client);
    let (mut out, mut controls, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for piece in input.chunks(step) {
        held.extend_from_slice(piece);
        match receiver.advance(&held, &mut out, |control| controls.push(control)) {
            Ok(count) => drop(held.drain(..count)),
            Err(fault) => return (out, controls, Some(fault)),
        }
    }
    (out, controls, None)
}

#[test]
fn frames_become_bytes_however_they_are_cut() {
    let mask = [7, 1, 200, 3];
    let input = [
        encode_client_frame(Opcode::Binary, b"hello ", mask),
        encode_client_frame(Opcode::Ping, b"p", mask),
        encode_client_frame(Opcode::Binary, &[b'x'; 300], mask),
        encode_client_frame(Opcode::Binary, b"", mask),
        encode_client_frame(Opcode::Close, b"\x03\xe8bye", mask),
    ]
    .concat();
    let expected = [b"hello ".as_slice(), &[b'x'; 300]].concat();
    for step in 1..input.len() {
        let (out, controls, fault) = received(&input, step);
        assert_eq!((&out, fault), (&expected, None), "{step}");
        let close = Control::Close { code: Some(1000), reason: "bye".to_owned() };
        assert_eq!(controls, [Control::Ping(b"p".to_vec()), Control::End, close]);
    }
}

#[test]
fn h4_what_a_tunnel_does_not_carry_is_refused() {
    let mask = [1, 2, 3, 4];
    let frame = |opcode, payload: &[u8]| encode_client_frame(opcode, payload, mask);
    let after_end = [frame(Opcode::Binary, b""), frame(Opcode::Binary, b"x")].concat();
    let check = |input: &[u8], code: u16| {
        let (_, _, fault) = received(input, input.len());
        assert_eq!(fault.map(|fault| fault.close_code()), Some(code), "{input:?}");
    };
    check(&frame(Opcode::Text, b"x"), 1003);
    check(&after_end, 1002);
    check(&encode_server_frame(Opcode::Binary, b"not masked"), 1002);
    check(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 1009);
}

struct Pair {
    /// What stands for the program at the client.
    local: DuplexStream,
    /// What stands for the service.
    service: DuplexStream,
    client: tokio::task::JoinHandle<End>,
    server: tokio::task::JoinHandle<End>,
    counters: Counters,
    stop: tokio::sync::oneshot::Sender<Ending>,
}

fn pair(buffer: usize) -> Pair {
    let (client_socket, server_socket) = duplex(buffer);
    let (local, client_stream) = duplex(buffer);
    let (service, server_stream) = duplex(buffer);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let counters = Counters::default();
    let counted = counters.clone();
    let client = tokio::spawn(async move {
        let side = Side::Client(Arc::new(OsEntropy));
        carry(client_socket, client_stream, side, &Counters::default(), std::future::pending()).await
    });
    let server = tokio::spawn(async move {
        let stop =
            async { stopped.await.unwrap_or_else(|_| Ending { code: 1001, reason: "gone".to_owned() }) };
        carry(server_socket, server_stream, Side::Server, &counted, stop).await
    });
    Pair { local, service, client, server, counters, stop }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.expect("in time")
}

/// What comes out at the other end of all that goes in at this one, which then has no more.
async fn across(from: &mut DuplexStream, to: &mut DuplexStream, bytes: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    let writing = async {
        from.write_all(bytes).await.unwrap();
        from.shutdown().await.unwrap();
    };
    let (count, ()) = tokio::join!(to.read_to_end(&mut read), writing);
    count.unwrap();
    read
}

#[tokio::test]
async fn either_side_may_end_first_and_the_other_goes_on() {
    for buffer in [1, 100, 65536] {
        let Pair { mut local, mut service, client, server, counters, stop } = pair(buffer);
        // Written and read at a time: with small buffers what nobody reads does not go out whole.
        let asked = soon(across(&mut local, &mut service, b"question")).await;
        assert_eq!(asked, b"question");
        let text = b"an answer after the end of the question";
        let answer = soon(across(&mut service, &mut local, text)).await;
        assert_eq!(answer, text);
        let ends = (soon(client).await.unwrap(), soon(server).await.unwrap());
        let finished =
            |end: &End| matches!(end, End::Finished | End::Closed { code: Some(1000), .. } | End::SocketLost);
        assert!(finished(&ends.0) && finished(&ends.1), "{ends:?}");
        let count =
            |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!((count(&counters.to_stream), count(&counters.from_stream)), (8, 39));
        drop(stop);
    }
}

#[tokio::test]
async fn a_stop_is_told_and_nothing_goes_on_behind_it() {
    let Pair { mut local, mut service, client, server, stop, .. } = pair(65536);
    local.write_all(b"before").await.unwrap();
    let mut before = [0; 6];
    soon(service.read_exact(&mut before)).await.unwrap();
    let ending = Ending { code: 1008, reason: "the session is no longer valid".to_owned() };
    stop.send(ending.clone()).unwrap();
    assert_eq!(soon(server).await.unwrap(), End::Stopped(ending.clone()));
    let told = End::Closed { code: Some(1008), reason: ending.reason };
    assert_eq!(soon(client).await.unwrap(), told);
    let _refused = local.write_all(b"after").await;
    let mut rest = Vec::new();
    soon(service.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn a_peer_that_does_not_read_slows_its_partner_and_cannot_hold_up_a_stop() {
    let (mut reader, socket) = duplex(1024);
    let (mut service, stream) = duplex(1024);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let counters = Counters::default();
    let counted = counters.clone();
    let server = tokio::spawn(async move {
        let stop = async { stopped.await.unwrap() };
        carry(socket, stream, Side::Server, &counted, stop).await
    });
    let wrote = timeout(Duration::from_millis(300), service.write_all(&[0; 1 << 20])).await;
    assert!(wrote.is_err(), "a megabyte did not go into buffers of a kilobyte");
    let ending = Ending { code: 1008, reason: "revoked".to_owned() };
    stop.send(ending.clone()).unwrap();
    assert_eq!(soon(server).await.unwrap(), End::Stopped(ending));
    let mut left = Vec::new();
    soon(reader.read_to_end(&mut left)).await.unwrap();
    assert!(left.len() <= 1024, "{}", left.len());
}

/// As fast as a test can wait for, and slow enough for a busy machine.
const QUICK: Pulse = Pulse { interval: Duration::from_millis(100), silence: Duration::from_secs(2) };

#[tokio::test]
async fn a_side_that_vanished_is_given_up_although_its_connection_seems_open() {
    for busy in [false, true] {
        // Held open and never read: what a client is that lost its network without a word.
        let (vanished, socket) = duplex(4096);
        let (mut service, stream) = duplex(4096);
        let server = tokio::spawn(async move {
            let stop = std::future::pending();
            carry_with(QUICK, socket, stream, Side::Server, &Counters::default(), stop).await
        });
        if busy {
            // Also while the gateway waits to write to it.
            let _stuck = timeout(Duration::from_millis(300), service.write_all(&[0; 1 << 20])).await;
        }
        assert_eq!(soon(server).await.unwrap(), End::Silent { after: QUICK.silence }, "busy: {busy}");
        let mut rest = Vec::new();
        assert_eq!(soon(service.read_to_end(&mut rest)).await.unwrap(), 0, "the service is let go");
        drop(vanished);
    }
}

#[tokio::test]
async fn a_side_whose_program_does_not_read_is_not_taken_for_one_that_vanished() {
    let (client_socket, server_socket) = duplex(4096);
    let (mut local, client_stream) = duplex(4096);
    let (mut service, server_stream) = duplex(4096);
    let client = tokio::spawn(async move {
        let (side, stop) = (Side::Client(Arc::new(OsEntropy)), std::future::pending());
        carry_with(QUICK, client_socket, client_stream, side, &Counters::default(), stop).await
    });
    let server = tokio::spawn(async move {
        let stop = std::future::pending();
        carry_with(QUICK, server_socket, server_stream, Side::Server, &Counters::default(), stop).await
    });
    let bytes = vec![7; 256 * 1024];
    let sent = bytes.clone();
    let writing = tokio::spawn(async move {
        service.write_all(&sent).await.unwrap();
        service.shutdown().await.unwrap();
        service
    });
    // Nobody reads for longer than either side may be silent. Waiting is what is tested here.
    let (mut client, mut server) = (client, server);
    let ended = async {
        tokio::select! {
            end = &mut client => end.unwrap(),
            end = &mut server => end.unwrap(),
        }
    };
    let ended = timeout(QUICK.silence * 2, ended).await;
    assert!(ended.is_err(), "{ended:?}");
    let mut read = Vec::new();
    soon(local.read_to_end(&mut read)).await.unwrap();
    assert_eq!(read, bytes);
    drop(soon(writing).await.unwrap());
    local.shutdown().await.unwrap();
    soon(client).await.unwrap();
    soon(server).await.unwrap();
}
