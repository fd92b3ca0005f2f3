//! A session in the rack that goes on, watched and joined.
//!
//! # Security
//! What it shows was made by its other side, and reaches the page as the pages of recordings have it: lines without any
//! control, and for the script only sequences that draw.

use std::time::Duration;

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::recordings::{self, Seen, Watch};
use gateway_recording::{Chunk, Kind, TerminalText, events, header};
use gateway_types::{Problem, Timestamp};
use http::header::CACHE_CONTROL;

use super::recordings::{Shown, id};
use crate::page::Frame;
use crate::{Web, filters, gate, reply};

/// The most lines of text on the page, which are the last ones.
const MOST_LINES: usize = 500;

#[derive(Template)]
#[template(path = "live_one.html")]
struct WatchPage {
    frame: Frame,
    /// Address of the script that shows it as it goes on.
    script: String,
    id: String,
    actor: String,
    place: String,
    command: String,
    began: Timestamp,
    /// It waits for a second person, which whoever looks may become.
    may_join: bool,
    waits: bool,
    is_over: bool,
    size: (u16, u16),
    lines: Vec<(String, String)>,
}

/// `GET /app/live/{id}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let operator = app.operator(caller, request.request_id);
    let mut watch = Watch::open(app, &operator, caller, id(request)?).await?;
    let (mut lines, mut is_over) = (Vec::new(), false);
    loop {
        match watch.look().await.map_err(recordings::RecordingError::Store)? {
            Seen::Pieces(chunks) => {
                lines.extend(Shown::of(&chunks.iter().flat_map(shown).collect::<Vec<_>>()).lines);
                lines.drain(..lines.len().saturating_sub(MOST_LINES));
            }
            Seen::Quiet => break,
            Seen::Over(_) => {
                is_over = true;
                break;
            }
        }
    }
    let (size, session) = (watch.size(), watch.into_session());
    let may = gate::could_use(app, caller, "POST /app/live/{id}/join", false);
    let place = session
        .app
        .as_ref()
        .map_or_else(|| session.target.clone(), |app| format!("{app} {}", session.target));
    let page = WatchPage {
        frame: Frame::of(web, request, &format!("Session of {}", session.actor)),
        script: web.asset("replay.js"),
        id: session.id.to_string(),
        actor: session.actor,
        place,
        command: session.command.unwrap_or_default(),
        began: session.began,
        may_join: may && session.second.is_some() && !is_over,
        waits: session.second == Some(gateway_store::SecondPerson::Waits),
        is_over,
        size: (size.columns(), size.rows()),
        lines,
    };
    Ok(reply::html(&page)?.with_header(CACHE_CONTROL, "no-store"))
}

/// `GET /app/live/{id}/feed`: server-sent events for the script, `shown` with `[text, …]` and at last `over`.
pub(crate) async fn feed(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let operator = app.operator(caller, request.request_id);
    let watch = Watch::open(app, &operator, caller, id(request)?).await?;
    let mut terminal = TerminalText::default();
    Ok(OwnReply::events(watch.feed(move |seen| told(&mut terminal, seen))))
}

fn told(terminal: &mut TerminalText, seen: &Seen) -> String {
    let sent = |event: &str, data: serde_json::Value| format!("event: {event}\ndata: {data}\n\n");
    match seen {
        Seen::Pieces(chunks) => {
            let mut text = String::new();
            for event in chunks.iter().flat_map(shown).filter(|event| event.kind == Kind::Output) {
                terminal.push(&event.text, &mut text);
            }
            sent("shown", serde_json::json!([text]))
        }
        Seen::Quiet => ":\n\n".to_owned(),
        Seen::Over(session) => {
            let ending = session.ending.clone();
            sent("over", serde_json::json!(ending.unwrap_or_else(|| "its gateway stopped".to_owned())))
        }
    }
}

/// What a piece holds. One that cannot be read shows nothing; reading the recording says what is wrong with it.
fn shown(chunk: &Chunk) -> Vec<gateway_recording::Event> {
    let lines = match chunk.sequence {
        0 => header(&chunk.plain).map(|(_, lines)| lines).unwrap_or_default(),
        _ => &chunk.plain,
    };
    events(lines, Duration::ZERO).unwrap_or_default()
}

/// `POST /app/live/{id}/join`.
pub(crate) async fn join(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let operator = app.operator(caller, request.request_id);
    let id = id(request)?;
    recordings::join(app, &operator, caller, id).await?;
    Ok(reply::done(&format!("/app/live/{id}"), "live-joined"))
}

#[cfg(test)]
mod tests {
    use gateway_recording::Digest;

    use super::*;

    #[test]
    fn h9_what_is_watched_is_inert() {
        let chunk = |sequence, plain: &str| Chunk {
            sequence,
            is_last: false,
            plain: plain.as_bytes().to_vec(),
            digest: Digest::of(b""),
        };
        let hostile = "[0.1,\"o\",\"a\\u001b]52;c;ZXZpbA==\\u0007\\u001b]8;;https://evil\\u001b\\\\<script>\\u001b[6n\"]\n[0.2,\"i\",\"typed\"]\n";
        let cut = "[0.3,\"o\",\"\\u001b]0;ti\"]\n";
        let mut terminal = TerminalText::default();
        let first = told(&mut terminal, &Seen::Pieces(vec![chunk(1, hostile), chunk(2, cut)]));
        assert_eq!(first, "event: shown\ndata: [\"a<script>\"]\n\n");
        let second = told(&mut terminal, &Seen::Pieces(vec![chunk(3, "[0.4,\"o\",\"tle\\u0007b\"]\n")]));
        assert_eq!(second, "event: shown\ndata: [\"b\"]\n\n");
        assert_eq!(
            told(&mut terminal, &Seen::Pieces(vec![chunk(4, "not a cast\n")])),
            "event: shown\ndata: [\"\"]\n\n"
        );
    }
}
