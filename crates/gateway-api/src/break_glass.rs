//! The offline codes for emergencies: `/break-glass`.

use gateway_app::App;
use gateway_app::break_glass::{self, Asked, BreakGlassError, FUSE, Scope};
use gateway_app::control::OwnRequest;
use gateway_store::{BreakGlassSet, BreakGlassUse as Stored};
use gateway_types::wire::break_glass::{
    BreakGlass, BreakGlassUse, CloseReview, CodesInForce, DrillCodes, Drilled, GlassBroken, InitBreakGlass,
    NewCodes, RedeemCodes,
};
use gateway_types::{BreakGlassId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input::{self, bad};
use crate::paging::{self, bare, no_query};
use crate::reply::{self, Answer};

/// The query of the listing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsesQuery {
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// Items of a page, 1 to 200; 50 unless given.
    #[serde(default)]
    limit: Option<u32>,
    /// Only uses that nobody looked at yet.
    #[serde(default)]
    open: bool,
}

fn set(set: BreakGlassSet) -> CodesInForce {
    CodesInForce {
        id: set.id.to_string(),
        threshold: set.threshold,
        codes: set.codes,
        left: set.left,
        created: set.created.to_rfc3339(),
        created_by: set.created_by,
    }
}

fn shown(used: Stored, now: Timestamp) -> BreakGlassUse {
    let state = match (used.is_live(now), used.reviewed) {
        (true, _) => "live",
        (false, None) => "to_review",
        (false, Some(_)) => "closed",
    };
    BreakGlassUse {
        id: used.id.to_string(),
        person: used.person,
        reason: used.reason,
        scope: used.scope,
        source_ip: used.source_ip.map(|ip| ip.to_string()),
        opened: used.opened.to_rfc3339(),
        ends: used.ends.to_rfc3339(),
        state: state.to_owned(),
        ended: used.ended.map(Timestamp::to_rfc3339),
        ended_by: used.ended_by,
        reviewed: used.reviewed.map(Timestamp::to_rfc3339),
        reviewed_by: used.reviewed_by,
        review: used.review,
    }
}

/// The codes in force, and what they were used for.
#[utoipa::path(get, path = "/api/v1/break-glass", tag = "break-glass", params(UsesQuery),
    responses((status = 200, body = BreakGlass)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    let asked: UsesQuery = input::query(request)?;
    let limit = paging::limit(asked.limit)?;
    let standing = break_glass::standing(&app.store, asked.open, asked.cursor.as_deref(), limit).await?;
    let now = app.clock.now();
    reply::json(&BreakGlass {
        codes: standing.codes.map(set),
        uses: standing.uses.items.into_iter().map(|used| shown(used, now)).collect(),
        next: standing.uses.next,
    })
}

/// Makes new codes, told this once; those before are void.
#[utoipa::path(put, path = "/api/v1/break-glass", tag = "break-glass", request_body = InitBreakGlass,
    responses((status = 200, body = NewCodes)))]
pub(crate) async fn init(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: InitBreakGlass = input::json(request)?;
    let instead_of = asked.instead_of.as_deref().map(str::parse::<BreakGlassId>).transpose();
    let instead_of = instead_of.map_err(|_none| bad("`instead_of` is the id of the codes in force"))?;
    let operator = app.operator(&request.caller, request.request_id);
    let (made, codes) =
        break_glass::init(&app.store, &operator, asked.threshold, asked.codes, instead_of).await?;
    let codes = codes.iter().map(|code| code.expose().clone()).collect();
    reply::json(&NewCodes { set: set(made), codes })
}

/// Spends codes for a token that lives half an hour.
#[utoipa::path(post, path = "/auth/break-glass", tag = "auth", request_body = RedeemCodes,
    responses((status = 200, body = GlassBroken)))]
pub(crate) async fn redeem(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: RedeemCodes = input::json(request)?;
    let asked = Asked {
        codes: break_glass::read_codes(asked.codes.iter().map(String::as_str))?,
        scope: Scope::read(asked.role.as_deref(), asked.app.as_deref())?,
        person: asked.person,
        reason: asked.reason,
    };
    let operator = app.operator(&request.caller, request.request_id);
    let (used, secret) = break_glass::redeem(&app.store, &*app.notices, &operator, asked).await?;
    reply::json(&GlassBroken {
        used: shown(used, app.clock.now()),
        secret: secret.expose().clone(),
        expires_in: FUSE.as_secs(),
    })
}

/// Shows which codes are good. Spends none, gives nothing.
#[utoipa::path(post, path = "/api/v1/break-glass/drill", tag = "break-glass", request_body = DrillCodes,
    responses((status = 200, body = Drilled)))]
pub(crate) async fn drill(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: DrillCodes = input::json(request)?;
    let codes = break_glass::read_codes(asked.codes.iter().map(String::as_str))?;
    let operator = app.operator(&request.caller, request.request_id);
    let (set, good) = break_glass::drill(&app.store, &operator, &codes).await?;
    let threshold = usize::try_from(set.threshold).unwrap_or(usize::MAX);
    reply::json(&Drilled {
        would_do: good.len() == codes.len() && good.len() == threshold,
        bad: u32::try_from(codes.len().saturating_sub(good.len())).unwrap_or(u32::MAX),
        good: good.into_iter().collect(),
        threshold: set.threshold,
    })
}

/// Closes the task of looking at a use that is over.
#[utoipa::path(post, path = "/api/v1/break-glass/{id}/review", tag = "break-glass",
    params(("id" = String, Path)), request_body = CloseReview,
    responses((status = 200, body = BreakGlassUse)))]
pub(crate) async fn review(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let id: BreakGlassId = input::path(request, "id")?;
    let CloseReview { review } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let closed = break_glass::review(app, &operator, &request.caller, id, &review).await?;
    reply::json(&shown(closed, app.clock.now()))
}

/// Ends what codes gave, before its time.
#[utoipa::path(delete, path = "/api/v1/break-glass/{id}", tag = "break-glass",
    params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn end(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let ended: Result<(), BreakGlassError> =
        break_glass::end(app, &operator, input::path(request, "id")?).await;
    ended?;
    Ok(reply::no_content())
}
