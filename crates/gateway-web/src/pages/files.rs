//! Style sheet, script and icon, and the way to the pages.

use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::Problem;

use crate::query::Query;
use crate::{Web, pages, reply};

/// `GET /`: people who only know the host.
pub(crate) async fn to_the_pages(_web: &Web, _request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::see_other("/app"))
}

/// `GET /app/static/{file}`.
pub(crate) async fn asset(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let name = request.parameter("file").unwrap_or_default();
    let version = Query::of(request).one("v");
    web.assets.reply(name, version.as_deref()).ok_or_else(pages::no_such_page)
}
