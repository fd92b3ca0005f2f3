//! The shape of the gateway's own credentials: a prefix and 43 base64url characters (256 random bits).
//!
//! Only the SHA-256 of a credential is ever stored; hashing happens in the store, which has the
//! crypto provider. Source: DESIGN 4.4.

use std::fmt;

use data_encoding::{BASE64URL, BASE64URL_NOPAD};

use crate::id::Entropy;
use crate::secret::Secret;

/// The kinds of credential the gateway issues.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenKind {
    /// `rgw_`: an API token.
    Api,
    /// `rgs_`: a CLI session.
    CliSession,
    /// `rgj_`: a one-use trust-zone join token.
    Join,
    /// `rgx_`: a short token of a workload, got by exchange or by breaking the glass.
    Workload,
}

impl TokenKind {
    /// All kinds.
    pub const ALL: [TokenKind; 4] =
        [TokenKind::Api, TokenKind::CliSession, TokenKind::Join, TokenKind::Workload];

    /// The four characters every credential of this kind begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            TokenKind::Api => "rgw_",
            TokenKind::CliSession => "rgs_",
            TokenKind::Join => "rgj_",
            TokenKind::Workload => "rgx_",
        }
    }

    /// Makes a new credential of this kind from 32 random bytes.
    pub fn generate(self, entropy: &dyn Entropy) -> Secret<String> {
        let mut random = [0u8; 32];
        entropy.fill(&mut random);
        Secret::new(format!("{}{}", self.prefix(), BASE64URL_NOPAD.encode(&random)))
    }

    /// The kind of a well-formed credential; `None` for anything that cannot be one of ours.
    ///
    /// Exactly the prefix and 43 base64url characters; the last one must leave no stray bits, so
    /// that each credential has one spelling.
    pub fn of(credential: &str) -> Option<TokenKind> {
        let kind = TokenKind::ALL.into_iter().find(|kind| credential.starts_with(kind.prefix()))?;
        let random = credential.get(kind.prefix().len()..)?;
        (random.len() == 43 && BASE64URL_NOPAD.decode(random.as_bytes()).is_ok()).then_some(kind)
    }
}

/// Whether this has the form of an API token that the Go project of this name made: `rgw_`, before that `cgw_`, and 32
/// bytes as base64url with its padding. Such a token is known here only after `rack-gateway import` took its digest.
pub fn is_predecessors_token(credential: &str) -> bool {
    let random = credential.strip_prefix("rgw_").or_else(|| credential.strip_prefix("cgw_"));
    random.is_some_and(|random| {
        BASE64URL.decode(random.as_bytes()).is_ok_and(|bytes| bytes.len() == PREDECESSORS_BYTES)
    })
}

/// The random bytes of such a token.
const PREDECESSORS_BYTES: usize = 32;

/// SHA-256 of a whole credential: what the store keeps and what caches are keyed by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialDigest(pub [u8; 32]);

impl fmt::Debug for CredentialDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::OsEntropy;

    #[test]
    fn generated_credentials_are_recognised() {
        for kind in TokenKind::ALL {
            let credential = kind.generate(&OsEntropy);
            assert_eq!(TokenKind::of(credential.expose()), Some(kind));
        }
    }

    #[test]
    fn tokens_of_the_go_project_have_padding() {
        let random = format!("{}8=", "B".repeat(42));
        assert!(
            is_predecessors_token(&format!("rgw_{random}"))
                && is_predecessors_token(&format!("cgw_{random}"))
        );
        assert_eq!(TokenKind::of(&format!("rgw_{random}")), None, "the two forms never meet");
        for bad in [
            "rgw_",
            &random,
            &format!("rgs_{random}"),
            &format!("rgw_{random}="),
            &format!("rgw_{}", &random[1..]),
        ] {
            assert!(!is_predecessors_token(bad), "{bad}");
        }
        assert!(!is_predecessors_token(TokenKind::Api.generate(&OsEntropy).expose()));
    }

    #[test]
    fn anything_else_is_not_ours() {
        let good = TokenKind::Api.generate(&OsEntropy).expose().clone();
        for bad in [
            "",
            "rgw_",
            "rgx_AAAA",
            "rgy_AAAA",
            &good[..46],
            &format!("{good}A"),
            &good.replace("rgw_", "RGW_"),
        ] {
            assert_eq!(TokenKind::of(bad), None, "{bad}");
        }
        assert_eq!(
            TokenKind::of(&format!("rgw_{}", "B".repeat(43))),
            None,
            "stray bits in the last character"
        );
    }
}
