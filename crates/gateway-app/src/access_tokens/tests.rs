//! F1, F2, F3: tokens that are almost right.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD as B64;
use gateway_identity::oidc::{Answer, FetchError};
use gateway_types::Role;
use http::{Request, Response};
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example.com";
const KEYS: &str = "https://issuer.example.com/keys";

/// An issuer that answers from memory and counts.
#[derive(Debug, Default)]
struct Stub {
    documents: Mutex<HashMap<String, String>>,
    asked: AtomicUsize,
}

impl Fetch for Stub {
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let found = self.documents.lock().unwrap().get(&request.uri().to_string()).cloned();
        Box::pin(async move {
            match found {
                Some(text) => Ok(Response::new(text.into_bytes())),
                None => Err(FetchError::Timeout { host: "issuer".to_owned() }),
            }
        })
    }
}

struct Signers {
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    rsa: RsaKeyPair,
}

impl Signers {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    fn jwks(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        let public = self.rsa.public_key();
        json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig",
              "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..65]) },
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": B64.encode(self.ed.public_key().as_ref()) },
            { "kty": "RSA", "kid": "rsa", "alg": "RS256",
              "n": B64.encode(public.modulus().big_endian_without_leading_zero()),
              "e": B64.encode(public.exponent().big_endian_without_leading_zero()) },
            { "kty": "RSA", "kid": "encrypts", "use": "enc",
              "n": B64.encode(public.modulus().big_endian_without_leading_zero()),
              "e": B64.encode(public.exponent().big_endian_without_leading_zero()) },
            { "kty": "EC", "crv": "secp256k1", "kid": "odd", "x": "AA", "y": "AA" },
        ]})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            B64.encode(header.to_string().as_bytes()),
            B64.encode(claims.to_string().as_bytes())
        );
        let random = SystemRandom::new();
        let signature = match header["alg"].as_str().unwrap_or_default() {
            "ES256" => self.ec.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
            "RS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            // CVE-2016-5431 and its kin: the public key as the secret.
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.ec.public_key().as_ref());
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{signed}.{}", B64.encode(&signature))
    }
}

struct World {
    signers: Signers,
    stub: Arc<Stub>,
    tokens: AccessTokens,
}

impl World {
    fn new() -> Self {
        let (signers, stub) = (Signers::new(), Arc::new(Stub::default()));
        stub.documents.lock().unwrap().insert(KEYS.to_owned(), signers.jwks().to_string());
        let tokens = AccessTokens::new(stub.clone());
        Self { signers, stub, tokens }
    }

    async fn ask(&self, token: &str, at: i64) -> Result<Principal, TokenFault> {
        let issuers = [RawIssuer {
            issuer: ISSUER.to_owned(),
            audience: "wiki".to_owned(),
            jwks_url: Some(KEYS.to_owned()),
            role: Role::Ops,
        }];
        self.tokens.principal(token, "wiki", &issuers, Timestamp::from_micros(at * 1_000_000)).await
    }

    fn asked(&self) -> usize {
        self.stub.asked.load(Ordering::SeqCst)
    }
}

fn header(algorithm: &str, kid: &str) -> Value {
    json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid })
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "wiki", "sub": "robot-7", "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 300 })
}

fn with(mut value: Value, member: &str, other: Value) -> Value {
    match other {
        Value::Null => drop(value.as_object_mut().unwrap().remove(member)),
        other => value[member] = other,
    }
    value
}

#[tokio::test]
async fn tokens_of_each_algorithm_stand_for_their_subject() {
    let world = World::new();
    for (algorithm, kid) in [("ES256", "ec"), ("EdDSA", "ed"), ("RS256", "rsa")] {
        for typ in [json!("at+jwt"), json!("application/AT+JWT"), Value::Null] {
            let token = world.signers.sign(&with(header(algorithm, kid), "typ", typ), &claims());
            let principal = world.ask(&token, NOW).await.unwrap();
            let Principal::AccessToken { issuer, subject, service, role, expires } = principal else {
                panic!("another kind")
            };
            assert_eq!((&*issuer, &*subject, &*service, role), (ISSUER, "robot-7", "wiki", Role::Ops));
            assert_eq!(expires, Timestamp::from_micros((NOW + 360) * 1_000_000));
        }
    }
    let several =
        world.signers.sign(&header("EdDSA", "ed"), &with(claims(), "aud", json!(["other", "wiki"])));
    assert!(world.ask(&several, NOW).await.is_ok());
    // Without a kid there must be one key that can be meant.
    let unnamed = world.signers.sign(&with(header("EdDSA", "ed"), "kid", Value::Null), &claims());
    assert!(world.ask(&unnamed, NOW).await.is_ok());
    assert_eq!(world.asked(), 1, "keys are kept");
}

#[tokio::test]
async fn f1_f2_f3_what_is_almost_right_is_refused() {
    let world = World::new();
    let sign = |header: Value, claims: Value| world.signers.sign(&header, &claims);
    let good = || header("EdDSA", "ed");
    let check = async |token: String, expected: TokenFault| {
        assert_eq!(world.ask(&token, NOW).await, Err(expected), "{token}");
    };
    for algorithm in
        ["none", "None", "NONE", "nOnE", "HS256", "HS512", "RS384", "PS256", "ES384", "", "ES256 "]
    {
        check(sign(header(algorithm, "ec"), claims()), TokenFault::Algorithm).await;
    }
    // A key of one kind under the name of another.
    for (algorithm, kid) in
        [("ES256", "ed"), ("EdDSA", "rsa"), ("RS256", "ec"), ("RS256", "encrypts"), ("ES256", "odd")]
    {
        check(sign(header(algorithm, kid), claims()), TokenFault::Key).await;
    }
    check(sign(header("EdDSA", "../ed"), claims()), TokenFault::Key).await;
    for typ in ["JWT", "id+jwt", "dpop+jwt", "at+jwt2", ""] {
        check(sign(with(good(), "typ", json!(typ)), claims()), TokenFault::Type).await;
    }
    check(sign(with(good(), "crit", json!(["exp"])), claims()), TokenFault::Type).await;
    check(sign(with(good(), "b64", json!(false)), claims()), TokenFault::Type).await;
    for (member, other) in [
        ("iss", json!("https://evil.example.com")),
        ("iss", json!("https://issuer.example.com/")),
        ("iss", json!("HTTPS://issuer.example.com")),
        ("aud", json!("grafana")),
        ("aud", json!("wiki2")),
        ("aud", json!([])),
        ("aud", json!(["WIKI"])),
    ] {
        check(sign(good(), with(claims(), member, other)), TokenFault::Issuer).await;
    }
    for (member, other) in [
        ("iss", Value::Null),
        ("aud", Value::Null),
        ("sub", Value::Null),
        ("exp", Value::Null),
        ("sub", json!("")),
        ("sub", json!("a\nb")),
        ("sub", json!("x".repeat(256))),
        ("exp", json!("1900000000")),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("iss", json!([ISSUER])),
    ] {
        check(sign(good(), with(claims(), member, other)), TokenFault::Malformed).await;
    }
    check(sign(good(), with(claims(), "exp", json!(NOW - 60))), TokenFault::Expired).await;
    check(sign(good(), with(claims(), "nbf", json!(NOW + 61))), TokenFault::NotYet).await;
    check(sign(good(), with(claims(), "iat", json!(NOW + 3600))), TokenFault::NotYet).await;
    for text in ["", "a", "a.b.c", "ey.ey.ey", "..", "eyJhbGciOiJub25lIn0.e30."] {
        assert!(world.ask(text, NOW).await.is_err(), "{text}");
    }
    check(format!("ey{}", "a".repeat(9000)), TokenFault::Malformed).await;
}

#[tokio::test]
async fn f1_a_changed_token_is_not_its_issuers() {
    let world = World::new();
    let token = world.signers.sign(&header("ES256", "ec"), &claims());
    let parts: Vec<&str> = token.split('.').collect();
    let other = B64.encode(with(claims(), "sub", json!("admin")).to_string().as_bytes());
    for forged in [
        format!("{}.{other}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], B64.encode(&[0; 64])),
        format!("{}.{}.{}=", parts[0], parts[1], parts[2]),
        World::new().signers.sign(&header("ES256", "ec"), &claims()),
    ] {
        assert_eq!(world.ask(&forged, NOW).await, Err(TokenFault::Signature), "{forged}");
    }
    // The leeway is a minute, no more.
    let expired = with(claims(), "exp", json!(NOW - 59));
    assert!(world.ask(&world.signers.sign(&header("ES256", "ec"), &expired), NOW).await.is_ok());
    // A member that stands twice.
    let twice = format!(
        "{{\"iss\":\"{ISSUER}\",\"iss\":\"{ISSUER}\",\"aud\":\"wiki\",\"sub\":\"a\",\"exp\":{}}}",
        NOW + 60
    );
    let twice = format!("{}.{}.{}", parts[0], B64.encode(twice.as_bytes()), parts[2]);
    assert_eq!(world.ask(&twice, NOW).await, Err(TokenFault::Malformed));
}

#[tokio::test]
async fn keys_are_kept_rotated_and_an_issuer_that_fails_is_left_alone() {
    let world = World::new();
    let token = world.signers.sign(&header("EdDSA", "ed"), &claims());
    let unknown = world.signers.sign(&header("EdDSA", "new"), &claims());
    assert!(world.ask(&token, NOW).await.is_ok());
    assert_eq!(world.asked(), 1);
    // Any number of unknown keys have the set read again once in half a minute.
    for _ in 0..20 {
        assert_eq!(world.ask(&unknown, NOW).await, Err(TokenFault::Key));
    }
    assert_eq!(world.asked(), 2);
    let mut jwks = world.signers.jwks();
    jwks["keys"][1]["kid"] = json!("new");
    world.stub.documents.lock().unwrap().insert(KEYS.to_owned(), jwks.to_string());
    assert_eq!(world.ask(&unknown, NOW + 29).await, Err(TokenFault::Key));
    assert!(world.ask(&unknown, NOW + 31).await.is_ok(), "a rotated key");
    assert_eq!(world.ask(&token, NOW + 32).await, Err(TokenFault::Key), "a withdrawn key");
    // While the issuer is away its keys are good for a while.
    world.stub.documents.lock().unwrap().clear();
    let long = with(claims(), "exp", json!(NOW + 40 * 3600));
    let long = world.signers.sign(&header("EdDSA", "new"), &long);
    assert!(world.ask(&long, NOW + 2 * 3600).await.is_ok());
    let asked = world.asked();
    assert!(world.ask(&long, NOW + 2 * 3600 + 5).await.is_ok());
    assert_eq!(world.asked(), asked, "left alone");
    assert_eq!(world.ask(&long, NOW + 30 * 3600).await, Err(TokenFault::Unavailable));
    let nobody = AccessTokens::new(Arc::new(Stub::default()));
    let issuers = [RawIssuer {
        issuer: ISSUER.to_owned(),
        audience: "wiki".to_owned(),
        jwks_url: None,
        role: Role::Ops,
    }];
    let told = nobody.principal(&token, "wiki", &issuers, Timestamp::from_micros(NOW * 1_000_000)).await;
    assert_eq!(told, Err(TokenFault::Unavailable));
}

#[tokio::test]
async fn keys_are_found_by_discovery_of_that_very_issuer() {
    let world = World::new();
    let token = world.signers.sign(&header("EdDSA", "ed"), &claims());
    let place = format!("{ISSUER}/.well-known/openid-configuration");
    let issuers = [RawIssuer {
        issuer: ISSUER.to_owned(),
        audience: "wiki".to_owned(),
        jwks_url: None,
        role: Role::Viewer,
    }];
    for (document, expected) in [
        (json!({ "issuer": ISSUER, "jwks_uri": KEYS }), true),
        (json!({ "issuer": "https://evil.example.com", "jwks_uri": KEYS }), false),
        (json!({ "issuer": ISSUER, "jwks_uri": "http://issuer.example.com/keys" }), false),
        (json!({ "issuer": ISSUER, "jwks_uri": "file:///etc/passwd" }), false),
        (json!([]), false),
    ] {
        world.stub.documents.lock().unwrap().insert(place.clone(), document.to_string());
        let tokens = AccessTokens::new(world.stub.clone());
        let told = tokens.principal(&token, "wiki", &issuers, Timestamp::from_micros(NOW * 1_000_000)).await;
        assert_eq!(told.is_ok(), expected, "{document}");
    }
}
