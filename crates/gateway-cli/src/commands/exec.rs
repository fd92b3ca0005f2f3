//! `exec`, `run`, `console`, `shell`: sessions in the rack, with the names, flags and defaults of the official client,
//! and the exit code of the command.
//!
//! The terminal is raw while a session goes on, and as it was before on every way out. Without a terminal bytes pass as
//! they are.

mod raw;
mod run;
mod streams;

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use gateway_client::text::one_line;
use gateway_client::{Conversation, Execution, SessionNews, SessionRequest};
use tokio::sync::mpsc;

use super::native::{AppArgument, Place};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::Remote;
use raw::{RawTerminal, is_typed, window};
use streams::{Ending, Signals, reader, writer};

pub(crate) use run::RunArguments;
pub(crate) use run::run as run_process;

/// The key of an interrupt.
const INTERRUPT: u8 = 3;

/// The arguments of `exec`.
#[derive(Args, Debug)]
#[command(
    after_help = "The exit code is the command's own. Examples:\n  rack-gateway exec web-7d9f8b6c5-aaaa0 sh -a web\n  rack-gateway exec web-7d9f8b6c5-aaaa0 \"ls -la /app\" -a web"
)]
pub(crate) struct ExecArguments {
    /// Which app.
    #[command(flatten)]
    pub(crate) which: AppArgument,
    /// The process, as the rack calls it
    #[arg(value_name = "PID")]
    pub(crate) process: String,
    /// The command; flags of its own stand in quotes with it, or behind --
    #[arg(value_name = "COMMAND", required = true)]
    pub(crate) command: Vec<String>,
}

/// The arguments of `console`.
#[derive(Args, Debug)]
pub(crate) struct ConsoleArguments {
    /// Which app.
    #[command(flatten)]
    pub(crate) which: AppArgument,
    /// The resource
    #[arg(value_name = "RESOURCE")]
    pub(crate) resource: String,
}

/// The arguments of `shell`.
#[derive(Args, Debug)]
pub(crate) struct ShellArguments {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    pub(crate) instance: String,
    /// A command instead of a shell; flags of its own stand in quotes with it, or behind --
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Runs a command in a process.
pub(crate) async fn exec(context: &Context, arguments: ExecArguments) -> Result<ExitCode, Failure> {
    let app = arguments.which.name(context)?;
    let remote = Place::open(context)?.remote;
    let command = arguments.command.join(" ");
    let request = SessionRequest::exec(&Execution {
        app: &app,
        process: &arguments.process,
        command: &command,
        with_entrypoint: false,
        is_typed: is_typed(),
        window: window(),
    })?;
    session(&remote, &request, Telling::ExitCode).await
}

/// Opens the console of a resource, such as a database's own client.
pub(crate) async fn console(context: &Context, arguments: ConsoleArguments) -> Result<ExitCode, Failure> {
    let app = arguments.which.name(context)?;
    let remote = Place::open(context)?.remote;
    session(&remote, &SessionRequest::console(&app, &arguments.resource, window()), Telling::Nothing).await
}

/// Opens a shell on an instance.
pub(crate) async fn shell(context: &Context, arguments: ShellArguments) -> Result<ExitCode, Failure> {
    let remote = Place::open(context)?.remote;
    let command = Some(arguments.command.join(" ")).filter(|command| !command.is_empty());
    let request = SessionRequest::shell(&arguments.instance, command.as_deref(), window())?;
    session(&remote, &request, Telling::ExitCode).await
}

/// What the rack tells at the end of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Telling {
    /// The exit code of a command. Without one it was not run, or not to its end.
    ExitCode,
    /// Nothing: consoles have no command.
    Nothing,
}

/// Opens a session and carries it between the rack and whoever sits here, until it is over.
async fn session(remote: &Remote, request: &SessionRequest, telling: Telling) -> Result<ExitCode, Failure> {
    // Before anything is opened, so that no signal can come between.
    let mut signals = Signals::listen()?;
    let (tell, news) = mpsc::channel(4);
    let opened = remote.ask(async |client| client.open_session(request, tell.clone()).await).await?;
    drop(tell);
    // Only now, since a second factor may have been asked for before.
    let raw = RawTerminal::enter()?;
    let (output, written) = writer();
    let (is_raw, is_away) = (raw.is_some(), AtomicBool::new(false));
    let mut lost = None;
    let end = {
        let (typed, input) = mpsc::channel(1);
        let given_up = pass_on(reader(), typed, || is_raw && is_away.load(Ordering::Relaxed));
        let stop = async {
            tokio::select! {
                signal = signals.next() => signal,
                () = given_up => Ending::Interrupt,
            }
        };
        let conversing = opened.converse(input, output, stop);
        tokio::join!(conversing, follow(news, is_raw, &is_away, &mut lost)).0
    };
    drop(raw);
    match end {
        Err(signal) => Ok(ExitCode::from(signal.exit_code())),
        Ok(end) => {
            // What was shown is written out before the program ends, or nobody takes it.
            let written = written.await;
            match (end, written) {
                (Conversation::Unread, Ok(Err(error))) => Err(error.into()),
                // A whole command whose output is not whole, as on a full disk.
                (Conversation::Exited(0) | Conversation::Over, Ok(Err(error)))
                    if error.kind() != io::ErrorKind::BrokenPipe =>
                {
                    Err(error.into())
                }
                (end, _) => ended(end, telling, lost),
            }
        }
    }
}

/// Passes on what is typed. Ready when an interrupt is typed while `is_away`: nobody else would hear it.
async fn pass_on(mut from: mpsc::Receiver<Vec<u8>>, to: mpsc::Sender<Vec<u8>>, is_away: impl Fn() -> bool) {
    while let Some(bytes) = from.recv().await {
        if is_away() && bytes.contains(&INTERRUPT) {
            return;
        }
        if to.send(bytes).await.is_err() {
            break;
        }
    }
    // The end of what is typed is the end of nothing else.
    drop(to);
    std::future::pending().await
}

/// Tells what becomes of the connection; where it was lost for good, `lost` says why.
async fn follow(
    mut news: mpsc::Receiver<SessionNews>,
    is_raw: bool,
    is_away: &AtomicBool,
    lost: &mut Option<String>,
) {
    // In a raw terminal a line begins where the one before it ended.
    let (before, after) = if is_raw { ("\r\n", "\r") } else { ("", "") };
    while let Some(one) = news.recv().await {
        is_away.store(matches!(one, SessionNews::Lost { .. }), Ordering::Relaxed);
        let line = match one {
            SessionNews::Lost { patience } => {
                let seconds = patience.as_secs();
                format!("the connection was lost; trying again for {seconds} s; Ctrl-C gives up")
            }
            SessionNews::Resumed => "connected again".to_owned(),
            SessionNews::GaveUp { reason } => {
                *lost = Some(reason);
                continue;
            }
        };
        remark(&format!("{before}[rack-gateway] {line}{after}"));
    }
}

/// What an end means to whoever called the program; `lost` is why its connection could not be had again.
fn ended(end: Conversation, telling: Telling, lost: Option<String>) -> Result<ExitCode, Failure> {
    match end {
        Conversation::Lost if lost.is_some() => {
            let reason = one_line(&lost.unwrap_or_default());
            Err(Failure::new(Exit::Failed, format!("the session is lost: {reason}")))
        }
        Conversation::Exited(code) => Ok(ExitCode::from(exit_code(code))),
        Conversation::Over if telling == Telling::Nothing => Ok(ExitCode::SUCCESS),
        Conversation::Over => Err(Failure::new(
            Exit::Failed,
            "the rack ended the session without the command's exit code; what it said stands above",
        )),
        Conversation::Unread => Err(Failure::new(Exit::Failed, "standard output is closed")),
        Conversation::Lost => Err(Failure::new(
            Exit::Failed,
            "the connection to the gateway was lost before the command's end was told",
        )
        .hint(
            "whether the command still runs cannot be told from here; look with `rack-gateway sessions live`",
        )),
        Conversation::Broke => Err(Failure::new(Exit::Failed, "what came is no session of a rack")
            .hint("something in between may change WebSockets; `rack-gateway selfcheck` shows it")),
    }
}

/// The exit code of a program is eight bits wide; the rack's -1 is 255, as for the official client.
fn exit_code(code: i32) -> u8 {
    let [low, ..] = code.to_le_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_command() {
        for (told, exits) in [(0, 0), (3, 3), (255, 255), (-1, 255), (256, 0), (130, 130)] {
            assert_eq!(exit_code(told), exits);
            assert_eq!(
                ended(Conversation::Exited(told), Telling::ExitCode, None).unwrap(),
                ExitCode::from(exits)
            );
        }
        assert_eq!(ended(Conversation::Over, Telling::Nothing, None).unwrap(), ExitCode::SUCCESS);
        let unsaid = ended(Conversation::Over, Telling::ExitCode, None);
        assert_eq!(unsaid.unwrap_err().exit(), Exit::Failed, "a command without a code was not run");
        for broken in [Conversation::Lost, Conversation::Broke, Conversation::Unread] {
            assert_eq!(
                ended(broken, Telling::ExitCode, None).unwrap_err().exit(),
                Exit::Failed,
                "a broken session is no success"
            );
        }
    }
}
