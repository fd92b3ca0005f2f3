//! The log as a gateway gives it: searched, followed, exported.

use std::io::{self, Write};
use std::time::Duration;

use gateway_audit::{Event, render};
use gateway_types::wire::audit::{AuditFormat, AuditQuery, AuditVerdict, ExportAudit, IndexedEvent};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::export::{ExportArguments, ExportFormat, beside, keep, taken};
use super::tail::TailArguments;
use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::output::{Format, escaped};
use crate::remote::{Remote, Target};
use crate::stop::StopSignals;

/// How often a follower asks. A gateway counts requests.
const POLL: Duration = Duration::from_secs(3);
/// The most events of a page.
const PAGE: u32 = 1000;

/// Why a whole log is not verified over the API.
pub(super) fn not_here() -> Failure {
    Failure::new(Exit::Usage, "a gateway is asked here, and a whole log is verified from its database or from an export of it")
        .hint("run this on the gateway's machine with --database-url or --config, or name an export with --file; `rack-gateway rack` checks that the log still holds what was seen of it from here")
}

/// What only a gateway knows.
pub(super) fn only_there(flag: &str) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("{flag} is for a gateway, and the database of this machine is asked here"),
    )
    .hint("sign in with `rack-gateway login`, or leave it out")
}

/// Shows events, oldest of those shown first; as JSON one object a line.
pub(super) async fn tail(
    context: &Context,
    target: Target,
    arguments: &TailArguments,
) -> Result<(), Failure> {
    let remote = Remote::at(context, target)?;
    let mut next = 0;
    // A follower needs to know where the log is, also when nothing of before is to be shown.
    let newest = newest(&remote, arguments, arguments.lines.max(1), None).await?;
    next = newest.last().map_or(next, |event| event.index.saturating_add(1));
    let shown = if arguments.lines == 0 { &[] } else { newest.as_slice() };
    show(context, shown, &mut next)?;
    if !arguments.follow {
        return Ok(());
    }
    let mut signals = StopSignals::listen()?;
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = signals.next() => return Ok(()),
        }
        let come = self::newest(&remote, arguments, PAGE, Some(next)).await?;
        show(context, &come, &mut next)?;
    }
}

/// The newest events that match, at most `count` and none before index `first`, oldest first.
async fn newest(
    remote: &Remote,
    arguments: &TailArguments,
    count: u32,
    first: Option<u64>,
) -> Result<Vec<IndexedEvent>, Failure> {
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    let mut query = AuditQuery {
        actor: arguments.actor.clone(),
        action: arguments.action.clone(),
        app: arguments.app.clone(),
        verdict: arguments.refused.then_some(AuditVerdict::Refuse),
        mine: arguments.mine,
        limit: Some(count.clamp(1, PAGE)),
        ..AuditQuery::default()
    };
    let mut found: Vec<IndexedEvent> = Vec::new();
    while found.len() < wanted {
        let page = remote.ask(async |client| client.events(&query).await).await?;
        let reached = first.is_some_and(|first| page.items.iter().any(|event| event.index < first));
        found.extend(page.items.into_iter().filter(|event| first.is_none_or(|first| event.index >= first)));
        match page.next {
            Some(next) if !reached && query.cursor.as_ref() != Some(&next) => query.cursor = Some(next),
            Some(_) | None => break,
        }
    }
    found.truncate(wanted);
    found.reverse();
    Ok(found)
}

/// Shows events, and notes what comes after them.
fn show(context: &Context, events: &[IndexedEvent], next: &mut u64) -> Result<(), Failure> {
    for indexed in events {
        let line = match context.output.format {
            Format::Json => escaped(&serde_json::to_string(indexed)?),
            Format::Text => {
                let event: Event = serde_json::from_value(indexed.event.clone()).problem(format!(
                    "event {} cannot be understood; this program may be older than the gateway",
                    indexed.index
                ))?;
                gateway_client::text::one_line(&render::line(indexed.index, &event))
            }
        };
        context.output.line(&line)?;
        *next = (*next).max(indexed.index.saturating_add(1));
    }
    Ok(())
}

#[derive(Serialize)]
struct Answer {
    file: String,
    format: &'static str,
}

/// Writes every event that the gateway gives, newest first. A file is there whole or not at all.
pub(super) async fn export(
    context: &Context,
    target: Target,
    arguments: &ExportArguments,
) -> Result<(), Failure> {
    let remote = Remote::at(context, target)?;
    let path = &arguments.out;
    if path.as_os_str() == "-" {
        return write_all(&remote, arguments, &mut io::stdout()).await;
    }
    if !arguments.force && path.exists() {
        return Err(taken(path));
    }
    let mut file = beside(path)?;
    write_all(&remote, arguments, file.as_file_mut()).await?;
    file.as_file().sync_all().problem(format!("{} cannot be written", path.display()))?;
    keep(file, path, arguments.force)?;
    let answer = Answer { file: path.display().to_string(), format: name(arguments.format) };
    context.output.answer(&answer, || format!("wrote the events to {}", answer.file))
}

const fn name(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Ndjson => "ndjson",
        ExportFormat::Csv => "csv",
    }
}

/// Piece by piece: a gateway gives so many at once, and says where to go on.
async fn write_all(
    remote: &Remote,
    arguments: &ExportArguments,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let format = arguments.format;
    let mut question = ExportAudit {
        filter: arguments.which.filter(None),
        format: match format {
            ExportFormat::Ndjson => AuditFormat::Ndjson,
            ExportFormat::Csv => AuditFormat::Csv,
        },
        ..ExportAudit::default()
    };
    loop {
        let sink = tokio::sync::Mutex::new(Piece::new(&mut *out, format, question.cursor.is_some()));
        let next = remote
            .ask(async |client| {
                let mut piece = sink.lock().await;
                client.export_events(&question, &mut *piece).await
            })
            .await?;
        if next.is_none() || next == question.cursor {
            return Ok(());
        }
        question.cursor = next;
    }
}

/// One piece of an export; the head line of comma-separated values stands before the first one only.
struct Piece<'a> {
    out: &'a mut (dyn Write + Send),
    drops_line: bool,
}

impl<'a> Piece<'a> {
    fn new(out: &'a mut (dyn Write + Send), format: ExportFormat, is_further: bool) -> Self {
        Self { out, drops_line: is_further && format == ExportFormat::Csv }
    }
}

impl Write for Piece<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.drops_line {
            return self.out.write(bytes);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        self.drops_line = end.is_none();
        Ok(end.map_or(bytes.len(), |end| end + 1))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_pieces_have_no_head_line() {
        for (format, expected) in [(ExportFormat::Csv, "h\na\nb\n"), (ExportFormat::Ndjson, "h\na\nh\nb\n")] {
            let mut out = Vec::new();
            Piece::new(&mut out, format, false).write_all(b"h\na\n").unwrap();
            let mut further = Piece::new(&mut out, format, true);
            further.write_all(b"h").unwrap();
            further.write_all(b"\nb\n").unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
