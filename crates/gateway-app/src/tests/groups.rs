use gateway_types::{Caller, ProblemKind, Role};
use serde_json::json;

use super::{World, refused, roles};
use crate::groups::{GroupSource, list, read, update};
use crate::rights::Expected;

#[tokio::test]
async fn the_database_is_before_the_configuration() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let operator = world.operator(&ann.caller);
        let (app, by) = (&world.app, &ann.caller);
        let of = async |name: &str| read(app, name).await.unwrap().roles.to_string();
        assert_eq!((of("devs").await.as_str(), of("unknown").await.as_str()), ("deployer", ""));
        let configured = read(app, "devs").await.unwrap();
        assert_eq!((configured.source, configured.version), (GroupSource::Configuration, 0));

        let asked = roles("viewer,auditor");
        let first = update(app, &operator, by, "devs", Expected::Version(0), asked).await.unwrap();
        assert_eq!((first.roles, first.source), (asked, GroupSource::Database));
        let (action, was, is) = world.last().await;
        assert_eq!(action, "gateway:group:update");
        assert_eq!(was, json!({"roles": "deployer", "source": "configuration"}));
        assert_eq!(is, json!({"roles": "viewer,auditor", "source": "database"}));
        assert_eq!(of("devs").await, "viewer,auditor");
        let stale = update(app, &operator, by, "devs", Expected::Version(0), roles("ops")).await;
        refused(stale, ProblemKind::Stale, "changed");
        update(app, &operator, by, "devs", Expected::Any, roles("")).await.unwrap();
        assert_eq!(of("devs").await, "", "a row without roles takes the configuration's away");
        update(app, &operator, by, "new", Expected::Version(0), roles("ops")).await.unwrap();
        assert_eq!(world.last().await.1, json!(null));
        let names: Vec<String> = list(app).await.unwrap().into_iter().map(|group| group.id).collect();
        assert_eq!(names, ["devs", "new", "robots", "sre"]);
    }
}

#[tokio::test]
async fn groups_give_no_machine_roles_and_have_plain_names() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let ops = world.person("ops", &[Role::Ops]).await;
        let app = &world.app;
        let set = async |by: &Caller, id: &str, names: &str| {
            let operator = world.operator(by);
            update(app, &operator, by, id, Expected::Any, roles(names)).await
        };
        refused(set(&ann.caller, "x", "cicd").await, ProblemKind::BadParameter, "cicd");
        refused(set(&ann.caller, "", "ops").await, ProblemKind::BadParameter, "name");
        refused(set(&ann.caller, "a\u{202e}b", "ops").await, ProblemKind::BadParameter, "name");
        refused(set(&ops.caller, "x", "admin").await, ProblemKind::Refused, "what you do not have");
    }
}
