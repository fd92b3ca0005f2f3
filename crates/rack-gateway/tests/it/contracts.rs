//! Documents that promise: each line of them names a test, and the test is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of all functions that a test runner runs.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&repository().join("crates"), &mut files);
    files.iter().flat_map(|file| tests_of(&std::fs::read_to_string(file).unwrap())).collect()
}

fn tests_of(source: &str) -> Vec<String> {
    let (mut names, mut is_test) = (Vec::new(), false);
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
            continue;
        }
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some(name) = function.filter(|_| is_test).and_then(|rest| rest.split(['(', '<']).next()) {
            names.push(name.to_owned());
        }
        is_test &= line.starts_with("//") || line.is_empty();
    }
    names
}

#[test]
fn tests_are_found_by_their_attribute() {
    let source = "#[test]\nfn one() {}\nfn helper() {}\n#[tokio::test(flavor = \"multi_thread\")]\n#[cfg(x)]\nasync fn two() {}";
    assert_eq!(tests_of(source), ["one", "two"]);
}

/// The rows of a document's tables below this heading, without their heads; all of it without one.
fn rows(document: &str, heading: Option<&str>) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(repository().join("docs").join(document)).unwrap();
    let part = match heading {
        Some(heading) => {
            let (_, after) = text.split_once(&format!("\n## {heading}\n")).unwrap();
            after.split("\n## ").next().unwrap_or_default().to_owned()
        }
        None => text,
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in part.lines().filter(|line| line.starts_with('|')) {
        if line.starts_with("| ---") {
            rows.pop();
        } else {
            rows.push(line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect());
        }
    }
    rows
}

/// Each row's last cell names at least one test, and everything in it that looks like one is there. A name that ends
/// with `*` stands for all that begin so.
fn check(rows: &[Vec<String>], at_least: usize) {
    let tests = tests();
    assert!(rows.len() >= at_least, "{} rows", rows.len());
    for row in rows {
        let cell = row.last().unwrap();
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test stands behind {row:?}");
        for name in names {
            let is_there = match name.strip_suffix('*') {
                Some(beginning) => tests.iter().any(|test| test.starts_with(beginning)),
                None => tests.contains(name),
            };
            assert!(is_there, "{name} is no test; it stands behind {row:?}");
        }
    }
}

#[test]
fn each_line_of_the_degraded_contract_names_a_test_that_is_there() {
    check(&rows("degraded.md", None), 20);
}

#[test]
fn each_case_of_high_availability_names_a_test_that_is_there() {
    check(&rows("threat-model.md", Some("Several instances, and parts that are away")), 10);
}

#[test]
fn each_case_of_the_command_line_names_a_test_that_is_there() {
    check(&rows("threat-model.md", Some("The command line, and sockets of pages")), 10);
}

#[test]
fn each_principle_of_zero_trust_names_a_test_that_is_there() {
    check(&rows("zero-trust.md", None), 7);
}
