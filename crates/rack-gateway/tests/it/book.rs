//! The book: every page is in its table of contents, every link leads somewhere, and the commands of the quick start
//! work as they are written.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn markdown_in(directory: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(repository().join(directory)).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files
}

/// A document without what stands in blocks of code, line by line.
fn prose(text: &str) -> String {
    let mut in_code = false;
    let is_prose = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    };
    text.lines().filter(is_prose).collect::<Vec<_>>().join("\n")
}

/// Where the links of a document lead, as they are written.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    // What stands in code is no link: every second piece between backticks.
    let plain: Vec<&str> = prose.split('`').step_by(2).collect();
    // A link's text may be code, so that its end and its target are in one piece all the same.
    plain
        .iter()
        .flat_map(|piece| piece.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .map(str::to_owned)
        .collect()
}

/// What a heading is called in addresses.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// Why a link of this document leads nowhere, when it does.
fn fault(document: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, part) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => document.to_owned(),
        path => document.parent().unwrap().join(path),
    };
    if !target.exists() {
        return Some(format!("{}: {link} is not there", document.display()));
    }
    let is_there = part.is_empty() || anchors(&std::fs::read_to_string(target).unwrap()).contains(part);
    (!is_there).then(|| format!("{}: {link} has no such heading", document.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let documents = ["", "docs", "docs/adr"].into_iter().flat_map(markdown_in);
    let mut count = 0;
    let mut faults = Vec::new();
    for document in documents {
        for link in links(&std::fs::read_to_string(&document).unwrap()) {
            count += 1;
            faults.extend(fault(&document, &link));
        }
    }
    assert!(count > 100, "{count} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn links_and_headings_are_read_as_they_are_written() {
    let text = "# Two words, `code`\n[a](b.md) and [`c`](d.md#e)\n```sh\n[x](y)\n# no heading\n```\n`[v](w)`";
    assert_eq!(links(text), ["b.md", "d.md#e"]);
    assert_eq!(anchors(text), BTreeSet::from(["two-words-code".to_owned()]));
    let readme = repository().join("README.md");
    assert_eq!(fault(&readme, "https://example.com/nowhere"), None);
    assert_eq!(fault(&readme, "docs/config.md"), None);
    assert!(fault(&readme, "docs/nowhere.md").is_some());
    assert!(fault(&readme, "docs/config.md#nowhere").is_some());
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let docs = repository().join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: BTreeSet<String> = links(&summary).into_iter().collect();
    let name = |path: PathBuf| {
        let parts = path.strip_prefix(&docs).unwrap().components().map(Component::as_os_str);
        parts.map(|part| part.to_str().unwrap().to_owned()).collect::<Vec<_>>().join("/")
    };
    let pages = markdown_in("docs").into_iter().chain(markdown_in("docs/adr")).map(name);
    let no_page = ["SUMMARY.md", "adr/0000-template.md"];
    let pages: BTreeSet<String> = pages.filter(|page| !no_page.contains(&page.as_str())).collect();
    assert_eq!(listed, pages);
}

/// The commands of the quick start, in their order.
fn commands(text: &str) -> Vec<&str> {
    text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_commands_of_the_quick_start_work() {
    let text = std::fs::read_to_string(repository().join("docs/quick-start.md")).unwrap();
    let commands = commands(&text);
    assert_eq!(commands.len(), 4);
    let script = format!("set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n{}", commands.concat());
    let home = TempDir::new().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_rack-gateway")).parent().unwrap();
    let output = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", format!("{}:{}", program.display(), env!("PATH")))
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
    assert!(said.contains("admin@example.com"), "{said}");
}
