//! Recordings of sessions, as values: what is written of one, in which pieces, how anybody checks that nothing of it
//! is missing, and how it is shown without obeying it.
//!
//! It must not know where the pieces are kept, who may read them, or how a session reaches the gateway. Start at
//! [`Recorder`]; reading starts at [`Verifier`] and [`events`].

mod cast;
mod chunk;
mod escape;
mod recorder;
mod shown;
mod utf8;
mod verify;

pub use cast::{CastError, Event, Header, Kind, LARGEST_SIDE, Size, events, header};
pub use chunk::{Chunk, Digest, PackError};
pub use recorder::{MOST_CHUNK_BYTES, Recorder};
pub use shown::{PlainLines, TERMINAL_RESET, TerminalText, TimedLine};
pub use utf8::Utf8Joiner;
pub use verify::{Fault, Proved, Verifier};
