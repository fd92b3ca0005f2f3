//! A manifest as lines that two of them can be compared by, without what may be secret.
//!
//! A line is a place and what stands there: `services.web.command: bin/web`. Only places that the reference of
//! `convox.yml` knows as no home of secrets are shown with their value; of every other one the place alone is, so that a
//! variable that is new or gone is seen and its value never.
//!
//! Source: the reference of `convox.yml`, <https://docs.convox.com/configuration/convox-yml>.

use std::collections::BTreeSet;

use crate::manifest::Leaf;

/// The most lines of one manifest, and the most characters of one.
pub const MOST_LINES: usize = 300;
const LONGEST_LINE: usize = 200;

/// The most lines of a comparison.
pub const MOST_DIFFERENCES: usize = 100;

/// What is said in place of a value.
const NOT_SHOWN: &str = "(not shown)";

/// The last name of a place whose value is shown.
const SHOWN: &[&str] = &[
    "agent",
    "build",
    "centralized",
    "command",
    "count",
    "cpu",
    "deregister",
    "disable",
    "domain",
    "drain",
    "enabled",
    "escalation",
    "gpu",
    "grace",
    "halt",
    "image",
    "internal",
    "interval",
    "ip",
    "kind",
    "liveness",
    "manifest",
    "max",
    "maximum",
    "memory",
    "min",
    "minimum",
    "path",
    "port",
    "privileged",
    "protocol",
    "readonly",
    "redirect",
    "replicas",
    "schedule",
    "scheme",
    "service",
    "singleton",
    "sticky",
    "storage",
    "targets",
    "timeout",
    "type",
    "version",
    "whitelist",
];

/// Names below which everything can be anybody's words.
const HIDDEN_BELOW: &[&str] =
    &["environment", "args", "labels", "annotations", "ingressAnnotations", "params", "nodeSelectorLabels"];

/// The lines of a manifest, in its order; cut after [`MOST_LINES`].
pub fn lines(leaves: &[Leaf]) -> Vec<String> {
    let mut lines: Vec<String> = leaves.iter().take(MOST_LINES).map(line).collect();
    if leaves.len() > MOST_LINES {
        lines.push(format!("… and {} more lines", leaves.len() - MOST_LINES));
    }
    lines
}

fn line(leaf: &Leaf) -> String {
    let place = leaf.place.join(".");
    let below_hidden = leaf.place.iter().position(|name| HIDDEN_BELOW.contains(&name.as_str()));
    let text = match below_hidden {
        // `- NAME=default` and `- NAME` are lists of names.
        Some(_) => match leaf.text.split_once('=') {
            Some((name, _default)) if is_variable(name) => format!("{place}: {name}={NOT_SHOWN}"),
            None if leaf.is_item && is_variable(&leaf.text) => format!("{place}: {}", leaf.text),
            Some(_) | None => format!("{place}: {NOT_SHOWN}"),
        },
        None if is_shown(&leaf.place) => format!("{place}: {}", without_password(&leaf.text)),
        None => format!("{place}: {NOT_SHOWN}"),
    };
    let is_odd = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
    text.chars().take(LONGEST_LINE).map(|c| if is_odd(c) { '\u{fffd}' } else { c }).collect()
}

fn is_shown(place: &[String]) -> bool {
    let name = place.last().map_or("", String::as_str);
    let above = place.len().checked_sub(2).and_then(|at| place.get(at)).map_or("", String::as_str);
    // The members of `ports`, `links`, `resources` and the like are names and numbers.
    SHOWN.contains(&name)
        || matches!(name, "ports" | "links" | "resources" | "volumes")
        || matches!(above, "scale" | "health")
}

fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'*' | b'-' | b'.'))
}

/// A text whose addresses have no user and password, and whose assignments no value.
fn without_password(text: &str) -> String {
    let word = |word: &str| match word.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('@') {
            Some((before, after)) if !before.contains('/') => format!("{scheme}://{NOT_SHOWN}@{after}"),
            Some(_) | None => word.to_owned(),
        },
        None => match word.split_once('=') {
            Some((name, _value)) if is_variable(name) => format!("{name}={NOT_SHOWN}"),
            Some(_) | None => word.to_owned(),
        },
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Lines that are gone (`-`) and new (`+`), sorted by place; cut after [`MOST_DIFFERENCES`].
pub fn differences(before: &[String], after: &[String]) -> Vec<String> {
    let (old, new): (BTreeSet<&String>, BTreeSet<&String>) =
        (before.iter().collect(), after.iter().collect());
    let mut all: Vec<(&String, char)> = old.difference(&new).map(|line| (*line, '-')).collect();
    all.extend(new.difference(&old).map(|line| (*line, '+')));
    // Of one place what is gone stands before what is new.
    all.sort_by_key(|(line, sign)| {
        (line.split_once(": ").map_or(line.as_str(), |(place, _)| place), *sign == '+')
    });
    let more = all.len().saturating_sub(MOST_DIFFERENCES);
    let mut lines: Vec<String> =
        all.into_iter().take(MOST_DIFFERENCES).map(|(line, sign)| format!("{sign} {line}")).collect();
    if more > 0 {
        lines.push(format!("… and {more} more lines"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    const BEFORE: &str = "environment:\n  - SHARED=hunter2\nservices:\n  web:\n    build: .\n    command: bin/web --key=hunter2 postgres://u:hunter2@db/x\n    port: 3000\n    environment:\n      - STRIPE_KEY=hunter2\n      - PORT\n    labels:\n      owner: hunter2\n    scale:\n      count: 1-3\n      memory: 512\n    unknown: hunter2\n  worker:\n    image: example.com/worker:1\ntimers:\n  nightly:\n    schedule: 0 3 * * *\n    command: bin/clean\n    service: web\n";

    fn outline(text: &str) -> Vec<String> {
        Manifest::parse(text.as_bytes()).unwrap().outline
    }

    #[test]
    fn places_are_shown_and_secrets_are_not() {
        let lines = outline(BEFORE);
        for expected in [
            "environment: SHARED=(not shown)",
            "services.web.build: .",
            "services.web.command: bin/web --key=(not shown) postgres://(not shown)@db/x",
            "services.web.port: 3000",
            "services.web.environment: STRIPE_KEY=(not shown)",
            "services.web.environment: PORT",
            "services.web.labels.owner: (not shown)",
            "services.web.scale.count: 1-3",
            "services.web.scale.memory: 512",
            "services.web.unknown: (not shown)",
            "services.worker.image: example.com/worker:1",
            "timers.nightly.schedule: 0 3 * * *",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:#?}");
        }
        assert!(!lines.join("\n").contains("hunter2"), "{lines:#?}");
    }

    #[test]
    fn what_is_gone_stands_before_what_is_new() {
        let after = BEFORE
            .replace("port: 3000", "port: 4000")
            .replace("      - PORT\n", "      - PORT\n      - NEW_KEY=hunter3\n")
            .replace("hunter2", "hunter3")
            .replace(
                "    image: example.com/worker:1\n",
                "    image: example.com/worker:2\n    initContainer:\n      command: bin/migrate\n",
            );
        assert_eq!(
            differences(&outline(BEFORE), &outline(&after)),
            [
                "+ services.web.environment: NEW_KEY=(not shown)",
                "- services.web.port: 3000",
                "+ services.web.port: 4000",
                "- services.worker.image: example.com/worker:1",
                "+ services.worker.image: example.com/worker:2",
                "+ services.worker.initContainer.command: bin/migrate",
            ]
        );
        assert_eq!(differences(&outline(BEFORE), &outline(BEFORE)), Vec::<String>::new());
    }

    #[test]
    fn a_large_manifest_is_cut() {
        let services: String = (0..400).map(|n| format!("  s{n}:\n    image: example.com/s:{n}\n")).collect();
        let lines = outline(&format!("services:\n{services}"));
        assert_eq!(
            (lines.len(), lines.last().map(String::as_str)),
            (MOST_LINES + 1, Some("… and 100 more lines"))
        );
        let all = differences(&[], &lines);
        assert_eq!(
            (all.len(), all.last().map(String::as_str)),
            (MOST_DIFFERENCES + 1, Some("… and 201 more lines"))
        );
        let long = outline(&format!("services:\n  web:\n    command: {}\n", "x".repeat(1000)));
        assert!(long.iter().all(|line| line.chars().count() <= LONGEST_LINE), "{long:?}");
    }
}
