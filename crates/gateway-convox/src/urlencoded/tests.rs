use super::*;

fn fine(text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    assert_eq!(pairs(text.as_bytes(), RawBytes::Ascii), Ok(expected), "{text}");
}

fn bad(text: &[u8], fault: EncodingFault) {
    assert_eq!(pairs(text, RawBytes::Ascii), Err(fault), "{text:?}");
}

#[test]
fn well_formed_text() {
    fine("", &[]);
    fine("a=1&b=", &[("a", "1"), ("b", "")]);
    fine("a=1+2%202", &[("a", "1 2 2")]);
    fine("a=b=c", &[("a", "b=c")]);
    fine("a=%C3%A9%0a", &[("a", "é\n")]);
    fine("a=1&a=2", &[("a", "1"), ("a", "2")]);
    fine("a%5B%5D=1", &[("a[]", "1")]);
}

#[test]
fn a11_everything_odd_is_an_error() {
    for text in ["&", "a=1&", "&a=1", "a=1&&b=2"] {
        bad(text.as_bytes(), EncodingFault::EmptyPair);
    }
    bad(b"a", EncodingFault::MissingEquals);
    bad(b"a=1&lock", EncodingFault::MissingEquals);
    bad(b"=1", EncodingFault::EmptyName);
    for text in ["a=%", "a=%2", "a=%zz", "%=1", "a=%u0041", "a=%+1"] {
        bad(text.as_bytes(), EncodingFault::BadEscape);
    }
    for text in ["a=1;b=2", "a=b c", "a=\n", "a=\0", "a=\u{7f}", "a=é"] {
        bad(text.as_bytes(), EncodingFault::RawByte);
    }
    for text in ["a=%ff", "a=%c0%ae", "%80=1"] {
        bad(text.as_bytes(), EncodingFault::NotUtf8);
    }
}

#[test]
fn bodies_may_hold_raw_utf8() {
    assert_eq!(pairs("a=é".as_bytes(), RawBytes::Utf8), Ok(vec![("a".to_owned(), "é".to_owned())]));
    assert_eq!(pairs(b"a=\xff", RawBytes::Utf8), Err(EncodingFault::NotUtf8));
    assert_eq!(pairs(b"a=\r\n", RawBytes::Utf8), Err(EncodingFault::RawByte));
}

#[test]
fn ten_thousand_pairs_are_read_in_one_go() {
    let text = write(std::iter::repeat_n(("a", "1"), 10_000));
    assert_eq!(pairs(text.as_bytes(), RawBytes::Ascii).map(|pairs| pairs.len()), Ok(10_000));
}
