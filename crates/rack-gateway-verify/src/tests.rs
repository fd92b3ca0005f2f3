//! Tokens as they should be, and all the ways in which they are not (checklist F1 and F2).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use http::{Request, Response};
use serde_json::{Value, json};
use tower_layer::Layer as _;
use tower_service::Service as _;

use super::*;

const NOW: i64 = 1_700_000_000;

struct World {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
    keys: Keys,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

fn world() -> World {
    let ed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
    let point = ec.public_key().as_ref();
    let keys = Keys::from_jwks(
        &json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": b64(ed.public_key()), "kid": "ed"},
            {"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]), "kid": "ec"},
            {"kty": "oct", "k": b64("a shared secret"), "kid": "oct"},
            {"kty": "OKP", "crv": "Ed25519", "x": b64(ed.public_key())},
        ]})
        .to_string(),
    )
    .unwrap();
    World { ed, ec, keys }
}

fn claims() -> Value {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"GET\n/page?a=1");
    json!({
        "iss": "https://gw.example.com", "aud": "wiki", "sub": "0190-a", "name": "ann@example.com",
        "email": "ann@example.com", "kind": "user", "roles": ["ops"], "service": "wiki", "step_up": "none",
        "jti": "request-1", "iat": NOW, "nbf": NOW, "exp": NOW + 60, "htm": "GET", "htu_hash": b64(hash),
    })
}

impl World {
    fn token_of(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let signature = self.ed.sign(message.as_bytes());
        format!("{message}.{}", b64(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.token_of(r#"{"alg":"EdDSA","kid":"ed","typ":"JWT"}"#, &claims.to_string())
    }

    fn verify(&self, token: &str) -> Result<GatewayIdentity, VerifyError> {
        let verifier = Verifier::new("https://gw.example.com", "wiki", self.keys.clone());
        verifier.verify(token, "GET", "/page?a=1", NOW)
    }

    fn check(&self, header: &str, expected: VerifyError) {
        assert_eq!(self.verify(&self.token_of(header, &claims().to_string())), Err(expected), "{header}");
    }

    fn check_claim(&self, name: &str, value: Value, expected: Option<VerifyError>) {
        let mut changed = claims();
        changed[name] = value;
        assert_eq!(self.verify(&self.token(&changed)).err(), expected, "{name}: {}", changed[name]);
    }
}

#[test]
fn a_good_token_tells_who_calls() {
    let world = world();
    let who = world.verify(&world.token(&claims())).unwrap();
    assert_eq!((who.name.as_str(), who.kind, who.step_up), ("ann@example.com", Caller::User, StepUp::None));
    assert!(who.has_role("ops") && !who.has_role("admin"));
    let message = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"ec"}"#), b64(claims().to_string()));
    let signature = world.ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    assert!(world.verify(&format!("{message}.{}", b64(signature))).is_ok());
}

#[test]
fn f1_algorithms_and_heads() {
    let world = world();
    for alg in ["none", "None", "nOnE", "HS256", "ES256", "RS256", "eddsa", ""] {
        world.check(&format!(r#"{{"alg":"{alg}","kid":"ed"}}"#), VerifyError::Signature);
    }
    for further in [
        r#""b64":false"#,
        r#""crit":["exp"]"#,
        r#""jwk":{}"#,
        r#""jku":"https://evil.example/keys""#,
        r#""x5u":"https://evil.example/""#,
        r#""x5c":["x"]"#,
        r#""zip":"DEF""#,
        r#""enc":"A128GCM""#,
        r#""cty":"JWT""#,
        r#""alg":"EdDSA""#,
        r#""typ":"logout+jwt""#,
        r#""typ":7"#,
    ] {
        world.check(&format!(r#"{{"alg":"EdDSA","kid":"ed",{further}}}"#), VerifyError::Malformed);
    }
    world.check(r#"{"alg":"EdDSA"}"#, VerifyError::Malformed);
    world.check(r#"{"alg":"EdDSA","kid":"other"}"#, VerifyError::UnknownKey);
    world.check(r#"{"alg":"HS256","kid":"oct"}"#, VerifyError::UnknownKey);
    world.check(&"[".repeat(2000), VerifyError::Malformed);
}

#[test]
fn f1_signatures_and_parts() {
    let world = world();
    let good = world.token(&claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let check =
        |token: String, expected: VerifyError| assert_eq!(world.verify(&token), Err(expected), "{token}");
    check(format!("{message}."), VerifyError::Signature);
    check(message.to_owned(), VerifyError::Malformed);
    check(format!("{good}.x"), VerifyError::Malformed);
    check(format!("{good}.."), VerifyError::Malformed);
    check(format!("{good}="), VerifyError::Malformed);
    check(format!("{good}\n"), VerifyError::Malformed);
    check(format!(" {good}"), VerifyError::Malformed);
    check(format!("{message}.{}", b64([0u8; 64])), VerifyError::Signature);
    check(format!("{message}.{signature}AAAA"), VerifyError::Signature);
    check(String::new(), VerifyError::Malformed);
    check("..".to_owned(), VerifyError::Malformed);
    check("a".repeat(100_000), VerifyError::Malformed);
    let message = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"ec"}"#), b64(claims().to_string()));
    check(format!("{message}.{}", b64([0u8; 64])), VerifyError::Signature);
    for index in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        assert!(world.verify(&String::from_utf8(bytes).unwrap()).is_err(), "byte {index}");
    }
}

#[test]
fn f2_claims() {
    let world = world();
    let malformed = Some(VerifyError::Malformed);
    for audience in [json!(["wiki"]), json!(null), json!(7)] {
        world.check_claim("aud", audience, malformed);
    }
    for audience in ["", "wik", "wiki2", "Wiki", "wiki ", "wiki,other"] {
        world.check_claim("aud", json!(audience), Some(VerifyError::Audience));
    }
    for issuer in ["https://gw.example.com/", "https://GW.example.com", "http://gw.example.com", ""] {
        world.check_claim("iss", json!(issuer), Some(VerifyError::Issuer));
    }
    for bad in [json!(1.5), json!("1700000060"), json!(null), json!(u64::MAX), json!(true)] {
        world.check_claim("exp", bad.clone(), malformed);
        world.check_claim("nbf", bad.clone(), malformed);
        world.check_claim("iat", bad, malformed);
    }
    let time = Some(VerifyError::Time);
    world.check_claim("exp", json!(NOW - 10), time);
    world.check_claim("exp", json!(NOW - 9), time);
    world.check_claim("exp", json!(-1), time);
    world.check_claim("exp", json!(i64::MAX), time);
    world.check_claim("exp", json!(NOW + 301), time);
    world.check_claim("nbf", json!(NOW + 11), time);
    world.check_claim("nbf", json!(NOW + 10), None);
    world.check_claim("iat", json!(NOW + 11), time);
    world.check_claim("iat", json!(i64::MIN), time);
    world.check_claim("sub", json!(""), malformed);
    world.check_claim("kind", json!("admin"), malformed);
    world.check_claim("step_up", json!("always"), malformed);
    world.check_claim("roles", json!("admin"), malformed);
    world.check_claim("htm", json!("POST"), Some(VerifyError::Request));
    world.check_claim("htu_hash", json!("x"), Some(VerifyError::Request));
    for missing in ["iss", "aud", "sub", "exp", "iat", "nbf", "htm", "htu_hash", "jti", "kind"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(missing);
        assert_eq!(world.verify(&world.token(&without)).err(), malformed, "{missing}");
    }
    let twice = claims().to_string().replacen('{', r#"{"aud":"wiki","#, 1);
    let token = world.token_of(r#"{"alg":"EdDSA","kid":"ed"}"#, &twice);
    assert_eq!(world.verify(&token).err(), malformed, "a claim that is there twice");
}

#[test]
fn a_token_is_for_one_request_of_its_time() {
    let world = world();
    let token = world.token(&claims());
    let verifier = Verifier::new("https://gw.example.com", "wiki", world.keys.clone());
    let check = |method: &str, target: &str, now: i64, expected: Option<VerifyError>| {
        assert_eq!(verifier.verify(&token, method, target, now).err(), expected, "{method} {target} {now}");
    };
    check("GET", "/page?a=1", NOW + 69, None);
    check("GET", "/page?a=1", NOW + 70, Some(VerifyError::Time));
    check("GET", "/page?a=1", NOW - 10, None);
    check("GET", "/page?a=1", NOW - 11, Some(VerifyError::Time));
    check("POST", "/page?a=1", NOW, Some(VerifyError::Request));
    check("GET", "/page", NOW, Some(VerifyError::Request));
    check("GET", "/page?a=2", NOW, Some(VerifyError::Request));
    check("GET", "/Page?a=1", NOW, Some(VerifyError::Request));
    // Where clocks may be further apart.
    let patient = verifier.clone().with_leeway(Duration::from_secs(120));
    for (now, holds) in [(NOW + 179, true), (NOW + 180, false), (NOW - 120, true), (NOW - 121, false)] {
        assert_eq!(patient.verify(&token, "GET", "/page?a=1", now).is_ok(), holds, "{now}");
    }
}

#[test]
fn keys_can_be_replaced_and_bad_ones_change_nothing() {
    let world = world();
    assert!(world.keys.replace("not json").is_err());
    assert!(world.verify(&world.token(&claims())).is_ok());
    world.keys.replace(r#"{"keys":[]}"#).unwrap();
    assert_eq!(world.verify(&world.token(&claims())).err(), Some(VerifyError::UnknownKey));
}

/// Answers with the name of who calls.
#[derive(Clone)]
struct Hello;

impl tower_service::Service<Request<()>> for Hello {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let name = request.extensions().get::<GatewayIdentity>().map(|who| who.name.clone());
        ready(Ok(Response::new(name.unwrap_or_default())))
    }
}

#[test]
fn the_layer_lets_only_good_tokens_in() {
    let world = world();
    let verifier = Verifier::new("https://gw.example.com", "wiki", world.keys.clone());
    let mut service = VerifyLayer::new(verifier).at(|| NOW).layer(Hello);
    let mut check = |tokens: &[&str], expected: (u16, &str)| {
        let mut request = Request::get("/page?a=1").body(()).unwrap();
        for token in tokens {
            request.headers_mut().append(HEADER, token.parse().unwrap());
        }
        let mut reply = Box::pin(service.call(request));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(reply)) = reply.as_mut().poll(&mut context) else { panic!("no reply") };
        assert_eq!((reply.status().as_u16(), reply.body().as_str()), expected, "{tokens:?}");
        // The service may log why; the caller is not told.
        assert_eq!(reply.extensions().get::<VerifyError>().is_some(), expected.0 == 401, "{tokens:?}");
    };
    let good = world.token(&claims());
    check(&[&good], (200, "ann@example.com"));
    check(&[], (401, ""));
    check(&[&good, &good], (401, ""));
    check(&["x"], (401, ""));
}
