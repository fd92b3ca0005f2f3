//! What a terminal would make of a text: characters, controls and sequences (ECMA-48). It must not know which of them
//! are harmless.

/// The longest sequence that is looked at, in characters. A longer one is no terminal's.
const LONGEST: usize = 64;

/// A piece of the text, as a terminal takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token<'a> {
    /// A character to show.
    Print(char),
    /// A control of one character, below U+0020 or U+007F.
    Control(char),
    /// ESC, perhaps intermediates, a final character.
    Escape {
        /// Between them.
        intermediates: &'a str,
        /// The last.
        last: char,
    },
    /// A control sequence: CSI, parameters and intermediates, a final character.
    Csi {
        /// Between them.
        parameters: &'a str,
        /// The last.
        last: char,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
    /// Within a string that commands the terminal: title, clipboard, link, device control. Nothing of it is told.
    Text,
}

/// Reads a text that may come in pieces.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct EscapeReader {
    state: State,
    collected: String,
    too_long: bool,
}

impl EscapeReader {
    /// Takes the next character.
    pub(crate) fn take(&mut self, character: char, mut on_token: impl FnMut(Token<'_>)) {
        match (self.state, character) {
            (_, '\u{1b}') => self.enter(State::Escape),
            (_, '\u{9b}') => self.enter(State::Csi),
            (_, '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}') => self.enter(State::Text),
            // CAN and SUB end whatever was begun; so does ST.
            (_, '\u{18}' | '\u{1a}' | '\u{9c}') => self.enter(State::Ground),
            (State::Text, '\u{7}') => self.enter(State::Ground),
            (State::Text, _) => {}
            // The other controls of U+0080 to U+009F are sequences of one character; none is needed.
            (_, '\u{80}'..='\u{9f}') => {}
            // Terminals obey these within sequences too.
            (_, '\u{0}'..='\u{1f}' | '\u{7f}') => on_token(Token::Control(character)),
            (State::Ground, _) => on_token(Token::Print(character)),
            (State::Escape, _) => self.escape(character, on_token),
            (State::Csi, ' '..='?') => self.collect(character),
            (State::Csi, '@'..='~') => {
                if !self.too_long {
                    on_token(Token::Csi { parameters: &self.collected, last: character });
                }
                self.enter(State::Ground);
            }
            // Not of a sequence: it was none, and this is to be shown.
            (State::Csi, _) => {
                self.enter(State::Ground);
                on_token(Token::Print(character));
            }
        }
    }

    fn escape(&mut self, character: char, mut on_token: impl FnMut(Token<'_>)) {
        match character {
            '[' if self.collected.is_empty() => self.enter(State::Csi),
            ']' | 'P' | 'X' | '^' | '_' if self.collected.is_empty() => self.enter(State::Text),
            // How screen and tmux are told a title: ESC k … ESC \.
            'k' if self.collected.is_empty() => self.enter(State::Text),
            ' '..='/' => self.collect(character),
            '0'..='~' => {
                if !self.too_long {
                    on_token(Token::Escape { intermediates: &self.collected, last: character });
                }
                self.enter(State::Ground);
            }
            _ => {
                self.enter(State::Ground);
                on_token(Token::Print(character));
            }
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.collected.clear();
        self.too_long = false;
    }

    fn collect(&mut self, character: char) {
        if self.collected.len() < LONGEST {
            self.collected.push(character);
        } else {
            self.too_long = true;
        }
    }
}
