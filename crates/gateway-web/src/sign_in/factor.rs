//! The form for the second factor of a sign-in. What it is for, and whether the code counts, is not known here.

use std::time::Duration;

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::cookies;
use gateway_app::sign_in::{self, FactorGiven, Finished};
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

#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedInPage {
    frame: Frame,
    /// Where the browser goes on.
    on: String,
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
    if request.field("begin") == Some("passkey") {
        let (origin, visitor) = (&request.head.origin, visitor(request, &device));
        let asked = sign_in::ask_passkey(web.app(), id, origin, visitor).await?;
        return Ok(unstored(OwnReply::new(200, "application/json", asked.options)));
    }
    match sign_in::give_factor(web.app(), id, factor.as_ref(), trust, visitor(request, &device)).await? {
        FactorGiven::Done { finished: done, trusted } => {
            let reply = go_on(web, request, done)?;
            Ok(match trusted {
                Some(cookie) => reply.with_header(SET_COOKIE, cookie.expose()),
                None => reply,
            })
        }
        FactorGiven::Again { location } => {
            let next = location.rsplit('/').next().unwrap_or_default();
            let fault = match factor {
                Some(InlineFactor::Webauthn(_)) => {
                    "The passkey's answer is not right, or came too late. Try again."
                }
                Some(InlineFactor::Totp(_) | InlineFactor::Backup(_) | InlineFactor::Yubico(_)) | None => {
                    "The code is wrong, or was used before. Give the one that your authenticator shows now."
                }
            };
            let page = page(web, request, next, fault.to_owned());
            Ok(unstored(reply::html_with_status(400, &page)?))
        }
    }
}

/// Where the browser goes from a form that was right.
fn go_on(web: &Web, request: &OwnRequest, done: Finished) -> Result<OwnReply, Problem> {
    let (on, cookie) = match done {
        Finished::Cli { redirect_to } => (redirect_to, None),
        Finished::Web { secret, return_to } if return_to.starts_with("/auth/handoff") => {
            (return_to, Some(cookies::session(&secret)))
        }
        done @ (Finished::Web { .. } | Finished::Factor { .. }) => return Ok(finished(done)),
    };
    // By a page: a page's policy lets no form's answer lead to another site.
    let page = SignedInPage { frame: Frame::of_nobody(web, request, "Signed in").narrow(), on };
    let reply = unstored(reply::html(&page)?);
    Ok(match cookie {
        Some(cookie) => reply.with_header(SET_COOKIE, &cookie),
        None => reply,
    })
}

/// What stands in the address, when it can be one of ours.
fn id(request: &OwnRequest) -> Result<&str, Problem> {
    let is_id =
        |id: &&str| id.len() == 43 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    request.parameter("id").filter(is_id).ok_or_else(pages::no_such_page)
}
