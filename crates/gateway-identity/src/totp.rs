//! Time-based one-time codes: six digits, 30 seconds, HMAC-SHA-1, which is what every authenticator
//! app speaks. A code is good in its own step, the one before and the one after; that it is good
//! only once is the store's to hold.
//!
//! Source: RFC 6238; RFC 4226, section 5.3.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use gateway_types::{Entropy, Secret, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

#[cfg(test)]
mod tests;

/// How long one code is shown, in microseconds.
const STEP_MICROS: i64 = 30_000_000;

/// 160 bits, the length of the hash. Source: RFC 4226, section 4, requirement R6.
const SECRET_BYTES: usize = 20;

/// How far the clocks of gateway and authenticator may be apart, in steps.
const TOLERANCE: i64 = 1;

/// What stays as it is in the address that a QR code holds. Source: RFC 3986, section 2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A span of 30 seconds, counted since 1970. Each code is the code of one step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TotpStep(pub i64);

impl TotpStep {
    /// The step of this moment.
    pub const fn at(now: Timestamp) -> Self {
        Self(now.micros().div_euclid(STEP_MICROS))
    }
}

/// What the gateway and one authenticator share.
#[derive(Clone, Debug)]
pub struct TotpSecret(Secret<Vec<u8>>);

impl TotpSecret {
    /// A new one of 160 random bits.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = vec![0u8; SECRET_BYTES];
        entropy.fill(&mut bytes);
        Self(Secret::new(bytes))
    }

    /// The one of these bytes, as they were kept.
    pub const fn from_bytes(bytes: Secret<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be sealed and kept.
    pub const fn bytes(&self) -> &Secret<Vec<u8>> {
        &self.0
    }

    /// Base32 without padding: what a person types into an authenticator that cannot scan.
    pub fn base32(&self) -> Secret<String> {
        Secret::new(BASE32_NOPAD.encode(self.0.expose()))
    }

    /// The address that a QR code shows to an authenticator.
    ///
    /// # Security
    /// It holds the secret.
    pub fn otpauth_url(&self, issuer: &str, account: &str) -> Secret<String> {
        let issuer = utf8_percent_encode(issuer, ESCAPED);
        let account = utf8_percent_encode(account, ESCAPED);
        let secret = self.base32();
        Secret::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
            secret.expose()
        ))
    }

    /// The code of a step. A step before 1970 has none.
    pub fn code(&self, step: TotpStep) -> Option<TotpCode> {
        let counter = u64::try_from(step.0).ok()?;
        Some(TotpCode::of(self.truncated(counter) % 1_000_000))
    }

    /// The step whose code this is, among those that are good at `now`; the latest, should two steps
    /// have the same code.
    ///
    /// # Security
    /// Takes the same time whichever step matches and however much of the code is right.
    pub fn matching_step(&self, code: &TotpCode, now: Timestamp) -> Option<TotpStep> {
        let present = TotpStep::at(now).0;
        let mut found = None;
        for step in (present - TOLERANCE)..=(present + TOLERANCE) {
            let step = TotpStep(step);
            if self.code(step).is_some_and(|right| right.is(code)) {
                found = Some(step);
            }
        }
        found
    }

    /// RFC 4226, section 5.3: 31 bits of the HMAC, from where its last four bits point.
    fn truncated(&self, counter: u64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.0.expose());
        let tag = hmac::sign(&key, &counter.to_be_bytes());
        let offset = tag.as_ref().last().map_or(0, |last| usize::from(last & 0x0f));
        let mut word = [0u8; 4];
        // 15 + 4 bytes at the most, of 20: the word is always filled.
        for (to, from) in word.iter_mut().zip(tag.as_ref().iter().skip(offset)) {
            *to = *from;
        }
        u32::from_be_bytes(word) & 0x7fff_ffff
    }
}

/// Six digits.
#[derive(Clone)]
pub struct TotpCode(Secret<[u8; 6]>);

impl TotpCode {
    fn of(number: u32) -> Self {
        let mut digits = [b'0'; 6];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        Self(Secret::new(digits))
    }

    fn is(&self, other: &TotpCode) -> bool {
        verify_slices_are_equal(self.0.expose(), other.0.expose()).is_ok()
    }

    /// The digits as text.
    pub fn digits(&self) -> Secret<String> {
        Secret::new(self.0.expose().iter().map(|digit| char::from(*digit)).collect())
    }
}

impl fmt::Debug for TotpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpCode(…)")
    }
}

/// The text is no code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a one-time code is exactly six digits, 0 to 9")]
pub struct NotACode;

impl FromStr for TotpCode {
    type Err = NotACode;

    /// Exactly six ASCII digits: no blanks, no digits of other scripts, no sign.
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let digits: [u8; 6] = text.as_bytes().try_into().map_err(|_length| NotACode)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(Self(Secret::new(digits))) } else { Err(NotACode) }
    }
}
