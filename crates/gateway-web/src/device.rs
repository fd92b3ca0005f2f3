//! The page at which a person lets a device in that has no browser.
//!
//! # Security
//! Somebody may have sent the link: the page names the device, the address it asked from and what it would
//! get before there is a button, and says in words when to refuse.

use std::time::Duration;

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::sign_in::{SignInError, devices};
use gateway_store::{DeviceDecision, WaitingDevice};
use gateway_types::{CredentialKind, Layer, Problem, ProblemKind};

use crate::page::Frame;
use crate::query::Query;
use crate::{Web, filters, reply};

/// The page that asks for a code.
#[derive(Template)]
#[template(path = "device_code.html")]
struct CodePage {
    frame: Frame,
    /// What was wrong with the last one.
    fault: String,
}

/// The page that shows a device.
#[derive(Template)]
#[template(path = "device.html")]
struct DevicePage {
    frame: Frame,
    device: WaitingDevice,
    user_code: String,
    address: String,
    /// It is another address than the one that looks at this page.
    elsewhere: bool,
    who: String,
    lasts: Duration,
    /// What was decided just now.
    decided: Option<DeviceDecision>,
}

impl DevicePage {
    fn is_approved(&self) -> bool {
        self.decided == Some(DeviceDecision::Approve)
    }
}

/// `GET /device`.
pub(crate) async fn ask(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let Some(code) = Query::of(request).one("user_code") else {
        return reply::html(&code_page(web, request, String::new()));
    };
    match devices::waiting(web.app(), &request.caller, &code).await {
        Ok(device) => reply::html(&device_page(web, request, device, None)),
        Err(error) => wrong(web, request, error),
    }
}

/// `POST /device`.
pub(crate) async fn decide(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let decision = match request.field("decision") {
        Some("approve") => DeviceDecision::Approve,
        Some("deny") => DeviceDecision::Deny,
        Some(_) | None => {
            let detail = "The form says neither that the device may come in nor that it may not.";
            return Err(Problem::new(ProblemKind::BadParameter, Layer::Network, detail));
        }
    };
    let code = request.field("user_code").unwrap_or_default();
    match devices::decide(web.app(), &request.caller, code, decision, request.request_id).await {
        Ok(device) => reply::html(&device_page(web, request, device, Some(decision))),
        Err(error) => wrong(web, request, error),
    }
}

/// A wrong code is another try on the same page; everything else is told as any problem is.
fn wrong(web: &Web, request: &OwnRequest, error: SignInError) -> Result<OwnReply, Problem> {
    match error {
        SignInError::NoSuchDevice => {
            let fault =
                "No device waits with this code. Compare it letter by letter; codes hold for ten minutes.";
            reply::html_with_status(404, &code_page(web, request, fault.to_owned()))
        }
        other => Err(other.into()),
    }
}

fn code_page(web: &Web, request: &OwnRequest, fault: String) -> CodePage {
    CodePage { frame: Frame::of(web, request, "Sign a device in").narrow(), fault }
}

fn device_page(
    web: &Web,
    request: &OwnRequest,
    device: WaitingDevice,
    decided: Option<DeviceDecision>,
) -> DevicePage {
    let title = match decided {
        None => "Sign this device in?",
        Some(DeviceDecision::Approve) => "The device is signed in",
        Some(DeviceDecision::Deny) => "The device is refused",
    };
    DevicePage {
        frame: Frame::of(web, request, title).narrow(),
        user_code: devices::shown(&device.user_code),
        address: device.ip.to_string(),
        elsewhere: device.ip != request.caller.source_ip,
        who: request.caller.principal.display_name(),
        lasts: web.app().settings.session_limits(CredentialKind::CliSession).1,
        device,
        decided,
    }
}
