//! Label-driven redaction: the labelled values of a JSON reply are rewritten, every other byte stays.
//!
//! It must not know where a reply comes from, who reads it, or whether they may see more.
//!
//! A reply is walked in two steps. The first follows the labels, replaces whole values and notes the
//! secrets of environments; the second looks for all known secrets in the texts that are only scanned.

mod walk;

use std::ops::Range;

use crate::env::EnvText;
use crate::error::RedactError;
use crate::handle::HandleKeyring;
use crate::json::Top;
use crate::known::KnownValues;
use crate::labels::Labels;
use crate::plain::PlainKeys;
use walk::Walk;

/// How a reply is redacted.
#[derive(Clone, Copy, Debug)]
pub struct Redaction<'a> {
    /// Which members are secret.
    pub labels: &'a Labels,
    /// Where the keys of handles come from.
    pub keyring: &'a HandleKeyring,
    /// The scope of the handles: the app's name, or `rack`.
    pub scope: &'a str,
    /// For a list of apps: the member of each item that says its scope instead, such as `name`.
    pub item_scope_field: Option<&'a str>,
    /// The names whose values are shown, of variables and of parameters.
    pub plain: &'a PlainKeys,
    /// The values that are looked for in scanned texts, besides the secrets of the same reply.
    pub known: &'a KnownValues,
}

/// A reply that is safe to pass on, and what was found in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redacted {
    /// The body to pass on. Its length may differ from that of the rack's.
    pub body: Vec<u8>,
    /// How many values were replaced by handles.
    pub replaced: usize,
    /// The environments that could be read, in order, with their true values.
    pub envs: Vec<FoundEnv>,
}

/// An environment found in a reply, with its true values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundEnv {
    /// The member `id` of the object the environment is in: the release's id.
    pub release: Option<String>,
    /// The member `app` of that object.
    pub app: Option<String>,
    /// The environment as the rack has it.
    pub env: EnvText,
}

/// A piece of the body and what stands there instead.
struct Edit {
    place: Range<usize>,
    json: String,
}

/// Rewrites exactly the labelled values in a JSON reply and leaves every other byte as it is.
///
/// - An array at the top whose labels do not begin with `[]`: the labels hold for each element.
/// - Labelled names are compared as Go's decoder does, without regard to case, and of members with equal
///   names each is rewritten.
/// - `null`, `true`, `false` and empty strings stay; a number becomes a handle.
/// - An object or array where a text is expected: every string and number in it becomes a handle.
/// - An environment that cannot be read becomes the one variable `env` with a handle, which no post can
///   restore, so that nobody overwrites it unawares.
/// - Values that are handles already stay, and so does `****` in a map.
///
/// # Errors
/// When the body is not exactly one JSON value in UTF-8 without a byte order mark, when a label leads
/// through something that is neither object, list nor nothing, and when a labelled value is no text or is
/// nested deeper than 64 levels. The body must then not be passed on.
///
/// # Security
/// Fails closed: what cannot be understood is an error or becomes a handle, never itself.
pub fn redact_json(body: &[u8], redaction: &Redaction<'_>) -> Result<Redacted, RedactError> {
    let text =
        std::str::from_utf8(body).map_err(|error| RedactError::NotUtf8 { offset: error.valid_up_to() })?;
    if text.starts_with('\u{feff}') {
        return Err(RedactError::ByteOrderMark);
    }
    let top = Top::parse(text)
        .map_err(|error| RedactError::NotJson { line: error.line(), column: error.column() })?;
    let mut walk = Walk::new(text, redaction);
    walk.reply(&top)?;
    let found = walk.finish();
    Ok(Redacted { body: splice(text, found.edits), replaced: found.replaced, envs: found.envs })
}

/// The text with each edit made. Edits do not overlap.
fn splice(text: &str, mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_unstable_by_key(|edit| edit.place.start);
    let longer: usize = edits.iter().map(|edit| edit.json.len()).sum();
    let mut body = String::with_capacity(text.len() + longer);
    let mut copied = 0;
    for edit in edits {
        body.push_str(text.get(copied..edit.place.start).unwrap_or_default());
        body.push_str(&edit.json);
        copied = edit.place.end;
    }
    body.push_str(text.get(copied..).unwrap_or_default());
    body.into_bytes()
}

#[cfg(test)]
mod tests;
