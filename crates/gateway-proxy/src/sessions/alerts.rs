//! Lines that are typed into a session, held against the rules about commands. A line that one covers is an event, and
//! no more: what a shell makes of keys is known to the shell alone, so this is best effort. Nothing of what was typed is
//! kept for it.

use gateway_convox::{CommandPatterns, TypedLines};

use super::About;
use crate::plane::DataPlane;

/// The action of the event.
const ALERT: &str = "gateway:session:alert";

/// How many alerts one session raises: nobody fills the log by holding a key down.
const MOST_ALERTS: u32 = 100;

/// What holds typed lines against rules.
pub(super) struct Alerts {
    rules: CommandPatterns,
    lines: TypedLines,
    raised: u32,
}

impl Alerts {
    /// There are none without rules.
    pub(super) fn of(rules: CommandPatterns) -> Option<Self> {
        (!rules.is_empty()).then(|| Self { rules, lines: TypedLines::default(), raised: 0 })
    }

    /// Takes what was typed.
    pub(super) fn take(&mut self, plane: &DataPlane, about: &About, typed: &[u8]) {
        let Self { rules, lines, raised } = self;
        lines.push(typed, |line| {
            let Some(rule) = rules.cover_typed(line).filter(|_| *raised < MOST_ALERTS) else { return };
            *raised += 1;
            let mut event = about.event(plane, ALERT);
            event.parameters.insert("rule".to_owned(), rule.text().to_owned());
            let mut reason = "a line that was typed into the session is covered by a rule about commands (best effort)";
            if *raised == MOST_ALERTS {
                reason = "a typed line is covered by a rule about commands; further ones of this session are not told";
            }
            event.reason = Some(reason.to_owned());
            plane.parts.store.audit().queue(event);
        });
    }
}
