//! What a test can make the rack do wrong, once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that goes wrong with the next request it fits. The probes of clients and gateways (`/machines`,
/// `/racks`, `/check`, `/auth`) never use a fault up unless it was aimed at them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The next request is answered with this status and a text; a socket is not upgraded.
    Status(u16),
    /// The next request is never answered; its connection stays open until the client closes it.
    Hang,
    /// The next request's connection is closed instead of an answer.
    CloseBeforeReply,
    /// The next answer is compressed, asked for or not.
    Gzip,
    /// The next answer is chunked and ends in the middle of a chunk.
    CloseMidChunk,
    /// The next answer has a `Content-Length` and ends one byte early.
    CloseMidBody,
    /// The next request is answered with 302 to this place.
    Redirect(String),
    /// The next exec or shell loses its connection after its first output, at the latest before its marker.
    DropExec,
    /// The next exec starts with the session blob of new v2 racks: NUL and a JSON with an AWS token.
    SessionBlob,
    /// The next exec's marker comes in two frames.
    SplitMarker,
    /// The next exec's marker comes as one message in two fragments.
    FragmentMarker,
    /// The next exec ends with a close frame of this code instead of the marker.
    CloseFrame(u16),
}

impl Fault {
    /// Whether it only fits an exec or a shell.
    const fn is_for_exec(&self) -> bool {
        match self {
            Self::DropExec
            | Self::SessionBlob
            | Self::SplitMarker
            | Self::FragmentMarker
            | Self::CloseFrame(_) => true,
            Self::Status(_)
            | Self::Hang
            | Self::CloseBeforeReply
            | Self::Gzip
            | Self::CloseMidChunk
            | Self::CloseMidBody
            | Self::Redirect(_) => false,
        }
    }
}

/// Faults waiting for their request, with the path each is aimed at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<Aimed>>>);

/// A fault, and a part of the path it waits for.
type Aimed = (Option<String>, Fault);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Vec<Aimed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one.
    pub(crate) fn add(&self, path: Option<String>, fault: Fault) {
        self.lock().push((path, fault));
    }

    /// Takes the first one for this request. Those for execs are only taken by execs, the others by all.
    pub(crate) fn take(&self, path: &str, for_exec: bool) -> Option<Fault> {
        let mut waiting = self.lock();
        let fits = |(aim, fault): &Aimed| {
            let aimed = match aim {
                Some(part) => path.contains(part.as_str()),
                None => !matches!(path, "/machines" | "/racks" | "/check" | "/auth"),
            };
            aimed && fault.is_for_exec() == for_exec
        };
        let position = waiting.iter().position(fits)?;
        Some(waiting.remove(position).1)
    }
}
