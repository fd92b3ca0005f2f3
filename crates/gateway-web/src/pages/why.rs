//! The story of one request: which layer decided, by which rules, upon which facts, and what would make it
//! a yes.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_audit::{End, Event, Phase};
use gateway_types::{Decision, Layer, Problem, ProblemKind, RequestId};

use super::event::{EventView, Reader, layer_in_words, remedy};
use crate::page::Frame;
use crate::{Web, filters, gate, reply};

#[derive(Template)]
#[template(path = "why.html")]
struct WhyPage {
    frame: Frame,
    may_search: bool,
    may_read_one: bool,
    summary: String,
    reason: Option<String>,
    layers: Vec<LayerRow>,
    remedies: Vec<&'static str>,
    events: Vec<EventView>,
    command: String,
}

/// One of the five layers and how the request fared at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct LayerRow {
    name: &'static str,
    question: &'static str,
    /// `passed`, `stopped` or `unmet`.
    state: &'static str,
    word: &'static str,
}

/// `GET /app/why/{request_id}`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let id = request.parameter("request_id").unwrap_or_default();
    let id: RequestId = id.parse().map_err(|_no_id| {
        Problem::new(ProblemKind::NotFound, Layer::Authorization, "This is no id of a request.")
    })?;
    let events = gateway_app::explain::why_for(app, caller, id).await?;
    let story = Story::of(&events);
    let (policy, reader) = (app.policy(), Reader::of(app, caller));
    let title = if story.stopped.is_some() { "Why it was refused" } else { "What became of it" };
    reply::html(&WhyPage {
        frame: Frame::of(web, request, title),
        may_search: gate::could_use(app, caller, "GET /app/audit", false),
        may_read_one: gate::could_use(app, caller, "GET /app/audit/{index}", false),
        summary: story.summary(),
        reason: story.reason.clone(),
        layers: story.layers(),
        remedies: story.remedies.clone(),
        events: events.iter().map(|(index, event)| EventView::new(*index, event, &policy, &reader)).collect(),
        command: format!("rack-gateway why {id}"),
    })
}

/// What the events of a request say together.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Story {
    actor: String,
    action: String,
    resource: String,
    stopped: Option<Layer>,
    reason: Option<String>,
    remedies: Vec<&'static str>,
    end: Option<End>,
    status: Option<u16>,
}

impl Story {
    /// The first event says who and what, the last one how it ended; any may be the refusal. Changes that
    /// the request made are events of their own and decide nothing.
    fn of(events: &[(u64, Event)]) -> Self {
        let events = || events.iter().map(|(_, event)| event);
        let refusal = events().find(|event| is_refusal(event));
        let told = refusal.or_else(|| events().next());
        let text = |of: fn(&Event) -> String| told.map(of).unwrap_or_default();
        Self {
            actor: text(|event| event.actor.name.clone()),
            action: text(|event| event.action.to_string()),
            resource: text(|event| {
                event.resource.app_name().map_or_else(String::new, |app| format!(" on app {app}"))
            }),
            stopped: refusal.and_then(|event| event.layer),
            reason: refusal.and_then(|event| event.reason.clone()),
            remedies: refusal
                .and_then(|event| event.verdict.as_ref())
                .map(|verdict| verdict.remedies.iter().map(|kind| remedy(*kind)).collect())
                .unwrap_or_default(),
            end: events().filter_map(|event| event.end).next_back(),
            status: events().filter_map(|event| event.status).next_back(),
        }
    }

    fn summary(&self) -> String {
        let Self { actor, action, resource, .. } = self;
        let status = self.status.map(|status| format!(" with status {status}")).unwrap_or_default();
        let end = match (self.stopped, self.end) {
            (Some(layer), _) => format!("The {} layer refused it{status}.", layer_in_words(layer)),
            (None, Some(End::Completed)) => format!("It was allowed, and was answered{status}."),
            (None, Some(End::Refused)) => format!("It was refused{status}."),
            (None, Some(End::AbortedByClient)) => "It was allowed; the client went away first.".to_owned(),
            (None, Some(End::UpstreamLost)) => format!("It was allowed; the rack did not answer{status}."),
            (None, Some(End::Failed | End::Panicked)) => {
                format!("It was allowed; the gateway failed{status}.")
            }
            (None, None) => "It was allowed. The log does not have its end yet.".to_owned(),
        };
        format!("{actor} asked for {action}{resource}. {end}")
    }

    fn layers(&self) -> Vec<LayerRow> {
        const LAYERS: [(Layer, &str); 5] = [
            (Layer::Network, "Where from, and is it well-formed?"),
            (Layer::Authentication, "Who is it?"),
            (Layer::Authorization, "May they?"),
            (Layer::Mfa, "Was it confirmed where it matters?"),
            (Layer::Audit, "Could it be recorded?"),
        ];
        let mut before = true;
        let rows = LAYERS.into_iter().map(|(layer, question)| {
            let (state, word) = match self.stopped {
                Some(stopped) if stopped == layer => {
                    before = false;
                    ("stopped", "stopped here")
                }
                _ if before => ("passed", "passed"),
                _ => ("unmet", "not reached"),
            };
            LayerRow { name: layer_in_words(layer), question, state, word }
        });
        rows.collect()
    }
}

fn is_refusal(event: &Event) -> bool {
    let decided = event.verdict.as_ref().map(|verdict| verdict.decision);
    let ended_so = event.end == Some(End::Refused);
    decided == Some(Decision::Refuse)
        || (decided.is_none() && event.layer.is_some() && (event.phase != Phase::Outcome || ended_so))
}

#[cfg(test)]
mod tests {
    use gateway_types::{ActionName, EventId, OsEntropy, Resource, Timestamp};

    use super::*;

    fn event(change: impl FnOnce(&mut Event)) -> (u64, Event) {
        let now = Timestamp::from_micros(0);
        let id = EventId::new(now, &OsEntropy);
        let action = ActionName::new("convox:app:list");
        let mut event = Event::new(now, id, action, Resource::app("web"), gateway_audit::Actor::anonymous());
        change(&mut event);
        (0, event)
    }

    #[test]
    fn a_layer_that_stops_is_the_last_one_reached() {
        let story = Story::of(&[event(|event| event.layer = Some(Layer::Authorization))]);
        let states: Vec<_> = story.layers().iter().map(|row| row.state).collect();
        assert_eq!(states, ["passed", "passed", "stopped", "unmet", "unmet"]);
        assert!(story.summary().contains("The authorization layer refused it."), "{}", story.summary());
    }

    #[test]
    fn what_was_done_passed_all() {
        let story = Story::of(&[
            event(|event| event.phase = Phase::Intent),
            event(|event| {
                event.phase = Phase::Outcome;
                event.layer = Some(Layer::Audit);
                event.end = Some(End::Completed);
                event.status = Some(200);
            }),
        ]);
        assert!(story.layers().iter().all(|row| row.state == "passed"));
        assert_eq!(
            story.summary(),
            "anonymous asked for convox:app:list on app web. It was allowed, and was answered with status 200."
        );
    }
}
