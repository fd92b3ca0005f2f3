//! `audit search`: events that match, newest first.

use clap::{Args, ValueEnum};
use gateway_app::audit::filter;
use gateway_app::reading::announce;
use gateway_audit::{Event, render};
use gateway_types::wire::audit::{AuditFilter, AuditPhase, AuditQuery, AuditVerdict, IndexedEvent};

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::local::{DataPlace, LocalStore};
use crate::output::{Format, escaped};
use crate::remote::{Remote, Target, Whose, whose};

/// The most events of a page.
const PAGE: u32 = 1000;

/// The arguments of `audit search`.
#[derive(Args, Debug)]
pub(crate) struct SearchArguments {
    /// Only with this text in actor, action, resource or request id
    #[arg(value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Ask a search that was kept under this name (asked of a gateway only); what else is given narrows it
    #[arg(long, value_name = "NAME")]
    pub(crate) saved: Option<String>,
    /// How many events at most
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 50)]
    pub(crate) lines: u32,
    /// Which of them.
    #[command(flatten)]
    pub(crate) which: FilterArguments,
    /// Only one's own (asked of a gateway only; needs no role)
    #[arg(long)]
    pub(crate) mine: bool,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// Which events: those that match all that is given.
#[derive(Args, Debug, Default)]
pub(crate) struct FilterArguments {
    /// Only by this actor: an e-mail address, token:NAME, anonymous, system, or a user of this machine
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Only of this action, or of those with a beginning, such as convox:app:*
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// Only on this app
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only from this moment on, such as 2026-11-22T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only before this moment
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Only of this request
    #[arg(long, value_name = "REQUEST_ID")]
    pub(crate) request: Option<String>,
    /// Only what was refused
    #[arg(long)]
    pub(crate) refused: bool,
    /// Only what was allowed
    #[arg(long, conflicts_with = "refused")]
    pub(crate) allowed: bool,
    /// Only at this stage of the request
    #[arg(long, value_enum, value_name = "PHASE")]
    pub(crate) phase: Option<PhaseArgument>,
}

/// Where an event stands in the life of its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum PhaseArgument {
    /// Before the effect
    Intent,
    /// What became of it
    Outcome,
    /// Both in one: reads, refusals, events of the gateway itself
    Single,
}

impl From<PhaseArgument> for AuditPhase {
    fn from(phase: PhaseArgument) -> Self {
        match phase {
            PhaseArgument::Intent => AuditPhase::Intent,
            PhaseArgument::Outcome => AuditPhase::Outcome,
            PhaseArgument::Single => AuditPhase::Single,
        }
    }
}

impl FilterArguments {
    /// The filter, with this text besides.
    pub(super) fn filter(&self, text: Option<&str>) -> AuditFilter {
        AuditFilter {
            actor: self.actor.clone(),
            action: self.action.clone(),
            app: self.app.clone(),
            verdict: match (self.refused, self.allowed) {
                (true, _) => Some(AuditVerdict::Refuse),
                (false, true) => Some(AuditVerdict::Allow),
                (false, false) => None,
            },
            phase: self.phase.map(AuditPhase::from),
            from: self.from.clone(),
            to: self.to.clone(),
            q: text.map(str::to_owned),
            request: self.request.clone(),
        }
    }
}

/// Searches.
pub(super) async fn run(context: &Context, arguments: &SearchArguments) -> Result<(), Failure> {
    match whose(context, &arguments.place)? {
        Whose::Local if arguments.mine => Err(super::remote::only_there("--mine")),
        Whose::Local if arguments.saved.is_some() => Err(super::remote::only_there("--saved")),
        Whose::Local => local(context, arguments).await,
        Whose::Remote(target) => remote(context, *target, arguments).await,
    }
}

async fn local(context: &Context, arguments: &SearchArguments) -> Result<(), Failure> {
    let asked = arguments.which.filter(arguments.text.as_deref());
    let filter = filter(&asked).map_err(|error| Failure::new(Exit::Usage, error))?;
    let local = LocalStore::open(context, &arguments.place).await?;
    let described = serde_json::to_string(&asked)?;
    announce(&local.store, &local.operator(), "gateway:audit:search", &[("filter", &described)]).await?;
    let (mut before, mut left) = (None, arguments.lines);
    while left > 0 {
        let page = local.store.events().search(&filter, before, left.min(PAGE)).await?;
        for (index, event) in &page.items {
            let time = event.time.to_rfc3339();
            let indexed = IndexedEvent { index: *index, time, event: serde_json::to_value(event)? };
            show(context, &indexed)?;
        }
        left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        before = page.next.and_then(|next| next.parse().ok());
        if before.is_none() {
            break;
        }
    }
    local.close().await;
    Ok(())
}

async fn remote(context: &Context, target: Target, arguments: &SearchArguments) -> Result<(), Failure> {
    let remote = Remote::at(context, target)?;
    let given = arguments.which.filter(arguments.text.as_deref());
    let kept = match &arguments.saved {
        Some(name) => super::searches::filter(&remote, name).await?,
        None => AuditFilter::default(),
    };
    let AuditFilter { actor, action, app, verdict, phase, from, to, q, request } = given.over(kept);
    let mine = arguments.mine;
    let mut query = AuditQuery {
        actor,
        action,
        app,
        verdict,
        phase,
        from,
        to,
        q,
        request,
        mine,
        cursor: None,
        limit: None,
    };
    let mut left = arguments.lines;
    while left > 0 {
        query.limit = Some(left.min(PAGE));
        let page = remote.ask(async |client| client.events(&query).await).await?;
        for event in &page.items {
            show(context, event)?;
        }
        left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        if page.next.is_none() || page.next == query.cursor {
            break;
        }
        query.cursor = page.next;
    }
    Ok(())
}

/// Shows one event; as JSON one object a line.
pub(super) fn show(context: &Context, indexed: &IndexedEvent) -> Result<(), Failure> {
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
    context.output.line(&line)
}
