//! Processes of an app: the list, one of them with its terminal, and stopping it.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::settings::RecordingMode;
use gateway_convox::replies::Process;
use gateway_types::{Problem, Timestamp};

use super::{Offer, Part, Tab, listed, moment, offer, parameter, said, tabs, tone};
use crate::page::Frame;
use crate::pages::command;
use crate::{Web, filters, reply};

#[derive(Template)]
#[template(path = "rack_processes.html")]
struct ProcessesPage {
    frame: Frame,
    live: String,
    tabs: Vec<Tab>,
    app: String,
    columns: Vec<&'static str>,
    part: Part<Row>,
    stop: Offer,
    commands: Vec<String>,
}

#[derive(Template)]
#[template(path = "rack_process.html")]
struct ProcessPage {
    frame: Frame,
    tabs: Vec<Tab>,
    app: String,
    one: Row,
    exec: Offer,
    /// What becomes of what is typed and shown, in a sentence.
    recorded: &'static str,
    script: String,
    commands: Vec<String>,
}

struct Row {
    process: Process,
    service: String,
    tone: &'static str,
    started: Option<Timestamp>,
}

impl Row {
    fn of(process: Process) -> Self {
        Self {
            service: process.name.clone(),
            tone: tone(&process.status),
            started: moment(&process.started),
            process,
        }
    }
}

/// `GET /app/apps/{app}/processes`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    let mut processes: Vec<Process> = listed(request)?;
    processes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let rows = processes.into_iter().map(Row::of).collect();
    let text = |row: &Row| {
        let Process { id, name, status, release, command, .. } = &row.process;
        format!("{id} {name} {status} {release} {command}")
    };
    let word = command::word(&app);
    reply::html(&ProcessesPage {
        frame: Frame::of(web, request, &format!("Processes of {app}")),
        live: web.asset("live.js"),
        tabs: tabs(web, request, &app),
        columns: vec!["Process", "Service", "Status", "Release", "Started", "Command", ""],
        part: Part::of(request, rows, text),
        stop: offer(web, &request.caller, "convox:process:terminate", &app),
        commands: vec![
            format!("rack-gateway ps --app {word}"),
            format!("rack-gateway ps stop ID --app {word}"),
            format!("rack-gateway exec ID bash --app {word}"),
        ],
        app,
    })
}

/// `GET /app/apps/{app}/processes/{pid}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    let process: Process = said(request)?;
    let recorded = match web.app().settings.recording(Some(&app)) {
        RecordingMode::Strict => "This session is recorded. Without a recording it does not begin, or ends.",
        RecordingMode::BestEffort => "This session is recorded.",
        RecordingMode::Off => {
            "Sessions of this app are not recorded; that and when this one was held is in the log."
        }
    };
    let (word, id) = (command::word(&app), command::word(&process.id));
    reply::html(&ProcessPage {
        frame: Frame::of(web, request, &format!("Process {}", process.id)),
        tabs: tabs(web, request, &app),
        exec: offer(web, &request.caller, "convox:process:exec", &app),
        recorded,
        script: web.asset("terminal.js"),
        commands: vec![
            format!("rack-gateway exec {id} sh --app {word}"),
            format!("rack-gateway ps info {id} --app {word}"),
        ],
        one: Row::of(process),
        app,
    })
}

/// `POST /app/apps/{app}/processes/{pid}/stop`.
pub(crate) async fn stop(_web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done(&format!("/app/apps/{}/processes", parameter(request, "app")), "process-stopped"))
}
