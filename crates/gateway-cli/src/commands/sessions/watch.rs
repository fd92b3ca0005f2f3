//! Watching a session that goes on, in this terminal.
//!
//! # Security
//! What it shows was made by its other side. Only what draws passes ([`TerminalText`]), and nothing that is typed here
//! goes anywhere. At the end, also after an interrupt, the terminal is put right.

use std::io::{self, Write};
use std::time::Duration;

use gateway_client::text::one_line;
use gateway_recording::{Kind, TERMINAL_RESET, TerminalText, events, header};
use gateway_types::wire::recordings::{RecordingPiece, SessionOver};
use tokio::sync::Mutex;

use crate::failure::{Exit, Failure, Problem};
use crate::output::remark;
use crate::remote::Remote;
use crate::stop::{StopSignals, Stopped};

/// The longest event that is read, in bytes: a piece is much smaller.
const LONGEST_EVENT: usize = 8 * 1024 * 1024;

/// Shows the session until it is over, or until the signal to stop.
pub(super) async fn watch(remote: &Remote, id: &str) -> Result<(), Failure> {
    let screen = Mutex::new(Screen::new(io::stdout()));
    let mut stop = StopSignals::listen()?;
    let mut watched = Ok(());
    let watching = async {
        watched = remote
            .ask(async |client| {
                let mut screen = screen.lock().await;
                client.watch_session(id, &mut *screen).await
            })
            .await;
    };
    let stopped = stop.or_at_once(watching).await;
    let mut screen = screen.into_inner();
    let put_right = if screen.drew { screen.put_right() } else { Ok(()) };
    watched?;
    put_right.problem("the terminal cannot be written")?;
    match (screen.over, stopped) {
        (Some(over), _) => {
            let ending =
                over.ending.as_deref().unwrap_or("the gateway that held it stopped without ending it");
            remark(&format!("{}: {}", one_line(&over.state), one_line(ending)));
            Ok(())
        }
        (None, Stopped::AtOnce) => Ok(()),
        (None, Stopped::Gracefully) => Err(Failure::new(
            Exit::Failed,
            "the gateway ended the watching before the session was over; see whether you may still watch",
        )),
    }
}

/// Reads server-sent events, and draws what they hold.
struct Screen<W> {
    out: W,
    text: TerminalText,
    buffer: Vec<u8>,
    next: u64,
    drew: bool,
    over: Option<SessionOver>,
}

impl<W: Write> Screen<W> {
    fn new(out: W) -> Self {
        let text = TerminalText::default();
        Self { out, text, buffer: Vec::new(), next: 0, drew: false, over: None }
    }

    fn put_right(&mut self) -> io::Result<()> {
        self.out.write_all(format!("{TERMINAL_RESET}\r\n").as_bytes())?;
        self.out.flush()
    }

    /// Takes one event, without the empty line that ends it.
    fn event(&mut self, text: &str) -> io::Result<()> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let Some(data) = field("data: ") else { return Ok(()) };
        match field("event: ") {
            Some("piece") => self.piece(&serde_json::from_str(data)?),
            Some("over") => {
                self.over = Some(serde_json::from_str(data)?);
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn piece(&mut self, piece: &RecordingPiece) -> io::Result<()> {
        if piece.sequence > self.next {
            remark(&format!("pieces {} to {} of this session are not shown", self.next, piece.sequence - 1));
        }
        self.next = piece.sequence + 1;
        let lines = match piece.sequence {
            0 => header(piece.cast.as_bytes()).map_err(io::Error::other)?.1,
            _ => piece.cast.as_bytes(),
        };
        let mut text = String::new();
        for event in events(lines, Duration::ZERO).map_err(io::Error::other)? {
            if event.kind == Kind::Output {
                self.text.push(&event.text, &mut text);
            }
        }
        self.drew = true;
        self.out.write_all(text.as_bytes())
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
            self.event(&String::from_utf8_lossy(&event))?;
        }
        if self.buffer.len() > LONGEST_EVENT {
            return Err(io::Error::other("the gateway sent an event that is too long"));
        }
        self.out.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_draws_reaches_the_terminal_however_it_comes() {
        let piece = |sequence: u64, cast: &str| {
            let piece =
                RecordingPiece { sequence, last: false, digest: String::new(), cast: cast.to_owned() };
            format!("event: piece\ndata: {}\n\n", serde_json::to_string(&piece).unwrap())
        };
        let head = "{\"version\":2,\"width\":80,\"height\":24,\"timestamp\":0,\"title\":\"\"}\n";
        let hostile =
            "[0.1,\"o\",\"a\\u001b]52;c;ZXZpbA==\\u0007\\u001b]8;;https://evil\\u001b\\\\\\u001b[6n\"]\n";
        let drawn = "[0.2,\"o\",\"\\u001b[1mb\\u001b]0;ti\"]\n[0.3,\"i\",\"typed\"]\n";
        let rest = "[0.4,\"o\",\"tle\\u0007c\"]\n";
        let text = [
            ":\n\n".to_owned(),
            piece(0, &format!("{head}{hostile}")),
            piece(1, drawn),
            piece(2, rest),
            "event: over\ndata: {\"state\":\"ended\",\"ending\":\"exit code 0\"}\n\n".to_owned(),
        ]
        .concat();
        for size in [1, 7, 100_000] {
            let mut screen = Screen::new(Vec::new());
            for bytes in text.as_bytes().chunks(size) {
                screen.write_all(bytes).unwrap();
            }
            assert_eq!(String::from_utf8(screen.out).unwrap(), "a\u{1b}[1mbc", "{size}");
            assert_eq!(screen.over.unwrap().ending.as_deref(), Some("exit code 0"));
        }
    }
}
