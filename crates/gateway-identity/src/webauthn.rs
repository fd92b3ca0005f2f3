//! Passkeys and security keys: enrolling one, and checking that one answered a challenge.
//!
//! A ceremony begins with options for the browser and with a state that the server keeps; it ends with the
//! browser's answer and that state. That a challenge is good once, for how long, for whom and for what, is
//! the store's and the application's to hold. Challenges come from `webauthn-rs`' own random numbers.
//!
//! # Security
//! User verification (a PIN, a finger, a face) is required, both when a key is enrolled and each time it
//! answers. Which relying party and origin an answer must name is kept with the state, never taken from the
//! answer.
//!
//! Source: W3C Web Authentication, level 2, sections 7.1 and 7.2.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::digest;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use gateway_approvals::proof::{Proof, PublicKey};
use gateway_approvals::statement;
use gateway_types::{Secret, UserId};
use serde::{Deserialize, Serialize};
use url::Url;
use webauthn_rs::prelude::{
    COSEKeyType, Credential, ECDSACurve, EDDSACurve, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Webauthn, WebauthnBuilder, WebauthnError,
};

#[cfg(test)]
mod tests;

/// How long a ceremony may take.
pub const CEREMONY_TIME: Duration = Duration::from_secs(5 * 60);

/// The longest answer of a browser, in bytes of JSON.
const LONGEST_ANSWER: usize = 16 * 1024;

/// Who a passkey shows to be for.
const NAME: &str = "Rack Gateway";

/// Why a ceremony was not begun or not ended.
#[derive(Debug, thiserror::Error)]
pub enum WebauthnFault {
    /// Passkeys are for names, not for addresses.
    #[error(
        "passkeys need a name, not an address such as {origin}: open the gateway at its name, on this machine http://localhost"
    )]
    NoName {
        /// The origin.
        origin: String,
    },
    /// The text is no answer of a browser.
    #[error("that is no answer of a passkey")]
    Unreadable,
    /// What was kept cannot be read.
    #[error("what was kept of this passkey cannot be read")]
    Kept(#[source] serde_json::Error),
    /// The key did not check who holds it.
    #[error("the passkey did not check that it is you: it must ask for a PIN, a finger or a face")]
    NotVerified,
    /// The key's counter did not go up.
    #[error(
        "the passkey's counter went back, so there may be a copy of it; it was not accepted. Remove it and enrol another"
    )]
    CounterWentBack,
    /// Anything else that is not right about the answer.
    #[error("the passkey's answer is not right: it is of another key, another page or another challenge")]
    Refused(#[source] WebauthnError),
}

impl WebauthnFault {
    fn of(error: WebauthnError) -> Self {
        match error {
            WebauthnError::UserNotVerified => Self::NotVerified,
            WebauthnError::CredentialPossibleCompromise => Self::CounterWentBack,
            other => Self::Refused(other),
        }
    }
}

/// A key as it is kept: what is needed to check its answers. It holds no secret.
#[derive(Clone, Debug)]
pub struct Passkey(webauthn_rs::prelude::Passkey);

impl Passkey {
    /// The one kept as these bytes.
    ///
    /// # Errors
    /// [`WebauthnFault::Kept`].
    pub fn from_bytes(bytes: &Secret<Vec<u8>>) -> Result<Self, WebauthnFault> {
        serde_json::from_slice(bytes.expose()).map(Self).map_err(WebauthnFault::Kept)
    }

    /// The bytes to be kept.
    ///
    /// # Errors
    /// [`WebauthnFault::Kept`].
    pub fn to_bytes(&self) -> Result<Secret<Vec<u8>>, WebauthnFault> {
        serde_json::to_vec(&self.0).map(Secret::new).map_err(WebauthnFault::Kept)
    }

    /// The id that the key gave itself, in base64url.
    pub fn id(&self) -> String {
        BASE64URL_NOPAD.encode(self.0.cred_id())
    }

    /// What anybody can check its signatures with; `None` for a kind of key that nobody here knows.
    fn public_key(&self) -> Option<PublicKey> {
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        match Credential::from(self.0.clone()).cred.key {
            COSEKeyType::EC_EC2(key) => {
                let crv = match key.curve {
                    ECDSACurve::SECP256R1 => "P-256",
                    ECDSACurve::SECP384R1 => "P-384",
                    ECDSACurve::SECP521R1 => return None,
                };
                Some(PublicKey::Ec { crv: crv.to_owned(), x: encode(&key.x), y: encode(&key.y) })
            }
            COSEKeyType::EC_OKP(key) => match key.curve {
                EDDSACurve::ED25519 => Some(PublicKey::Okp { crv: "Ed25519".to_owned(), x: encode(&key.x) }),
                EDDSACurve::ED448 => None,
            },
            COSEKeyType::RSA(key) => Some(PublicKey::Rsa { n: encode(&key.n), e: encode(&key.e) }),
        }
    }

    /// How often it answered, as it says; many keys always say 0.
    pub fn counter(&self) -> i64 {
        i64::from(Credential::from(self.0.clone()).counter)
    }
}

/// A ceremony that was begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// What the browser's `navigator.credentials` takes, as JSON with byte strings in base64url.
    pub options: String,
    /// What the server keeps until the answer.
    pub state: String,
    /// SHA-256 of the challenge, in hexadecimal: what the answer is found by.
    pub challenge: String,
}

/// What is kept of a ceremony.
#[derive(Serialize, Deserialize)]
struct Kept<S> {
    rp_id: String,
    origin: String,
    state: S,
    /// The statement whose digest is the challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
}

/// This gateway, as keys know it: by the name of its host.
#[derive(Debug)]
pub struct RelyingParty {
    id: String,
    origin: String,
    inner: Webauthn,
}

impl RelyingParty {
    /// The one whose pages are at `origin`; keys are good at the host `id` and below.
    ///
    /// # Errors
    /// [`WebauthnFault::NoName`] when the origin is not of that host, or has an address for a host.
    pub fn new(id: &str, origin: &str) -> Result<Self, WebauthnFault> {
        let no_name = || WebauthnFault::NoName { origin: origin.to_owned() };
        let url = Url::parse(origin).map_err(|_bad| no_name())?;
        let builder = WebauthnBuilder::new(id, &url).map_err(|_bad| no_name())?;
        let built = builder.rp_name(NAME).timeout(CEREMONY_TIME).build();
        let inner = built.map_err(|_bad| no_name())?;
        Ok(Self { id: id.to_owned(), origin: origin.to_owned(), inner })
    }

    /// Begins to enrol a key of this person, who has these already.
    ///
    /// # Errors
    /// [`WebauthnFault`], when the library cannot make one.
    pub fn begin_enrolment(
        &self,
        user: UserId,
        account: &str,
        known: &[Passkey],
    ) -> Result<Begun, WebauthnFault> {
        let exclude = known.iter().map(|key| key.0.cred_id().clone()).collect();
        let (options, state) = self
            .inner
            .start_passkey_registration(user.uuid(), account, account, Some(exclude))
            .map_err(WebauthnFault::of)?;
        self.begun(&options, &options.public_key.challenge, state, None)
    }

    /// Begins to ask one of these keys.
    ///
    /// # Errors
    /// [`WebauthnFault`], when there are none.
    pub fn begin_assertion(&self, keys: &[Passkey]) -> Result<Begun, WebauthnFault> {
        let keys: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
        let (options, state) = self.inner.start_passkey_authentication(&keys).map_err(WebauthnFault::of)?;
        self.begun(&options, &options.public_key.challenge, state, None)
    }

    /// Begins to ask one of these keys to sign a statement: its digest takes the place of the challenge. The
    /// statement holds 128 random bits, so that no two are the same.
    ///
    /// The library takes no challenge of ours, so the one in its state is replaced (ADR 0011).
    ///
    /// # Errors
    /// [`WebauthnFault`], when there are none.
    pub fn begin_signature(&self, keys: &[Passkey], statement: String) -> Result<Begun, WebauthnFault> {
        let keys: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
        let (mut options, state) =
            self.inner.start_passkey_authentication(&keys).map_err(WebauthnFault::of)?;
        let challenge = statement::challenge(&statement);
        options.public_key.challenge = challenge.to_vec();
        let mut state = serde_json::to_value(state).map_err(WebauthnFault::Kept)?;
        let place = state.pointer_mut("/ast/challenge").ok_or(WebauthnFault::Unreadable)?;
        *place = serde_json::Value::String(BASE64URL_NOPAD.encode(&challenge));
        // It is read once more here, so that a state of another form is found out now and not with the answer.
        let state: PasskeyAuthentication = serde_json::from_value(state).map_err(WebauthnFault::Kept)?;
        self.begun(&options, &challenge, state, Some(statement))
    }

    fn begun<S: Serialize>(
        &self,
        options: &impl Serialize,
        challenge: &[u8],
        state: S,
        statement: Option<String>,
    ) -> Result<Begun, WebauthnFault> {
        let kept = Kept { rp_id: self.id.clone(), origin: self.origin.clone(), state, statement };
        Ok(Begun {
            options: serde_json::to_string(options).map_err(WebauthnFault::Kept)?,
            state: serde_json::to_string(&kept).map_err(WebauthnFault::Kept)?,
            challenge: sha256_hex(challenge),
        })
    }
}

/// Ends an enrolment that was begun with this state.
///
/// # Errors
/// [`WebauthnFault`].
pub fn finish_enrolment(state: &str, answer: &Attestation) -> Result<Passkey, WebauthnFault> {
    let kept: Kept<PasskeyRegistration> = serde_json::from_str(state).map_err(WebauthnFault::Kept)?;
    let party = RelyingParty::new(&kept.rp_id, &kept.origin)?;
    let key = party.inner.finish_passkey_registration(&answer.credential, &kept.state);
    key.map(Passkey).map_err(WebauthnFault::of)
}

/// A key that answered.
#[derive(Clone, Debug)]
pub struct Asserted {
    /// Which, in base64url.
    pub id: String,
    /// Its counter now.
    pub counter: i64,
    /// The statement that it was asked to sign, and the host that it was asked at.
    signed: Option<(String, String)>,
    answer: webauthn_rs::prelude::AuthenticationResult,
}

impl Asserted {
    /// The statement that the key signed, when it was asked to sign one, with what shows it to others.
    pub fn signature(&self, answer: &Assertion, key: &Passkey) -> Option<(String, Proof)> {
        let (statement, rp_id) = self.signed.clone()?;
        let response = &answer.credential.response;
        let proof = Proof {
            credential: self.id.clone(),
            key: key.public_key()?,
            rp_id,
            authenticator_data: BASE64URL_NOPAD.encode(&response.authenticator_data),
            client_data: BASE64URL_NOPAD.encode(&response.client_data_json),
            signature: BASE64URL_NOPAD.encode(&response.signature),
        };
        proof.verify(&statement).ok()?;
        Some((statement, proof))
    }

    /// What is to be kept of the key from now on.
    pub fn update(&self, key: &mut Passkey) {
        // `None` is another key, `Some(false)` one that is as it was.
        key.0.update_credential(&self.answer);
    }
}

/// Checks an answer to the challenge that was begun with this state.
///
/// # Errors
/// [`WebauthnFault`]; [`WebauthnFault::CounterWentBack`] against the counter of the moment the ceremony was
/// begun: whoever keeps the key compares with the newest one.
pub fn finish_assertion(state: &str, answer: &Assertion) -> Result<Asserted, WebauthnFault> {
    let kept: Kept<PasskeyAuthentication> = serde_json::from_str(state).map_err(WebauthnFault::Kept)?;
    let party = RelyingParty::new(&kept.rp_id, &kept.origin)?;
    let checked = party.inner.finish_passkey_authentication(&answer.credential, &kept.state);
    let checked = checked.map_err(WebauthnFault::of)?;
    // The library refuses an answer without it; an operator's key is worth a second look.
    if !checked.user_verified() {
        return Err(WebauthnFault::NotVerified);
    }
    Ok(Asserted {
        id: BASE64URL_NOPAD.encode(checked.cred_id()),
        counter: i64::from(checked.counter()),
        signed: kept.statement.map(|statement| (statement, kept.rp_id)),
        answer: checked,
    })
}

/// What a browser answered when a key was asked, as it came; nothing is known yet of whether it is right.
#[derive(Clone)]
pub struct Assertion {
    credential: Box<PublicKeyCredential>,
    challenge: String,
}

impl Assertion {
    /// Reads the browser's JSON.
    ///
    /// # Errors
    /// [`WebauthnFault::Unreadable`].
    pub fn from_json(json: &[u8]) -> Result<Self, WebauthnFault> {
        let credential: PublicKeyCredential = read(json)?;
        let challenge = challenge_of(&credential.response.client_data_json)?;
        Ok(Self { credential: Box::new(credential), challenge })
    }

    /// SHA-256 of the challenge that it says it answers, in hexadecimal.
    pub fn challenge(&self) -> &str {
        &self.challenge
    }
}

impl Assertion {
    /// The id of the key that it says to be of, in base64url.
    pub fn key(&self) -> String {
        BASE64URL_NOPAD.encode(&self.credential.raw_id)
    }
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion").field("challenge", &self.challenge).finish_non_exhaustive()
    }
}

impl FromStr for Assertion {
    type Err = WebauthnFault;

    /// Base64url, without padding, of the browser's JSON.
    fn from_str(text: &str) -> Result<Self, WebauthnFault> {
        if text.len() > LONGEST_ANSWER * 4 / 3 {
            return Err(WebauthnFault::Unreadable);
        }
        let json = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_bad| WebauthnFault::Unreadable)?;
        Self::from_json(&json)
    }
}

/// What a browser answered when a key was made, as it came.
#[derive(Clone)]
pub struct Attestation {
    credential: Box<RegisterPublicKeyCredential>,
    challenge: String,
}

impl Attestation {
    /// Reads the browser's JSON.
    ///
    /// # Errors
    /// [`WebauthnFault::Unreadable`].
    pub fn from_json(json: &[u8]) -> Result<Self, WebauthnFault> {
        let credential: RegisterPublicKeyCredential = read(json)?;
        let challenge = challenge_of(&credential.response.client_data_json)?;
        Ok(Self { credential: Box::new(credential), challenge })
    }

    /// As [`Assertion::challenge`].
    pub fn challenge(&self) -> &str {
        &self.challenge
    }
}

impl fmt::Debug for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attestation").field("challenge", &self.challenge).finish_non_exhaustive()
    }
}

fn read<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T, WebauthnFault> {
    if json.len() > LONGEST_ANSWER {
        return Err(WebauthnFault::Unreadable);
    }
    serde_json::from_slice(json).map_err(|_bad| WebauthnFault::Unreadable)
}

/// The challenge that the browser says it asked the key.
fn challenge_of(client_data: &[u8]) -> Result<String, WebauthnFault> {
    #[derive(Deserialize)]
    struct ClientData {
        challenge: String,
    }
    let data: ClientData = read(client_data)?;
    let challenge = BASE64URL_NOPAD.decode(data.challenge.as_bytes());
    Ok(sha256_hex(&challenge.map_err(|_bad| WebauthnFault::Unreadable)?))
}

fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}
