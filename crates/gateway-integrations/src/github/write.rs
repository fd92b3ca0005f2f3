//! What is told back: a commit status, and a comment on the pull request.

use serde::{Deserialize, Serialize};
use url::Url;

use super::names::{Commit, Repository};
use super::{GitHub, OWN_CONTEXT};
use crate::http::{Failure, Http, link};

/// The longest description of a commit status.
const DESCRIPTION_CHARACTERS: usize = 140;

/// The longest comment; GitHub takes a few characters more.
const COMMENT_CHARACTERS: usize = 60_000;

/// What a commit status says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitState {
    /// The approval is asked for.
    Pending,
    /// Approved, or deployed.
    Success,
    /// Rejected, expired or withdrawn.
    Failure,
    /// The gateway could not decide.
    Error,
}

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its page.
    pub url: Option<String>,
}

#[derive(Serialize)]
struct NewStatus<'a> {
    state: CommitState,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_url: Option<&'a str>,
    description: String,
    context: String,
}

#[derive(Serialize)]
struct NewComment {
    body: String,
}

#[derive(Deserialize)]
struct WrittenDocument {
    #[serde(default)]
    html_url: Option<String>,
}

impl GitHub {
    /// Sets the commit status `rack-gateway/APP`. Setting it again replaces it, so it may be retried.
    ///
    /// `POST /repos/{owner}/{repo}/statuses/{sha}` ("Create a commit status").
    ///
    /// # Errors
    /// When GitHub does not take it; [`Failure::retry`] says whether to try again.
    pub async fn commit_status(
        &self,
        http: &dyn Http,
        repository: &Repository,
        commit: &Commit,
        app: &str,
        status: (CommitState, &str),
        approval_page: Option<&Url>,
    ) -> Result<(), Failure> {
        let (state, description) = status;
        let body = NewStatus {
            state,
            target_url: approval_page.map(Url::as_str),
            description: cut(description, DESCRIPTION_CHARACTERS),
            context: format!("{OWN_CONTEXT}{app}"),
        };
        let url = self.at(repository, &["statuses", commit.as_str()]);
        self.endpoint.post(http, url, &body).await.map(drop)
    }

    /// Writes a comment below the pull request. The text is Markdown: what others wrote, bring in by [`as_plain`].
    ///
    /// `POST /repos/{owner}/{repo}/issues/{issue_number}/comments` ("Create an issue comment"). Not idempotent: after a
    /// lost answer a second try writes it twice.
    ///
    /// # Errors
    /// When GitHub does not take it; [`Failure::retry`] says whether to try again.
    pub async fn comment(
        &self,
        http: &dyn Http,
        repository: &Repository,
        pull_request: u64,
        text: &str,
    ) -> Result<Written, Failure> {
        let url = self.at(repository, &["issues", &pull_request.to_string(), "comments"]);
        let body = NewComment { body: cut(text, COMMENT_CHARACTERS) };
        let written: WrittenDocument = self.endpoint.post(http, url, &body).await?.document()?;
        Ok(Written { url: link(written.html_url.as_deref()) })
    }
}

/// Somebody else's words within Markdown: no mark-up, no mention (`@everyone`), no link, one line.
pub fn as_plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '\n' | '\r' | '\t' => plain.push(' '),
            // A space of no width after it: it reads as an at sign and names nobody.
            '@' => plain.push_str("@\u{200b}"),
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '#' | '*' | '_' | '`' | '[' | ']' | '(' | ')' | '!' | '\\' | '|' | '~' => {
                plain.extend(['\\', symbol])
            }
            other if other.is_control() => {}
            other => plain.push(other),
        }
    }
    plain
}

pub(super) fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some(_) => text.chars().take(characters.saturating_sub(1)).chain(['…']).collect(),
    }
}
