//! Signed notes (C2SP signed-note v1.0.0) with Ed25519: text, a blank line, signature lines.
//!
//! Knows nothing of what the text says; [`checkpoint`](crate::checkpoint) does. Only signature type
//! `0x01` is spoken: one algorithm leaves nothing to negotiate down.

mod envelope;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use gateway_types::Secret;

use crate::checkpoint::Checkpoint;
use crate::merkle::{NotAHash, digest};

/// The signature type byte of plain Ed25519.
const ED25519_TYPE: u8 = 0x01;

/// The largest note that is looked at, in bytes.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;

/// Why a note, a key or a checkpoint is not acceptable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoteError {
    /// A key name that is empty, or holds a space, a plus sign or a control character.
    #[error("`{}` is not a key name: it must not be empty nor hold spaces, plus signs or control characters", crate::text::disarmed(.name))]
    BadName {
        /// The name.
        name: String,
    },
    /// A signing seed of the wrong length.
    #[error("an Ed25519 seed has 32 bytes, this one has {found}")]
    BadSeed {
        /// Bytes found.
        found: usize,
    },
    /// A text that is not a verifier key.
    #[error("not a verifier key: `NAME+KEYID+BASE64` with an Ed25519 key is expected")]
    BadKey,
    /// A verifier key whose id does not belong to its name and key.
    #[error("the verifier key's id does not belong to its name and key: it was mistyped or altered")]
    WrongKeyId,
    /// Larger than [`MAX_NOTE_BYTES`].
    #[error("the note has {bytes} bytes; at most {MAX_NOTE_BYTES} are read")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
    },
    /// Not of the form of a signed note.
    #[error("not a signed note: text, a blank line and signature lines are expected")]
    NotANote,
    /// The known key's signature does not hold.
    #[error("the signature of `{name}` does not hold: the note was altered or the key is another one")]
    BadSignature {
        /// The key's name.
        name: String,
    },
    /// No signature is by the known key.
    #[error("the note is not signed by `{name}` with the trusted key")]
    Unsigned {
        /// The key's name.
        name: String,
    },
    /// The signed text is not a checkpoint.
    #[error("line {line} of the signed text is not that of a checkpoint")]
    NotACheckpoint {
        /// Counted from 1.
        line: usize,
    },
    /// A checkpoint about another log than the key's.
    #[error("the checkpoint is of log `{found}`, not of `{expected}`")]
    ForeignOrigin {
        /// The key's name.
        expected: String,
        /// The origin in the checkpoint.
        found: String,
    },
}

impl From<NotAHash> for NoteError {
    fn from(_: NotAHash) -> Self {
        NoteError::NotACheckpoint { line: 3 }
    }
}

/// Signs notes under one name with one key.
pub struct NoteSigner {
    key: Ed25519KeyPair,
    verifier: NoteVerifier,
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.verifier)
    }
}

impl NoteSigner {
    /// The signer of this name with the key of this 32-byte seed.
    ///
    /// # Errors
    /// When the name cannot be a key name, or the seed is not 32 bytes.
    pub fn from_seed(name: &str, seed: &Secret<Vec<u8>>) -> Result<Self, NoteError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed.expose())
            .map_err(|_| NoteError::BadSeed { found: seed.expose().len() })?;
        let public: [u8; 32] = key.public_key().as_ref().try_into().map_err(|_| NoteError::BadKey)?;
        Ok(Self { verifier: NoteVerifier::new(name, public)?, key })
    }

    /// The signed note of a checkpoint.
    ///
    /// # Security
    /// A log must never sign a checkpoint that is inconsistent with one it signed before; that is
    /// the caller's to ensure. Control characters in the origin or an extension are escaped, so
    /// that neither can pose as another line.
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        self.sign_text(&checkpoint.to_text())
    }

    /// Signs any text that ends in a newline.
    fn sign_text(&self, text: &str) -> String {
        let mut signature = self.verifier.id.to_vec();
        signature.extend_from_slice(self.key.sign(text.as_bytes()).as_ref());
        envelope::seal(text, &self.verifier.name, &signature)
    }

    /// What checks this signer's notes.
    pub fn verifier(&self) -> NoteVerifier {
        self.verifier.clone()
    }
}

/// The note of a checkpoint that two keys of one log sign: what the old one hands over to the new one with.
///
/// # Security
/// As [`NoteSigner::sign`].
pub fn cosign(old: &NoteSigner, new: &NoteSigner, checkpoint: &Checkpoint) -> String {
    let mut note = old.sign(checkpoint);
    let second = new.sign(checkpoint);
    // Both notes have the same text, so only the signature line of the second is wanted.
    if let Some(line) = second.lines().last() {
        note.push_str(line);
        note.push('\n');
    }
    note
}

/// Checks notes of one name and key. Prints and parses as a `vkey`: `NAME+KEYID+BASE64`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NoteVerifier {
    name: String,
    id: [u8; 4],
    key: [u8; 32],
}

impl NoteVerifier {
    /// The verifier of an Ed25519 public key under a name.
    ///
    /// # Errors
    /// When the name cannot be a key name.
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, NoteError> {
        if !envelope::is_key_name(name) {
            return Err(NoteError::BadName { name: name.to_owned() });
        }
        Ok(Self { name: name.to_owned(), id: key_id(name, &key), key })
    }

    /// The key's name: the origin of the log it signs for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The checkpoint in a note, once its signature holds and it is of this key's own log.
    ///
    /// # Errors
    /// [`NoteError`]; nothing in the note may then be believed.
    pub fn verify(&self, note: &str) -> Result<Checkpoint, NoteError> {
        let checkpoint = Checkpoint::from_text(self.open(note)?)?;
        if checkpoint.origin != self.name {
            return Err(NoteError::ForeignOrigin { expected: self.name.clone(), found: checkpoint.origin });
        }
        Ok(checkpoint)
    }

    /// The text of a note, once this key's signature on it holds. Signatures of other keys are
    /// passed over (witnesses, rotated keys); a failing one of this key is fatal.
    fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let (text, signatures) = envelope::open(note)?;
        let mut signed = false;
        for signature in signatures.iter().filter(|signature| signature.name == self.name) {
            let Some(bytes) = signature.bytes.strip_prefix(&self.id) else { continue };
            UnparsedPublicKey::new(&ED25519, self.key)
                .verify(text.as_bytes(), bytes)
                .map_err(|_| NoteError::BadSignature { name: self.name.clone() })?;
            signed = true;
        }
        if signed { Ok(text) } else { Err(NoteError::Unsigned { name: self.name.clone() }) }
    }
}

/// The first four bytes of `SHA-256(name || 0x0A || type || key)`.
fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let input = [name.as_bytes(), b"\n", &[ED25519_TYPE], key].concat();
    let [a, b, c, d, ..] = *digest(&input).as_bytes();
    [a, b, c, d]
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[ED25519_TYPE], self.key.as_slice()].concat());
        write!(f, "{}+{}+{key}", self.name, HEXLOWER.encode(&self.id))
    }
}

impl FromStr for NoteVerifier {
    type Err = NoteError;

    fn from_str(vkey: &str) -> Result<Self, NoteError> {
        // Base64 may hold plus signs, names and ids may not.
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::BadKey);
        };
        let key = STANDARD.decode(key).map_err(|_| NoteError::BadKey)?;
        let key = key.strip_prefix(&[ED25519_TYPE]).ok_or(NoteError::BadKey)?;
        let verifier = NoteVerifier::new(name, key.try_into().map_err(|_| NoteError::BadKey)?)?;
        if HEXLOWER.encode(&verifier.id) != id {
            return Err(NoteError::WrongKeyId);
        }
        Ok(verifier)
    }
}
