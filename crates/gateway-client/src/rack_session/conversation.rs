//! The two directions of an open session. It knows frames and channels of bytes; nothing of terminals.

use bytes::{Buf, BytesMut};
use gateway_framing::websocket::{Opcode, encode_client_frame};
use gateway_types::{Entropy, OsEntropy};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at};

use super::listening::Listening;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 32 * 1024;

/// The most bytes of one frame to the rack, as the official client sends them.
const FRAME_BYTES: usize = 1024;

/// How often a sign of life is given, as by the official client. Load balancers cut what is idle.
const PULSE: Duration = Duration::from_secs(5);

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conversation {
    /// With the command's exit code.
    Exited(i32),
    /// Without one: consoles have none.
    Over,
    /// The connection broke before the end was told.
    Lost,
    /// Nobody takes what is shown any more.
    Unread,
    /// The other side does not speak the protocol.
    Broke,
}

/// Carries what is typed, `input`, to the rack, and what is shown to `output`, until the session is over. A closed
/// `input` is its end. Nothing is read from the rack while `output` takes none.
pub async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send,
    input: mpsc::Receiver<Vec<u8>>,
    output: mpsc::Sender<Vec<u8>>,
) -> Conversation {
    let (read, write) = split(stream);
    let (answer, asked) = mpsc::channel(4);
    let up = async {
        // What the rack still says may tell why nothing more can be sent.
        let _gone = speak(write, input, asked).await;
        std::future::pending().await
    };
    tokio::select! {
        end = listen(read, output, answer) => end,
        end = up => end,
    }
}

async fn listen<R: AsyncRead>(
    mut read: ReadHalf<R>,
    output: mpsc::Sender<Vec<u8>>,
    answer: mpsc::Sender<Vec<u8>>,
) -> Conversation {
    let mut listening = Listening::new();
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        buffer.reserve(READ_BYTES);
        let is_open = matches!(read.read_buf(&mut buffer).await, Ok(count) if count > 0);
        let taken = listening.advance(&buffer);
        let heard = listening.heard();
        let shown = std::mem::take(&mut heard.shown);
        if !shown.is_empty() && output.send(shown).await.is_err() {
            return Conversation::Unread;
        }
        for payload in heard.pings.drain(..) {
            // Of several the latest answer counts (RFC 6455, section 5.5.3).
            let _full = answer.try_send(payload);
        }
        match (heard.code(), heard.is_over, taken) {
            (Some(code), true, _) => return Conversation::Exited(code),
            (None, true, _) => return Conversation::Over,
            (_, false, Err(_)) => return Conversation::Broke,
            (Some(code), false, Ok(_)) if !is_open => return Conversation::Exited(code),
            (None, false, Ok(_)) if !is_open => return Conversation::Lost,
            (_, false, Ok(count)) => buffer.advance(count),
        }
    }
}

async fn speak<W: AsyncWrite>(
    mut write: WriteHalf<W>,
    mut input: mpsc::Receiver<Vec<u8>>,
    mut asked: mpsc::Receiver<Vec<u8>>,
) -> std::io::Result<()> {
    let mut pulse = interval_at(Instant::now() + PULSE, PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_typed = true;
    loop {
        let mut frames = Vec::new();
        tokio::select! {
            typed = input.recv(), if is_typed => match typed {
                Some(typed) => {
                    for piece in typed.chunks(FRAME_BYTES) {
                        frames.extend(frame(Opcode::Text, piece));
                    }
                }
                None => {
                    is_typed = false;
                    frames.extend(frame(Opcode::Binary, b""));
                }
            },
            Some(payload) = asked.recv() => frames.extend(frame(Opcode::Pong, &payload)),
            _ = pulse.tick() => frames.extend(frame(Opcode::Ping, b"")),
        }
        write.write_all(&frames).await?;
        write.flush().await?;
    }
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut mask = [0; 4];
    OsEntropy.fill(&mut mask);
    encode_client_frame(opcode, payload, mask)
}

#[cfg(test)]
mod tests {
    use gateway_convox::exec::marker_text;
    use gateway_framing::websocket::encode_server_frame;
    use tokio::io::DuplexStream;

    use super::*;

    /// A session whose rack says these frames and then, maybe, closes.
    async fn against(frames: Vec<u8>, closes: bool) -> (Conversation, Vec<u8>) {
        let (client, mut rack) = tokio::io::duplex(1 << 16);
        let (typing, input) = mpsc::channel(1);
        let (output, mut shown) = mpsc::channel(64);
        rack.write_all(&frames).await.unwrap();
        let rack: Option<DuplexStream> = (!closes).then_some(rack);
        let end = converse(client, input, output).await;
        drop((typing, rack));
        let mut all = Vec::new();
        while let Some(piece) = shown.recv().await {
            all.extend(piece);
        }
        (end, all)
    }

    #[tokio::test]
    async fn every_end_is_told_apart() {
        let text = |text: &str| encode_server_frame(Opcode::Text, text.as_bytes());
        let end = encode_server_frame(Opcode::Binary, b"");
        let told = |frames: &[&[u8]], closes| against(frames.concat(), closes);
        let hi = b"hi\n".to_vec();
        let marker = text(&marker_text(3));
        assert_eq!(told(&[&text("hi\n"), &marker, &end], false).await, (Conversation::Exited(3), hi.clone()));
        assert_eq!(told(&[&text("hi\n"), &marker], true).await, (Conversation::Exited(3), hi.clone()));
        assert_eq!(told(&[&text("hi\n"), &end], false).await, (Conversation::Over, hi.clone()));
        // What could not be run has not ended well, whatever the marker says.
        let (good, failed) = (text(&marker_text(0)), text("ERROR: process not found\n"));
        assert_eq!(told(&[&good, &failed, &end], false).await.0, Conversation::Exited(1));
        assert_eq!(
            told(&[&good, &text("ERR"), &text("OR: no\n"), &end], false).await.0,
            Conversation::Exited(1)
        );
        assert_eq!(told(&[&failed, &good, &end], false).await.0, Conversation::Exited(0));
        assert_eq!(told(&[&text("hi\n")], true).await, (Conversation::Lost, hi.clone()));
        assert_eq!(told(&[&text("hi\n"), b"\xff\xff"], false).await, (Conversation::Broke, hi));
    }

    #[tokio::test]
    async fn what_is_typed_arrives_in_small_frames_and_then_its_end() {
        use gateway_framing::websocket::{FrameScanner, Piece, Sender, unmask};
        let (client, mut rack) = tokio::io::duplex(1 << 16);
        let (typing, input) = mpsc::channel(4);
        let (output, _shown) = mpsc::channel(4);
        let typed: Vec<u8> = (0..5000_u32).map(|at| (at % 251) as u8).collect();
        typing.send(typed.clone()).await.unwrap();
        drop(typing);
        let conversation = tokio::spawn(converse(client, input, output));
        let (mut scanner, mut waiting) = (FrameScanner::new(Sender::Client, 1 << 20), Vec::new());
        let (mut got, mut ended, mut mask, mut at) = (Vec::new(), false, [0; 4], 0);
        while !ended {
            let mut bytes = [0; 700];
            let count = rack.read(&mut bytes).await.unwrap();
            waiting.extend_from_slice(&bytes[..count]);
            loop {
                let taken = scanner
                    .advance(&waiting, |piece| match piece {
                        Piece::Head(head) => {
                            assert!(head.payload_bytes <= 1024);
                            ended = head.opcode == Opcode::Binary;
                            (mask, at) = (head.mask.unwrap(), 0);
                        }
                        Piece::Payload(payload) => {
                            let begin = got.len();
                            got.extend_from_slice(payload);
                            unmask(&mut got[begin..], mask, at);
                            at += payload.len();
                        }
                        Piece::End => {}
                    })
                    .unwrap();
                if taken == 0 {
                    break;
                }
                waiting.drain(..taken);
            }
        }
        assert_eq!(got, typed);
        rack.write_all(&encode_server_frame(Opcode::Text, marker_text(0).as_bytes())).await.unwrap();
        rack.write_all(&encode_server_frame(Opcode::Binary, b"")).await.unwrap();
        assert_eq!(conversation.await.unwrap(), Conversation::Exited(0));
    }
}
