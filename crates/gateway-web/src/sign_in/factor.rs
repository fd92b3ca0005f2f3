//! The form for the second factor of a sign-in. What it is for, and whether the code counts, is not known here.

use std::time::Duration;

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::sign_in::{self, FactorGiven};
use gateway_config::SettingKey;
use gateway_identity::InlineFactor;
use gateway_types::Problem;
use http::header::SET_COOKIE;

use super::{asked_by_a_person, browser_name, finished, unstored, visitor};
use crate::page::Frame;
use crate::{Web, filters, pages, reply};

#[derive(Template)]
#[template(path = "sign_in_factor.html")]
struct FactorPage {
    frame: Frame,
    id: String,
    trusted_for: Duration,
    fault: String,
}

/// `GET /auth/factor/{id}`. It is the same for every id: what waits behind one is told to nobody.
pub(crate) async fn ask(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    asked_by_a_person(request)?;
    let id = id(request)?;
    Ok(unstored(reply::html(&page(web, request, id, String::new()))?))
}

fn page(web: &Web, request: &OwnRequest, id: &str, fault: String) -> FactorPage {
    FactorPage {
        frame: Frame::of(web, request, "Second factor").narrow(),
        id: id.to_owned(),
        trusted_for: web.app().settings.duration(SettingKey::TrustedDevice),
        fault,
    }
}

/// `POST /auth/factor/{id}`.
pub(crate) async fn give(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (id, device) = (id(request)?, browser_name(request));
    let factor = InlineFactor::typed(request.field("code").unwrap_or_default());
    let trust = request.field("trust") == Some("true");
    match sign_in::give_factor(web.app(), id, factor.as_ref(), trust, visitor(request, &device)).await? {
        FactorGiven::Done { finished: done, trusted } => {
            let reply = finished(done);
            Ok(match trusted {
                Some(cookie) => reply.with_header(SET_COOKIE, cookie.expose()),
                None => reply,
            })
        }
        FactorGiven::Again { location } => {
            let next = location.rsplit('/').next().unwrap_or_default();
            let fault =
                "The code is wrong, or was used before. Give the one that your authenticator shows now.";
            let page = page(web, request, next, fault.to_owned());
            Ok(unstored(reply::html_with_status(400, &page)?))
        }
    }
}

/// What stands in the address, when it can be one of ours.
fn id(request: &OwnRequest) -> Result<&str, Problem> {
    let is_id =
        |id: &&str| id.len() == 43 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    request.parameter("id").filter(is_id).ok_or_else(pages::no_such_page)
}
