//! Environments through the gateway's own API, protected variables, and plaintext by its one door.

mod aws;
mod credential;
mod protected;
mod rack_tokens;
mod reveal;
mod times;

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_testkit::{Database, RawClient, Reply, TestGateway};
use gateway_types::{Grant, Role};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const ENV: &str = "!/api/v1/apps/myapp/env";
const REVEAL: &str = "!/api/v1/apps/myapp/env/reveal";
const SECRET: &str = "s3cr3t-myapp";

/// A request of the JSON API.
async fn ask(gateway: &TestGateway, method: &str, path: &str, credential: &str, body: &Value) -> Reply {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let headers: &[(&str, &str)] = &[("Content-Type", "application/json")];
    RawClient::connect(gateway.addr()).await.ask(method, path, credential, headers, &body).await
}

async fn get(gateway: &TestGateway, path: &str, credential: &str) -> Reply {
    ask(gateway, "GET", path, credential, &Value::Null).await
}

/// A request that must succeed.
async fn done(gateway: &TestGateway, method: &str, path: &str, credential: &str, body: Value) -> Value {
    let reply = ask(gateway, method, path, credential, &body).await;
    assert!(matches!(reply.status, 200 | 204), "{method} {path}: {}", reply.text());
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}

/// A whole environment, posted at the rack proxy.
async fn post(gateway: &TestGateway, credential: &str, env: &str) -> Reply {
    let headers: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
    let body: String = form_urlencoded(env);
    RawClient::connect(gateway.addr())
        .await
        .ask("POST", "/apps/myapp/releases", credential, headers, body.as_bytes())
        .await
}

fn form_urlencoded(env: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let spell = |byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    format!("env={}", env.bytes().map(spell).collect::<String>())
}

/// What the client reads before it changes an environment.
async fn read_at_proxy(gateway: &TestGateway, credential: &str) -> String {
    let list = get(gateway, "/apps/myapp/releases?limit=1", credential).await.json();
    let id = list[0]["id"].as_str().unwrap().to_owned();
    let release = get(gateway, &format!("/apps/myapp/releases/{id}"), credential).await;
    assert_eq!(release.status, 200, "{}", release.text());
    release.json()["env"].as_str().unwrap().to_owned()
}

fn held(gateway: &TestGateway) -> BTreeMap<String, String> {
    let env = gateway.rack.state().env_of("myapp");
    env.lines()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn variable<'a>(env: &'a Value, name: &str) -> &'a Value {
    let all = env["variables"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {env}"))
}

#[tokio::test]
async fn an_environment_is_read_as_handles_and_changed_by_what_is_different() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let deployer = gateway.token(Role::Deployer);
        let env = get(&gateway, ENV, deployer).await;
        assert_eq!((env.status, env.header("cache-control")), (200, Some("no-store")), "{}", env.text());
        assert!(!env.text().contains(SECRET), "{}", env.text());
        let env = env.json();
        assert_eq!(env["release"], "RSEED00001");
        let password = variable(&env, "DATABASE_PASSWORD");
        assert_eq!((&password["hidden"], &password["difference"]), (&json!(true), &json!("same")));

        let handle = password["value"].clone();
        let change = json!({"set": {"DATABASE_PASSWORD": handle, "COPY": SECRET, "NEW": "n3w-value"}, "unset": ["PLAIN", "NOT_THERE"]});
        let made = done(&gateway, "PUT", ENV, deployer, change).await;
        assert_eq!(made["changed"], json!(["COPY", "NEW", "PLAIN"]));
        let expected = [("COPY", SECRET), ("DATABASE_PASSWORD", SECRET), ("NEW", "n3w-value")];
        assert_eq!(held(&gateway), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        // The new release is not promoted: it is compared with the one that runs.
        let env = get(&gateway, ENV, deployer).await.json();
        assert_eq!((&env["release"], &env["compared"]), (&made["release"], &json!("RSEED00001")));
        assert_eq!(variable(&env, "NEW")["difference"], "added");
        assert_eq!(variable(&env, "COPY")["same_as"], json!(["DATABASE_PASSWORD"]));
        assert_eq!(env["removed"], json!(["PLAIN"]));
        let releases = gateway.rack.state().releases("myapp").len();
        let again = done(&gateway, "PUT", ENV, deployer, json!({"set": {"NEW": "n3w-value"}})).await;
        assert_eq!((&again["created"], &again["release"]), (&json!(false), &made["release"]));
        assert_eq!(gateway.rack.state().releases("myapp").len(), releases, "nothing was different");
        // Another app's is compared by name; its values stay hidden too.
        let other = get(&gateway, &format!("{ENV}?with=other"), deployer).await;
        assert_eq!(other.status, 200, "{}", other.text());
        assert!(!other.text().contains("s3cr3t"), "{}", other.text());

        let events = gateway.events().await;
        let events: Vec<_> = events
            .iter()
            .map(|(_, event)| event)
            .filter(|event| event.action.as_str() == "gateway:env:set")
            .collect();
        assert!(
            events.iter().any(|event| event
                .parameters
                .get("set")
                .is_some_and(|set| set == "COPY DATABASE_PASSWORD NEW"))
        );
        let text = serde_json::to_string(&events).unwrap();
        assert!(!text.contains("n3w-value") && !text.contains(SECRET), "{text}");
        gateway.finish().await;
    }
}

#[tokio::test]
async fn changes_of_the_same_variable_since_the_base_conflict() {
    let gateway = TestGateway::start().await;
    let deployer = gateway.token(Role::Deployer);
    let base = get(&gateway, ENV, deployer).await.json()["release"].clone();
    done(&gateway, "PUT", ENV, deployer, json!({"set": {"A": "1"}, "base": base})).await;
    done(&gateway, "PUT", ENV, deployer, json!({"set": {"B": "1"}, "base": base})).await;
    let reply =
        ask(&gateway, "PUT", ENV, deployer, &json!({"set": {"A": "2", "C": "1"}, "base": base})).await;
    assert_eq!(reply.status, 409, "{}", reply.text());
    assert!(
        reply.json()["detail"].as_str().unwrap().contains("somebody else changed A since"),
        "{}",
        reply.text()
    );
    assert_eq!(held(&gateway).get("C"), None);
    // The same value is no conflict; without a base it is of what is newest.
    done(&gateway, "PUT", ENV, deployer, json!({"set": {"A": "1", "D": "1"}, "base": base})).await;
    done(&gateway, "PUT", ENV, deployer, json!({"set": {"A": "2"}})).await;
    for (body, status) in [
        (json!({"set": {"A": "x\nB=1"}}), 400),
        (json!({"set": {"A": 17_320_508}}), 400),
        (json!({"set": {"A=B": "1"}}), 400),
        (json!({}), 400),
        (json!({"set": {"A": "1"}, "base": "RNOTTHERE1"}), 404),
        (json!({"set": {"A": "1"}, "base": "../../registries"}), 404),
        (json!({"set": {"A": "rgw-hidden-abcdefghijklmn27"}}), 409),
    ] {
        let reply = ask(&gateway, "PUT", ENV, deployer, &body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
        assert!(!reply.text().contains("17320508"), "{}", reply.text());
    }
    for path in ["!/api/v1/apps/none/env", "!/api/v1/apps/..%2Fsystem/env", "!/api/v1/apps/a%3Fb/env"] {
        let reply = get(&gateway, path, deployer).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {} {}", reply.status, reply.text());
    }
    gateway.finish().await;
}

#[tokio::test]
async fn what_the_rack_proxy_refuses_this_door_refuses_too() {
    let gateway = TestGateway::start().await;
    let change = json!({"set": {"A": "1"}});
    for role in [Role::Viewer, Role::Ops, Role::Cicd] {
        let reply = ask(&gateway, "PUT", ENV, gateway.token(role), &change).await;
        assert_eq!(reply.status, 403, "{role}: {}", reply.text());
    }
    assert_eq!(get(&gateway, ENV, gateway.token(Role::Viewer)).await.status, 403);
    let only_env = Grant { actions: "gateway:env:*".to_owned(), ..Grant::everything() };
    let narrow = gateway.new_token(Role::Deployer, vec![only_env]).await;
    let reply = ask(&gateway, "PUT", ENV, &narrow, &change).await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert!(reply.json()["detail"].as_str().unwrap().starts_with("convox:release:create on myapp"));
    let of_myapp = Grant { apps: vec!["myapp".to_owned()], ..Grant::everything() };
    let of_myapp = gateway.new_token(Role::Deployer, vec![of_myapp]).await;
    assert_eq!(get(&gateway, ENV, &of_myapp).await.status, 200);
    assert_eq!(get(&gateway, &format!("{ENV}?with=other"), &of_myapp).await.status, 403);
    assert!(gateway.rack.requests().iter().all(|request| request.method == "GET"));
    gateway.finish().await;
}

/// Clients of the API and of the rack proxy, who all read before anybody writes.
async fn twenty_at_once(gateways: &[&TestGateway], tokens: &[String]) {
    const CLIENTS: usize = 20;
    let all_have_read = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let addr = gateways[number % gateways.len()].addr();
        let (token, all_have_read) = (tokens[number].clone(), all_have_read.clone());
        clients.spawn(async move {
            let mut client = RawClient::connect(addr).await;
            let json: &[(&str, &str)] = &[("Content-Type", "application/json")];
            let env = client.ask("GET", ENV, &token, &[], b"").await.json();
            let list = client.ask("GET", "/apps/myapp/releases?limit=1", &token, &[], b"").await.json();
            let path = format!("/apps/myapp/releases/{}", list[0]["id"].as_str().unwrap());
            let text = client.ask("GET", &path, &token, &[], b"").await.json();
            all_have_read.wait().await;
            let reply = if number % 2 == 0 {
                let change =
                    json!({"set": {format!("KEY_{number}"): format!("v{number}")}, "base": env["release"]});
                client.ask("PUT", ENV, &token, json, change.to_string().as_bytes()).await
            } else {
                let env = format!("{}\nKEY_{number}=v{number}", text["env"].as_str().unwrap());
                let form: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
                client
                    .ask("POST", "/apps/myapp/releases", &token, form, form_urlencoded(&env).as_bytes())
                    .await
            };
            assert_eq!(reply.status, 200, "{number}: {}", reply.text());
            // Nobody gets a protected one changed meanwhile.
            let bad = json!({"set": {"DATABASE_PASSWORD": format!("bad{number}")}});
            let reply = client.ask("PUT", ENV, &token, json, bad.to_string().as_bytes()).await;
            assert_eq!(reply.status, 403, "{number}: {}", reply.text());
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    let mut expected: BTreeMap<String, String> =
        [("DATABASE_PASSWORD", SECRET), ("PLAIN", "value")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    expected.extend((0..CLIENTS).map(|number| (format!("KEY_{number}"), format!("v{number}"))));
    assert_eq!(held(gateways[0]), expected);
}

#[tokio::test]
async fn twenty_clients_of_both_doors_lose_nothing_and_leave_protected_ones_alone() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder()
            .database(database)
            .env("RGW_SETTING_ENV_PROTECTED", "DATABASE_*")
            .start()
            .await;
        let mut tokens = Vec::new();
        for _ in 0..20 {
            tokens.push(gateway.new_token(Role::Deployer, vec![Grant::everything()]).await);
        }
        if database == Database::Postgres {
            let second = TestGateway::builder()
                .share(&gateway)
                .env("RGW_SETTING_ENV_PROTECTED", "DATABASE_*")
                .start()
                .await;
            twenty_at_once(&[&gateway, &second], &tokens).await;
            second.finish().await;
        } else {
            twenty_at_once(&[&gateway], &tokens).await;
        }
        gateway.finish().await;
    }
}
