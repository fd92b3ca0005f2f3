//! D13: which logout tokens count.

use serde_json::{Value, json};

use super::idp::{CLIENT, ISSUER, KEYS, NOW, Pair, TOKEN, at, ready, settings};
use super::key::TestKey;
use crate::oidc::{LogoutFault, LogoutToken, OidcError, Provider, ProviderConfig, ProviderKind};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn header() -> Value {
    json!({"alg": "RS256", "typ": "logout+jwt", "kid": "k1"})
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": CLIENT,
        "iat": NOW,
        "exp": NOW + 120,
        "jti": "token-1",
        "sub": "person-1",
        "sid": "session-1",
        "events": { EVENT: {} },
    })
}

fn checked(pair: &Pair, token: &str) -> Result<LogoutToken, OidcError> {
    ready(pair.provider.logout_token(&pair.idp, at(NOW), token))
}

fn fault(result: Result<LogoutToken, OidcError>) -> LogoutFault {
    match result {
        Err(OidcError::LogoutToken { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

fn with(change: impl FnOnce(&mut Value, &mut Value)) -> Result<LogoutToken, OidcError> {
    let (mut header, mut claims) = (header(), claims());
    change(&mut header, &mut claims);
    checked(&Pair::new(), &TestKey::rsa().token(&header, &claims.to_string()))
}

#[test]
fn d13_a_token_that_counts_says_whose_sessions_end() {
    let token = with(|_, _| {}).unwrap();
    assert_eq!((token.jti.as_str(), token.sid.as_deref()), ("token-1", Some("session-1")));
    assert_eq!(token.subject.as_deref(), Some("person-1"));
    // It is remembered for as long as it could be taken.
    assert_eq!(token.over, at(NOW + 120 + 120));
    assert_eq!(with(|_, claims| claims["aud"] = json!([CLIENT])).unwrap().jti, "token-1");
    assert!(with(|header, _| header["typ"] = Value::Null).is_ok());
    let remove = |name: &'static str| {
        move |_: &mut Value, claims: &mut Value| {
            claims.as_object_mut().unwrap().remove(name);
        }
    };
    assert_eq!(with(remove("sub")).unwrap().subject, None);
    assert_eq!(with(remove("sid")).unwrap().sid, None);
    assert!(with(remove("exp")).is_ok(), "older providers leave it out; then its making counts");
}

#[test]
fn d13_what_is_wrong_with_a_token_is_told_apart() {
    let check = |expected: LogoutFault, change: &dyn Fn(&mut Value, &mut Value)| {
        assert_eq!(fault(with(change)), expected);
    };
    check(LogoutFault::Issuer, &|_, claims| claims["iss"] = format!("{ISSUER}/").into());
    check(LogoutFault::Issuer, &|_, claims| claims["iss"] = "https://other.example.com".into());
    for audience in [json!("other"), json!([CLIENT, "other"]), json!([]), json!(format!("{CLIENT} "))] {
        check(LogoutFault::Audience, &|_, claims| claims["aud"] = audience.clone());
    }
    for (name, time) in
        [("iat", NOW + 600), ("iat", NOW - 3600), ("iat", -1), ("exp", NOW - 600), ("nbf", NOW + 600)]
    {
        check(LogoutFault::Time, &|_, claims| claims[name] = time.into());
    }
    check(LogoutFault::Nonce, &|_, claims| claims["nonce"] = "n".into());
    check(LogoutFault::Nonce, &|_, claims| claims["nonce"] = Value::Null);
    for events in [json!({}), json!({ EVENT: true }), json!({ EVENT: [] }), json!({ "other": {} })] {
        check(LogoutFault::Event, &|_, claims| claims["events"] = events.clone());
    }
    check(LogoutFault::Whose, &|_, claims| {
        claims["sub"] = Value::Null;
        claims["sid"] = Value::Null;
    });
    check(LogoutFault::Whose, &|_, claims| claims["sub"] = "".into());
    check(LogoutFault::Whose, &|_, claims| claims["sid"] = "a\nb".into());
    check(LogoutFault::Whose, &|_, claims| claims["sub"] = "x".repeat(256).into());
    check(LogoutFault::Malformed, &|_, claims| claims["jti"] = "".into());
    check(LogoutFault::Malformed, &|_, claims| claims["jti"] = 7.into());
    check(LogoutFault::Malformed, &|_, claims| claims["iat"] = json!(1.5));
    for typ in ["at+jwt", "id_token", "secevent+jwt"] {
        check(LogoutFault::Type, &|header, _| header["typ"] = typ.into());
    }
    check(LogoutFault::Type, &|header, _| header["crit"] = json!(["b64"]));
    check(LogoutFault::Type, &|header, _| header["b64"] = false.into());
    check(LogoutFault::Algorithm, &|header, _| header["alg"] = "HS256".into());
    check(LogoutFault::Algorithm, &|header, _| header["alg"] = "none".into());
    check(LogoutFault::Algorithm, &|header, _| header["alg"] = "RS512".into());
    check(LogoutFault::UnknownKey, &|header, _| header["kid"] = "k9".into());
}

#[test]
fn f3_an_id_token_is_no_logout_token_and_the_other_way_round() {
    let pair = Pair::new();
    let id_token = TestKey::rsa().token(&super::idp::header(), &super::idp::claims("n").to_string());
    assert_eq!(fault(checked(&pair, &id_token)), LogoutFault::Malformed);
    let logout = TestKey::rsa().token(&header(), &claims().to_string());
    assert!(pair.sign_in_with(|_| logout.clone()).is_err());
}

#[test]
fn d13_signatures_are_the_providers() {
    let pair = Pair::new();
    let forged = TestKey::other_rsa().token(&header(), &claims().to_string());
    assert_eq!(fault(checked(&pair, &forged)), LogoutFault::Signature);
    let good = TestKey::rsa().token(&header(), &claims().to_string());
    for bad in ["", ".", "..", "a.b.c", &good[..good.len() - 4], &format!("{good}."), &format!("{good}AA")] {
        assert!(checked(&pair, bad).is_err(), "{bad}");
    }
    let twice = claims().to_string().replacen('{', "{\"sub\":\"other\",", 1);
    let twice = TestKey::rsa().token(&header(), &twice);
    assert_eq!(fault(checked(&pair, &twice)), LogoutFault::Malformed);
    let huge = format!("{}.{}", good, "A".repeat(9000));
    assert_eq!(fault(checked(&pair, &huge)), LogoutFault::Malformed);
    // Two keys of one id: which is meant is anybody's guess.
    pair.idp.keys(&[TestKey::rsa().jwk(Some("k1")), TestKey::other_rsa().jwk(Some("k1"))]);
    let fresh = Pair::new();
    fresh.idp.keys(&[TestKey::rsa().jwk(Some("k1")), TestKey::other_rsa().jwk(Some("k1"))]);
    assert_eq!(fault(checked(&fresh, &good)), LogoutFault::UnknownKey);
}

#[test]
fn d8_a_flood_of_unknown_keys_reads_the_keys_twice() {
    let pair = Pair::new();
    for n in 0..200 {
        let mut header = header();
        header["kid"] = format!("made-up-{n}").into();
        let token = TestKey::other_rsa().token(&header, &claims().to_string());
        assert_eq!(fault(checked(&pair, &token)), LogoutFault::UnknownKey);
    }
    assert_eq!(pair.idp.count(KEYS), 2, "once, and once again for the first of them");
    // What is not for this client asks nobody at all.
    let pair = Pair::new();
    let mut other = claims();
    other["aud"] = "other".into();
    assert!(checked(&pair, &TestKey::rsa().token(&header(), &other.to_string())).is_err());
    assert_eq!((pair.idp.count(KEYS), pair.idp.count(TOKEN)), (0, 0));
}

#[test]
fn d13_github_sends_none() {
    let kind = ProviderKind::GitHub { api_url: "https://api.github.com".to_owned() };
    let provider = Provider::new(ProviderConfig { kind, ..settings() });
    let token = TestKey::rsa().token(&header(), &claims().to_string());
    let result = ready(provider.logout_token(&Pair::new().idp, at(NOW), &token));
    assert_eq!(fault(result), LogoutFault::NotSent);
}

#[test]
fn d13_where_a_browser_signs_out_at_the_provider() {
    let pair = Pair::new();
    let back = "https://gateway.example.com/auth/login?signed_out";
    let url = |pair: &Pair| ready(pair.provider.logout_url(&pair.idp, at(NOW), back));
    assert_eq!(url(&pair).unwrap(), None, "it has no such place");
    let pair = Pair::new();
    pair.idp.metadata(|metadata| metadata["end_session_endpoint"] = format!("{ISSUER}/end?x=1").into());
    let address = url(&pair).unwrap().unwrap();
    let query = super::idp::query(&address);
    assert!(address.starts_with("https://idp.example.com/end?x=1&"), "{address}");
    assert_eq!((query["client_id"].as_str(), query["post_logout_redirect_uri"].as_str()), (CLIENT, back));
    // An address that must not be asked is none that a browser is sent to.
    for bad in ["http://idp.example.com/end", "javascript:alert(1)", "https://a@idp.example.com/", "/end"] {
        let pair = Pair::new();
        pair.idp.metadata(|metadata| metadata["end_session_endpoint"] = bad.into());
        assert!(url(&pair).is_err(), "{bad}");
    }
}
