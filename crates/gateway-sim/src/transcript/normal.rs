//! What differs from run to run: times, tokens, and the ids a rack makes up. Times and tokens are masked, ids
//! are learnt: where the recording has one and the rack gives another in the same place, the replay goes on with
//! the rack's.

use std::collections::BTreeMap;

/// Recorded ids and what stands for them now.
#[derive(Clone, Debug, Default)]
pub struct Ids(BTreeMap<String, String>);

/// Something in a text that differs from run to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Time,
    Jwt,
    /// `B` or `R` and ten capitals.
    Id,
    /// `-runNNNNN` at the end of a process id.
    Run,
}

impl Ids {
    /// Learns from a recorded text and what came in its place. The first meeting counts.
    pub fn learn(&mut self, recorded: &[u8], actual: &[u8]) {
        let (Ok(recorded), Ok(actual)) = (std::str::from_utf8(recorded), std::str::from_utf8(actual)) else {
            return;
        };
        let ids = |text| split(text).into_iter().filter_map(|(part, token)| Some((part, token?)));
        let wanted = |(_, token): &(&str, Token)| matches!(token, Token::Id | Token::Run);
        for ((old, kind), (new, same_kind)) in ids(recorded).filter(wanted).zip(ids(actual).filter(wanted)) {
            if kind == same_kind && old.len() == new.len() && old.as_bytes().first() == new.as_bytes().first()
            {
                self.0.entry(old.to_lowercase()).or_insert_with(|| new.to_lowercase());
                self.0.entry(old.to_owned()).or_insert_with(|| new.to_owned());
            }
        }
    }

    /// A recorded text with the ids of now.
    pub fn apply(&self, recorded: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(recorded) else { return recorded.to_vec() };
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let known = self.0.iter().find(|(old, _)| rest.starts_with(old.as_str()));
            let (used, put) = known.map_or((c.len_utf8(), None), |(old, new)| (old.len(), Some(new)));
            let (taken, tail) = rest.split_at(used);
            out.push_str(put.map_or(taken, String::as_str));
            rest = tail;
        }
        out.into_bytes()
    }
}

/// A text with times and tokens masked. Bytes that are no UTF-8 stay, but for the times in a tar header.
pub fn normalise(bytes: &[u8]) -> Vec<u8> {
    if bytes.len().is_multiple_of(512) && bytes.get(257..262) == Some(b"ustar") {
        // Modification time and the checksum that depends on it.
        let masked =
            |(position, byte): (usize, &u8)| if (136..156).contains(&position) { b'0' } else { *byte };
        return bytes.iter().enumerate().map(masked).collect();
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    let masked = |(part, token): (&str, Option<Token>)| match token {
        Some(Token::Time) if part.starts_with("0001-") => part.to_owned(),
        Some(Token::Time) => "<time>".to_owned(),
        Some(Token::Jwt) => "<jwt>".to_owned(),
        Some(Token::Id | Token::Run) | None => part.to_owned(),
    };
    split(text).into_iter().map(masked).collect::<String>().into_bytes()
}

/// Cuts a text into tokens and what stands between them.
fn split(text: &str) -> Vec<(&str, Option<Token>)> {
    let mut parts = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    let mut before = ' ';
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        match token(rest).filter(|_| !before.is_ascii_alphanumeric()) {
            Some((length, token)) => {
                parts.push((text.get(plain..at).unwrap_or_default(), None));
                parts.push((text.get(at..at + length).unwrap_or_default(), Some(token)));
                at += length;
                plain = at;
                before = 'x';
            }
            None => {
                before = rest.chars().next().unwrap_or(' ');
                at += before.len_utf8();
            }
        }
    }
    parts.push((text.get(plain..).unwrap_or_default(), None));
    parts
}

/// The token a text begins with, and its length.
fn token(text: &str) -> Option<(usize, Token)> {
    let bytes = text.as_bytes();
    let run = |test: fn(&u8) -> bool, from: usize| {
        bytes.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| test(byte)).count())
    };
    match bytes.first()? {
        b'0'..=b'9' => {
            let shape = b"dddd-dd-ddTdd:dd:dd";
            let fits =
                |(byte, want): (&u8, &u8)| if *want == b'd' { byte.is_ascii_digit() } else { byte == want };
            let whole = bytes.len() > shape.len() && bytes.iter().zip(shape).all(fits);
            let mut end = shape.len();
            if bytes.get(end) == Some(&b'.') {
                end += 1 + run(u8::is_ascii_digit, end + 1);
            }
            (whole && bytes.get(end) == Some(&b'Z')).then_some((end + 1, Token::Time))
        }
        b'B' | b'R' => {
            let is_id = run(u8::is_ascii_uppercase, 1) == 10 && run(u8::is_ascii_alphanumeric, 1) == 10;
            is_id.then_some((11, Token::Id))
        }
        b'r' => {
            let is_run = text.starts_with("run") && run(u8::is_ascii_digit, 3) == 5;
            is_run.then_some((8, Token::Run))
        }
        b'e' if text.starts_with("eyJ") => {
            let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            Some((run(part, 0), Token::Jwt))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_tokens_are_masked_and_ids_are_not() {
        let cases = [
            ("at 2026-11-22T00:09:15Z.", "at <time>."),
            ("2026-11-22T00:09:15.123Z", "<time>"),
            ("\"ended\": \"0001-01-01T00:00:00Z\"", "\"ended\": \"0001-01-01T00:00:00Z\""),
            ("RWJVNSHHGBV RSEED00001", "RWJVNSHHGBV RSEED00001"),
            ("\"eyJhbGci.eyJl.7b-_\"", "\"<jwt>\""),
            ("2026-11-22", "2026-11-22"),
        ];
        for (text, masked) in cases {
            assert_eq!(String::from_utf8(normalise(text.as_bytes())).unwrap(), masked);
        }
    }

    #[test]
    fn ids_are_learnt_in_both_cases_and_only_once() {
        let mut ids = Ids::default();
        ids.learn(
            b"{\"id\": \"BYBBEAXRRLU\", \"r\": \"RSEED00001\"}",
            b"{\"id\": \"BAAAAAAAAAA\", \"r\": \"RSEED00001\"}",
        );
        ids.learn(b"BYBBEAXRRLU x-run00004", b"BCCCCCCCCCC x-run00009");
        let applied = ids.apply(b"/builds/BYBBEAXRRLU build-bybbeaxrrlu x-run00004");
        assert_eq!(applied, b"/builds/BAAAAAAAAAA build-baaaaaaaaaa x-run00009");
    }
}
