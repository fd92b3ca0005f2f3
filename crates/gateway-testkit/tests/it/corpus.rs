//! The checklist of bad inputs, item by item: what each would have been elsewhere, and how many cases it has here.
//!
//! Each test tells its cases to [`count`]; `scripts/corpus` adds them up once all have run, and fails for an item
//! that has none.

use std::path::Path;

/// Item, what it is, precedents, and where it is shown when not in these tests; separated by tabs.
const ITEMS: &str = include_str!("corpus.tsv");

/// The precedents of the item that this text begins with.
fn precedents(text: &str) -> Option<&'static str> {
    let item = item(text);
    let lines = ITEMS.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .find(|parts| parts[0] == item)
        .map(|parts| parts[2])
}

/// `B1` of `B1 CVE-2025-64484: GET /`.
fn item(text: &str) -> &str {
    text.split([' ', ':']).next().unwrap_or_default()
}

/// The name of a case: with the precedents of its item, unless it names the one that it is about.
pub(crate) fn named(label: &str) -> String {
    match precedents(label) {
        Some(known) if known != "-" && !known.split(' ').any(|id| label.contains(id)) => {
            let (item, rest) = label.split_at(item(label).len());
            format!("{item} ({known}){rest}")
        }
        Some(_) | None => label.to_owned(),
    }
}

/// Tells that the test that runs tried so many cases of an item.
///
/// A test that runs again replaces what it told before.
pub(crate) fn count(name: &str, cases: usize) {
    assert!(precedents(name).is_some(), "'{name}' does not begin with an item of corpus.tsv");
    println!("{name}: {cases} cases");
    let thread = std::thread::current();
    let test = thread.name().expect("tests run in threads that have their names").replace("::", ".");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{test}.{}", item(name))), format!("{}\t{cases}\n", item(name)))
        .unwrap();
}

#[test]
fn a_case_is_named_by_what_it_would_have_been() {
    assert_eq!(named("B9: GET /"), "B9 (CVE-2026-34457): GET /");
    assert_eq!(named("B9 CVE-2026-34457: GET /"), "B9 CVE-2026-34457: GET /");
    assert_eq!(named("B7: x"), "B7: x");
    assert_eq!(named("segments"), "segments");
}
