//! Messages about an approval. They lead to the gateway's page; none of their buttons decides anything.

use std::fmt;

use gateway_types::ApprovalId;
use serde_json::{Value, json};
use url::Url;

use super::interaction::Act;

/// The longest value that is shown of what others wrote. A block holds 3000 characters, and there are at most ten values.
const VALUE_CHARACTERS: usize = 250;

/// An approval that is asked for. Everything but the id and the page is what others wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requested<'a> {
    /// The approval.
    pub approval: ApprovalId,
    /// The gateway's page of it.
    pub page: &'a Url,
    /// The rack's name.
    pub rack: &'a str,
    /// The app.
    pub app: &'a str,
    /// The commit, in full.
    pub commit: &'a str,
    /// The branch, where one was named.
    pub branch: Option<&'a str>,
    /// Who asks.
    pub requester: &'a str,
    /// What for.
    pub message: &'a str,
    /// The pull request's page.
    pub pull_request: Option<&'a Url>,
    /// The CI job's page.
    pub ci: Option<&'a Url>,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome<'a> {
    /// Approved by this person.
    Approved(&'a str),
    /// Rejected by this person.
    Rejected(&'a str),
    /// Nobody decided in time.
    Expired,
    /// Who asked took it back.
    Withdrawn,
    /// It is being deployed.
    Deploying,
    /// It was deployed.
    Deployed,
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Approved(by) => write!(f, "Approved by {by}"),
            Outcome::Rejected(by) => write!(f, "Rejected by {by}"),
            Outcome::Expired => f.write_str("Expired"),
            Outcome::Withdrawn => f.write_str("Withdrawn"),
            Outcome::Deploying => f.write_str("Being deployed"),
            Outcome::Deployed => f.write_str("Deployed"),
        }
    }
}

/// Text and blocks of a message, without its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    pub(super) text: String,
    pub(super) blocks: Vec<Value>,
}

impl Message {
    /// Asks for a decision: who, what, and buttons that open the page.
    pub fn requested(requested: &Requested<'_>) -> Self {
        let headline = format!("Approval requested: {} on {}", value(requested.app), value(requested.rack));
        let buttons = json!({
            "type": "actions",
            "elements": [
                button(requested, Act::Approve, "Approve…", Some("primary")),
                button(requested, Act::Reject, "Reject…", Some("danger")),
                button(requested, Act::Open, "Open", None),
            ],
        });
        let note =
            "Buttons open the gateway, which asks for your second factor. Nothing is decided in Slack.";
        let note = json!({"type": "context", "elements": [{"type": "plain_text", "text": note}]});
        let blocks = vec![section(&format!("*{headline}*")), section(&details(requested)), buttons, note];
        Self { text: headline, blocks }
    }

    /// The same message after the decision: without buttons that decide, with what became of it.
    pub fn decided(requested: &Requested<'_>, outcome: Outcome<'_>) -> Self {
        let said = value(&outcome.to_string());
        let headline = format!("{said}: {} on {}", value(requested.app), value(requested.rack));
        let buttons = json!({"type": "actions", "elements": [button(requested, Act::Open, "Open", None)]});
        let blocks = vec![section(&format!("*{headline}*")), section(&details(requested)), buttons];
        Self { text: headline, blocks }
    }

    /// A line for the thread of a message.
    pub fn note(text: &str) -> Self {
        let text = value(text);
        Self { blocks: vec![section(&text)], text }
    }

    /// A line with a button that opens a page of the gateway's.
    pub fn way(text: &str, label: &str, page: &Url) -> Self {
        let text = value(text);
        let button = json!({
            "type": "button", "url": page.as_str(), "text": {"type": "plain_text", "text": label},
        });
        let blocks = vec![section(&text), json!({"type": "actions", "elements": [button]})];
        Self { text, blocks }
    }
}

fn details(requested: &Requested<'_>) -> String {
    let mut lines = vec![format!("*Commit* {}", value(requested.commit))];
    if let Some(branch) = requested.branch {
        lines.push(format!("*Branch* {}", value(branch)));
    }
    lines.push(format!("*By* {}", value(requested.requester)));
    if !requested.message.is_empty() {
        lines.push(format!("*Message* {}", value(requested.message)));
    }
    let links = [("Pull request", requested.pull_request), ("CI job", requested.ci)];
    lines.extend(links.into_iter().filter_map(|(label, url)| link(label, url?)));
    lines.join("\n")
}

/// A link in mark-up. Its address came from a CI job: other schemes than http(s) are left out, and what could end the
/// link early (`>`, `|`) is encoded.
fn link(label: &str, url: &Url) -> Option<String> {
    let address = escape(url.as_str()).replace('|', "%7C");
    // A cut address would lead elsewhere.
    let is_good = matches!(url.scheme(), "https" | "http") && address.len() <= 500;
    is_good.then(|| format!("<{address}|{label}>"))
}

fn section(text: &str) -> Value {
    // Verbatim: Slack makes no links and no mentions out of what looks like them.
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}})
}

/// A button that opens the page. Slack also tells the gateway that it was pressed.
fn button(requested: &Requested<'_>, act: Act, label: &str, style: Option<&str>) -> Value {
    let page = act.on(requested.page);
    let mut button = json!({
        "type": "button",
        "action_id": act.id(),
        "value": requested.approval.to_string(),
        "url": page.as_str(),
        "text": {"type": "plain_text", "text": label},
    });
    if let (Some(style), Some(fields)) = (style, button.as_object_mut()) {
        fields.insert("style".to_owned(), style.into());
    }
    button
}

/// What others wrote: one line, not long, escaped, and without the marks of bold, italic, strike and code.
fn value(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = line
        .chars()
        .filter(|symbol| !symbol.is_control() && !matches!(symbol, '*' | '~' | '`'))
        .take(VALUE_CHARACTERS)
        .collect();
    escape(&shown)
}

/// Slack's three special characters.
///
/// # Security
/// `<` begins links and mentions (`<!channel>`); escaped, nothing that others wrote can be one.
///
/// Source: "Formatting message text", section "Escaping text".
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
