//! A second factor presented beside a credential: `T.totp.123456`, `T.backup.CODE`,
//! `T.webauthn.ASSERTION`. What cannot be understood is an error, never a credential without a
//! factor: a typing mistake must not read as "unknown token".
//!
//! Source: DESIGN 4.4.

use gateway_types::TokenKind;

use crate::backup::{BackupCode, NotABackupCode};
use crate::totp::{NotACode, TotpCode};
use crate::webauthn::Assertion;
use crate::yubico::{NotAnOtp, YubicoOtp};

#[cfg(test)]
mod tests;

/// A factor as it was presented; nothing is known yet of whether it is right.
#[derive(Clone, Debug)]
pub enum InlineFactor {
    /// A one-time code.
    Totp(TotpCode),
    /// A backup code.
    Backup(BackupCode),
    /// What a passkey answered.
    Webauthn(Assertion),
    /// What a YubiKey typed.
    Yubico(YubicoOtp),
}

/// What stands before a passkey's answer where a code is typed.
const TYPED_WEBAUTHN: &str = "webauthn.";

impl InlineFactor {
    /// A second factor as a person types it into a field: six digits, with blanks or without, or a backup
    /// code, or what a YubiKey types; or as a page's script puts it there: `webauthn.` and a passkey's answer. `None`
    /// when it is none.
    pub fn typed(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(answer) = text.strip_prefix(TYPED_WEBAUTHN) {
            return answer.parse().ok().map(InlineFactor::Webauthn);
        }
        let digits: String = text.chars().filter(|c| *c != ' ').collect();
        let totp = digits.parse().ok().map(InlineFactor::Totp);
        let totp = totp.or_else(|| text.parse().ok().map(InlineFactor::Backup));
        totp.or_else(|| text.parse().ok().map(InlineFactor::Yubico))
    }
}

/// What was presented.
#[derive(Debug)]
pub struct Presented<'a> {
    /// The credential alone.
    pub credential: &'a str,
    /// The factor behind it.
    pub factor: Option<InlineFactor>,
}

/// Why a factor cannot be understood. The texts are safe to show and hold nothing of the credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InlineError {
    /// A malformed one-time code.
    #[error("after .totp. the credential has no one-time code: {0}")]
    Totp(#[from] NotACode),
    /// A malformed backup code.
    #[error("after .backup. the credential has no backup code: {0}")]
    Backup(#[from] NotABackupCode),
    /// A malformed answer of a passkey.
    #[error(
        "after .webauthn. the credential has no answer of a passkey: base64url of its JSON, to a challenge that POST /step-up/request gave"
    )]
    Webauthn,
    /// No password of a YubiKey.
    #[error("after .yubico. the credential has no one-time password: {0}")]
    Yubico(#[from] NotAnOtp),
    /// Something else after a dot.
    #[error("after the token there is something that is no second factor; it looks like TOKEN.totp.123456")]
    NoFactor,
    /// Two suffixes.
    #[error("more than one second factor is given; give one")]
    MoreThanOne,
}

/// Takes a presented credential apart.
///
/// A text that does not begin like one of the gateway's own tokens and ends in no known factor is
/// left whole: others issue tokens with dots in them.
///
/// # Errors
/// [`InlineError`] when there is a suffix and it is none, or one that cannot be used.
pub fn split(presented: &str) -> Result<Presented<'_>, InlineError> {
    let own = TokenKind::ALL.into_iter().any(|kind| presented.starts_with(kind.prefix()));
    let Some((rest, value)) = presented.rsplit_once('.') else {
        return Ok(Presented { credential: presented, factor: None });
    };
    let suffix = rest.rsplit_once('.').and_then(|(credential, name)| Some((credential, kind(name)?)));
    let Some((credential, kind)) = suffix else {
        // A backup code or an assertion never has a dot, so a known name further in is a mistake.
        return if own {
            Err(InlineError::NoFactor)
        } else {
            Ok(Presented { credential: presented, factor: None })
        };
    };
    if own && credential.contains('.') {
        return Err(InlineError::MoreThanOne);
    }
    let factor = match kind {
        Kind::Totp => InlineFactor::Totp(value.parse()?),
        Kind::Backup => InlineFactor::Backup(value.parse()?),
        Kind::Yubico => InlineFactor::Yubico(value.parse()?),
        Kind::Webauthn => InlineFactor::Webauthn(value.parse().map_err(|_unreadable| InlineError::Webauthn)?),
    };
    Ok(Presented { credential, factor: Some(factor) })
}

#[derive(Clone, Copy)]
enum Kind {
    Totp,
    Backup,
    Webauthn,
    Yubico,
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "totp" => Some(Kind::Totp),
        "backup" => Some(Kind::Backup),
        "webauthn" => Some(Kind::Webauthn),
        "yubico" => Some(Kind::Yubico),
        _ => None,
    }
}
