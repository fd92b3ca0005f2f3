//! D3 and D11: the command line beside a browser.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use gateway_types::CredentialKind;

use super::super::tokens::{Fields, Issued, TokenError, TokenFault, issue};
use super::super::{CliRequest, Finished, SignInError, begin_cli, finish};
use super::provider::parameters;
use super::world::{Browser, Place, World, account, email, here, on_both};

const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";
const REDIRECT: &str = "http://127.0.0.1:49152/callback";

fn challenge(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref())
}

fn request_with(changes: &[(&str, &str)]) -> Result<CliRequest, SignInError> {
    let challenge = challenge(VERIFIER);
    let mut fields: HashMap<&str, String> = HashMap::from([
        ("redirect_uri", REDIRECT.to_owned()),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256".to_owned()),
        ("state", "state-of-the-command-line".to_owned()),
        ("device", "ann's laptop".to_owned()),
    ]);
    for (name, value) in changes {
        fields.insert(name, (*value).to_owned());
    }
    CliRequest::read(|name| fields.get(name).cloned())
}

/// What the browser brings to the command line.
async fn brought(world: &World, request: CliRequest, claims: serde_json::Value) -> HashMap<String, String> {
    let mut browser = Browser::new();
    let begun = begin_cli(&world.app, "corp", request, &here(), browser.visitor()).await.unwrap();
    browser.keep(&begun);
    let query = world.idp.sign_in(&begun.location, claims);
    match finish(&world.app, "corp", &query, browser.visitor()).await.unwrap() {
        Finished::Cli { redirect_to } => {
            assert!(redirect_to.starts_with("http://127.0.0.1:49152/callback?"), "{redirect_to}");
            parameters(&redirect_to)
        }
        Finished::Web { .. } | Finished::Factor { .. } => panic!("a web session for a command line"),
    }
}

async fn code(world: &World) -> String {
    let answer = brought(world, request_with(&[]).unwrap(), account("a1", "admin@example.com")).await;
    assert_eq!(answer["state"], "state-of-the-command-line");
    assert_eq!(answer["iss"], "https://gw.example.com");
    answer["code"].clone()
}

fn form(pairs: &[(&str, &str)]) -> Fields {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Fields::read(body.as_bytes()).unwrap()
}

fn exchange<'a>(code: &'a str, verifier: &'a str, redirect_uri: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("client_id", "rack-gateway-cli"),
        ("code", code),
        ("code_verifier", verifier),
        ("redirect_uri", redirect_uri),
    ]
}

async fn ask(world: &World, pairs: &[(&str, &str)]) -> Result<Issued, TokenFault> {
    let browser = Browser::new();
    match issue(&world.app, &form(pairs), browser.visitor()).await {
        Ok(issued) => Ok(issued),
        Err(TokenError::Fault(fault)) => Err(fault),
        Err(TokenError::Failed(error)) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_code_becomes_a_session_of_the_command_line() {
    on_both(async |world| {
        let code = code(&world).await;
        let issued = ask(&world, &exchange(&code, VERIFIER, REDIRECT)).await.unwrap();
        assert_eq!((issued.email.as_str(), issued.expires_in), ("admin@example.com", 30 * 24 * 3600));
        assert!(issued.secret.expose().starts_with("rgs_"));
        let caller = world.caller(issued.secret.expose()).await;
        assert_eq!(email(&caller), "admin@example.com");
        assert_eq!(caller.principal.credential_kind(), CredentialKind::CliSession);
        let user = world.app.store.users().by_email("admin@example.com").await.unwrap().unwrap();
        let sessions = world.app.store.sessions().list_for_user(user.id).await.unwrap();
        assert_eq!((sessions.len(), sessions[0].device.as_str()), (1, "ann's laptop"));
        assert_eq!(sessions[0].idle_limit, Duration::from_secs(8 * 3600));
    })
    .await;
}

#[tokio::test]
async fn d3_a_code_is_for_whoever_asked_for_it_once() {
    on_both(async |world| {
        let other = "b-verifier-of-forty-three-characters-or-more";
        for (verifier, redirect_uri) in [
            (other, REDIRECT),
            (VERIFIER, "http://127.0.0.1:49153/callback"),
            (VERIFIER, "http://[::1]:49152/callback"),
        ] {
            let code = code(&world).await;
            let wrong = ask(&world, &exchange(&code, verifier, redirect_uri)).await.unwrap_err();
            assert_eq!(wrong, TokenFault::InvalidGrant);
            // Whoever guesses gets one try.
            let right = ask(&world, &exchange(&code, VERIFIER, REDIRECT)).await.unwrap_err();
            assert_eq!(right, TokenFault::InvalidGrant);
        }
        let code_of_it = code(&world).await;
        for verifier in ["", "short", &VERIFIER[..42], &"a".repeat(129), &format!("{}+", &VERIFIER[..43])] {
            let bad = ask(&world, &exchange(&code_of_it, verifier, REDIRECT)).await.unwrap_err();
            assert_eq!(bad, TokenFault::InvalidRequest, "{verifier}");
        }
        // The challenge itself is no verifier: `plain` does not exist.
        let plain = challenge(VERIFIER);
        assert_eq!(
            ask(&world, &exchange(&code_of_it, &plain, REDIRECT)).await.unwrap_err(),
            TokenFault::InvalidGrant
        );
        world.clock.advance(Duration::from_secs(1));
        let late = code(&world).await;
        world.clock.advance(Duration::from_secs(60));
        assert_eq!(
            ask(&world, &exchange(&late, VERIFIER, REDIRECT)).await.unwrap_err(),
            TokenFault::InvalidGrant
        );
        let unknown = ask(&world, &exchange("no-such-code", VERIFIER, REDIRECT)).await.unwrap_err();
        assert_eq!(unknown, TokenFault::InvalidGrant);
    })
    .await;
}

#[tokio::test]
async fn d3_a_code_that_comes_again_ends_what_came_of_it() {
    on_both(async |world| {
        let code = code(&world).await;
        let issued = ask(&world, &exchange(&code, VERIFIER, REDIRECT)).await.unwrap();
        assert!(world.is_live(issued.secret.expose()).await);
        let again = ask(&world, &exchange(&code, VERIFIER, REDIRECT)).await.unwrap_err();
        assert_eq!(again, TokenFault::InvalidGrant);
        assert!(!world.is_live(issued.secret.expose()).await);
        assert!(world.refusals().await.iter().any(|reason| reason.contains("a second time")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_of_many_uses_at_once_at_most_one_session_lives() {
    on_both(async |world| {
        let world = Arc::new(world);
        for _ in 0..5 {
            let code = code(&world).await;
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..20 {
                let (world, code) = (Arc::clone(&world), code.clone());
                tasks.spawn(async move { ask(&world, &exchange(&code, VERIFIER, REDIRECT)).await.is_ok() });
            }
            let won = tasks.join_all().await.into_iter().filter(|won| *won).count();
            assert!(won <= 1, "{won}");
        }
        // Each code came more than once, so nothing that came of one is left.
        let user = world.app.store.users().by_email("admin@example.com").await.unwrap().unwrap();
        assert!(world.app.store.sessions().list_for_user(user.id).await.unwrap().is_empty());
    })
    .await;
}

#[test]
fn d3_only_s256_challenges_are_taken() {
    for method in ["plain", "s256", "S512", "", "none"] {
        assert!(request_with(&[("code_challenge_method", method)]).is_err(), "{method}");
    }
    let right = challenge(VERIFIER);
    for bad in [
        "",
        "short",
        VERIFIER,
        &right[..42],
        &format!("{right}A"),
        &format!("{}=", &right[..42]),
        &right.replace(|c: char| c.is_ascii_alphanumeric(), "+"),
    ] {
        assert!(request_with(&[("code_challenge", bad)]).is_err(), "{bad}");
    }
    for bad in ["", "short", &"a".repeat(257), "with space in it", "a&b=cdefgh", "a%20bcdefgh", "é-state-é"]
    {
        assert!(request_with(&[("state", bad)]).is_err(), "{bad}");
    }
    assert!(request_with(&[]).is_ok());
}

#[test]
fn d11_a_code_goes_to_this_machine_by_its_number_only() {
    for good in
        ["http://127.0.0.1:1024/callback", "http://127.0.0.1:65535/callback", "http://[::1]:49152/callback"]
    {
        assert!(request_with(&[("redirect_uri", good)]).is_ok(), "{good}");
    }
    for bad in [
        "",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:80/callback",
        "http://127.0.0.1:1023/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:049152/callback",
        "http://127.0.0.1:49152",
        "http://127.0.0.1:49152/",
        "http://127.0.0.1:49152/callback/",
        "http://127.0.0.1:49152/callback?a=b",
        "http://127.0.0.1:49152/callback#a",
        "http://127.0.0.1:49152//callback",
        "http://127.0.0.1:49152/x/../callback",
        "http://127.0.0.1:49152/%63allback",
        "https://127.0.0.1:49152/callback",
        "HTTP://127.0.0.1:49152/callback",
        "http://localhost:49152/callback",
        "http://LOCALHOST:49152/callback",
        "http://localhost.:49152/callback",
        "http://127.0.0.1.evil:49152/callback",
        "http://127.0.0.1.nip.io:49152/callback",
        "http://127.1:49152/callback",
        "http://127.0.1:49152/callback",
        "http://0177.0.0.1:49152/callback",
        "http://0x7f.0.0.1:49152/callback",
        "http://2130706433:49152/callback",
        "http://0x7f000001:49152/callback",
        "http://127.0.0.2:49152/callback",
        "http://0.0.0.0:49152/callback",
        "http://[::]:49152/callback",
        "http://[::ffff:127.0.0.1]:49152/callback",
        "http://[0:0:0:0:0:0:0:1]:49152/callback",
        "http://[::1%25lo]:49152/callback",
        "http://a@127.0.0.1:49152/callback",
        "http://127.0.0.1:49152@evil.example/callback",
        "http://127.0.0.1:49152\\@evil.example/callback",
        "http://evil.example#@127.0.0.1:49152/callback",
        "http://127.0.0.1:49152\\callback",
        "http:/127.0.0.1:49152/callback",
        "http:127.0.0.1:49152/callback",
        "//127.0.0.1:49152/callback",
        " http://127.0.0.1:49152/callback",
        "http://127.0.0.1:49152/callback ",
        "http://127.0.0.1:49152/callback\n",
        "http://127.0.0.1:49152 /callback",
        "http://127.0.0.1:４９１５２/callback",
        "http://１２７.0.0.1:49152/callback",
        "http://127。0。0。1:49152/callback",
        "http://127.0.0.1:+9152/callback",
        "http://127.0.0.1:-9152/callback",
        "http://127.0.0.1:49152:80/callback",
        "javascript:alert(1)//http://127.0.0.1:49152/callback",
        "com.example.app:/callback",
        "http://10.0.0.1:49152/callback",
    ] {
        assert!(request_with(&[("redirect_uri", bad)]).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn a_command_line_is_told_that_its_person_may_not_come_in() {
    let world = World::new(Place::Sqlite).await;
    let answer = brought(&world, request_with(&[]).unwrap(), account("s1", "stranger@elsewhere.test")).await;
    assert_eq!(answer["error"], "access_denied");
    assert_eq!(answer["state"], "state-of-the-command-line");
    assert!(answer["error_description"].contains("domain") && !answer.contains_key("code"), "{answer:?}");
    let locked = code(&world).await;
    world.invite("second@example.com", &[gateway_types::Role::Admin]).await;
    let user = world.app.store.users().by_email("admin@example.com").await.unwrap().unwrap();
    world.app.store.users().set_locked(user.id, true, user.version).await.unwrap();
    assert_eq!(
        ask(&world, &exchange(&locked, VERIFIER, REDIRECT)).await.unwrap_err(),
        TokenFault::AccessDenied
    );
}

#[tokio::test]
async fn what_is_no_token_request_is_refused_as_oauth_says() {
    let world = World::new(Place::Sqlite).await;
    let fault = async |pairs: &[(&str, &str)]| ask(&world, pairs).await.unwrap_err();
    assert_eq!(fault(&[]).await, TokenFault::InvalidRequest);
    assert_eq!(fault(&[("client_id", "other")]).await, TokenFault::InvalidClient);
    let client = ("client_id", "rack-gateway-cli");
    assert_eq!(fault(&[client]).await, TokenFault::InvalidRequest);
    assert_eq!(fault(&[client, ("grant_type", "password")]).await, TokenFault::UnsupportedGrantType);
    assert_eq!(fault(&[client, ("grant_type", "authorization_code")]).await, TokenFault::InvalidRequest);
    for body in ["a=1&a=2", "client_id=x&client_id=x", "a=%ff", "a=%00"] {
        assert_eq!(Fields::read(body.as_bytes()).unwrap_err(), TokenFault::InvalidRequest, "{body}");
    }
    assert!(Fields::read(&vec![b'a'; 20_000]).is_err());
}
