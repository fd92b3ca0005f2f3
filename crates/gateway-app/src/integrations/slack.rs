//! Slack as this gateway tells it, and what it says: who pressed which button.
//!
//! # Security
//! Nothing that Slack says decides anything. Whoever presses a button gets the way to the approval's page, where the
//! gateway asks who they are and for their second factor.

use std::time::Duration;

use gateway_audit::bounded;
use gateway_config::SlackAccess;
use gateway_integrations::slack::{
    Event, EventFault, Interaction, InteractionFault, MAX_AGE, Message, Pressed, SignatureFault,
    SigningSecret, Slack,
};
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};
use url::Url;

use super::{SetupError, WayOut};
use crate::{App, approvals, problems};

/// How long the answer to a press may take: Slack gives a request three seconds.
const LIMIT: Duration = Duration::from_millis(2200);

/// Slack, with what shows that a request is its own.
#[derive(Debug)]
pub struct SlackDesk {
    client: Slack,
    secret: SigningSecret,
}

impl SlackDesk {
    pub(super) fn new(api: &Url, access: &SlackAccess) -> Result<Self, SetupError> {
        let client = Slack::new(api.clone(), access.bot_token.clone())?;
        Ok(Self { client, secret: SigningSecret::new(access.signing_secret.clone())? })
    }

    /// The workspace, as it is told.
    pub fn client(&self) -> &Slack {
        &self.client
    }
}

/// A request that claims to be Slack's.
#[derive(Clone, Copy, Debug)]
pub struct Claimed<'r> {
    /// `X-Slack-Request-Timestamp`, where it stands exactly once.
    pub timestamp: Option<&'r str>,
    /// `X-Slack-Signature`, where it stands exactly once.
    pub signature: Option<&'r str>,
    /// Whether the body is a form, which interactions are; else it is JSON.
    pub is_form: bool,
    /// The body as it came.
    pub body: &'r [u8],
}

/// What is answered to Slack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The challenge is given back.
    Challenge(String),
    /// It was taken, and there is nothing to say.
    Taken,
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotSlacks {
    /// Nobody gave the gateway a signing secret.
    #[error("this gateway has no Slack app, so no request is one's")]
    Off,
    /// A header is missing, or stands twice.
    #[error("X-Slack-Request-Timestamp and X-Slack-Signature must each stand once")]
    Headers,
    /// The signature does not show it.
    #[error(transparent)]
    Signature(#[from] SignatureFault),
    /// It was taken before.
    #[error("this request was taken before")]
    Replayed,
    /// It is Slack's and cannot be read.
    #[error(transparent)]
    Event(#[from] EventFault),
    /// It is Slack's and cannot be read.
    #[error(transparent)]
    Interaction(#[from] InteractionFault),
    /// The store cannot be asked whether it was taken before, so it is not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotSlacks> for Problem {
    fn from(error: NotSlacks) -> Self {
        let (kind, layer) = match error {
            NotSlacks::Store(error) => return problems::of_store(&error),
            NotSlacks::Off | NotSlacks::Headers | NotSlacks::Signature(_) | NotSlacks::Replayed => {
                (ProblemKind::Unauthenticated, Layer::Authentication)
            }
            NotSlacks::Event(EventFault::TooLarge) | NotSlacks::Interaction(InteractionFault::TooLarge) => {
                (ProblemKind::TooLarge, Layer::Network)
            }
            NotSlacks::Event(EventFault::Form)
            | NotSlacks::Interaction(
                InteractionFault::Form | InteractionFault::Payload | InteractionFault::Approval,
            ) => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}

/// Takes a request of Slack's, once. Whoever pressed a button is shown the way to the page; that this fails is logged
/// and not Slack's business.
///
/// # Errors
/// [`NotSlacks`]; then nothing was done.
pub async fn hear(app: &App, claimed: Claimed<'_>) -> Result<Heard, NotSlacks> {
    let desk = app.integrations.slack().ok_or(NotSlacks::Off)?;
    let (Some(timestamp), Some(signature)) = (claimed.timestamp, claimed.signature) else {
        return Err(NotSlacks::Headers);
    };
    let now = app.clock.now();
    desk.secret.verify(timestamp, signature, claimed.body, now)?;
    // The digits of a signature can be written in two ways; it is the same one.
    let signature = signature.to_ascii_lowercase();
    // A request may be as far ahead of this clock as behind it, so it stays good for twice that.
    // Seconds are compared whole, so that the last one counts to its end.
    let expires = now.saturating_add(MAX_AGE.saturating_mul(2).saturating_add(Duration::from_secs(1)));
    if !app.store.slack().take_request(&format!("{timestamp}:{signature}"), expires).await? {
        return Err(NotSlacks::Replayed);
    }
    if !claimed.is_form {
        return Ok(match Event::parse(claimed.body)? {
            Event::Verification { challenge } => Heard::Challenge(challenge),
            Event::Other => Heard::Taken,
        });
    }
    if let Interaction::Pressed(pressed) = Interaction::parse(claimed.body)? {
        match tokio::time::timeout(LIMIT, answer(app, &desk, &pressed)).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                tracing::warn!(fault, "whoever pressed a button at Slack was not shown the way");
            }
            Err(_elapsed) => {
                tracing::warn!("Slack did not take the answer to whoever pressed a button in time");
            }
        }
    }
    Ok(Heard::Taken)
}

/// Shows whoever pressed the way to the page, which decides nothing either before it was confirmed there.
async fn answer(app: &App, desk: &SlackDesk, pressed: &Pressed) -> Result<(), String> {
    let Some((channel, _ts)) = &pressed.message else { return Ok(()) };
    let page = approvals::reports::page(app, pressed.approval)
        .ok_or_else(|| "the gateway's public name is not known: set DOMAIN".to_owned())?;
    let state = approvals::state(app, pressed.approval).await.map_err(|error| error.to_string())?;
    let message = match state {
        None => Message::note("This gateway has no such approval any more."),
        Some(state) if state.is_open() => {
            let text = "Nothing is decided here. The gateway's page asks for your second factor.";
            Message::way(text, "Go on", &pressed.act.on(&page))
        }
        Some(state) => Message::way(&format!("It is {state} by now."), "Open", &page),
    };
    let told = desk.client.whisper(&WayOut(&*app.fetch), channel, &pressed.user, &message).await;
    told.map_err(|failure| bounded(&failure.to_string()))
}
