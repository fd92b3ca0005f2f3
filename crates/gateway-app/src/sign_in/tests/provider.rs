//! An identity provider in this process, behind [`Fetch`]: it keeps codes, checks PKCE, and signs with a
//! key of its own. What it says of people is whatever a test wants.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use gateway_identity::oidc::{Answer, Fetch, FetchError};
use http::{Request, Response};
use serde_json::{Value, json};
use url::Url;

use super::world::TestClock;

pub(super) const CLIENT_SECRET: &str = "the gateway's secret at the provider";

/// What is answered at a path instead of the right answer; `None` = the connection is lost.
pub(super) struct OutOfOrder {
    pub(super) path: &'static str,
    pub(super) answer: Option<(u16, &'static str)>,
}

/// A code that was given out.
struct Given {
    nonce: String,
    challenge: String,
    redirect_uri: String,
    claims: Value,
}

pub(super) struct TestProvider {
    key: Ed25519KeyPair,
    clock: std::sync::Arc<TestClock>,
    codes: Mutex<HashMap<String, Given>>,
    count: AtomicU64,
    /// What it says of whoever it is asked about again; `None` = it knows them no longer.
    pub(super) again: Mutex<Option<Value>>,
    pub(super) token_requests: AtomicU64,
    pub(super) out_of_order: Mutex<Option<OutOfOrder>>,
}

impl std::fmt::Debug for TestProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestProvider")
    }
}

pub(super) fn parameters(url: &str) -> HashMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

impl TestProvider {
    pub(super) fn new(clock: std::sync::Arc<TestClock>) -> Self {
        Self {
            key: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
            clock,
            codes: Mutex::default(),
            count: AtomicU64::new(0),
            again: Mutex::default(),
            token_requests: AtomicU64::new(0),
            out_of_order: Mutex::default(),
        }
    }

    /// The person signs in at the address that the gateway sent the browser to; what the browser then
    /// brings back is the query.
    pub(super) fn sign_in(&self, location: &str, claims: Value) -> String {
        let asked = parameters(location);
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].contains("openid"));
        let code = format!("code-{}", self.count.fetch_add(1, Ordering::SeqCst));
        let given = Given {
            nonce: asked["nonce"].clone(),
            challenge: asked["code_challenge"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
            claims,
        };
        self.codes.lock().unwrap().insert(code.clone(), given);
        format!("code={code}&state={}", asked["state"])
    }

    fn token(&self, host: &str, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.token_requests.fetch_add(1, Ordering::SeqCst);
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(request.body()).into_owned().collect();
        let credential = BASE64.encode(
            format!(
                "gateway:{}",
                url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect::<String>()
            )
            .as_bytes(),
        );
        let shown = request.headers()["authorization"].to_str().unwrap();
        assert_eq!(shown, format!("Basic {credential}"));
        if form["grant_type"] == "refresh_token" {
            assert_eq!(form["refresh_token"], "to ask again with");
            let claims = self.again.lock().unwrap().clone();
            return match claims {
                Some(claims) => answer(
                    200,
                    &json!({
                        "access_token": "unused",
                        "token_type": "Bearer",
                        "id_token": self.claims_token(host, None, &claims),
                    }),
                ),
                None => answer(400, &json!({ "error": "invalid_grant" })),
            };
        }
        let given = self.codes.lock().unwrap().remove(&form["code"]);
        let right = given.filter(|given| {
            let digest = BASE64URL_NOPAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()).as_ref());
            given.challenge == digest && given.redirect_uri == form["redirect_uri"]
        });
        match right {
            Some(given) => answer(
                200,
                &json!({
                    "access_token": "unused",
                    "token_type": "Bearer",
                    "refresh_token": "to ask again with",
                    "id_token": self.claims_token(host, Some(&given.nonce), &given.claims),
                }),
            ),
            None => answer(400, &json!({ "error": "invalid_grant" })),
        }
    }

    fn claims_token(&self, host: &str, nonce: Option<&str>, more: &Value) -> String {
        let now = self.clock.seconds();
        let mut claims = json!({
            "iss": format!("https://{host}"),
            "aud": "gateway",
            "exp": now + 300,
            "iat": now,
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.signed("JWT", &claims)
    }

    /// A logout token of the provider at this host.
    pub(super) fn logout_token(&self, host: &str, jti: &str, more: &Value) -> String {
        let now = self.clock.seconds();
        let mut claims = json!({
            "iss": format!("https://{host}"),
            "aud": "gateway",
            "exp": now + 120,
            "iat": now,
            "jti": jti,
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.signed("logout+jwt", &claims)
    }

    fn signed(&self, typ: &str, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": "k1", "typ": typ });
        let signed = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(header.to_string().as_bytes()),
            BASE64URL_NOPAD.encode(claims.to_string().as_bytes())
        );
        let signature = BASE64URL_NOPAD.encode(self.key.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }

    fn answer(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let host = request.uri().host().unwrap().to_owned();
        match request.uri().path() {
            "/.well-known/openid-configuration" => answer(
                200,
                &json!({
                    "issuer": format!("https://{host}"),
                    "authorization_endpoint": format!("https://{host}/authorize"),
                    "token_endpoint": format!("https://{host}/token"),
                    "jwks_uri": format!("https://{host}/keys"),
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["EdDSA"],
                }),
            ),
            "/keys" => {
                let x = BASE64URL_NOPAD.encode(self.key.public_key().as_ref());
                let key = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k1", "use": "sig", "alg": "EdDSA"});
                answer(200, &json!({ "keys": [key] }))
            }
            "/token" => self.token(&host, request),
            other => panic!("the gateway asked for {other}"),
        }
    }
}

impl Fetch for TestProvider {
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_> {
        let broken = self.out_of_order.lock().unwrap();
        let answer = match &*broken {
            Some(OutOfOrder { path, answer }) if *path == request.uri().path() => match answer {
                Some((status, body)) => Response::builder()
                    .status(*status)
                    .header("content-type", "application/json")
                    .body(body.as_bytes().to_vec())
                    .map_err(|_never| panic!("a status and a text")),
                None => Err(FetchError::Connect { host: "corp.test".to_owned(), source: None }),
            },
            Some(_) | None => Ok(self.answer(&request)),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn answer(status: u16, document: &Value) -> Response<Vec<u8>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(document.to_string().into_bytes())
        .unwrap()
}
