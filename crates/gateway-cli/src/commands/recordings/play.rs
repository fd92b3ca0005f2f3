//! Replaying in this terminal.
//!
//! # Security
//! Only what draws passes ([`TerminalText`]): no title, clipboard, link, query or mode of keys. At the end, also after
//! an interrupt, the terminal is put right.

use std::io::{self, Write as _};
use std::time::Duration;

use gateway_recording::{Event, Kind, TERMINAL_RESET, TerminalText};
use tokio::time::sleep;

use crate::failure::{Failure, Problem};
use crate::stop::StopSignals;

/// How fast.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Pace {
    /// How many times as fast as it went.
    pub(super) speed: f64,
    /// The longest pause.
    pub(super) longest: Duration,
}

/// Reads a speed: 0.1 to 1000.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().map_err(|_bad| "write a number, such as 2".to_owned())?;
    if (0.1..=1000.0).contains(&speed) {
        Ok(speed)
    } else {
        Err("write a number from 0.1 to 1000".to_owned())
    }
}

/// Plays the events.
pub(super) async fn play(events: &[Event], pace: Pace) -> Result<(), Failure> {
    let mut stop = StopSignals::listen()?;
    let mut played = Ok(());
    stop.or_at_once(async { played = show(events, pace).await }).await;
    let put_right = write(&format!("{TERMINAL_RESET}\r\n"));
    played.and(put_right).problem("the terminal cannot be written")
}

async fn show(events: &[Event], pace: Pace) -> io::Result<()> {
    let (mut shown, mut now) = (TerminalText::default(), Duration::ZERO);
    for event in events {
        match event.kind {
            Kind::Output => {}
            Kind::Input | Kind::Resize | Kind::Marker => continue,
        }
        let pause = event.at.saturating_sub(now).min(pace.longest).div_f64(pace.speed);
        now = event.at;
        sleep(pause).await;
        let mut text = String::new();
        shown.push(&event.text, &mut text);
        write(&text)?;
    }
    Ok(())
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_sane() {
        for (text, fits) in [
            ("1", true),
            ("0.5", true),
            ("0", false),
            ("-1", false),
            ("NaN", false),
            ("1e9", false),
            ("x", false),
        ] {
            assert_eq!(speed(text).is_ok(), fits, "{text}");
        }
    }
}
