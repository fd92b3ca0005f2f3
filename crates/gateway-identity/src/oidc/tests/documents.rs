//! Discovery and keys: down, slow to change, too large, hostile.

use serde_json::{Value, json};

use super::idp::{DISCOVERY, HOUR, ISSUER, Idp, KEYS, NOW, Pair, claims, header, settings};
use super::key::TestKey;
use crate::oidc::{Endpoint, FaultSide, MAX_ANSWER_BYTES, OidcError, Provider, ProviderConfig, TokenFault};

#[test]
fn d8_a_provider_that_is_down_is_left_alone_for_a_moment() {
    let pair = Pair::new();
    pair.idp.down(DISCOVERY);
    let error = pair.begin().unwrap_err();
    assert!(matches!(error, OidcError::Unreachable { endpoint: Endpoint::Discovery, .. }), "{error:?}");
    assert_eq!(error.side(), FaultSide::Provider);
    for second in 0..10 {
        let error = pair.begin_at(NOW + second).unwrap_err();
        assert!(matches!(error, OidcError::RecentlyUnreachable { .. }), "{error:?}");
    }
    assert_eq!(pair.idp.count(DISCOVERY), 1);
    pair.idp.well();
    pair.begin_at(NOW + 10).unwrap();
    pair.begin_at(NOW + 11).unwrap();
    assert_eq!(pair.idp.count(DISCOVERY), 2);
    // After the clock moved back it is asked again: a fault of the clock must not lock everybody out.
    pair.begin_at(NOW - 1000).unwrap();
    assert_eq!(pair.idp.count(DISCOVERY), 3);
}

#[test]
fn d8_documents_are_remembered_for_an_hour() {
    let pair = Pair::new();
    let hour = i64::try_from(HOUR.as_secs()).unwrap();
    pair.begin().unwrap();
    pair.begin_at(NOW + hour - 1).unwrap();
    assert_eq!((pair.idp.count(DISCOVERY), pair.idp.count(KEYS)), (1, 1));
    pair.begin_at(NOW + hour).unwrap();
    assert_eq!((pair.idp.count(DISCOVERY), pair.idp.count(KEYS)), (2, 2));
    // What is remembered is not lost when the provider goes down, until it is too old.
    pair.idp.down(DISCOVERY);
    pair.begin_at(NOW + hour + 10).unwrap();
    assert!(pair.begin_at(NOW + 2 * hour).is_err());
}

#[test]
fn d8_answers_that_are_none_are_refused() {
    let refused = |path: &str, status: u16, body: Vec<u8>| {
        let pair = Pair::new();
        pair.idp.instead(path, status, body);
        pair.begin().unwrap_err()
    };
    for path in [DISCOVERY, KEYS] {
        for status in [201, 204, 301, 302, 304, 404, 500, 503] {
            let error = refused(path, status, b"{}".to_vec());
            assert!(matches!(error, OidcError::Status { status: other, .. } if other == status), "{error:?}");
        }
        for body in ["", "null", "[]", "<html>", "{\"keys\":7}", "{\"keys\":", &"[".repeat(100_000)] {
            let error = refused(path, 200, body.into());
            assert!(matches!(error, OidcError::Malformed { .. }), "{body:.20}: {error:?}");
            assert!(error.to_string().len() < 500);
        }
        let error = refused(path, 200, vec![b' '; MAX_ANSWER_BYTES + 1]);
        assert!(matches!(error, OidcError::Unreachable { .. }), "{error:?}");
        assert!(matches!(refused(path, 200, vec![b' '; 50_000_000]), OidcError::Unreachable { .. }));
    }
    assert!(matches!(refused(KEYS, 200, br#"{"keys":{}}"#.to_vec()), OidcError::Malformed { .. }));
}

#[test]
fn d8_ten_thousand_keys_are_too_many() {
    let pair = Pair::new();
    let key = json!({"kty": "oct", "kid": "k1", "k": "AA"});
    pair.idp.keys(&vec![key.clone(); 10_000]);
    let error = pair.begin().unwrap_err();
    assert!(matches!(error, OidcError::TooManyKeys { count: 10_000, .. }), "{error:?}");
    let pair = Pair::new();
    let mut keys = vec![key; 99];
    keys.push(TestKey::rsa().jwk(Some("k1")));
    pair.idp.keys(&keys);
    pair.sign_in(|_| {}).unwrap();
}

fn with_keys(keys: &[Value], header: &Value) -> Result<(), OidcError> {
    let pair = Pair::new();
    pair.idp.keys(keys);
    pair.sign_in_with(|nonce| TestKey::rsa().token(header, &claims(nonce).to_string())).map(drop)
}

fn is_fault(result: Result<(), OidcError>, expected: TokenFault) {
    assert!(
        matches!(&result, Err(OidcError::IdToken { fault, .. }) if *fault == expected),
        "{expected:?}: {result:?}"
    );
}

#[test]
fn d8_the_key_must_be_one() {
    let (one, other) = (TestKey::rsa(), TestKey::other_rsa());
    let without = json!({"alg": "RS256"});
    with_keys(&[one.jwk(Some("k1")), other.jwk(Some("k2"))], &header()).unwrap();
    is_fault(with_keys(&[one.jwk(Some("k1")), other.jwk(Some("k1"))], &header()), TokenFault::AmbiguousKey);
    is_fault(with_keys(&[one.jwk(Some("k1")), other.jwk(Some("k2"))], &without), TokenFault::AmbiguousKey);
    is_fault(with_keys(&[one.jwk(None), other.jwk(None)], &without), TokenFault::AmbiguousKey);
    with_keys(&[one.jwk(Some("k1"))], &without).unwrap();
    with_keys(&[one.jwk(None)], &without).unwrap();
    // A second key of another type is no second candidate.
    with_keys(&[one.jwk(None), TestKey::ec().jwk(None)], &without).unwrap();
    is_fault(with_keys(&[one.jwk(None)], &header()), TokenFault::UnknownKey);
    is_fault(with_keys(&[], &header()), TokenFault::UnknownKey);
    is_fault(with_keys(&[other.jwk(Some("k1"))], &header()), TokenFault::Signature);
    let mut for_encryption = one.jwk(Some("k1"));
    for_encryption["use"] = json!("enc");
    is_fault(with_keys(&[for_encryption], &header()), TokenFault::UnknownKey);
    let mut for_another = one.jwk(Some("k1"));
    for_another["alg"] = json!("PS256");
    is_fault(with_keys(&[for_another], &header()), TokenFault::UnknownKey);
}

#[test]
fn d8_new_keys_are_read_once_for_a_token_and_not_for_every_token() {
    let pair = Pair::new();
    pair.begin().unwrap();
    pair.idp.keys(&[TestKey::other_rsa().jwk(Some("k2"))]);
    let rotated = json!({"alg": "RS256", "kid": "k2"});
    let new = |nonce: &str| TestKey::other_rsa().token(&rotated, &claims(nonce).to_string());
    pair.sign_in_with(new).unwrap();
    assert_eq!(pair.idp.count(KEYS), 2);
    pair.sign_in_with(new).unwrap();
    assert_eq!(pair.idp.count(KEYS), 2, "the new keys are remembered");
    for number in 0..200 {
        let header = json!({"alg": "RS256", "kid": format!("flood-{number}")});
        let result = pair.sign_in_with(|nonce| TestKey::rsa().token(&header, &claims(nonce).to_string()));
        is_fault(result.map(drop), TokenFault::UnknownKey);
    }
    assert_eq!(pair.idp.count(KEYS), 2, "200 unknown keys within 30 s: the keys were not read again");
    let begun = pair.begin_at(NOW + 31).unwrap();
    pair.idp.keys(&[TestKey::rsa().jwk(Some("k3"))]);
    let header = json!({"alg": "RS256", "kid": "k3"});
    pair.idp.id_token(TestKey::rsa().token(&header, &claims(begun.kept.nonce.expose()).to_string()));
    pair.finish_at(NOW + 31, &begun.kept, &super::idp::callback(&begun.kept)).unwrap();
    assert_eq!(pair.idp.count(KEYS), 3);
}

#[test]
fn d8_keys_that_cannot_be_read_again_are_the_providers_fault() {
    let pair = Pair::new();
    pair.begin().unwrap();
    pair.idp.down(KEYS);
    let header = json!({"alg": "RS256", "kid": "new"});
    let result = pair.sign_in_with(|nonce| TestKey::rsa().token(&header, &claims(nonce).to_string()));
    assert!(matches!(result, Err(OidcError::Unreachable { endpoint: Endpoint::Keys, .. })), "{result:?}");
    pair.sign_in(|_| {}).unwrap();
}

#[test]
fn d4_the_document_must_be_the_issuers() {
    for other in ["https://evil.example.com", "https://idp.example.com/", "https://IDP.example.com", "x:y"] {
        let pair = Pair::new();
        pair.idp.metadata(|metadata| metadata["issuer"] = other.into());
        let error = pair.begin().unwrap_err();
        assert!(matches!(error, OidcError::OtherIssuer { .. }), "{other}: {error:?}");
    }
}

#[test]
fn d4_endpoints_are_https() {
    let set = |field: &str, value: Value| {
        let pair = Pair::new();
        pair.idp.metadata(|metadata| metadata[field] = value);
        (pair.begin().unwrap_err(), pair.idp.asked().len())
    };
    for field in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        for wrong in [
            "http://idp.example.com/x",
            "http://127.0.0.1/x",
            "http://169.254.169.254/latest/meta-data",
            "https://user:password@idp.example.com/x",
            "https://idp.example.com/x#f",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "data:text/html,x",
        ] {
            let (error, asked) = set(field, wrong.into());
            assert!(matches!(error, OidcError::EndpointAddress { .. }), "{field} {wrong}: {error:?}");
            assert_eq!(asked, 1, "nothing but the document was asked");
            assert!(!error.to_string().contains("password"), "{error}");
        }
        assert!(matches!(set(field, json!("/relative")).0, OidcError::Malformed { .. }));
        assert!(matches!(set(field, json!(7)).0, OidcError::Malformed { .. }));
    }
    assert!(matches!(set("token_endpoint", json!(null)).0, OidcError::EndpointAbsent { .. }));
}

#[test]
fn plain_http_is_for_an_issuer_on_this_machine_only() {
    let begin = |issuer: &str, endpoint: &str| {
        let idp = Idp::new();
        idp.metadata(|metadata| {
            metadata["issuer"] = issuer.into();
            for field in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
                metadata[field] = format!("{endpoint}/keys").into();
            }
        });
        let provider = Provider::new(ProviderConfig { issuer: issuer.to_owned(), ..settings() });
        Pair { idp, provider }.begin()
    };
    for local in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000"] {
        begin(local, local).unwrap();
        assert!(matches!(begin(local, "http://idp.example.com"), Err(OidcError::EndpointAddress { .. })));
    }
    for wrong in [
        "http://idp.example.com",
        "http://127.0.0.1.evil.com",
        "https://user@idp.example.com",
        "https://idp.example.com?a=b",
        "https://idp.example.com#f",
        "file:///etc",
        "nothing",
    ] {
        assert!(matches!(begin(wrong, ISSUER), Err(OidcError::Address { .. })), "{wrong}");
    }
}

#[test]
fn the_documents_address_is_below_the_issuers_path() {
    for (issuer, path) in [
        ("https://idp.example.com/realms/a", "/realms/a/.well-known/openid-configuration"),
        ("https://idp.example.com/realms/a/", "/realms/a/.well-known/openid-configuration"),
        ("https://idp.example.com/", DISCOVERY),
    ] {
        let pair = Pair {
            provider: Provider::new(ProviderConfig { issuer: issuer.to_owned(), ..settings() }),
            ..Pair::new()
        };
        pair.idp.instead(path, 404, "");
        assert!(matches!(pair.begin(), Err(OidcError::Status { status: 404, .. })), "{issuer}");
    }
}

#[test]
fn every_error_has_a_text_for_people() {
    let pair = Pair::new();
    pair.idp.down(DISCOVERY);
    for error in [pair.begin().unwrap_err(), pair.begin().unwrap_err()] {
        assert_eq!(error.public_text(), "The identity provider does not answer. Try again in a moment.");
    }
}
