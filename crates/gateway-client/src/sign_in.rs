//! Signing a command line in: the loopback redirect (RFC 8252 with PKCE, RFC 7636) and the device
//! code (RFC 8628). Ports, browsers and waiting are the caller's business.

mod pkce;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use gateway_types::{Entropy, Secret};
use http::Method;
use serde::{Deserialize, Deserializer};
use url::Url;

pub use pkce::Pkce;

use crate::client::Client;
use crate::error::ClientError;
use crate::text::one_line;
use crate::transport::{Body, Call, Credential};

/// The name of this client at the gateway.
pub const CLIENT_ID: &str = "rack-gateway-cli";

const EXCHANGE_GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How long to wait between two questions when the gateway does not say (RFC 8628, section 3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

/// A sign-in through a browser, begun here: what makes its answer recognisable and useless to others.
#[derive(Debug)]
pub struct LoopbackSignIn {
    pkce: Pkce,
    state: String,
    redirect_uri: String,
}

/// A session that was just given.
#[derive(Debug, Deserialize)]
pub struct SignedIn {
    /// The session's token.
    #[serde(deserialize_with = "secret")]
    pub access_token: Secret<String>,
    /// How long it lives at most, in seconds.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// Which gateway gave it.
    pub gateway_id: String,
    /// Whose it is.
    pub email: String,
}

/// A short token of a machine that was just given.
#[derive(Debug, Deserialize)]
pub struct Exchanged {
    /// The token.
    #[serde(deserialize_with = "secret")]
    pub access_token: Secret<String>,
    /// How long it lives, in seconds.
    pub expires_in: u64,
    /// Which gateway gave it.
    pub gateway_id: String,
    /// The trust rule that it is of.
    pub rule: String,
}

/// A sign-in on another device, begun here.
#[derive(Debug, Deserialize)]
pub struct DeviceSignIn {
    /// What the gateway is asked with.
    #[serde(deserialize_with = "secret")]
    device_code: Secret<String>,
    /// What the person types or compares.
    pub user_code: String,
    /// Where the person goes.
    pub verification_uri: String,
    /// The same with the code in it.
    #[serde(default)]
    pub verification_uri_complete: Option<String>,
    /// How long the code is good, in seconds.
    pub expires_in: u64,
    /// How long to wait between two questions, in seconds.
    #[serde(default)]
    interval: Option<u64>,
}

/// What the gateway says while it waits for the person.
#[derive(Debug)]
pub enum DeviceAnswer {
    /// The person has not answered.
    Pending,
    /// It was asked too often: five seconds more between two questions from now on.
    SlowDown,
    /// The person agreed.
    SignedIn(Box<SignedIn>),
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The person, or the gateway for them, said no.
    #[error("the sign-in was refused")]
    Denied,
    /// The code ran out before the person answered.
    #[error("the code ran out before it was confirmed")]
    Expired,
    /// The gateway does not take what it was sent.
    #[error("the gateway did not take the sign-in: {description} ({error})")]
    Protocol {
        /// RFC 6749, section 5.2.
        error: String,
        /// In words; the server's.
        description: String,
    },
    /// There was no usable answer.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct TokenFault {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl LoopbackSignIn {
    /// Begins one that will end at `redirect_uri`, which must be bound already.
    pub fn begin(redirect_uri: String, entropy: &dyn Entropy) -> Self {
        Self { pkce: Pkce::generate(entropy), state: pkce::random(entropy).expose().clone(), redirect_uri }
    }

    /// What the answer must carry as `state`.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The page that the person's browser shows. Nothing in it is a credential.
    pub fn page(&self, client: &Client, device: &str) -> Url {
        let mut url = client.address().at(&["auth", "login"]);
        url.query_pairs_mut().extend_pairs([
            ("client", "cli"),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_challenge", self.pkce.challenge().as_str()),
            ("code_challenge_method", "S256"),
            ("state", self.state.as_str()),
            ("device", device),
        ]);
        url
    }
}

impl DeviceSignIn {
    /// How long to wait between two questions.
    pub fn interval(&self) -> Duration {
        self.interval.map_or(DEFAULT_INTERVAL, |seconds| Duration::from_secs(seconds.clamp(1, 60)))
    }

    /// How long the code is good, at most an hour.
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.expires_in.min(3600))
    }
}

impl Client {
    /// Exchanges the one-use code of a loopback sign-in for a session.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn exchange_code(
        &self,
        sign_in: &LoopbackSignIn,
        code: &Secret<String>,
    ) -> Result<SignedIn, SignInError> {
        let form = form(&[
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &sign_in.redirect_uri),
            ("code_verifier", sign_in.pkce.verifier().expose()),
            ("client_id", CLIENT_ID),
        ]);
        self.token(form).await
    }

    /// Exchanges a token of a CI system for a short one of the gateway (RFC 8693), by the trust rule `rule` or by
    /// the only one that takes it.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn exchange_token(
        &self,
        token: &Secret<String>,
        rule: Option<&str>,
    ) -> Result<Exchanged, SignInError> {
        let mut fields = vec![
            ("grant_type", EXCHANGE_GRANT),
            ("subject_token", token.expose().as_str()),
            ("subject_token_type", JWT_TYPE),
        ];
        fields.extend(rule.map(|rule| ("rule", rule)));
        let body = self.oauth("token", form(&fields)).await?;
        Ok(self.transport.document(&body)?)
    }

    /// Begins a sign-in on another device.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn begin_device(&self, device: &str) -> Result<DeviceSignIn, SignInError> {
        let body = self.oauth("device", form(&[("client_id", CLIENT_ID), ("device", device)])).await?;
        Ok(self.transport.document(&body)?)
    }

    /// Asks once whether the person has answered.
    ///
    /// # Errors
    /// [`SignInError`]; [`SignInError::Denied`] and [`SignInError::Expired`] end the wait.
    pub async fn poll_device(&self, sign_in: &DeviceSignIn) -> Result<DeviceAnswer, SignInError> {
        let form = form(&[
            ("grant_type", DEVICE_GRANT),
            ("device_code", sign_in.device_code.expose()),
            ("client_id", CLIENT_ID),
        ]);
        match self.token(form).await {
            Ok(signed_in) => Ok(DeviceAnswer::SignedIn(Box::new(signed_in))),
            Err(SignInError::Protocol { error, .. }) if error == "authorization_pending" => {
                Ok(DeviceAnswer::Pending)
            }
            Err(SignInError::Protocol { error, .. }) if error == "slow_down" => Ok(DeviceAnswer::SlowDown),
            Err(error) => Err(error),
        }
    }

    async fn token(&self, form: String) -> Result<SignedIn, SignInError> {
        let body = self.oauth("token", form).await?;
        Ok(self.transport.document(&body)?)
    }

    /// One request to an OAuth endpoint, which never carries a credential.
    async fn oauth(&self, endpoint: &str, form: String) -> Result<Bytes, SignInError> {
        let mut call = Call::new(Method::POST, self.address().at(&["auth", endpoint]));
        call.body = Body::Form(form);
        call.credential = Credential::Never;
        let (status, headers, body) = self.transport.raw(call).await?;
        let fault =
            (!status.is_success()).then(|| serde_json::from_slice::<TokenFault>(&body).ok()).flatten();
        match fault {
            Some(fault) => Err(fault.into()),
            None => Ok(self.transport.judge(status, &headers, body)?.body),
        }
    }
}

impl From<TokenFault> for SignInError {
    fn from(fault: TokenFault) -> Self {
        match fault.error.as_str() {
            "access_denied" => SignInError::Denied,
            "expired_token" => SignInError::Expired,
            _ => SignInError::Protocol {
                error: one_line(&fault.error),
                description: one_line(&fault.error_description),
            },
        }
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}
