//! The pages in a real browser: headless Chromium, driven by `tests/peers/browser.mjs`.

use gateway_sim::idp::DevPerson;
use gateway_testkit::{Authenticator, Database, Journey, RawClient, TestGateway};
use gateway_types::Role;
use serde_json::{Value, json};

const APP: &str = "/apps/myapp";

/// The unmodified client's command that needs a factor for this very action: it is refused, and the
/// refusal names the page at which it can be confirmed.
async fn refused_command(gateway: &TestGateway, session: &str) -> String {
    let mut client = RawClient::connect(gateway.addr()).await;
    let refused = client.ask("DELETE", APP, session, &[], b"").await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let remedies = refused.json()["remedies"].clone();
    remedies[0]["url"].as_str().unwrap_or_else(|| panic!("{remedies}")).replace("127.0.0.1", "localhost")
}

async fn journey(name: &str, database: Database, options: &[&str]) {
    let people = [
        DevPerson::new("first@example.com", "First Admin", &[]),
        DevPerson::new("stranger@example.org", "Stranger", &[]),
    ];
    let gateway = TestGateway::builder()
        .database(database)
        .env("ADMIN_USERS", "first@example.com")
        .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on")
        .idp_of(people.to_vec())
        .start()
        .await;
    let url = format!("http://localhost:{}", gateway.addr().port());
    let mut all = vec!["--refused", "stranger@example.org"];
    all.extend_from_slice(options);
    let mut session = None;
    let pages = Journey::begin(&url, "first@example.com", name, &all)
        .end(async |question, said| match question {
            "code" => {
                let secret = said["secret"].as_str().expect("a secret");
                Authenticator::of(secret).next(&gateway)
            }
            "challenge" => {
                let user = gateway.store().users().by_email("first@example.com").await.unwrap().unwrap();
                let own = session.insert(gateway.session_of(&user).await);
                refused_command(&gateway, own).await
            }
            "repeat" => {
                let own = session.clone().expect("the command was refused before");
                let mut client = RawClient::connect(gateway.addr()).await;
                let passed = client.ask("DELETE", APP, &own, &[], b"").await;
                let again = client.ask("DELETE", "/apps/other", &own, &[], b"").await;
                assert_eq!(again.status, 401, "a bound step-up is for one object: {}", again.text());
                if passed.status == 200 { "ok".to_owned() } else { passed.text() }
            }
            other => panic!("nobody knows {other}"),
        })
        .await;
    assert!(pages >= 25, "{pages} pages");
    // The stranger was refused, the first admin was made by the list, and the log knows both.
    let events = gateway.events().await;
    let signed_in: Vec<Value> = events
        .iter()
        .filter(|(_, event)| event.action.as_str() == "gateway:auth:login")
        .map(|(_, event)| json!(event))
        .collect();
    assert!(signed_in.len() >= 2, "{signed_in:?}");
    assert!(gateway.store().users().by_email("stranger@example.org").await.unwrap().is_none());
    let first = gateway.store().users().by_email("first@example.com").await.unwrap().unwrap();
    assert!(first.roles.contains(Role::Admin));
    gateway.finish().await;
}

#[tokio::test]
async fn a_first_admin_with_a_browser() {
    journey("with-javascript", Database::Sqlite, &[]).await;
}

#[tokio::test]
async fn a_first_admin_whose_browser_runs_no_scripts() {
    journey("without-javascript", Database::Postgres, &["--without-javascript"]).await;
}

/// Passkeys in a real browser: enrolled, used in place and for a refused command, removed, lost.
#[tokio::test]
async fn a_person_with_passkeys() {
    let gateway = TestGateway::builder()
        .env("ADMIN_USERS", "first@example.com")
        .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on")
        .env("RGW_SETTING_SIGN_IN_FACTOR", "on")
        .idp_of(vec![DevPerson::new("first@example.com", "First Admin", &[])])
        .start()
        .await;
    let url = format!("http://localhost:{}", gateway.addr().port());
    let mut session = None;
    let pages = Journey::of("passkeys.mjs", &url, "first@example.com", "passkeys", &[])
        .end(async |question, _said| match question {
            "challenge" => {
                let user = gateway.store().users().by_email("first@example.com").await.unwrap().unwrap();
                let own = session.insert(gateway.session_of(&user).await);
                refused_command(&gateway, own).await
            }
            "repeat" => {
                let own = session.clone().expect("the command was refused before");
                let mut client = RawClient::connect(gateway.addr()).await;
                let passed = client.ask("DELETE", APP, &own, &[], b"").await;
                let again = client.ask("DELETE", APP, &own, &[], b"").await;
                assert_eq!(again.status, 401, "a confirmation counts once: {}", again.text());
                if passed.status == 200 { "ok".to_owned() } else { passed.text() }
            }
            other => panic!("nobody knows {other}"),
        })
        .await;
    assert!(pages >= 8, "{pages} pages");
    gateway.finish().await;
}
