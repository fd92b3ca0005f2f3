//! The walk over a reply: follows the labels down and hides what they lead to.
//! It must not know how the edits it finds are put into the body.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Edit, FoundEnv, Redaction};
use crate::address::replace_password;
use crate::env::{EnvText, is_hidden, write_line};
use crate::error::RedactError;
use crate::handle::{HandleKey, is_handle};
use crate::json::{Kind, Members, Text, Top, offset_in, quoted};
use crate::known::KnownValues;
use crate::labels::{Label, Step, Treatment, same_name};
use crate::plain::PlainKeys;

/// How deep a labelled value may be nested.
const DEEPEST: usize = 64;

/// What racks and clients show for values they hide themselves.
const HIDDEN_BY_THE_RACK: &str = "****";

/// The app config that holds names and no values (API.md 1.4).
const ENV_MASK_CONFIG: &str = "cli-env-mask";

pub(super) struct Found {
    pub(super) edits: Vec<Edit>,
    pub(super) replaced: usize,
    pub(super) envs: Vec<FoundEnv>,
}

pub(super) struct Walk<'a> {
    body: &'a str,
    redaction: &'a Redaction<'a>,
    found: Found,
    /// The secrets of the environments in this reply.
    secrets: KnownValues,
    scans: Vec<(usize, &'a RawValue, Cow<'a, str>)>,
}

/// A label on the way: the steps that are left from here.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    label: &'a Label,
    left: &'a [Step],
}

/// The handles of one scope. Releases repeat most of their environment, so each variable is looked at once.
struct Scope {
    key: HandleKey,
    /// Positions in `handles`, by name and value of the variable.
    of_env: HashMap<String, HashMap<String, usize>>,
    /// `None` for a value that is shown.
    handles: Vec<Option<String>>,
}

/// A labelled place.
struct Place<'a, 'p> {
    label: &'a Label,
    /// The name of the member, as the handle's key.
    name: &'p str,
    /// The members beside it.
    siblings: &'p [(Cow<'a, str>, &'a RawValue)],
}

impl Scope {
    fn new(key: HandleKey) -> Self {
        Self { key, of_env: HashMap::new(), handles: Vec::new() }
    }

    /// The handle of a variable, unless its value is shown. `made` is called with a handle not met before.
    fn env_handle(
        &mut self,
        plain: &PlainKeys,
        name: &str,
        value: &str,
        made: impl FnOnce(&str),
    ) -> Option<&str> {
        let met = self.of_env.get(name).and_then(|values| values.get(value)).copied();
        let position = met.unwrap_or_else(|| {
            let handle = is_hidden(plain, name, value).then(|| self.key.handle(name, value));
            if let Some(handle) = &handle {
                made(handle);
            }
            let position = self.handles.len();
            self.handles.push(handle);
            self.of_env.entry(name.to_owned()).or_default().insert(value.to_owned(), position);
            position
        });
        self.handles.get(position)?.as_deref()
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(body: &'a str, redaction: &'a Redaction<'a>) -> Self {
        Self {
            body,
            redaction,
            found: Found { edits: Vec::new(), replaced: 0, envs: Vec::new() },
            secrets: KnownValues::default(),
            scans: Vec::new(),
        }
    }

    /// Walks the whole reply.
    pub(super) fn reply(&mut self, top: &Top<'a>) -> Result<(), RedactError> {
        let cursors: Vec<Cursor<'a>> =
            self.redaction.labels.iter().map(|label| Cursor { label, left: &label.steps }).collect();
        let mut scope = Scope::new(self.redaction.keyring.scope(self.redaction.scope));
        let items = match top {
            Top::Value(value) => return self.container(value, &cursors, &mut scope),
            Top::List(items) => items,
        };
        let inner: Vec<Cursor<'a>> = cursors
            .iter()
            .map(|cursor| match cursor.left {
                [Step::Items, left @ ..] => Cursor { left, ..*cursor },
                _ => *cursor,
            })
            .collect();
        for item in items {
            match self.scope_of(item)? {
                Some(mut own) => self.container(item, &inner, &mut own)?,
                None => self.container(item, &inner, &mut scope)?,
            }
        }
        Ok(())
    }

    /// Looks for all secrets in the texts noted for it, and ends the walk.
    pub(super) fn finish(mut self) -> Found {
        let scanner = self.redaction.known.scanner(&self.secrets);
        for (start, value, text) in &self.scans {
            if let Some(masked) = scanner.mask(text) {
                let place = *start..start + value.get().len();
                self.found.edits.push(Edit { place, json: quoted(&masked.text) });
                self.found.replaced += masked.count;
            }
        }
        self.found
    }

    /// The item's own scope, where items have one.
    fn scope_of(&self, item: &'a RawValue) -> Result<Option<Scope>, RedactError> {
        let Some(field) = self.redaction.item_scope_field else { return Ok(None) };
        if Kind::of(item) != Kind::Object {
            return Ok(None);
        }
        let unclear = || RedactError::UnclearScope { field: field.to_owned(), offset: self.offset(item) };
        let Members(members) = self.parsed(item)?;
        let mut named = members.iter().filter(|(name, _)| same_name(name, field));
        let (Some((_, value)), None) = (named.next(), named.next()) else { return Err(unclear()) };
        let Ok(Text(scope)) = serde_json::from_str(value.get()) else { return Err(unclear()) };
        Ok(Some(Scope::new(self.redaction.keyring.scope(&scope))))
    }

    /// Follows the labels through an object.
    fn container(
        &mut self,
        value: &'a RawValue,
        cursors: &[Cursor<'a>],
        scope: &mut Scope,
    ) -> Result<(), RedactError> {
        let Some(first) = cursors.first() else { return Ok(()) };
        match Kind::of(value) {
            Kind::Null => return Ok(()),
            Kind::String if value.get() == "\"\"" => return Ok(()),
            Kind::Object => {}
            Kind::Bool | Kind::Number | Kind::String | Kind::Array => {
                return Err(self.unexpected(first.label, value));
            }
        }
        if let Some(list) = cursors.iter().find(|cursor| matches!(cursor.left, [Step::Items, ..])) {
            return Err(self.unexpected(list.label, value));
        }
        let Members(members) = self.parsed(value)?;
        for (name, member) in &members {
            let inner: Vec<Cursor<'a>> =
                cursors.iter().filter_map(|cursor| cursor.into_member(name)).collect();
            // Where two labels meet, the one that hides most counts: the treatments are in that order.
            let ended = inner
                .iter()
                .filter(|cursor| cursor.left.is_empty())
                .min_by_key(|cursor| cursor.label.treatment);
            match ended {
                Some(Cursor { label, .. }) => {
                    let name = label.key_of(name);
                    self.place(member, &Place { label, name, siblings: &members }, scope)?;
                }
                None => self.container(member, &inner, scope)?,
            }
        }
        Ok(())
    }

    /// Hides a labelled value.
    fn place(
        &mut self,
        value: &'a RawValue,
        place: &Place<'a, '_>,
        scope: &mut Scope,
    ) -> Result<(), RedactError> {
        match (Kind::of(value), place.label.treatment) {
            (Kind::Null | Kind::Bool, _) => Ok(()),
            (_, Treatment::Scan) => self.note_for_scan(value, 0),
            (Kind::String, treatment) => {
                let text = self.text(value)?;
                if text.is_empty() || is_handle(&text) {
                    return Ok(());
                }
                match treatment {
                    Treatment::Env => self.env(value, &text, place, scope),
                    Treatment::Address => {
                        let handle = |password: &str| scope.key.handle(place.name, password);
                        let hidden = replace_password(&text, handle)
                            .unwrap_or_else(|| scope.key.handle(place.name, &text));
                        self.replace(value, &text, &hidden, 1);
                    }
                    Treatment::MapValue
                        if text == HIDDEN_BY_THE_RACK || self.redaction.plain.is_plain(place.name) => {}
                    Treatment::Whole if self.is_list_of_names(place) => {}
                    Treatment::MapValue | Treatment::Whole | Treatment::Scan => {
                        self.replace(value, &text, &scope.key.handle(place.name, &text), 1);
                    }
                }
                Ok(())
            }
            (Kind::Number, Treatment::MapValue) if self.redaction.plain.is_plain(place.name) => Ok(()),
            (Kind::Number | Kind::Array | Kind::Object, _) => self.leaves(value, place.name, scope, 0),
        }
    }

    fn env(&mut self, value: &'a RawValue, text: &str, place: &Place<'a, '_>, scope: &mut Scope) {
        let Ok(env) = EnvText::parse_stored(text) else {
            let handle = scope.key.handle(place.name, text);
            for line in text.lines() {
                self.secrets.insert(line.split_once('=').map_or(line, |(_, value)| value), &handle);
            }
            // Clients drop a line without a name, take the environment for empty and post it so. A handle
            // with a name comes back in the post and is refused there, because it belongs to no variable.
            return self.replace(value, text, &format!("{}={handle}", place.name), 1);
        };
        let mut count = 0;
        let mut shown = String::with_capacity(text.len() + 16 * env.entries().len());
        for (name, value) in env.entries() {
            let handle = scope
                .env_handle(self.redaction.plain, name, value, |handle| self.secrets.insert(value, handle));
            count += usize::from(handle.is_some());
            write_line(&mut shown, name, handle.unwrap_or(value));
        }
        if count > 0 {
            self.replace(value, text, &shown, count);
        }
        let (release, app) = (self.sibling(place, "id"), self.sibling(place, "app"));
        self.found.envs.push(FoundEnv { release, app, env });
    }

    /// Whether this is the app config in which the client keeps the names of the variables that it
    /// masks. It reads the list and writes it back with more names in it, so a handle would end there.
    fn is_list_of_names(&self, place: &Place<'a, '_>) -> bool {
        place.name == "value" && self.sibling(place, "name").as_deref() == Some(ENV_MASK_CONFIG)
    }

    /// The text of the only member of this name.
    fn sibling(&self, place: &Place<'a, '_>, name: &str) -> Option<String> {
        let mut named = place.siblings.iter().filter(|(sibling, _)| same_name(sibling, name));
        let (Some((_, value)), None) = (named.next(), named.next()) else { return None };
        serde_json::from_str(value.get()).ok()
    }

    /// Hides every string and number inside a value that should have been a text.
    fn leaves(
        &mut self,
        value: &'a RawValue,
        name: &str,
        scope: &Scope,
        depth: usize,
    ) -> Result<(), RedactError> {
        match Kind::of(value) {
            Kind::Null | Kind::Bool => {}
            Kind::Number => self.replace(value, value.get(), &scope.key.handle(name, value.get()), 1),
            Kind::String => {
                let text = self.text(value)?;
                if !text.is_empty() && !is_handle(&text) {
                    self.replace(value, &text, &scope.key.handle(name, &text), 1);
                }
            }
            Kind::Array => {
                for item in self.parsed::<Vec<&'a RawValue>>(value)? {
                    self.leaves(item, name, scope, deeper(depth)?)?;
                }
            }
            Kind::Object => {
                let Members(members) = self.parsed(value)?;
                for (name, member) in &members {
                    self.leaves(member, name, scope, deeper(depth)?)?;
                }
            }
        }
        Ok(())
    }

    /// Notes every string inside a value for the scan.
    fn note_for_scan(&mut self, value: &'a RawValue, depth: usize) -> Result<(), RedactError> {
        match Kind::of(value) {
            Kind::Null | Kind::Bool | Kind::Number => {}
            Kind::String => {
                let text = self.text(value)?;
                self.scans.push((self.offset(value), value, text));
            }
            Kind::Array => {
                for item in self.parsed::<Vec<&'a RawValue>>(value)? {
                    self.note_for_scan(item, deeper(depth)?)?;
                }
            }
            Kind::Object => {
                let Members(members) = self.parsed(value)?;
                for (_, member) in &members {
                    self.note_for_scan(member, deeper(depth)?)?;
                }
            }
        }
        Ok(())
    }

    fn replace(&mut self, value: &'a RawValue, old: &str, new: &str, count: usize) {
        if old != new {
            let start = self.offset(value);
            self.found.edits.push(Edit { place: start..start + value.get().len(), json: quoted(new) });
            self.found.replaced += count;
        }
    }

    fn text(&self, value: &'a RawValue) -> Result<Cow<'a, str>, RedactError> {
        self.parsed::<Text<'a>>(value).map(|Text(text)| text)
    }

    /// Reads a value that is known to be well-formed. What still fails is an escape of half a surrogate pair.
    fn parsed<T: Deserialize<'a>>(&self, value: &'a RawValue) -> Result<T, RedactError> {
        serde_json::from_str(value.get()).map_err(|_| RedactError::NotText { offset: self.offset(value) })
    }

    fn offset(&self, value: &RawValue) -> usize {
        offset_in(self.body, value)
    }

    fn unexpected(&self, label: &Label, value: &RawValue) -> RedactError {
        RedactError::UnexpectedShape { label: label.text.clone(), offset: self.offset(value) }
    }
}

impl<'a> Cursor<'a> {
    /// The label inside the member of this name, if it leads there.
    fn into_member(self, name: &str) -> Option<Cursor<'a>> {
        let (step, left) = self.left.split_first()?;
        let leads_there = match step {
            Step::EachMember => true,
            Step::Member(labelled) => same_name(name, labelled),
            Step::Items => false,
        };
        leads_there.then_some(Cursor { left, ..self })
    }
}

fn deeper(depth: usize) -> Result<usize, RedactError> {
    if depth < DEEPEST { Ok(depth + 1) } else { Err(RedactError::TooDeep { limit: DEEPEST }) }
}
