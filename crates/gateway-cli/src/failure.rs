//! What becomes of anything that goes wrong: one line that says what happened, the chain of causes, a
//! hint that says what to do, and an exit code that scripts can rely on.

mod advice;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use gateway_client::text::lines;

/// How the program ended, when it is not well. The numbers are fixed (DESIGN 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// It was tried and failed.
    Failed,
    /// It was asked for wrongly.
    Usage,
    /// A credential is missing.
    NotSignedIn,
    /// The gateway says no.
    Refused,
    /// The gateway or the rack does not answer.
    Unreachable,
}

impl Exit {
    /// The number.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotSignedIn => 3,
            Exit::Refused => 4,
            Exit::Unreachable => 5,
        }
    }

    /// The same for `main`.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(self.number())
    }
}

/// Something that went wrong, ready to be shown. Whoever makes one has checked that no secret is in it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    /// A failure that has no deeper cause.
    pub(crate) fn new(exit: Exit, what: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { exit, error: anyhow::Error::msg(what), hint: None }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure with another exit code.
    #[must_use]
    pub(crate) fn exits(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The exit code it asks for.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened and why, in one line.
    pub(crate) fn sentence(&self) -> String {
        lines(&self.causes().join(": ")).replace('\n', " ")
    }

    /// The texts of the chain. Transparent errors and those that quote their cause would say it twice.
    fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        for cause in self.error.chain() {
            let text = cause.to_string();
            if !causes.iter().any(|said| said.contains(&text)) {
                causes.push(text);
            }
        }
        causes
    }

    /// Writes it to standard error, unless it is only that nobody reads standard output any more
    /// (`… | head`).
    pub(crate) fn report(&self) {
        if !self.is_broken_pipe() {
            // There is no other place to say that this did not work either.
            let _ = io::stderr().lock().write_all(self.to_string().as_bytes());
        }
    }

    fn is_broken_pipe(&self) -> bool {
        self.error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, text) in self.causes().iter().enumerate() {
            let label = if depth == 0 { "error:" } else { "  because:" };
            writeln!(f, "{label} {}", lines(text))?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {}", lines(hint)),
            None => Ok(()),
        }
    }
}

impl<E> From<E> for Failure
where
    E: std::error::Error + Send + Sync + 'static,
{
    fn from(error: E) -> Self {
        let (exit, hint) = (advice::exit(&error), advice::hint(&error));
        Self { exit, error: anyhow::Error::new(error), hint }
    }
}

/// Puts words of the command before an error of a library.
pub(crate) trait Problem<T> {
    /// `error: WHAT`, then the error as its cause.
    fn problem(self, what: impl fmt::Display + Send + Sync + 'static) -> Result<T, Failure>;
}

impl<T, E> Problem<T> for Result<T, E>
where
    E: std::error::Error + Send + Sync + 'static,
{
    fn problem(self, what: impl fmt::Display + Send + Sync + 'static) -> Result<T, Failure> {
        self.map_err(|error| {
            let (exit, hint) = (advice::exit(&error), advice::hint(&error));
            Failure { exit, error: anyhow::Error::new(error).context(what), hint }
        })
    }
}
