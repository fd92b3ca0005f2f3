//! The claims of a well-signed token that is still not acceptable.

use serde_json::{Value, json};

use super::idp::{CLIENT, ISSUER, NOW, Pair, claims, header};
use super::key::TestKey;
use crate::oidc::{OidcError, TokenFault};

fn with(name: &str, value: Value) -> Result<(), OidcError> {
    Pair::new().sign_in(|claims| claims[name] = value).map(drop)
}

fn without(name: &str) -> Result<(), OidcError> {
    Pair::new().sign_in(|claims| drop(claims.as_object_mut().unwrap().remove(name))).map(drop)
}

fn refused(result: &Result<(), OidcError>, expected: TokenFault, what: &Value) {
    assert!(
        matches!(result, Err(OidcError::IdToken { fault, .. }) if *fault == expected),
        "{expected:?} {what}: {result:?}"
    );
}

#[test]
fn f2_the_audience_is_this_client_alone() {
    with("aud", json!([CLIENT])).unwrap();
    for wrong in [
        json!([]),
        json!(""),
        json!("gateway"),
        json!("gateway-client-2"),
        json!("Gateway-Client"),
        json!(" gateway-client"),
        json!(["other"]),
        json!([CLIENT, "other"]),
        json!(["other", CLIENT]),
    ] {
        refused(&with("aud", wrong.clone()), TokenFault::Audience, &wrong);
    }
    refused(&without("aud"), TokenFault::Audience, &json!("absent"));
    for wrong in [json!(null), json!(7), json!({"a": CLIENT}), json!([[CLIENT]]), json!([CLIENT, 7])] {
        assert!(with("aud", wrong.clone()).is_err(), "{wrong}");
    }
    with("azp", json!(CLIENT)).unwrap();
    with("azp", json!(null)).unwrap();
    for wrong in [json!("other"), json!("")] {
        refused(&with("azp", wrong.clone()), TokenFault::Audience, &wrong);
    }
}

#[test]
fn f2_the_issuer_is_exact() {
    for wrong in [
        "https://idp.example.com/",
        "https://IDP.example.com",
        "http://idp.example.com",
        "https://idp.example.com:443",
        "https://evil.example.com",
        "https://idp.example.com.evil.com",
    ] {
        refused(&with("iss", wrong.into()), TokenFault::Issuer, &wrong.into());
    }
    for wrong in [json!(""), json!("idp.example.com"), json!(null), json!([ISSUER])] {
        assert!(with("iss", wrong.clone()).is_err(), "{wrong}");
    }
    assert!(without("iss").is_err());
}

#[test]
fn f2_times_are_whole_seconds_within_two_minutes() {
    with("exp", json!(NOW + 1)).unwrap();
    with("exp", json!(NOW - 119)).unwrap();
    for wrong in [NOW - 120, NOW - 3600, 0, -1, -NOW] {
        refused(&with("exp", json!(wrong)), TokenFault::Expired, &json!(wrong));
    }
    for fraction in [json!(1_800_000_300.5), json!(1_800_000_000.25)] {
        refused(&with("exp", fraction.clone()), TokenFault::Time, &fraction);
    }
    for wrong in [
        json!("1800000300"),
        json!(null),
        json!(true),
        json!([1_800_000_300]),
        json!(9_223_372_036_854_775_808_u64),
        json!(9_223_372_036_854_775_807_i64),
        json!(1e300),
    ] {
        assert!(with("exp", wrong.clone()).is_err(), "{wrong}");
    }
    assert!(without("exp").is_err());

    with("iat", json!(NOW + 120)).unwrap();
    with("iat", json!(NOW - 600)).unwrap();
    for wrong in [NOW + 121, NOW + 86_400, NOW - 721, 0, -1] {
        refused(&with("iat", json!(wrong)), TokenFault::IssueTime, &json!(wrong));
    }
    refused(&with("iat", json!(1_800_000_000.5)), TokenFault::Time, &json!("fraction"));
    assert!(without("iat").is_err() && with("iat", json!("1800000000")).is_err());

    with("nbf", json!(NOW + 120)).unwrap();
    with("nbf", json!(0)).unwrap();
    for wrong in [json!(NOW + 121), json!("0"), json!(1.5), json!(true)] {
        refused(&with("nbf", wrong.clone()), TokenFault::NotYetValid, &wrong);
    }
}

/// A clock far from any year that matters must not panic.
#[test]
fn clocks_at_the_ends_of_time_are_survived() {
    for seconds in [i64::MIN / 1_000_000, -1, 0, i64::MAX / 1_000_000] {
        let pair = Pair::new();
        let begun = pair.begin_at(seconds).unwrap();
        pair.idp.id_token(TestKey::rsa().token(&header(), &claims(begun.kept.nonce.expose()).to_string()));
        assert!(pair.finish_at(seconds, &begun.kept, &super::idp::callback(&begun.kept)).is_err());
    }
}

#[test]
fn f2_a_claim_that_comes_twice_is_refused() {
    for (name, first, second) in [
        ("iss", json!("https://evil.example.com"), json!(ISSUER)),
        ("sub", json!("person-2"), json!("person-1")),
        ("aud", json!("other"), json!(CLIENT)),
        ("exp", json!(0), json!(NOW + 300)),
        ("nonce", json!("other"), json!(null)),
        ("email", json!("eve@example.com"), json!("ada@example.com")),
        ("email_verified", json!(false), json!(true)),
        ("azp", json!("other"), json!(CLIENT)),
        ("groups", json!(["devs"]), json!(["admins"])),
        ("hd", json!("evil.com"), json!("example.com")),
        ("nbf", json!(NOW * 2), json!(0)),
    ] {
        let result = Pair::new().sign_in_with(|nonce| {
            let mut right = claims(nonce);
            if name != "nonce" {
                right[name] = second.clone();
            }
            let text = right.to_string().replacen('{', &format!("{{\"{name}\":{first},"), 1);
            TestKey::rsa().token(&header(), &text)
        });
        assert!(result.is_err(), "{name}: {result:?}");
    }
}

#[test]
fn what_the_gateway_does_not_use_is_ignored() {
    Pair::new()
        .sign_in(|claims| {
            claims["picture"] = json!("https://example.com/a.png");
            claims["acr"] = json!("urn:x");
            claims["amr"] = json!(["pwd"]);
            claims["https://example.com/claims"] = json!({"a": [1, 2, {"b": null}]});
            claims["locale"] = json!("de");
            claims["at_hash"] = json!("x");
        })
        .unwrap();
}
