//! Apps: the list, one of them, and its logs.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_convox::replies::{App, Resource};
use gateway_types::Problem;

use super::{Offer, Part, Tab, listed, offer, offer_at_rack, parameter, said, tabs, tone};
use crate::page::Frame;
use crate::pages::command;
use crate::{Web, filters, gate, reply};

#[derive(Template)]
#[template(path = "rack_apps.html")]
struct AppsPage {
    frame: Frame,
    live: String,
    columns: Vec<&'static str>,
    part: Part<App>,
    create: Offer,
    commands: Vec<String>,
}

#[derive(Template)]
#[template(path = "rack_app.html")]
struct AppPage {
    frame: Frame,
    live: String,
    tabs: Vec<Tab>,
    app: App,
    tone: &'static str,
    parameters: Vec<(String, String)>,
    cancel: Offer,
    delete: Offer,
    release_href: Option<String>,
    may_read_log: bool,
    commands: Vec<String>,
}

#[derive(Template)]
#[template(path = "rack_resources.html")]
struct ResourcesPage {
    frame: Frame,
    tabs: Vec<Tab>,
    app: String,
    part: Part<Resource>,
    commands: Vec<String>,
}

#[derive(Template)]
#[template(path = "rack_logs.html")]
struct LogsPage {
    frame: Frame,
    tabs: Vec<Tab>,
    app: String,
    /// What the lines are of.
    what: String,
    /// Address of the socket that the script follows.
    feed: String,
    script: String,
    commands: Vec<String>,
}

/// `GET /app/apps`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let mut apps: Vec<App> = listed(request)?;
    apps.sort_by(|a, b| a.name.cmp(&b.name));
    reply::html(&AppsPage {
        frame: Frame::of(web, request, "Apps"),
        live: web.asset("live.js"),
        columns: vec!["App", "Status", "Release", "Generation"],
        part: Part::of(request, apps, |app| format!("{} {} {}", app.name, app.status, app.release)),
        create: offer_at_rack(web, &request.caller, "convox:app:create"),
        commands: vec!["rack-gateway apps".to_owned(), "rack-gateway apps create NAME".to_owned()],
    })
}

/// `POST /app/apps`.
pub(crate) async fn create(_web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    // It is made whatever the rack's reply looks like.
    let name = request.field("name").unwrap_or_default();
    Ok(reply::done(&format!("/app/apps/{}", filters::in_path(name)), "app-created"))
}

/// `GET /app/apps/{app}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let name = parameter(request, "app");
    let app: App = said(request)?;
    let word = command::word(&name);
    let caller = &request.caller;
    let may_read = gate::refusal_at(web.app(), caller, "convox:release:read", &name).is_none();
    reply::html(&AppPage {
        frame: Frame::of(web, request, &name),
        live: web.asset("live.js"),
        tabs: tabs(web, request, &name),
        tone: tone(&app.status),
        parameters: app.parameters.clone().unwrap_or_default().into_iter().collect(),
        cancel: offer(web, caller, "convox:app:cancel", &name),
        delete: offer(web, caller, "convox:app:delete", &name),
        release_href: (may_read && !app.release.is_empty())
            .then(|| format!("/app/apps/{name}/releases/{}", filters::in_path(&app.release))),
        may_read_log: gate::could_use(web.app(), caller, "GET /app/audit", false),
        commands: vec![
            format!("rack-gateway apps info {word}"),
            format!("rack-gateway ps --app {word}"),
            format!("rack-gateway deploy --app {word}"),
        ],
        app,
    })
}

/// `POST /app/apps/{app}/cancel`.
pub(crate) async fn cancel(_web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done(&format!("/app/apps/{}", parameter(request, "app")), "app-cancelled"))
}

/// `POST /app/apps/{app}/delete`.
pub(crate) async fn delete(_web: &Web, _request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done("/app/apps", "app-deleted"))
}

/// `GET /app/apps/{app}/resources`.
pub(crate) async fn resources(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    let resources: Vec<Resource> = listed(request)?;
    let word = command::word(&app);
    reply::html(&ResourcesPage {
        frame: Frame::of(web, request, &format!("Resources of {app}")),
        tabs: tabs(web, request, &app),
        part: Part::of(request, resources, |one| format!("{} {}", one.name, one.kind)),
        commands: vec![
            format!("rack-gateway resources --app {word}"),
            format!("rack-gateway resources proxy NAME --app {word}"),
        ],
        app,
    })
}

/// `GET /app/apps/{app}/logs`.
pub(crate) async fn logs(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    reply::html(&LogsPage {
        frame: Frame::of(web, request, &format!("Logs of {app}")),
        tabs: tabs(web, request, &app),
        what: format!("What the processes of {app} write."),
        feed: format!("/app/apps/{app}/logs/feed?Follow=true&Tail=200&Prefix=true"),
        script: web.asset("logs.js"),
        commands: vec![format!("rack-gateway logs --app {}", command::word(&app))],
        app,
    })
}
