//! Cutting, escaping, and the table of hazards.

use super::*;

fn check_word(text: &str, expected: &str) {
    assert_eq!(word(text), expected, "{text:?}");
}

#[test]
fn words() {
    check_word("ada@example.com", "ada@example.com");
    check_word("żółw→日本", "żółw→日本");
    check_word("", "\"\"");
    check_word("token:my ci", "\"token:my ci\"");
    check_word("a\"b\\c", "\"a\\\"b\\\\c\"");
    check_word("a\nb", "\"a\\u000ab\"");
    check_word("\u{1b}[31m", "\"\\u001b[31m\"");
    check_word("x\u{202e}gpj", "\"x\\u202egpj\"");
    check_word("a\u{3000}b", "\"a\\u3000b\"");
    check_word("\u{e0041}", "\"\\udb40\\udc41\"");
}

#[test]
fn hazards_are_what_they_should_be() {
    for c in ['\0', '\r', '\n', '\u{7f}', '\u{9b}', '\u{ad}', '\u{200b}', '\u{202e}', '\u{2066}', '\u{2069}']
    {
        assert!(is_hazard(c), "{:x}", u32::from(c));
    }
    for c in
        ['\u{61c}', '\u{2028}', '\u{feff}', '\u{fffe}', '\u{e000}', '\u{fe0f}', '\u{e0001}', '\u{10ffff}']
    {
        assert!(is_hazard(c), "{:x}", u32::from(c));
    }
    for c in [' ', '~', 'ä', '…', '—', '\u{fffd}', 'א', '日', '😀', '\u{20ac}'] {
        assert!(!is_hazard(c), "{:x}", u32::from(c));
    }
    for c in (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32) {
        assert!(c.is_control() && is_hazard(c));
    }
}

#[test]
fn short_text_is_kept_whole() {
    let text = "é".repeat(MAX_TEXT_BYTES / 2);
    assert_eq!(bounded(&text), text);
}

#[test]
fn long_text_is_cut_with_a_mark() {
    let text = format!("a{}", "é".repeat(MAX_TEXT_BYTES));
    let cut = bounded(&text);
    let (kept, mark) = cut.split_once('…').unwrap();
    assert_eq!(kept.len(), MAX_TEXT_BYTES - 1, "no character is split");
    assert!(text.starts_with(kept));
    let digest = digest(text.as_bytes()).to_hex();
    assert_eq!(mark, format!("(+{} bytes, sha256:{digest})", text.len() - kept.len()));
    assert!(bounded(&"x".repeat(1 << 20)).len() < MAX_TEXT_BYTES + 128);
}

#[test]
fn stray_bytes_are_shown() {
    assert_eq!(bounded_bytes(b"ok"), "ok");
    assert_eq!(bounded_bytes(b"a\xff\xfeb\xc3"), "a\\xff\\xfeb\\xc3");
}
