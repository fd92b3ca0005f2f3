//! The address, its domain, the subject and the name.

use serde_json::{Value, json};

use super::idp::{ISSUER, Pair, USER_INFO, settings};
use crate::oidc::{Endpoint, FaultSide, OidcError, Provider, ProviderConfig, TokenFault};

#[test]
fn d6_email_is_verified_and_plain() {
    let pair = Pair::new();
    let email = |address: &str| pair.sign_in(|claims| claims["email"] = address.into());
    for (address, canonical) in
        [("Ada@Example.COM", "ada@example.com"), ("a.b+tag@example.com", "a.b+tag@example.com")]
    {
        assert_eq!(email(address).unwrap().email, canonical);
    }
    for wrong in [
        "ada@example.com@evil.com",
        "ada@evil.com@example.com",
        "ada@example.com.",
        "ada@example.com ",
        " ada@example.com",
        "ada@example.com\n",
        "ada@example.com\u{0}",
        "ada@example.com\u{0}.evil.com",
        "ada@example.com\u{200b}",
        "аda@example.com", // Cyrillic а
        "ada@ехample.com",
        "ada@example\u{3002}com",
        "ada",
        "@example.com",
        "ada@",
        "",
    ] {
        let error = email(wrong).unwrap_err();
        assert!(matches!(error, OidcError::EmailMalformed { .. }), "{wrong:?}: {error:?}");
        assert_eq!(error.side(), FaultSide::Caller);
    }
}

#[test]
fn d6_only_a_true_email_verified_is_true() {
    let pair = Pair::new();
    for wrong in [json!(false), json!(null)] {
        let error = pair.sign_in(|claims| claims["email_verified"] = wrong.clone()).unwrap_err();
        assert!(matches!(error, OidcError::EmailNotVerified { .. }), "{wrong}: {error:?}");
    }
    let absent = pair.sign_in(|claims| drop(claims.as_object_mut().unwrap().remove("email_verified")));
    assert!(matches!(absent, Err(OidcError::EmailNotVerified { .. })));
    // Texts and numbers, also those that look true, are no answer that can be understood.
    for wrong in [json!("false"), json!("true"), json!(1), json!("1"), json!([true]), json!({})] {
        let error = pair.sign_in(|claims| claims["email_verified"] = wrong.clone()).unwrap_err();
        assert!(matches!(error, OidcError::Malformed { .. }), "{wrong}: {error:?}");
    }
    for absent in [None, Some(Value::Null)] {
        let result = pair.sign_in(|claims| match absent.clone() {
            Some(value) => claims["email"] = value,
            None => drop(claims.as_object_mut().unwrap().remove("email")),
        });
        assert!(matches!(result, Err(OidcError::EmailAbsent { .. })), "{result:?}");
    }
    assert!(pair.sign_in(|claims| claims["email"] = json!(["ada@example.com"])).is_err());
}

/// As Okta's own authorization server has it: the ID token tells the address, UserInfo whether it is verified.
#[test]
fn d6_what_the_token_leaves_out_userinfo_says() {
    let thin = |claims: &mut Value| {
        let claims = claims.as_object_mut().unwrap();
        for left_out in ["email_verified", "name", "groups"] {
            claims.remove(left_out);
        }
    };
    let told = || json!({"sub": "person-1", "email": "ada@example.com", "email_verified": true, "name": "Ada", "groups": ["devs"]});
    let sign_in = |answer: Value| {
        let pair = Pair::new();
        pair.idp.user_info(answer);
        (pair.sign_in(thin), pair)
    };
    let (identity, pair) = sign_in(told());
    let identity = identity.unwrap();
    assert_eq!((identity.email.as_str(), identity.name.as_deref()), ("ada@example.com", Some("Ada")));
    assert_eq!((identity.groups, identity.groups_fault), (vec!["devs".to_owned()], None));
    assert_eq!(pair.idp.asked().last().unwrap().authorization.as_deref(), Some("Bearer at"));
    // What the token says of groups comes first, and a token that says enough asks for nothing more.
    let mixed = pair.sign_in(|claims| {
        thin(claims);
        claims["groups"] = json!(["admins"]);
    });
    assert_eq!(mixed.unwrap().groups, ["admins"]);
    let asked = pair.idp.count(USER_INFO);
    pair.sign_in(|_| ()).unwrap();
    let refused = pair.sign_in(|claims| claims["email_verified"] = false.into());
    assert!(matches!(refused, Err(OidcError::EmailNotVerified { .. })));
    assert_eq!(pair.idp.count(USER_INFO), asked);

    let with = |name: &str, value: Value| {
        let mut told = told();
        told[name] = value;
        sign_in(told).0
    };
    for (name, value) in [
        ("email_verified", json!(false)),
        ("email_verified", json!(null)),
        // The one that it vouches for is not the one that signs in.
        ("email", json!("eve@example.com")),
        ("email", json!(null)),
    ] {
        let result = with(name, value.clone());
        assert!(matches!(result, Err(OidcError::EmailNotVerified { .. })), "{name} {value}: {result:?}");
    }
    for (name, value) in [
        ("sub", json!("person-2")),
        ("sub", json!(null)),
        ("email_verified", json!("true")),
        ("sub", json!(7)),
    ] {
        let result = with(name, value.clone());
        let is_malformed = matches!(result, Err(OidcError::Malformed { endpoint: Endpoint::UserInfo, .. }));
        assert!(is_malformed, "{name} {value}: {result:?}");
    }
    // An address that only UserInfo tells is vouched for there or nowhere.
    let nowhere = |verified: Value| {
        let pair = Pair::new();
        pair.idp
            .user_info(json!({"sub": "person-1", "email": "ada@example.com", "email_verified": verified}));
        pair.sign_in(|claims| drop(claims.as_object_mut().unwrap().remove("email")))
    };
    assert_eq!(nowhere(json!(true)).unwrap().email, "ada@example.com");
    assert!(matches!(nowhere(json!(null)), Err(OidcError::EmailNotVerified { .. })));
}

#[test]
fn userinfo_that_cannot_be_read_signs_nobody_in() {
    let pair = Pair::new();
    pair.idp.user_info(json!({"sub": "person-1", "email": "ada@example.com", "email_verified": true}));
    let sign_in = || pair.sign_in(|claims| drop(claims.as_object_mut().unwrap().remove("email_verified")));
    for status in [204, 302, 401, 403, 500] {
        pair.idp.instead(USER_INFO, status, "");
        let result = sign_in();
        assert!(matches!(result, Err(OidcError::Status { endpoint: Endpoint::UserInfo, .. })), "{result:?}");
    }
    pair.idp.instead(USER_INFO, 200, r#"{"sub": "person-1", "groups": [], "groups": ["admins"]}"#);
    assert!(matches!(sign_in(), Err(OidcError::Malformed { endpoint: Endpoint::UserInfo, .. })));
    pair.idp.down(USER_INFO);
    assert!(matches!(sign_in(), Err(OidcError::Unreachable { endpoint: Endpoint::UserInfo, .. })));
    pair.idp.well();
    sign_in().unwrap();
    // The access token goes nowhere without TLS.
    let pair = Pair::new();
    pair.idp.metadata(|metadata| metadata["userinfo_endpoint"] = "http://idp.example.com/user-info".into());
    pair.sign_in(|_| ()).unwrap();
    let result = pair.sign_in(|claims| drop(claims.as_object_mut().unwrap().remove("email_verified")));
    assert!(
        matches!(result, Err(OidcError::EndpointAddress { endpoint: Endpoint::UserInfo, .. })),
        "{result:?}"
    );
}

/// As Microsoft Entra has it: no `email_verified`, and a claim of its own for who owns the domain.
#[test]
fn d6_another_claim_vouches_where_it_is_configured() {
    let entra = || {
        let claim = Some("xms_edov".to_owned());
        let provider = Provider::new(ProviderConfig { email_verified_claim: claim, ..settings() });
        let pair = Pair { provider, ..Pair::new() };
        // Its UserInfo vouches for nothing, and is not asked.
        pair.idp.user_info(json!({"sub": "person-1", "email": "ada@example.com", "email_verified": true}));
        pair
    };
    let sign_in = |owned: Option<Value>, verified: Option<Value>| {
        let pair = entra();
        let result = pair.sign_in(|claims| {
            let claims = claims.as_object_mut().unwrap();
            claims.remove("email_verified");
            claims.extend(owned.map(|value| ("xms_edov".to_owned(), value)));
            claims.extend(verified.map(|value| ("email_verified".to_owned(), value)));
        });
        assert_eq!(pair.idp.count(USER_INFO), 0);
        result
    };
    for yes in [json!(true), json!(1), json!("1"), json!("true")] {
        assert_eq!(sign_in(Some(yes), None).unwrap().email, "ada@example.com");
    }
    for no in [
        json!(false),
        json!(0),
        json!("0"),
        json!("false"),
        json!("yes"),
        json!(2),
        json!([true]),
        json!(null),
    ] {
        let result = sign_in(Some(no.clone()), None);
        assert!(matches!(result, Err(OidcError::EmailNotVerified { .. })), "{no}: {result:?}");
    }
    assert!(matches!(sign_in(None, None), Err(OidcError::EmailNotVerified { .. })));
    assert!(matches!(sign_in(None, Some(json!(true))), Err(OidcError::EmailNotVerified { .. })));
    assert!(matches!(
        sign_in(Some(json!(true)), Some(json!(false))),
        Err(OidcError::EmailNotVerified { .. })
    ));
    // Where it is not configured, it vouches for nothing.
    let pair = Pair::new();
    let result = pair.sign_in(|claims| {
        claims.as_object_mut().unwrap().remove("email_verified");
        claims["xms_edov"] = true.into();
    });
    assert!(matches!(result, Err(OidcError::EmailNotVerified { .. })));
}

#[test]
fn d6_the_whole_domain_is_compared() {
    let provider = Provider::new(settings());
    let allowed = |email: &str| provider.domain_allowed(email);
    assert!(allowed("ada@example.com") && allowed("ADA@EXAMPLE.com"));
    for other in [
        "ada@evil-example.com",
        "ada@evilexample.com",
        "ada@sub.example.com",
        "ada@example.com.evil.com",
        "ada@example.co",
        "ada@xample.com",
        "ada@example.com.",
        "ada@example.com@evil.com",
        "ada@evil.com@example.com",
        "@example.com",
        "example.com",
        "ada@",
        "",
    ] {
        assert!(!allowed(other), "{other}");
    }
    let nobody = Provider::new(ProviderConfig { allowed_domains: Vec::new(), ..settings() });
    assert!(!nobody.domain_allowed("ada@example.com") && !nobody.domain_allowed("ada@"));
}

#[test]
fn d6_a_changed_address_is_the_same_subject() {
    let pair = Pair::new();
    let one = pair.sign_in(|claims| claims["email"] = json!("old@example.com")).unwrap();
    let two = pair.sign_in(|claims| claims["email"] = json!("new@example.com")).unwrap();
    assert_eq!((&one.issuer, &one.subject), (&two.issuer, &two.subject));
    assert_ne!(one.email, two.email);
}

#[test]
fn f2_a_subject_is_a_short_text() {
    let pair = Pair::new();
    let is_subject = |subject: Value| {
        let result = pair.sign_in(|claims| claims["sub"] = subject.clone());
        let error = result.unwrap_err();
        assert!(
            matches!(error, OidcError::IdToken { fault: TokenFault::Subject, .. }),
            "{subject}: {error:?}"
        );
    };
    is_subject(json!(""));
    is_subject(json!("a".repeat(256)));
    is_subject(json!("a\u{0}b"));
    for wrong in [json!(7), json!(null), json!(["a"])] {
        assert!(pair.sign_in(|claims| claims["sub"] = wrong.clone()).is_err(), "{wrong}");
    }
    assert!(pair.sign_in(|claims| drop(claims.as_object_mut().unwrap().remove("sub"))).is_err());
    assert_eq!(pair.sign_in(|claims| claims["sub"] = json!("a".repeat(255))).unwrap().subject.len(), 255);
}

#[test]
fn a_name_shows_nothing_else() {
    let pair = Pair::new();
    let name = |name: Value| pair.sign_in(|claims| claims["name"] = name.clone()).unwrap().name;
    assert_eq!(name(json!("  Zoë \u{202e}evil\u{7} ")).as_deref(), Some("Zoë evil"));
    assert_eq!(name(json!("\u{200b}")), None);
    assert_eq!(name(json!(null)), None);
    assert_eq!(name(json!("a".repeat(5000))).map(|name| name.len()), Some(200));
}

/// Google alone says whether an account is the organisation's; at others nothing changes.
#[test]
fn a_personal_google_account_with_an_address_of_the_organisation_is_refused() {
    const GOOGLE: &str = "https://accounts.google.com";
    let google = || {
        let pair = Pair {
            provider: Provider::new(ProviderConfig { issuer: GOOGLE.to_owned(), ..settings() }),
            ..Pair::new()
        };
        pair.idp.metadata(|metadata| metadata["issuer"] = GOOGLE.into());
        pair
    };
    let sign_in = |email: &str, hosted: Value| {
        google().sign_in(|claims| {
            claims["iss"] = GOOGLE.into();
            claims["email"] = email.into();
            claims["hd"] = hosted.clone();
        })
    };
    sign_in("ada@example.com", json!("example.com")).unwrap();
    sign_in("ada@example.com", json!("Example.com")).unwrap();
    for hosted in [json!(null), json!("evil.com"), json!(""), json!(true), json!(["example.com"])] {
        let error = sign_in("ada@example.com", hosted.clone()).unwrap_err();
        assert!(matches!(error, OidcError::NotTheOrganisations { .. }), "{hosted}: {error:?}");
    }
    // An address outside the organisation lets nobody in by itself: whoever is listed is listed.
    sign_in("ada@gmail.com", json!(null)).unwrap();
    assert_eq!(Pair::new().sign_in(|_| {}).unwrap().issuer, ISSUER);
}
