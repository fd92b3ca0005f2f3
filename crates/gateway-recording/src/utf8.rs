//! Text out of bytes that come in pieces: a character that two pieces share stays one character.

/// Puts pieces of UTF-8 together. What is no UTF-8 becomes U+FFFD, exactly as if all bytes had come at once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Utf8Joiner {
    /// The beginning of a character whose end is still to come: at most 3 bytes.
    begun: Vec<u8>,
}

impl Utf8Joiner {
    /// Takes a piece and adds the text that is certain to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut String) {
        if self.begun.is_empty() {
            self.begun = decode(piece, out);
        } else {
            let mut whole = std::mem::take(&mut self.begun);
            whole.extend_from_slice(piece);
            self.begun = decode(&whole, out);
        }
    }

    /// The end of the stream: a character that was only begun is none.
    pub fn finish(&mut self, out: &mut String) {
        if !std::mem::take(&mut self.begun).is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Adds what can be read to `out`, and returns the beginning of a character at the end.
fn decode(mut bytes: &[u8], out: &mut String) -> Vec<u8> {
    loop {
        let error = match std::str::from_utf8(bytes) {
            Ok(text) => {
                out.push_str(text);
                return Vec::new();
            }
            Err(error) => error,
        };
        let (good, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or((bytes, &[]));
        out.push_str(std::str::from_utf8(good).unwrap_or_default());
        let Some(bad) = error.error_len() else { return rest.to_vec() };
        out.push(char::REPLACEMENT_CHARACTER);
        bytes = rest.get(bad..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_cut_reads_the_same(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0xe0u8..=0xf4, 0x80u8..=0xbf], 0..60),
            cuts in proptest::collection::vec(1usize..5, 1..20),
        ) {
            let (mut joiner, mut text, mut rest) = (Utf8Joiner::default(), String::new(), bytes.as_slice());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                joiner.push(piece, &mut text);
                rest = after;
            }
            joiner.finish(&mut text);
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}
