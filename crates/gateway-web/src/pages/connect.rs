//! How to connect: commands to copy, for people, for the unmodified client and for machines.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::Problem;

use crate::page::Frame;
use crate::{Web, filters, gate, reply};

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage {
    frame: Frame,
    login: String,
    rack_url: String,
    rack_url_with_code: String,
    ci: String,
    curl: String,
    /// The way to tokens of one's own, when the person may make some.
    may_make_tokens: bool,
    window: std::time::Duration,
}

/// `GET /app/connect`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let origin = &request.head.origin;
    let (scheme, host) = (origin.scheme.name(), &origin.authority);
    reply::html(&ConnectPage {
        frame: Frame::of(web, request, "Connect"),
        login: format!("rack-gateway login {origin}"),
        rack_url: format!("export RACK_URL={scheme}://convox:TOKEN@{host}/api/v1/rack-proxy"),
        rack_url_with_code: format!(
            "RACK_URL={scheme}://convox:TOKEN.totp.123456@{host}/api/v1/rack-proxy convox restart -a APP"
        ),
        ci: format!("RACK_URL={scheme}://convox:$RACK_GATEWAY_TOKEN@{host}/api/v1/rack-proxy"),
        curl: format!("curl -H \"Authorization: Bearer $RACK_GATEWAY_TOKEN\" {origin}/api/v1/me"),
        may_make_tokens: gate::could_use(web.app(), &request.caller, "POST /app/tokens", true),
        window: web.app().settings.step_up_window(),
    })
}
