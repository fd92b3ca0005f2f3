//! Events as single lines for people (`audit tail`). Only characters that are safe to print.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use gateway_types::Decision;

use crate::event::{End, Event, Phase};
use crate::text::word;

/// One line: index, time, actor, verdict, action, resource, status, request id; then what is
/// special. `-` stands for what the event does not have.
///
/// Text from outside that is not one plain word is quoted, so that no name can pose as another column.
pub fn line(index: u64, event: &Event) -> String {
    let actor = word(&event.actor.name);
    let status = event.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let request = event.request_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let mut line = format!(
        "{index} {} {actor} {} {} {}::{} {status} {request}",
        event.time,
        verdict(event),
        word(event.action.as_str()),
        event.resource.kind.name(),
        word(&event.resource.id),
    );
    // Writing to a String cannot fail.
    if event.phase == Phase::Intent {
        line.push_str(" intent");
    }
    if let Some(intent) = event.intent {
        let _ = write!(line, " of={intent}");
    }
    if let Some(end) = event.end {
        let _ = write!(line, " {}", end.name());
    }
    if let Some(count) = event.count {
        let _ = write!(line, " x{count}");
    }
    if let Some(creator) = &event.actor.on_behalf_of {
        let _ = write!(line, " for={}", word(creator));
    }
    if let Some(address) = event.source_ip {
        let _ = write!(line, " from={address}");
    }
    if let Some(reason) = &event.reason {
        let _ = write!(line, " reason={}", word(reason));
    }
    line
}

/// `allow`, or `refuse:LAYER`, or `-` when nothing was decided.
fn verdict(event: &Event) -> String {
    match (event.verdict.as_ref().map(|verdict| verdict.decision), event.layer) {
        (Some(Decision::Allow), _) => "allow".to_owned(),
        (Some(Decision::Refuse), None) => "refuse".to_owned(),
        (Some(Decision::Refuse), Some(layer)) => format!("refuse:{layer}"),
        (None, Some(layer)) if event.end == Some(End::Refused) => format!("refuse:{layer}"),
        (None, _) => "-".to_owned(),
    }
}
