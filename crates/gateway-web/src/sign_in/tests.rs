//! Pages of signing in, at a provider that begins every sign-in and knows no code.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::origin::{Origin, Scheme};
use gateway_app::sign_in::devices;
use gateway_identity::oidc::{Answer, Fetch, Provider, ProviderConfig};
use gateway_types::{Caller, Secret};
use http::header::{CACHE_CONTROL, COOKIE, HeaderName, SET_COOKIE};
use http::{HeaderValue, Request, Response};

use super::{named, title};
use crate::Web;
use crate::sample::{HOSTILE, Sample, location, text};

/// Tells where it is, and takes no code.
#[derive(Debug)]
struct Beginner;

impl Fetch for Beginner {
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_> {
        let host = request.uri().host().unwrap().to_owned();
        let (status, body) = match request.uri().path() {
            "/.well-known/openid-configuration" => (
                200,
                serde_json::json!({
                    "issuer": format!("https://{host}"),
                    "authorization_endpoint": format!("https://{host}/authorize"),
                    "token_endpoint": format!("https://{host}/token"),
                    "jwks_uri": format!("https://{host}/keys"),
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["EdDSA"],
                }),
            ),
            "/keys" => (200, serde_json::json!({ "keys": [] })),
            _ => (400, serde_json::json!({ "error": "invalid_grant" })),
        };
        let answer = Response::builder().status(status).header("content-type", "application/json");
        Box::pin(std::future::ready(Ok(answer.body(body.to_string().into_bytes()).unwrap())))
    }
}

/// A gateway with these providers.
async fn gateway(names: &[&str]) -> Sample {
    let mut sample = Sample::new().await;
    let providers = names.iter().map(|name| {
        Arc::new(Provider::new(ProviderConfig {
            name: (*name).to_owned(),
            kind: gateway_identity::oidc::ProviderKind::Oidc,
            allowed_groups: Vec::new(),
            again: gateway_identity::oidc::Again::Never,
            issuer: format!("https://{name}.test"),
            client_id: "gateway".to_owned(),
            client_secret: Secret::new("secret".to_owned()),
            allowed_domains: Vec::new(),
            email_verified_claim: None,
            groups_claim: None,
            role_map: BTreeMap::new(),
            canonical_email: |text| gateway_config::canonical_email(text).ok(),
        }))
    });
    let app = &sample.app;
    let app = Arc::new(App {
        clock: app.clock.clone(),
        entropy: app.entropy.clone(),
        store: app.store.clone(),
        rules: app.rules.clone(),
        own: app.own.clone(),
        settings: app.settings.clone(),
        entitlements: app.entitlements.clone(),
        reveal_times: app.reveal_times.clone(),
        rack_name: app.rack_name.clone(),
        domain: None,
        plain_address: None,
        users: app.users.clone(),
        identity: app.identity.clone(),
        providers: providers.collect(),
        fetch: Arc::new(Beginner),
        issuers: Arc::new(gateway_app::access_tokens::AccessTokens::new(Arc::new(Beginner))),
        yubico: None,
        instances: Arc::new(gateway_app::services::NoInstances),
        notices: app.notices.clone(),
        health: app.health.clone(),
        networks: app.networks.clone(),
        zone: Arc::default(),
        rack: Arc::new(gateway_app::approvals::EmptyRack),
        rack_credential: Arc::new(gateway_app::rack_credential::NoRackCredential),
        compose_file: None,
        integrations: gateway_app::integrations::Integrations::new(&crate::sample::nobody()).unwrap(),
    });
    sample.web = Web::new(app.clone());
    sample.app = app;
    sample
}

fn asked(sample: &Sample, target: &str, headers: &[(&str, &str)]) -> OwnRequest {
    let mut request = sample.request("GET", target, &Sample::nobody(), &[]);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.head.headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

fn set_cookie(reply: &OwnReply) -> Vec<&str> {
    let cookies = reply.headers.iter().filter(|(name, _)| name == SET_COOKIE);
    cookies.map(|(_, value)| value.to_str().unwrap()).collect()
}

fn is_unstored(reply: &OwnReply) -> bool {
    reply.headers.iter().any(|(name, value)| name == CACHE_CONTROL && value == "no-store")
}

/// Begins a sign-in: the cookie's pair, and the state that was sent.
async fn begun(sample: &Sample) -> (String, String) {
    let reply = sample.ask(asked(sample, "/auth/login?provider=corp", &[])).await;
    assert_eq!(reply.status, 303, "{}", text(&reply));
    assert!(is_unstored(&reply));
    let cookie = set_cookie(&reply)[0].split(';').next().unwrap().to_owned();
    let url = url::Url::parse(location(&reply)).unwrap();
    assert_eq!(url.host_str(), Some("corp.test"));
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    (cookie, state)
}

#[tokio::test]
async fn without_a_provider_the_page_says_what_to_configure() {
    let sample = gateway(&[]).await;
    let page = sample.get(&Sample::nobody(), "/auth/login").await;
    for words in ["GOOGLE_CLIENT_ID", "GOOGLE_ALLOWED_DOMAIN", "[[identity.provider]]", "ADMIN_USERS"] {
        assert!(page.contains(words), "{words}");
    }
}

#[tokio::test]
async fn d1_the_choice_carries_own_pages_only_and_never_goes_on_by_itself() {
    let sample = gateway(&["corp", "google"]).await;
    let nobody = Sample::nobody();
    let page = sample.get(&nobody, "/auth/login?return_to=%2Fapp%2Fusers%3Fq%3Da").await;
    assert!(page.contains("Sign in with Corp") && page.contains("Sign in with Google"));
    let link = "/auth/login?provider=corp&#38;return_to=%2Fapp%2Fusers%3Fq%3Da";
    assert!(page.contains(link), "{page}");
    for evil in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "javascript:x"] {
        let page = sample.get(&nobody, &format!("/auth/login?return_to={evil}")).await;
        assert!(!page.contains("evil") && !page.contains("javascript:"), "{page}");
    }
    let one = gateway(&["corp"]).await;
    let page = one.get(&nobody, "/auth/login?signed_out").await;
    assert!(page.contains("You are signed out") && page.contains("Sign in with Corp"));
}

#[tokio::test]
async fn a_command_line_is_named_before_anybody_signs_in_for_it() {
    let sample = gateway(&["corp"]).await;
    let challenge = "A".repeat(43);
    let target = |redirect: &str, device: &str| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("client", "cli"),
            ("redirect_uri", redirect),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "state-of-it"),
            ("device", device),
        ]);
        format!("/auth/login?{}", query.finish())
    };
    let good = "http://127.0.0.1:49152/callback";
    let page = sample.get(&Sample::nobody(), &target(good, HOSTILE)).await;
    assert!(
        page.contains("wants to sign in with your name")
            && page.contains("redirect_uri=http%3A%2F%2F127.0.0.1")
    );
    for bad in ["http://localhost:49152/callback", "https://evil.example/callback", ""] {
        let reply = sample.ask(asked(&sample, &target(bad, "x"), &[])).await;
        assert_eq!(reply.status, 400, "{bad}");
        let reply = sample.ask(asked(&sample, &format!("{}&provider=corp", target(bad, "x")), &[])).await;
        assert_eq!((reply.status, set_cookie(&reply).len()), (400, 0), "{bad}");
    }
    let begun = sample.ask(asked(&sample, &format!("{}&provider=corp", target(good, "x")), &[])).await;
    assert!(begun.status == 303 && location(&begun).starts_with("https://corp.test/authorize?"));
    let other = sample.ask(asked(&sample, "/auth/login?client=other", &[])).await;
    assert_eq!(other.status, 400);
}

#[tokio::test]
async fn d10_what_no_person_asked_for_spends_nothing() {
    let sample = gateway(&["corp"]).await;
    let (cookie, state) = begun(&sample).await;
    let target = format!("/auth/callback/corp?code=c&state={state}");
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-dest", "image"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "no-cors"),
    ] {
        let reply = sample.ask(asked(&sample, &target, &[("cookie", &cookie), (name, value)])).await;
        assert_eq!(reply.status, 400, "{name}: {value}");
        assert!(text(&reply).contains("ahead of time or in a frame"), "{}", text(&reply));
        let login = sample.ask(asked(&sample, "/auth/login?provider=corp", &[(name, value)])).await;
        assert_eq!((login.status, set_cookie(&login).len()), (400, 0), "{name}: {value}");
    }
    let navigated =
        [("cookie", cookie.as_str()), ("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")];
    let first = sample.ask(asked(&sample, &target, &navigated)).await;
    assert!(text(&first).contains("does not know this sign-in any more"), "{}", text(&first));
    let second = sample.ask(asked(&sample, &target, &navigated)).await;
    assert!(text(&second).contains("finished or tried before"), "{}", text(&second));
    assert_eq!((first.status, set_cookie(&first).len()), (400, 0));
}

#[tokio::test]
async fn e3_a_cookie_that_comes_twice_counts_for_nothing() {
    let sample = gateway(&["corp"]).await;
    let (cookie, state) = begun(&sample).await;
    let target = format!("/auth/callback/corp?code=c&state={state}");
    let planted = format!("__Host-rgw-login={}", "B".repeat(42) + "A");
    let both = format!("a=b; {planted}; {cookie}");
    for cookies in [both.as_str(), planted.as_str(), "", "__Host-rgw-login=", &cookie.replace("__Host-", "")]
    {
        let reply = sample.ask(asked(&sample, &target, &[("cookie", cookies)])).await;
        assert!(text(&reply).contains("not begun in this browser"), "{cookies}: {}", text(&reply));
    }
    let two = [("cookie", cookie.as_str()), ("cookie", planted.as_str())];
    let reply = sample.ask(asked(&sample, &target, &two)).await;
    assert!(text(&reply).contains("not begun in this browser"));
    // The right one among others of the site.
    let right = format!("theme=dark; {cookie}; x=y");
    let reply = sample.ask(asked(&sample, &target, &[(COOKIE.as_str(), &right)])).await;
    assert!(text(&reply).contains("does not know this sign-in any more"), "{}", text(&reply));
}

#[tokio::test]
async fn plain_http_says_what_the_router_has_to_send() {
    let sample = gateway(&["corp"]).await;
    for target in ["/auth/login", "/auth/login?provider=corp"] {
        let mut request = asked(&sample, target, &[]);
        request.head.origin = Origin { scheme: Scheme::Http, authority: "gateway.example.com".to_owned() };
        let reply = sample.ask(request).await;
        assert_eq!(reply.status, 400);
        assert!(text(&reply).contains("X-Forwarded-Proto: https"), "{}", text(&reply));
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_and_takes_the_cookies() {
    let sample = gateway(&["corp"]).await;
    let caller = sample.person("ada@example.com", "viewer").await;
    let reply = sample.post(&caller, "/auth/logout", &[]).await;
    assert_eq!((reply.status, location(&reply)), (303, "/auth/login?signed_out"));
    let removed = "Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax";
    assert_eq!(
        set_cookie(&reply),
        [format!("__Host-rgw=; {removed}"), format!("__Host-rgw-login=; {removed}")]
    );
    let session = sample.app.store.sessions().by_id(crate::sample::session(&caller).unwrap()).await.unwrap();
    assert!(session.unwrap().revoked.is_some());
}

async fn device(sample: &Sample, name: &str) -> String {
    let origin = Origin { scheme: Scheme::Https, authority: "gateway.example.com".to_owned() };
    let address = "198.51.100.9".parse().unwrap();
    devices::start(&sample.app, &origin, name, address).await.unwrap().user_code
}

async fn status(sample: &Sample, caller: &Caller, target: &str) -> u16 {
    sample.ask(sample.request("GET", target, caller, &[])).await.status
}

#[tokio::test]
async fn d12_a_device_is_shown_before_it_is_let_in() {
    let sample = gateway(&["corp"]).await;
    let caller = sample.person("ada@example.com", "ops").await;
    let page = sample.get(&caller, "/device").await;
    assert!(page.contains("Type the code"));
    let code = device(&sample, HOSTILE).await;
    let page = sample.get(&caller, &format!("/device?user_code={code}")).await;
    for fact in [
        &code,
        "198.51.100.9",
        "not the address you are at now",
        "ada@example.com",
        "Refuse it unless",
        "30 days",
    ] {
        assert!(page.contains(fact), "{fact}: {page}");
    }
    let done = sample.post(&caller, "/device", &[("user_code", &code), ("decision", "approve")]).await;
    let page = sample.checked(&caller, "/device", &done);
    assert!(done.status == 200 && page.contains("It gets its session"), "{page}");
    // Decided once; another device can be refused; anything else is no decision.
    let again = sample.post(&caller, "/device", &[("user_code", &code), ("decision", "deny")]).await;
    assert_eq!(again.status, 404);
    let other = device(&sample, "laptop").await;
    let unclear = sample.post(&caller, "/device", &[("user_code", &other), ("decision", "maybe")]).await;
    assert_eq!(unclear.status, 400);
    let denied = sample.post(&caller, "/device", &[("user_code", &other), ("decision", "deny")]).await;
    assert!(text(&denied).contains("It gets nothing"));
}

#[tokio::test]
async fn d12_wrong_codes_are_counted() {
    let sample = gateway(&["corp"]).await;
    let caller = sample.person("ada@example.com", "ops").await;
    let code = device(&sample, "laptop").await;
    for wrong in ["BBBBBBBB", "nonsense", "CCCC-CCCC", "%3Cscript%3E", "DDDD-DDDD"] {
        assert_eq!(status(&sample, &caller, &format!("/device?user_code={wrong}")).await, 404, "{wrong}");
    }
    assert_eq!(status(&sample, &caller, &format!("/device?user_code={code}")).await, 429);
    let other = sample.person("bob@example.com", "ops").await;
    assert_eq!(status(&sample, &other, &format!("/device?user_code={code}")).await, 200);
}

#[test]
fn browsers_by_the_name_that_people_use() {
    let check = |agent: &str, expected: &str| assert_eq!(named(agent), expected, "{agent}");
    let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
    check(chrome, "Chrome on Linux");
    check(&format!("{chrome} Edg/141.0"), "Edge on Linux");
    check(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
        "Firefox on Windows",
    );
    check(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
         Version/18.6 Mobile/15E148 Safari/604.1",
        "Safari on iPhone",
    );
    check("curl/8.5.0", "curl/8.5.0");
    check("", "an unnamed device");
    check("\u{202e}evil\u{0}", "evil");
}

#[test]
fn providers_have_titles() {
    assert_eq!((title("google").as_str(), title("").as_str()), ("Google", ""));
}
