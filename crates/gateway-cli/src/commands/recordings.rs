//! `recordings`: sessions that were recorded, shown, replayed, kept as files, searched and checked.
//!
//! What a session showed was made by its other side. So nothing of it reaches this terminal but text and what draws.

mod fetched;
mod play;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::RecordingSearch;
use gateway_client::text::one_line;
use gateway_recording::{PlainLines, TimedLine};
use gateway_types::wire::recordings::RecordedSession;
use serde::Serialize;

use super::listing::{every, minute};
use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::output::remark;
use crate::remote::Remote;
use crate::table::Rows;

use fetched::{Fetched, fetch};
use play::Pace;

/// How many recordings, and how many bytes of them, one search reads.
const MOST_SEARCHED: usize = 100;
const MOST_SEARCHED_BYTES: u64 = 64 * 1024 * 1024;

/// The arguments of `recordings`.
#[derive(Args, Debug)]
pub(crate) struct RecordingsArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: RecordingsCommand,
}

/// What to do with recordings.
#[derive(Subcommand, Debug)]
pub(crate) enum RecordingsCommand {
    /// List sessions that were recorded, newest first
    List {
        /// Also those of others
        #[arg(long)]
        all: bool,
        /// Only of this app
        #[arg(long, short = 'a', value_name = "APP")]
        app: Option<String>,
        /// Only of whoever's name contains this
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Print what a session showed, as plain text
    Show {
        /// The recording
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Show a session again in this terminal, as it went; only what draws is let through
    Replay {
        /// The recording
        #[arg(value_name = "ID")]
        id: String,
        /// How many times as fast
        #[arg(long, value_name = "TIMES", default_value_t = 1.0, value_parser = play::speed)]
        speed: f64,
        /// The longest pause, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 2)]
        idle: u64,
    },
    /// Write a recording as an asciicast file (version 2), as it was recorded
    Export {
        /// The recording
        #[arg(value_name = "ID")]
        id: String,
        /// The file; it must not exist yet
        #[arg(long, short = 'o', value_name = "FILE")]
        output: PathBuf,
    },
    /// Check that nothing of a recording was changed or removed
    Verify {
        /// The recording
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Search what sessions showed: the newest 100, 64 MiB of them at most. Each that is read is in the log as viewed
    Search {
        /// What to search for, in whatever case
        #[arg(value_name = "TEXT")]
        text: String,
        /// Also those of others
        #[arg(long)]
        all: bool,
        /// Only of this app
        #[arg(long, short = 'a', value_name = "APP")]
        app: Option<String>,
    },
}

#[derive(Serialize)]
struct Shown<'a> {
    session: &'a RecordedSession,
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    at_ms: u64,
    text: String,
}

#[derive(Serialize)]
struct Exported<'a> {
    id: &'a str,
    file: String,
    bytes: usize,
}

#[derive(Serialize)]
struct Verified<'a> {
    id: &'a str,
    state: &'a str,
    pieces: u64,
    digest: &'a str,
    lost_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged_at: Option<u64>,
}

#[derive(Serialize)]
struct Match {
    id: String,
    actor: String,
    at_ms: u64,
    line: String,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: RecordingsArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match arguments.command {
        RecordingsCommand::List { all, app, by } => {
            let search = RecordingSearch { all, app };
            let found =
                every(&remote, by.as_deref(), async |client, page| client.recordings(&search, page).await)
                    .await?;
            context.output.listing(&found, &rows(&found), "nothing was recorded")?;
        }
        RecordingsCommand::Show { id } => {
            let fetched = whole(&remote, &id).await?;
            let lines: Vec<Line> = lines(&fetched)?.into_iter().map(line).collect();
            let text = lines.iter().map(|line| one_line(&line.text)).collect::<Vec<_>>().join("\n");
            context.output.answer(&Shown { session: &fetched.session, lines }, || text)?;
        }
        RecordingsCommand::Replay { id, speed, idle } => {
            let fetched = whole(&remote, &id).await?;
            play::play(&fetched.events()?, Pace { speed, longest: std::time::Duration::from_secs(idle) })
                .await?;
            remark(&format!("{}: {}", fetched.session.state, ending(&fetched.session)));
        }
        RecordingsCommand::Export { id, output } => {
            let fetched = whole(&remote, &id).await?;
            let cast = fetched.cast();
            let mut file = std::fs::OpenOptions::new();
            std::io::Write::write_all(
                &mut file
                    .write(true)
                    .create_new(true)
                    .open(&output)
                    .problem(format!("{} cannot be made", output.display()))?,
                &cast,
            )
            .problem(format!("{} cannot be written", output.display()))?;
            let answer = Exported { id: &id, file: output.display().to_string(), bytes: cast.len() };
            context.output.answer(&answer, || {
                format!(
                    "wrote {} bytes; it holds terminal commands, so play it, do not print it",
                    answer.bytes
                )
            })?;
        }
        RecordingsCommand::Verify { id } => verify(context, &remote, &id).await?,
        RecordingsCommand::Search { text, all, app } => {
            search(context, &remote, &text, RecordingSearch { all, app }).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A whole recording; what is wrong with it is said.
async fn whole(remote: &Remote, id: &str) -> Result<Fetched, Failure> {
    let fetched = fetch(remote, id, u64::MAX).await?;
    if let Some(fault) = &fetched.fault {
        remark(&format!("warning: {}; do not rely on this recording", one_line(fault)));
    }
    Ok(fetched)
}

fn ending(session: &RecordedSession) -> String {
    let said = session.ending.as_deref().unwrap_or(match session.state.as_str() {
        "live" => "it goes on",
        _ => "the gateway that held it stopped without ending it",
    });
    one_line(said)
}

fn rows(sessions: &[RecordedSession]) -> Rows {
    let mut rows = Rows::new(&["ID", "BEGAN", "WHO", "APP", "IN", "COMMAND", "STATE", "BYTES"]);
    for one in sessions {
        rows.add(vec![
            one.id.clone(),
            minute(Some(&one.began), ""),
            one.actor.clone(),
            one.app.clone().unwrap_or_default(),
            one.target.clone(),
            one.command.clone().unwrap_or_default(),
            one.state.clone(),
            one.bytes.to_string(),
        ]);
    }
    rows
}

fn line(line: TimedLine) -> Line {
    Line { at_ms: u64::try_from(line.at.as_millis()).unwrap_or(u64::MAX), text: line.text }
}

/// What the session showed, as lines.
fn lines(fetched: &Fetched) -> Result<Vec<TimedLine>, Failure> {
    let (mut plain, mut lines) = (PlainLines::default(), Vec::new());
    for event in fetched.events()? {
        if event.kind == gateway_recording::Kind::Output {
            plain.push(event.at, &event.text, &mut lines);
        }
    }
    plain.finish(&mut lines);
    Ok(lines)
}

async fn verify(context: &Context, remote: &Remote, id: &str) -> Result<(), Failure> {
    let fetched = fetch(remote, id, u64::MAX).await?;
    if let Some(fault) = &fetched.fault {
        return Err(Failure::new(Exit::Failed, one_line(fault)));
    }
    let session = &fetched.session;
    let verified = Verified {
        id,
        state: &session.state,
        pieces: fetched.pieces,
        digest: &fetched.digest,
        lost_bytes: session.lost_bytes,
        logged_at: fetched.logged_at,
    };
    context.output.answer(&verified, || {
        let logged = match verified.logged_at {
            Some(index) => format!("the audit log holds this digest at {index}"),
            None => "the audit log does not show this digest among the first thousand events of its request"
                .to_owned(),
        };
        let lost = match session.lost_bytes {
            0 => String::new(),
            lost => format!("\n{lost} bytes of the session were not recorded"),
        };
        format!(
            "{} pieces, none changed or missing ({})\n{}\n{logged}{lost}",
            fetched.pieces, session.state, fetched.digest
        )
    })
}

async fn search(
    context: &Context,
    remote: &Remote,
    text: &str,
    search: RecordingSearch,
) -> Result<(), Failure> {
    let wanted = text.to_lowercase();
    let asked = gateway_client::Page { limit: Some(100), ..gateway_client::Page::default() };
    let listing = remote.ask(async |client| client.recordings(&search, &asked).await).await?;
    let (mut found, mut left) = (Vec::new(), MOST_SEARCHED_BYTES);
    let is_more = listing.next.is_some() || listing.items.len() > MOST_SEARCHED;
    let mut cut = is_more;
    for session in listing.items.iter().take(MOST_SEARCHED) {
        if left == 0 {
            cut = true;
            break;
        }
        let fetched = fetch(remote, &session.id, left).await?;
        left = left.saturating_sub(fetched.cast_bytes());
        for line in lines(&fetched)?.into_iter().filter(|line| line.text.to_lowercase().contains(&wanted)) {
            found.push(Match {
                id: session.id.clone(),
                actor: session.actor.clone(),
                at_ms: u64::try_from(line.at.as_millis()).unwrap_or(u64::MAX),
                line: line.text,
            });
        }
    }
    if cut {
        remark("warning: older recordings were not searched; name the app to search less");
    }
    let mut rows = Rows::new(&["ID", "WHO", "AT", "LINE"]);
    for one in &found {
        let seconds = one.at_ms / 1000;
        rows.add(vec![one.id.clone(), one.actor.clone(), format!("{seconds}s"), one.line.clone()]);
    }
    context.output.listing(&found, &rows, "no recording shows this")
}
