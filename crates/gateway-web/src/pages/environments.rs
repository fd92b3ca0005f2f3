//! An app's environment with handles, the form that reveals values, and who reads values for a while.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::environments::{self, Against, Asked, Difference, Variable};
use gateway_app::reveals::{self, Request, RevealError};
use gateway_store::Reveal;
use gateway_types::{Layer, Problem, ProblemKind, RevealId, Timestamp};
use http::header::CACHE_CONTROL;

use super::{command, rack};
use crate::page::Frame;
use crate::query::Query;
use crate::{Web, filters, gate, reply};

const REVEALS: &str = "/app/reveals";

#[derive(Template)]
#[template(path = "environment.html")]
struct EnvironmentPage {
    frame: Frame,
    tabs: Vec<rack::Tab>,
    app: String,
    release: String,
    /// What it is compared with, in words; empty when there is nothing to compare with.
    compared: String,
    columns: Vec<&'static str>,
    variables: Vec<Row>,
    removed: Vec<String>,
    /// Why this person may not reveal.
    refused: Option<String>,
    form: RevealForm,
    commands: Vec<String>,
}

struct Row {
    name: String,
    value: String,
    hidden: bool,
    protected: bool,
    difference: &'static str,
    same_as: String,
}

/// The form that reveals, as it was filled in.
#[derive(Default)]
struct RevealForm {
    keys: String,
    reason: String,
    fault: String,
}

#[derive(Template)]
#[template(path = "revealed.html")]
struct RevealedPage {
    frame: Frame,
    app: String,
    release: String,
    values: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "reveals.html")]
struct RevealsPage {
    frame: Frame,
    everybodys: bool,
    may_see_all: bool,
    /// The app whose environment is asked for, with its page.
    app: String,
    app_page: Option<String>,
    columns: Vec<&'static str>,
    reveals: Vec<OpenReveal>,
}

struct OpenReveal {
    id: String,
    holder: String,
    app: String,
    reason: String,
    expires: Timestamp,
    may_end: bool,
}

fn name(request: &OwnRequest) -> String {
    request.parameter("app").unwrap_or_default().to_owned()
}

/// `GET /app/apps/{app}/env`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    reply::html(&page(web, request, RevealForm::default()).await?)
}

async fn page(web: &Web, request: &OwnRequest, form: RevealForm) -> Result<EnvironmentPage, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let query = Query::of(request);
    let against = query.one("since").filter(|id| !id.is_empty()).map_or(Against::Active, Against::Release);
    let asked = Asked { app: name(request), release: query.one("release"), against };
    let found = environments::read(app, &request.rack, caller, &asked).await?;
    let word = command::word(&found.app);
    Ok(EnvironmentPage {
        frame: Frame::of(web, request, &format!("Environment of {}", found.app)),
        tabs: rack::tabs(web, request, &found.app),
        compared: match (&asked.against, &found.compared) {
            (Against::Release(_), Some(release)) => format!("release {release}"),
            (Against::Active | Against::App(_), Some(release)) => format!("release {release}, which runs"),
            (_, None) => String::new(),
        },
        release: found.release.unwrap_or_default(),
        columns: vec!["Variable", "Value", "What it is"],
        variables: found.variables.iter().map(row).collect(),
        removed: found.removed,
        refused: gate::refusal_at(app, caller, "gateway:secret:reveal", &found.app),
        form,
        commands: vec![
            format!("rack-gateway env --app {word}"),
            format!("rack-gateway env set --app {word} KEY=VALUE"),
            format!("rack-gateway env diff --app {word}"),
            format!("rack-gateway reveal --app {word} KEY --reason \"a look at #42\""),
            format!("rack-gateway reveal --app {word} --for 5m --reason \"a look at #42\""),
        ],
        app: found.app,
    })
}

fn row(one: &Variable) -> Row {
    Row {
        name: one.name.clone(),
        value: one.value.clone(),
        hidden: one.hidden,
        protected: one.protected,
        difference: match one.difference {
            Difference::Same => "",
            Difference::Changed => "changed",
            Difference::Added => "new",
        },
        same_as: one.same_as.join(", "),
    }
}

/// `POST /app/apps/{app}/env/reveal`. The values are in this one page and nowhere else: nobody keeps it.
pub(crate) async fn reveal(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let field = |name| request.field(name).unwrap_or_default().trim().to_owned();
    let form = RevealForm { keys: field("keys"), reason: field("reason"), fault: String::new() };
    let keys = form.keys.split([' ', ',', '\n', '\r', '\t']).filter(|key| !key.is_empty());
    let asked = Request {
        app: name(request),
        keys: keys.map(str::to_owned).collect(),
        release: None,
        reason: form.reason.clone(),
    };
    let operator = web.app().operator(&request.caller, request.request_id);
    let found = reveals::once(web.app(), &operator, &request.rack, &request.caller, &asked).await;
    let found = match found {
        Ok(found) => found,
        // What was typed is wrong: it is said at the form.
        Err(problem) if matches!(problem.kind, ProblemKind::BadParameter | ProblemKind::NotFound) => {
            let page = page(web, request, RevealForm { fault: problem.detail, ..form }).await?;
            return reply::html_with_status(400, &page);
        }
        Err(problem) => return Err(problem),
    };
    let page = RevealedPage {
        frame: Frame::of(web, request, &format!("Values of {}", asked.app)),
        app: asked.app,
        release: found.release,
        values: found.values.iter().map(|(name, value)| (name.clone(), value.expose().clone())).collect(),
    };
    Ok(reply::html(&page)?.with_header(CACHE_CONTROL, "no-store"))
}

/// `GET /app/reveals`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let query = Query::of(request);
    let may_see_all = gate::could_use(app, caller, "GET /app/reveals", false);
    // Policy was told that this is about one's own unless the query says otherwise.
    let everybodys = may_see_all && query.one("all").as_deref() == Some("true");
    let live = reveals::live(app, (!everybodys).then_some(&caller.principal)).await?;
    let may_end_others = gate::could_use(app, caller, "POST /app/reveals/{id}/end", false);
    let asked = query.one("app").unwrap_or_default().trim().to_owned();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let shown = |one: Reveal| OpenReveal {
        id: one.id.to_string(),
        holder: one.holder,
        app: one.app,
        reason: one.reason,
        expires: one.expires,
        may_end: !everybodys || may_end_others,
    };
    reply::html(&RevealsPage {
        frame: Frame::of(web, request, "Environments"),
        everybodys,
        may_see_all,
        app_page: (!asked.is_empty() && asked.chars().all(is_name)).then(|| format!("/app/apps/{asked}/env")),
        app: asked,
        columns: vec!["Who", "App", "Why", "Until", "What to do"],
        reveals: live.into_iter().map(shown).collect(),
    })
}

/// `POST /app/reveals/{id}/end`.
pub(crate) async fn end(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let unknown =
        || Problem::new(ProblemKind::NotFound, Layer::Authorization, "There is nothing with this id.");
    let id: RevealId = request.parameter("id").and_then(|id| id.parse().ok()).ok_or_else(unknown)?;
    let operator = web.app().operator(&request.caller, request.request_id);
    match reveals::end(web.app(), &operator, id).await {
        // It is over, which is what was wanted.
        Ok(()) | Err(RevealError::Over) => Ok(reply::done(REVEALS, "reveal-ended")),
        Err(error) => Err(error.into()),
    }
}
