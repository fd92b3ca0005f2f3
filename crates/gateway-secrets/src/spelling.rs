//! Other spellings of a text: what is left when percent signs and backslash escapes are undone.
//! It must not know what the text means.

/// How often escapes are undone. Each round undoes one layer; honest texts have at most two.
const ROUNDS: usize = 4;

/// The bytes of `text` after each round of undoing escapes, lower-cased, the text itself first.
/// Stops when a round changes nothing.
pub(crate) fn spellings(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let mut next = Some(text.to_ascii_lowercase().into_bytes());
    let mut rounds = 0;
    std::iter::from_fn(move || {
        let present = next.take()?;
        if rounds < ROUNDS {
            rounds += 1;
            let undone = undo_escapes(&present);
            next = (undone != present).then_some(undone);
        }
        Some(present)
    })
}

/// Undoes one layer of `%2d`, `\x2d` and `\u002d`; other escapes stay as they are.
fn undo_escapes(text: &[u8]) -> Vec<u8> {
    let mut undone = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, remaining) = match rest {
            [b'%', after @ ..] | [b'\\', b'x', after @ ..] => hex_byte(after),
            [b'\\', b'u', b'0', b'0', after @ ..] => hex_byte(after),
            _ => None,
        }
        .unwrap_or((first, after));
        undone.push(byte.to_ascii_lowercase());
        rest = remaining;
    }
    undone
}

fn hex_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(*high)? << 4 | digit(*low)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_escapes_come_off_one_by_one() {
        let all: Vec<String> =
            spellings("A%252D").map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
        assert_eq!(all, ["a%252d", "a%2d", "a-"]);
    }

    #[test]
    fn broken_escapes_stay() {
        for text in ["%", "%2", "%zz", "\\u00", "\\u002", "\\x", "100%"] {
            assert_eq!(undo_escapes(text.as_bytes()), text.as_bytes(), "{text}");
        }
    }
}
