//! The pages in a real browser: headless Chromium, driven by `tests/peers/browser.mjs`.

use gateway_sim::idp::DevPerson;
use gateway_store::NewUser;
use gateway_testkit::{Authenticator, Database, Journey, Looked, RawClient, TestGateway};
use gateway_types::{Grant, Role};
use serde_json::{Value, json};

const APP: &str = "/apps/myapp";

/// The pages at which the journey of a first admin does not look, and why.
const NOT_LOOKED_AT: [(&str, &str); 19] = [
    ("/", "it leads to /app"),
    ("/auth/factor/{id}", "the journey with passkeys looks at it"),
    ("/auth/handoff", "it leads on to a service's host"),
    ("/.rack-gateway/callback", "it leads on to the page that was wanted"),
    ("/.rack-gateway/static/{file}", "it is no page"),
    ("/.rack-gateway/sign-out", "the journey with services looks at it"),
    ("/app/static/{file}", "it is no page"),
    (
        "/app/recordings/{id}",
        "only an auditor may, and this journey is an admin's; it/recordings.rs reads it",
    ),
    ("/app/live/{id}", "no session goes on in this journey; it/recordings/company.rs reads it"),
    ("/app/live/{id}/feed", "it is no page"),
    ("/app/services/{name}", "there is no service in this journey"),
    ("/app/services/{name}/openapi", "there is no service in this journey"),
    ("/app/log/checkpoint", "it is no page"),
    ("/app/log/keys", "it is no page"),
    ("/app/log/proof/{kind}", "it is no page"),
    ("/app/audit/stories/{index}", "nothing is deployed in this journey; the tests of gateway-web read it"),
    ("/app/apps/{app}/processes/{pid}/exec", "it is no page"),
    ("/app/apps/{app}/builds/{id}/logs", "it is no page"),
    ("/app/apps/{app}/logs/feed", "it is no page"),
];

/// Whether this path is one of the page.
fn is_of(path: &str, page: &str) -> bool {
    let (path, page): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), page.split('/').collect());
    path.len() == page.len()
        && path.iter().zip(&page).all(|(path, page)| path == page || page.starts_with('{'))
}

/// Every page there is was looked at in both themes, at both widths and by axe, or is one of those that say why not.
fn looked_at_every_page(looked: &Looked) {
    let pages = include_str!("../../../gateway-policy/data/pages.tsv");
    let missing: Vec<&str> = pages
        .lines()
        .filter_map(|line| line.strip_prefix("GET\t")?.split('\t').next())
        .filter(|page| !looked.paths.iter().any(|path| is_of(path, page)))
        .collect();
    let known: Vec<&str> = NOT_LOOKED_AT.iter().map(|(page, _reason)| *page).collect();
    assert_eq!(missing, known, "a new page needs a step in tests/peers/browser.mjs, or a reason here");
}

/// The unmodified client's command that needs a factor for this very action: it is refused, and the
/// refusal names the page at which it can be confirmed.
async fn refused_command(gateway: &TestGateway, session: &str) -> String {
    let mut client = RawClient::connect(gateway.addr()).await;
    let refused = client.ask("DELETE", APP, session, &[], b"").await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let remedies = refused.json()["remedies"].clone();
    remedies[0]["url"].as_str().unwrap_or_else(|| panic!("{remedies}")).replace("127.0.0.1", "localhost")
}

/// A pipeline asks for a deploy; the id of what waits now.
async fn ask_for_a_deploy(gateway: &TestGateway) -> String {
    let token = gateway.new_token_of(Role::Deployer, Role::Cicd, vec![Grant::everything()]).await;
    let body = json!({
        "app": "myapp", "commit": "0123456789abcdef0123456789abcdef01234567", "branch": "main",
        "message": "Faster checkout", "commands": ["bin/migrate"],
        "metadata": { "link": "https://git.example.com/acme/shop/pull/7", "actor": "ann" },
    });
    let headers = [("Content-Type", "application/json")];
    let mut client = RawClient::connect(gateway.addr()).await;
    let body = body.to_string();
    let asked = client.ask("POST", "!/api/v1/approvals", &token, &headers, body.as_bytes()).await;
    asked.json()["id"].as_str().unwrap_or_else(|| panic!("{}", asked.text())).to_owned()
}

async fn journey(name: &str, database: Database, options: &[&str]) {
    let people = [
        DevPerson::new("first@example.com", "First Admin", &[]),
        DevPerson::new("stranger@example.org", "Stranger", &[]),
        DevPerson::new("auditor@example.com", "Auditor", &[]),
    ];
    let gateway = TestGateway::builder()
        .database(database)
        .env("ADMIN_USERS", "first@example.com")
        .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on")
        .idp_of(people.to_vec())
        .start()
        .await;
    let url = format!("http://localhost:{}", gateway.addr().port());
    let mut all = vec!["--refused", "stranger@example.org", "--auditor", "auditor@example.com"];
    all.extend_from_slice(options);
    let mut session = None;
    let looked = Journey::begin(&url, "first@example.com", name, &all)
        .end(async |question, said| match question {
            "code" => {
                let secret = said["secret"].as_str().expect("a secret");
                Authenticator::of(secret).next(&gateway)
            }
            "approval" => ask_for_a_deploy(&gateway).await,
            "device" => {
                let body = b"client_id=rack-gateway-cli&device=build%20server";
                let headers = [("Content-Type", "application/x-www-form-urlencoded")];
                let mut client = RawClient::connect(gateway.addr()).await;
                let begun = client.ask("POST", "!/auth/device", "", &headers, body).await;
                begun.json()["user_code"].as_str().unwrap_or_else(|| panic!("{}", begun.text())).to_owned()
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
    assert!(looked.pages >= 40, "{} pages", looked.pages);
    looked_at_every_page(&looked);
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
    let looked = Journey::of("passkeys.mjs", &url, "first@example.com", "passkeys", &[])
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
    assert!(looked.pages >= 8, "{} pages", looked.pages);
    assert!(looked.paths.iter().any(|path| is_of(path, "/auth/factor/{id}")), "{looked:?}");
    gateway.finish().await;
}

/// A day of four people, as each of them would do it.
async fn day(name: &str, options: &[&str]) {
    let people =
        ["kim", "lee", "root", "ada"].map(|who| DevPerson::new(&format!("{who}@example.com"), who, &[]));
    let gateway = TestGateway::builder().env("RECORDING", "strict").idp_of(people.to_vec()).start().await;
    for (who, role) in [("kim", "ops,deployer"), ("lee", "viewer"), ("root", "admin"), ("ada", "auditor")] {
        let new = NewUser {
            email: format!("{who}@example.com"),
            name: who.to_owned(),
            roles: role.parse().unwrap(),
        };
        gateway.store().users().create(new).await.unwrap();
    }
    let url = format!("http://localhost:{}", gateway.addr().port());
    let looked = Journey::of("day.mjs", &url, "example.com", name, options)
        .end(async |question, said| match question {
            "code" => Authenticator::of(said["secret"].as_str().expect("a secret")).next(&gateway),
            "approval" => ask_for_a_deploy(&gateway).await,
            other => panic!("nobody knows {other}"),
        })
        .await;
    assert_eq!(looked.pages, 17);
    gateway.finish().await;
}

#[tokio::test]
async fn a_day_of_four_people_at_desks() {
    day("day-desktop", &[]).await;
}

#[tokio::test]
async fn a_day_of_four_people_with_phones() {
    day("day-phone", &["--phone", "--dark"]).await;
}
