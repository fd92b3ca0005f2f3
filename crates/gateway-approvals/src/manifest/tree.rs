//! From YAML text to a small tree: one document, no key twice, aliases and merge keys resolved, all bounded.
//!
//! The rack reads with another parser, of YAML 1.1. Where the two could differ without an error, the text is refused.
//!
//! Source: YAML 1.2.2; <https://yaml.org/type/merge.html>.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::ManifestFault;
use super::placeholder::has_mark;

/// Nodes of a document, an alias counted as what it stands for.
pub(super) const MOST_NODES: usize = 20_000;

/// Levels of nesting, an alias counted as what it stands for. Also bounds every recursion over a tree.
pub(super) const MOST_LEVELS: usize = 64;

/// A value. Shared, because aliases share it.
#[derive(Debug)]
pub(super) enum Node {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Map),
}

/// A word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Written without quotes and without `!!str`: it may be something other than a text.
    pub(super) is_plain: bool,
}

/// A map with its merge keys resolved.
pub(super) type Map = BTreeMap<String, Rc<Node>>;

/// Aliases may make one value equal to another; only the content counts.
fn is_same(one: &Rc<Node>, other: &Rc<Node>) -> bool {
    if Rc::ptr_eq(one, other) {
        return true;
    }
    match (&**one, &**other) {
        (Node::Scalar(one), Node::Scalar(other)) => one == other,
        (Node::Scalar(_), _) | (Node::List(_), _) | (Node::Map(_), _) => false,
    }
}

/// A finished node with what it costs.
#[derive(Clone)]
struct Finished {
    node: Rc<Node>,
    nodes: usize,
    levels: usize,
}

/// A list or map that is still open.
struct Open {
    anchor: usize,
    nodes: usize,
    levels: usize,
    what: OpenKind,
}

enum OpenKind {
    List(Vec<Rc<Node>>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    own: Vec<(String, Rc<Node>)>,
    keys: BTreeSet<String>,
    merged: Option<Merged>,
    key: Option<Key>,
}

enum Key {
    Own(String),
    Merge(usize),
}

struct Merged {
    entries: Map,
    /// How many keys of the map itself came before the `<<`.
    after: usize,
    line: usize,
}

/// Reads the one document of `text`.
pub(super) fn read(text: &str) -> Result<Rc<Node>, ManifestFault> {
    let mut builder =
        Builder { anchors: BTreeMap::new(), open: Vec::new(), nodes: 0, root: None, documents: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| ManifestFault::Syntax {
            line: error.marker().line(),
            reason: error.info().to_owned(),
        })?;
        builder.take(event, span)?;
    }
    builder.root.ok_or(ManifestFault::Empty)
}

struct Builder {
    anchors: BTreeMap<usize, Finished>,
    open: Vec<Open>,
    nodes: usize,
    root: Option<Rc<Node>>,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), ManifestFault> {
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 { Err(ManifestFault::SecondDocument { line }) } else { Ok(()) }
            }
            Event::Alias(anchor) => {
                if self.wants_key() {
                    return Err(ManifestFault::Key { line });
                }
                let finished = self.anchors.get(&anchor).cloned();
                self.place(finished.ok_or(ManifestFault::RecursiveAlias { line })?, line)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = check_tag(tag.as_deref(), &["str", "int", "float", "bool", "null"], line)?;
                let is_plain = style == ScalarStyle::Plain && !is_text;
                if self.wants_key() {
                    return self.key(&text, style == ScalarStyle::Plain && tag.is_none(), line);
                }
                let node = Rc::new(Node::Scalar(Scalar { text: text.into_owned(), is_plain }));
                let finished = Finished { node, nodes: 1, levels: 1 };
                self.remember(anchor, &finished);
                self.place(finished, line)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), &["seq"], line)?;
                self.begin(anchor, OpenKind::List(Vec::new()), line)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), &["map"], line)?;
                self.begin(anchor, OpenKind::Map(OpenMap::default()), line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(line),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { what: OpenKind::Map(OpenMap { key: None, .. }), .. }))
    }

    fn begin(&mut self, anchor: usize, what: OpenKind, line: usize) -> Result<(), ManifestFault> {
        if self.wants_key() {
            return Err(ManifestFault::Key { line });
        }
        if self.open.len() >= MOST_LEVELS {
            return Err(ManifestFault::TooDeep { most: MOST_LEVELS });
        }
        self.open.push(Open { anchor, nodes: 1, levels: 1, what });
        self.count(1)
    }

    fn end(&mut self, line: usize) -> Result<(), ManifestFault> {
        let Some(Open { anchor, nodes, levels, what }) = self.open.pop() else { return Ok(()) };
        let node = Rc::new(match what {
            OpenKind::List(items) => Node::List(items),
            OpenKind::Map(map) => Node::Map(resolve(map.own, map.merged)?),
        });
        let finished = Finished { node, nodes, levels };
        self.remember(anchor, &finished);
        self.attach(finished, line)
    }

    fn key(&mut self, text: &str, is_bare: bool, line: usize) -> Result<(), ManifestFault> {
        if has_mark(text) {
            return Err(ManifestFault::PlaceholderInKey { line });
        }
        let Some(Open { what: OpenKind::Map(map), .. }) = self.open.last_mut() else { return Ok(()) };
        if text == "<<" {
            // In quotes it merges for some readers and is a word for others.
            if !is_bare {
                return Err(ManifestFault::Key { line });
            }
            if map.merged.is_some() {
                return Err(ManifestFault::TwiceKey { line, key: text.to_owned() });
            }
            map.key = Some(Key::Merge(line));
            return Ok(());
        }
        if !map.keys.insert(text.to_owned()) {
            return Err(ManifestFault::TwiceKey { line, key: text.escape_debug().to_string() });
        }
        map.key = Some(Key::Own(text.to_owned()));
        self.count(1)
    }

    fn count(&mut self, nodes: usize) -> Result<(), ManifestFault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MOST_NODES { Err(ManifestFault::TooManyNodes { most: MOST_NODES }) } else { Ok(()) }
    }

    fn remember(&mut self, anchor: usize, finished: &Finished) {
        if anchor > 0 {
            self.anchors.insert(anchor, finished.clone());
        }
    }

    /// A scalar or an alias: its nodes are not counted yet.
    fn place(&mut self, finished: Finished, line: usize) -> Result<(), ManifestFault> {
        self.count(finished.nodes)?;
        if self.open.len() + finished.levels > MOST_LEVELS {
            return Err(ManifestFault::TooDeep { most: MOST_LEVELS });
        }
        self.attach(finished, line)
    }

    fn attach(&mut self, finished: Finished, line: usize) -> Result<(), ManifestFault> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(finished.node);
            return Ok(());
        };
        open.nodes = open.nodes.saturating_add(finished.nodes);
        open.levels = open.levels.max(finished.levels + 1);
        match &mut open.what {
            OpenKind::List(items) => items.push(finished.node),
            OpenKind::Map(map) => match map.key.take() {
                Some(Key::Own(key)) => map.own.push((key, finished.node)),
                Some(Key::Merge(at)) => {
                    let entries = merge(&finished.node, at)?;
                    map.merged = Some(Merged { entries, after: map.own.len(), line: at });
                }
                None => return Err(ManifestFault::Key { line }),
            },
        }
        Ok(())
    }
}

/// What a `<<` brings: of several maps the first one that has a key counts.
fn merge(node: &Node, line: usize) -> Result<Map, ManifestFault> {
    match node {
        Node::Map(map) => Ok(map.clone()),
        Node::List(items) => {
            let mut all = Map::new();
            for item in items {
                let Node::Map(map) = &**item else { return Err(ManifestFault::Merge { line }) };
                for (key, value) in map {
                    all.entry(key.clone()).or_insert_with(|| Rc::clone(value));
                }
            }
            Ok(all)
        }
        Node::Scalar(_) => Err(ManifestFault::Merge { line }),
    }
}

/// A map's own keys win over merged ones.
///
/// The rack's reader ignores `<<` in some places: a service then lacks what was merged, and one without an image is
/// built from the source. So a merged image is one more that is checked, never one less.
fn resolve(own: Vec<(String, Rc<Node>)>, merged: Option<Merged>) -> Result<Map, ManifestFault> {
    let Some(Merged { entries, after, line }) = merged else { return Ok(own.into_iter().collect()) };
    for (key, value) in own.iter().take(after) {
        if entries.get(key).is_some_and(|other| !is_same(value, other)) {
            return Err(ManifestFault::MergeOrder { line, key: key.escape_debug().to_string() });
        }
    }
    let mut all = entries;
    all.extend(own);
    Ok(all)
}

/// Refuses every tag that is not of the core schema and fits; says whether it makes a text of the word.
fn check_tag(tag: Option<&Tag>, fitting: &[&str], line: usize) -> Result<bool, ManifestFault> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && fitting.contains(&tag.suffix.as_str()) => {
            Ok(tag.suffix == "str")
        }
        Some(tag) => Err(ManifestFault::Tag { line, tag: tag.to_string().escape_debug().to_string() }),
    }
}
