//! What the gateway signs in to the rack with: where it is kept and how it stands, never what it is.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::rack_credential::{self, RackCredentialError, Standing};
use gateway_types::Problem;

use crate::page::Frame;
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/rack-credential";

#[derive(Template)]
#[template(path = "rack_credential.html")]
struct RackCredentialPage {
    frame: Frame,
    standing: Standing,
    refused: Option<String>,
    fault: String,
}

/// `GET /app/rack-credential`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    reply::html(&page(web, request, String::new()))
}

fn page(web: &Web, request: &OwnRequest, fault: String) -> RackCredentialPage {
    RackCredentialPage {
        frame: Frame::of(web, request, "Rack credential"),
        standing: web.app().rack_credential.standing(),
        refused: gate::refusal(web.app(), &request.caller, "POST /app/rack-credential", false),
        fault,
    }
}

/// `POST /app/rack-credential`.
pub(crate) async fn refresh(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    match rack_credential::refresh(web.app(), &operator).await {
        Ok(_standing) => Ok(reply::done(PATH, "credential-read")),
        Err(RackCredentialError::NotRefreshed(fault)) => {
            reply::html_with_status(409, &page(web, request, fault.to_string()))
        }
        Err(error @ RackCredentialError::Record(_)) => Err(error.into()),
    }
}
