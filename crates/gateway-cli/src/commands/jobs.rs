//! `jobs`: the queue of the gateway, and what it does by the clock.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::Page;
use gateway_client::text::one_line;
use gateway_types::wire::jobs::{Job, Jobs, PeriodicJob};

use super::listing::minute;
use crate::Context;
use crate::failure::Failure;
use crate::output::remark;
use crate::remote::Remote;
use crate::table::Rows;

/// Jobs asked for at once, the newest ones.
const MOST: u32 = 200;

/// The arguments of `jobs`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct JobsArguments {
    /// What to do; lists the queue when left out.
    #[command(subcommand)]
    pub(crate) command: Option<JobsCommand>,
    /// What to list.
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// What to list.
#[derive(Args, Debug, Default)]
pub(crate) struct Filter {
    /// Only those in this state: waiting, paused, running, done, dead, cancelled
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Only those of this kind, such as mail
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
}

/// What to do with jobs.
#[derive(Subcommand, Debug)]
pub(crate) enum JobsCommand {
    /// List the queue, newest first
    List(Filter),
    /// Show what the instance that answers does by the clock: when it last did, and when it will
    Periodic,
    /// Let a job run now, with all its tries before it: one that waits, is paused, dead or cancelled
    Retry {
        /// Its id, from `jobs`
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Call a job off
    Cancel {
        /// Its id, from `jobs`
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Hold a waiting job back until it is retried
    Pause {
        /// Its id, from `jobs`
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: JobsArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match arguments.command {
        None => list(context, &remote, &arguments.filter).await?,
        Some(JobsCommand::List(filter)) => list(context, &remote, &filter).await?,
        Some(JobsCommand::Periodic) => periodic(context, &remote).await?,
        Some(JobsCommand::Retry { id }) => update(context, &remote, &id, "retry").await?,
        Some(JobsCommand::Cancel { id }) => update(context, &remote, &id, "cancel").await?,
        Some(JobsCommand::Pause { id }) => update(context, &remote, &id, "pause").await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn asked(remote: &Remote, limit: u32, filter: &Filter) -> Result<Jobs, Failure> {
    let page = Page { cursor: None, limit: Some(limit), search: None };
    let (state, kind) = (filter.state.as_deref(), filter.kind.as_deref());
    remote.ask(async |client| client.jobs(&page, state, kind).await).await
}

async fn list(context: &Context, remote: &Remote, filter: &Filter) -> Result<(), Failure> {
    let Jobs { items, next, .. } = asked(remote, MOST, filter).await?;
    let mut rows = Rows::new(&["ID", "KIND", "STATE", "TRIES", "NOT BEFORE", "LAST ERROR"]);
    for job in &items {
        rows.add(vec![
            job.id.clone(),
            job.kind.clone(),
            job.state.clone(),
            format!("{}/{}", job.tries, job.most_tries),
            minute(Some(&job.run_at), ""),
            job.error.clone().unwrap_or_default(),
        ]);
    }
    context.output.listing(&items, &rows, "the queue is empty")?;
    if next.is_some() {
        remark(&format!("these are the newest {MOST}; `--state` and `--kind` show fewer"));
    }
    Ok(())
}

async fn periodic(context: &Context, remote: &Remote) -> Result<(), Failure> {
    let all = asked(remote, 1, &Filter::default()).await?.periodic;
    let mut rows = Rows::new(&["NAME", "EVERY", "LAST", "TOOK", "NEXT", "DONE"]);
    for one in &all {
        rows.add(vec![
            one.name.clone(),
            format!("{} s", one.every_seconds),
            minute(one.last.as_deref(), "not yet"),
            one.took_ms.map(|took| format!("{took} ms")).unwrap_or_default(),
            next(one),
            one.done.to_string(),
        ]);
    }
    context.output.listing(&all, &rows, "nothing is done by the clock")
}

fn next(one: &PeriodicJob) -> String {
    if one.running { "now".to_owned() } else { minute(one.next.as_deref(), "") }
}

async fn update(context: &Context, remote: &Remote, id: &str, verb: &str) -> Result<(), Failure> {
    let job: Job = remote.ask(async |client| client.update_job(id, verb).await).await?;
    context.output.answer(&job, || format!("{} is {}", one_line(&job.id), one_line(&job.state)))
}
