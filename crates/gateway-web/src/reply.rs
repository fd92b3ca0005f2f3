//! Replies: a rendered page, or the way to another one.

use std::fmt::Write as _;

use askama::Template;
use gateway_app::control::OwnReply;
use gateway_audit::text::is_hazard;
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{CACHE_CONTROL, LOCATION};
use serde::Serialize;

use crate::flash;

const HTML: &str = "text/html; charset=utf-8";

/// The page that `template` renders.
///
/// # Errors
/// [`ProblemKind::Internal`] when it does not render.
pub(crate) fn html(template: &impl Template) -> Result<OwnReply, Problem> {
    html_with_status(200, template)
}

/// As [`html`], with another status.
///
/// # Errors
/// As [`html`].
///
/// # Security
/// Templates escape what HTML means something by. What steers a reader's eye instead (direction
/// overrides, invisible characters, controls) is made visible here, in the finished page, so that no
/// template can forget it.
pub(crate) fn html_with_status(status: u16, template: &impl Template) -> Result<OwnReply, Problem> {
    let page = template.render().map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a page did not render");
        Problem::new(ProblemKind::Internal, Layer::Network, "The page could not be made.")
    })?;
    Ok(OwnReply::new(status, HTML, visible(&page)))
}

/// What a script asked for.
///
/// # Errors
/// [`ProblemKind::Internal`] when it cannot be written as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<OwnReply, Problem> {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "an answer to a script could not be written"
        );
        Problem::new(ProblemKind::Internal, Layer::Network, "The answer could not be made.")
    })?;
    Ok(OwnReply::new(200, "application/json", body).with_header(CACHE_CONTROL, "no-store"))
}

/// The answer to a form that was done: `path` is read with GET (RFC 9110, section 15.4.4).
pub(crate) fn see_other(path: &str) -> OwnReply {
    OwnReply::new(303, HTML, Vec::new()).with_header(LOCATION, path)
}

/// As [`see_other`], and that page says what was done; `code` is one of [`flash`].
pub(crate) fn done(path: &str, code: &str) -> OwnReply {
    let separator = if path.contains('?') { '&' } else { '?' };
    see_other(&format!("{path}{separator}{}={code}", flash::PARAMETER))
}

/// `text` with every character that hides or reorders shown as its code point.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hazard(c) && !matches!(c, '\n' | '\t' | '\r') {
            // Writing to a String cannot fail.
            let _ = write!(shown, "[U+{:04X}]", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_seen() {
        assert_eq!(visible("a\u{202e}b\u{0}c\u{200b}\u{1b}[31m"), "a[U+202E]b[U+0000]c[U+200B][U+001B][31m");
        assert_eq!(visible("<p>\n\tÄ 漢 🙂</p>"), "<p>\n\tÄ 漢 🙂</p>");
    }

    #[test]
    fn a_done_form_leads_on() {
        let reply = done("/app/users?q=a", "locked");
        assert_eq!(reply.status, 303);
        assert_eq!(reply.headers[0].1, "/app/users?q=a&done=locked");
    }
}
