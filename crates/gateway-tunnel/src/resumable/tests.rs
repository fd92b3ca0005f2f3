//! A stream over connections that break: nothing is lost, nothing comes twice, nothing grows.

use std::sync::Arc;
use std::time::Duration;

use gateway_types::OsEntropy;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::mpsc;

use super::connection::{Carried, Opening};
use super::link::{Link, LinkStream, Next, WINDOW_BYTES};
use super::message::{Decoder, LinkFault, Message, Welcome};
use crate::carry::{Pulse, Side};

const PULSE: Pulse = Pulse { interval: Duration::from_millis(50), silence: Duration::from_millis(400) };

fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next(&mut state)).collect()
}

/// Both ends of one stream, without a connection.
struct Pair {
    gateway: Arc<Link>,
    client: Arc<Link>,
}

impl Pair {
    fn new() -> (Self, LinkStream, LinkStream) {
        let ((gateway, at_gateway), (client, at_client)) = (Link::new(), Link::new());
        (Self { gateway, client }, at_gateway, at_client)
    }

    /// One connection that breaks after so many bytes of each direction; `None`: never.
    async fn connect(&self, breaks_after: Option<(u64, u64)>) -> (Carried, Carried) {
        let ((client, mut near), (mut far, server)) = (duplex(1000), duplex(1000));
        let cable = async move {
            let Some((up, down)) = breaks_after else {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                return;
            };
            let ((near_read, mut near_write), (far_read, mut far_write)) =
                (tokio::io::split(near), tokio::io::split(far));
            let (mut near_read, mut far_read) = (near_read.take(up), far_read.take(down));
            // The first direction that has used up its bytes takes the other one with it.
            tokio::select! {
                _ = tokio::io::copy(&mut near_read, &mut far_write) => {}
                _ = tokio::io::copy(&mut far_read, &mut near_write) => {}
            }
        };
        let welcome = Welcome {
            received: self.gateway.received(),
            patience_seconds: 300,
            token: "secret".to_owned(),
            session: "s".to_owned(),
        };
        let (kept, _kept) = mpsc::channel(1);
        let (tell, mut told) = mpsc::channel(1);
        let peer_has = self.client.received();
        assert!(self.gateway.can_go_on_at(peer_has));
        let gateway =
            self.gateway.carry_with(PULSE, server, Side::Server, peer_has, Opening::Gateway(welcome, &kept));
        let side = Side::Client(Arc::new(OsEntropy));
        let client = self.client.carry_with(PULSE, client, side, 0, Opening::Client(&tell));
        let cable = tokio::spawn(cable);
        let ends = tokio::join!(gateway, client);
        cable.abort();
        if let Ok(welcome) = told.try_recv() {
            assert_eq!((welcome.token.as_str(), welcome.session.as_str()), ("secret", "s"));
            assert_eq!(format!("{welcome:?}").find("secret"), None, "a token is not printed");
        }
        ends
    }
}

#[tokio::test]
async fn bytes_arrive_once_and_in_order_however_often_the_connection_breaks() {
    let (pair, at_gateway, at_client) = Pair::new();
    let (up, down) = (noise(700_000, 1), noise(900_000, 2));
    let talk = |stream: LinkStream, says: Vec<u8>, hears: usize| {
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(stream);
            let saying = async {
                write.write_all(&says).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let hearing = async {
                let mut heard = vec![0; hears];
                read.read_exact(&mut heard).await.unwrap();
                assert_eq!(read.read(&mut [0; 1]).await.unwrap(), 0, "nothing comes after the end");
                heard
            };
            tokio::join!(saying, hearing).1
        })
    };
    let gateway = talk(at_gateway, down.clone(), up.len());
    let client = talk(at_client, up.clone(), down.len());
    let mut breaks = 0_u64;
    loop {
        let (a, b) = pair.connect(Some((40_000 + 777 * breaks, 30_000 + 1_313 * breaks))).await;
        breaks += 1;
        assert!(breaks < 200, "it gets on");
        for end in [a, b] {
            assert!(matches!(end, Carried::Lost | Carried::Finished), "{end:?}");
        }
        if (a, b) == (Carried::Finished, Carried::Finished)
            || (pair.gateway.peer_has_ended() && pair.client.peer_has_ended())
        {
            break;
        }
    }
    assert!(breaks > 10, "it broke {breaks} times");
    let _rest = tokio::time::timeout(Duration::from_secs(5), pair.connect(None)).await;
    assert!(gateway.await.unwrap() == up, "what the client said");
    assert!(client.await.unwrap() == down, "what the gateway said");
}

#[tokio::test]
async fn who_writes_waits_while_nobody_consumes() {
    let (pair, mut at_gateway, mut at_client) = Pair::new();
    let all = noise(WINDOW_BYTES * 2, 3);
    let writes = all.clone();
    let mut writing = tokio::spawn(async move {
        at_gateway.write_all(&writes).await.unwrap();
        at_gateway
    });
    // Detached: what fits is kept, and no more.
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut writing).await.is_err());
    assert!(pair.gateway.can_go_on_at(0) && pair.gateway.can_go_on_at(WINDOW_BYTES as u64));
    assert!(!pair.gateway.can_go_on_at(WINDOW_BYTES as u64 + 1));
    // Attached, and not read: the window is there, and the writer still waits.
    let attached = tokio::time::timeout(Duration::from_millis(800), pair.connect(None));
    assert!(attached.await.is_err(), "signs of life keep it open");
    assert_eq!(pair.client.received(), WINDOW_BYTES as u64);
    assert!(!writing.is_finished());
    let mut read = vec![0; all.len()];
    tokio::select! {
        count = at_client.read_exact(&mut read) => assert_eq!(count.unwrap(), all.len()),
        ends = pair.connect(None) => panic!("{ends:?}"),
    }
    assert!(read == all);
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn a_connection_that_leads_nowhere_is_given_up() {
    let (link, _stream) = Link::new();
    let (near, _far) = duplex(100_000);
    let (kept, _) = mpsc::channel(1);
    let welcome = Welcome { received: 0, patience_seconds: 1, token: String::new(), session: String::new() };
    let began = tokio::time::Instant::now();
    let end = link.carry_with(PULSE, near, Side::Server, 0, Opening::Gateway(welcome, &kept)).await;
    assert_eq!(end, Carried::Lost);
    assert!(began.elapsed() >= PULSE.silence);
}

#[tokio::test]
async fn an_end_of_one_side_reaches_the_other() {
    let (pair, at_gateway, mut at_client) = Pair::new();
    drop(at_gateway);
    let reading = async {
        assert_eq!(at_client.read(&mut [0; 1]).await.unwrap(), 0);
        drop(at_client);
    };
    let (ends, ()) = tokio::join!(pair.connect(None), reading);
    assert!(ends.0 == Carried::Finished || ends.1 == Carried::Finished, "{ends:?}");
    assert!(pair.gateway.peer_has_ended() && pair.client.peer_has_ended());
}

#[tokio::test]
async fn what_was_given_up_ends_for_everybody() {
    let (pair, mut at_gateway, _at_client) = Pair::new();
    at_gateway.write_all(b"never read").await.unwrap();
    let reading = tokio::spawn(async move {
        let came = at_gateway.read(&mut [0; 2]).await.unwrap();
        let end = at_gateway.read(&mut [0; 2]).await.unwrap();
        (came, end, at_gateway.write_all(b"x").await.is_err())
    });
    tokio::task::yield_now().await;
    pair.gateway.take(b"x").unwrap();
    pair.gateway.give_up();
    assert_eq!(reading.await.unwrap(), (1, 0, true), "what came is read, and then the end");
    assert!(!pair.gateway.can_go_on_at(0));
    assert_eq!(pair.gateway.next(0, false).0, Next::Over);
}

#[test]
fn who_breaks_a_rule_is_found_out() {
    let (link, _stream) = Link::new();
    assert_eq!(link.consumed(1), Err(LinkFault::Ahead));
    assert_eq!(link.take(&vec![0; WINDOW_BYTES + 1]), Err(LinkFault::Flood));
    link.take(&vec![0; WINDOW_BYTES]).unwrap();
    assert_eq!(link.take(b"x"), Err(LinkFault::Flood));
    link.ended();
    assert_eq!(link.take(b"x"), Err(LinkFault::AfterEnd));
}

#[test]
fn messages_are_read_however_they_are_cut_and_nonsense_is_not() {
    let welcome =
        Welcome { received: 7, patience_seconds: 300, token: "t".to_owned(), session: "s".to_owned() };
    let messages = [
        Message::Welcome(welcome),
        Message::Kept,
        Message::Data(vec![1, 2, 3]),
        Message::Data(Vec::new()),
        Message::Consumed(1 << 40),
        Message::End,
    ];
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| message.encode(&mut bytes));
    for cut in [1, 2, 5, 100] {
        let (mut decoder, mut read) = (Decoder::default(), Vec::new());
        for piece in bytes.chunks(cut) {
            decoder.push(piece);
            while let Some(message) = decoder.next().unwrap() {
                read.push(message);
            }
        }
        assert_eq!(read, messages, "{cut}");
    }
    for nonsense in [
        &[9, 0, 0, 0, 0][..],
        &[0, 0xff, 0, 0, 0],
        &[1, 0, 0, 0, 1, 0],
        &[3, 0, 0, 0, 1, 0],
        &[2, 0, 0, 0, 2, 0, 0],
    ] {
        let mut decoder = Decoder::default();
        decoder.push(nonsense);
        assert_eq!(decoder.next(), Err(LinkFault::Malformed), "{nonsense:?}");
    }
}
