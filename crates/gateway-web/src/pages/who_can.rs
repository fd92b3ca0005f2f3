//! Everybody who may do something: the question before an access review has to be read.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::{AppError, explain};
use gateway_types::{Class, Layer, Principal, Problem, Verdict};

use super::command;
use crate::page::Frame;
use crate::query::Query;
use crate::{Web, reply, words};

#[derive(Template)]
#[template(path = "who_can.html")]
struct WhoCanPage {
    frame: Frame,
    /// Every action, with its words.
    actions: Vec<(String, String)>,
    action: String,
    app: String,
    /// What was asked, in words; empty before.
    question: String,
    fault: String,
    columns: Vec<&'static str>,
    found: Vec<Row>,
    command: String,
}

struct Row {
    name: String,
    what: &'static str,
    when: &'static str,
    tone: &'static str,
    rules: Vec<String>,
}

fn row(principal: &Principal, verdict: &Verdict) -> Row {
    let what = match principal {
        Principal::User { .. } => "person",
        Principal::ApiToken { .. } => "API token",
        Principal::Workload { .. } => "any machine of this trust rule",
        Principal::AccessToken { .. } | Principal::Anonymous => "",
    };
    let (when, tone) = match verdict.is_allowed() {
        true => ("at once", "ok"),
        false if verdict.layer == Layer::Mfa => ("with a second factor", "warn"),
        false => ("under conditions", "warn"),
    };
    Row { name: principal.display_name(), what, when, tone, rules: verdict.rules.clone() }
}

/// `GET /app/who-can`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, query) = (web.app(), Query::of(request));
    let action = query.one("action").unwrap_or_default();
    let of_app = query.one("app").unwrap_or_default();
    let policy = app.policy();
    let mut actions: Vec<(String, String)> = policy
        .operations()
        .iter()
        .filter(|operation| operation.class != Class::Open)
        .map(|operation| operation.action.to_string())
        .map(|name| (words::action_in_words(&name), name))
        .map(|(words, name)| (name, words))
        .collect();
    actions.sort();
    actions.dedup();
    let (mut found, mut fault) = (Vec::new(), String::new());
    if !action.is_empty() {
        let resource = explain::resource(&action, Some(of_app.as_str()).filter(|app| !app.is_empty()));
        let facts = explain::facts(app, &resource);
        let asking =
            explain::who_can(&app.store, &policy, app.circumstances(), &action, &resource, &facts).await;
        match asking {
            Ok(able) => {
                found = able.iter().map(|(caller, verdict)| row(&caller.principal, verdict)).collect();
            }
            Err(error @ AppError::UnknownAction { .. }) => fault = error.to_string(),
            Err(error) => return Err(error.into()),
        }
    }
    let place = if of_app.is_empty() { String::new() } else { format!(" in {of_app}") };
    let flag = if of_app.is_empty() { String::new() } else { format!(" --app {}", command::word(&of_app)) };
    let asked = if action.is_empty() { "convox:release:promote" } else { &action };
    reply::html(&WhoCanPage {
        frame: Frame::of(web, request, "Who can"),
        actions,
        question: match fault.is_empty() && !action.is_empty() {
            true => format!("{}{place}", words::action_in_words(&action)),
            false => String::new(),
        },
        command: format!("rack-gateway who-can {}{flag}", command::word(asked)),
        columns: vec!["Who", "When", "By"],
        action,
        app: of_app,
        fault,
        found,
    })
}
