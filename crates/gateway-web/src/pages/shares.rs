//! Links for auditors: made, listed and revoked. What they show is [`super::shared`].
//!
//! # Security
//! A link's address stands on the page that answers the POST that made it, and nowhere else: no cache keeps it.

use askama::Template;
use gateway_app::audit::shares::{self, ShareError, USUAL_HOURS};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_store::AuditShare;
use gateway_types::wire::audit::{AuditFilter, ShareAudit};
use gateway_types::{AuditShareId, Layer, Problem, ProblemKind, Timestamp};
use http::header::CACHE_CONTROL;

use super::event::Badge;
use super::shared::told;
use crate::page::Frame;
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/audit/shares";

#[derive(Template)]
#[template(path = "audit_shares.html")]
struct SharesPage {
    frame: Frame,
    /// The log, as far as this person may read it.
    audit_href: &'static str,
    /// The address of the link that was made just now.
    made: Option<String>,
    shares: Vec<Card>,
    usual_hours: u32,
    create_refused: Option<String>,
    revoke_refused: Option<String>,
    fault: String,
}

struct Card {
    id: String,
    label: String,
    standing: Badge,
    live: bool,
    shows: String,
    created_by: String,
    created: Timestamp,
    expires: Timestamp,
    openings: u64,
    last_opened: Option<Timestamp>,
}

/// `GET /app/audit/shares`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    reply::html(&page(web, request, None, String::new()).await?)
}

async fn page(
    web: &Web,
    request: &OwnRequest,
    made: Option<String>,
    fault: String,
) -> Result<SharesPage, Problem> {
    let app = web.app();
    let now = app.clock.now();
    let refusal = |page: &str, own: bool| gate::refusal(app, &request.caller, page, own);
    let found = shares::list(app).await?;
    Ok(SharesPage {
        frame: Frame::of(web, request, "Links for auditors"),
        audit_href: match refusal("GET /app/audit", false) {
            None => "/app/audit",
            Some(_) => "/app/audit?mine=true",
        },
        made,
        shares: found.into_iter().map(|share| card(share, now)).collect::<Result<_, _>>()?,
        usual_hours: USUAL_HOURS,
        create_refused: refusal("POST /app/audit/shares", false),
        revoke_refused: refusal("POST /app/audit/shares/{id}/revoke", false),
        fault,
    })
}

fn card(share: AuditShare, now: Timestamp) -> Result<Card, ShareError> {
    let bounds: Vec<String> =
        told(&shares::bounds(&share)?).into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    let live = share.is_live(now);
    let text = shares::state(&share, now);
    Ok(Card {
        id: share.id.to_string(),
        standing: Badge { text, tone: if live { "warn" } else { "" } },
        live,
        shows: if bounds.is_empty() { "the whole log".to_owned() } else { bounds.join(", ") },
        label: share.label,
        created_by: share.created_by,
        created: share.created,
        expires: share.expires,
        openings: share.openings,
        last_opened: share.last_opened,
    })
}

/// `POST /app/audit/shares`.
pub(crate) async fn create(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let given = |name| request.field(name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let at = |name| {
        given(name).map(|text| super::audit::moment(&text).map_or(text, gateway_types::Timestamp::to_rfc3339))
    };
    let hours = given("hours").map(|text| text.parse::<u32>().unwrap_or(0));
    let asked = ShareAudit {
        label: given("label").unwrap_or_default(),
        hours,
        filter: AuditFilter {
            actor: given("actor"),
            action: given("action"),
            app: given("app"),
            from: at("from"),
            to: at("to"),
            q: given("q"),
            ..AuditFilter::default()
        },
    };
    let operator = app.operator(&request.caller, request.request_id);
    let by = request.caller.principal.display_name();
    match shares::create(app, &operator, &by, &asked).await {
        Ok((_share, secret)) => {
            let address = shares::address(&request.head.origin, &secret);
            let page = page(web, request, Some(address), String::new()).await?;
            Ok(reply::html(&page)?.with_header(CACHE_CONTROL, "no-store"))
        }
        Err(error @ ShareError::Audit(_)) => {
            let problem = Problem::from(error);
            if problem.kind != ProblemKind::BadParameter {
                return Err(problem);
            }
            reply::html_with_status(400, &page(web, request, None, problem.detail.clone()).await?)
        }
        Err(error) => reply::html_with_status(400, &page(web, request, None, error.to_string()).await?),
    }
}

/// `POST /app/audit/shares/{id}/revoke`.
pub(crate) async fn revoke(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let id = request.parameter("id").and_then(|text| text.parse::<AuditShareId>().ok());
    let id = id.ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, Layer::Authorization, ShareError::Unknown.to_string())
    })?;
    let operator = app.operator(&request.caller, request.request_id);
    shares::revoke(app, &operator, &request.caller.principal.display_name(), id).await?;
    Ok(reply::done(PATH, "share-revoked"))
}
