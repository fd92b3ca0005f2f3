//! The frame of a signed note, without any cryptography.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{MAX_NOTE_BYTES, NoteError};

/// What every signature line begins with: an em dash and a space.
const DASH: &str = "— ";

/// One signature line.
pub(super) struct Signature<'a> {
    /// The key's name.
    pub(super) name: &'a str,
    /// Key id (4 bytes), then the signature.
    pub(super) bytes: Vec<u8>,
}

/// Whether a key may have this name.
pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c == '+' || c.is_whitespace() || c.is_control())
}

/// The note of `text`, which ends in a newline, and one signature.
pub(super) fn seal(text: &str, name: &str, signature: &[u8]) -> String {
    format!("{text}\n{DASH}{name} {}\n", STANDARD.encode(signature))
}

/// Takes a note apart at its last blank line. The text includes its final newline.
pub(super) fn open(note: &str) -> Result<(&str, Vec<Signature<'_>>), NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::TooLarge { bytes: note.len() });
    }
    if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::NotANote);
    }
    let blank = note.rfind("\n\n").ok_or(NoteError::NotANote)?;
    let (text, rest) = note.split_at_checked(blank + 1).ok_or(NoteError::NotANote)?;
    let lines =
        rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n')).ok_or(NoteError::NotANote)?;
    let signatures =
        lines.split('\n').map(signature).collect::<Option<Vec<_>>>().ok_or(NoteError::NotANote)?;
    Ok((text, signatures))
}

fn signature(line: &str) -> Option<Signature<'_>> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    (is_key_name(name) && bytes.len() > 4).then_some(Signature { name, bytes })
}
