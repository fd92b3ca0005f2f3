//! What somebody pressed, out of a request that [`super::SigningSecret::verify`] has let through.

use gateway_types::ApprovalId;
use serde::Deserialize;
use url::{Url, form_urlencoded};

/// The largest body that is read, in bytes. Slack's are some thousand.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// Which button.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// "Approve": leads to the page.
    Approve,
    /// "Reject": leads to the page.
    Reject,
    /// "Open": leads to the page.
    Open,
}

impl Act {
    /// The `action_id`.
    pub const fn id(self) -> &'static str {
        match self {
            Act::Approve => "approve",
            Act::Reject => "reject",
            Act::Open => "open",
        }
    }

    /// Where it leads: to the approval's page, with the decision chosen and nothing decided.
    pub fn on(self, page: &Url) -> Url {
        let mut page = page.clone();
        match self {
            Act::Approve | Act::Reject => {
                page.query_pairs_mut().append_pair("decision", self.id());
            }
            Act::Open => {}
        }
        page
    }

    fn of_id(id: &str) -> Option<Self> {
        [Act::Approve, Act::Reject, Act::Open].into_iter().find(|act| act.id() == id)
    }
}

/// A button of ours that was pressed.
///
/// # Security
/// The person is a Slack user, and that is no principal of the gateway: nothing may be decided on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pressed {
    /// Which button.
    pub act: Act,
    /// Of which approval.
    pub approval: ApprovalId,
    /// The workspace.
    pub team: String,
    /// Who, as Slack numbers them.
    pub user: String,
    /// Where the message is, to answer in its thread: channel and `ts`. `None` in places without.
    pub message: Option<(String, String)>,
}

/// What Slack told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Interaction {
    /// One of the gateway's buttons.
    Pressed(Pressed),
    /// Something else that this gateway's messages do not have; answer 200 and do nothing.
    Other,
}

/// Why a payload could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InteractionFault {
    /// Larger than any of Slack's.
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Not a form with exactly one `payload`.
    #[error("the body is not a form with one field named payload")]
    Form,
    /// The payload is not the JSON that Slack describes.
    #[error("the payload is not a block_actions document")]
    Payload,
    /// The button's value is not an approval.
    #[error("the button's value is not the id of an approval")]
    Approval,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct BlockActions {
    user: WithId,
    team: Option<WithId>,
    #[serde(default)]
    channel: Option<WithId>,
    #[serde(default)]
    container: Option<Container>,
    actions: Vec<ActionDocument>,
}

#[derive(Deserialize)]
struct WithId {
    id: String,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    message_ts: Option<String>,
}

#[derive(Deserialize)]
struct ActionDocument {
    action_id: String,
    #[serde(default)]
    value: Option<String>,
}

impl Interaction {
    /// Reads the body of a request to the interactivity address: `payload=JSON`, form-encoded.
    ///
    /// # Errors
    /// When it is not such a body.
    ///
    /// Source: "block_actions payload".
    pub fn parse(body: &[u8]) -> Result<Self, InteractionFault> {
        if body.len() > MAX_BODY_BYTES {
            return Err(InteractionFault::TooLarge);
        }
        let mut fields = form_urlencoded::parse(body);
        let (Some((name, payload)), None) = (fields.next(), fields.next()) else {
            return Err(InteractionFault::Form);
        };
        if name != "payload" {
            return Err(InteractionFault::Form);
        }
        let kind: Kind = serde_json::from_str(&payload).map_err(|_| InteractionFault::Payload)?;
        if kind.kind != "block_actions" {
            return Ok(Self::Other);
        }
        let document: BlockActions = serde_json::from_str(&payload).map_err(|_| InteractionFault::Payload)?;
        document.pressed()
    }
}

impl BlockActions {
    fn pressed(self) -> Result<Interaction, InteractionFault> {
        // One press is one action; of several none is taken for the one that was meant.
        let [action] = self.actions.as_slice() else { return Err(InteractionFault::Payload) };
        let Some(act) = Act::of_id(&action.action_id) else { return Ok(Interaction::Other) };
        let value = action.value.as_deref().ok_or(InteractionFault::Approval)?;
        let approval = value.parse().map_err(|_| InteractionFault::Approval)?;
        let timestamp = self.container.and_then(|container| container.message_ts);
        Ok(Interaction::Pressed(Pressed {
            act,
            approval,
            team: self.team.ok_or(InteractionFault::Payload)?.id,
            user: self.user.id,
            message: self.channel.map(|channel| channel.id).zip(timestamp),
        }))
    }
}
