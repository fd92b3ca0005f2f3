//! Path templates and how a path's segments are matched against them.
//!
//! It must not know methods or operations.

use std::cmp::Ordering;

/// One part of a template. The order is the order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// This very segment.
    Literal(String),
    /// Any one segment.
    One(String),
    /// One or more segments up to the end.
    Rest(String),
}

/// A path template: `/users/{id}`, `/log/tile/{path*}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// The template spelled `path`, which begins with a slash.
    pub(super) fn of(path: &str) -> Self {
        let parts = path.split('/').skip(1).filter(|_| path != "/").map(part).collect();
        Self { parts }
    }

    /// Whether every literal is a plain segment, every parameter has a name, and only the last part takes the rest.
    pub(super) fn is_well_formed(&self) -> bool {
        let last = self.parts.len().saturating_sub(1);
        self.parts.iter().enumerate().all(|(index, part)| match part {
            Part::Literal(text) => is_plain_segment(text),
            Part::One(name) => is_parameter_name(name),
            Part::Rest(name) => is_parameter_name(name) && index == last,
        })
    }

    /// The names of its parameters, in the order of the path.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::One(name) | Part::Rest(name) => Some(name.as_str()),
        })
    }

    /// Whether this template has exactly the parameters of `other`, in its order.
    pub(super) fn has_parameters_of(&self, other: &Self) -> bool {
        self.names().eq(other.names())
    }

    /// Literals before parameters, from left to right.
    pub(super) fn cmp_literal_first(&self, other: &Self) -> Ordering {
        let rank = |part: &Part| match part {
            Part::Literal(_) => 0,
            Part::One(_) => 1,
            Part::Rest(_) => 2,
        };
        self.parts.iter().map(rank).cmp(other.parts.iter().map(rank))
    }

    /// The parameters, when the segments match.
    pub(super) fn matches(&self, segments: &[&str]) -> Option<Vec<(String, String)>> {
        let mut parameters = Vec::new();
        let mut rest = segments;
        for part in &self.parts {
            let (segment, after) = rest.split_first()?;
            match part {
                Part::Literal(text) if text == segment => {}
                Part::Literal(_) => return None,
                Part::One(name) => parameters.push((name.clone(), (*segment).to_owned())),
                Part::Rest(name) => {
                    parameters.push((name.clone(), rest.join("/")));
                    return Some(parameters);
                }
            }
            rest = after;
        }
        rest.is_empty().then_some(parameters)
    }
}

fn part(segment: &str) -> Part {
    match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
        None => Part::Literal(segment.to_owned()),
        Some(inner) => match inner.strip_suffix('*') {
            Some(name) => Part::Rest(name.to_owned()),
            None => Part::One(inner.to_owned()),
        },
    }
}

fn is_parameter_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Whether a segment is spelled plainly: 1 to 200 of `[A-Za-z0-9._:@+=,~-]`, and neither `.` nor `..`.
pub fn is_plain_segment(segment: &str) -> bool {
    (1..=200).contains(&segment.len())
        && segment != "."
        && segment != ".."
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:@+=,~-".contains(&byte))
}
