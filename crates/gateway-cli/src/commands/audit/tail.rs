//! `audit tail`: the newest events, and those that come.

use std::time::Duration;

use clap::Args;
use gateway_app::reading::announce;
use gateway_audit::{Event, render};
use gateway_store::{EventFilter, Store};
use gateway_types::Decision;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::Context;
use crate::failure::Failure;
use crate::local::{DataPlace, LocalStore};
use crate::output::{Format, Output};
use crate::stop::StopSignals;

/// How often a follower looks for new events.
const POLL: Duration = Duration::from_secs(1);
/// Events read at once.
const PAGE: u32 = 1000;

/// The arguments of `audit tail`.
#[derive(Args, Debug)]
pub(crate) struct TailArguments {
    /// How many events to begin with
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20)]
    pub(crate) lines: u32,
    /// Wait for more
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only by this actor: an e-mail address, token:NAME, anonymous, system, or a user of this machine
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Only of this action, or of those with a beginning, such as convox:app:*
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// Only on this app
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only what was refused
    #[arg(long)]
    pub(crate) refused: bool,
    /// Only one's own (asked of a gateway only; needs no role)
    #[arg(long)]
    pub(crate) mine: bool,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

impl TailArguments {
    fn filter(&self) -> EventFilter {
        EventFilter {
            actor: self.actor.clone(),
            action: self.action.clone(),
            app: self.app.clone(),
            decision: self.refused.then_some(Decision::Refuse),
            ..EventFilter::default()
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    event: &'a Event,
}

/// Shows events, oldest of those shown first; as JSON one object a line.
pub(super) async fn run(context: &Context, arguments: &TailArguments) -> Result<(), Failure> {
    let filter = arguments.filter();
    let local = LocalStore::open(context, &arguments.place).await?;
    // A follower remembers where the log was, so that its own trace is not what it waits for.
    let mut next = local.store.events().head().await?.size;
    announce(&local.store, &local.operator(), "gateway:audit:search", &described(arguments)).await?;
    let newest = before(&local.store, &filter, next, arguments.lines).await?;
    show(&context.output, &newest)?;
    if arguments.follow {
        let mut signals = StopSignals::listen()?;
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = signals.next() => break,
            }
            let head = local.store.events().head().await?.size;
            let come = since(&local.store, &filter, next, head).await?;
            show(&context.output, &come)?;
            next = head;
        }
    }
    local.close().await;
    Ok(())
}

fn described(arguments: &TailArguments) -> Vec<(&'static str, &str)> {
    let TailArguments { actor, action, app, .. } = arguments;
    [("actor", actor), ("action", action), ("app", app)]
        .into_iter()
        .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
        .chain(arguments.refused.then_some(("decision", "refuse")))
        .collect()
}

/// The newest `count` events before index `end`, in the order of the log.
async fn before(
    store: &Store,
    filter: &EventFilter,
    end: u64,
    count: u32,
) -> Result<Vec<(u64, Event)>, Failure> {
    let mut found = Vec::new();
    let mut cursor = Some(end.to_string());
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    while let Some(from) = cursor.filter(|_| found.len() < wanted) {
        let page = store.events().page(filter, Some(&from), PAGE.min(count)).await?;
        found.extend(page.items);
        cursor = page.next;
    }
    found.truncate(wanted);
    found.reverse();
    Ok(found)
}

/// The events from index `first` up to, not including, `end`, in the order of the log.
async fn since(
    store: &Store,
    filter: &EventFilter,
    first: u64,
    end: u64,
) -> Result<Vec<(u64, Event)>, Failure> {
    let mut found: Vec<(u64, Event)> = Vec::new();
    let mut cursor = (first < end).then(|| end.to_string());
    while let Some(from) = cursor {
        let page = store.events().page(filter, Some(&from), PAGE).await?;
        let reached = page.items.last().is_none_or(|(index, _)| *index < first);
        found.extend(page.items.into_iter().take_while(|(index, _)| *index >= first));
        cursor = page.next.filter(|_| !reached);
    }
    found.reverse();
    Ok(found)
}

fn show(output: &Output, events: &[(u64, Event)]) -> Result<(), Failure> {
    for (index, event) in events {
        match output.format {
            Format::Json => output.line(&serde_json::to_string(&Line { index: *index, event })?)?,
            Format::Text => output.line(&render::line(*index, event))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
