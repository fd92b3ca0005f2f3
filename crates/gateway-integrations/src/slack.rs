//! Slack: messages about approvals, and what people press below them.
//!
//! Start reading at [`Slack::post`] (outwards), [`SigningSecret::verify`] and [`Interaction::parse`] (inwards).
//!
//! # Security
//! Slack never approves. A button opens the gateway's own page, where the person signs in, gives a second factor and
//! decides; what arrives here says at most who looked. What others wrote is escaped before it enters a message.
//!
//! Source: <https://docs.slack.dev>, pages "Verifying requests from Slack", "block_actions payload", "Formatting message
//! text", "chat.postMessage", "chat.postEphemeral", "chat.update", "auth.test", "Using the Slack Events API".

mod channel;
mod client;
mod event;
mod interaction;
mod message;
mod signature;
#[cfg(test)]
mod tests;

pub use self::channel::{Channel, ChannelFault};
pub use self::client::{Bot, Posted, Slack};
pub use self::event::{Event, EventFault};
pub use self::interaction::{Act, Interaction, InteractionFault, MAX_BODY_BYTES, Pressed};
pub use self::message::{Message, Outcome, Requested, escape};
pub use self::signature::{MAX_AGE, SignatureFault, SigningSecret};

/// Where Slack's web API is.
pub const API: &str = "https://slack.com/api";
