//! Where answers go: standard output, as JSON for programs or as text for people. Nothing here panics
//! when the reader goes away.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;

use gateway_client::text::steers;
use serde::Serialize;

use crate::environment;
use crate::failure::Failure;
use crate::table::{Looks, Rows};

/// How answers are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The kind of thing a word tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// It is not.
    Bad,
}

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) looks: Looks,
    /// Takes whole lines: standard output, except in tests.
    pub(crate) write: fn(&str) -> io::Result<()>,
}

impl Output {
    /// Standard output as this process has it.
    pub(crate) fn of_process(json: bool) -> Self {
        let format = if json { Format::Json } else { Format::Text };
        let output = io::stdout();
        let looks = match (output.is_terminal(), environment::read(environment::NO_COLOR)) {
            (false, _) => Looks::Plain,
            (true, Some(_)) => Looks::Lines(columns(&output)),
            (true, None) => Looks::Colours(columns(&output)),
        };
        Self { format, looks, write: to_standard_output }
    }

    /// Writes an answer: `value` for programs, `text` for people.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn answer<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.line(&escaped(&serde_json::to_string_pretty(value)?)),
            Format::Text => self.line(text().trim_end_matches('\n')),
        }
    }

    /// Writes a listing: an array for programs, a table for people, or `nothing` when it is empty.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn listing<T: Serialize>(
        &self,
        values: &[T],
        rows: &Rows,
        nothing: &str,
    ) -> Result<(), Failure> {
        self.answer(&values, || if rows.is_empty() { nothing.to_owned() } else { rows.render(self.looks) })
    }

    /// Writes one line.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        Ok((self.write)(text)?)
    }

    /// A word in the colour of its tone, where colours are wanted.
    pub(crate) fn toned(&self, tone: Tone, word: &str) -> String {
        match (self.looks, tone) {
            (Looks::Plain | Looks::Lines(_), _) => word.to_owned(),
            (Looks::Colours(_), Tone::Good) => format!("\u{1b}[32m{word}\u{1b}[0m"),
            (Looks::Colours(_), Tone::Bad) => format!("\u{1b}[31m{word}\u{1b}[0m"),
        }
    }
}

/// How many columns the terminal has; some do not say.
pub(crate) fn columns(terminal: impl AsFd) -> Option<u16> {
    rustix::termios::tcgetwinsize(terminal).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// JSON without a character that steers a terminal. Outside of strings there are only line feeds.
pub(crate) fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) && c != '\n' {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn to_standard_output(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes a remark to standard error; that it cannot be read by anybody is no reason to fail.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m5_json_says_the_same_and_steers_no_terminal() {
        let text = "a\u{1b}[2J\u{9b}1m\u{202e}\u{7f}\u{e0041} Grüße\n";
        let json = escaped(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(!json.chars().any(|c| steers(c) && c != '\n'), "{json:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [text]);
    }
}
