//! Events of the gateway itself: its starts and stops, and so the gaps a crash may leave.

use gateway_types::{ActionName, EventId, Resource, Timestamp};

use super::{Actor, End, Event};

/// How the gateway's previous run ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PreviousShutdown {
    /// With its queue of events written out, or there was none.
    Clean,
    /// By a crash, a kill or a power cut.
    Unclean,
}

impl Event {
    /// `gateway:start`. After an unclean end it says what may be missing.
    pub fn started(time: Timestamp, id: EventId, previous: PreviousShutdown) -> Self {
        let mut event = Self::of_system(time, id, "gateway:start");
        event.end = Some(End::Completed);
        event.reason = match previous {
            PreviousShutdown::Clean => None,
            PreviousShutdown::Unclean => Some(
                "the previous run did not shut down cleanly: at most 100 ms of plain reads may be missing before \
                 this event; changes, executions and reveals are complete"
                    .to_owned(),
            ),
        };
        event
    }

    /// `gateway:stop`: everything queued before it has been written.
    pub fn stopped(time: Timestamp, id: EventId) -> Self {
        let mut event = Self::of_system(time, id, "gateway:stop");
        event.end = Some(End::Completed);
        event
    }

    /// An event that the gateway itself causes, on itself.
    pub fn of_system(time: Timestamp, id: EventId, action: &str) -> Self {
        Self::new(time, id, ActionName::new(action), Resource::gateway(), Actor::system())
    }
}
