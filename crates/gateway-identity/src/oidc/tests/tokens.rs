//! ID tokens of every wrong shape: algorithms, keys, headers, parts.

use aws_lc_rs::hmac;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};

use super::idp::{CLIENT, Pair, claims, header};
use super::key::{TestKey, message};
use crate::oidc::{Identity, OidcError, TokenFault};

fn refused(result: &Result<Identity, OidcError>, expected: TokenFault, what: &str) {
    assert!(
        matches!(result, Err(OidcError::IdToken { fault, .. }) if *fault == expected),
        "{what}: {result:?}"
    );
}

fn sign_in(token: impl FnOnce(&str) -> String) -> Result<Identity, OidcError> {
    Pair::new().sign_in_with(token)
}

#[test]
fn the_four_algorithms_are_taken() {
    let check = |key: &TestKey, algorithm: &str| {
        let pair = Pair::new();
        pair.idp.keys(&[key.jwk(Some("k1"))]);
        let header = json!({"alg": algorithm, "kid": "k1"});
        pair.sign_in_with(|nonce| key.token(&header, &claims(nonce).to_string()))
            .unwrap_or_else(|error| panic!("{algorithm}: {error:?}"));
    };
    check(TestKey::rsa(), "RS256");
    check(TestKey::rsa(), "PS256");
    check(&TestKey::ec(), "ES256");
    check(&TestKey::ed(), "EdDSA");
}

#[test]
fn f1_an_unsigned_token_is_refused() {
    for (algorithm, signature) in [("none", ""), ("none", "AAAA"), ("None", ""), ("nOnE", ""), ("", "")] {
        let result = sign_in(|nonce| {
            format!("{}.{signature}", message(&json!({"alg": algorithm}), &claims(nonce).to_string()))
        });
        assert!(result.is_err(), "{algorithm}");
        if algorithm == "none" {
            refused(&result, TokenFault::Algorithm, algorithm);
        }
    }
    let absent = sign_in(|nonce| format!("{}.", message(&json!({}), &claims(nonce).to_string())));
    assert!(absent.is_err());
    for other in [json!(null), json!(["RS256"]), json!(7)] {
        assert!(
            sign_in(
                |nonce| TestKey::rsa().token(&json!({"alg": other, "kid": "k1"}), &claims(nonce).to_string())
            )
            .is_err()
        );
    }
}

/// The classic: a public key, or the client's secret, as the key of an HMAC.
#[test]
fn f1_shared_secrets_are_refused() {
    let jwk = TestKey::rsa().jwk(Some("k1"));
    let modulus = BASE64URL_NOPAD.decode(jwk["n"].as_str().unwrap().as_bytes()).unwrap();
    let secrets: [Vec<u8>; 5] = [
        b"client secret/+".to_vec(),
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        HEXLOWER.encode(&modulus).into_bytes(),
        Vec::new(),
    ];
    for secret in secrets {
        for (name, algorithm) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            let result = sign_in(|nonce| {
                let message = message(&json!({"alg": name, "kid": "k1"}), &claims(nonce).to_string());
                let tag = hmac::sign(&hmac::Key::new(algorithm, &secret), message.as_bytes());
                format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
            });
            refused(&result, TokenFault::Algorithm, name);
        }
    }
    // Also when the provider publishes the secret's key.
    let pair = Pair::new();
    pair.idp.keys(&[json!({"kty": "oct", "kid": "k1", "alg": "HS256", "k": "AAAA"})]);
    let result = pair.sign_in_with(|nonce| {
        let message = message(&json!({"alg": "HS256", "kid": "k1"}), &claims(nonce).to_string());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[0, 0, 0]), message.as_bytes());
        format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
    });
    refused(&result, TokenFault::Algorithm, "published");
}

#[test]
fn f1_algorithms_and_keys_do_not_mix() {
    let with = |key: &TestKey, named: &str, published: Value| {
        let pair = Pair::new();
        pair.idp.keys(&[published]);
        let header = json!({"alg": named, "kid": "k1"});
        pair.sign_in_with(|nonce| key.token(&header, &claims(nonce).to_string()))
    };
    let (rsa, ec, ed) = (TestKey::rsa(), TestKey::ec(), TestKey::ed());
    for (key, named, published) in [
        (&ec, "RS256", ec.jwk(Some("k1"))),
        (&ed, "RS256", ed.jwk(Some("k1"))),
        (rsa, "ES256", rsa.jwk(Some("k1"))),
        (&ec, "EdDSA", ec.jwk(Some("k1"))),
        (rsa, "RS256", ec.jwk(Some("k1"))),
    ] {
        refused(&with(key, named, published), TokenFault::UnknownKey, named);
    }
    // A signature of the one padding under the name of the other.
    let result = sign_in(|nonce| {
        let text = claims(nonce).to_string();
        let token = rsa.token(&json!({"alg": "PS256", "kid": "k1"}), &text);
        let signature = token.rsplit_once('.').unwrap().1.to_owned();
        format!("{}.{signature}", message(&header(), &text))
    });
    refused(&result, TokenFault::Signature, "padding");
    for named in ["RS384", "RS512", "PS512", "ES384", "ES512", "HS256"] {
        let result = with(rsa, named, rsa.jwk(Some("k1")));
        refused(&result, TokenFault::Algorithm, named);
    }
}

#[test]
fn f1_keys_inside_the_token_are_not_used() {
    let other = TestKey::other_rsa();
    for (kid, expected) in [("k1", TokenFault::Signature), ("evil", TokenFault::UnknownKey)] {
        let pair = Pair::new();
        let header = json!({
            "alg": "RS256", "kid": kid, "jwk": other.jwk(Some(kid)),
            "jku": "https://evil.example.com/keys", "x5u": "https://evil.example.com/cert",
            "x5c": ["AAAA"],
        });
        let result = pair.sign_in_with(|nonce| other.token(&header, &claims(nonce).to_string()));
        refused(&result, expected, kid);
        let asked: Vec<String> = pair.idp.asked().into_iter().map(|asked| asked.path).collect();
        assert!(asked.iter().all(|path| ["/.well-known/openid-configuration", "/keys", "/token"].contains(&path.as_str())), "{asked:?}");
    }
    for kid in ["../../k1", "k1' OR '1'='1", "https://evil.example.com", "K1", "k1 ", ""] {
        let result = sign_in(|nonce| {
            TestKey::rsa().token(&json!({"alg": "RS256", "kid": kid}), &claims(nonce).to_string())
        });
        refused(&result, TokenFault::UnknownKey, kid);
    }
}

#[test]
fn f1_headers_that_an_id_token_does_not_have() {
    let with = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        sign_in(|nonce| TestKey::rsa().token(&header, &claims(nonce).to_string()))
    };
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("cty", json!("JWT")),
        ("cty", json!("text/plain")),
        // F3: tokens of other kinds.
        ("typ", json!("at+jwt")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("JOSE+JSON")),
    ] {
        refused(&with(name, value.clone()), TokenFault::Type, &format!("{name} {value}"));
    }
    assert!(with("crit", json!("exp")).is_err());
    with("typ", json!("jwt")).unwrap();
}

#[test]
fn f1_signatures_that_are_none() {
    let with = |change: &dyn Fn(&str) -> String| {
        sign_in(|nonce| change(&TestKey::rsa().token(&header(), &claims(nonce).to_string())))
    };
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    refused(
        &with(&|token| format!("{}.", token.rsplit_once('.').unwrap().0)),
        TokenFault::Signature,
        "empty",
    );
    for (what, change) in [
        (
            "two parts",
            &(|token: &str| token.rsplit_once('.').unwrap().0.to_owned()) as &dyn Fn(&str) -> String,
        ),
        ("four parts", &|token: &str| format!("{token}.AAAA")),
        ("five parts", &|token: &str| format!("{token}.AAAA.AAAA")),
        ("trailing blank", &|token: &str| format!("{token} ")),
        ("trailing line", &|token: &str| format!("{token}\n")),
        ("leading blank", &|token: &str| format!(" {token}")),
        ("padding", &|token: &str| format!("{token}==")),
        ("other alphabet", &|token: &str| token.replace(['-', '_'], "+") + "/"),
        ("no text", &|_: &str| String::new()),
        ("dots", &|_: &str| "..".to_owned()),
    ] {
        assert!(with(change).is_err(), "{what}");
    }
    let swapped = with(&|token| {
        let parts = parts(token);
        format!("{}.{}.{}", parts[1], parts[0], parts[2])
    });
    assert!(swapped.is_err());
    let flipped = with(&|token| {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        bytes[0] ^= 1;
        format!("{message}.{}", BASE64URL_NOPAD.encode(&bytes))
    });
    refused(&flipped, TokenFault::Signature, "one bit");
    let longer = with(&|token| {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        bytes.push(0);
        format!("{message}.{}", BASE64URL_NOPAD.encode(&bytes))
    });
    refused(&longer, TokenFault::Signature, "one byte more");
    for wrong in [json!(7), json!(null), json!({}), json!(["a"])] {
        let pair = Pair::new();
        let begun = pair.begin().unwrap();
        pair.idp.id_token(wrong);
        assert!(pair.finish(&begun.kept).is_err());
    }
}

#[test]
fn f1_ecdsa_zero_is_no_signature() {
    let key = TestKey::ec();
    for signature in [vec![0; 64], vec![0xff; 64], vec![0; 63], vec![1; 65], Vec::new()] {
        let pair = Pair::new();
        pair.idp.keys(&[key.jwk(Some("k1"))]);
        let header = json!({"alg": "ES256", "kid": "k1"});
        let result = pair.sign_in_with(|nonce| {
            format!("{}.{}", message(&header, &claims(nonce).to_string()), BASE64URL_NOPAD.encode(&signature))
        });
        refused(&result, TokenFault::Signature, &format!("{signature:?}"));
    }
}

#[test]
fn f1_encrypted_and_nested_tokens_are_refused() {
    let encrypted = format!(
        "{}.AAAA.AAAA.AAAA.AAAA",
        BASE64URL_NOPAD.encode(br#"{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}"#)
    );
    assert!(sign_in(|_| encrypted.clone()).is_err());
    assert!(
        sign_in(
            |nonce| TestKey::rsa().token(&json!({"alg": "A256GCM", "kid": "k1"}), &claims(nonce).to_string())
        )
        .is_err()
    );
    let nested = sign_in(|nonce| {
        let mut header = header();
        header["cty"] = json!("JWT");
        let mut token = TestKey::rsa().token(&super::idp::header(), &claims(nonce).to_string());
        for _ in 0..6 {
            token = format!("{}.AAAA", message(&header, &token));
        }
        token
    });
    assert!(nested.is_err());
    let deep = "[".repeat(100_000);
    assert!(
        sign_in(|nonce| {
            let text = claims(nonce).to_string();
            TestKey::rsa().token(&header(), &text.replace('}', &format!(",\"deep\":{deep}}}")))
        })
        .is_err()
    );
}

#[test]
fn f3_a_token_for_another_client_is_refused() {
    let result = Pair::new().sign_in(|claims| {
        claims["aud"] = json!("another");
        claims["azp"] = json!(CLIENT);
    });
    refused(&result, TokenFault::Audience, "aud");
}
