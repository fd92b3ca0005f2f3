//! Backup codes: ten codes of 50 random bits, each good once, for whoever lost the authenticator.
//! Only a keyed digest of each is ever kept; which were used is the store's to hold.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use gateway_types::{Entropy, Secret, UserId};

/// How many codes are made at once.
pub const CODES: usize = 10;

/// Characters of a code; each holds 5 bits.
const LENGTH: usize = 10;

/// The digits and letters that are not taken for one another (Crockford's base 32, in lower case).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A backup code in its one spelling: ten characters in lower case without the dash.
#[derive(Clone)]
pub struct BackupCode(Secret<String>);

impl BackupCode {
    /// A new set of ten.
    pub fn generate(entropy: &dyn Entropy) -> Vec<BackupCode> {
        (0..CODES).map(|_| Self::one(entropy)).collect()
    }

    fn one(entropy: &dyn Entropy) -> Self {
        let mut random = [0u8; LENGTH];
        entropy.fill(&mut random);
        // 256 is a multiple of 32, so each character is equally likely.
        let characters =
            random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32))).copied().map(char::from);
        Self(Secret::new(characters.collect()))
    }

    /// As it is shown to its owner: `abcde-fgh12`.
    pub fn shown(&self) -> Secret<String> {
        let (one, other) = self.0.expose().split_at_checked(LENGTH / 2).unwrap_or_default();
        Secret::new(format!("{one}-{other}"))
    }

    /// What is kept: HMAC-SHA-256 over the person and the code, in lower-case hexadecimal.
    ///
    /// # Security
    /// Keyed, because 50 bits alone could be found out from a stolen table; with the person, so that
    /// a row cannot be moved to somebody else.
    pub fn digest(&self, key: &Secret<Vec<u8>>, user: UserId) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(user.uuid().as_bytes());
        context.update(self.0.expose().as_bytes());
        HEXLOWER.encode(context.sign().as_ref())
    }
}

impl fmt::Debug for BackupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupCode(…)")
    }
}

/// The text is no backup code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a backup code is ten letters and digits, such as abcde-fgh12")]
pub struct NotABackupCode;

impl FromStr for BackupCode {
    type Err = NotABackupCode;

    /// Takes capitals, a dash anywhere, and letters that look like a digit of the alphabet.
    fn from_str(text: &str) -> Result<Self, NotABackupCode> {
        let mut code = String::with_capacity(LENGTH);
        for character in text.chars().filter(|character| *character != '-') {
            let meant = match character.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            };
            let known = u8::try_from(meant).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known || code.len() == LENGTH {
                return Err(NotABackupCode);
            }
            code.push(meant);
        }
        if code.len() == LENGTH { Ok(Self(Secret::new(code))) } else { Err(NotABackupCode) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gateway_types::{OsEntropy, Timestamp};

    use super::*;

    fn key() -> Secret<Vec<u8>> {
        Secret::new(vec![7; 32])
    }

    fn somebody() -> UserId {
        UserId::new(Timestamp::from_micros(0), &OsEntropy)
    }

    #[test]
    fn ten_codes_that_differ_and_read_back() {
        let codes = BackupCode::generate(&OsEntropy);
        let user = somebody();
        let digests: BTreeSet<String> = codes.iter().map(|code| code.digest(&key(), user)).collect();
        assert_eq!(digests.len(), CODES);
        for code in codes {
            let shown = code.shown().expose().clone();
            assert_eq!((shown.len(), shown.find('-')), (11, Some(5)), "{shown}");
            for spelling in [shown.clone(), shown.to_uppercase(), shown.replace('-', "")] {
                let read: BackupCode = spelling.parse().unwrap();
                assert_eq!(read.digest(&key(), user), code.digest(&key(), user));
            }
        }
    }

    #[test]
    fn look_alikes_are_taken_for_what_was_meant() {
        let user = somebody();
        let digest = |text: &str| text.parse::<BackupCode>().unwrap().digest(&key(), user);
        assert_eq!(digest("O1234-IL567"), digest("01234-11567"));
    }

    #[test]
    fn anything_else_is_no_code() {
        for bad in
            ["", "abcde-fgh1", "abcde-fgh123", "abcde fgh12", "abcde-fgh1u", "äbcde-fgh12", "abcde.fgh12"]
        {
            assert!(bad.parse::<BackupCode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_digest_belongs_to_one_person_and_one_key() {
        let code: BackupCode = "abcde-fgh12".parse().unwrap();
        let (ann, bo) = (somebody(), somebody());
        assert_ne!(code.digest(&key(), ann), code.digest(&key(), bo));
        assert_ne!(code.digest(&key(), ann), code.digest(&Secret::new(vec![8; 32]), ann));
        assert!(!format!("{code:?}").contains("abcde"));
    }
}
