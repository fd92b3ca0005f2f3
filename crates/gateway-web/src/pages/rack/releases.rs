//! Releases of an app: the list, and one of them with what would change if it ran.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::environments::{self, Against, Asked, Difference};
use gateway_convox::replies::Release;
use gateway_types::{Problem, Timestamp};

use super::{Offer, Part, Tab, listed, moment, offer, parameter, said, tabs};
use crate::page::Frame;
use crate::pages::command;
use crate::{Web, filters, gate, reply};

#[derive(Template)]
#[template(path = "rack_releases.html")]
struct ReleasesPage {
    frame: Frame,
    tabs: Vec<Tab>,
    app: String,
    columns: Vec<&'static str>,
    part: Part<Row>,
    commands: Vec<String>,
}

#[derive(Template)]
#[template(path = "rack_release.html")]
struct ReleasePage {
    frame: Frame,
    tabs: Vec<Tab>,
    app: String,
    one: Row,
    /// What would be other than it is now; `None` when this person may not see it.
    change: Option<Change>,
    promote: Offer,
    commands: Vec<String>,
}

struct Row {
    release: Release,
    created: Option<Timestamp>,
}

impl Row {
    fn of(release: Release) -> Self {
        Self { created: moment(&release.created), release }
    }
}

/// What promoting a release changes: names of variables and lines of the manifest, never values.
struct Change {
    /// The release that runs; empty while none does.
    active: String,
    /// It runs already.
    is_active: bool,
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
    manifest: String,
}

impl Change {
    fn is_nothing(&self) -> bool {
        self.added.is_empty()
            && self.changed.is_empty()
            && self.removed.is_empty()
            && self.manifest.is_empty()
    }
}

/// `GET /app/apps/{app}/releases`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    let rows = listed::<Release>(request)?.into_iter().map(Row::of).collect();
    let text = |row: &Row| format!("{} {} {}", row.release.id, row.release.build, row.release.description);
    let word = command::word(&app);
    reply::html(&ReleasesPage {
        frame: Frame::of(web, request, &format!("Releases of {app}")),
        tabs: tabs(web, request, &app),
        columns: vec!["Release", "Build", "Made", "What it is"],
        part: Part::of(request, rows, text),
        commands: vec![
            format!("rack-gateway releases --app {word}"),
            format!("rack-gateway promote ID --app {word}"),
            format!("rack-gateway rollback ID --app {word}"),
        ],
        app,
    })
}

/// `GET /app/apps/{app}/releases/{id}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    let release: Release = said(request)?;
    let word = command::word(&app);
    reply::html(&ReleasePage {
        frame: Frame::of(web, request, &format!("Release {}", release.id)),
        tabs: tabs(web, request, &app),
        change: change(web, request, &app, &release.id).await?,
        promote: offer(web, &request.caller, "convox:release:promote", &app),
        commands: vec![
            format!("rack-gateway releases info {} --app {word}", command::word(&release.id)),
            format!("rack-gateway releases promote {} --app {word}", command::word(&release.id)),
        ],
        one: Row::of(release),
        app,
    })
}

/// What would be other if this release ran, for whoever may read the environment.
async fn change(web: &Web, request: &OwnRequest, app: &str, id: &str) -> Result<Option<Change>, Problem> {
    if gate::refusal_at(web.app(), &request.caller, "gateway:env:read", app).is_some() {
        return Ok(None);
    }
    let asked = Asked { app: app.to_owned(), release: Some(id.to_owned()), against: Against::Active };
    let found = environments::read(web.app(), &request.rack, &request.caller, &asked).await?;
    let named = |wanted: Difference| {
        let variables = found.variables.iter().filter(|variable| variable.difference == wanted);
        variables.map(|variable| variable.name.clone()).collect()
    };
    let active = found.active.clone().unwrap_or_default();
    Ok(Some(Change {
        is_active: active == id,
        active,
        added: named(Difference::Added),
        changed: named(Difference::Changed),
        removed: found.removed.clone(),
        manifest: found.manifest.join("\n"),
    }))
}

/// `POST /app/apps/{app}/releases/{id}/promote`.
pub(crate) async fn promote(_web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done(&format!("/app/apps/{}", parameter(request, "app")), "release-promoted"))
}
