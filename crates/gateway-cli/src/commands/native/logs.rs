//! `logs`: the log of an app, of one of its services, of the rack, of a build.
//!
//! # Security
//! Whoever writes into a log writes to the terminal of whoever reads it. Sequences that steer a terminal are taken out,
//! and what is left of them is made visible (M5).

use clap::Args;
use gateway_client::rack::{Heard, RackRequest};
use gateway_client::text::steers;
use serde::Serialize;

use super::super::completion;
use super::place::{go_duration, seconds};
use super::{AppArgument, Place};
use crate::failure::{Exit, Failure};
use crate::output::{Format, escaped, remark};
use crate::stop::StopSignals;

/// The longest line that is kept together, in bytes.
const LONGEST_LINE: usize = 1024 * 1024;

/// What a rack writes before the reason when it refuses after it opened a socket.
const REFUSED: &str = "ERROR: ";

/// The arguments of `logs`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rack-gateway logs -a web --since 5m --filter error\n  rack-gateway logs -a web --service worker --no-follow"
)]
pub(crate) struct LogsArguments {
    #[command(flatten)]
    app: AppArgument,
    /// Only this service
    #[arg(long, short = 's', value_name = "SERVICE", add = completion::services())]
    service: Option<String>,
    #[command(flatten)]
    asked: LogOptions,
}

/// Which lines of a log.
#[derive(Args, Debug, Default)]
pub(crate) struct LogOptions {
    /// Only lines that hold this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Only lines of the last while, such as 5m
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    since: Option<u64>,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// Print what there is and end
    #[arg(long)]
    no_follow: bool,
    /// Lines of processes that ended too
    #[arg(long)]
    allow_previous: bool,
    /// From how many processes at once
    #[arg(long, value_name = "N")]
    max_log_requests: Option<u32>,
}

impl LogOptions {
    /// The request with what the rack reads of this.
    fn on(&self, asked: RackRequest) -> RackRequest {
        asked
            .header("Prefix", Some(true))
            .header("Filter", self.filter.as_deref())
            .header("Follow", self.no_follow.then_some(false))
            .header("Maxlogrequests", self.max_log_requests)
            .header("Previous", self.allow_previous.then_some(true))
            .header("Since", self.since.map(go_duration))
            .header("Tail", self.tail)
    }
}

/// A line of a log, for programs.
#[derive(Serialize)]
struct Line<'a> {
    line: &'a str,
}

/// How a log ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// There is no more.
    Whole,
    /// The connection was lost.
    Lost,
    /// Whoever reads had enough.
    Stopped,
}

/// Prints the log of an app.
pub(super) async fn run(place: &Place<'_>, arguments: &LogsArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    let path = match &arguments.service {
        Some(service) => RackRequest::get(&["apps", &app, "services", service, "logs"]),
        None => RackRequest::get(&["apps", &app, "logs"]),
    };
    print(place, arguments.asked.on(path), !arguments.asked.no_follow).await
}

/// Prints the log of the rack.
pub(super) async fn of_rack(place: &Place<'_>, options: &LogOptions) -> Result<(), Failure> {
    print(place, options.on(RackRequest::get(&["system", "logs"])), !options.no_follow).await
}

/// Prints the log of a build.
pub(super) async fn of_build(place: &Place<'_>, app: &str, build: &str) -> Result<(), Failure> {
    print(place, RackRequest::get(&["apps", app, "builds", build, "logs"]), true).await
}

async fn print(place: &Place<'_>, asked: RackRequest, follows: bool) -> Result<(), Failure> {
    match copy(place, &asked, |line| show(place, line)).await? {
        Ended::Whole | Ended::Stopped => Ok(()),
        Ended::Lost if !follows => Err(Failure::new(Exit::Unreachable, "the log broke off before its end")),
        Ended::Lost => Err(Failure::new(Exit::Unreachable, "the connection of the log was lost")
            .hint("begin again with --since to see what was missed")),
    }
}

fn show(place: &Place<'_>, line: &str) -> Result<(), Failure> {
    match place.context.output.format {
        Format::Text => place.context.output.line(line),
        Format::Json => place.context.output.line(&escaped(&serde_json::to_string(&Line { line })?)),
    }
}

/// Hands over each line of a log until its end, or until a signal to stop.
pub(super) async fn copy(
    place: &Place<'_>,
    asked: &RackRequest,
    mut each: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Ended, Failure> {
    let mut signals = StopSignals::listen()?;
    let mut socket = place.remote.ask(async |client| client.rack_socket(asked).await).await?;
    // Nothing will come from here.
    if socket.end().await.is_err() {
        return Ok(Ended::Lost);
    }
    let mut lines = TextLines::default();
    let mut count = 0u64;
    let ended = loop {
        let heard = tokio::select! {
            heard = socket.hear() => heard,
            _signal = signals.next() => break Ended::Stopped,
        };
        match heard {
            Heard::Bytes(bytes) => {
                for line in lines.take(&bytes) {
                    if let (0, Some(reason)) = (count, line.strip_prefix(REFUSED)) {
                        return Err(Failure::new(Exit::Failed, reason.to_owned()));
                    }
                    count += 1;
                    each(&line)?;
                }
            }
            Heard::End => break Ended::Whole,
            Heard::Lost => break Ended::Lost,
        }
    };
    if let Some(line) = lines.rest() {
        each(&line)?;
    }
    Ok(ended)
}

/// Prints the log of a build as it goes on.
pub(super) async fn follow_build(place: &Place<'_>, app: &str, build: &str) -> Result<(), Failure> {
    let asked = RackRequest::get(&["apps", app, "builds", build, "logs"]);
    let ended = copy(place, &asked, |line| place.step(line)).await;
    match ended? {
        Ended::Whole => Ok(()),
        Ended::Lost => {
            remark("the log of the build broke off; the build goes on");
            Ok(())
        }
        Ended::Stopped => Err(Failure::new(Exit::Failed, "stopped; the build goes on at the rack")
            .hint(format!("see how it ends with `rack-gateway builds info {build} -a {app}`"))),
    }
}

/// Bytes in pieces, made to lines that steer no terminal.
#[derive(Debug, Default)]
pub(super) struct TextLines {
    unended: Vec<u8>,
}

impl TextLines {
    /// The lines that ended with these bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.unended.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(at) = self.unended.iter().position(|&byte| byte == b'\n') {
            let rest = self.unended.split_off(at + 1);
            lines.push(readable(&std::mem::replace(&mut self.unended, rest)));
        }
        if self.unended.len() > LONGEST_LINE {
            lines.extend(self.rest());
        }
        lines
    }

    /// What did not end with a line's end.
    pub(super) fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.unended);
        (!rest.is_empty()).then(|| readable(&rest))
    }
}

/// A line as it may be shown: sequences that steer are left out, and any other character that does is made visible.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(c) = characters.next() {
        let introduces = match (c, characters.peek()) {
            ('\u{1b}', Some('[')) => {
                characters.next();
                true
            }
            ('\u{9b}', _) => true,
            _ => false,
        };
        if introduces {
            // Parameters and intermediates, then one final character (ECMA-48, 5.4).
            while characters.next_if(|c| matches!(c, ' '..='?')).is_some() {}
            characters.next_if(|c| matches!(c, '@'..='~'));
        } else if c == '\t' || !steers(c) {
            shown.push(c);
        } else {
            shown.push('\u{fffd}');
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m5_a_log_steers_no_terminal() {
        for (line, shown) in [
            ("a\tb \u{1b}[31;1mred\u{1b}[0m\r\n", "a\tb red"),
            ("\u{1b}]0;title\u{7}x", "\u{fffd}]0;title\u{fffd}x"),
            ("\u{9b}2Jx\u{202e}y", "x\u{fffd}y"),
            ("\u{1b}[", ""),
            ("Grüße", "Grüße"),
        ] {
            assert_eq!(readable(line.as_bytes()), shown, "{line:?}");
        }
        assert_eq!(readable(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn lines_come_whole_however_the_bytes_do() {
        let mut lines = TextLines::default();
        assert_eq!(lines.take(b"a\nb"), ["a"]);
        assert_eq!(lines.take("ü\n\nc".as_bytes()), ["bü", ""]);
        assert_eq!((lines.rest().as_deref(), lines.rest()), (Some("c"), None));
    }
}
