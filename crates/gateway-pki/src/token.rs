//! Join tokens: one use, a few minutes, and the root's fingerprint inside, so that whoever holds one knows the zone
//! before anything secret is sent. Whether one was used is the store's to know.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use gateway_types::{Entropy, Secret};
use rustls_pki_types::CertificateDer;

use crate::der;
use crate::id::TrustDomain;

/// What every join token begins with.
pub const PREFIX: &str = "rgj_";

const SECRET: usize = 32;
const FINGERPRINT: usize = 32;
const CHECK: usize = 4;

/// Why a text is no join token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenFault {
    /// Not of this form.
    #[error("this is no join token: it begins with rgj_ and is copied whole")]
    Malformed,
    /// A character is wrong.
    #[error("the join token was not copied whole: its check digits do not fit")]
    Check,
}

/// A join token.
#[derive(Clone, Debug)]
pub struct JoinToken {
    text: Secret<String>,
    fingerprint: [u8; FINGERPRINT],
    domain: TrustDomain,
}

impl JoinToken {
    /// A new one for this zone, of this root.
    pub fn make(domain: &TrustDomain, root: &CertificateDer<'_>, entropy: &dyn Entropy) -> Self {
        let mut secret = [0u8; SECRET];
        entropy.fill(&mut secret);
        let fingerprint = der::fingerprint(root);
        let mut bytes: Vec<u8> =
            secret.iter().chain(&fingerprint).chain(domain.as_str().as_bytes()).copied().collect();
        let check = check_of(&bytes);
        bytes.extend(check);
        let text = Secret::new(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)));
        Self { text, fingerprint, domain: domain.clone() }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`TokenFault`]; nothing about a token's worth.
    pub fn parse(text: &str) -> Result<Self, TokenFault> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(TokenFault::Malformed)?;
        let bytes = BASE64URL_NOPAD.decode(body.as_bytes()).map_err(|_bad| TokenFault::Malformed)?;
        let end = bytes.len().checked_sub(CHECK).ok_or(TokenFault::Malformed)?;
        let (known, check) = bytes.split_at_checked(end).ok_or(TokenFault::Malformed)?;
        let (_, domain) = known.split_at_checked(SECRET + FINGERPRINT).ok_or(TokenFault::Malformed)?;
        if check_of(known) != check {
            return Err(TokenFault::Check);
        }
        let mut fingerprint = [0u8; FINGERPRINT];
        for (to, from) in fingerprint.iter_mut().zip(known.iter().skip(SECRET)) {
            *to = *from;
        }
        let domain = std::str::from_utf8(domain).ok().and_then(|text| text.parse().ok());
        let domain = domain.ok_or(TokenFault::Malformed)?;
        Ok(Self { text: Secret::new(format!("{PREFIX}{body}")), fingerprint, domain })
    }

    /// Its text, for its one bearer.
    pub fn text(&self) -> &Secret<String> {
        &self.text
    }

    /// What is kept of it: the SHA-256 of the whole text, in hexadecimal.
    pub fn digest(&self) -> String {
        HEXLOWER.encode(digest(&SHA256, self.text.expose().as_bytes()).as_ref())
    }

    /// The zone that it lets into.
    pub fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// Whether this is the root that the token was made for.
    pub fn is_for(&self, root: &CertificateDer<'_>) -> bool {
        verify_slices_are_equal(&self.fingerprint, &der::fingerprint(root)).is_ok()
    }
}

fn check_of(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().iter().copied().take(CHECK).collect()
}
