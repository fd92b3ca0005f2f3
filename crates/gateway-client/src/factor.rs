//! A second factor as a person types it, and how it travels with a request.

use std::str::FromStr;

use gateway_types::Secret;

/// Characters of a backup code without its dash.
const BACKUP_LENGTH: usize = 10;
/// Letters that a YubiKey types, and which.
const YUBICO_LENGTH: usize = 44;
const MODHEX: &str = "cbdefghijklnrtuv";
/// Digits of a one-time code.
const DIGITS: usize = 6;

/// A second factor that is sent with one request.
#[derive(Clone, Debug)]
pub enum SecondFactor {
    /// The six digits of an authenticator; sent as `X-Mfa-Totp`.
    Totp(Secret<String>),
    /// A backup code; sent behind the credential, as `TOKEN.backup.CODE`.
    Backup(Secret<String>),
    /// What a YubiKey typed; sent behind the credential, as `TOKEN.yubico.LETTERS`.
    Yubico(Secret<String>),
}

/// A text that is neither kind of code. It does not repeat the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "that is no code: give the six digits that your authenticator shows, or a backup code such as abcde-fgh12"
)]
pub struct NotACode;

impl SecondFactor {
    /// The code as it is sent.
    pub fn code(&self) -> &Secret<String> {
        match self {
            SecondFactor::Totp(code) | SecondFactor::Backup(code) | SecondFactor::Yubico(code) => code,
        }
    }
}

impl FromStr for SecondFactor {
    type Err = NotACode;

    /// Blanks and dashes inside are how people group the characters.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        if bare.len() == DIGITS && bare.chars().all(|c| c.is_ascii_digit()) {
            return Ok(SecondFactor::Totp(Secret::new(bare)));
        }
        if bare.len() == BACKUP_LENGTH && bare.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Ok(SecondFactor::Backup(Secret::new(bare.to_ascii_lowercase())));
        }
        let letters = bare.to_ascii_lowercase();
        if letters.len() == YUBICO_LENGTH && letters.chars().all(|c| MODHEX.contains(c)) {
            return Ok(SecondFactor::Yubico(Secret::new(letters)));
        }
        Err(NotACode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, bool)>) {
        let parsed = text.parse::<SecondFactor>().ok();
        let actual = parsed
            .as_ref()
            .map(|factor| (factor.code().expose().as_str(), matches!(factor, SecondFactor::Totp(_))));
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn codes_as_people_type_them() {
        check("123456", Some(("123456", true)));
        check(" 123 456\n", Some(("123456", true)));
        check("abcde-fgh12", Some(("abcdefgh12", false)));
        check("ABCDEFGH12", Some(("abcdefgh12", false)));
        for bad in ["", "12345", "1234567", "abc", "abcde.fgh1", "١٢٣٤٥٦", "a\r\nb: c456"] {
            check(bad, None);
        }
    }
}
