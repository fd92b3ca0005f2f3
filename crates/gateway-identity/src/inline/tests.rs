use gateway_types::{OsEntropy, TokenKind};

use super::*;

/// `credential|factor`, or the error's variant.
fn check(presented: &str, expected: &str) {
    let actual = match split(presented) {
        Ok(Presented { credential, factor: None }) => format!("{credential}|"),
        Ok(Presented { credential, factor: Some(InlineFactor::Totp(code)) }) => {
            format!("{credential}|totp {}", code.digits().expose())
        }
        Ok(Presented { credential, factor: Some(InlineFactor::Backup(code)) }) => {
            format!("{credential}|backup {}", code.shown().expose())
        }
        Ok(Presented { credential, factor: Some(InlineFactor::Webauthn(_)) }) => {
            format!("{credential}|webauthn")
        }
        Ok(Presented { credential, factor: Some(InlineFactor::Yubico(otp)) }) => {
            format!("{credential}|yubico {}", otp.public_id())
        }
        Err(error) => format!("{error:?}").split('(').next().unwrap().to_owned(),
    };
    assert_eq!(actual, expected, "{presented}");
}

#[test]
fn the_suffixes() {
    check("rgs_x", "rgs_x|");
    check("rgs_x.totp.123456", "rgs_x|totp 123456");
    check("rgs_x.totp.000000", "rgs_x|totp 000000");
    check("rgw_x.totp.123456", "rgw_x|totp 123456");
    check("rgs_x.backup.ABCDE-fgh12", "rgs_x|backup abcde-fgh12");
    check("rgs_x.webauthn.eyJ", "Webauthn");
    check("rgs_x.webauthn.", "Webauthn");
    let otp = "cccccccfhcbelrhifnjrrddcgrburluurftrgfdrdifj";
    check(&format!("rgs_x.yubico.{otp}"), "rgs_x|yubico cccccccfhcbe");
    check("rgs_x.yubico.cccc", "Yubico");
}

#[test]
fn a_malformed_suffix_is_an_error_and_no_other_credential() {
    for code in ["", "12345", "1234567", "12345x", " 123456", "１２３４５６", "-12345"] {
        check(&format!("rgs_x.totp.{code}"), "Totp");
    }
    check("rgs_x.backup.", "Backup");
    for other in
        [".", ".totp", ".123456", ".otp.123456", ".TOTP.123456", "..123456", ".totp..", ".totp.123456."]
    {
        check(&format!("rgs_x{other}"), "NoFactor");
    }
    check("rgs_x.totp.123456.totp.123456", "MoreThanOne");
    check("rgs_x.webauthn.eyJ.totp.123456", "MoreThanOne");
    check("rgs_x.totp.123456.webauthn.eyJ", "MoreThanOne");
}

#[test]
fn tokens_of_others_keep_their_dots() {
    check("", "|");
    check("eyJh.eyJz.c2ln", "eyJh.eyJz.c2ln|");
    check("eyJh.eyJz.c2ln.totp.123456", "eyJh.eyJz.c2ln|totp 123456");
    check("eyJh.eyJz.c2ln.totp.12345", "Totp");
    check("a.b", "a.b|");
}

#[test]
fn what_the_gateway_issues_is_never_cut() {
    for kind in TokenKind::ALL {
        for _ in 0..200 {
            let issued = kind.generate(&OsEntropy);
            check(issued.expose(), &format!("{}|", issued.expose()));
        }
    }
}

#[test]
fn errors_hold_nothing_of_the_credential() {
    for presented in ["rgs_hunter2.totp.98765x", "rgs_hunter2.x", "rgs_hunter2.backup.98765x"] {
        let text = split(presented).unwrap_err().to_string();
        assert!(!text.contains("hunter2") && !text.contains("98765"), "{text}");
        assert!(!text.contains('%'));
    }
}
