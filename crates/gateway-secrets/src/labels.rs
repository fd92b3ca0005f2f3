//! Labels: which members of a reply are secret, and in what way. They come from the table of routes.
//!
//! This module reads the column; how each kind is hidden is [`redact`](crate::redact)'s.

use crate::error::LabelError;

/// How a labelled place is made safe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Treatment {
    /// The whole value becomes a handle.
    Whole,
    /// An environment text: a handle for each variable that is not plain.
    Env,
    /// An address: a handle for its password.
    Address,
    /// One value of a map: a handle unless its key is plain.
    MapValue,
    /// A text in which known secret values are replaced.
    Scan,
}

/// One step on the way from the top of the reply to a labelled place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Each element of an array.
    Items,
    /// The member of this name.
    Member(String),
    /// Each member.
    EachMember,
}

/// One labelled place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Label {
    /// As written in the table.
    pub(crate) text: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) treatment: Treatment,
}

/// All labelled places of one reply.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Labels {
    labels: Vec<Label>,
}

impl Labels {
    /// Reads a column such as `[].env,[].manifest~`: labels between commas; an optional `[]` for each
    /// element of a list; names between dots; `*` at the end for each value of a map; `~` at the end for a
    /// text that is only scanned for known secret values. An empty column has no labels.
    ///
    /// # Errors
    /// For an empty name, and for `[]`, `*` or `~` anywhere else.
    pub fn parse(column: &str) -> Result<Self, LabelError> {
        if column.trim().is_empty() {
            return Ok(Self::default());
        }
        let labels = column.split(',').map(|text| Label::parse(text.trim())).collect::<Result<_, _>>()?;
        Ok(Self { labels })
    }

    /// Whether nothing is labelled.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Label> {
        self.labels.iter()
    }
}

impl Label {
    fn parse(text: &str) -> Result<Self, LabelError> {
        let (path, scanned) = match text.strip_suffix('~') {
            Some(path) => (path, true),
            None => (text, false),
        };
        let names: Vec<&str> = path.split('.').collect();
        let mut steps = Vec::with_capacity(names.len());
        for (position, name) in names.iter().copied().enumerate() {
            let (is_first, is_last) = (position == 0, position + 1 == names.len());
            steps.push(match name {
                "" => return Err(LabelError::EmptyPart { label: text.to_owned() }),
                "[]" if is_first && !is_last => Step::Items,
                "*" if is_last && !is_first => Step::EachMember,
                name if name.contains(['[', ']', '*', '~']) => {
                    return Err(LabelError::Misplaced { label: text.to_owned() });
                }
                name => Step::Member(name.to_owned()),
            });
        }
        let treatment = match (scanned, steps.last()) {
            (true, _) => Treatment::Scan,
            (false, Some(Step::EachMember)) => Treatment::MapValue,
            (false, Some(Step::Member(name))) if name == "env" => Treatment::Env,
            (false, Some(Step::Member(name))) if name == "url" || name == "repository" => Treatment::Address,
            (false, _) => Treatment::Whole,
        };
        Ok(Self { text: text.to_owned(), steps, treatment })
    }

    /// The key of the handle for a value in the member `name`: in a map that name, else the label's own,
    /// so that a member written in another case gets the same handle.
    pub(crate) fn key_of<'n>(&'n self, name: &'n str) -> &'n str {
        match self.steps.last() {
            Some(Step::Member(labelled)) => labelled,
            Some(Step::EachMember | Step::Items) | None => name,
        }
    }
}

/// Whether a member's name is the labelled one for a reader that ignores case as Go's `encoding/json`
/// does: besides ASCII letters, the long s and the Kelvin sign are letters of the other case too.
pub(crate) fn same_name(member: &str, label: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    member.chars().map(fold).eq(label.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(column: &str) -> Vec<(usize, Treatment)> {
        Labels::parse(column).unwrap().iter().map(|label| (label.steps.len(), label.treatment)).collect()
    }

    #[test]
    fn the_columns_of_the_table_are_read() {
        use Treatment::{Address, Env, MapValue, Scan, Whole};
        assert_eq!(kinds("[].env,[].manifest~"), [(2, Env), (2, Scan)]);
        assert_eq!(kinds("parameters.*,outputs.*"), [(2, MapValue), (2, MapValue)]);
        assert_eq!(kinds("url, parameters.*"), [(1, Address), (2, MapValue)]);
        assert_eq!(kinds("[].url,[].parameters.*"), [(2, Address), (3, MapValue)]);
        assert_eq!(kinds("[].command~"), [(2, Scan)]);
        assert_eq!(kinds("data.*~"), [(2, Scan)]);
        assert_eq!(kinds("repository"), [(1, Address)]);
        for whole in ["value", "private-key", "token", "webhook-url", "password", "src-creds-pass"] {
            assert_eq!(kinds(whole), [(1, Whole)], "{whole}");
        }
        for list in ["[].value", "[].password"] {
            assert_eq!(kinds(list), [(2, Whole)], "{list}");
        }
        for none in ["", " "] {
            assert!(Labels::parse(none).unwrap().is_empty());
        }
    }

    #[test]
    fn every_column_of_the_table_is_read() {
        let table = include_str!("../../gateway-convox/data/routes.tsv");
        let mut labels = 0;
        for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
            let columns: Vec<&str> = line.split('\t').collect();
            for column in [columns[6], columns[8]] {
                labels +=
                    Labels::parse(column).unwrap_or_else(|error| panic!("{line}: {error}")).iter().count();
            }
        }
        assert!(labels >= 40, "only {labels} labels were found: are these the right columns?");
    }

    #[test]
    fn mistakes_are_refused() {
        for empty in [",", "a,", "a..b", ".a", "~", "a,,b"] {
            assert!(matches!(Labels::parse(empty), Err(LabelError::EmptyPart { .. })), "{empty}");
        }
        for misplaced in ["[]", "*", "a.[].b", "a.*.b", "a*", "~a", "a~.b", "[]a", "a[]", "*~"] {
            assert!(matches!(Labels::parse(misplaced), Err(LabelError::Misplaced { .. })), "{misplaced}");
        }
    }

    #[test]
    fn names_are_compared_as_go_compares_them() {
        for same in ["password", "Password", "PASSWORD", "pa\u{17f}\u{17f}word"] {
            assert!(same_name(same, "password"), "{same}");
        }
        assert!(same_name("to\u{212a}en", "token") && same_name("private-Key", "private-key"));
        for other in ["passwor", "passwords", "pass word", "", "pässword"] {
            assert!(!same_name(other, "password"), "{other}");
        }
    }
}
