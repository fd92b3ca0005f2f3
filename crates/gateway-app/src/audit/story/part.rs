//! What one event is in the story of a deploy.

use std::collections::BTreeSet;

use gateway_audit::{End, Event, Phase};
use gateway_types::Decision;

use super::{StoryApproval, StoryOutcome};

/// The part that an event plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// A source archive was sent.
    Upload,
    /// A build was started, or one was imported.
    Build,
    /// A release was made.
    Release,
    /// A release was promoted.
    Promote,
    /// An approval was asked for, given, used or ended.
    Approval,
    /// A session: exec, run, a console.
    Session,
    /// Looking at builds, releases, processes and logs, as whoever deploys does.
    Look,
    /// Nothing that a deploy needs.
    Other,
}

impl Part {
    /// The part of an event by its action.
    pub(super) fn of(event: &Event) -> Part {
        match event.action.as_str() {
            "convox:object:create" => Part::Upload,
            "convox:build:create" | "convox:build:import" | "convox:build:update" => Part::Build,
            "convox:release:create" => Part::Release,
            "convox:release:promote" => Part::Promote,
            "convox:process:exec" | "convox:process:start" | "convox:resource:console" => Part::Session,
            "convox:app:read"
            | "convox:app:list"
            | "convox:build:read"
            | "convox:build:list"
            | "convox:release:read"
            | "convox:release:list"
            | "convox:log:read"
            | "convox:process:read"
            | "convox:process:list"
            | "convox:process:terminate"
            | "convox:service:list"
            | "convox:object:read"
            | "convox:object:list" => Part::Look,
            action if action.starts_with("gateway:approval:") => Part::Approval,
            _ => Part::Other,
        }
    }

    /// Whether it begins a story that no other event belongs to yet.
    pub(super) const fn begins(self) -> bool {
        match self {
            Part::Upload | Part::Build | Part::Release | Part::Promote | Part::Approval => true,
            Part::Session | Part::Look | Part::Other => false,
        }
    }

    /// Whether it begins another story after a release was promoted.
    pub(super) const fn begins_anew(self) -> bool {
        match self {
            Part::Upload | Part::Build | Part::Release | Part::Approval => true,
            Part::Promote | Part::Session | Part::Look | Part::Other => false,
        }
    }

    /// Whether whoever does it is who deploys; an approver is not.
    pub(super) const fn is_begun_by_whoever_deploys(self) -> bool {
        match self {
            Part::Upload | Part::Build | Part::Release | Part::Promote => true,
            Part::Approval | Part::Session | Part::Look | Part::Other => false,
        }
    }
}

/// What ties an event to others of its app: its request, its approval, builds and releases, as `KIND ID`.
pub(super) fn ids(event: &Event, part: Part) -> Vec<String> {
    let mut ids = BTreeSet::new();
    let mut add = |kind: &str, id: &str| {
        if !id.is_empty() {
            ids.insert(format!("{kind} {id}"));
        }
    };
    if let Some(approval) = &event.approval {
        add("approval", approval);
    }
    let parameter = |name: &str| event.parameters.get(name).map(String::as_str).unwrap_or_default();
    match event.action.as_str() {
        "convox:build:create" | "convox:build:list" => {}
        action if action.starts_with("convox:build:") => add("build", parameter("id")),
        "convox:release:create" | "convox:release:list" => {}
        action if action.starts_with("convox:release:") => add("release", parameter("id")),
        _ => {}
    }
    if part != Part::Other {
        add("build", parameter("build"));
        add("release", parameter("release"));
    }
    if part == Part::Approval {
        for kind in ["build", "release"] {
            let bound = event.after.as_ref().and_then(|after| after.get(kind)).and_then(|id| id.as_str());
            add(kind, bound.unwrap_or_default());
        }
    }
    let mut ids: Vec<String> = ids.into_iter().collect();
    if let Some(request) = event.request_id {
        ids.push(format!("request {request}"));
    }
    ids
}

/// What an event tells of the story's approval.
pub(super) fn note_approval(approval: &mut Option<StoryApproval>, event: &Event) {
    let Some(id) = &event.approval else { return };
    let known = approval.get_or_insert_with(|| StoryApproval { id: id.clone(), ..StoryApproval::default() });
    if known.id != *id {
        return;
    }
    let state = event.after.as_ref().and_then(|after| after.get("state")).and_then(|state| state.as_str());
    if let Some(state) = state {
        state.clone_into(&mut known.state);
    }
    if event.action.as_str() == "gateway:approval:approve" && state.is_some_and(|state| state != "rejected") {
        known.by.insert(event.actor.name.clone());
    }
}

/// Whether a request was refused, by policy or before it.
pub(super) fn is_refusal(event: &Event) -> bool {
    let by_policy = event.verdict.as_ref().map(|verdict| verdict.decision == Decision::Refuse);
    event.end == Some(End::Refused)
        || by_policy.unwrap_or(event.layer.is_some() && event.phase != Phase::Outcome)
}

/// What came of a story with this event, when `before` came of it so far.
pub(super) fn outcome(before: StoryOutcome, event: &Event, part: Part) -> StoryOutcome {
    let is_step = part.is_begun_by_whoever_deploys();
    if part == Part::Approval {
        let state =
            event.after.as_ref().and_then(|after| after.get("state")).and_then(|state| state.as_str());
        return match (before, state) {
            (StoryOutcome::Promoted, _) | (_, None) => before,
            (_, Some("pending")) => StoryOutcome::Waiting,
            (_, Some("rejected" | "withdrawn" | "expired")) => StoryOutcome::NotApproved,
            (_, Some(_)) => StoryOutcome::Unfinished,
        };
    }
    // A promotion stays one, whatever its client does afterwards.
    if !is_step || (before == StoryOutcome::Promoted && part != Part::Promote) {
        return before;
    }
    if is_refusal(event) {
        return StoryOutcome::Refused;
    }
    let went_wrong = matches!(event.end, Some(End::UpstreamLost | End::Failed | End::Panicked))
        || event.status.is_some_and(|status| status >= 400);
    match event.phase {
        Phase::Intent => StoryOutcome::Unfinished,
        Phase::Outcome | Phase::Single if went_wrong => StoryOutcome::Failed,
        Phase::Outcome | Phase::Single if part == Part::Promote && event.end == Some(End::Completed) => {
            StoryOutcome::Promoted
        }
        Phase::Outcome | Phase::Single => StoryOutcome::Unfinished,
    }
}
