//! Times in which one credential reads an app's values through the rack proxy: whose they are, and that they end.

use std::time::Duration;

use gateway_testkit::{Authenticator, Database, RawClient, TestGateway, eventually};
use gateway_types::{Role, RoleSet};
use serde_json::{Value, json};

use super::{REVEAL, SECRET, ask, done, get, read_at_proxy};

struct Person {
    phone: Authenticator,
    session: String,
}

impl Person {
    async fn admin(gateway: &TestGateway) -> Self {
        Self {
            phone: Authenticator::enrol(gateway, Role::Admin).await,
            session: gateway.session(Role::Admin).await,
        }
    }

    async fn begin(&self, gateway: &TestGateway, length: &str) -> Value {
        let credential = format!("{}.totp.{}", self.session, self.phone.next(gateway));
        done(gateway, "POST", REVEAL, &credential, json!({"for": length, "reason": "a look"})).await["time"]
            .clone()
    }

    async fn sees(&self, gateway: &TestGateway) -> bool {
        read_at_proxy(gateway, &self.session).await.contains(SECRET)
    }
}

#[tokio::test]
async fn one_credential_reads_one_app_for_a_while_and_each_read_is_in_the_log() {
    for database in Database::BOTH {
        let mut gateway = TestGateway::builder().database(database).start().await;
        let admin = Person::admin(&gateway).await;
        assert!(!admin.sees(&gateway).await);
        let time = admin.begin(&gateway, "5m").await;
        assert_eq!((&time["app"], &time["mine"]), (&json!("myapp"), &json!(true)));
        assert!(admin.sees(&gateway).await);
        // Another session of the same person, another person, another app: handles.
        let other = gateway.session(Role::Admin).await;
        assert!(!read_at_proxy(&gateway, &other).await.contains(SECRET));
        assert!(!read_at_proxy(&gateway, gateway.token(Role::Admin)).await.contains(SECRET));
        let elsewhere = get(&gateway, "/apps/other/releases?limit=1", &admin.session).await;
        assert!(!elsewhere.text().contains("s3cr3t"), "{}", elsewhere.text());
        // Not what may hold a credential of the rack.
        let builds = get(&gateway, "/apps/myapp/builds", &admin.session).await;
        assert_eq!(builds.status, 200);
        assert!(!builds.text().contains(gateway.rack.password()));
        let reads = |events: &[(u64, gateway_audit::Event)]| {
            let of = events.iter().filter(|(_, event)| event.parameters.contains_key("reveal"));
            of.filter(|(_, event)| event.action.as_str() == "gateway:secret:reveal").count()
        };
        let before = gateway.events().await;
        assert_eq!(reads(&before), 2, "the list and the release");
        let read = before.iter().find(|(_, event)| event.parameters.contains_key("reveal")).unwrap();
        assert_eq!(read.1.reason.as_deref(), Some("a look"));
        assert_eq!(read.1.parameters["reveal"], time["id"].as_str().unwrap());
        assert!(read.1.route.as_deref().is_some_and(|route| route.contains("/releases")));

        // It outlives a restart, and not its end.
        gateway.restart().await;
        assert!(admin.sees(&gateway).await);
        gateway.clock.advance(Duration::from_secs(299));
        assert!(admin.sees(&gateway).await);
        gateway.clock.advance(Duration::from_secs(1));
        assert!(!admin.sees(&gateway).await);
        assert_eq!(get(&gateway, "!/api/v1/reveals", &admin.session).await.json()["items"], json!([]));
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_time_ends_early_with_its_session_and_with_the_role() {
    let gateway = TestGateway::start().await;
    let admin = Person::admin(&gateway).await;
    let id = admin.begin(&gateway, "5m").await["id"].as_str().unwrap().to_owned();
    assert!(admin.sees(&gateway).await);
    let path = format!("!/api/v1/reveals/{id}");
    // Nobody below an admin ends another's, or sees it.
    let ops = gateway.session(Role::Ops).await;
    assert_eq!(ask(&gateway, "DELETE", &path, &ops, &Value::Null).await.status, 403);
    assert_eq!(get(&gateway, "!/api/v1/reveals?all=true", &ops).await.status, 403);
    assert_eq!(get(&gateway, "!/api/v1/reveals", &ops).await.json()["items"], json!([]));
    done(&gateway, "DELETE", &path, &admin.session, Value::Null).await;
    assert!(!admin.sees(&gateway).await);
    assert_eq!(ask(&gateway, "DELETE", &path, &admin.session, &Value::Null).await.status, 409);

    admin.begin(&gateway, "5m").await;
    assert!(admin.sees(&gateway).await);
    // Whoever is no admin any more reads handles, at once.
    let user = gateway.person(Role::Admin);
    let keep = gateway.person(Role::Viewer);
    let change = |roles| gateway_store::UserChange { roles: Some(roles), ..Default::default() };
    gateway.store().users().update(keep.id, &change(RoleSet::of(Role::Admin)), keep.version).await.unwrap();
    let demoted = change(RoleSet::of(Role::Deployer));
    gateway.store().users().update(user.id, &demoted, user.version).await.unwrap();
    eventually("the role is gone", || async { (!admin.sees(&gateway).await).then_some(()) }).await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_revoked_session_reads_nothing_and_other_instances_know_of_a_time() {
    let gateway = TestGateway::builder().database(Database::Postgres).start().await;
    let second = TestGateway::builder().share(&gateway).start().await;
    let admin = Person::admin(&gateway).await;
    admin.begin(&gateway, "5m").await;
    eventually("the other instance knows", || async { admin.sees(&second).await.then_some(()) }).await;
    done(&gateway, "POST", "!/api/v1/me/sessions/revoke-all", &admin.session, Value::Null).await;
    for instance in [&gateway, &second] {
        eventually("the session is over", || async {
            let reply = get(instance, "/apps/myapp/releases?limit=1", &admin.session).await;
            (reply.status == 401).then_some(())
        })
        .await;
    }
    second.finish().await;
    gateway.finish().await;
}

/// A reply that is still being sent when the time ends is broken off.
#[tokio::test]
async fn a_reply_that_is_still_sent_ends_with_the_time() {
    const LENGTH: usize = 40 * 1024 * 1024;
    let gateway = TestGateway::start().await;
    let admin = Person::admin(&gateway).await;
    let env = format!("DATABASE_PASSWORD={SECRET}\nPORT={}", "1".repeat(LENGTH));
    let release = gateway.rack.state().insert_release("myapp", &env).unwrap();
    admin.begin(&gateway, "1m").await;
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!(
            "GET /api/v1/rack-proxy/apps/myapp/releases/{release} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n\r\n",
            gateway.addr(),
            gateway_testkit::raw::basic(&admin.session)
        ))
        .await;
    let (mut stream, _) = client.into_parts();
    let mut first = vec![0; 4096];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
    assert!(String::from_utf8_lossy(&first).contains("200 OK"));
    gateway.clock.advance(Duration::from_secs(60));
    eventually("the outcome says why it ended", || async {
        let events = gateway.events().await;
        let why = "the time for which values were revealed is over";
        events.iter().any(|(_, event)| event.reason.as_deref() == Some(why)).then_some(())
    })
    .await;
    let mut rest = Vec::new();
    let _broken_off = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    assert!(rest.len() < LENGTH, "{} bytes came", rest.len());
    gateway.finish().await;
}
