//! Handles for secret values, environment texts, three-way merge and label-driven redaction of JSON replies.
//!
//! Everything here is a pure function of its arguments. Nothing here knows HTTP, the store, who asks or
//! whether they may; it never reads a clock and keeps no state between calls.
//!
//! Start reading at [`handle`] (what people see instead of a secret), then [`mod@env`] (environment texts and
//! how a handle becomes its value again), [`mod@merge`] (two people changing one environment), [`labels`] and
//! [`redact`] (which members of a reply are secret, and their replacement).
//!
//! A handle is made of a *scope* (the app's name, or `rack`), a *key* and the value. The key is the
//! variable's name in an environment, the parameter's name in a parameter map, and the label's last
//! name elsewhere (`url`, `value`, `password`, …), so a value posted back is looked up under the same key.

pub mod env;
pub mod error;
pub mod handle;
pub mod known;
pub mod labels;
pub mod merge;
pub mod plain;
pub mod redact;
pub mod request_log;
pub mod stream;
pub mod terminal;

mod address;
mod encodings;
mod json;
mod spelling;

pub use env::EnvText;
pub use error::{EnvError, LabelError, MergeConflict, PlainKeysError, RedactError, UnknownHandles};
pub use handle::{HANDLE_PREFIX, HandleKey, HandleKeyring, contains_handle, is_handle};
pub use known::KnownValues;
pub use labels::Labels;
pub use merge::merge;
pub use plain::{NamePatterns, PlainKeys};
pub use redact::{FoundEnv, Redacted, Redaction, redact_json};
pub use request_log::{mask_env_for_log, mask_for_log};
pub use stream::{Masker, StreamMasker};
pub use terminal::TerminalMasker;
