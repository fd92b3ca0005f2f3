//! The file: a line that names the form, a line that says how the key is derived, then pieces of at most a megabyte,
//! each sealed with AES-256-GCM under its number and whether it is the last. So no piece can be altered, moved, left
//! out or cut off (STREAM, Hoang and others, "Online Authenticated-Encryption", CRYPTO 2015).
//!
//! The key is new for each file: HKDF-SHA256 of `APP_SECRET_KEY`, or Argon2id (RFC 9106) of a passphrase, with a salt of
//! 32 random bytes.

use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use data_encoding::HEXLOWER;
use gateway_types::Entropy;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{BackupError, BackupKey};
use crate::error::StoreError;
use crate::secrets::sha256_hex;

/// The first line.
const FORM: &[u8] = b"rack-gateway backup 1\n";
/// The most bytes of one piece before it is sealed.
const PIECE_BYTES: usize = 1024 * 1024;
/// What sealing adds to a piece.
const TAG_BYTES: usize = 16;
/// The longest second line.
const MOST_HEADER_BYTES: u64 = 4096;
/// The least characters of a passphrase.
pub const SHORTEST_PASSPHRASE: usize = 12;
/// Argon2id's memory in KiB and passes: the second recommendation of RFC 9106, section 4, with one lane.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// What a foreign file may ask of this machine at most.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 16;

/// How the key is derived.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    with: With,
    salt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_kib: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passes: Option<u32>,
    /// Tells whether a key is the one of this file.
    check: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum With {
    AppSecretKey,
    Passphrase,
}

struct Derived {
    key: LessSafeKey,
    check: String,
}

struct SixtyFour;

impl KeyType for SixtyFour {
    fn len(&self) -> usize {
        64
    }
}

/// 64 bytes: the sealing key, and what the check is a digest of.
fn derived(key: &BackupKey, salt: &[u8], memory_kib: u32, passes: u32) -> Result<Derived, BackupError> {
    let crypto = || StoreError::Crypto { doing: "the key of a backup" };
    let mut bytes = Zeroizing::new([0u8; 64]);
    match key {
        BackupKey::AppSecretKey(secret) => {
            let extracted = Salt::new(HKDF_SHA256, salt).extract(secret.expose().as_bytes());
            let info = [b"rack-gateway backup/v1".as_slice()];
            let expanded = extracted.expand(&info, SixtyFour).map_err(|_unspecified| crypto())?;
            expanded.fill(&mut *bytes).map_err(|_unspecified| crypto())?;
        }
        BackupKey::Passphrase(passphrase) => {
            let params = Params::new(memory_kib, passes, 1, Some(64)).map_err(|_bad| crypto())?;
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into(passphrase.expose().as_bytes(), salt, &mut *bytes)
                .map_err(|_bad| crypto())?;
        }
    }
    let (sealing, check) = bytes.split_at(32);
    let sealing = UnboundKey::new(&AES_256_GCM, sealing).map_err(|_unspecified| crypto())?;
    Ok(Derived { key: LessSafeKey::new(sealing), check: sha256_hex(check) })
}

/// A piece is bound to its number and to whether it is the last.
fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut bytes = [0u8; NONCE_LEN];
    for (to, from) in bytes.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    if let Some(end) = bytes.last_mut() {
        *end = u8::from(is_last);
    }
    Nonce::assume_unique_for_key(bytes)
}

/// Writes a file.
pub(crate) struct Sealing<W: Write> {
    to: W,
    key: LessSafeKey,
    head: Vec<u8>,
    piece: Vec<u8>,
    number: u64,
}

impl<W: Write> Sealing<W> {
    /// Begins a file.
    pub(crate) fn begin(mut to: W, key: &BackupKey, entropy: &dyn Entropy) -> Result<Self, BackupError> {
        let mut salt = [0u8; 32];
        entropy.fill(&mut salt);
        let (with, cost) = match key {
            BackupKey::AppSecretKey(_) => (With::AppSecretKey, None),
            BackupKey::Passphrase(passphrase) => {
                if passphrase.expose().chars().count() < SHORTEST_PASSPHRASE {
                    return Err(BackupError::ShortPassphrase { least: SHORTEST_PASSPHRASE });
                }
                (With::Passphrase, Some((MEMORY_KIB, PASSES)))
            }
        };
        let Derived { key, check } = derived(key, &salt, MEMORY_KIB, PASSES)?;
        let header = Header {
            with,
            salt: HEXLOWER.encode(&salt),
            memory_kib: cost.map(|(memory, _)| memory),
            passes: cost.map(|(_, passes)| passes),
            check,
        };
        let mut head = FORM.to_vec();
        head.extend(
            serde_json::to_vec(&header).map_err(|_never| BackupError::Malformed { what: "a header" })?,
        );
        head.push(b'\n');
        to.write_all(&head)?;
        Ok(Self { to, key, head, piece: Vec::with_capacity(PIECE_BYTES), number: 0 })
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let mut piece = std::mem::take(&mut self.piece);
        let nonce = nonce(self.number, is_last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(&self.head), &mut piece)
            .map_err(|_unspecified| io::Error::other("the crypto provider failed"))?;
        let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
        self.to.write_all(&[u8::from(is_last)])?;
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(&piece)?;
        self.number += 1;
        piece.clear();
        self.piece = piece;
        Ok(())
    }

    /// Ends the file, and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE_BYTES {
            self.seal(false)?;
        }
        let taken = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend(bytes.iter().take(taken));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a file.
pub(crate) struct Opening<R: Read> {
    from: R,
    key: LessSafeKey,
    head: Vec<u8>,
    piece: Vec<u8>,
    at: usize,
    number: u64,
    was_last: bool,
}

impl<R: Read> Opening<R> {
    /// Reads the first lines, and checks that the key is the one of the file.
    pub(crate) fn begin(mut from: R, key: &BackupKey) -> Result<Self, BackupError> {
        let mut form = vec![0u8; FORM.len()];
        from.read_exact(&mut form).map_err(|_short| BackupError::NotABackup)?;
        if form != FORM {
            return Err(BackupError::NotABackup);
        }
        let mut head = form;
        let mut byte = [0u8; 1];
        while head.len() as u64 <= MOST_HEADER_BYTES {
            from.read_exact(&mut byte).map_err(|_short| BackupError::Truncated)?;
            head.extend(byte);
            if byte == *b"\n" {
                break;
            }
        }
        let line = head.get(FORM.len()..).unwrap_or_default();
        let header: Header = serde_json::from_slice(line).map_err(|_bad| BackupError::NotABackup)?;
        match (header.with, key) {
            (With::AppSecretKey, BackupKey::AppSecretKey(_))
            | (With::Passphrase, BackupKey::Passphrase(_)) => {}
            (With::AppSecretKey, BackupKey::Passphrase(_)) => {
                return Err(BackupError::OtherWay { with: "APP_SECRET_KEY" });
            }
            (With::Passphrase, BackupKey::AppSecretKey(_)) => {
                return Err(BackupError::OtherWay { with: "a passphrase" });
            }
        }
        let salt = HEXLOWER.decode(header.salt.as_bytes()).map_err(|_bad| BackupError::NotABackup)?;
        let memory = header.memory_kib.unwrap_or(MEMORY_KIB);
        let passes = header.passes.unwrap_or(PASSES);
        if salt.len() != 32 || memory > MOST_MEMORY_KIB || passes > MOST_PASSES {
            return Err(BackupError::NotABackup);
        }
        let with = match header.with {
            With::AppSecretKey => "APP_SECRET_KEY",
            With::Passphrase => "passphrase",
        };
        let Derived { key, check } = derived(key, &salt, memory, passes)?;
        if check != header.check {
            return Err(BackupError::WrongKey { with });
        }
        Ok(Self { from, key, head, piece: Vec::new(), at: 0, number: 0, was_last: false })
    }

    /// Opens the next piece; false when there is none any more.
    fn next(&mut self) -> Result<bool, BackupError> {
        let mut byte = [0u8; 1];
        if self.was_last {
            // What stands behind the end was not written by us.
            return match self.from.read(&mut byte)? {
                0 => Ok(false),
                _ => Err(BackupError::Altered),
            };
        }
        let mut length = [0u8; 4];
        self.from.read_exact(&mut byte).map_err(|_short| BackupError::Truncated)?;
        self.from.read_exact(&mut length).map_err(|_short| BackupError::Truncated)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > PIECE_BYTES + TAG_BYTES || byte[0] > 1 {
            return Err(BackupError::Altered);
        }
        let is_last = byte[0] == 1;
        self.piece.resize(length, 0);
        self.from.read_exact(&mut self.piece).map_err(|_short| BackupError::Truncated)?;
        let nonce = nonce(self.number, is_last);
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(&self.head), &mut self.piece)
            .map_err(|_unspecified| BackupError::Altered)?
            .len();
        self.piece.truncate(opened);
        (self.at, self.was_last) = (0, is_last);
        self.number += 1;
        Ok(true)
    }

    /// The next line without its end; `None` at the end of the file.
    ///
    /// # Errors
    /// [`BackupError::Altered`], [`BackupError::Truncated`], or a line that is too long.
    pub(crate) fn line(&mut self, most_bytes: usize) -> Result<Option<Vec<u8>>, BackupError> {
        let mut line = Vec::new();
        loop {
            let rest = self.piece.get(self.at..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                line.extend(rest.iter().take(end));
                self.at += end + 1;
                return Ok(Some(line));
            }
            line.extend(rest);
            self.at = self.piece.len();
            if line.len() > most_bytes {
                return Err(BackupError::Malformed { what: "a line" });
            }
            if !self.next()? {
                return if line.is_empty() { Ok(None) } else { Err(BackupError::Truncated) };
            }
        }
    }
}

/// Begins the digest of everything that a file says.
pub(crate) fn digest() -> aws_lc_rs::digest::Context {
    aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256)
}
