//! Sending messages and changing them.

use gateway_types::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::channel::Channel;
use super::message::Message;
use crate::http::{CallFault, Credential, Endpoint, EndpointFault, Failure, Http};

/// The longest of Slack's error codes that is repeated.
const CODE_CHARACTERS: usize = 60;

const NO_REASON: &str = "no reason given";

/// A workspace, with an app's bot token (scope `chat:write`).
#[derive(Clone, Debug)]
pub struct Slack {
    endpoint: Endpoint,
}

/// Where a message is, to change it or to answer in its thread. To be kept with the approval.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Posted {
    /// The channel's id.
    pub channel: String,
    /// The message's id in it.
    pub ts: String,
}

/// As whom Slack knows the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bot {
    /// The bot's name.
    pub user: String,
    /// The workspace's name.
    pub team: String,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Known {
    ok: bool,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    team: Option<String>,
}

#[derive(Deserialize)]
struct Taken {
    ok: bool,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    ts: Option<String>,
}

impl Slack {
    /// `api` is [`super::API`].
    ///
    /// # Errors
    /// When the address is not https (plain http is for loopback), or the token cannot be sent.
    pub fn new(api: Url, token: Secret<String>) -> Result<Self, EndpointFault> {
        Endpoint::new(api, token, Credential::Bearer, &[]).map(|endpoint| Self { endpoint })
    }

    /// Sends a message (`chat.postMessage`). Not idempotent: after a lost answer a second try sends it twice.
    ///
    /// # Errors
    /// When Slack does not take it; [`Failure::retry`] says whether to try again.
    pub async fn post(
        &self,
        http: &dyn Http,
        channel: &Channel,
        message: &Message,
    ) -> Result<Posted, Failure> {
        self.send(http, "chat.postMessage", message, json!({"channel": channel.as_str()})).await
    }

    /// Answers in a message's thread (`chat.postMessage` with `thread_ts`).
    ///
    /// # Errors
    /// When Slack does not take it; [`Failure::retry`] says whether to try again.
    pub async fn reply(&self, http: &dyn Http, to: &Posted, message: &Message) -> Result<Posted, Failure> {
        let place = json!({"channel": to.channel, "thread_ts": to.ts});
        self.send(http, "chat.postMessage", message, place).await
    }

    /// Puts another text in a message's place (`chat.update`).
    ///
    /// # Errors
    /// When Slack does not take it; [`Failure::retry`] says whether to try again.
    pub async fn update(&self, http: &dyn Http, at: &Posted, message: &Message) -> Result<Posted, Failure> {
        self.send(http, "chat.update", message, json!({"channel": at.channel, "ts": at.ts})).await
    }

    /// Shows a person in a channel a message that nobody else sees (`chat.postEphemeral`).
    ///
    /// # Errors
    /// When Slack does not take it; [`Failure::retry`] says whether to try again.
    pub async fn whisper(
        &self,
        http: &dyn Http,
        channel: &str,
        user: &str,
        message: &Message,
    ) -> Result<(), Failure> {
        let method = "chat.postEphemeral";
        let body = json!({
            "channel": channel, "user": user, "text": message.text, "blocks": message.blocks, "parse": "none",
            "link_names": false,
        });
        let taken: Taken = self.endpoint.post(http, self.endpoint.at(&[method]), &body).await?.document()?;
        match taken.ok {
            true => Ok(()),
            false => Err(self.refused(method, taken.error.as_deref().unwrap_or(NO_REASON))),
        }
    }

    /// As whom Slack knows the token (`auth.test`).
    ///
    /// # Errors
    /// When Slack does not take the token, or cannot be asked.
    pub async fn who(&self, http: &dyn Http) -> Result<Bot, Failure> {
        let method = "auth.test";
        let known: Known =
            self.endpoint.post(http, self.endpoint.at(&[method]), &Nothing {}).await?.document()?;
        match (known.ok, known.user, known.team) {
            (true, Some(user), Some(team)) => Ok(Bot { user, team }),
            (true, Some(_) | None, Some(_) | None) => {
                Err(self.refused(method, "no user and team in the answer"))
            }
            (false, Some(_) | None, Some(_) | None) => {
                Err(self.refused(method, known.error.as_deref().unwrap_or(NO_REASON)))
            }
        }
    }

    async fn send(
        &self,
        http: &dyn Http,
        method: &'static str,
        message: &Message,
        mut body: Value,
    ) -> Result<Posted, Failure> {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("text".to_owned(), message.text.clone().into());
            fields.insert("blocks".to_owned(), message.blocks.clone().into());
            fields.insert("parse".to_owned(), "none".into());
            fields.insert("link_names".to_owned(), false.into());
            if method == "chat.postMessage" {
                fields.insert("unfurl_links".to_owned(), false.into());
                fields.insert("unfurl_media".to_owned(), false.into());
            }
        }
        let reply: Reply = self.endpoint.post(http, self.endpoint.at(&[method]), &body).await?.document()?;
        match (reply.ok, reply.channel, reply.ts) {
            (true, Some(channel), Some(ts)) => Ok(Posted { channel, ts }),
            (true, Some(_) | None, Some(_) | None) => {
                Err(self.refused(method, "no channel and ts in the answer"))
            }
            (false, Some(_) | None, Some(_) | None) => {
                Err(self.refused(method, reply.error.as_deref().unwrap_or(NO_REASON)))
            }
        }
    }

    fn refused(&self, method: &str, code: &str) -> Failure {
        let retry = matches!(
            code,
            "ratelimited"
                | "rate_limited"
                | "internal_error"
                | "fatal_error"
                | "service_unavailable"
                | "request_timeout"
        );
        let code: String = code.chars().filter(|symbol| !symbol.is_control()).take(CODE_CHARACTERS).collect();
        CallFault::Refused { host: self.endpoint.host(), path: format!("/{method}"), code, retry }.into()
    }
}
