//! The audit log as stories: what was deployed, by whom, with which approval, and what came of it.

use askama::Template;
use gateway_app::audit::stories::{self as tell, StoryFilter};
use gateway_app::audit::{self as log, Story, StoryOutcome, Whose};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::{Problem, Timestamp};

use super::audit::moments;
use super::command;
use super::event::{Badge, EventView, Reader};
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/audit";
const LISTING: &str = "GET /app/audit";
const ONE: &str = "GET /app/audit/{index}";

/// A person or an app, with what the log has of them.
struct Linked {
    name: String,
    href: String,
}

/// A story as pages show it.
struct StoryView {
    href: String,
    app: Linked,
    began: Timestamp,
    ended: Timestamp,
    actors: Vec<Linked>,
    what: String,
    approval: Option<String>,
    sessions: usize,
    requests: usize,
    refusals: usize,
    outcome: Badge,
}

impl StoryView {
    fn new(story: &Story, mine: bool) -> Self {
        let listing = |name: &str, value: &str| Linked {
            name: value.to_owned(),
            href: Query::default().with("view", "story").with(name, value).link(PATH),
        };
        let query = if mine { Query::default().with("mine", "true") } else { Query::default() };
        Self {
            href: query.link(&format!("/app/audit/stories/{}", story.first())),
            app: listing("app", &story.app),
            began: story.began,
            ended: story.ended,
            actors: story.actors.iter().map(|actor| listing("actor", actor)).collect(),
            what: what(story),
            approval: story.approval.as_ref().map(|approval| {
                let state = if approval.state.is_empty() { "asked for" } else { &approval.state };
                let by: Vec<&str> = approval.by.iter().map(String::as_str).collect();
                if by.is_empty() { state.to_owned() } else { format!("{state}, by {}", by.join(" and ")) }
            }),
            sessions: story.sessions,
            requests: story.requests,
            refusals: story.refusals,
            outcome: outcome(story.outcome),
        }
    }
}

fn what(story: &Story) -> String {
    let list = |names: &std::collections::BTreeSet<String>| {
        names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    match (story.builds.is_empty(), story.releases.is_empty()) {
        (false, false) => format!("build {}, release {}", list(&story.builds), list(&story.releases)),
        (false, true) => format!("build {}", list(&story.builds)),
        (true, false) => format!("release {}", list(&story.releases)),
        (true, true) => "a deploy that names no build and no release yet".to_owned(),
    }
}

const fn outcome(outcome: StoryOutcome) -> Badge {
    match outcome {
        StoryOutcome::Promoted => Badge { text: "promoted", tone: "ok" },
        StoryOutcome::Failed => Badge { text: "failed", tone: "bad" },
        StoryOutcome::Refused => Badge { text: "refused", tone: "bad" },
        StoryOutcome::NotApproved => Badge { text: "not approved", tone: "bad" },
        StoryOutcome::Waiting => Badge { text: "waits for approval", tone: "warn" },
        StoryOutcome::Unfinished => Badge { text: "not promoted", tone: "" },
    }
}

#[derive(Template)]
#[template(path = "audit_stories.html")]
struct StoriesPage {
    frame: Frame,
    mine_only: Option<String>,
    mine: bool,
    app: String,
    actor: String,
    from: String,
    to: String,
    faults: Vec<String>,
    events_href: String,
    stories: Vec<StoryView>,
    pager: Pager,
    command: String,
}

/// `GET /app/audit?view=story`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, query) = (web.app(), Query::of(request));
    let others = gate::refusal(app, &request.caller, LISTING, false);
    // What the verdict was about, and nothing wider.
    let mine = request.facts.own_object || others.is_some();
    let one = |name| query.one(name).unwrap_or_default();
    let (actor, of_app, from, to) = (one("actor"), one("app"), one("from"), one("to"));
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let before = log::cursor(query.one("cursor").as_deref())?;
    let whose = if mine { Whose::Own(&request.caller) } else { Whose::Everybodys };
    let (page, faults) = match moments(&from, &to) {
        Ok((since, until)) => {
            let filter = StoryFilter { actor: given(&actor), app: given(&of_app), since, until };
            (Some(tell::list(&app.store, whose, &filter, before).await?), Vec::new())
        }
        Err(faults) => (None, faults),
    };
    let (items, next) = page.map_or_else(Default::default, |page| (page.items, page.next));
    reply::html(&StoriesPage {
        frame: Frame::of(web, request, "Stories of deploys"),
        mine_only: others,
        mine,
        faults,
        events_href: query.clone().without("view").without("cursor").link(PATH),
        stories: items.iter().map(|story| StoryView::new(story, mine)).collect(),
        pager: Pager::new(PATH, &query, next.as_deref()),
        command: as_command(&actor, &of_app),
        app: of_app,
        actor,
        from,
        to,
    })
}

fn as_command(actor: &str, app: &str) -> String {
    let mut words = vec!["rack-gateway".to_owned(), "audit".to_owned(), "story".to_owned()];
    for (flag, value) in [("--actor", actor), ("--app", app)] {
        if !value.is_empty() {
            words.extend([flag.to_owned(), command::word(value)]);
        }
    }
    words.join(" ")
}

#[derive(Template)]
#[template(path = "audit_story.html")]
struct StoryPage {
    frame: Frame,
    story: StoryView,
    may_read_one: bool,
    events: Vec<EventView>,
    command: String,
}

/// `GET /app/audit/stories/{index}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let index = request.parameter("index").and_then(|index| index.parse::<u64>().ok());
    let index = index.ok_or_else(super::audit::no_such_event)?;
    let mine =
        request.facts.own_object || gate::refusal(web.app(), &request.caller, LISTING, false).is_some();
    let whose = if mine { Whose::Own(&request.caller) } else { Whose::Everybodys };
    let (story, events) = tell::one(&web.app().store, whose, index).await?;
    let (policy, reader) = (web.app().policy(), Reader::of(web.app(), &request.caller));
    reply::html(&StoryPage {
        frame: Frame::of(web, request, &format!("Story of app {}", story.app)),
        may_read_one: gate::could_use(web.app(), &request.caller, ONE, false),
        events: events.iter().map(|(index, event)| EventView::new(*index, event, &policy, &reader)).collect(),
        command: format!("rack-gateway audit story {}", story.first()),
        story: StoryView::new(&story, mine),
    })
}
