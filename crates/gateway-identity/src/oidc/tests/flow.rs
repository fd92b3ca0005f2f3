//! State, nonce, PKCE, the code and who answers.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use gateway_types::Secret;
use serde_json::json;

use super::idp::{CLIENT, ISSUER, NOW, Pair, REDIRECT, TOKEN, callback, claims, header, query};
use super::key::TestKey;
use crate::oidc::{Callback, FaultSide, Identity, OidcError, TokenFault, callback_error};

#[test]
fn a_person_signs_in() {
    let pair = Pair::new();
    let identity = pair.sign_in(|claims| claims["groups"] = json!(["devs", "others"])).unwrap();
    assert_eq!(
        identity,
        Identity {
            issuer: ISSUER.to_owned(),
            subject: "person-1".to_owned(),
            email: "ada@example.com".to_owned(),
            name: Some("Ada Lovelace".to_owned()),
            groups: vec!["devs".to_owned(), "others".to_owned()],
            groups_fault: None,
        }
    );
    assert_eq!(pair.provider.roles_of(&identity.groups).to_string(), "deployer");
    assert_eq!(pair.provider.name(), "test");
}

#[test]
fn the_browser_is_sent_with_what_the_standard_wants() {
    let begun = Pair::new().begin().unwrap();
    let query = query(&begun.url);
    assert!(begun.url.starts_with("https://idp.example.com/authorize?"));
    let is = |name: &str, value: &str| assert_eq!(query.get(name).map(String::as_str), Some(value), "{name}");
    is("response_type", "code");
    is("client_id", CLIENT);
    is("redirect_uri", REDIRECT);
    is("scope", "openid email profile");
    is("state", begun.kept.state.expose());
    is("nonce", begun.kept.nonce.expose());
    is("code_challenge_method", "S256");
    let challenge = digest(&SHA256, begun.kept.verifier.expose().as_bytes());
    is("code_challenge", &BASE64URL_NOPAD.encode(challenge.as_ref()));
    assert_eq!(query.len(), 8, "and nothing else: {query:?}");
    assert!(!begun.url.contains(begun.kept.verifier.expose().as_str()));
}

#[test]
fn d2_secrets_are_random_and_never_shown() {
    let pair = Pair::new();
    let (one, two) = (pair.begin().unwrap().kept, pair.begin().unwrap().kept);
    for (one, two) in [(&one.state, &two.state), (&one.nonce, &two.nonce), (&one.verifier, &two.verifier)] {
        assert_eq!(one.expose().len(), 43);
        assert_ne!(one, two);
    }
    assert!(one.state != one.nonce && one.nonce != one.verifier);
    assert!(!format!("{one:?}").contains(one.state.expose().as_str()));
    assert!(!format!("{:?}", pair.provider).contains("client secret"));
}

#[test]
fn d2_another_state_asks_nobody_and_signs_nobody_in() {
    let pair = Pair::new();
    let begun = pair.begin().unwrap();
    let other = pair.begin().unwrap();
    let state = begun.kept.state.expose();
    let before = pair.idp.asked().len();
    for wrong in
        ["", &state[..42], &format!("{state}a"), &state.to_uppercase(), other.kept.state.expose().as_str()]
    {
        let callback = Callback { state: Secret::new(wrong.to_owned()), ..callback(&begun.kept) };
        let error = pair.finish_at(NOW, &begun.kept, &callback).unwrap_err();
        assert!(matches!(error, OidcError::State), "{wrong}");
        assert_eq!(error.side(), FaultSide::Caller);
    }
    // A sign-in that was kept without a state is none: an empty answer must not match it.
    let mut empty = begun.kept.clone();
    empty.state = Secret::new(String::new());
    assert!(matches!(pair.finish(&empty), Err(OidcError::State)));
    assert_eq!(pair.idp.asked().len(), before, "the provider was not asked");
}

#[test]
fn d2_a_nonce_that_is_absent_other_or_of_another_tab_is_refused() {
    let pair = Pair::new();
    let is_nonce = |result: Result<Identity, OidcError>| {
        assert!(matches!(result, Err(OidcError::IdToken { fault: TokenFault::Nonce, .. })), "{result:?}");
    };
    is_nonce(pair.sign_in(|claims| drop(claims.as_object_mut().unwrap().remove("nonce"))));
    is_nonce(pair.sign_in(|claims| claims["nonce"] = json!(null)));
    is_nonce(pair.sign_in(|claims| claims["nonce"] = json!("")));
    is_nonce(pair.sign_in(|claims| {
        claims["nonce"] = claims["nonce"].as_str().unwrap().to_uppercase().into();
    }));
    // The token of one tab in the other.
    let (one, two) = (pair.begin().unwrap().kept, pair.begin().unwrap().kept);
    pair.idp.id_token(TestKey::rsa().token(&header(), &claims(one.nonce.expose()).to_string()));
    is_nonce(pair.finish(&two));
    pair.finish(&one).unwrap();
}

#[test]
fn d3_the_code_goes_with_verifier_and_redirect_address() {
    let pair = Pair::new();
    let begun = pair.begin().unwrap();
    pair.idp.id_token(TestKey::rsa().token(&header(), &claims(begun.kept.nonce.expose()).to_string()));
    pair.finish(&begun.kept).unwrap();
    let asked = pair.idp.asked().into_iter().find(|asked| asked.path == TOKEN).unwrap();
    let is = |name: &str, value: &str| {
        assert_eq!(asked.form.get(name).map(String::as_str), Some(value), "{name}");
    };
    is("grant_type", "authorization_code");
    is("code", "code");
    is("code_verifier", begun.kept.verifier.expose());
    is("redirect_uri", REDIRECT);
    assert_eq!(asked.form.len(), 4, "the secret is not in the body: {:?}", asked.form.keys());
    // RFC 6749, section 2.3.1: both parts are form-encoded first.
    let credential = BASE64.encode(b"gateway-client:client+secret%2F%2B");
    assert_eq!(asked.authorization, Some(format!("Basic {credential}")));
}

#[test]
fn the_secret_goes_where_the_provider_takes_it() {
    for (methods, in_body) in [
        (json!(["client_secret_post"]), true),
        (json!(["client_secret_post", "client_secret_basic"]), false),
        (json!(["client_secret_jwt"]), false),
        (json!(null), false),
    ] {
        let pair = Pair::new();
        pair.idp.metadata(|metadata| metadata["token_endpoint_auth_methods_supported"] = methods.clone());
        pair.sign_in(|_| {}).unwrap();
        let asked = pair.idp.asked().into_iter().find(|asked| asked.path == TOKEN).unwrap();
        assert_eq!(asked.form.contains_key("client_secret"), in_body, "{methods}");
        assert_eq!(asked.authorization.is_some(), !in_body, "{methods}");
    }
}

#[test]
fn d3_a_refused_code_says_whose_fault_it_is() {
    let refusal = |status: u16, body: &str| {
        let pair = Pair::new();
        let begun = pair.begin().unwrap();
        pair.idp.instead(TOKEN, status, body);
        pair.finish(&begun.kept).unwrap_err()
    };
    // Reused, expired, another client's, with another verifier or address: all are `invalid_grant`.
    let error = refusal(400, r#"{"error":"invalid_grant","error_description":"code <used>"}"#);
    assert!(matches!(error, OidcError::CodeRefused { .. }), "{error:?}");
    assert_eq!((error.side(), error.to_string().contains('<')), (FaultSide::Caller, false));
    let error = refusal(401, r#"{"error":"invalid_client"}"#);
    assert!(matches!(error, OidcError::ClientRefused { .. }), "{error:?}");
    assert_eq!(error.side(), FaultSide::Gateway);
    for (status, body) in [(500, "oops"), (503, ""), (302, ""), (304, "")] {
        let error = refusal(status, body);
        assert!(matches!(error, OidcError::Status { status: other, .. } if other == status), "{error:?}");
    }
    for body in ["", "<html>", "[]", "{}", "{\"access_token\":\"s3cret\"", "{\"access_token\":7}"] {
        let error = refusal(200, body);
        assert!(matches!(error, OidcError::Malformed { .. }), "{body}: {error:?}");
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
    }
    let error = refusal(200, r#"{"access_token":"a","token_type":"Bearer"}"#);
    assert!(matches!(error, OidcError::IdToken { fault: TokenFault::Absent, .. }), "{error:?}");
}

#[test]
fn a_code_that_is_none_is_not_sent() {
    let pair = Pair::new();
    let begun = pair.begin().unwrap();
    for code in [String::new(), "a".repeat(4097)] {
        let callback = Callback { code: Secret::new(code), ..callback(&begun.kept) };
        assert!(matches!(pair.finish_at(NOW, &begun.kept, &callback), Err(OidcError::Code)));
    }
    assert_eq!(pair.idp.count(TOKEN), 0);
}

#[test]
fn d4_the_answer_says_from_whom_it_is() {
    let check = |advertised: bool, iss: Option<&str>, is_right: bool| {
        let pair = Pair::new();
        if advertised {
            pair.idp.metadata(|metadata| {
                metadata["authorization_response_iss_parameter_supported"] = json!(true);
            });
        }
        let begun = pair.begin().unwrap();
        pair.idp.id_token(TestKey::rsa().token(&header(), &claims(begun.kept.nonce.expose()).to_string()));
        let callback = Callback { iss: iss.map(str::to_owned), ..callback(&begun.kept) };
        let result = pair.finish_at(NOW, &begun.kept, &callback);
        assert_eq!(result.is_ok(), is_right, "{advertised} {iss:?}: {result:?}");
        if !is_right {
            assert!(matches!(result, Err(OidcError::CallbackIssuer { .. })));
            assert_eq!(pair.idp.count(TOKEN), 0, "the code was not shown to the wrong one");
        }
    };
    check(true, Some(ISSUER), true);
    check(true, None, false);
    check(false, None, true);
    check(false, Some(ISSUER), true);
    for other in ["https://evil.example.com", "https://idp.example.com/", "https://IDP.example.com", ""] {
        check(true, Some(other), false);
        check(false, Some(other), false);
    }
}

#[test]
fn d9_what_an_error_brings_is_short_and_shown_to_nobody() {
    let text = "<script>alert(1)</script>\r\nSet-Cookie: a=b\u{202e}".to_owned() + &"x".repeat(1_000_000);
    let error = callback_error("test", "access_denied", Some(&text));
    let shown = error.to_string();
    assert!(shown.len() < 400, "{}", shown.len());
    assert!(shown.starts_with("identity provider test refused: access_denied (?script?alert(1)"), "{shown}");
    assert!(shown.chars().all(|c| c == ' ' || c.is_ascii_graphic()) && !shown.contains(['<', '>', '"']));
    assert_eq!(error.side(), FaultSide::Caller);
    assert_eq!(error.public_text(), "The identity provider refused the sign-in, or you cancelled it.");

    let unknown = callback_error("test", &"\u{7}<b>".repeat(100_000), None);
    assert!(unknown.to_string().len() < 200);
    assert_eq!(unknown.side(), FaultSide::Provider);
    for (code, side) in [
        ("login_required", FaultSide::Caller),
        ("server_error", FaultSide::Provider),
        ("temporarily_unavailable", FaultSide::Provider),
        ("invalid_request", FaultSide::Gateway),
        ("unauthorized_client", FaultSide::Gateway),
    ] {
        assert_eq!(callback_error("test", code, None).side(), side, "{code}");
    }
}

#[test]
fn an_address_for_the_way_back_that_is_none_is_the_gateways_fault() {
    let pair = Pair::new();
    let begin = super::idp::ready(pair.provider.begin(
        &pair.idp,
        super::idp::at(NOW),
        &gateway_types::OsEntropy,
        "not an address",
    ));
    assert!(matches!(begin, Err(OidcError::Address { .. })));
}
