//! Environment texts: one `NAME=value` a line, as racks keep them and clients post them.
//!
//! Who may see or change a variable is decided elsewhere, and so is where a handle's value is looked up.
//!
//! A rack reads a text line by line: the name ends at the first `=`, a line without one counts for
//! nothing, the last of equal names wins. [`EnvText::parse`] demands that a posted text has none of these
//! loose ends, so that the rack cannot read it differently; [`EnvText::parse_stored`] accepts them, so
//! that an environment which is already in a rack can be shown, based upon and put back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use zeroize::Zeroize;

use crate::error::{EnvError, UnknownHandles};
use crate::handle::{HandleKey, contains_handle, is_handle};
use crate::plain::PlainKeys;

/// Longer names than this are refused, in bytes.
const NAME_LIMIT: usize = 1024;

/// An environment. Two are equal when they set the same variables to the same values, in whatever order.
///
/// `Debug` shows names only; the values are wiped when it is dropped.
#[derive(Clone, Default)]
pub struct EnvText {
    entries: Vec<(String, String)>,
}

impl EnvText {
    /// Reads a posted text. Blank lines are skipped, blanks around a name and a `\r` before the line's end
    /// do not count.
    ///
    /// # Errors
    /// For a line that is not `NAME=value`, a name that is empty, longer than 1024 bytes or not printable
    /// ASCII without blanks, and a name that is set twice.
    ///
    /// # Security
    /// A text that passes means the same to the rack: nothing can hide from a check of the variables in a
    /// line that this parser skips.
    pub fn parse(text: &str) -> Result<Self, EnvError> {
        let mut entries = Self::default();
        let mut seen = HashSet::new();
        for (line, content) in numbered_lines(text) {
            if content.trim().is_empty() {
                continue;
            }
            let (name, value) = name_and_value(content).ok_or(EnvError::NoEquals { line })?;
            if !is_name(name) {
                return Err(EnvError::BadName { line });
            }
            if !seen.insert(name) {
                return Err(EnvError::Duplicate { line });
            }
            entries.entries.push((name.to_owned(), value.to_owned()));
        }
        Ok(entries)
    }

    /// Reads a text that is already in a rack. A line without `=` is kept as a further line of the value
    /// before it, and so is the padded last line of a base64 block; of equal names the last wins.
    ///
    /// # Errors
    /// For a first line without `=` and for a name that [`EnvText::parse`] refuses.
    ///
    /// # Security
    /// Never read a posted text with this: the rack takes the last line of a base64 block as a variable.
    /// It is read as a part of the value here, because otherwise the end of a private key would be shown
    /// as a name.
    pub fn parse_stored(text: &str) -> Result<Self, EnvError> {
        let mut reader = StoredReader::for_text(text);
        for (line, content) in numbered_lines(text) {
            reader.read(line, content)?;
        }
        Ok(reader.finish())
    }

    /// The text: one variable a line, in order, without a newline at the end.
    pub fn to_text(&self) -> String {
        let length = self.entries.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut text = String::with_capacity(length);
        for (name, value) in &self.entries {
            write_line(&mut text, name, value);
        }
        text
    }

    /// The value of a variable. Names are case-sensitive.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All variables and values, in order.
    pub fn entries(&self) -> &[(String, String)] {
        &self.entries
    }

    /// Whether no variable is set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The same environment with handles for all values that are not plain. Empty values and values that
    /// are handles already stay.
    pub fn redact(&self, key: &HandleKey, plain: &PlainKeys) -> EnvText {
        let hide = |(name, value): &(String, String)| {
            let shown = if is_hidden(plain, name, value) { key.handle(name, value) } else { value.clone() };
            (name.clone(), shown)
        };
        Self { entries: self.entries.iter().map(hide).collect() }
    }

    /// The same environment with each value that is a handle replaced by what `lookup` finds for the
    /// variable's name and the handle.
    ///
    /// # Errors
    /// With the names of all variables whose handle is unknown, or whose name or value has a handle
    /// somewhere inside, in whatever spelling: writing those would lose the secret for good.
    pub fn restore(&self, lookup: impl Fn(&str, &str) -> Option<String>) -> Result<EnvText, UnknownHandles> {
        let mut restored = EnvText::default();
        let mut keys = Vec::new();
        for (name, value) in &self.entries {
            let found = match is_handle(value) {
                true => lookup(name, value),
                false => (!contains_handle(value)).then(|| value.clone()),
            };
            match found {
                Some(found) if !contains_handle(name) => restored.entries.push((name.clone(), found)),
                _ => keys.push(name.clone()),
            }
        }
        if keys.is_empty() { Ok(restored) } else { Err(UnknownHandles { keys }) }
    }

    /// The variables whose value is a handle, with it, in order.
    pub fn handles(&self) -> Vec<(&str, &str)> {
        let entries = self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        entries.filter(|(_, value)| is_handle(value)).collect()
    }

    /// The variables of `names` that `self` and `other` do not set alike, in the order of `names`.
    pub fn differing<'n>(&self, other: &EnvText, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
        let (mine, theirs) = (self.by_name(), other.by_name());
        names.into_iter().filter(|name| mine.get(name) != theirs.get(name)).collect()
    }

    /// The same environment with all variables of `set`, and without those of `unset`: what is set anew stays in
    /// its place, what is new comes last. A name that stands in both is set.
    pub fn changed<'n>(&self, set: &EnvText, unset: impl IntoIterator<Item = &'n str>) -> EnvText {
        let (new, unset) = (set.by_name(), unset.into_iter().collect::<HashSet<_>>());
        let mut changed = EnvText { entries: Vec::with_capacity(self.entries.len() + set.entries.len()) };
        for (name, value) in &self.entries {
            match new.get(name.as_str()) {
                Some(value) => changed.entries.push((name.clone(), (*value).to_owned())),
                None if unset.contains(name.as_str()) => {}
                None => changed.entries.push((name.clone(), value.clone())),
            }
        }
        let mine = self.by_name();
        let added = set.entries.iter().filter(|(name, _)| !mine.contains_key(name.as_str()));
        changed.entries.extend(added.cloned());
        changed
    }

    /// The variables that both do not set alike, sorted by name.
    pub fn difference(&self, other: &EnvText) -> Vec<String> {
        let names = self.entries.iter().chain(&other.entries).map(|(name, _)| name.as_str());
        let names: BTreeSet<&str> = names.collect();
        self.differing(other, names).into_iter().map(str::to_owned).collect()
    }

    /// An environment of variables of another one.
    pub fn of(entries: Vec<(String, String)>) -> Self {
        Self { entries }
    }

    /// An environment of variables that another one already vouches for.
    pub(crate) fn from_trusted(entries: Vec<(String, String)>) -> Self {
        Self { entries }
    }

    /// The values by name, for many lookups.
    pub(crate) fn by_name(&self) -> HashMap<&str, &str> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// Reads a stored text line by line.
struct StoredReader<'t> {
    env: EnvText,
    positions: HashMap<&'t str, usize>,
    present: Option<usize>,
    in_block: bool,
}

impl<'t> StoredReader<'t> {
    fn for_text(text: &str) -> Self {
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1;
        let env = EnvText { entries: Vec::with_capacity(lines) };
        Self { env, positions: HashMap::with_capacity(lines), present: None, in_block: false }
    }

    fn read(&mut self, line: usize, content: &'t str) -> Result<(), EnvError> {
        if content.trim().is_empty() {
            self.in_block = false;
            return Ok(());
        }
        match name_and_value(content).filter(|_| !(self.in_block && is_padded_base64(content))) {
            Some((name, value)) if is_name(name) => self.set(name, value),
            Some(_) => return Err(EnvError::BadName { line }),
            None => self.append(content).ok_or(EnvError::NoEquals { line })?,
        }
        Ok(())
    }

    fn set(&mut self, name: &'t str, value: &str) {
        self.in_block = false;
        let entries = &mut self.env.entries;
        let position = *self.positions.entry(name).or_insert(entries.len());
        self.present = Some(position);
        match entries.get_mut(position) {
            Some((_, old)) => {
                old.zeroize();
                old.push_str(value);
            }
            None => entries.push((name.to_owned(), value.to_owned())),
        }
    }

    fn append(&mut self, content: &str) -> Option<()> {
        let (_, value) = self.env.entries.get_mut(self.present?)?;
        value.push('\n');
        value.push_str(content);
        self.in_block = true;
        Some(())
    }

    fn finish(self) -> EnvText {
        self.env
    }
}

/// Whether people see a handle instead of this value. A plain name does not cover a value of several
/// lines: the further ones are not the variable's for the rack, so nobody meant them to be shown.
pub(crate) fn is_hidden(plain: &PlainKeys, name: &str, value: &str) -> bool {
    !value.is_empty() && !is_handle(value) && (value.contains('\n') || !plain.is_plain(name))
}

impl PartialEq for EnvText {
    fn eq(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len() && self.by_name() == other.by_name()
    }
}

impl Eq for EnvText {}

impl fmt::Debug for EnvText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvText")?;
        f.debug_list().entries(self.entries.iter().map(|(name, _)| name)).finish()
    }
}

impl Drop for EnvText {
    fn drop(&mut self) {
        for (_, value) in &mut self.entries {
            value.zeroize();
        }
    }
}

/// Adds a variable to a text.
pub(crate) fn write_line(text: &mut String, name: &str, value: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(name);
    text.push('=');
    text.push_str(value);
}

fn numbered_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').enumerate().map(|(index, line)| (index + 1, line.trim_end_matches('\r')))
}

fn name_and_value(line: &str) -> Option<(&str, &str)> {
    line.split_once('=').map(|(name, value)| (name.trim(), value))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_LIMIT && name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_padded_base64(line: &str) -> bool {
    let block = line.trim();
    let content = block.trim_end_matches('=');
    block.len() - content.len() <= 2
        && content
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'))
}

#[cfg(test)]
mod tests;
