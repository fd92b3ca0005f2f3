use gateway_types::{OsEntropy, Timestamp};
use serde_json::{Value, json};

use super::*;

fn party(id: &str, origin: &str) -> bool {
    RelyingParty::new(id, origin).is_ok()
}

#[test]
fn keys_are_for_names() {
    assert!(party("gateway.example.com", "https://gateway.example.com"));
    assert!(party("gateway.example.com", "https://gateway.example.com:8443"));
    assert!(party("localhost", "http://localhost:8443"));
    assert!(!party("127.0.0.1", "http://127.0.0.1:8443"));
    assert!(!party("[::1]", "http://[::1]:8443"));
    assert!(!party("gateway.example.com", "https://evil.example.net"));
    assert!(!party("gateway.example.com", "https://notgateway.example.com"));
    assert!(!party("localhost", ""));
}

#[test]
fn an_enrolment_asks_for_verification_and_no_attestation() {
    let party = RelyingParty::new("localhost", "http://localhost:8443").unwrap();
    let user = UserId::new(Timestamp::from_micros(0), &OsEntropy);
    let one = party.begin_enrolment(user, "a@example.com", &[]).unwrap();
    let other = party.begin_enrolment(user, "a@example.com", &[]).unwrap();
    assert_ne!(one.challenge, other.challenge);
    let options: Value = serde_json::from_str(&one.options).unwrap();
    let options = &options["publicKey"];
    assert_eq!(options["rp"], json!({ "name": "Rack Gateway", "id": "localhost" }));
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert!(options["attestation"].is_null() || options["attestation"] == "none", "{options}");
    let challenge = BASE64URL_NOPAD.decode(options["challenge"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!((challenge.len(), sha256_hex(&challenge)), (32, one.challenge));
}

#[test]
fn answers_that_are_none() {
    let client_data = |challenge: &str| {
        let data = json!({ "type": "webauthn.get", "challenge": challenge, "origin": "http://localhost" });
        BASE64URL_NOPAD.encode(data.to_string().as_bytes())
    };
    let answer = |client_data: String| {
        let answer = json!({
            "id": "AAAA", "rawId": "AAAA", "type": "public-key",
            "response": { "authenticatorData": "AAAA", "clientDataJSON": client_data, "signature": "AAAA" },
        });
        BASE64URL_NOPAD.encode(answer.to_string().as_bytes())
    };
    let good: Assertion = answer(client_data("AAAA")).parse().unwrap();
    assert_eq!(good.challenge(), sha256_hex(&[0, 0, 0]));
    let long = "A".repeat(LONGEST_ANSWER * 2);
    for bad in ["", "AAAA", "é", &long, &answer("AAAA".to_owned()), &answer(client_data("not base64!"))] {
        assert!(bad.parse::<Assertion>().is_err(), "{bad}");
    }
    assert!(finish_assertion("{}", &good).is_err());
}
