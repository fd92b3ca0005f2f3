//! Path templates: `{x}` is one segment, `{x*}` the rest, `{id}.tgz` a segment with a suffix.
//!
//! A template matches by shape alone, as the rack's router does; the allowed characters of each
//! parameter are checked after the first match, so that a bad name never falls through to another row.

use std::net::Ipv6Addr;

use crate::error::RowFault;
use crate::path::push_encoded;

/// The name that addresses the objects of all apps at once on one provider; never an app of ours.
pub const WHOLE_BUCKET: &str = "x-undefined-app-x";

/// The allowed characters of one path parameter; named as in the header comment of `routes.tsv`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PathClass {
    App,
    Id,
    Pid,
    Service,
    Name,
    Resource,
    Snapshot,
    Key,
    Server,
    Host,
    Port,
    Anything,
}

impl PathClass {
    fn of(name: &str, rest: bool) -> Option<PathClass> {
        match (name, rest) {
            ("app", false) => Some(PathClass::App),
            ("id", false) => Some(PathClass::Id),
            ("pid", false) => Some(PathClass::Pid),
            ("service", false) => Some(PathClass::Service),
            ("name", false) => Some(PathClass::Name),
            ("resource", false) => Some(PathClass::Resource),
            ("snapshot", false) => Some(PathClass::Snapshot),
            ("key", true) => Some(PathClass::Key),
            ("server", true) => Some(PathClass::Server),
            ("host", false) => Some(PathClass::Host),
            ("port", false) => Some(PathClass::Port),
            ("path", true) => Some(PathClass::Anything),
            _ => None,
        }
    }

    /// Whether doubled and trailing slashes belong to the value.
    pub(crate) const fn admits_empty_segments(self) -> bool {
        matches!(self, PathClass::Server | PathClass::Anything)
    }

    /// Whether `value` is within the class. An empty value never is; an empty key is the route's business.
    pub(crate) fn admits(self, value: &str) -> bool {
        match self {
            PathClass::App | PathClass::Service => named(value, 128, |c| matches!(c, b'_' | b'-')),
            PathClass::Id => {
                named(value, 253, |c| matches!(c, b'.' | b'_' | b'+' | b'=' | b',' | b'@' | b'-'))
            }
            PathClass::Pid => named(value, 253, |c| matches!(c, b'.' | b'_' | b'-')),
            PathClass::Name => named(value, 128, |c| matches!(c, b'.' | b'_' | b'-')),
            PathClass::Resource => named(value, 255, |c| matches!(c, b'.' | b'_' | b'-')),
            PathClass::Snapshot => named(value, 255, |c| matches!(c, b':' | b'.' | b'_' | b'-')),
            PathClass::Key => spelled(value, 1024, |c| b"._/:@+=,~() -".contains(&c)),
            PathClass::Server => spelled(value, 512, |c| b"._:/@~-".contains(&c)),
            PathClass::Host => spelled(value, 253, |c| b"._-".contains(&c)) || is_bracketed_ipv6(value),
            PathClass::Port => is_port(value),
            PathClass::Anything => !value.is_empty(),
        }
    }
}

/// An alphanumeric first character, then alphanumerics and `extra`; at most `max` characters.
fn named(value: &str, max: usize, extra: impl Fn(u8) -> bool) -> bool {
    value.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && value != WHOLE_BUCKET
        && spelled(value, max, extra)
}

fn spelled(value: &str, max: usize, extra: impl Fn(u8) -> bool) -> bool {
    (1..=max).contains(&value.len()) && value.bytes().all(|c| c.is_ascii_alphanumeric() || extra(c))
}

fn is_bracketed_ipv6(value: &str) -> bool {
    let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

fn is_port(value: &str) -> bool {
    let digits = !value.is_empty() && value.bytes().all(|c| c.is_ascii_digit()) && !value.starts_with('0');
    digits && value.parse::<u16>().is_ok()
}

/// Whether `key` may name an object: the class of `{key*}` without empty and dot segments.
pub(crate) fn is_object_key(key: &str) -> bool {
    PathClass::Key.admits(key) && key.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// Whether `app` may be the name of an app.
pub(crate) fn is_app_name(app: &str) -> bool {
    PathClass::App.admits(app)
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Segment {
    Literal(String),
    One(Slot),
    Suffixed(Slot, String),
    Rest(Slot),
}

/// A named part of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) class: PathClass,
}

/// One parsed template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Template {
    segments: Vec<Segment>,
}

impl Template {
    /// Reads the path column of a row.
    pub(crate) fn parse(text: &str) -> Result<Template, RowFault> {
        let fault = |reason| RowFault::Template { text: text.to_owned(), reason };
        let rest = text.strip_prefix('/').ok_or_else(|| fault("it must begin with a slash"))?;
        let segments = rest.split('/').map(read_segment).collect::<Result<Vec<_>, _>>().map_err(fault)?;
        let template = Template { segments };
        // Otherwise a value that begins with a slash would make the target begin with two.
        if !matches!(template.segments.first(), Some(Segment::Literal(_))) {
            return Err(fault("the first segment must be literal"));
        }
        let rests = template.segments.iter().rev().skip(1).any(|segment| matches!(segment, Segment::Rest(_)));
        if rests {
            return Err(fault("{x*} may stand at the end only"));
        }
        let names: Vec<&str> = template.slots().map(|slot| slot.name.as_str()).collect();
        if names.iter().enumerate().any(|(at, name)| names.iter().skip(at + 1).any(|later| later == name)) {
            return Err(fault("a name is used twice"));
        }
        Ok(template)
    }

    /// The named parts, in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::One(slot) | Segment::Suffixed(slot, _) | Segment::Rest(slot) => Some(slot),
        })
    }

    /// Whether the path lies under one app: `/apps/{app}` or below.
    pub(crate) fn is_of_an_app(&self) -> bool {
        let mut segments = self.segments.iter();
        let literal = matches!(segments.next(), Some(Segment::Literal(text)) if text == "apps");
        literal && matches!(segments.next(), Some(Segment::One(slot)) if slot.class == PathClass::App)
    }

    /// Whether decoded `path` has this shape.
    pub(crate) fn fits(&self, path: &[String]) -> bool {
        let mut rest = path;
        for segment in &self.segments {
            let Some((first, others)) = rest.split_first() else { return false };
            let fits = match segment {
                Segment::Rest(_) => return true,
                Segment::Literal(text) => text == first,
                Segment::One(_) => !first.is_empty(),
                Segment::Suffixed(_, suffix) => {
                    first.strip_suffix(suffix.as_str()).is_some_and(|stem| !stem.is_empty())
                }
            };
            if !fits {
                return false;
            }
            rest = others;
        }
        rest.is_empty()
    }

    /// The values of the named parts, in order, when decoded `path` has this shape.
    pub(crate) fn captures(&self, path: &[String]) -> Option<Vec<String>> {
        // Most of the templates that a request is held against do not fit, and then nothing is copied.
        if !self.fits(path) {
            return None;
        }
        let captured = self.segments.iter().enumerate().filter_map(|(place, segment)| match segment {
            Segment::Literal(_) => None,
            Segment::One(_) => path.get(place).cloned(),
            Segment::Suffixed(_, suffix) => {
                path.get(place)?.strip_suffix(suffix.as_str()).map(ToOwned::to_owned)
            }
            Segment::Rest(_) => path.get(place..).map(|rest| rest.join("/")),
        });
        Some(captured.collect())
    }

    /// The percent-encoded path with these values in the named parts, in order.
    pub(crate) fn expand<'v>(&self, mut values: impl Iterator<Item = &'v str>) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(text) => push_encoded(&mut path, text),
                Segment::One(_) => push_encoded(&mut path, values.next().unwrap_or_default()),
                Segment::Suffixed(_, suffix) => {
                    push_encoded(&mut path, values.next().unwrap_or_default());
                    push_encoded(&mut path, suffix);
                }
                Segment::Rest(_) => {
                    for (at, part) in values.next().unwrap_or_default().split('/').enumerate() {
                        if at > 0 {
                            path.push('/');
                        }
                        push_encoded(&mut path, part);
                    }
                }
            }
        }
        path
    }

    /// Whether every path of `later`'s shape has this shape too.
    pub(crate) fn covers(&self, later: &Template) -> bool {
        let mut theirs = later.segments.iter();
        for mine in &self.segments {
            if matches!(mine, Segment::Rest(_)) {
                return theirs.next().is_some();
            }
            if !theirs.next().is_some_and(|their| mine.covers(their)) {
                return false;
            }
        }
        theirs.next().is_none()
    }
}

impl Segment {
    fn covers(&self, later: &Segment) -> bool {
        match (self, later) {
            (Segment::Rest(_), _) => true,
            (_, Segment::Rest(_)) => false,
            (Segment::One(_), _) => true,
            (Segment::Literal(mine), Segment::Literal(theirs)) => mine == theirs,
            (Segment::Suffixed(_, mine), Segment::Suffixed(_, theirs)) => theirs.ends_with(mine.as_str()),
            (Segment::Suffixed(_, mine), Segment::Literal(theirs)) => {
                theirs.len() > mine.len() && theirs.ends_with(mine.as_str())
            }
            (Segment::Literal(_), Segment::One(_) | Segment::Suffixed(..))
            | (Segment::Suffixed(..), Segment::One(_)) => false,
        }
    }
}

fn read_segment(text: &str) -> Result<Segment, &'static str> {
    let Some(rest) = text.strip_prefix('{') else {
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        return match text {
            "" | "." | ".." => Err("a segment is empty or a dot segment"),
            _ if text.bytes().all(plain) => Ok(Segment::Literal(text.to_owned())),
            _ => Err("literal segments hold letters, digits, - _ . only"),
        };
    };
    let (inner, suffix) = rest.split_once('}').ok_or("a { has no }")?;
    let (name, is_rest) = inner.strip_suffix('*').map_or((inner, false), |name| (name, true));
    let class = PathClass::of(name, is_rest).ok_or(
        "the named parts are app id pid service name resource snapshot host port, key* server* path*",
    )?;
    let slot = Slot { name: name.to_owned(), class };
    match (suffix, is_rest) {
        ("", true) => Ok(Segment::Rest(slot)),
        ("", false) => Ok(Segment::One(slot)),
        (_, true) => Err("{x*} takes no suffix"),
        (suffix, false) if suffix.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'.') => {
            Ok(Segment::Suffixed(slot, suffix.to_owned()))
        }
        (_, false) => Err("a suffix holds letters, digits and dots only"),
    }
}

#[cfg(test)]
mod tests;
