//! How a notice reads: its subject, and its body as text and as HTML. It knows words, not how mail travels.
//!
//! Names, devices and reasons are other people's text. [`clean`] makes one line of each, without characters that
//! steer or hide; the HTML template escapes them besides. A link is only ever a page of the gateway, without
//! parameters.

mod wording;

use askama::Template;
use gateway_audit::text::is_hazard;
use gateway_types::Timestamp;

use crate::job::MailJob;

/// The longest name in a mail, in characters.
const LONGEST_NAME: usize = 120;

/// What all mail of a gateway says of its sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letterhead {
    /// The rack's name for people.
    pub rack: String,
    /// The gateway's origin, such as `https://gateway.example.com`; `None` = mail holds no link.
    pub web: Option<String>,
}

/// A mail before it is rendered. Everything in it is clean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// Fixed words, the rack's name, and at most one cleaned name.
    pub subject: String,
    rack: String,
    intro: String,
    facts: Vec<Fact>,
    advice: &'static str,
    link: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Fact {
    label: &'static str,
    value: String,
}

#[derive(Template)]
#[template(path = "letter.txt", escape = "none")]
struct Text<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "letter.html", escape = "html")]
struct Html<'a> {
    letter: &'a Letter,
}

impl Letter {
    /// The letter that tells somebody of a notice.
    pub fn new(head: &Letterhead, job: &MailJob) -> Letter {
        let words = wording::of(&job.notice, job.audience);
        let rack = clean(&head.rack);
        let mut facts: Vec<Fact> =
            words.facts.into_iter().map(|(label, value)| Fact { label, value: clean(&value) }).collect();
        facts.push(Fact { label: "When", value: moment(job.at) });
        Letter {
            subject: clean(&format!("Rack Gateway ({rack}): {}", words.subject)),
            intro: words.intro.replace("{rack}", &rack),
            rack,
            facts,
            advice: words.advice,
            link: head.web.as_ref().zip(words.page).map(|(web, page)| format!("{web}{page}")),
        }
    }

    /// The body as text and as HTML.
    ///
    /// # Errors
    /// When a template fails, which nothing in a letter makes it do.
    pub fn render(&self) -> Result<(String, String), askama::Error> {
        Ok((Text { letter: self }.render()?, Html { letter: self }.render()?))
    }
}

/// One line of at most 120 characters, without characters that steer a program or hide.
pub fn clean(text: &str) -> String {
    let plain: String = text.chars().map(|c| if is_hazard(c) { ' ' } else { c }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None if line.is_empty() => "(unnamed)".to_owned(),
        None => line,
    }
}

/// `2026-11-22 10:00:00 UTC`.
fn moment(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    match text.get(..19) {
        Some(seconds) => format!("{} UTC", seconds.replace('T', " ")),
        None => text,
    }
}
