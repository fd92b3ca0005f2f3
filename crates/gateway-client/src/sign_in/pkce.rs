//! Proof key for code exchange: who began a sign-in is the only one who can end it.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use gateway_types::{Entropy, Secret};

/// A verifier and its challenge (RFC 7636, method S256).
#[derive(Debug)]
pub struct Pkce(Secret<String>);

impl Pkce {
    /// A new one of 256 random bits.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(random(entropy))
    }

    /// What is shown at the end.
    pub fn verifier(&self) -> &Secret<String> {
        &self.0
    }

    /// What is shown at the beginning.
    pub fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(digest(&SHA256, self.0.expose().as_bytes()).as_ref())
    }
}

/// 256 random bits as text.
pub(super) fn random(entropy: &dyn Entropy) -> Secret<String> {
    let mut bytes = [0u8; 32];
    entropy.fill(&mut bytes);
    Secret::new(BASE64URL_NOPAD.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use gateway_types::OsEntropy;

    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let pkce = Pkce(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned()));
        assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_has_the_length_that_the_rfc_wants_and_is_never_the_same() {
        let (one, other) = (Pkce::generate(&OsEntropy), Pkce::generate(&OsEntropy));
        assert_eq!(one.verifier().expose().len(), 43);
        assert_ne!(one.verifier().expose(), other.verifier().expose());
    }
}
