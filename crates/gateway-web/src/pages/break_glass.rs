//! The offline codes for emergencies: how many there are, what they were used for, and what is still to be looked at.
//!
//! # Security
//! Codes stand on the page that answers the POST that made them, and nowhere else: no cache keeps it.

use askama::Template;
use gateway_app::break_glass::{self, BreakGlassError, Standing};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_store::BreakGlassUse;
use gateway_types::{BreakGlassId, Layer, Problem, ProblemKind, Timestamp};
use http::header::CACHE_CONTROL;

use super::event::Badge;
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/break-glass";
const PAGE_SIZE: u32 = 20;

#[derive(Template)]
#[template(path = "break_glass.html")]
struct BreakGlassPage {
    frame: Frame,
    codes: Option<Codes>,
    uses: Vec<UseCard>,
    pager: Pager,
    init_refused: Option<String>,
    review_refused: Option<String>,
    end_refused: Option<String>,
    fault: String,
}

struct Codes {
    id: String,
    threshold: u32,
    left: u32,
    made: u32,
    created: Timestamp,
    created_by: String,
    /// Fewer are left than one use takes.
    too_few: bool,
}

struct UseCard {
    id: String,
    standing: Badge,
    live: bool,
    to_review: bool,
    person: String,
    reason: String,
    scope: String,
    address: String,
    opened: Timestamp,
    ends: Timestamp,
    ended: Option<(Timestamp, String)>,
    review: Option<(Timestamp, String, String)>,
}

#[derive(Template)]
#[template(path = "break_glass_codes.html")]
struct CodesPage {
    frame: Frame,
    threshold: u32,
    codes: Vec<String>,
}

/// `GET /app/break-glass`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    reply::html(&page(web, request, String::new()).await?)
}

async fn page(web: &Web, request: &OwnRequest, fault: String) -> Result<BreakGlassPage, Problem> {
    let (app, query) = (web.app(), Query::of(request));
    let cursor = query.one("cursor");
    let Standing { codes, uses } =
        break_glass::standing(&app.store, false, cursor.as_deref(), PAGE_SIZE).await?;
    let refusal = |page: &str| gate::refusal(app, &request.caller, page, false);
    let now = app.clock.now();
    Ok(BreakGlassPage {
        frame: Frame::of(web, request, "Break-glass"),
        codes: codes.map(|set| Codes {
            id: set.id.to_string(),
            threshold: set.threshold,
            left: set.left,
            made: set.codes,
            created: set.created,
            created_by: set.created_by,
            too_few: set.left < set.threshold,
        }),
        uses: uses.items.into_iter().map(|used| card(used, now)).collect(),
        pager: Pager::new(PATH, &query, uses.next.as_deref()),
        init_refused: refusal("POST /app/break-glass"),
        review_refused: refusal("POST /app/break-glass/{id}/review"),
        end_refused: refusal("POST /app/break-glass/{id}/end"),
        fault,
    })
}

fn card(used: BreakGlassUse, now: Timestamp) -> UseCard {
    let live = used.is_live(now);
    let standing = match (live, used.reviewed) {
        (true, _) => Badge { text: "live", tone: "bad" },
        (false, None) => Badge { text: "to be looked at", tone: "warn" },
        (false, Some(_)) => Badge { text: "closed", tone: "ok" },
    };
    let review = used.reviewed.zip(used.reviewed_by).zip(used.review);
    UseCard {
        id: used.id.to_string(),
        standing,
        live,
        to_review: !live && used.reviewed.is_none(),
        person: used.person,
        reason: used.reason,
        scope: used.scope,
        address: used.source_ip.map_or_else(|| "the server's own machine".to_owned(), |ip| ip.to_string()),
        opened: used.opened,
        ends: used.ends,
        ended: used.ended.zip(used.ended_by),
        review: review.map(|((when, by), found)| (when, by, found)),
    }
}

/// `POST /app/break-glass`.
pub(crate) async fn init(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let number = |name| request.field(name).and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0);
    let instead_of = request.field("instead_of").and_then(|id| id.parse::<BreakGlassId>().ok());
    let operator = app.operator(&request.caller, request.request_id);
    let made = break_glass::init(&app.store, &operator, number("threshold"), number("codes"), instead_of);
    match made.await {
        Ok((set, codes)) => {
            let page = CodesPage {
                frame: Frame::of(web, request, "Break-glass codes").narrow(),
                threshold: set.threshold,
                codes: codes.iter().map(|code| code.expose().clone()).collect(),
            };
            Ok(reply::html(&page)?.with_header(CACHE_CONTROL, "no-store"))
        }
        Err(error @ (BreakGlassError::BadNumbers | BreakGlassError::OthersInForce)) => {
            reply::html_with_status(400, &page(web, request, error.to_string()).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /app/break-glass/{id}/review`.
pub(crate) async fn review(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let found = request.field("review").unwrap_or_default().trim().replace("\r\n", "\n");
    let operator = app.operator(&request.caller, request.request_id);
    match break_glass::review(app, &operator, &request.caller, id, &found).await {
        Ok(_closed) => Ok(reply::done(PATH, "break-glass-reviewed")),
        Err(error @ BreakGlassError::BadReason) => {
            reply::html_with_status(400, &page(web, request, error.to_string()).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /app/break-glass/{id}/end`.
pub(crate) async fn end(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, id) = (web.app(), id_of(request)?);
    let operator = app.operator(&request.caller, request.request_id);
    break_glass::end(app, &operator, id).await?;
    Ok(reply::done(PATH, "break-glass-ended"))
}

fn id_of(request: &OwnRequest) -> Result<BreakGlassId, Problem> {
    let id = request.parameter("id").and_then(|id| id.parse().ok());
    id.ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, Layer::Authorization, "There is no use of codes with this id.")
    })
}
