//! GitHub, as a server in memory that answers as its API does.

use std::collections::BTreeMap;
use std::sync::Mutex;

use gateway_types::{OsEntropy, Role, Secret};
use http::{Request, Response};
use serde_json::{Value, json};

use super::idp::{NOW, at, callback, query, ready, settings};
use crate::oidc::{
    Again, Answer, Callback, Fetch, GroupsFault, Identity, OidcError, Person, Provider, ProviderConfig,
    ProviderKind, Refreshed, SignedIn,
};

const API: &str = "https://api.github.com";

#[derive(Debug)]
struct Hub {
    /// Answers of the API, by path.
    answers: Mutex<BTreeMap<String, (u16, Value)>>,
    token: Mutex<(u16, Value)>,
    asked: Mutex<Vec<Request<Vec<u8>>>>,
}

impl Hub {
    fn new() -> Self {
        let answers = [
            ("/user", json!({"id": 42, "login": "ada", "name": "Ada Lovelace"})),
            (
                "/user/emails",
                json!([
                    {"email": "ada@home.test", "primary": true, "verified": true},
                    {"email": "Ada@Example.com", "primary": false, "verified": true},
                    {"email": "boss@example.com", "primary": false, "verified": false},
                ]),
            ),
            (
                "/user/memberships/orgs",
                json!([
                    {"state": "active", "organization": {"login": "Example-Inc"}},
                    {"state": "pending", "organization": {"login": "invited"}},
                ]),
            ),
            (
                "/user/teams",
                json!([
                    {"slug": "platform", "organization": {"login": "Example-Inc"}},
                    {"slug": "owners", "organization": {"login": "elsewhere"}},
                ]),
            ),
        ];
        let answers = answers.into_iter().map(|(path, value)| (path.to_owned(), (200, value))).collect();
        let token = json!({"access_token": "gho_token", "token_type": "bearer", "scope": "read:org"});
        Self { answers: Mutex::new(answers), token: Mutex::new((200, token)), asked: Mutex::default() }
    }

    fn says(&self, path: &str, status: u16, value: Value) {
        self.answers.lock().unwrap().insert(path.to_owned(), (status, value));
    }

    fn answer(&self, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        let (status, value) = match (request.uri().host().unwrap(), request.uri().path()) {
            ("github.com", "/login/oauth/access_token") => self.token.lock().unwrap().clone(),
            ("api.github.com", path) => {
                let shown = request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
                assert_eq!(shown.as_deref(), Some("Bearer gho_token"));
                let (status, value) = self.answers.lock().unwrap()[path].clone();
                (status, page(&request, value))
            }
            other => panic!("asked {other:?}"),
        };
        self.asked.lock().unwrap().push(request);
        Response::builder().status(status).body(value.to_string().into_bytes()).unwrap()
    }
}

/// One page of a listing.
fn page(request: &Request<Vec<u8>>, value: Value) -> Value {
    let Value::Array(all) = value else { return value };
    let query = query(&request.uri().to_string());
    let (size, page): (usize, usize) = (query["per_page"].parse().unwrap(), query["page"].parse().unwrap());
    Value::Array(all.into_iter().skip(size * (page - 1)).take(size).collect())
}

impl Fetch for Hub {
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_> {
        Box::pin(std::future::ready(Ok(self.answer(request))))
    }
}

fn provider(change: impl FnOnce(&mut ProviderConfig)) -> Provider {
    let mut config = ProviderConfig {
        kind: ProviderKind::GitHub { api_url: API.to_owned() },
        issuer: "https://github.com".to_owned(),
        allowed_domains: Vec::new(),
        allowed_groups: vec!["example-inc".to_owned()],
        email_verified_claim: None,
        groups_claim: None,
        role_map: [("example-inc/platform".to_owned(), Role::Deployer)].into(),
        ..settings()
    };
    change(&mut config);
    Provider::new(config)
}

fn sign_in(provider: &Provider, hub: &Hub) -> Result<SignedIn, OidcError> {
    let redirect = "https://gateway.example.com/auth/callback/github";
    let begun = ready(provider.begin(hub, at(NOW), &OsEntropy, redirect)).unwrap();
    ready(provider.finish(hub, at(NOW), &begun.kept, &callback(&begun.kept)))
}

fn who(hub: &Hub) -> Result<Identity, OidcError> {
    sign_in(&provider(|_| {}), hub).map(|signed_in| signed_in.identity)
}

#[test]
fn a_person_is_a_number_with_a_verified_address_and_teams() {
    let (hub, provider) = (Hub::new(), provider(|_| {}));
    let SignedIn { identity, sid, again } = sign_in(&provider, &hub).unwrap();
    assert_eq!((identity.issuer.as_str(), identity.subject.as_str()), ("https://github.com", "42"));
    assert_eq!((identity.email.as_str(), identity.name.as_deref()), ("ada@home.test", Some("Ada Lovelace")));
    // An invitation is no membership, and neither is a team of an organization that is not theirs.
    assert_eq!(identity.groups, ["example-inc", "example-inc/platform"]);
    assert_eq!((sid, again), (None, None));
    assert!(provider.group_allowed(&identity.groups) && provider.restricts_groups());
    assert_eq!(provider.roles_of(&identity.groups).to_string(), "deployer");
    let asked = hub.asked.lock().unwrap();
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(asked[0].body()).into_owned().collect();
    assert_eq!(form["code_verifier"].len(), 43);
    assert!(!asked[0].uri().to_string().contains("secret"));
}

#[test]
fn the_browser_is_sent_with_pkce_and_no_secret() {
    let begun = ready(provider(|_| {}).begin(
        &Hub::new(),
        at(NOW),
        &OsEntropy,
        "https://gw.test/auth/callback/github",
    ))
    .unwrap();
    let query = query(&begun.url);
    assert!(begun.url.starts_with("https://github.com/login/oauth/authorize?"), "{}", begun.url);
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["state"], begun.kept.state.expose().as_str());
    assert_eq!(query["scope"], "read:user user:email read:org");
    assert!(!begun.url.contains(begun.kept.verifier.expose().as_str()));
}

#[test]
fn d4_another_issuer_in_the_answer_is_refused() {
    let (hub, provider) = (Hub::new(), provider(|_| {}));
    let check = |iss: Option<&str>, is_taken: bool| {
        let begun = ready(provider.begin(&hub, at(NOW), &OsEntropy, "https://gw.test/")).unwrap();
        let callback = Callback { iss: iss.map(str::to_owned), ..callback(&begun.kept) };
        let finished = ready(provider.finish(&hub, at(NOW), &begun.kept, &callback));
        assert_eq!(finished.is_ok(), is_taken, "{iss:?}: {finished:?}");
    };
    check(None, true);
    check(Some("https://github.com"), true);
    check(Some("https://github.com/login/oauth"), true);
    check(Some("https://accounts.google.com"), false);
    check(Some("https://github.com.evil.test"), false);
}

#[test]
fn d6_addresses_that_github_did_not_verify_count_for_nothing() {
    let hub = Hub::new();
    let own = provider(|config| config.allowed_domains = vec!["example.com".to_owned()]);
    // An address in the organisation's own domain comes before the primary one.
    assert_eq!(sign_in(&own, &hub).unwrap().identity.email, "ada@example.com");
    let address = |email: &str, primary: bool, verified: bool| json!({"email": email, "primary": primary, "verified": verified});
    hub.says("/user/emails", 200, json!([address("boss@example.com", true, false)]));
    assert!(matches!(who(&hub), Err(OidcError::EmailNotVerified { .. })));
    hub.says("/user/emails", 200, json!([]));
    assert!(matches!(who(&hub), Err(OidcError::EmailAbsent { .. })));
    hub.says("/user/emails", 200, json!([address("second@home.test", false, true)]));
    assert!(matches!(who(&hub), Err(OidcError::EmailNotVerified { .. })), "which is meant is not known");
    for bad in ["a@b@c", "ada@home.test ", "ada"] {
        hub.says("/user/emails", 200, json!([address(bad, true, true)]));
        assert!(matches!(who(&hub), Err(OidcError::EmailMalformed { .. })), "{bad}");
    }
}

#[test]
fn d7_listings_are_read_to_their_end_and_no_further() {
    let hub = Hub::new();
    let many = |count: usize| {
        let one = |n| json!({"state": "active", "organization": {"login": format!("org-{n}")}});
        Value::Array((0..count).map(one).collect())
    };
    hub.says("/user/memberships/orgs", 200, many(250));
    hub.says("/user/teams", 200, json!([]));
    assert_eq!(who(&hub).unwrap().groups.len(), 250);
    hub.says("/user/memberships/orgs", 200, many(5000));
    let identity = who(&hub).unwrap();
    assert!(identity.groups.is_empty());
    assert!(matches!(identity.groups_fault, Some(GroupsFault::TooMany { .. })));
    hub.says(
        "/user/memberships/orgs",
        200,
        json!([{"state": "active", "organization": {"login": "a\u{202e}b"}}]),
    );
    assert_eq!(who(&hub).unwrap().groups_fault, Some(GroupsFault::Malformed));
}

#[test]
fn d8_a_hub_that_fails_signs_nobody_in() {
    for (path, status, value) in [
        ("/user", 500, json!({})),
        ("/user", 401, json!({"message": "Bad credentials"})),
        ("/user", 200, json!({"id": "42", "login": "ada"})),
        ("/user", 200, json!({"id": -1, "login": "ada"})),
        ("/user/emails", 404, json!({})),
        ("/user/emails", 200, json!({"email": "ada@home.test"})),
        ("/user/memberships/orgs", 403, json!({})),
        ("/user/teams", 302, json!({})),
    ] {
        let hub = Hub::new();
        hub.says(path, status, value.clone());
        assert!(who(&hub).is_err(), "{path} {status} {value}");
    }
    for (token, is_code) in [
        (json!({"error": "bad_verification_code", "error_description": "<script>"}), true),
        (json!({"error": "incorrect_client_credentials"}), false),
        (json!({"access_token": ""}), false),
        (json!({}), false),
    ] {
        let hub = Hub::new();
        *hub.token.lock().unwrap() = (200, token.clone());
        let error = who(&hub).unwrap_err();
        assert_eq!(matches!(error, OidcError::CodeRefused { .. }), is_code, "{token}");
        assert!(!error.to_string().contains('<'), "{error}");
    }
}

#[test]
fn d7_github_is_asked_again_with_its_token() {
    let (hub, provider) = (Hub::new(), provider(|config| config.again = Again::Refresh));
    let token = sign_in(&provider, &hub).unwrap().again.unwrap();
    let again = |subject: &str, token: &Secret<String>| {
        ready(provider.refresh(&hub, at(NOW), Person { subject, email: None }, token))
    };
    hub.says("/user/teams", 200, json!([]));
    match again("42", &token).unwrap() {
        Refreshed::Known { identity: Some(identity), again: None } => {
            assert_eq!(identity.groups, ["example-inc"]);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(again("43", &token), Ok(Refreshed::Gone(_))));
    hub.says("/user", 503, json!({}));
    assert!(again("42", &token).is_err());
    hub.says("/user", 401, json!({}));
    assert!(matches!(again("42", &token), Ok(Refreshed::Gone(_))));
}
