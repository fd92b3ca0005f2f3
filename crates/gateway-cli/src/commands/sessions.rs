//! `sessions`: where somebody is signed in, and which sessions in the rack go on.

mod watch;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::recordings::RecordedSession;
use gateway_types::wire::sessions::{Session, SessionsEnded, TrustedDevice};
use gateway_types::wire::users::User;
use serde::Serialize;

use super::listing::{every, minute};
use super::users::find;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The arguments of `sessions`.
#[derive(Args, Debug)]
pub(crate) struct SessionsArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: SessionsCommand,
}

/// What to do with sessions.
#[derive(Subcommand, Debug)]
pub(crate) enum SessionsCommand {
    /// List live sessions
    List {
        /// Somebody else's: e-mail address or id
        #[arg(long, value_name = "PERSON")]
        user: Option<String>,
    },
    /// End a session; it is refused from its next request on
    Revoke {
        /// The session's id, or a beginning of it that no other has
        #[arg(value_name = "SESSION")]
        session: String,
        /// Somebody else's: e-mail address or id
        #[arg(long, value_name = "PERSON")]
        user: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// End all of your sessions, also this one; or all of somebody else's
    RevokeAll {
        /// Somebody else's: e-mail address or id
        #[arg(long, value_name = "PERSON")]
        user: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List your browsers that need no second factor to sign in
    Trusted,
    /// Trust one of them no longer
    Untrust {
        /// Its id, or a beginning of it that no other has
        #[arg(value_name = "DEVICE")]
        device: String,
    },
    /// List sessions in the rack that go on: execs, shells, consoles, channels
    Live,
    /// Watch one of those, read-only, until it is over; a moment late, with secrets masked
    Watch {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Join one that waits for a second person; it begins, and ends when you stop watching
    Join {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// End one of those; its person sees who did and why
    End {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// End all sessions but this one
    RevokeOthers {
        /// All of somebody else's instead: e-mail address or id
        #[arg(long, value_name = "PERSON")]
        user: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Serialize)]
struct Forgotten<'a> {
    id: &'a str,
    trusted: bool,
}

#[derive(Serialize)]
struct Ended<'a> {
    id: &'a str,
    ended: bool,
}

#[derive(Serialize)]
struct Revoked<'a> {
    id: &'a str,
    revoked: bool,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: SessionsArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match arguments.command {
        SessionsCommand::List { user } => {
            let whose = whose(&remote, user.as_deref()).await?;
            let sessions = live(&remote, whose.as_ref()).await?;
            context.output.listing(&sessions, &rows(&sessions), "there is no live session")?;
        }
        SessionsCommand::Revoke { session, user, yes } => {
            let whose = whose(&remote, user.as_deref()).await?;
            revoke(context, &remote, whose.as_ref(), &session, yes).await?;
        }
        SessionsCommand::RevokeAll { user, yes } => {
            let whose = whose(&remote, user.as_deref()).await?;
            revoke_all(context, &remote, whose.as_ref(), yes).await?;
        }
        SessionsCommand::Trusted => {
            let devices = remote.ask(async |client| client.trusted_devices().await).await?.items;
            context.output.listing(&devices, &device_rows(&devices), "there is no trusted browser")?;
        }
        SessionsCommand::Live => {
            let live = remote.ask(async |client| client.live_sessions().await).await?.items;
            context.output.listing(&live, &live_rows(&live), "no session goes on in the rack")?;
        }
        SessionsCommand::Watch { id } => watch::watch(&remote, &id).await?,
        SessionsCommand::Join { id } => {
            remote.ask(async |client| client.join_session(&id).await).await?;
            remark("you are the second person of this session; it ends when you stop watching (Ctrl-C)");
            watch::watch(&remote, &id).await?;
        }
        SessionsCommand::End { id, reason } => {
            remote.ask(async |client| client.end_session(&id, &reason).await).await?;
            let answer = Ended { id: &id, ended: true };
            context.output.answer(&answer, || format!("{} is told to end", one_line(&id)))?;
        }
        SessionsCommand::Untrust { device } => untrust(context, &remote, &device).await?,
        SessionsCommand::RevokeOthers { user, yes } => {
            let whose = whose(&remote, user.as_deref()).await?;
            revoke_others(context, &remote, whose.as_ref(), yes).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn whose(remote: &Remote, user: Option<&str>) -> Result<Option<User>, Failure> {
    match user {
        Some(person) => Ok(Some(find(remote, person).await?.value)),
        None => Ok(None),
    }
}

async fn live(remote: &Remote, whose: Option<&User>) -> Result<Vec<Session>, Failure> {
    every(remote, None, async |client, page| match whose {
        Some(user) => client.sessions_of(&user.id, page).await,
        None => client.sessions(page).await,
    })
    .await
}

fn rows(sessions: &[Session]) -> Rows {
    let mut rows =
        Rows::new(&["ID", "KIND", "DEVICE", "CLIENT", "FROM", "LAST FROM", "SINCE", "LAST SEEN", "ENDS", ""]);
    for session in sessions {
        rows.add(vec![
            session.id.clone(),
            session.kind.replace('_', " "),
            session.device.clone(),
            session.client.clone().unwrap_or_default(),
            session.ip.clone().unwrap_or_default(),
            session.last_ip.clone().unwrap_or_default(),
            minute(Some(&session.created), ""),
            minute(Some(&session.last_seen), ""),
            minute(Some(&session.expires), ""),
            if session.current { "this one".to_owned() } else { String::new() },
        ]);
    }
    rows
}

fn live_rows(sessions: &[RecordedSession]) -> Rows {
    let mut rows = Rows::new(&[
        "ID",
        "SINCE",
        "WHO",
        "FROM",
        "WHAT",
        "APP",
        "IN",
        "COMMAND",
        "RECORDED",
        "SECOND PERSON",
        "CLIENT",
    ]);
    for one in sessions {
        rows.add(vec![
            one.id.clone(),
            minute(Some(&one.began), ""),
            one.actor.clone(),
            one.source_ip.clone(),
            one.action.clone(),
            one.app.clone().unwrap_or_default(),
            one.target.clone(),
            one.command.clone().unwrap_or_default(),
            one.mode.replace('_', " "),
            one.second.clone().unwrap_or_default(),
            if one.detached.is_some() { "away".to_owned() } else { String::new() },
        ]);
    }
    rows
}

async fn revoke(
    context: &Context,
    remote: &Remote,
    whose: Option<&User>,
    session: &str,
    yes: bool,
) -> Result<(), Failure> {
    let sessions = live(remote, whose).await?;
    let found = one(&sessions, session)?;
    let question = format!("the session on {} ends", one_line(&found.device));
    waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
    remote.ask(async |client| end(client, whose, &found.id).await).await?;
    let answer = Revoked { id: &found.id, revoked: true };
    context.output.answer(&answer, || format!("revoked {}", one_line(&found.id)))
}

async fn end(
    client: &gateway_client::Client,
    whose: Option<&User>,
    session: &str,
) -> Result<(), gateway_client::ClientError> {
    match whose {
        Some(user) => client.revoke_session_of(&user.id, session).await,
        None => client.revoke_session(session).await,
    }
}

async fn revoke_others(
    context: &Context,
    remote: &Remote,
    whose: Option<&User>,
    yes: bool,
) -> Result<(), Failure> {
    let question = match whose {
        Some(user) => format!("all sessions of {} end", one_line(&user.email)),
        None => "all of your sessions but this one end".to_owned(),
    };
    waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
    let ended = match whose {
        None => remote.ask(async |client| client.revoke_other_sessions().await).await?.ended,
        Some(_) => {
            let mut ended = 0;
            for session in live(remote, whose).await?.iter().filter(|session| !session.current) {
                remote.ask(async |client| end(client, whose, &session.id).await).await?;
                ended += 1;
            }
            ended
        }
    };
    context.output.answer(&SessionsEnded { ended }, || format!("{ended} ended"))
}

async fn revoke_all(
    context: &Context,
    remote: &Remote,
    whose: Option<&User>,
    yes: bool,
) -> Result<(), Failure> {
    let question = match whose {
        Some(user) => format!("all sessions of {} end", one_line(&user.email)),
        None => "all of your sessions end, also this one".to_owned(),
    };
    waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
    let ended = remote
        .ask(async |client| match whose {
            Some(user) => client.revoke_sessions_of(&user.id).await,
            None => client.revoke_all_sessions().await,
        })
        .await?
        .ended;
    context.output.answer(&SessionsEnded { ended }, || format!("{ended} ended"))
}

fn device_rows(devices: &[TrustedDevice]) -> Rows {
    let mut rows = Rows::new(&["ID", "BROWSER", "FROM", "SINCE", "LAST USED", "UNTIL"]);
    for device in devices {
        rows.add(vec![
            device.id.clone(),
            device.name.clone(),
            device.ip.clone().unwrap_or_default(),
            minute(Some(&device.created), ""),
            minute(Some(&device.last_used), ""),
            minute(Some(&device.expires), ""),
        ]);
    }
    rows
}

async fn untrust(context: &Context, remote: &Remote, id: &str) -> Result<(), Failure> {
    let devices = remote.ask(async |client| client.trusted_devices().await).await?.items;
    let mut found = devices.iter().filter(|device| device.id.starts_with(id));
    let device = match (found.next(), found.next()) {
        (Some(device), None) => device,
        (Some(_), Some(_)) => {
            return Err(Failure::new(Exit::Usage, "more than one trusted browser has an id that begins so"));
        }
        (None, _) => {
            return Err(Failure::new(Exit::Failed, "no trusted browser has an id that begins so")
                .hint("`rack-gateway sessions trusted` shows them"));
        }
    };
    remote.ask(async |client| client.forget_device(&device.id).await).await?;
    let answer = Forgotten { id: &device.id, trusted: false };
    context.output.answer(&answer, || format!("{} is trusted no longer", one_line(&device.name)))
}

/// The only session whose id begins so.
fn one<'a>(sessions: &'a [Session], id: &str) -> Result<&'a Session, Failure> {
    let mut found = sessions.iter().filter(|session| session.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(session), None) => Ok(session),
        (Some(_), Some(_)) => {
            Err(Failure::new(Exit::Usage, "more than one session has an id that begins so"))
        }
        (None, _) => Err(Failure::new(Exit::Failed, "no live session has an id that begins so")
            .hint("`rack-gateway sessions list` shows them")),
    }
}
