use gateway_types::OsEntropy;

use super::*;

const OTP: &str = "cccccccfhcbelrhifnjrrddcgrburluurftrgfdrdifj";

fn client() -> Client {
    Client {
        url: "https://api.example.com/wsapi/2.0/verify".to_owned(),
        id: 87,
        key: Secret::new(b"sixteen bytes!!!".to_vec()),
    }
}

fn otp(text: &str) -> Option<YubicoOtp> {
    text.parse().ok()
}

/// A reply of the server with these fields, signed.
fn reply(fields: &[(&'static str, &str)]) -> String {
    let fields: BTreeMap<&str, String> =
        fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let mut lines = vec![format!("h={}", client().signature(&fields))];
    lines.extend(fields.iter().map(|(name, value)| format!("{name}={value}")));
    lines.join("\r\n")
}

#[test]
fn what_keys_type() {
    assert_eq!(otp(OTP).unwrap().public_id(), "cccccccfhcbe");
    assert_eq!(otp(&OTP.to_uppercase()).unwrap().digest(), otp(OTP).unwrap().digest());
    for bad in ["", "123456", &OTP[1..], &format!("{OTP}c"), &OTP.replace('f', "a"), &OTP.replace('f', "é")]
    {
        assert!(otp(bad).is_none(), "{bad}");
    }
    assert_eq!(format!("{:?}", otp(OTP).unwrap()), "YubicoOtp(cccccccfhcbe…)");
}

#[test]
fn a_question_is_signed_and_never_the_same() {
    let (client, otp) = (client(), otp(OTP).unwrap());
    let (one, other) = (client.ask(&otp, &OsEntropy), client.ask(&otp, &OsEntropy));
    assert_ne!(one.nonce, other.nonce);
    let url = one.url.expose();
    let signed = format!("id=87&nonce={}&otp={OTP}&timestamp=1", one.nonce);
    assert!(url.starts_with(&format!("https://api.example.com/wsapi/2.0/verify?{signed}&h=")), "{url}");
    assert_eq!(one.nonce.len(), 32);
    assert!(!format!("{one:?}").contains(OTP));
}

#[test]
fn a_reply_counts_only_when_it_is_one_to_this_question() {
    let (client, otp) = (client(), otp(OTP).unwrap());
    let question = client.ask(&otp, &OsEntropy);
    let nonce = question.nonce.clone();
    let good = |changed: &[(&'static str, &str)], without: &str| {
        let mut fields = vec![
            ("otp", OTP),
            ("nonce", &*nonce),
            ("t", "2026-11-22T10:00:00Z0123"),
            ("status", "OK"),
            ("timestamp", "100"),
            ("sessioncounter", "258"),
            ("sessionuse", "7"),
            ("sl", "100"),
        ];
        fields.retain(|(name, _)| *name != without && changed.iter().all(|(other, _)| other != name));
        fields.extend_from_slice(changed);
        reply(&fields)
    };
    let judge = |text: &str| match client.judge(&question, &otp, text) {
        Ok(counters) => counters.both.to_string(),
        Err(YubicoFault::Untrusted { what }) => what.to_owned(),
        Err(fault) => format!("{fault:?}"),
    };
    assert_eq!(judge(&good(&[], "")), (258 * 256 + 7).to_string());
    assert_eq!(judge(&good(&[("status", "REPLAYED_OTP")], "")), "Replayed");
    assert_eq!(judge(&good(&[("status", "REPLAYED_REQUEST")], "")), "Replayed");
    assert_eq!(judge(&good(&[("status", "BAD_OTP")], "")), "Wrong");
    for status in ["BACKEND_ERROR", "NO_SUCH_CLIENT", "OPERATION_NOT_ALLOWED", "ok", ""] {
        let refused = format!("Refused {{ status: {status:?} }}");
        assert_eq!(judge(&good(&[("status", status)], "")), refused);
    }
    assert_eq!(judge(&good(&[("nonce", "0123456789abcdef0123456789abcdef")], "")), "its nonce");
    assert_eq!(judge(&good(&[], "nonce")), "its nonce");
    assert_eq!(judge(&good(&[("otp", &OTP.replace('f', "g"))], "")), "its password");
    assert_eq!(judge(&good(&[], "sessioncounter")), "its counters");
    assert_eq!(judge(&good(&[("sessionuse", "256")], "")), "its counters");
    assert_eq!(judge(&good(&[("sessionuse", "-1")], "")), "its counters");
    // Changed on the way, or signed with nothing.
    assert_eq!(judge(&good(&[], "").replace("sl=100", "sl=0")), "its signature");
    assert_eq!(judge(&good(&[], "").replace("h=", "x=")), "its signature");
    assert_eq!(judge(&format!("{}\r\nstatus=OK", good(&[], ""))), "a name that is there twice");
    assert_eq!(judge("OK"), "a line without a name");
    assert_eq!(judge(""), "its signature");
}
