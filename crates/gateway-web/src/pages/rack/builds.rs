//! Builds of an app: the list, and one of them with its log.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_convox::replies::Build;
use gateway_types::{Problem, Timestamp};

use super::{Offer, Part, Tab, listed, moment, offer, parameter, said, tabs, tone};
use crate::page::Frame;
use crate::pages::command;
use crate::{Web, filters, reply};

#[derive(Template)]
#[template(path = "rack_builds.html")]
struct BuildsPage {
    frame: Frame,
    live: String,
    tabs: Vec<Tab>,
    app: String,
    columns: Vec<&'static str>,
    part: Part<Row>,
    /// Whether this person may look at releases.
    releases: Offer,
    commands: Vec<String>,
}

#[derive(Template)]
#[template(path = "rack_build.html")]
struct BuildPage {
    frame: Frame,
    tabs: Vec<Tab>,
    app: String,
    one: Row,
    /// Whether this person may look at releases.
    releases: Offer,
    feed: String,
    script: String,
    commands: Vec<String>,
}

struct Row {
    build: Build,
    tone: &'static str,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
}

impl Row {
    fn of(build: Build) -> Self {
        Self {
            tone: tone(&build.status),
            started: moment(&build.started),
            ended: moment(&build.ended),
            build,
        }
    }
}

/// `GET /app/apps/{app}/builds`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    let rows = listed::<Build>(request)?.into_iter().map(Row::of).collect();
    let text = |row: &Row| {
        let Build { id, status, release, description, .. } = &row.build;
        format!("{id} {status} {release} {description}")
    };
    let word = command::word(&app);
    reply::html(&BuildsPage {
        frame: Frame::of(web, request, &format!("Builds of {app}")),
        live: web.asset("live.js"),
        tabs: tabs(web, request, &app),
        columns: vec!["Build", "Status", "Release", "Began", "What it is"],
        part: Part::of(request, rows, text),
        releases: offer(web, &request.caller, "convox:release:read", &app),
        commands: vec![
            format!("rack-gateway builds --app {word}"),
            format!("rack-gateway build --app {word}"),
        ],
        app,
    })
}

/// `GET /app/apps/{app}/builds/{id}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    let build: Build = said(request)?;
    reply::html(&BuildPage {
        frame: Frame::of(web, request, &format!("Build {}", build.id)),
        tabs: tabs(web, request, &app),
        feed: format!("/app/apps/{app}/builds/{}/logs?Follow=true", parameter(request, "id")),
        releases: offer(web, &request.caller, "convox:release:read", &app),
        script: web.asset("logs.js"),
        commands: vec![format!(
            "rack-gateway builds logs {} --app {}",
            command::word(&build.id),
            command::word(&app)
        )],
        one: Row::of(build),
        app,
    })
}
