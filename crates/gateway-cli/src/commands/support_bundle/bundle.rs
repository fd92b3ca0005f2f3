//! The files of a bundle, and the archive that they become.

use std::fmt::Write as _;
use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::Missing;
use super::clean::Cleaner;

/// What is never in a bundle, and why.
const NEVER: &[(&str, &str)] = &[
    (
        "values of secrets of the configuration",
        "they are shown as (hidden), and wherever else they occur they are masked",
    ),
    ("other variables of the environment", "they may hold anything"),
    (
        "the configuration file itself",
        "its comments may hold anything; configuration.json has every key and where its value came from",
    ),
    ("people, their sessions, tokens and factors", "nobody is named who is not in a setting"),
    (
        "entries of the audit log",
        "they tell what people did; `rack-gateway audit export` is for whoever may read them",
    ),
    ("recordings and environments of apps", "they are the operator's business alone"),
    ("what jobs carry", "letters have addresses; only kind, state and last error are told"),
];

/// A file of the bundle.
struct File {
    name: String,
    text: String,
}

/// What is gathered.
pub(super) struct Bundle {
    name: String,
    made: String,
    files: Vec<File>,
    missing: Vec<Missing>,
}

impl Bundle {
    pub(super) fn new(name: &str, made: &str) -> Self {
        Self { name: name.to_owned(), made: made.to_owned(), files: Vec::new(), missing: Vec::new() }
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str, text: String) {
        self.files.push(File { name: name.to_owned(), text });
    }

    /// A document.
    pub(super) fn document(&mut self, name: &str, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.text(name, text + "\n"),
            Err(error) => self.miss(name, &error.to_string()),
        }
    }

    /// Something could not be had.
    pub(super) fn miss(&mut self, part: &str, reason: &str) {
        self.missing.push(Missing { part: part.to_owned(), reason: reason.to_owned() });
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.name.clone()).collect()
    }

    pub(super) fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// The archive, and how many occurrences of secrets were masked in it.
    ///
    /// # Errors
    /// Only when there is no memory for it.
    pub(super) fn archive(&self, cleaner: &Cleaner) -> io::Result<(Vec<u8>, usize)> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        let mut masked = 0;
        let readme = File { name: "README.md".to_owned(), text: self.readme() };
        for file in std::iter::once(&readme).chain(&self.files) {
            let (text, count) = cleaner.clean(&file.text);
            masked += count;
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(0);
            archive.append_data(&mut header, format!("{}/{}", self.name, file.name), text.as_bytes())?;
        }
        Ok((archive.into_inner()?.finish()?, masked))
    }

    fn readme(&self) -> String {
        let mut text = format!("# Support bundle\n\nMade {}.\n\n## What is in it\n\n", self.made);
        // A text is writable.
        for file in &self.files {
            let _ = writeln!(text, "- {}", file.name);
        }
        text.push_str("\n## What could not be had\n\n");
        if self.missing.is_empty() {
            text.push_str("Nothing.\n");
        }
        for Missing { part, reason } in &self.missing {
            let _ = writeln!(text, "- {part}: {reason}");
        }
        text.push_str("\n## What was left out\n\n");
        for (what, why) in NEVER {
            let _ = writeln!(text, "- {what}: {why}");
        }
        text
    }
}
