use std::time::Duration;

use gateway_types::OsEntropy;
use proptest::prelude::*;

use super::*;

fn rfc() -> TotpSecret {
    TotpSecret::from_bytes(Secret::new(b"12345678901234567890".to_vec()))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn shown(secret: &TotpSecret, seconds: i64) -> String {
    secret.code(TotpStep::at(at(seconds))).unwrap().digits().expose().clone()
}

/// RFC 6238, appendix B, the SHA-1 column: its eight digits without the first two.
#[test]
fn the_vectors_of_rfc_6238() {
    for (seconds, code) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ] {
        assert_eq!(shown(&rfc(), seconds), code, "{seconds}");
        let typed: TotpCode = code.parse().unwrap();
        assert_eq!(rfc().matching_step(&typed, at(seconds)), Some(TotpStep(seconds / 30)), "{seconds}");
    }
}

/// RFC 4226, appendix D: the same with a plain counter.
#[test]
fn the_vectors_of_rfc_4226() {
    let codes = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583"];
    for (step, code) in (0i64..).zip(codes) {
        assert_eq!(rfc().code(TotpStep(step)).unwrap().digits().expose(), code);
    }
}

#[test]
fn g1_a_code_is_good_one_step_early_and_late_and_no_more() {
    let secret = rfc();
    let code: TotpCode = shown(&secret, 3000).parse().unwrap();
    for (now, good) in [
        (2939, false),
        (2969, false),
        (2970, true),
        (2999, true),
        (3000, true),
        (3029, true),
        (3030, true),
        (3059, true),
        (3060, false),
        (3100, false),
    ] {
        let expected = good.then_some(TotpStep(100));
        assert_eq!(secret.matching_step(&code, at(now)), expected, "at {now}");
    }
}

#[test]
fn g1_nothing_but_six_ascii_digits_is_a_code() {
    for good in ["000000", "012345", "999999"] {
        assert_eq!(good.parse::<TotpCode>().unwrap().digits().expose(), good);
    }
    for bad in [
        "",
        "12345",
        "1234567",
        " 123456",
        "123456 ",
        "123 456",
        "+12345",
        "-12345",
        "12345a",
        "0x1234",
        // Digits that `char::is_numeric` would take: full-width, Arabic-Indic, and six bytes of two of them.
        "１２３４５６",
        "١٢٣٤٥٦",
        "１２",
        "١٢٣",
        "12345\n",
        "1234.5",
    ] {
        assert!(bad.parse::<TotpCode>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_moment_before_1970_has_no_code() {
    assert!(rfc().code(TotpStep::at(at(-1))).is_none());
    let code: TotpCode = shown(&rfc(), 0).parse().unwrap();
    assert_eq!(rfc().matching_step(&code, at(-1)), Some(TotpStep(0)));
    assert_eq!(rfc().matching_step(&code, Timestamp::from_micros(i64::MIN)), None);
    assert_eq!(rfc().matching_step(&code, Timestamp::from_micros(i64::MAX)), None);
}

#[test]
fn a_new_secret_has_160_bits_and_is_its_own() {
    let (one, other) = (TotpSecret::generate(&OsEntropy), TotpSecret::generate(&OsEntropy));
    assert_eq!((one.bytes().expose().len(), one.base32().expose().len()), (20, 32));
    assert_ne!(one.base32(), other.base32());
}

#[test]
fn the_address_for_authenticators() {
    let url = rfc().otpauth_url("Rack Gateway (a&b)", "ann+ops@example.com");
    assert_eq!(
        url.expose(),
        "otpauth://totp/Rack%20Gateway%20%28a%26b%29:ann%2Bops%40example.com\
         ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Rack%20Gateway%20%28a%26b%29\
         &algorithm=SHA1&digits=6&period=30"
    );
}

#[test]
fn nothing_secret_is_printed() {
    let code: TotpCode = "123456".parse().unwrap();
    let text = format!("{code:?} {:?}", rfc());
    assert!(!text.contains("123456") && !text.contains("49, 50"), "{text}");
}

proptest! {
    #[test]
    fn a_step_holds_exactly_its_thirty_seconds(seconds in 0i64..4_000_000_000) {
        let step = TotpStep::at(at(seconds));
        prop_assert!(step.0 * 30 <= seconds && seconds < (step.0 + 1) * 30);
        let code: TotpCode = shown(&rfc(), seconds).parse().unwrap();
        // The latest step that has the code: this one, or by accident the next.
        let found = rfc().matching_step(&code, at(seconds)).unwrap();
        prop_assert!(found == step || found.0 == step.0 + 1);
        let later = at(seconds).saturating_add(Duration::from_secs(30));
        prop_assert!(rfc().matching_step(&code, later).is_some());
    }
}
