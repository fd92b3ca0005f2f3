//! The person at the terminal: is there one, and what do they answer.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use gateway_client::{NotACode, SecondFactor};

use crate::failure::{Exit, Failure};
use crate::output::remark;

/// The longest answer, in bytes.
const MOST_BYTES: u64 = 1024;
/// How often a code may be typed that is none.
const TRIES: usize = 3;

/// Who can be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Whether somebody sits there.
    pub(crate) is_there: bool,
    /// Asks, and returns the line that was typed without its end; `None` when there will be none.
    pub(crate) ask: fn(&str) -> io::Result<Option<String>>,
}

/// Whether something may be lost without asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Assent {
    /// It was said with the command: `--yes`.
    Given,
    /// It has to be asked for.
    Needed,
}

impl Assent {
    /// As the flag says.
    pub(crate) const fn of(yes: bool) -> Self {
        if yes { Assent::Given } else { Assent::Needed }
    }
}

impl Terminal {
    /// The terminal of this process.
    pub(crate) fn of_process() -> Self {
        let is_there = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self { is_there, ask: ask_here }
    }

    /// Asks for a second factor until one is typed that can be one. `None` when nobody gives one.
    pub(crate) fn code(&self, why: &str) -> Result<Option<SecondFactor>, Failure> {
        if !self.is_there {
            return Ok(None);
        }
        for _ in 0..TRIES {
            let question = format!("{why}\nCode of your authenticator, or a backup code: ");
            let Some(answer) = (self.ask)(&question)? else { return Ok(None) };
            match answer.parse() {
                Ok(factor) => return Ok(Some(factor)),
                Err(_) if answer.trim().is_empty() => return Ok(None),
                Err(fault) => remark(&NotACode::to_string(&fault)),
            }
        }
        Ok(None)
    }

    /// Goes on only when that is wanted.
    ///
    /// # Errors
    /// When it is not, or nobody can be asked.
    pub(crate) fn confirm(&self, what: &str, assent: Assent) -> Result<(), Failure> {
        if assent == Assent::Given {
            return Ok(());
        }
        if !self.is_there {
            return Err(Failure::new(Exit::Usage, format!("{what}: nobody is there to confirm it"))
                .hint("say --yes when it is meant"));
        }
        let answer = (self.ask)(&format!("{what}. Go on? [y/N] "))?.unwrap_or_default();
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::new(Exit::Failed, "nothing was changed")),
        }
    }
}

/// The question goes to standard error, so that an answer on standard output stays clean. What is typed
/// is shown: a code is good once, and whoever types it blindly types it twice.
fn ask_here(question: &str) -> io::Result<Option<String>> {
    let mut err = io::stderr().lock();
    err.write_all(question.as_bytes())?;
    err.flush()?;
    let mut line = String::new();
    let read = io::stdin().lock().take(MOST_BYTES).read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Runs what waits for a person without holding up the others.
pub(crate) fn waiting<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(is_there: bool, ask: fn(&str) -> io::Result<Option<String>>) -> Terminal {
        Terminal { is_there, ask }
    }

    #[test]
    fn nothing_is_lost_without_a_yes() {
        let nobody = terminal(false, |_| panic!("nobody can be asked"));
        assert_eq!(nobody.confirm("x", Assent::Needed).unwrap_err().exit(), Exit::Usage);
        assert!(nobody.confirm("x", Assent::Given).is_ok());
        assert!(terminal(true, |_| Ok(Some(" Yes ".to_owned()))).confirm("x", Assent::Needed).is_ok());
        for answer in
            [|_: &str| Ok(Some("n".to_owned())), |_: &str| Ok(Some(String::new())), |_: &str| Ok(None)]
        {
            let ask: fn(&str) -> io::Result<Option<String>> = answer;
            assert!(terminal(true, ask).confirm("x", Assent::Needed).is_err());
        }
    }

    #[test]
    fn a_code_is_asked_for_only_where_somebody_sits() {
        assert!(terminal(false, |_| panic!("nobody can be asked")).code("x").unwrap().is_none());
        let typed = terminal(true, |_| Ok(Some("123 456".to_owned()))).code("x").unwrap();
        assert!(matches!(typed, Some(SecondFactor::Totp(code)) if code.expose() == "123456"));
        assert!(terminal(true, |_| Ok(Some("12345".to_owned()))).code("x").unwrap().is_none());
        assert!(terminal(true, |_| Ok(None)).code("x").unwrap().is_none());
    }
}
