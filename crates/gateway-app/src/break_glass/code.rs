//! An offline code: 125 random bits in groups that people can read aloud.

use std::collections::BTreeSet;
use std::fmt;

use gateway_types::{Entropy, Secret};

use super::BreakGlassError;

/// Digits and letters without I, L, O and U, which look or sound like others.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a code, without what stands between them.
const LENGTH: usize = 25;

/// Characters between two dashes.
const GROUP: usize = 5;

/// The most codes that are read at one time.
const MOST: usize = 40;

/// A code in its one spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(String);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

impl Code {
    /// A new one.
    pub(super) fn generate(entropy: &dyn Entropy) -> Self {
        let mut random = [0u8; LENGTH];
        entropy.fill(&mut random);
        // 32 divides 256: no character is likelier than another.
        let character = |byte: &u8| ALPHABET.get(usize::from(byte & 31)).copied().map_or('0', char::from);
        Self(random.iter().map(character).collect())
    }

    /// Reads a code as somebody wrote or spoke it: small letters, blanks, other dashes, O for 0, I and L for 1.
    ///
    /// # Errors
    /// [`BreakGlassError::NotACode`].
    pub fn read(text: &str) -> Result<Self, BreakGlassError> {
        let mut code = String::with_capacity(LENGTH);
        for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let character = match character.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let is_one = u8::try_from(character).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !is_one || code.len() == LENGTH {
                return Err(BreakGlassError::NotACode);
            }
            code.push(character);
        }
        if code.len() == LENGTH { Ok(Self(code)) } else { Err(BreakGlassError::NotACode) }
    }

    /// What is compared.
    pub(super) fn canonical(&self) -> Secret<String> {
        Secret::new(self.0.clone())
    }

    /// What is written on paper.
    pub fn written(&self) -> Secret<String> {
        let mut written = String::with_capacity(LENGTH + LENGTH / GROUP);
        for (n, character) in self.0.chars().enumerate() {
            if n > 0 && n.is_multiple_of(GROUP) {
                written.push('-');
            }
            written.push(character);
        }
        Secret::new(written)
    }
}

/// Reads codes, however often each is given.
///
/// # Errors
/// [`BreakGlassError::NotACode`] for the first that is none, and for too many.
pub fn read_codes<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<BTreeSet<Code>, BreakGlassError> {
    let codes = texts.into_iter().take(MOST + 1).map(Code::read).collect::<Result<BTreeSet<Code>, _>>()?;
    if codes.is_empty() || codes.len() > MOST { Err(BreakGlassError::NotACode) } else { Ok(codes) }
}

#[cfg(test)]
mod tests {
    use gateway_types::OsEntropy;

    use super::*;

    #[test]
    fn what_is_written_is_read_however_it_is_spelt() {
        let code = Code::generate(&OsEntropy);
        let written = code.written().expose().clone();
        assert_eq!(written.len(), 29);
        for spelt in [
            written.clone(),
            written.to_lowercase(),
            written.replace('-', " "),
            written.replace('0', "o"),
            written.replace('1', "l"),
        ] {
            assert_eq!(Code::read(&spelt).unwrap(), code, "{spelt}");
        }
        assert_eq!(read_codes([written.as_str(), &written.to_lowercase()]).unwrap().len(), 1, "one is one");
    }

    #[test]
    fn what_is_no_code() {
        let code = Code::generate(&OsEntropy).written().expose().clone();
        for bad in
            ["", "-----", &code[..28], &format!("{code}0"), &code.replacen(|_c: char| true, "U", 1), "ＡＢＣ"]
        {
            assert!(Code::read(bad).is_err(), "{bad}");
        }
        assert!(read_codes([]).is_err());
    }
}
