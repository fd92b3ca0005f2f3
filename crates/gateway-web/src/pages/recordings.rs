//! Sessions in the rack: those that go on, and recordings of those that were, shown as text and replayed.
//!
//! # Security
//! What a session showed was made by its other side. It reaches the page as text: lines without any control, and for
//! the replayer only sequences that draw, which its own small terminal reads and no real one.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::recordings::{self, Part, RecordingError};
use gateway_recording::{Event, Header, Kind, PlainLines, TerminalText, TimedLine, events, header};
use gateway_store::{RecordedSession, RecordingFilter, SecondPerson, SessionState};
use gateway_types::{Layer, Problem, ProblemKind, RecordingId, Timestamp};
use http::header::CACHE_CONTROL;

use super::account;
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const RECORDINGS: &str = "/app/recordings";
const LIVE: &str = "/app/live";
const PAGE_SIZE: u32 = 50;

/// The most lines of text on one page.
const MOST_LINES: usize = 5000;

#[derive(Template)]
#[template(path = "recordings.html")]
struct RecordingsPage {
    frame: Frame,
    everybodys: bool,
    may_see_all: bool,
    may_read: bool,
    app: String,
    columns: Vec<&'static str>,
    sessions: Vec<Row>,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "live.html")]
struct LivePage {
    frame: Frame,
    may_end: bool,
    may_watch: bool,
    columns: Vec<&'static str>,
    sessions: Vec<Row>,
}

#[derive(Template)]
#[template(path = "recording.html")]
struct RecordingPage {
    frame: Frame,
    /// Address of the replayer.
    script: String,
    one: Row,
    fault: Option<String>,
    logged_at: Option<u64>,
    size: (u16, u16),
    /// What the replayer shows, as JSON: `[[milliseconds, text], …]`.
    output: String,
    lines: Vec<(String, String)>,
    is_shortened: bool,
    notes: Vec<(String, String)>,
    next: Option<u64>,
}

struct Row {
    id: String,
    request_id: String,
    actor: String,
    from: String,
    what: String,
    place: String,
    command: String,
    state: &'static str,
    tone: &'static str,
    ending: String,
    mode: String,
    waits: bool,
    /// Its client is away, and may come back.
    is_away: bool,
    began: Timestamp,
    bytes: u64,
    lost_bytes: u64,
    digest: String,
}

fn row(one: RecordedSession) -> Row {
    let (state, tone) = match one.state {
        SessionState::Live => ("live", "ok"),
        SessionState::Ended => ("ended", ""),
        SessionState::Cut => ("cut", "bad"),
    };
    let ending = match one.state {
        SessionState::Live => String::new(),
        SessionState::Ended => one.ending.unwrap_or_default(),
        SessionState::Cut => "the gateway that held it stopped without ending it".to_owned(),
    };
    Row {
        id: one.id.to_string(),
        request_id: one.request_id.to_string(),
        actor: one.actor,
        from: one.source_ip,
        what: one.action,
        place: one.app.map_or_else(|| one.target.clone(), |app| format!("{app} {}", one.target)),
        command: one.command.unwrap_or_default(),
        state,
        tone,
        ending,
        mode: one.mode.replace('_', " "),
        waits: one.second == Some(SecondPerson::Waits),
        is_away: one.detached.is_some(),
        began: one.began,
        bytes: one.plain_bytes,
        lost_bytes: one.lost_bytes,
        digest: one.digest,
    }
}

/// `GET /app/recordings`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let query = Query::of(request);
    let may_see_all = gate::could_use(app, caller, "GET /app/recordings", false);
    // Policy was told that this is about one's own unless the query says otherwise.
    let everybodys = may_see_all && query.one("all").as_deref() == Some("true");
    let of_app = query.one("app").unwrap_or_default().trim().to_owned();
    let filter = RecordingFilter {
        app: Some(of_app.clone()).filter(|app| !app.is_empty()),
        user: if everybodys { None } else { Some(account::person(caller)?) },
        actor: None,
        recorded_only: true,
        limit: PAGE_SIZE,
        cursor: query.one("cursor"),
    };
    let found = recordings::list(app, &filter).await?;
    reply::html(&RecordingsPage {
        frame: Frame::of(web, request, "Recordings"),
        everybodys,
        may_see_all,
        may_read: gate::could_use(app, caller, "GET /app/recordings/{id}", false),
        app: of_app,
        columns: vec!["Who", "Where", "Command", "Began", "State", "What to do"],
        pager: Pager::new(RECORDINGS, &query, found.next.as_deref()),
        sessions: found.items.into_iter().map(row).collect(),
    })
}

/// `GET /app/recordings/{id}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let from = match Query::of(request).one("from") {
        None => 0,
        Some(text) => text.parse::<u64>().map_err(|_bad| unknown())?,
    };
    let operator = web.app().operator(&request.caller, request.request_id);
    let part = recordings::read(web.app(), &operator, id(request)?, from).await?;
    let next = part.next();
    let Part { session, chunks, fault, logged_at } = part;
    let plain: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.plain).collect();
    let (head, events, unreadable) = read(&plain, from);
    let shown = Shown::of(&events);
    let session = row(session);
    let page = RecordingPage {
        frame: Frame::of(web, request, &format!("Session of {}", session.actor)),
        script: web.asset("replay.js"),
        one: session,
        fault: fault.or(unreadable),
        logged_at,
        size: head.map_or((80, 24), |head| (head.size.columns(), head.size.rows())),
        output: shown.output,
        is_shortened: shown.is_shortened,
        lines: shown.lines,
        notes: shown.notes,
        next,
    };
    Ok(reply::html(&page)?.with_header(CACHE_CONTROL, "no-store"))
}

/// The lines of some pieces: the first of all has the header.
fn read(plain: &[u8], from: u64) -> (Option<Header>, Vec<Event>, Option<String>) {
    let began = std::time::Duration::ZERO;
    let read = match from {
        0 => header(plain).and_then(|(head, rest)| Ok((Some(head), events(rest, began)?))),
        _ => events(plain, began).map(|events| (None, events)),
    };
    match read {
        Ok((head, events)) => (head, events, None),
        Err(fault) => (None, Vec::new(), Some(fault.to_string())),
    }
}

/// What a page shows of events.
pub(super) struct Shown {
    output: String,
    pub(super) lines: Vec<(String, String)>,
    is_shortened: bool,
    notes: Vec<(String, String)>,
}

impl Shown {
    pub(super) fn of(events: &[Event]) -> Self {
        let (mut terminal, mut plain) = (TerminalText::default(), PlainLines::default());
        let (mut output, mut lines, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            match event.kind {
                Kind::Output => {
                    let mut text = String::new();
                    terminal.push(&event.text, &mut text);
                    plain.push(event.at, &event.text, &mut lines);
                    let at = u64::try_from(event.at.as_millis()).unwrap_or(u64::MAX);
                    output.push(serde_json::json!([at, text]));
                }
                Kind::Marker => notes.push((clock(event.at), without_controls(&event.text))),
                Kind::Input => {
                    notes.push((clock(event.at), format!("typed: {}", without_controls(&event.text))))
                }
                Kind::Resize => {}
            }
        }
        plain.finish(&mut lines);
        let is_shortened = lines.len() > MOST_LINES;
        let lines = lines.into_iter().take(MOST_LINES);
        let lines = lines.map(|TimedLine { at, text }| (clock(at), without_controls(&text))).collect();
        Self { output: serde_json::Value::Array(output).to_string(), lines, is_shortened, notes }
    }
}

fn without_controls(text: &str) -> String {
    let is_hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
    text.chars().map(|c| if is_hazard(c) { '\u{fffd}' } else { c }).collect()
}

/// `MM:SS` since the session began.
fn clock(at: std::time::Duration) -> String {
    format!("{:02}:{:02}", at.as_secs() / 60, at.as_secs() % 60)
}

/// `GET /app/live`.
pub(crate) async fn live(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    reply::html(&LivePage {
        frame: Frame::of(web, request, "Live sessions"),
        may_end: gate::could_use(app, &request.caller, "POST /app/live/{id}/end", false),
        may_watch: gate::could_use(app, &request.caller, "GET /app/live/{id}", false),
        columns: vec!["Who", "Where", "Command", "Since", "Recorded", "What to do"],
        sessions: recordings::live(app).await?.into_iter().map(row).collect(),
    })
}

/// `POST /app/live/{id}/end`.
pub(crate) async fn end(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let reason = request.field("reason").unwrap_or_default();
    match recordings::end(web.app(), &operator, id(request)?, reason).await {
        // It is over or will be, which is what was wanted.
        Ok(()) | Err(RecordingError::Over | RecordingError::Ending) => Ok(reply::done(LIVE, "live-ended")),
        Err(error) => Err(error.into()),
    }
}

fn unknown() -> Problem {
    Problem::new(ProblemKind::NotFound, Layer::Authorization, "There is nothing with this id.")
}

pub(super) fn id(request: &OwnRequest) -> Result<RecordingId, Problem> {
    request.parameter("id").and_then(|id| id.parse().ok()).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// H9: nothing that a session showed reaches the page as anything but text and drawing.
    #[test]
    fn h9_what_a_session_showed_is_inert() {
        let hostile = "\u{1b}]52;c;ZXZpbA==\u{7}\u{1b}]0;title\u{7}\u{1b}]8;;https://evil\u{1b}\\a\u{202e}<script>\u{1b}[6n\r\n";
        let event =
            |text: &str| Event { at: Duration::from_secs(61), kind: Kind::Output, text: text.to_owned() };
        let shown = Shown::of(&[event(hostile), Event { kind: Kind::Marker, ..event("end\u{1b}[2J") }]);
        assert_eq!(shown.lines, [("01:01".to_owned(), "a\u{fffd}<script>".to_owned())]);
        assert_eq!(shown.notes, [("01:01".to_owned(), "end\u{fffd}[2J".to_owned())]);
        let output: Vec<(u64, String)> = serde_json::from_str(&shown.output).unwrap();
        assert_eq!(output, [(61_000, "a\u{202e}<script>\r\n".to_owned())]);
        let claims = b"{\"version\":2,\"width\":1000000,\"height\":24,\"timestamp\":0,\"title\":\"\"}\n";
        assert!(read(claims, 0).2.is_some_and(|fault| fault.contains("columns")));
    }
}
