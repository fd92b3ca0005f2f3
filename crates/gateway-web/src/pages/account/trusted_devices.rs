//! One's own browsers that need no second factor to sign in.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::sessions;
use gateway_types::{Problem, Timestamp, TrustedDeviceId};

use crate::page::Frame;
use crate::{Web, filters, pages, reply};

const HERE: &str = "/app/account/trusted-devices";

#[derive(Template)]
#[template(path = "trusted_devices.html")]
struct DevicesPage {
    frame: Frame,
    devices: Vec<Row>,
}

struct Row {
    id: String,
    name: String,
    address: String,
    created: Timestamp,
    last_used: Timestamp,
    expires: Timestamp,
}

/// `GET /app/account/trusted-devices`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let found = sessions::trusted_devices(web.app(), &request.caller).await?;
    let devices = found.into_iter().map(|device| Row {
        id: device.id.to_string(),
        name: device.name,
        address: device.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        created: device.created,
        last_used: device.last_used,
        expires: device.expires,
    });
    reply::html(&DevicesPage {
        frame: Frame::of(web, request, "Trusted browsers"),
        devices: devices.collect(),
    })
}

/// `POST /app/account/trusted-devices/{id}/remove`.
pub(crate) async fn remove(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let id = request.parameter("id").and_then(|id| id.parse::<TrustedDeviceId>().ok());
    let id = id.ok_or_else(pages::no_such_page)?;
    let operator = web.app().operator(&request.caller, request.request_id);
    sessions::forget_device(web.app(), &operator, &request.caller, id).await?;
    Ok(reply::done(HERE, "device-forgotten"))
}
