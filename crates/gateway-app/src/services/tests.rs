//! Services of the database: in force once written, refused whole when anything is wrong.

use std::sync::Arc;

use gateway_types::{ProblemKind, Role};
use serde_json::json;

use super::*;
use crate::rules::RulesInForce;
use crate::tests::{Person, World};

/// Each test exchanges the rules, so each has its own.
async fn worlds() -> [World; 2] {
    World::both().await.map(|mut world| {
        world.app.rules = Arc::new(RulesInForce::new((*world.app.rules.load()).clone()));
        world
    })
}

fn wiki(port: u16) -> Value {
    json!({ "hosts": ["wiki.example.com"], "upstreams": [{ "url": format!("http://10.0.0.1:{port}") }] })
}

async fn put(
    world: &World,
    person: &Person,
    name: &str,
    declaration: Value,
) -> Result<Listed, ServiceChangeError> {
    write(&world.app, &world.operator(&person.caller), name, declaration, Expected::Any).await
}

fn kind(error: ServiceChangeError) -> ProblemKind {
    Problem::from(error).kind
}

use gateway_types::Problem;

#[tokio::test]
async fn a_service_is_in_force_once_written_and_out_of_it_once_removed() {
    for world in worlds().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let at_first = world.app.policy().version().to_owned();
        let written = put(&world, &ann, "wiki", wiki(1)).await.unwrap();
        assert!(written.in_force.is_some());
        assert!(world.app.rules.services().owns_host("wiki.example.com"));
        assert!(world.app.policy().operation("service:wiki:read").is_some());
        let (action, before, after) = world.last().await;
        assert_eq!((action.as_str(), &before), ("gateway:service:update", &Value::Null));
        assert_eq!(after["hosts"][0], "wiki.example.com");
        // Only where it is changed: the engine, and what it has decided, stays.
        let engine = world.app.policy();
        put(&world, &ann, "wiki", wiki(2)).await.unwrap();
        assert!(Arc::ptr_eq(&engine, &world.app.policy()));
        assert_eq!(list(&world.app).await.unwrap().len(), 1);
        let operator = world.operator(&ann.caller);
        let stale = remove(&world.app, &operator, "wiki", Expected::Version(1)).await;
        assert!(matches!(stale, Err(ServiceChangeError::Store(StoreError::Conflict))));
        remove(&world.app, &operator, "wiki", Expected::Any).await.unwrap();
        assert!(!world.app.rules.services().owns_host("wiki.example.com"));
        assert_eq!(world.app.policy().version(), at_first);
        let gone = remove(&world.app, &operator, "wiki", Expected::Any).await;
        assert_eq!(kind(gone.unwrap_err()), ProblemKind::NotFound);
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_changes() {
    for world in worlds().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let file: RawService = serde_json::from_value(json!({
            "name": "grafana", "prefix": "/grafana", "upstreams": [{ "url": "http://10.0.0.2:1" }],
        }))
        .unwrap();
        follow_file(&world.app, vec![file]).await.unwrap();
        put(&world, &ann, "wiki", wiki(1)).await.unwrap();
        let check = async |name: &str, declaration: Value, said: &str| {
            let before = world.app.rules.load();
            let error = put(&world, &ann, name, declaration.clone()).await.unwrap_err();
            let problem = Problem::from(error);
            assert!(problem.detail.contains(said), "{name} {declaration}: {}", problem.detail);
            assert!(Arc::ptr_eq(&before, &world.app.rules.load()));
        };
        check("grafana", wiki(1), "declared in the configuration file").await;
        check("other", wiki(1), "both claim wiki.example.com").await;
        check("other", json!({ "prefix": "/grafana", "upstreams": [{ "url": "http://h:1" }] }), "both claim")
            .await;
        check("other", json!({ "prefix": "/x" }), "upstreams").await;
        check("other", json!({ "prefix": "/api", "upstreams": [{ "url": "ftp://h" }] }), "upstreams[0].url")
            .await;
        check("other", json!({ "prefix": "/api", "upstreams": [{ "url": "ftp://h" }] }), "`/api`").await;
        check("Other", json!({ "prefix": "/x", "upstreams": [{ "url": "http://h:1" }] }), "name").await;
        check("other", json!({ "name": "another" }), "`another`").await;
        check("other", json!({ "odd": 1 }), "odd").await;
        check("other", json!([]), "JSON object").await;
        check("other", json!({ "title": "x".repeat(300_000) }), "bytes").await;
        let with_secret = |secret: &str| {
            json!({ "prefix": "/x", "upstreams": [{ "url": "http://h:1" }],
                "credential": { "kind": "bearer", "secret": secret } })
        };
        for secret in ["env:APP_SECRET_KEY", "file:/etc/shadow", "plain", "env:rgw_service_x"] {
            check("other", with_secret(secret), "env:RGW_SERVICE_").await;
        }
        check("other", json!({ "hosts": ["localhost"], "upstreams": [{ "url": "http://h:1" }] }), "own")
            .await;
        assert_eq!(list(&world.app).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_service_whose_action_a_policy_names_is_not_removed() {
    for world in worlds().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        put(&world, &ann, "wiki", wiki(1)).await.unwrap();
        let operator = world.operator(&ann.caller);
        let text = r#"@id("no-wiki") forbid (principal, action == Action::"service:wiki:change", resource);"#;
        crate::policies::write(&world.app, &operator, "wiki", text, Expected::Any).await.unwrap();
        let refused = remove(&world.app, &operator, "wiki", Expected::Any).await.unwrap_err();
        assert!(refused.to_string().contains("no-wiki"), "{refused}");
        assert_eq!(kind(refused), ProblemKind::NotPossible);
        assert!(world.app.rules.services().owns_host("wiki.example.com"));
        crate::policies::remove(&world.app, &operator, "wiki", Expected::Any).await.unwrap();
        remove(&world.app, &operator, "wiki", Expected::Any).await.unwrap();
    }
}

#[tokio::test]
async fn a_bad_set_leaves_the_old_one_in_force_and_says_why() {
    for world in worlds().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        put(&world, &ann, "wiki", wiki(1)).await.unwrap();
        // The file comes to claim what the database has.
        let clash: RawService = serde_json::from_value(json!({
            "name": "other", "hosts": ["wiki.example.com"], "upstreams": [{ "url": "http://10.0.0.2:1" }],
        }))
        .unwrap();
        let refused = follow_file(&world.app, vec![clash.clone()]).await.unwrap_err();
        assert!(refused.to_string().contains("both claim"), "{refused}");
        assert!(refused.to_string().contains("wiki.example.com"), "{refused}");
        assert!(world.app.rules.services().named("wiki").is_some());
        assert!(world.app.rules.services().named("other").is_none());
        // Another instance wrote what does not go together here.
        let services = world.app.store.services();
        services.set("broken", "{\"name\":\"broken\"}", None, "elsewhere").await.unwrap();
        assert!(reload(&world.app).await.is_err());
        assert!(world.app.health.service_fault().is_some_and(|fault| fault.contains("broken")));
        assert!(world.app.rules.services().named("wiki").is_some());
        assert_eq!(reload(&world.app).await.unwrap(), Reloaded::Unchanged, "the same would fail again");
        let version = services.list().await.unwrap()[0].version;
        services.remove("broken", version).await.unwrap();
        assert_eq!(reload(&world.app).await.unwrap(), Reloaded::Exchanged);
        assert_eq!(world.app.health.service_fault(), None);
    }
}
