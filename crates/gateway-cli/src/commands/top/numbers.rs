//! The numbers of a gateway as it gives them (OpenMetrics text): names, labels, values.

use std::collections::BTreeMap;
use std::time::Instant;

/// One number and what it is of.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Number {
    labels: BTreeMap<String, String>,
    /// The value.
    pub(super) value: f64,
}

impl Number {
    /// What a label says; empty where it is not there.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All numbers of one moment.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Numbers {
    by_name: BTreeMap<String, Vec<Number>>,
    /// When they were read.
    pub(super) read: Instant,
}

impl Numbers {
    /// Reads the text; `None` when it is not a gateway's.
    pub(super) fn parse(text: &str, read: Instant) -> Option<Self> {
        let mut by_name: BTreeMap<String, Vec<Number>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, number) = number(line)?;
            by_name.entry(name).or_default().push(number);
        }
        by_name.contains_key("rack_gateway_build").then_some(Self { by_name, read })
    }

    /// Every number of this name.
    pub(super) fn all(&self, name: &str) -> &[Number] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The one number of this name.
    pub(super) fn one(&self, name: &str) -> Option<f64> {
        self.all(name).first().map(|number| number.value)
    }

    /// The sum of those that `wanted` takes.
    pub(super) fn sum(&self, name: &str, wanted: impl Fn(&Number) -> bool) -> f64 {
        self.all(name).iter().filter(|number| wanted(number)).map(|number| number.value).sum()
    }
}

/// `name{label="value",…} number`.
fn number(line: &str) -> Option<(String, Number)> {
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = labels(rest)?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, BTreeMap::new(), rest)
        }
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name.to_owned(), Number { labels, value }))
}

/// Labels up to the closing brace, and what follows. Values hold `\\`, `\"` and `\n` escaped.
fn labels(text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, value) = rest.split_once("=\"")?;
        let mut content = String::new();
        let mut places = value.char_indices();
        let end = loop {
            match places.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => content.push(match places.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => content.push(other),
            }
        };
        labels.insert(name.to_owned(), content);
        let after = value.get(end..)?;
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}
