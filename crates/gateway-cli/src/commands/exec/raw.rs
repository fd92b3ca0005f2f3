//! The terminal of this process: how large it is, and key by key while a session goes on.

use std::io::{self, IsTerminal as _};

use gateway_client::Window;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// A terminal that is read key by key. Dropped, also while a panic unwinds, it is as it was.
pub(super) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Makes standard input raw; `None` when it is no terminal.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn enter() -> io::Result<Option<Self>> {
        let input = io::stdin();
        if !input.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        // What was typed ahead stays.
        tcsetattr(&input, OptionalActions::Drain, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone has nobody whom this could be told.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Whether somebody types: what is read is keys and no file.
pub(super) fn is_typed() -> bool {
    io::stdin().is_terminal()
}

/// What the session is shown in; `None` when that is no terminal, or one that does not say.
pub(super) fn window() -> Option<Window> {
    let output = io::stdout();
    let size = tcgetwinsize(&output).ok().filter(|_| output.is_terminal())?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(Window { columns: size.ws_col, rows: size.ws_row })
}
