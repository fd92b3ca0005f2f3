//! What a link for auditors shows to whoever has it: nobody is signed in here, and no other page opens by it.
//!
//! # Security
//! The link's secret comes by POST and becomes a cookie that scripts and other sites do not get. No page here is kept by
//! a cache, and none leads to a page that needs a sign-in. Choice: ADR 0026.

use askama::Template;
use gateway_app::audit as log;
use gateway_app::audit::shares::{self, Reader, ShareError};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::cookies;
use gateway_audit::Event;
use gateway_store::{AuditShare, EventFilter};
use gateway_types::wire::audit::{AuditFilter, AuditFormat};
use gateway_types::{Problem, Timestamp};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, SET_COOKIE};

use super::audit::moments;
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, reply};

const PATH: &str = shares::PAGE;
const PAGE_SIZE: u32 = 50;

/// The cookie that a link's secret becomes.
const COOKIE: &str = "__Host-rgw-share";

#[derive(Template)]
#[template(path = "shared_open.html")]
struct OpenPage {
    frame: Frame,
    script: String,
    fault: String,
}

#[derive(Template)]
#[template(path = "shared.html")]
struct SharedPage {
    frame: Frame,
    label: String,
    created_by: String,
    expires: Timestamp,
    bounds: Vec<(&'static str, String)>,
    /// Fields that the link leaves open, as they were entered.
    fields: Vec<Field>,
    faults: Vec<String>,
    rows: Vec<Row>,
    pager: Pager,
    lines_href: String,
    csv_href: String,
}

/// A field by which a reader narrows.
struct Field {
    label: &'static str,
    name: &'static str,
    value: String,
}

/// An event.
struct Row {
    index: u64,
    time: Timestamp,
    actor: String,
    action: String,
    resource: String,
    said: String,
    tone: &'static str,
}

#[derive(Template)]
#[template(path = "shared_entry.html")]
struct EntryPage {
    frame: Frame,
    index: u64,
    leaf: String,
    hash: String,
    size: u64,
    root: String,
    path: Vec<String>,
    checkpoint: String,
}

fn reader(request: &OwnRequest) -> Reader {
    Reader { source_ip: request.caller.source_ip, request: request.request_id }
}

/// What stands around these pages. How the gateway is set up is nothing for a reader from elsewhere.
fn frame(web: &Web, request: &OwnRequest, title: &str) -> Frame {
    Frame { mfa_off: false, ..Frame::of_nobody(web, request, title) }
}

/// Nothing of it is kept by a browser or on the way.
fn unstored(reply: OwnReply) -> OwnReply {
    reply.with_header(CACHE_CONTROL, "no-store")
}

fn open_page(web: &Web, request: &OwnRequest, status: u16, fault: &str) -> Result<OwnReply, Problem> {
    let page = OpenPage {
        frame: frame(web, request, "A part of the audit log").narrow(),
        script: web.asset("shared.js"),
        fault: fault.to_owned(),
    };
    Ok(unstored(reply::html_with_status(status, &page)?))
}

/// `GET /auth/shared`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, query) = (web.app(), Query::of(request));
    let Some(secret) = crate::sign_in::cookie(request, COOKIE) else {
        return open_page(web, request, 200, "");
    };
    let share = match shares::live(app, secret).await {
        Ok(share) => share,
        Err(error @ ShareError::Closed) => {
            let reply = open_page(web, request, 404, &error.to_string())?;
            return Ok(reply.with_header(SET_COOKIE, &cookies::removed(COOKIE)));
        }
        Err(error) => return Err(error.into()),
    };
    let format = match query.one("format").as_deref() {
        Some("csv") => Some((AuditFormat::Csv, "text/csv; charset=utf-8", "csv")),
        Some("ndjson") => Some((AuditFormat::Ndjson, "application/x-ndjson", "ndjson")),
        Some(_) | None => None,
    };
    if let (Some((format, kind, ending)), Ok(asked)) = (format, asked(&query)) {
        let export = shares::export(app, reader(request), &share, &asked, format).await?;
        // Whoever finds the file later sees that there is more.
        let name = match export.next {
            None => format!("audit.{ending}"),
            Some(before) => format!("audit-incomplete-before-{before}-is-more.{ending}"),
        };
        let reply = OwnReply::new(200, kind, export.body);
        let named = format!("attachment; filename=\"{name}\"");
        return Ok(unstored(reply).with_header(CONTENT_DISPOSITION, &named));
    }
    Ok(unstored(reply::html(&page(web, request, &query, share).await?)?))
}

/// By what a reader narrows; or what is wrong with what was entered.
fn asked(query: &Query) -> Result<EventFilter, Vec<String>> {
    let one = |name| query.one(name).unwrap_or_default();
    let given = |name| Some(one(name)).filter(|text| !text.is_empty());
    let (since, until) = moments(&one("from"), &one("to"))?;
    Ok(EventFilter {
        actor: given("actor"),
        action: given("action"),
        app: given("app"),
        text: given("q"),
        since,
        until,
        ..EventFilter::default()
    })
}

/// The same question, answered by a file.
fn file(fields: &[Field], format: &str) -> String {
    fields
        .iter()
        .filter(|field| !field.value.is_empty())
        .fold(Query::default().with("format", format), |query, field| query.with(field.name, &field.value))
        .link(PATH)
}

async fn page(
    web: &Web,
    request: &OwnRequest,
    query: &Query,
    share: AuditShare,
) -> Result<SharedPage, Problem> {
    let app = web.app();
    let one = |name| query.one(name).unwrap_or_default();
    let bounds = shares::bounds(&share)?;
    let (asked, faults) = match asked(query) {
        Ok(asked) => (Some(asked), Vec::new()),
        Err(faults) => (None, faults),
    };
    let before = log::cursor(query.one("cursor").as_deref())?;
    let (items, next) = match asked {
        Some(asked) => {
            let page = shares::read(app, reader(request), &share, &asked, before, PAGE_SIZE).await?;
            (page.items, page.next)
        }
        None => (Vec::new(), None),
    };
    let open = [
        ("Actor", "actor", bounds.actor.is_none()),
        ("Action", "action", bounds.action.is_none()),
        ("App", "app", bounds.app.is_none()),
        ("From", "from", true),
        ("Until", "to", true),
        ("Text", "q", bounds.q.is_none()),
    ];
    let fields: Vec<Field> = open
        .into_iter()
        .filter(|(_, _, is_open)| *is_open)
        .map(|(label, name, _)| Field { label, name, value: one(name) })
        .collect();
    Ok(SharedPage {
        frame: frame(web, request, "A part of the audit log"),
        bounds: told(&bounds),
        label: share.label,
        created_by: share.created_by,
        expires: share.expires,
        faults,
        rows: items.into_iter().map(|(index, event)| row(index, event)).collect(),
        pager: Pager::new(PATH, query, next.as_deref()),
        lines_href: file(&fields, "ndjson"),
        csv_href: file(&fields, "csv"),
        fields,
    })
}

/// What a link is limited to, in words.
pub(super) fn told(bounds: &AuditFilter) -> Vec<(&'static str, String)> {
    let said = |text: &Option<String>| text.clone();
    let verdict = bounds.verdict.map(|verdict| format!("{verdict:?}").to_lowercase());
    let phase = bounds.phase.map(|phase| format!("{phase:?}").to_lowercase());
    [
        ("Actor", said(&bounds.actor)),
        ("Action", said(&bounds.action)),
        ("App", said(&bounds.app)),
        ("Verdict", verdict),
        ("Phase", phase),
        ("Request", said(&bounds.request)),
        ("From", said(&bounds.from)),
        ("Until", said(&bounds.to)),
        ("Text", said(&bounds.q)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn row(index: u64, event: Event) -> Row {
    let verdict = event.verdict.as_ref().map(|verdict| verdict.decision);
    let (said, tone) = match (verdict, event.end) {
        (Some(gateway_types::Decision::Allow), _) => ("allowed".to_owned(), "ok"),
        (Some(gateway_types::Decision::Refuse), _) => ("refused".to_owned(), "bad"),
        (None, Some(end)) => (end.name().replace('_', " "), ""),
        (None, None) => (event.phase.name().to_owned(), ""),
    };
    Row {
        index,
        time: event.time,
        actor: event.actor.name,
        action: event.action.as_str().to_owned(),
        resource: event.resource.to_string(),
        said,
        tone,
    }
}

/// `POST /auth/shared`.
pub(crate) async fn open(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let secret = request.field("secret").unwrap_or_default().trim();
    match shares::open(web.app(), reader(request), secret).await {
        Ok(share) => {
            let now = web.app().clock.now();
            let left = share.expires.checked_since(now).unwrap_or_default().as_secs();
            let cookie =
                format!("{COOKIE}={secret}; Path=/; Max-Age={left}; Secure; HttpOnly; SameSite=Strict");
            Ok(unstored(reply::see_other(PATH)).with_header(SET_COOKIE, &cookie))
        }
        Err(error @ ShareError::Closed) => open_page(web, request, 404, &error.to_string()),
        Err(error) => Err(error.into()),
    }
}

/// `GET /auth/shared/{index}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let secret = crate::sign_in::cookie(request, COOKIE).unwrap_or_default();
    let share = shares::live(app, secret).await?;
    let index = request.parameter("index").and_then(|text| text.parse().ok());
    let entry = shares::entry(app, reader(request), &share, index.ok_or(ShareError::Unknown)?).await?;
    Ok(unstored(reply::html(&EntryPage {
        frame: frame(web, request, &format!("Entry {}", entry.index)),
        index: entry.index,
        leaf: String::from_utf8_lossy(&entry.leaf).into_owned(),
        hash: entry.hash.to_hex(),
        size: entry.inclusion.size,
        root: entry.inclusion.root.to_hex(),
        path: entry.inclusion.path.iter().map(gateway_audit::Hash::to_hex).collect(),
        checkpoint: entry.inclusion.checkpoint,
    })?))
}
