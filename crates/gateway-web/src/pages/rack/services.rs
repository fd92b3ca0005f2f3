//! Services of an app: scaled and restarted.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_convox::replies::AppService;
use gateway_types::Problem;

use super::{Offer, Part, Tab, listed, offer, parameter, tabs};
use crate::page::Frame;
use crate::pages::command;
use crate::{Web, filters, reply};

#[derive(Template)]
#[template(path = "rack_services.html")]
struct ServicesPage {
    frame: Frame,
    live: String,
    tabs: Vec<Tab>,
    app: String,
    columns: Vec<&'static str>,
    part: Part<AppService>,
    scale: Offer,
    restart: Offer,
    commands: Vec<String>,
}

/// `GET /app/apps/{app}/services`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    let mut services: Vec<AppService> = listed(request)?;
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let word = command::word(&app);
    reply::html(&ServicesPage {
        frame: Frame::of(web, request, &format!("Services of {app}")),
        live: web.asset("live.js"),
        tabs: tabs(web, request, &app),
        columns: vec!["Service", "Processes", "CPU", "Memory", "Where", ""],
        part: Part::of(request, services, |one| format!("{} {}", one.name, one.domain)),
        scale: offer(web, &request.caller, "convox:service:update", &app),
        restart: offer(web, &request.caller, "convox:service:restart", &app),
        commands: vec![
            format!("rack-gateway services --app {word}"),
            format!("rack-gateway scale SERVICE --count 2 --app {word}"),
            format!("rack-gateway services restart SERVICE --app {word}"),
        ],
        app,
    })
}

fn back(request: &OwnRequest) -> String {
    format!("/app/apps/{}/services", parameter(request, "app"))
}

/// `POST /app/apps/{app}/services/{service}`.
pub(crate) async fn scale(_web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done(&back(request), "service-scaled"))
}

/// `POST /app/apps/{app}/services/{service}/restart`.
pub(crate) async fn restart(_web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done(&back(request), "service-restarted"))
}

/// How many processes a service has and may have, in words.
fn counted(service: &AppService) -> String {
    match (service.min, service.max) {
        (Some(min), Some(max)) if min != max => format!("{} (of {min} to {max})", service.count),
        _ => service.count.to_string(),
    }
}

/// Where a service answers, in words.
fn ports(service: &AppService) -> String {
    let ports = service.ports.iter().flatten().map(|port| format!("{}:{}", port.balancer, port.container));
    ports.collect::<Vec<_>>().join(" ")
}
