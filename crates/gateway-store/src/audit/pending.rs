//! An event on its way into the log: its leaf, and the columns it can be found by.

use gateway_audit::{End, Event, Leaf, Phase, Receipt};
use gateway_types::{Decision, Entropy};
use tokio::sync::oneshot;

use crate::error::StoreError;

/// The longest text of a column that is searched, in bytes: an index row has little room. The
/// leaf has the whole text.
const LONGEST_COLUMN: usize = 512;

/// How an event is treated when it cannot be written at once.
pub(super) enum Urgency {
    /// Somebody waits for the commit; a failure is reported and the event forgotten.
    Durable(oneshot::Sender<Result<Receipt, StoreError>>),
    /// It is kept until it is written.
    Kept,
    /// It is kept while there is room.
    Droppable,
}

/// What a leaf can be found by. A convenience: the leaf's bytes are what counts.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Columns {
    pub(crate) time: i64,
    pub(crate) request_id: String,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) app: Option<String>,
    pub(crate) phase: &'static str,
    pub(crate) decision: Option<&'static str>,
}

impl Columns {
    /// Those of an event.
    pub(crate) fn of(event: &Event) -> Columns {
        Columns {
            time: event.time.micros(),
            request_id: event.request_id.map(|id| id.to_string()).unwrap_or_default(),
            actor: column(&event.actor.name),
            action: column(event.action.as_str()),
            resource: column(&event.resource.to_string()),
            app: event.resource.app_name().map(column),
            phase: event.phase.name(),
            decision: decision(event),
        }
    }
}

/// An event on its way into the log.
pub(super) struct Pending {
    pub(super) leaf: Leaf,
    pub(super) columns: Columns,
    pub(super) urgency: Urgency,
}

impl Pending {
    pub(super) fn new(event: &Event, entropy: &dyn Entropy, urgency: Urgency) -> Result<Pending, StoreError> {
        let mut nonce = [0u8; 16];
        entropy.fill(&mut nonce);
        let leaf = event.to_leaf(nonce).map_err(|source| StoreError::Encode { source })?;
        Ok(Self::of_leaf(event, leaf, urgency))
    }

    /// The same, when the leaf is made already.
    pub(super) fn of_leaf(event: &Event, leaf: Leaf, urgency: Urgency) -> Pending {
        Pending { leaf, columns: Columns::of(event), urgency }
    }
}

/// A refusal by a layer before policy has no verdict, but names its layer. An outcome names the layer
/// too; its decision stands at its intent, unless it was refused after that.
fn decision(event: &Event) -> Option<&'static str> {
    let is_refusal = event.phase != Phase::Outcome || event.end == Some(End::Refused);
    match (event.verdict.as_ref().map(|verdict| verdict.decision), event.layer) {
        (Some(Decision::Allow), _) => Some("allow"),
        (Some(Decision::Refuse), _) => Some("refuse"),
        (None, Some(_)) if is_refusal => Some("refuse"),
        (None, _) => None,
    }
}

/// A text as a searched column: short, and without the one character PostgreSQL cannot keep.
pub(crate) fn column(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST_COLUMN)).unwrap_or_default().replace('\0', "\u{fffd}")
}
