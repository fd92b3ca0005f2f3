//! Characters and words that readers of YAML 1.1 and 1.2 take differently.

use super::ManifestFault;
use super::placeholder::{CLOSE, OPEN, has_mark};
use super::tree::Scalar;

/// Words that are a truth value to YAML 1.1 or to some reader of it, in lower case.
const TRUTH: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "t", "f"];

/// Refuses control characters, the line breaks that only YAML 1.1 knows, byte order marks within the text, and the marks
/// that stand for placeholders.
pub(super) fn check_characters(text: &str) -> Result<(), ManifestFault> {
    let mut line = 1;
    for letter in text.chars() {
        match letter {
            '\n' => line += 1,
            '\t' | '\r' => {}
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | OPEN | CLOSE => {
                return Err(character(letter, line));
            }
            letter if letter.is_control() => return Err(character(letter, line)),
            _ => {}
        }
    }
    Ok(())
}

fn character(letter: char, line: usize) -> ManifestFault {
    ManifestFault::Character { line, character: format!("U+{:04X}", u32::from(letter)) }
}

/// Nothing: an empty value, `~` or `null`.
pub(super) fn is_null(word: &Scalar) -> bool {
    word.is_plain && matches!(word.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
}

/// Whether some reader takes a word without quotes for a number, a date or a truth value and writes it in another way
/// (`010` becomes `8`). Errs on the side of asking for quotes.
pub(super) fn is_ambiguous(word: &Scalar) -> bool {
    if !word.is_plain || has_mark(&word.text) {
        return false;
    }
    let lower = word.text.to_ascii_lowercase();
    let is_special = TRUTH.contains(&lower.as_str())
        || matches!(lower.as_str(), ".inf" | "+.inf" | "-.inf" | ".nan" | "<<" | "=");
    is_special || looks_like_number(&lower)
}

/// Numbers of any base, with exponents and underscores, dates and times.
fn looks_like_number(lower: &str) -> bool {
    lower.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'))
        && lower.contains(|letter: char| letter.is_ascii_digit())
        && lower.chars().all(|letter| {
            letter.is_ascii_hexdigit()
                || matches!(letter, 'x' | 'o' | '_' | '.' | '+' | '-' | ':' | 't' | 'z' | ' ' | ',')
        })
}

/// A name as the rack takes it.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
}
