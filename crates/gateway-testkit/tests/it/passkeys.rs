//! Passkeys over HTTP, with one in software: enrolled, asked, and told to do it wrong. Labels are those of the
//! list of bad inputs.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use gateway_testkit::visitor::hidden;
use gateway_testkit::{Authenticator, Database, RawClient, Reply, SoftPasskey, TestGateway, Visitor};
use gateway_types::Role;
use serde_json::{Value, json};

const ENROL: &str = "/app/account/factors/enrol/webauthn";

async fn ask(gateway: &TestGateway, method: &str, path: &str, credential: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask(method, path, credential, &[], b"").await
}

/// The page of the challenge that this refusal opened.
fn page_of(refused: &Reply) -> String {
    assert_eq!(refused.status, 401, "{}", refused.text());
    let url = refused.json()["remedies"][0]["url"].as_str().expect("an address").to_owned();
    url[url.find("/step-up/").expect("a step-up page")..].to_owned()
}

fn unescaped(text: &str) -> String {
    text.replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}

async fn admin(gateway: &TestGateway) -> Visitor {
    let mut admin = Visitor::of(gateway).at_localhost();
    let reply = admin.sign_in("admin@example.com").await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    admin
}

/// What the page gives to the browser, to make a key called `name`.
async fn options(visitor: &mut Visitor, name: &str) -> Value {
    let page = visitor.post(ENROL, &[("name", name)]).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let (_, after) = text.split_once("data-passkey-create=\"").expect("the options");
    serde_json::from_str(&unescaped(after.split('"').next().expect("their end"))).expect("JSON")
}

async fn end(visitor: &mut Visitor, name: &str, answer: &Value) -> Reply {
    visitor.post(ENROL, &[("name", name), ("credential", &answer.to_string())]).await
}

/// Enrols a key as the first factor.
async fn enrolled(visitor: &mut Visitor) -> SoftPasskey {
    let mut key = SoftPasskey::new(&visitor.origin());
    let answer = key.create(&options(visitor, "laptop").await);
    let reply = end(visitor, "laptop", &answer).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.text().contains("Backup codes"), "a first factor comes with backup codes");
    key
}

/// What the gateway asks a passkey on this page.
async fn asked(visitor: &mut Visitor, page: &str, target: Option<&str>) -> Value {
    let mut fields = vec![("begin", "passkey")];
    fields.extend(target.map(|target| ("for", target)));
    let reply = visitor.post(page, &fields).await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/json")),
        "{}",
        reply.text()
    );
    reply.json()
}

async fn confirm(visitor: &mut Visitor, page: &str, answer: &str) -> Reply {
    visitor.post(page, &[("code", &format!("webauthn.{answer}"))]).await
}

/// Another instance of the same gateway.
async fn second(gateway: &TestGateway) -> TestGateway {
    TestGateway::builder().env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on").share(gateway).start().await
}

async fn gateway(database: Database) -> TestGateway {
    TestGateway::builder().database(database).env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on").idp().start().await
}

#[tokio::test]
async fn a_passkey_confirms_what_a_command_was_refused_once() {
    for database in Database::BOTH {
        let gateway = gateway(database).await;
        let mut person = admin(&gateway).await;
        let mut key = enrolled(&mut person).await;
        let session = gateway.session(Role::Admin).await;
        let page = page_of(&ask(&gateway, "DELETE", "/apps/other", &session).await);
        assert!(person.get(&page).await.text().contains("data-use-passkey"));
        let asks = asked(&mut person, &page, None).await;
        assert_eq!(asks["publicKey"]["userVerification"], "required");
        assert_eq!(asks["publicKey"]["rpId"], "localhost");
        let reply = confirm(&mut person, &page, &key.inline(&asks)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(ask(&gateway, "DELETE", "/apps/other", &session).await.status, 200);
        assert_eq!(ask(&gateway, "DELETE", "/apps/myapp", &session).await.status, 401, "once, for one app");
        let used =
            gateway.events().await.into_iter().filter_map(|(_, event)| event.step_up).collect::<Vec<_>>();
        assert!(used.iter().any(|used| used.starts_with("webauthn:")), "{used:?}");
        gateway.finish().await;
    }
}

/// G4: an answer is good for what its key was asked, once, and only from the session that asked.
#[tokio::test]
async fn g4_a_passkeys_answer_is_never_replayed() {
    for database in Database::BOTH {
        let gateway = gateway(database).await;
        let mut person = admin(&gateway).await;
        let mut key = enrolled(&mut person).await;
        let session = gateway.session(Role::Admin).await;
        let one = page_of(&ask(&gateway, "DELETE", "/apps/other", &session).await);
        let two = page_of(&ask(&gateway, "DELETE", "/apps/myapp", &session).await);

        // For something else than it was asked for; the challenge is not used up by that.
        let asks = asked(&mut person, &one, None).await;
        let answer = key.inline(&asks);
        assert_eq!(confirm(&mut person, &two, &answer).await.status, 401, "another challenge");
        assert_eq!(confirm(&mut person, "/step-up/window", &answer).await.status, 401, "the window");
        let mut elsewhere = admin(&gateway).await;
        assert_eq!(confirm(&mut elsewhere, &one, &answer).await.status, 401, "another session");
        assert_eq!(confirm(&mut person, &one, &answer).await.status, 200);
        // Again, on every way.
        for page in [one.as_str(), two.as_str()] {
            assert!(confirm(&mut person, page, &answer).await.status >= 400, "{page}");
        }
        assert_eq!(ask(&gateway, "DELETE", "/apps/myapp", &session).await.status, 401);

        // A wrong answer uses its challenge up.
        let asks = asked(&mut person, &two, None).await;
        let right = key.inline(&asks);
        let mut thief = SoftPasskey::new(&person.origin());
        assert_eq!(confirm(&mut person, &two, &thief.inline(&asks)).await.status, 401, "another key");
        assert_eq!(confirm(&mut person, &two, &right).await.status, 401, "too late");

        // Five minutes.
        let asks = asked(&mut person, "/step-up/window", None).await;
        gateway.clock.advance(Duration::from_secs(5 * 60));
        assert_eq!(confirm(&mut person, "/step-up/window", &key.inline(&asks)).await.status, 401, "late");
        gateway.finish().await;
    }
}

/// G4: answers that a key or a browser would not give.
#[tokio::test]
async fn g4_wrong_answers_of_a_passkey_are_refused() {
    let gateway = gateway(Database::Sqlite).await;
    let mut person = admin(&gateway).await;
    let mut key = enrolled(&mut person).await;
    let window = "/step-up/window";
    // Tries are limited; right ones in between give them back.
    key.verifies = false;
    let asks = asked(&mut person, window, None).await;
    assert_eq!(confirm(&mut person, window, &key.inline(&asks)).await.status, 401, "not verified");
    key.verifies = true;
    let own = std::mem::replace(&mut key.origin, "https://evil.example.com".to_owned());
    let asks = asked(&mut person, window, None).await;
    assert_eq!(confirm(&mut person, window, &key.inline(&asks)).await.status, 401, "another origin");
    key.origin = own;
    let mut asks = asked(&mut person, window, None).await;
    asks["publicKey"]["rpId"] = json!("example.com");
    assert_eq!(confirm(&mut person, window, &key.inline(&asks)).await.status, 401, "another relying party");
    let mut asks = asked(&mut person, window, None).await;
    asks["publicKey"]["challenge"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(confirm(&mut person, window, &key.inline(&asks)).await.status, 401, "another challenge");
    gateway.clock.advance(Duration::from_secs(5 * 60));
    let asks = asked(&mut person, window, None).await;
    assert_eq!(confirm(&mut person, window, &key.inline(&asks)).await.status, 200);
    let used = key.counter - 1;
    // What was signed to make a key is no answer, though all else of it is right.
    key.kind = Some("webauthn.create");
    let asks = asked(&mut person, window, None).await;
    assert_eq!(confirm(&mut person, window, &key.inline(&asks)).await.status, 401, "made, not used");
    key.kind = None;
    // A key of somebody else's, enrolled and verified, answers for nobody but them.
    let mut viewer = Visitor::of(&gateway).at_localhost();
    assert_eq!(viewer.sign_in("viewer@example.com").await.status, 303);
    let mut other = enrolled(&mut viewer).await;
    let asks = asked(&mut person, window, None).await;
    assert_eq!(confirm(&mut person, window, &other.inline(&asks)).await.status, 401, "another person's key");
    let asks = asked(&mut viewer, window, None).await;
    assert_eq!(confirm(&mut viewer, window, &other.inline(&asks)).await.status, 200);
    // The counter went back, or stands still: there is a copy.
    for counter in [1, used] {
        key.counter = counter;
        let asks = asked(&mut person, window, None).await;
        let refused = confirm(&mut person, window, &key.inline(&asks)).await;
        assert_eq!(refused.status, 401);
        assert!(refused.text().contains("there may be a copy"), "{}", refused.text());
    }
    // Two that were asked at once, answered in the other order.
    key.counter = 50;
    let first = asked(&mut person, window, None).await;
    let second = asked(&mut person, window, None).await;
    let older = key.inline(&first);
    let newer = key.inline(&second);
    assert_eq!(confirm(&mut person, window, &newer).await.status, 200);
    assert_eq!(confirm(&mut person, window, &older).await.status, 401, "the counter of the newer one counts");
    gateway.finish().await;
}

#[tokio::test]
async fn g4_keys_are_enrolled_once_with_a_challenge_of_their_own() {
    for database in Database::BOTH {
        let gateway = gateway(database).await;
        let mut person = admin(&gateway).await;
        let mut key = SoftPasskey::new(&person.origin());
        // Not verified, another origin, a challenge that is no enrolment's: refused, and used up.
        key.verifies = false;
        let asks = options(&mut person, "laptop").await;
        let answer = key.create(&asks);
        assert_eq!(end(&mut person, "laptop", &answer).await.status, 400);
        key.verifies = true;
        let answer = key.create(&asks);
        assert_eq!(end(&mut person, "laptop", &answer).await.status, 400, "its challenge is used up");
        for nonsense in ["", "{}", "[1]", "\u{0}"] {
            let reply = person.post(ENROL, &[("name", "laptop"), ("credential", nonsense)]).await;
            assert_eq!(reply.status, 400, "{nonsense}");
        }
        let answer = key.create(&options(&mut person, "laptop").await);
        assert_eq!(end(&mut person, "laptop", &answer).await.status, 200);
        assert_eq!(end(&mut person, "laptop", &answer).await.status, 401, "a further one takes a factor");

        // With a factor: the same key once more is refused, also for somebody else.
        let asks = asked(&mut person, "/step-up/window", None).await;
        assert_eq!(confirm(&mut person, "/step-up/window", &key.inline(&asks)).await.status, 200);
        let asks = options(&mut person, "again").await;
        assert!(asks["publicKey"]["excludeCredentials"][0]["id"].is_string(), "{asks}");
        let again = key.create(&asks);
        assert_eq!(end(&mut person, "again", &again).await.status, 400);
        let mut other = Visitor::of(&gateway).at_localhost();
        assert_eq!(other.sign_in("viewer@example.com").await.status, 303);
        let stolen = key.create(&options(&mut other, "mine").await);
        let refused = end(&mut other, "mine", &stolen).await;
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains("enrolled already"), "{}", refused.text());

        // Several with names; the challenge of one person is not another one's.
        let mut blue = SoftPasskey::new(&person.origin());
        let asks = options(&mut person, "blue key").await;
        let answer = blue.create(&asks);
        assert_eq!(end(&mut other, "blue key", &answer).await.status, 400, "of another session");
        assert_eq!(end(&mut person, "blue key", &answer).await.status, 303);
        let page = person.get("/app/account/factors").await.text();
        assert!(page.contains("laptop") && page.contains("blue key") && page.contains("Passkey"), "{page}");
        gateway.finish().await;
    }
}

/// G4: what a key says of itself when it is made is read strictly: another act, or an attestation that is cut, goes on
/// after its end, or claims a signature that it has not, makes no key.
#[tokio::test]
async fn g4_malformed_attestations_make_no_key() {
    let gateway = gateway(Database::Sqlite).await;
    let mut person = admin(&gateway).await;
    let mut key = SoftPasskey::new(&person.origin());
    key.kind = Some("webauthn.get");
    let answer = key.create(&options(&mut person, "laptop").await);
    assert_eq!(end(&mut person, "laptop", &answer).await.status, 400, "used, not made");
    key.kind = None;
    let packed = |bytes: &[u8]| {
        // {"fmt": "packed", "attStmt": {"alg": -7, "sig": h'00'}, …} in place of {"fmt": "none", "attStmt": {}, …}.
        let rest = bytes.strip_prefix(b"\xa3\x63fmt\x64none\x67attStmt\xa0").expect("as the key makes it");
        let mut packed = b"\xa3\x63fmt\x66packed\x67attStmt\xa2\x63alg\x26\x63sig\x41\x00".to_vec();
        packed.extend_from_slice(rest);
        packed
    };
    type Spoil<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let spoilt: [(&str, Spoil<'_>); 5] = [
        ("cut", &|bytes| bytes[..bytes.len() - 1].to_vec()),
        ("half", &|bytes| bytes[..bytes.len() / 2].to_vec()),
        ("bytes after its end", &|bytes| [bytes, b"\x00\x01"].concat()),
        ("empty", &|_| Vec::new()),
        ("a signature that is none", &packed),
    ];
    for (what, spoil) in spoilt {
        let mut answer = key.create(&options(&mut person, "laptop").await);
        let object = answer["response"]["attestationObject"].as_str().expect("an attestation");
        let bytes = BASE64URL_NOPAD.decode(object.as_bytes()).expect("base64url");
        answer["response"]["attestationObject"] = BASE64URL_NOPAD.encode(&spoil(&bytes)).into();
        let refused = end(&mut person, "laptop", &answer).await;
        assert_eq!(refused.status, 400, "{what}: {}", refused.text());
    }
    let factors = gateway.store().factors().list(gateway.person(Role::Admin).id).await.unwrap();
    assert!(factors.is_empty(), "{factors:?}");
    let answer = key.create(&options(&mut person, "laptop").await);
    assert_eq!(end(&mut person, "laptop", &answer).await.status, 200, "the same key, said rightly");
    gateway.finish().await;
}

/// The same answer twice opens nothing twice, and nothing at all once the window that it opened is over.
#[tokio::test]
async fn g4_an_answer_is_no_proof_when_its_window_is_over() {
    for database in Database::BOTH {
        let gateway = gateway(database).await;
        let mut person = admin(&gateway).await;
        let refused = person.post("/step-up/request", &[("begin", "passkey"), ("for", "POST /a")]).await;
        assert_eq!(refused.status, 409);
        assert!(refused.text().contains("you have no passkey"), "{}", refused.text());
        let mut key = enrolled(&mut person).await;
        let nul = person.post("/step-up/request", &[("begin", "passkey"), ("for", "POST /a\0b")]).await;
        assert!(nul.status == 400 || nul.status == 200, "{}: {}", nul.status, nul.text());
        let window = "/step-up/window";
        let asks = asked(&mut person, window, None).await;
        let answer = key.inline(&asks);
        assert_eq!(confirm(&mut person, window, &answer).await.status, 200);
        assert_eq!(confirm(&mut person, window, &answer).await.status, 200, "sent twice");
        gateway.clock.advance(Duration::from_secs(11 * 60));
        assert_eq!(confirm(&mut person, window, &answer).await.status, 401, "its window is over");
        gateway.finish().await;
    }
}

/// An answer that opened the window once and is sent again is no guess, and no proof either: what was wrong stays
/// counted, and the waits go on to grow.
#[tokio::test]
async fn g2_an_old_answer_does_not_shorten_the_wait() {
    let gateway = TestGateway::builder().env("RGW_SETTING_STEP_UP_WINDOW", "1h").idp().start().await;
    let mut person = admin(&gateway).await;
    let mut key = enrolled(&mut person).await;
    let window = "/step-up/window";
    let asks = asked(&mut person, window, None).await;
    let answer = key.inline(&asks);
    assert_eq!(confirm(&mut person, window, &answer).await.status, 200);
    let mut waits = Vec::new();
    for _ in 0..2 {
        for _ in 0..5 {
            assert_eq!(person.post(window, &[("code", "000000")]).await.status, 401);
        }
        let locked = person.post(window, &[("code", "000000")]).await;
        assert_eq!(locked.status, 429, "{}", locked.text());
        let wait: u64 = locked.header("retry-after").unwrap().parse().unwrap();
        waits.push(wait);
        gateway.clock.advance(Duration::from_secs(wait));
        assert_eq!(confirm(&mut person, window, &answer).await.status, 200, "sent again, its window is open");
    }
    assert!(waits[0] <= 301 && waits[1] >= 600, "{waits:?}");
    gateway.finish().await;
}

/// A sign-in that waits for its factor: where its form is.
async fn waiting(visitor: &mut Visitor) -> String {
    let reply = visitor.sign_in("admin@example.com").await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    reply.header("location").filter(|place| place.starts_with("/auth/factor/")).expect("the form").to_owned()
}

async fn asked_at_sign_in(visitor: &mut Visitor, form: &str) -> Reply {
    visitor.post_as_it_is(form, &[("begin", "passkey")]).await
}

/// G4: whoever has nothing but a passkey signs in with it; what it answers is of that sign-in and that browser alone.
#[tokio::test]
async fn g4_a_passkey_is_the_factor_of_a_sign_in() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder()
            .database(database)
            .env("RGW_SETTING_SIGN_IN_FACTOR", "on")
            .idp()
            .start()
            .await;
        let mut first = admin(&gateway).await;
        let mut key = enrolled(&mut first).await;
        let mut person = Visitor::of(&gateway).at_localhost();
        let form = waiting(&mut person).await;
        assert!(person.get(&form).await.text().contains("data-use-passkey"));
        // Another browser is told nothing, and neither is anybody at another id.
        let mut stranger = Visitor::of(&gateway).at_localhost();
        assert!(asked_at_sign_in(&mut stranger, &form).await.status >= 400);
        let other = format!("/auth/factor/{}", "A".repeat(43));
        assert!(asked_at_sign_in(&mut person, &other).await.status >= 400);
        // Another key's answer is wrong; the form goes on at another id, where the first answer is worth nothing.
        let asks = asked_at_sign_in(&mut person, &form).await;
        assert_eq!((asks.status, asks.header("cache-control")), (200, Some("no-store")), "{}", asks.text());
        let asks = asks.json();
        let mut thief = SoftPasskey::new(&person.origin());
        let give = async |person: &mut Visitor, form: &str, answer: &str| {
            person.post_as_it_is(form, &[("code", &format!("webauthn.{answer}"))]).await
        };
        let (wrong, right) = (thief.inline(&asks), key.inline(&asks));
        let next_form = |reply: &Reply| {
            assert_eq!(reply.status, 400, "{}", reply.text());
            let text = reply.text();
            let (_, after) = text.split_once("action=\"/auth/factor/").expect("the form again");
            format!("/auth/factor/{}", after.split('"').next().unwrap())
        };
        let again = next_form(&give(&mut person, &form, &wrong).await);
        let third = next_form(&give(&mut person, &again, &right).await);
        let asks = asked_at_sign_in(&mut person, &third).await.json();
        let done = give(&mut person, &third, &key.inline(&asks)).await;
        assert_eq!((done.status, done.header("location")), (303, Some("/app")), "{}", done.text());
        assert_eq!(person.get("/app").await.status, 200);
        // A copy of the key is told of.
        key.counter = 1;
        let mut late = Visitor::of(&gateway).at_localhost();
        let form = waiting(&mut late).await;
        let asks = asked_at_sign_in(&mut late, &form).await.json();
        next_form(&give(&mut late, &form, &key.inline(&asks)).await);
        let actions: Vec<String> =
            gateway.events().await.into_iter().map(|(_, event)| event.action.to_string()).collect();
        assert!(actions.iter().any(|action| action == "gateway:factor:copied"), "{actions:?}");
        gateway.finish().await;
    }
}

/// The policy of pages lets no form's answer lead to another origin, and a command line listens at one.
#[tokio::test]
async fn a_command_lines_sign_in_goes_on_from_the_form_by_a_page() {
    let gateway = TestGateway::builder().env("RGW_SETTING_SIGN_IN_FACTOR", "on").idp().start().await;
    let mut first = admin(&gateway).await;
    let mut key = enrolled(&mut first).await;
    let mut person = Visitor::of(&gateway).at_localhost();
    let login = format!(
        "/auth/login?client=cli&redirect_uri=http%3A%2F%2F127.0.0.1%3A49152%2Fcallback&code_challenge={}\
         &code_challenge_method=S256&state=state-of-it&device=laptop&provider=dev",
        "A".repeat(43)
    );
    let back = person.callback_for("admin@example.com", &login).await;
    let form = person.get(&back).await.header("location").expect("the form").to_owned();
    let asks = asked_at_sign_in(&mut person, &form).await.json();
    let answer = format!("webauthn.{}", key.inline(&asks));
    let done = person.post_as_it_is(&form, &[("code", &answer)]).await;
    assert_eq!((done.status, done.header("cache-control")), (200, Some("no-store")), "{}", done.text());
    let page = unescaped(&done.text());
    let on = "<meta http-equiv=\"refresh\" content=\"0;url=http://127.0.0.1:49152/callback?code=";
    assert!(page.contains(on) && page.contains("&state=state-of-it&"), "{page}");
    gateway.finish().await;
}

#[tokio::test]
async fn passkeys_need_a_name() {
    let gateway = gateway(Database::Sqlite).await;
    let mut person = Visitor::signed_in(&gateway, Role::Admin).await;
    let reply = person.post(ENROL, &[("name", "laptop")]).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("passkeys need a name"), "{}", reply.text());
    gateway.finish().await;
}

/// A client that has a key of its own: it asks for a challenge, and sends the answer behind its credential.
async fn asked_inline(gateway: &TestGateway, session: &str, target: &str) -> Value {
    let body = json!({ "begin": "passkey", "for": target }).to_string();
    let headers = [("Content-Type", "application/json")];
    let host = format!("localhost:{}", gateway.addr().port());
    let mut client = RawClient::connect(gateway.addr()).await.named(&host);
    let reply = client.ask("POST", "!/step-up/request", session, &headers, body.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["options"].clone()
}

async fn g4(database: Database) {
    let gateway = gateway(database).await;
    let other_instance = match database {
        Database::Postgres => Some(second(&gateway).await),
        Database::Sqlite => None,
    };
    let mut person = admin(&gateway).await;
    let mut key = enrolled(&mut person).await;
    let session = gateway.session(Role::Admin).await;
    let target = "/api/v1/rack-proxy/apps/other";
    let asks = asked_inline(&gateway, &session, &format!("DELETE {target}")).await;
    let inline = format!("{session}.webauthn.{}", key.inline(&asks));
    assert_eq!(ask(&gateway, "DELETE", "/apps/myapp", &inline).await.status, 401, "for another app");
    // 50 at once, on all instances: one passes.
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let instance = other_instance.as_ref().filter(|_| number % 2 == 0).unwrap_or(&gateway).addr();
        let inline = inline.clone();
        tasks.spawn(async move {
            RawClient::connect(instance).await.ask("DELETE", "/apps/other", &inline, &[], b"").await.status
        });
    }
    let statuses = tasks.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 401 | 429)), "{statuses:?}");
    let other = gateway.session(Role::Admin).await;
    let stolen = inline.replace(&session, &other);
    assert_eq!(ask(&gateway, "DELETE", "/apps/other", &stolen).await.status, 401);
    if let Some(instance) = other_instance {
        instance.finish().await;
    }
    gateway.finish().await;
}

#[tokio::test]
async fn g4_fifty_uses_of_one_answer_pass_once_on_sqlite() {
    g4(Database::Sqlite).await;
}

#[tokio::test]
async fn g4_fifty_uses_of_one_answer_pass_once_on_two_instances_on_postgresql() {
    g4(Database::Postgres).await;
}

/// 50 uses of one TOTP code, each with a session of its own, so that no limit of one session decides.
async fn g1_totp(database: Database) {
    let gateway = gateway(database).await;
    let other_instance = match database {
        Database::Postgres => Some(second(&gateway).await),
        Database::Sqlite => None,
    };
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let code = phone.shows(&gateway);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let instance = other_instance.as_ref().filter(|_| number % 2 == 0).unwrap_or(&gateway).addr();
        let inline = format!("{}.totp.{code}", gateway.session(Role::Admin).await);
        tasks.spawn(async move {
            RawClient::connect(instance).await.ask("DELETE", "/apps/other", &inline, &[], b"").await.status
        });
    }
    let statuses = tasks.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 401 | 429)), "{statuses:?}");
    if let Some(instance) = other_instance {
        instance.finish().await;
    }
    gateway.finish().await;
}

#[tokio::test]
async fn g1_fifty_uses_of_one_code_pass_once_on_sqlite() {
    g1_totp(Database::Sqlite).await;
}

#[tokio::test]
async fn g1_fifty_uses_of_one_code_pass_once_on_two_instances_on_postgresql() {
    g1_totp(Database::Postgres).await;
}

#[tokio::test]
async fn removing_the_last_one_ends_the_other_sessions() {
    let gateway = gateway(Database::Sqlite).await;
    let mut person = admin(&gateway).await;
    let mut key = enrolled(&mut person).await;
    let mut elsewhere = admin(&gateway).await;
    let page = person.get("/app/account/factors").await.text();
    let (_, after) = page.split_once("/app/account/factors/").expect("a factor");
    let (_, rest) = after.split_once("action=\"/app/account/factors/").unwrap_or(("", after));
    let id = rest.split('/').next().expect("its id");
    let remove = format!("/app/account/factors/{id}/remove");
    let asks = asked(&mut person, "/step-up/request", Some(&format!("POST {remove}"))).await;
    let code = format!("webauthn.{}", key.inline(&asks));
    let removed = person.post(&remove, &[("confirm", "remove"), ("_code", &code)]).await;
    assert_eq!(removed.status, 303, "{}", removed.text());
    assert_eq!(elsewhere.get("/app").await.status, 303, "signed out");
    assert_eq!(person.get("/app").await.status, 200);
    assert!(hidden(&person.get("/app/account/factors").await.text(), "_csrf").is_some());
    gateway.finish().await;
}
