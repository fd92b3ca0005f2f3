//! The address, its domain, the subject and the name.

use serde_json::{Value, json};

use super::idp::{ISSUER, Pair, settings};
use crate::oidc::{FaultSide, OidcError, Provider, ProviderConfig, TokenFault};

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
