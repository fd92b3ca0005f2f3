//! What Slack tells of its own accord, out of a request that [`super::SigningSecret::verify`] has let through.

use serde::Deserialize;

use super::interaction::MAX_BODY_BYTES;

/// The longest challenge that is given back. Slack's have some fifty characters.
const CHALLENGE_CHARACTERS: usize = 500;

/// What Slack told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Slack asks whether this is the right address; the challenge is to be given back.
    Verification {
        /// The challenge.
        challenge: String,
    },
    /// Something that this gateway has no use for; answer 200 and do nothing.
    Other,
}

/// Why an event could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EventFault {
    /// Larger than any of Slack's.
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Not the JSON that Slack describes.
    #[error("the body is not an event")]
    Form,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    challenge: Option<String>,
}

impl Event {
    /// Reads the body of a request to the address for events: JSON.
    ///
    /// # Errors
    /// When it is not such a body.
    ///
    /// Source: "Using the Slack Events API", section "Request URL configuration & verification".
    pub fn parse(body: &[u8]) -> Result<Self, EventFault> {
        if body.len() > MAX_BODY_BYTES {
            return Err(EventFault::TooLarge);
        }
        let document: Document = serde_json::from_slice(body).map_err(|_| EventFault::Form)?;
        match (document.kind.as_str(), document.challenge) {
            ("url_verification", Some(challenge)) if challenge.chars().count() <= CHALLENGE_CHARACTERS => {
                Ok(Self::Verification { challenge })
            }
            ("url_verification", Some(_) | None) => Err(EventFault::Form),
            (_, Some(_) | None) => Ok(Self::Other),
        }
    }
}
