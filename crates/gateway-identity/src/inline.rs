//! A second factor presented beside a credential: `T.totp.123456`, `T.backup.CODE`,
//! `T.webauthn.ASSERTION`. What cannot be understood is an error, never a credential without a
//! factor: a typing mistake must not read as "unknown token".
//!
//! Source: DESIGN 4.4.

use gateway_types::TokenKind;

use crate::backup::{BackupCode, NotABackupCode};
use crate::totp::{NotACode, TotpCode};

#[cfg(test)]
mod tests;

/// A factor as it was presented; nothing is known yet of whether it is right.
#[derive(Clone, Debug)]
pub enum InlineFactor {
    /// A one-time code.
    Totp(TotpCode),
    /// A backup code.
    Backup(BackupCode),
}

impl InlineFactor {
    /// A second factor as a person types it into a field: six digits, with blanks or without, or a backup
    /// code; `None` when it is neither.
    pub fn typed(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits: String = text.chars().filter(|c| *c != ' ').collect();
        let totp = digits.parse().ok().map(InlineFactor::Totp);
        totp.or_else(|| text.parse().ok().map(InlineFactor::Backup))
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
    /// A passkey's assertion.
    #[error("passkeys cannot be given as a second factor yet; give a one-time code, as in TOKEN.totp.123456")]
    WebauthnNotAvailable,
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
        Kind::Webauthn => return Err(InlineError::WebauthnNotAvailable),
    };
    Ok(Presented { credential, factor: Some(factor) })
}

#[derive(Clone, Copy)]
enum Kind {
    Totp,
    Backup,
    Webauthn,
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "totp" => Some(Kind::Totp),
        "backup" => Some(Kind::Backup),
        "webauthn" => Some(Kind::Webauthn),
        _ => None,
    }
}
