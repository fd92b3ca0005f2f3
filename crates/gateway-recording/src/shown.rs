//! How a recording is shown without being obeyed: as lines of plain text, for search and for reading, and as text for
//! a viewer's terminal, with only those sequences that draw.
//!
//! # Security
//! A session's output is whatever its other side wanted it to be. A terminal that obeys it may set the viewer's
//! clipboard (OSC 52), links (OSC 8) and title, answer queries into the viewer's shell, or change its keys. Here is a
//! list of what passes; all else is dropped.

use std::time::Duration;

use crate::escape::{EscapeReader, Token};

/// What puts a terminal right after a recording was shown in it.
pub const TERMINAL_RESET: &str = "\u{1b}[0m\u{1b}[r\u{1b}(B\u{1b}[4l\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// The longest line that is kept, in characters; what is behind is left out of it.
const LONGEST_LINE: usize = 4096;

/// The longest number in a sequence that passes: no terminal has 10,000 columns.
const LONGEST_NUMBER: usize = 4;

/// Makes text for a viewer's terminal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TerminalText {
    reader: EscapeReader,
}

impl TerminalText {
    /// Takes a piece of the output, and adds what may be shown of it to `out`.
    pub fn push(&mut self, text: &str, out: &mut String) {
        for character in text.chars() {
            self.reader.take(character, |token| match token {
                Token::Print(character) | Token::Control(character @ ('\n' | '\r' | '\t' | '\u{8}')) => {
                    out.push(character);
                }
                Token::Csi { parameters, last } if draws(parameters, last) => {
                    out.push_str("\u{1b}[");
                    out.push_str(parameters);
                    out.push(last);
                }
                Token::Escape { intermediates, last } if is_drawing_escape(intermediates, last) => {
                    out.push('\u{1b}');
                    out.push_str(intermediates);
                    out.push(last);
                }
                Token::Control(_) | Token::Csi { .. } | Token::Escape { .. } => {}
            });
        }
    }
}

/// Whether a control sequence only draws. Reports (`n`, `c`, `t`, `x`), repetition (`b`) and modes of keys and mouse do
/// more.
fn draws(parameters: &str, last: char) -> bool {
    let is_plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'))
            && text.split([';', ':']).all(|number| number.len() <= LONGEST_NUMBER)
    };
    match last {
        'A'..='H'
        | 'J'..='M'
        | 'P'
        | 'S'
        | 'T'
        | 'X'
        | '@'
        | '`'
        | 'a'
        | 'd'
        | 'e'
        | 'f'
        | 'm'
        | 'r'
        | 's'
        | 'u' => is_plain(parameters),
        // Insert mode, wrapping, the cursor, the other screen.
        'h' | 'l' => matches!(parameters, "4" | "?7" | "?25" | "?47" | "?1047" | "?1048" | "?1049"),
        _ => false,
    }
}

/// Cursor kept and put back, line feeds, and the two character sets that programs draw boxes with.
fn is_drawing_escape(intermediates: &str, last: char) -> bool {
    match intermediates {
        "" => matches!(last, '7' | '8' | 'D' | 'E' | 'M'),
        "(" | ")" => matches!(last, 'B' | '0'),
        _ => false,
    }
}

/// A line of what a session showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimedLine {
    /// When it began.
    pub at: Duration,
    /// Its text, without any control.
    pub text: String,
}

/// Makes lines of plain text.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PlainLines {
    reader: EscapeReader,
    line: String,
    characters: usize,
    began: Option<Duration>,
}

impl PlainLines {
    /// Takes a piece of the output, and adds the lines that are over to `out`. A line that is written again from its
    /// beginning is a new one; empty lines are left out.
    pub fn push(&mut self, at: Duration, text: &str, out: &mut Vec<TimedLine>) {
        for character in text.chars() {
            let mut token = None;
            self.reader.take(character, |found| {
                token = match found {
                    Token::Print(character) | Token::Control(character) => Some(character),
                    // The cursor went elsewhere: what follows does not belong to this line.
                    Token::Csi { last: 'H' | 'f' | 'A' | 'B' | 'd', .. } => Some('\n'),
                    Token::Csi { .. } | Token::Escape { .. } => None,
                };
            });
            match token {
                Some('\n' | '\r' | '\u{b}' | '\u{c}') => self.end_line(out),
                Some('\t') => self.show(at, ' '),
                Some('\u{8}') => {
                    if self.line.pop().is_some() {
                        self.characters -= 1;
                    }
                }
                Some(character) if !character.is_control() => self.show(at, character),
                Some(_) | None => {}
            }
        }
    }

    /// The end of the session: the line that was begun.
    pub fn finish(mut self, out: &mut Vec<TimedLine>) {
        self.end_line(out);
    }

    fn show(&mut self, at: Duration, character: char) {
        self.began.get_or_insert(at);
        if self.characters < LONGEST_LINE {
            self.line.push(character);
            self.characters += 1;
        }
    }

    fn end_line(&mut self, out: &mut Vec<TimedLine>) {
        let at = self.began.take().unwrap_or_default();
        self.characters = 0;
        let text = std::mem::take(&mut self.line);
        if !text.trim().is_empty() {
            out.push(TimedLine { at, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terminal(text: &str) -> String {
        let mut out = String::new();
        TerminalText::default().push(text, &mut out);
        out
    }

    fn lines(text: &str) -> Vec<String> {
        let (mut plain, mut out) = (PlainLines::default(), Vec::new());
        plain.push(Duration::ZERO, text, &mut out);
        plain.finish(&mut out);
        out.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn only_what_draws_reaches_a_terminal() {
        for (text, shown) in [
            ("plain\r\n\tä\u{8}", "plain\r\n\tä\u{8}"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m"),
            (
                "\u{1b}[2J\u{1b}[10;5H\u{1b}[?25l\u{1b}(0x\u{1b}(B",
                "\u{1b}[2J\u{1b}[10;5H\u{1b}[?25l\u{1b}(0x\u{1b}(B",
            ),
            // Clipboard, link, title (three ways), cut by ST, BEL and C1.
            ("a\u{1b}]52;c;ZXZpbA==\u{7}b", "ab"),
            ("a\u{1b}]8;;https://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\b", "alinkb"),
            ("a\u{1b}]0;title\u{7}b\u{9d}2;title\u{9c}c\u{1b}ktitle\u{1b}\\d", "abcd"),
            // Device control, privacy, application strings.
            ("a\u{1b}P+q544e\u{1b}\\b\u{1b}^x\u{1b}\\c\u{1b}_x\u{1b}\\d\u{90}x\u{9c}e", "abcde"),
            // Reports, window operations, repetition, modes, reset, bell, SO.
            (
                "a\u{1b}[6n\u{1b}[c\u{1b}[>c\u{1b}[21t\u{1b}[8;999;999t\u{1b}[999999b\u{1b}[?1000h\u{1b}[?2004hb",
                "ab",
            ),
            ("a\u{1b}c\u{7}\u{e}\u{5}\u{1b}=b", "ab"),
            ("a\u{1b}[1000000Cb\u{1b}[1$rc", "abc"),
            // What was begun and not ended shows nothing; what ends it early starts anew.
            ("a\u{1b}]0;never ends", "a"),
            ("a\u{1b}]0;x\u{1b}[31mb", "a\u{1b}[31mb"),
            ("a\u{1b}[3\u{18}b", "ab"),
        ] {
            assert_eq!(terminal(text), shown, "{text:?}");
        }
        assert_eq!(terminal(&format!("a\u{1b}[{}mb", "1;".repeat(100))), "ab");
        assert_eq!(terminal(TERMINAL_RESET), TERMINAL_RESET);
    }

    #[test]
    fn lines_are_what_a_reader_would_have_seen() {
        for (text, expected) in [
            ("one\r\ntwo\n\n  \nthree", &["one", "two", "three"][..]),
            ("10%\r50%\r100%\r\n", &["10%", "50%", "100%"]),
            ("\u{1b}[1mpass\u{1b}[0mword\n", &["password"]),
            ("abx\u{8}c\n", &["abc"]),
            ("\u{1b}]0;title\u{7}$ ls\n", &["$ ls"]),
            ("top\u{1b}[5;1Hbelow", &["top", "below"]),
        ] {
            assert_eq!(lines(text), expected, "{text:?}");
        }
        assert_eq!(lines(&"x".repeat(10_000))[0].len(), LONGEST_LINE);
    }

    proptest! {
        #[test]
        fn nothing_but_drawing_comes_out(
            text in "[a-c0-9;?$\u{1b}\u{7}\u{9b}\u{9d}\u{9c}\u{90}\\[\\]P_^kntc()\\\\]{0,60}",
            cut in 0usize..60,
        ) {
            let (mut whole, mut pieces) = (String::new(), String::new());
            TerminalText::default().push(&text, &mut whole);
            let (start, end) = text.split_at(text.floor_char_boundary(cut.min(text.len())));
            let mut shown = TerminalText::default();
            shown.push(start, &mut pieces);
            shown.push(end, &mut pieces);
            prop_assert_eq!(&whole, &pieces, "cut");
            // What comes out passes unchanged: there is nothing left to drop.
            prop_assert_eq!(terminal(&whole), whole.clone());
            let commands = ['\u{7}', '\u{9b}', '\u{9d}', '\u{90}'];
            prop_assert!(!whole.contains(commands), "a command");
            prop_assert!(lines(&text).iter().all(|line| !line.contains(char::is_control)));
        }
    }
}
