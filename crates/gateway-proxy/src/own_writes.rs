//! Parameter values that a credential wrote itself, shown back to it for a while.
//!
//! `convox apps params set` sends a value, waits for the app, reads it back and compares; a handle would
//! make it report a roll-back. Whoever wrote a value knows it, so showing it to that very credential
//! reveals nothing (ADR 0003).
//!
//! # Security
//! Plaintext, in memory only, bounded in time and number. A value is shown only in the place of its own
//! handle: if somebody else has changed the parameter since, the handle is another one and stays.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gateway_types::Secret;

/// How long a value is remembered. The client waits at most 35 minutes for an app (API.md 3.5).
const LIFETIME: Duration = Duration::from_secs(40 * 60);

/// How many credentials and apps are remembered at once.
const WRITERS: usize = 256;

/// How many values of one credential and app are remembered.
const VALUES: usize = 64;

/// The value behind a handle, as a credential wrote it.
struct Written {
    handle: String,
    value: Secret<String>,
    at: Instant,
}

/// Values by credential and app.
#[derive(Default)]
pub(crate) struct OwnWrites(Mutex<HashMap<(String, String), Vec<Written>>>);

impl fmt::Debug for OwnWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnWrites(…)")
    }
}

impl OwnWrites {
    /// Remembers what `credential` wrote: pairs of handle and value.
    pub(crate) fn wrote(
        &self,
        credential: &str,
        app: &str,
        values: impl IntoIterator<Item = (String, String)>,
    ) {
        let mut writers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writers.retain(|_, written| written.iter().any(|value| value.at.elapsed() < LIFETIME));
        if writers.len() >= WRITERS {
            writers.clear();
        }
        let written = writers.entry((credential.to_owned(), app.to_owned())).or_default();
        for (handle, value) in values {
            written.retain(|known| known.handle != handle && known.at.elapsed() < LIFETIME);
            if written.len() < VALUES {
                written.push(Written { handle, value: Secret::new(value), at: Instant::now() });
            }
        }
    }

    /// Puts values that `credential` wrote back in the place of their handles, in a JSON text.
    pub(crate) fn shown(&self, credential: &str, app: &str, body: Vec<u8>) -> Vec<u8> {
        let writers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(written) = writers.get(&(credential.to_owned(), app.to_owned())) else { return body };
        let Ok(mut text) = String::from_utf8(body.clone()) else { return body };
        for known in written.iter().filter(|known| known.at.elapsed() < LIFETIME) {
            // Both with their quotes: a handle is replaced only where it is the whole of a value.
            let Ok(value) = serde_json::to_string(known.value.expose()) else { continue };
            text = text.replace(&format!("\"{}\"", known.handle), &value);
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_to_whoever_wrote_it_and_to_nobody_else() {
        let writes = OwnWrites::default();
        writes.wrote("alice", "web", [("rgw-hidden-aaaaaaaaaaaaaaaa".to_owned(), "a \"b\"".to_owned())]);
        let body = br#"{"parameters": {"Foo": "rgw-hidden-aaaaaaaaaaaaaaaa"}}"#.to_vec();
        let shown = writes.shown("alice", "web", body.clone());
        assert_eq!(String::from_utf8(shown).unwrap(), r#"{"parameters": {"Foo": "a \"b\""}}"#);
        assert_eq!(writes.shown("bob", "web", body.clone()), body);
        assert_eq!(writes.shown("alice", "other", body.clone()), body);
    }

    #[test]
    fn another_value_keeps_its_handle() {
        let writes = OwnWrites::default();
        writes.wrote("alice", "web", [("rgw-hidden-aaaaaaaaaaaaaaaa".to_owned(), "x".to_owned())]);
        let body =
            br#"{"Foo": "rgw-hidden-bbbbbbbbbbbbbbbb", "Bar": "see rgw-hidden-aaaaaaaaaaaaaaaa"}"#.to_vec();
        assert_eq!(writes.shown("alice", "web", body.clone()), body);
    }
}
