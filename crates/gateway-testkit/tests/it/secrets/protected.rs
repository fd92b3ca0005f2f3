//! Which variables are plain, secret and protected, by settings.

use gateway_testkit::{Database, TestGateway};
use gateway_types::Role;
use serde_json::json;

use super::{ENV, SECRET, ask, done, get, held, post, read_at_proxy, variable};

#[tokio::test]
async fn protected_variables_cannot_be_changed_by_any_door() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder()
            .database(database)
            .env("RGW_APP_MYAPP_SETTING_ENV_PROTECTED", "DATABASE_PASSWORD,NEW_*")
            .start()
            .await;
        let deployer = gateway.token(Role::Deployer);
        let shown = get(&gateway, ENV, deployer).await.json();
        assert_eq!(variable(&shown, "DATABASE_PASSWORD")["protected"], true);
        for change in [
            json!({"set": {"DATABASE_PASSWORD": "x"}}),
            json!({"unset": ["DATABASE_PASSWORD"]}),
            json!({"set": {"NEW_KEY": "x"}}),
        ] {
            let reply = ask(&gateway, "PUT", ENV, deployer, &change).await;
            assert_eq!(reply.status, 403, "{change}: {}", reply.text());
            assert!(reply.json()["detail"].as_str().unwrap().contains("env_protected"), "{}", reply.text());
        }
        // The same value is no change.
        done(&gateway, "PUT", ENV, deployer, json!({"set": {"DATABASE_PASSWORD": SECRET, "A": "1"}})).await;

        // As the client does `env set`, `env unset`, and `env set --replace` without reading.
        let env = read_at_proxy(&gateway, deployer).await;
        let password = env.lines().find(|line| line.starts_with("DATABASE_PASSWORD=")).unwrap().to_owned();
        let changed = post(&gateway, deployer, &env.replace(&password, "DATABASE_PASSWORD=x")).await;
        assert_eq!(changed.status, 403, "{}", changed.text());
        let unset = post(&gateway, deployer, &env.replace(&password, "").replace("\n\n", "\n")).await;
        assert_eq!(unset.status, 403, "{}", unset.text());
        assert!(!unset.text().contains(SECRET));
        let fine = post(&gateway, deployer, &format!("{env}\nB=1")).await;
        assert_eq!(fine.status, 200, "{}", fine.text());
        let stranger = gateway.new_token(Role::Deployer, vec![gateway_types::Grant::everything()]).await;
        let whole = post(&gateway, &stranger, "C=1").await;
        assert_eq!(whole.status, 200, "{}", whole.text());
        let expected = [("C", "1"), ("DATABASE_PASSWORD", SECRET)];
        assert_eq!(
            held(&gateway),
            expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
            "kept, not dropped"
        );
        assert_eq!(post(&gateway, &stranger, "C=1\nDATABASE_PASSWORD=x").await.status, 403);
        assert_eq!(post(&gateway, &stranger, "").await.status, 200);
        assert_eq!(held(&gateway).len(), 1, "also an empty one keeps it");
        // Another app's are free.
        done(&gateway, "PUT", "!/api/v1/apps/other/env", deployer, json!({"set": {"NEW_KEY": "x"}})).await;
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_roll_back_keeps_the_protected_variables_of_now() {
    let gateway = TestGateway::builder().env("RGW_SETTING_ENV_PROTECTED", "DATABASE_PASSWORD").start().await;
    let deployer = gateway.token(Role::Deployer);
    // Whoever runs the rack changes it there.
    let rotated = gateway.rack.state().insert_release("myapp", "DATABASE_PASSWORD=rotated-value\nA=1");
    assert!(rotated.is_some());
    let old = get(&gateway, "/apps/myapp/releases/RSEED00001", deployer).await.json();
    let headers: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!(
        "build={}&{}",
        old["build"].as_str().unwrap(),
        super::form_urlencoded(old["env"].as_str().unwrap())
    );
    let mut client = gateway_testkit::RawClient::connect(gateway.addr()).await;
    let reply = client.ask("POST", "/apps/myapp/releases", deployer, headers, body.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let expected = [("DATABASE_PASSWORD", "rotated-value"), ("PLAIN", "value")];
    assert_eq!(held(&gateway), expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    gateway.finish().await;
}

#[tokio::test]
async fn settings_say_which_variables_are_plain() {
    let gateway = TestGateway::builder()
        .env("RGW_SETTING_ENV_PLAIN", "FEATURE_*,TWICE")
        .env("RGW_APP_MYAPP_SETTING_ENV_SECRET", "TWICE,PORT")
        .start()
        .await;
    let deployer = gateway.token(Role::Deployer);
    let set = json!({"set": {"FEATURE_X": "feature-on", "TWICE": "twice-value", "PORT": "portvalue", "NODE_ENV": "production"}});
    done(&gateway, "PUT", ENV, deployer, set.clone()).await;
    done(&gateway, "PUT", "!/api/v1/apps/other/env", deployer, set).await;
    let (mine, proxy) = (get(&gateway, ENV, deployer).await.json(), read_at_proxy(&gateway, deployer).await);
    for (name, value, hidden) in [
        ("FEATURE_X", "feature-on", false),
        ("NODE_ENV", "production", false),
        ("TWICE", "twice-value", true),
        ("PORT", "portvalue", true),
    ] {
        assert_eq!(variable(&mine, name)["hidden"], hidden, "{name}");
        assert_eq!(proxy.contains(value), !hidden, "{name}: {proxy}");
    }
    let other = get(&gateway, "!/api/v1/apps/other/env", deployer).await.json();
    assert_eq!(variable(&other, "TWICE")["value"], "twice-value", "the setting is the other app's own");
    gateway.finish().await;
}
