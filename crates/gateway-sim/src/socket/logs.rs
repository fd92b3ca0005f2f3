//! Log sockets. The rack behind the recordings takes all options and follows only `Follow`; the demo's filters
//! and tails too.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Outcome, SocketIo, SocketKind};
use crate::call::Call;
use crate::duration;
use crate::handlers::builds;
use crate::refusal::Refusal;
use crate::state::{RackState, second_text};

/// Lines that are there at once.
const BACKLOG: usize = 10;

/// Where the lines of a log come from.
struct Source {
    app: String,
    service: String,
    process: String,
}

fn source(kind: SocketKind, call: &Call, state: &RackState) -> Result<Source, Refusal> {
    let mut state = state.lock();
    if kind == SocketKind::SystemLogs {
        let app = state.apps.keys().next().cloned().unwrap_or_default();
        return Ok(named(app, "system"));
    }
    let app = state.app(call.var("app"))?;
    let name = app.name.clone();
    match kind {
        SocketKind::ServiceLogs => {
            app.service(call.var("service"))?;
            Ok(named(name, call.var("service")))
        }
        SocketKind::ProcessLogs => {
            let process = app.process(call.var("pid"))?;
            Ok(Source { app: name, service: process.name.clone(), process: process.id.clone() })
        }
        _ => Ok(named(name, "web")),
    }
}

fn named(app: String, service: &str) -> Source {
    Source { process: format!("{app}-{service}-7d9f8b6c5-aaaa0"), service: service.to_owned(), app }
}

/// What the caller asked for, as far as it counts.
struct Options {
    follow: bool,
    filter: Option<String>,
    skip: usize,
}

fn options(call: &Call, lively: bool) -> Result<Options, Refusal> {
    if let Some(since) = call.header("Since") {
        duration::parse(since)?;
    }
    let tail = call
        .header("Tail")
        .map(|text| text.parse::<usize>().map_err(|_| Refusal::Invalid("tail")))
        .transpose()?;
    Ok(Options {
        follow: call.header("Follow").is_none_or(|text| text == "true"),
        filter: call.header("Filter").filter(|_| lively).map(str::to_owned),
        skip: tail.filter(|_| lively).map_or(0, |tail| BACKLOG.saturating_sub(tail)),
    })
}

/// The logs of an app, a service, a process or the rack.
pub(super) async fn lines<R, W>(
    kind: SocketKind,
    call: &Call,
    state: &RackState,
    io: &mut SocketIo<R, W>,
) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (lively, timing, said) = {
        let state = state.lock();
        (state.lively, state.timing, state.said.clone())
    };
    let source = source(kind, call, state)?;
    let options = options(call, lively)?;
    let every = timing.log_line_every.max(std::time::Duration::from_millis(1));
    for line in said {
        io.text(line).await?;
    }
    for number in 0.. {
        if number >= BACKLOG {
            if !options.follow {
                break;
            }
            tokio::time::sleep(every).await;
        }
        let line = format!(
            "{} service/{}/{} line {number} of {}\n",
            second_text(),
            source.service,
            source.process,
            source.app
        );
        let wanted = options.filter.as_ref().is_none_or(|filter| line.contains(filter));
        if wanted && number >= options.skip {
            io.text(line).await?;
        }
    }
    Ok(())
}

/// The log of a build: what is there in one frame, then each new line in its own.
pub(super) async fn build<R, W>(call: &Call, state: &RackState, io: &mut SocketIo<R, W>) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let every = state.lock().timing.build_step_every;
    let mut sent = 0;
    loop {
        let (lines, complete) = builds::log_so_far(&mut state.lock(), call.var("app"), call.var("id"))?;
        let text = lines.concat();
        if let Some(new) = text.get(sent..).filter(|new| !new.is_empty()) {
            io.text(new).await?;
            sent = text.len();
        }
        if complete {
            return Ok(());
        }
        tokio::time::sleep((every / 8).max(std::time::Duration::from_millis(1))).await;
    }
}
