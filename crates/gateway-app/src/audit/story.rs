//! Stories: the twenty requests of one deploy as one line, with its approval, its sessions and what came of it.
//!
//! A pure function over events of the log, in the order of the log. It must not know where they come from, nor who
//! may read them.

mod part;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use gateway_audit::Event;
use gateway_types::Timestamp;
use gateway_types::wire::audit::{self as wire, AuditStory};

use part::{Part, ids};

/// How long whoever deploys may do nothing before what they do next is no longer of the same deploy, unless it names
/// the same build, release or approval.
pub const QUIET: Duration = Duration::from_secs(30 * 60);

/// What came of a story.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoryOutcome {
    /// A release was promoted.
    Promoted,
    /// The rack, or the gateway, failed at the last step.
    Failed,
    /// The last step was refused.
    Refused,
    /// Its approval was rejected, withdrawn, or ran out.
    NotApproved,
    /// It waits for its approval.
    Waiting,
    /// It is at work, or nobody went on with it.
    Unfinished,
}

impl StoryOutcome {
    /// Its name, as the API has it.
    pub const fn name(self) -> &'static str {
        match self {
            StoryOutcome::Promoted => "promoted",
            StoryOutcome::Failed => "failed",
            StoryOutcome::Refused => "refused",
            StoryOutcome::NotApproved => "not_approved",
            StoryOutcome::Waiting => "waiting",
            StoryOutcome::Unfinished => "unfinished",
        }
    }
}

/// The approval of a story, as its events tell it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoryApproval {
    /// Its id.
    pub id: String,
    /// Its last known state; empty when no event of the story tells.
    pub state: String,
    /// Who signed it.
    pub by: BTreeSet<String>,
}

/// One deploy, release or approval, with everything that belongs to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Story {
    /// The app.
    pub app: String,
    /// When it began.
    pub began: Timestamp,
    /// When the last of it was.
    pub ended: Timestamp,
    /// Who took part, in the order in which they came.
    pub actors: Vec<String>,
    /// The builds it names.
    pub builds: BTreeSet<String>,
    /// The releases it names.
    pub releases: BTreeSet<String>,
    /// Its approval.
    pub approval: Option<StoryApproval>,
    /// How many sessions were opened in it: exec, run, consoles.
    pub sessions: usize,
    /// How many requests it has.
    pub requests: usize,
    /// How many of them were refused.
    pub refusals: usize,
    /// What came of it.
    pub outcome: StoryOutcome,
    /// The indices of its events, in the order of the log; never empty.
    pub events: Vec<u64>,
}

impl Story {
    /// The index of its first event: what it is called by.
    pub fn first(&self) -> u64 {
        self.events.first().copied().unwrap_or_default()
    }

    /// As the API tells it.
    pub fn wire(&self) -> AuditStory {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect();
        AuditStory {
            index: self.first(),
            app: self.app.clone(),
            began: self.began.to_rfc3339(),
            ended: self.ended.to_rfc3339(),
            actors: self.actors.clone(),
            builds: list(&self.builds),
            releases: list(&self.releases),
            approval: self.approval.as_ref().map(|approval| wire::StoryApproval {
                id: approval.id.clone(),
                state: (!approval.state.is_empty()).then(|| approval.state.clone()),
                by: list(&approval.by),
            }),
            sessions: self.sessions,
            requests: self.requests,
            refusals: self.refusals,
            outcome: self.outcome.name().to_owned(),
            events: self.events.clone(),
        }
    }

    /// The index of its last event.
    pub fn last(&self) -> u64 {
        self.events.last().copied().unwrap_or_default()
    }
}

/// The stories among `events`, which are in the order of the log, by their first event. What belongs to none is in
/// none.
pub(super) fn stories(events: &[(u64, Event)]) -> Vec<Story> {
    let mut teller = Teller::default();
    for (index, event) in events {
        teller.hear(*index, event);
    }
    let mut told: Vec<Story> = teller.drafts.into_iter().flatten().map(Draft::told).collect();
    told.sort_by_key(Story::first);
    told
}

/// A story while it is told.
struct Draft<'a> {
    events: Vec<(u64, &'a Event)>,
    /// Who does it, by name: whose further requests belong to it for a while.
    doers: HashMap<&'a str, Timestamp>,
    has_promoted: bool,
}

#[derive(Default)]
struct Teller<'a> {
    /// A draft that was merged into another one is gone.
    drafts: Vec<Option<Draft<'a>>>,
    /// Which draft has this request, or this id of an approval, build or release of an app.
    known: HashMap<String, usize>,
    /// The newest draft of each app and actor.
    newest: HashMap<(&'a str, &'a str), usize>,
}

impl<'a> Teller<'a> {
    fn hear(&mut self, index: u64, event: &'a Event) {
        let Some(app) = event.resource.app_name() else { return };
        let part = Part::of(event);
        let keys: Vec<String> = ids(event, part).into_iter().map(|id| format!("{app} {id}")).collect();
        let Some(place) = self.place(app, event, part, &keys) else { return };
        for key in keys {
            self.known.insert(key, place);
        }
        let Some(draft) = self.drafts.get_mut(place).and_then(Option::as_mut) else { return };
        draft.has_promoted |= part == Part::Promote;
        let does = part.is_begun_by_whoever_deploys();
        let actor = event.actor.name.as_str();
        if does || draft.doers.contains_key(actor) {
            draft.doers.insert(actor, event.time);
            self.newest.insert((app, actor), place);
        }
        draft.events.push((index, event));
    }

    /// The draft that an event belongs to.
    fn place(&mut self, app: &'a str, event: &'a Event, part: Part, keys: &[String]) -> Option<usize> {
        let mut named: Vec<usize> = keys.iter().filter_map(|key| self.known.get(key).copied()).collect();
        named.sort_unstable();
        named.dedup();
        if let [first, others @ ..] = named.as_slice() {
            for other in others {
                self.merge(*first, *other);
            }
            return Some(*first);
        }
        if part == Part::Other {
            return None;
        }
        let followed = self.newest.get(&(app, event.actor.name.as_str())).copied();
        let goes_on = followed.filter(|place| self.goes_on(*place, event, part));
        goes_on.or_else(|| part.begins().then(|| self.begin()))
    }

    /// Whether what somebody does next is still of the story they did something of last.
    fn goes_on(&self, place: usize, event: &Event, part: Part) -> bool {
        let Some(draft) = self.drafts.get(place).and_then(Option::as_ref) else { return false };
        let Some(last) = draft.doers.get(event.actor.name.as_str()) else { return false };
        let quiet = event.time.micros().saturating_sub(last.micros());
        let is_recent = quiet <= i64::try_from(QUIET.as_micros()).unwrap_or(i64::MAX);
        is_recent && !(draft.has_promoted && part.begins_anew())
    }

    fn begin(&mut self) -> usize {
        self.drafts.push(Some(Draft { events: Vec::new(), doers: HashMap::new(), has_promoted: false }));
        self.drafts.len().saturating_sub(1)
    }

    /// What seemed two stories is one: an approval that a build names, for instance.
    fn merge(&mut self, into: usize, from: usize) {
        let Some(other) = self.drafts.get_mut(from).and_then(Option::take) else { return };
        let Some(draft) = self.drafts.get_mut(into).and_then(Option::as_mut) else { return };
        draft.events.extend(other.events);
        draft.events.sort_by_key(|(index, _event)| *index);
        draft.doers.extend(other.doers);
        draft.has_promoted |= other.has_promoted;
        for place in self.known.values_mut().chain(self.newest.values_mut()) {
            if *place == from {
                *place = into;
            }
        }
    }
}

impl Draft<'_> {
    fn told(self) -> Story {
        let mut story = Story {
            app: String::new(),
            began: Timestamp::from_micros(i64::MAX),
            ended: Timestamp::from_micros(i64::MIN),
            actors: Vec::new(),
            builds: BTreeSet::new(),
            releases: BTreeSet::new(),
            approval: None,
            sessions: 0,
            requests: 0,
            refusals: 0,
            outcome: StoryOutcome::Unfinished,
            events: Vec::with_capacity(self.events.len()),
        };
        let (mut requests, mut sessions) = (BTreeSet::new(), BTreeSet::new());
        let mut refused = BTreeSet::new();
        for (index, event) in &self.events {
            let part = Part::of(event);
            story.app = event.resource.app_name().unwrap_or_default().to_owned();
            story.began = story.began.min(event.time);
            story.ended = story.ended.max(event.time);
            if !story.actors.contains(&event.actor.name) {
                story.actors.push(event.actor.name.clone());
            }
            for id in ids(event, part) {
                match id.split_once(' ') {
                    Some(("build", id)) => _ = story.builds.insert(id.to_owned()),
                    Some(("release", id)) => _ = story.releases.insert(id.to_owned()),
                    Some(_) | None => {}
                }
            }
            part::note_approval(&mut story.approval, event);
            let request = event.request_id.map_or_else(|| event.id.to_string(), |id| id.to_string());
            if part == Part::Session {
                sessions.insert(request.clone());
            }
            if part::is_refusal(event) {
                refused.insert(request.clone());
            }
            requests.insert(request);
            story.outcome = part::outcome(story.outcome, event, part);
            story.events.push(*index);
        }
        (story.requests, story.sessions, story.refusals) = (requests.len(), sessions.len(), refused.len());
        story
    }
}
