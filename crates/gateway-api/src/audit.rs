//! The audit log: `/audit`.

use gateway_app::App;
use gateway_app::audit::stories::{self, StoryFilter};
use gateway_app::audit::summary::{self, SummaryFilter, Verdicts};
use gateway_app::audit::{self, MOST_EXPORTED, Story, Whose};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_audit::Event;
use gateway_types::wire::Listing;
use gateway_types::wire::audit::{
    AuditEntry, AuditFilter, AuditFormat, AuditQuery, AuditStory, AuditSummary, Decided, ExportAudit,
    Inclusion, IndexedEvent, RecordEvidence, StoryQuery, SummaryQuery, ToldStory,
};
use gateway_types::{Layer, Problem, ProblemKind, Timestamp};
use http::HeaderName;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};

use crate::input;
use crate::paging::no_query;
use crate::reply::{self, Answer};

/// Events of a page, unless somebody says.
const USUAL: u32 = 50;

/// The most events of a page.
const MOST: u32 = 1000;

/// Where an export says that there is more.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("next-cursor");

/// Events, newest first. With `mine=true` one's own, for which no role is needed. A page can be short, even
/// empty, and still have a `next`: only without one is there no more.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = Listing<IndexedEvent>)))]
pub(crate) async fn search(app: &App, request: &OwnRequest) -> Answer {
    let asked: AuditQuery = input::query(request)?;
    let limit = limit(asked.limit, USUAL, MOST)?;
    let before = audit::cursor(asked.cursor.as_deref())?;
    let page = audit::search(app, whose(request, asked.mine), audit::filter(&asked.filter())?, before, limit)
        .await?;
    let items = page.items.iter().map(indexed).collect::<Result<_, _>>()?;
    reply::json(&Listing { items, next: page.next })
}

/// Stories: the requests of one deploy as one line, with its approval, its sessions and what came of it; those with the
/// newest end first. With `mine=true` what one did oneself, for which no role is needed.
#[utoipa::path(get, path = "/api/v1/audit/stories", tag = "audit", params(StoryQuery),
    responses((status = 200, body = Listing<AuditStory>)))]
pub(crate) async fn stories(app: &App, request: &OwnRequest) -> Answer {
    let asked: StoryQuery = input::query(request)?;
    let before = audit::cursor(asked.cursor.as_deref())?;
    let filter = story_filter(&asked)?;
    let page = stories::list(&app.store, whose(request, asked.mine), &filter, before).await?;
    let items: Vec<AuditStory> = page.items.iter().map(Story::wire).collect();
    reply::json(&Listing { items, next: page.next })
}

/// The story that an entry belongs to, with its events. With `mine=true` what one did oneself.
#[utoipa::path(get, path = "/api/v1/audit/stories/{index}", tag = "audit",
    params(("index" = u64, Path), ("mine" = Option<bool>, Query, description = "Only what one did oneself; for this no role is needed")),
    responses((status = 200, body = ToldStory)))]
pub(crate) async fn one_story(app: &App, request: &OwnRequest) -> Answer {
    let asked: StoryQuery = input::query(request)?;
    if asked != (StoryQuery { mine: asked.mine, ..StoryQuery::default() }) {
        return Err(input::bad("a story is asked for by its index, and `mine` alone narrows it"));
    }
    let index = input::path(request, "index")?;
    let (told, events) = stories::one(&app.store, whose(request, asked.mine), index).await?;
    let events = events.iter().map(indexed).collect::<Result<_, _>>()?;
    reply::json(&ToldStory { story: told.wire(), events })
}

/// The log in numbers, by day and by action: over the whole log, counted each minute; of an app or an actor over the newest 20,000
/// of their entries.
#[utoipa::path(get, path = "/api/v1/audit/summary", tag = "audit", params(SummaryQuery),
    responses((status = 200, body = AuditSummary)))]
pub(crate) async fn summary(app: &App, request: &OwnRequest) -> Answer {
    let SummaryQuery { app: of_app, actor, from, to } = input::query(request)?;
    let times = audit::filter(&AuditFilter { from, to, ..AuditFilter::default() })?;
    let filter = SummaryFilter { app: of_app, actor, since: times.since, until: times.until };
    let found = summary::summary(&app.store, &filter).await?;
    let decided = |of: String, verdicts: &Verdicts| Decided {
        of,
        allowed: verdicts.allowed,
        refused: verdicts.refused,
    };
    let day = |moment: &Timestamp| moment.to_rfc3339().chars().take(10).collect::<String>();
    reply::json(&AuditSummary {
        days: found.days.iter().map(|(moment, verdicts)| decided(day(moment), verdicts)).collect(),
        actions: found.actions.iter().map(|(action, verdicts)| decided(action.clone(), verdicts)).collect(),
        counted_from: found.from,
        counted_to: found.to,
    })
}

/// What policy allowed as the caller's own is never more than that, whatever the query said.
fn whose(request: &OwnRequest, mine: bool) -> Whose<'_> {
    if mine || request.facts.own_object { Whose::Own(&request.caller) } else { Whose::Everybodys }
}

fn story_filter(asked: &StoryQuery) -> Result<StoryFilter, Problem> {
    let (from, to) = (asked.from.clone(), asked.to.clone());
    let times = audit::filter(&AuditFilter { from, to, ..AuditFilter::default() })?;
    Ok(StoryFilter {
        actor: asked.actor.clone(),
        app: asked.app.clone(),
        since: times.since,
        until: times.until,
    })
}

/// One entry: the event, the recorded bytes, their hash, and the proof that it is in the log.
#[utoipa::path(get, path = "/api/v1/audit/{index}", tag = "audit", params(("index" = u64, Path)),
    responses((status = 200, body = AuditEntry)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let entry = audit::read(app, input::path(request, "index")?).await?;
    reply::json(&AuditEntry {
        index: entry.index,
        time: entry.event.time.to_rfc3339(),
        event: value(&entry.event)?,
        leaf: String::from_utf8(entry.leaf).map_err(|_not_text| unreadable())?,
        leaf_hash: entry.hash.to_hex(),
        inclusion: Inclusion {
            tree_size: entry.inclusion.size,
            root: entry.inclusion.root.to_hex(),
            path: entry.inclusion.path.iter().map(gateway_audit::Hash::to_hex).collect(),
            checkpoint: entry.inclusion.checkpoint,
        },
    })
}

/// Events as JSON lines or comma-separated values, newest first; at most 50,000 and 32 MiB. When there is
/// more, the header `Next-Cursor` says where to go on. That they were taken is an event of the log.
#[utoipa::path(post, path = "/api/v1/audit/export", tag = "audit", request_body = ExportAudit,
    responses((status = 200, description = "The events.", headers(("Next-Cursor" = String)), content(
        (String = "application/x-ndjson"), (String = "text/csv")))))]
pub(crate) async fn export(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: ExportAudit = input::json(request)?;
    let limit = limit(asked.limit, MOST_EXPORTED, MOST_EXPORTED)?;
    let before = audit::cursor(asked.cursor.as_deref())?;
    let operator = app.operator(&request.caller, request.request_id);
    let export = audit::export(app, &operator, &asked.filter, asked.format, before, limit).await?;
    let (content_type, name) = match asked.format {
        AuditFormat::Ndjson => ("application/x-ndjson", "audit.ndjson"),
        AuditFormat::Csv => ("text/csv; charset=utf-8", "audit.csv"),
    };
    let reply = OwnReply::new(200, content_type, export.body)
        .with_header(CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""))
        .with_header(CACHE_CONTROL, "no-store");
    Ok(match export.next {
        Some(next) => reply.with_header(NEXT_CURSOR, &next.to_string()),
        None => reply,
    })
}

/// Records what an evidence bundle is known by. Whoever has the bundle can show by the log who made it, when, and that it was not
/// altered since.
#[utoipa::path(post, path = "/api/v1/audit/evidence", tag = "audit", request_body = RecordEvidence,
    responses((status = 204)))]
pub(crate) async fn evidence(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: RecordEvidence = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    audit::record_evidence(app, &operator, &asked).await?;
    Ok(reply::no_content())
}

/// An event with its place.
///
/// # Errors
/// A problem when it has no JSON form, which no recorded event lacks.
pub(crate) fn indexed((index, event): &(u64, Event)) -> Result<IndexedEvent, Problem> {
    Ok(IndexedEvent { index: *index, time: event.time.to_rfc3339(), event: value(event)? })
}

fn value(event: &Event) -> Result<serde_json::Value, Problem> {
    serde_json::to_value(event).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "an event could not be written as JSON");
        unreadable()
    })
}

fn unreadable() -> Problem {
    Problem::new(ProblemKind::Internal, Layer::Audit, "an event of the log cannot be shown")
}

fn limit(asked: Option<u32>, usual: u32, most: u32) -> Result<u32, Problem> {
    match asked {
        None => Ok(usual),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(input::bad(format!("`limit` is 1 to {most}"))),
    }
}
