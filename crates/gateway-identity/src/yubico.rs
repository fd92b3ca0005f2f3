//! One-time passwords of YubiKeys, checked by a validation server: a key types 44 letters, the server says whether
//! they are right and new. Requests and replies are signed with a key that the server gave.
//!
//! Pure: what is asked is made here, what is answered is judged here; [`Fetch`](crate::oidc::Fetch) carries it.
//!
//! # Security
//! A reply counts only when it says `OK`, is signed with the same key, and repeats the password and the nonce that
//! were sent: an older reply, or one for another password, is none. Counters that it tells must go up, which the
//! store holds, so that a server that says `OK` twice is not believed twice.
//!
//! Source: Yubico, Validation Protocol Version 2.0.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use data_encoding::{BASE64, HEXLOWER};
use gateway_types::{Entropy, Secret};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

#[cfg(test)]
mod tests;

/// Letters of a password: 32 of its cipher text, before them up to 16 that name the key.
const LONGEST: usize = 48;
/// Letters of the cipher text.
const CIPHER: usize = 32;
/// Letters that name a key; every key as it is sold has 12.
const PUBLIC_ID: usize = 12;

/// The sixteen letters that are at the same place on most keyboards.
const MODHEX: &str = "cbdefghijklnrtuv";

/// What stays as it is in a query. Source: RFC 3986, section 2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A one-time password as a key types it.
#[derive(Clone)]
pub struct YubicoOtp(Secret<String>);

impl YubicoOtp {
    /// The letters that name the key.
    pub fn public_id(&self) -> &str {
        self.0.expose().get(..PUBLIC_ID).unwrap_or_default()
    }

    /// What names this very password, and does not tell it.
    pub fn digest(&self) -> String {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.0.expose().as_bytes());
        HEXLOWER.encode(hash.as_ref())
    }
}

impl fmt::Debug for YubicoOtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "YubicoOtp({}…)", self.public_id())
    }
}

/// The text is no such password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a YubiKey types 44 letters of cbdefghijklnrtuv")]
pub struct NotAnOtp;

impl FromStr for YubicoOtp {
    type Err = NotAnOtp;

    /// Takes capitals: a key types what the keyboard makes of it.
    fn from_str(text: &str) -> Result<Self, NotAnOtp> {
        if text.len() != PUBLIC_ID + CIPHER || text.len() > LONGEST {
            return Err(NotAnOtp);
        }
        let letters = text.to_ascii_lowercase();
        if letters.chars().all(|letter| MODHEX.contains(letter)) {
            Ok(Self(Secret::new(letters)))
        } else {
            Err(NotAnOtp)
        }
    }
}

/// What the server gave this gateway to ask it with.
#[derive(Debug)]
pub struct Client {
    /// Address of its `verify`.
    pub url: String,
    /// The number of this client.
    pub id: u64,
    /// What both sign with.
    pub key: Secret<Vec<u8>>,
}

/// A question to the server.
#[derive(Debug)]
pub struct Question {
    /// The whole address that is asked; it holds the password.
    pub url: Secret<String>,
    nonce: String,
}

/// What a key that was found right tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    /// How often the key was powered and used, in one number that only goes up.
    pub both: i64,
}

/// Why a password does not count.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum YubicoFault {
    /// It is none of the key's.
    #[error("the server does not know this password")]
    Wrong,
    /// It was used before, here or elsewhere.
    #[error("the password was used before")]
    Replayed,
    /// The server does not serve this gateway.
    #[error("the validation server answers {status}")]
    Refused {
        /// Its status.
        status: String,
    },
    /// The reply is not one to this question.
    #[error("the validation server's reply is not one to this question: {what}")]
    Untrusted {
        /// What is not right.
        what: &'static str,
    },
}

impl Client {
    /// The question whether this password is right.
    pub fn ask(&self, otp: &YubicoOtp, entropy: &dyn Entropy) -> Question {
        let mut random = [0u8; 16];
        entropy.fill(&mut random);
        let nonce = HEXLOWER.encode(&random);
        let fields = BTreeMap::from([
            ("id", self.id.to_string()),
            ("nonce", nonce.clone()),
            ("otp", otp.0.expose().clone()),
            ("timestamp", "1".to_owned()),
        ]);
        let signature = self.signature(&fields);
        let mut pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.push(format!("h={}", utf8_percent_encode(&signature, ESCAPED)));
        Question { url: Secret::new(format!("{}?{}", self.url, pairs.join("&"))), nonce }
    }

    /// What the server's reply to the question says.
    ///
    /// # Errors
    /// [`YubicoFault`].
    pub fn judge(&self, question: &Question, otp: &YubicoOtp, reply: &str) -> Result<Counters, YubicoFault> {
        let untrusted = |what| Err(YubicoFault::Untrusted { what });
        let mut fields = BTreeMap::new();
        for line in reply.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Some((name, value)) = line.split_once('=') else { return untrusted("a line without a name") };
            if fields.insert(name, value.to_owned()).is_some() {
                return untrusted("a name that is there twice");
            }
        }
        let signature = fields.remove("h").unwrap_or_default();
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.key.expose());
        let tag = BASE64.decode(signature.as_bytes()).unwrap_or_default();
        if hmac::verify(&key, joined(&fields).as_bytes(), &tag).is_err() {
            return untrusted("its signature");
        }
        let field = |name| fields.get(name).map(String::as_str).unwrap_or_default();
        match field("status") {
            "OK" => {}
            "BAD_OTP" => return Err(YubicoFault::Wrong),
            "REPLAYED_OTP" | "REPLAYED_REQUEST" => return Err(YubicoFault::Replayed),
            other => return Err(YubicoFault::Refused { status: other.chars().take(40).collect() }),
        }
        if field("nonce") != question.nonce {
            return untrusted("its nonce");
        }
        if field("otp") != otp.0.expose() {
            return untrusted("its password");
        }
        let number = |name| field(name).parse::<u16>().ok();
        match (number("sessioncounter"), number("sessionuse")) {
            (Some(session), Some(used)) if used <= 255 => {
                Ok(Counters { both: i64::from(session) * 256 + i64::from(used) })
            }
            _ => untrusted("its counters"),
        }
    }

    fn signature(&self, fields: &BTreeMap<&str, String>) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.key.expose());
        BASE64.encode(hmac::sign(&key, joined(fields).as_bytes()).as_ref())
    }
}

/// What is signed: the pairs in the order of their names.
fn joined(fields: &BTreeMap<&str, String>) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}
