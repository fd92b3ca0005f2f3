//! Asking a provider again.

use gateway_types::Secret;
use serde_json::{Value, json};

use super::idp::{NOW, Pair, TOKEN, USER_INFO, at, claims, header, query, ready, settings};
use super::key::TestKey;
use crate::oidc::{Again, OidcError, Person, Provider, ProviderConfig, Refreshed, TokenFault};

fn pair() -> Pair {
    let provider = Provider::new(ProviderConfig { again: Again::Refresh, ..settings() });
    Pair { provider, ..Pair::new() }
}

fn answer(change: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims("unused");
    claims.as_object_mut().unwrap().remove("nonce");
    change(&mut claims);
    let token = TestKey::rsa().token(&header(), &claims.to_string());
    json!({"access_token": "at", "token_type": "Bearer", "id_token": token, "refresh_token": "next"})
        .to_string()
}

fn refresh(pair: &Pair) -> Result<Refreshed, OidcError> {
    refresh_known(pair, None)
}

fn refresh_known(pair: &Pair, email: Option<&str>) -> Result<Refreshed, OidcError> {
    let again = Secret::new("a refresh token".to_owned());
    let person = Person { subject: "person-1", email };
    ready(pair.provider.refresh(&pair.idp, at(NOW), person, &again))
}

#[test]
fn d7_what_a_provider_says_when_it_is_asked_again() {
    let pair = pair();
    pair.idp.instead(TOKEN, 200, answer(|claims| claims["groups"] = json!(["devs"])));
    match refresh(&pair).unwrap() {
        Refreshed::Known { identity: Some(identity), again: Some(again) } => {
            assert_eq!(identity.groups, ["devs"]);
            assert_eq!(again.expose(), "next");
        }
        other => panic!("{other:?}"),
    }
    let asked = pair.idp.asked().pop().unwrap();
    assert_eq!(asked.form["grant_type"], "refresh_token");
    assert_eq!(asked.form["refresh_token"], "a refresh token");
    // Without a new ID token it only says that it knows the person.
    pair.idp.instead(TOKEN, 200, r#"{"access_token": "at", "token_type": "Bearer"}"#);
    assert!(matches!(refresh(&pair), Ok(Refreshed::Known { identity: None, again: None })));
    pair.idp.instead(TOKEN, 200, answer(|claims| drop(claims.as_object_mut().unwrap().remove("email"))));
    assert!(matches!(refresh(&pair), Ok(Refreshed::Known { identity: None, .. })));
    // Groups without an address are those of the address that is known; without groups nothing is said.
    let without_address = |groups: Option<Value>| {
        answer(|claims| {
            let claims = claims.as_object_mut().unwrap();
            claims.remove("email");
            claims.remove("groups");
            claims.extend(groups.map(|groups| ("groups".to_owned(), groups)));
        })
    };
    pair.idp.instead(TOKEN, 200, without_address(Some(json!(["devs"]))));
    match refresh_known(&pair, Some("ann@example.com")).unwrap() {
        Refreshed::Known { identity: Some(identity), .. } => {
            assert_eq!(
                (identity.email.as_str(), identity.groups.as_slice()),
                ("ann@example.com", &["devs".to_owned()][..])
            );
        }
        other => panic!("{other:?}"),
    }
    pair.idp.instead(TOKEN, 200, without_address(None));
    let nothing = refresh_known(&pair, Some("ann@example.com"));
    assert!(matches!(nothing, Ok(Refreshed::Known { identity: None, .. })), "{nothing:?}");
}

#[test]
fn d7_who_is_gone_is_told_from_a_provider_that_fails() {
    let pair = pair();
    pair.idp.instead(TOKEN, 400, r#"{"error": "invalid_grant"}"#);
    assert!(matches!(refresh(&pair), Ok(Refreshed::Gone(OidcError::CodeRefused { .. }))));
    for change in [
        (|claims: &mut Value| claims["sub"] = "another".into()) as fn(&mut Value),
        |claims| claims["email_verified"] = false.into(),
        |claims| claims["email"] = "a@b@c".into(),
    ] {
        pair.idp.instead(TOKEN, 200, answer(change));
        assert!(matches!(refresh(&pair), Ok(Refreshed::Gone(_))));
    }
    // The gateway's own fault, or nobody's: the person stays.
    for (status, body) in
        [(401, r#"{"error": "invalid_client"}"#), (500, ""), (503, "busy"), (200, "no JSON"), (429, "{}")]
    {
        pair.idp.instead(TOKEN, status, body);
        assert!(refresh(&pair).is_err(), "{status} {body}");
    }
    pair.idp.down(TOKEN);
    assert!(matches!(refresh(&pair), Err(OidcError::Unreachable { .. })));
    // A token that is not the provider's is no word of it.
    let forged = TestKey::other_rsa().token(&header(), &claims("n").to_string());
    let body = json!({"access_token": "at", "token_type": "Bearer", "id_token": forged}).to_string();
    pair.idp.instead(TOKEN, 200, body);
    let fault = refresh(&pair).unwrap_err();
    assert!(matches!(fault, OidcError::IdToken { fault: TokenFault::Signature, .. }), "{fault:?}");
}

#[test]
fn d7_who_is_asked_about_again_is_told_by_userinfo_too() {
    let pair = pair();
    let thin = answer(|claims| drop(claims.as_object_mut().unwrap().remove("email_verified")));
    pair.idp.instead(TOKEN, 200, thin);
    let told = |verified: bool| json!({"sub": "person-1", "email": "ada@example.com", "email_verified": verified, "groups": ["devs"]});
    pair.idp.user_info(told(true));
    match refresh(&pair).unwrap() {
        Refreshed::Known { identity: Some(identity), .. } => assert_eq!(identity.groups, ["devs"]),
        other => panic!("{other:?}"),
    }
    // One that cannot be asked says nothing of the person.
    pair.idp.instead(USER_INFO, 503, "");
    assert!(matches!(refresh(&pair), Err(OidcError::Status { status: 503, .. })));
    pair.idp.instead(USER_INFO, 200, told(false).to_string());
    assert!(matches!(refresh(&pair), Ok(Refreshed::Gone(OidcError::EmailNotVerified { .. }))));
}

#[test]
fn something_to_ask_with_is_asked_for_where_it_is_wanted() {
    let scope = |pair: &Pair| query(&pair.begin().unwrap().url);
    assert_eq!(scope(&Pair::new())["scope"], "openid email profile");
    let wanted = scope(&pair());
    assert_eq!(wanted["scope"], "openid email profile offline_access");
    assert_eq!(wanted["prompt"], "consent");
}
