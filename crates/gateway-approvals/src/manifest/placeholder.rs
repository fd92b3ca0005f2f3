//! `${NAME}` in a manifest.
//!
//! The rack replaces every `${…}` in the *text*, before it reads it as YAML, by the variable of that name or by nothing.
//! So what stands between the braces is never YAML to the rack, and must not be YAML here: a `${` in a comment could
//! otherwise hide the lines up to the next `}` from one reader only.
//!
//! Source: Convox `pkg/manifest` (v3), tried against its behaviour: any bytes but `}` may stand between, also line breaks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::ManifestFault;

/// The longest name that is taken.
const MOST_NAME_BYTES: usize = 200;

/// Characters that Unicode leaves to private use: plain letters to YAML, refused in a manifest's own text.
pub(super) const OPEN: char = '\u{e000}';
pub(super) const CLOSE: char = '\u{e001}';

/// What stands in a placeholder's stead while YAML is read.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    /// Nothing is known: a mark that no YAML can be made of, and that [`restore`] turns back.
    Unknown,
    /// What the rack would put there; absent names give nothing.
    Known(&'a BTreeMap<String, String>),
}

/// A text whose placeholders are replaced.
pub(super) struct Replaced<'a> {
    pub(super) text: Cow<'a, str>,
    /// The names, in the order of the marks.
    pub(super) names: Vec<String>,
}

/// Replaces every placeholder.
pub(super) fn replace<'a>(text: &'a str, values: Values<'_>) -> Result<Replaced<'a>, ManifestFault> {
    let mut out = String::new();
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((before, name, after)) = first(rest) {
        if name.len() > MOST_NAME_BYTES || name.contains(['\n', '\r']) {
            let begins = text.len() - rest.len() + before.len();
            let line = 1 + text.bytes().take(begins).filter(|byte| *byte == b'\n').count();
            return Err(ManifestFault::Placeholder { line });
        }
        out.push_str(before);
        match values {
            Values::Unknown => out.push_str(&format!("{OPEN}{}{CLOSE}", names.len())),
            Values::Known(values) => out.push_str(values.get(name).map_or("", String::as_str)),
        }
        names.push(name.to_owned());
        rest = after;
    }
    if names.is_empty() {
        return Ok(Replaced { text: Cow::Borrowed(text), names });
    }
    out.push_str(rest);
    Ok(Replaced { text: Cow::Owned(out), names })
}

/// The first placeholder: what is before it, its name, what is after it.
fn first(text: &str) -> Option<(&str, &str, &str)> {
    let (before, from) = text.split_once("${")?;
    let (name, after) = from.split_once('}')?;
    Some((before, name, after))
}

/// Whether a text has a mark of a placeholder.
pub(super) fn has_mark(text: &str) -> bool {
    text.contains(OPEN)
}

/// Turns the marks back into `${NAME}`, for people and for comparing.
pub(super) fn restore(text: &str, names: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(OPEN) {
        out.push_str(before);
        let Some((number, after)) = from.split_once(CLOSE) else { break };
        let name = number.parse::<usize>().ok().and_then(|at| names.get(at));
        out.push_str("${");
        out.push_str(name.map_or("", String::as_str));
        out.push('}');
        rest = after;
    }
    out.push_str(rest);
    out
}
