use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn masker(values: &[&str]) -> Masker {
    let mut known = KnownValues::default();
    for (position, value) in values.iter().enumerate() {
        known.insert(value, &format!("<{position}>"));
    }
    Masker::new(&known)
}

/// The output of a stream that comes in chunks of these lengths, again and again.
fn streamed(masker: &Masker, text: &[u8], lengths: &[usize]) -> Vec<u8> {
    let (mut stream, mut out, mut rest) = (masker.stream(), Vec::new(), text);
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*length).clamp(1, rest.len()));
        stream.push(chunk, &mut out);
        rest = after;
    }
    stream.finish(&mut out);
    out
}

fn check(values: &[&str], text: &str, expected: &str) {
    let masker = masker(values);
    assert_eq!(masker.mask(text), expected, "{values:?} in {text:?}");
    for length in [1, 2, 3, 7, 127, 128, 129, 1000] {
        let out = String::from_utf8(streamed(&masker, text.as_bytes(), &[length])).unwrap();
        assert_eq!(out, expected, "{values:?} in {text:?} by {length}");
    }
}

#[test]
fn values_are_masked_in_every_spelling() {
    check(&[], "some text", "some text");
    check(&["topsecret"], "", "");
    check(&["topsecret"], "a topsecret and topsecre", "a <0> and topsecre");
    check(&["topsecret"], "topsecrettopsecret", "<0><0>");
    check(&["top&secret"], "x=top%26secret&y", "x=<0>&y");
    check(&["top\"secret"], r#"{"a":"top\"secret"}"#, r#"{"a":"<0>"}"#);
    check(&["pässwörd-ä"], "ä pässwörd-ä ä p%C3%A4ssw%C3%B6rd-%C3%A4", "ä <0> ä <0>");
    let basic = data_encoding::BASE64.encode(b"user:topsecretvalue");
    let masked = masker(&["topsecretvalue"]).mask(&basic);
    assert!(masked.starts_with("dXNlcj") && masked.contains("<0>"), "{masked}");
    assert!(masked.len() < 20, "{masked}");
}

#[test]
fn long_values_are_masked_whole_over_any_boundary() {
    let long: String = (0..200).map(|number| format!("{number:03}x")).collect();
    let text = format!("<{long}>{long}{long}.");
    check(&[&long], &text, "<<0>><0>.");
    check(&[&long[..300], "topsecret"], &format!("{}topsecret", &long[..300]), "<0><1>");
}

#[test]
fn bytes_that_are_no_text_pass() {
    let masker = masker(&["topsecret"]);
    let text = b"\xff\xfe topsecret \x00\xc3";
    for length in [1, 5, 200] {
        assert_eq!(streamed(&masker, text, &[length]), b"\xff\xfe <0> \x00\xc3");
    }
}

#[test]
fn what_waits_is_bounded_and_debug_shows_no_value() {
    let masker = masker(&["topsecret"]);
    let (mut stream, mut out) = (masker.stream(), Vec::new());
    stream.push(&[b'x'; 10_000], &mut out);
    assert!(out.len() > 10_000 - LONGEST);
    assert!(!format!("{masker:?} {stream:?}").contains("topsecret"));
}

/// Printed with `--nocapture`. Debug builds are some thirty times slower than the product; the bound only catches what
/// is not linear.
#[test]
fn throughput_is_linear() {
    let values: Vec<String> =
        (0..200).map(|number| format!("s3cr3t-value-{number:04}-{:08x}", number * 7_919)).collect();
    let masker = masker(&values.iter().map(String::as_str).collect::<Vec<_>>());
    let line =
        "2026-11-22T10:00:00Z web.1 GET /path?token=abcdef HTTP/1.1 200 12ms s3cr3t-value-00 and more\n";
    let text = line.repeat(4 * 1024 * 1024 / line.len());
    let (mut stream, mut out) = (masker.stream(), Vec::with_capacity(text.len()));
    let begun = Instant::now();
    for chunk in text.as_bytes().chunks(16 * 1024) {
        stream.push(chunk, &mut out);
    }
    stream.finish(&mut out);
    let seconds = begun.elapsed().as_secs_f64();
    println!("{:.0} MB/s over {} spellings", text.len() as f64 / 1e6 / seconds, masker.scanner.len());
    assert_eq!(out.len(), text.len());
    assert!(seconds < 60.0, "{seconds} s for {} bytes", text.len());
}

proptest! {
    /// However the stream is cut, the output is that of the whole.
    #[test]
    fn any_cut_gives_the_same(
        values in proptest::collection::vec("[ab&\"/]{6,9}|[ab]{100,300}", 1..5),
        pieces in proptest::collection::vec((0..6_usize, 0..12_usize, "[ab&\"/%=]{0,40}"), 0..8),
        lengths in proptest::collection::vec(1..200_usize, 1..8),
    ) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let masker = masker(&values);
        let mut text = String::new();
        for (which, how, between) in &pieces {
            let value = values[which % values.len()];
            let spellings = crate::encodings::encodings(value);
            text.push_str(between);
            text.push_str(spellings.get(*how).map_or(value, String::as_str));
        }
        let whole = masker.mask(&text);
        for lengths in [&lengths[..], &[1], &[text.len().max(1)]] {
            let cut = String::from_utf8(streamed(&masker, text.as_bytes(), lengths)).unwrap();
            prop_assert_eq!(&cut, &whole);
        }
        prop_assert!(values.iter().all(|value| !whole.contains(value)), "{}", whole);
    }
}
