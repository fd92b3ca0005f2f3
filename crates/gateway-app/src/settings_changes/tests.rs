use gateway_config::{Origin, SettingKey, SettingValue};
use gateway_store::StoreError;
use gateway_types::{ProblemKind, Role};
use serde_json::json;

use super::*;
use crate::tests::{World, refused};

async fn value(world: &World, key: SettingKey, of_app: Option<&str>) -> Shown {
    read(&world.app, key.name(), of_app).await.unwrap()
}

#[tokio::test]
async fn a_setting_is_set_and_taken_back_with_its_source_and_its_event() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let operator = world.operator(&ann.caller);
        let first = value(&world, SettingKey::StepUpWindow, None).await;
        assert_eq!((first.version, &first.source), (0, &Source::Configured(Origin::Default)));
        let set =
            set(&world.app, &operator, "step_up_window", None, "5m", Expected::Version(0)).await.unwrap();
        assert_eq!(set.value.to_string(), "5m");
        assert!(matches!(&set.source, Source::Database { by, .. } if by == "ann@example.com"));
        assert_eq!(set.without_database, SettingKey::StepUpWindow.default_value());
        assert_eq!(world.app.settings.step_up_window().as_secs(), 300, "in force at once");
        let (action, before, after) = world.last().await;
        assert_eq!(action, "gateway:setting:update");
        assert_eq!(before, json!({ "database": null, "in_force": "10m" }));
        assert_eq!(after, json!({ "database": "5m" }));

        let again = super::reset(&world.app, &operator, "step_up_window", None, Expected::Any).await.unwrap();
        assert_eq!((again.version, again.value), (0, SettingKey::StepUpWindow.default_value()));
        assert_eq!(world.app.settings.step_up_window().as_secs(), 600);
        let none = super::reset(&world.app, &operator, "step_up_window", None, Expected::Any).await;
        refused(none, ProblemKind::NotPossible, "no value in the database");
    }
}

/// Checklist L1: of two admins, the second one is told.
#[tokio::test]
async fn changes_are_compared_and_refused_changes_leave_no_event() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let operator = world.operator(&ann.caller);
        let change = async |key: &str, of_app: Option<&str>, to: &str, expected| {
            set(&world.app, &operator, key, of_app, to, expected).await
        };
        let first = change("rate_limits", None, "off", Expected::Version(0)).await.unwrap();
        let events = world.events().await.len();
        let stale = change("rate_limits", None, "on", Expected::Version(0)).await;
        assert!(matches!(stale, Err(SettingError::Store(StoreError::Conflict))));
        let any = Expected::Any;
        refused(change("rate_limit", None, "on", any).await, ProblemKind::NotFound, "rate_limits");
        refused(change("rate_limits", None, "maybe", any).await, ProblemKind::BadParameter, "`maybe`");
        refused(change("step_up_window", None, "1s", any).await, ProblemKind::BadParameter, "range");
        refused(change("rate_limits", Some("web"), "on", any).await, ProblemKind::BadParameter, "whole");
        let app = Some("../web");
        refused(change("external_builds", app, "on", any).await, ProblemKind::BadParameter, "name");
        assert_eq!(world.events().await.len(), events);
        let version = Expected::Version(first.version);
        let second = change("rate_limits", None, "on", version).await.unwrap();
        assert!(second.version > first.version);
    }
}

#[tokio::test]
async fn an_app_has_its_own_value_until_it_is_taken_back() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let operator = world.operator(&ann.caller);
        let (key, web) = (SettingKey::DestructiveActions, Some("web"));
        let keys: Vec<_> = list(&world.app, web).await.unwrap().iter().map(|shown| shown.key).collect();
        let switches = [SettingKey::DestructiveActions, SettingKey::ExternalBuilds, SettingKey::AppLabels];
        let of_keys = [SettingKey::EnvPlain, SettingKey::EnvSecret, SettingKey::EnvProtected];
        assert_eq!(keys, [switches, of_keys].concat());
        set(&world.app, &operator, key.name(), None, "on", Expected::Version(0)).await.unwrap();
        let inherited = value(&world, key, web).await;
        assert_eq!((inherited.own, inherited.version), (false, 0));
        assert_eq!(inherited.value, SettingValue::Switch(true));
        set(&world.app, &operator, key.name(), web, "off", Expected::Version(0)).await.unwrap();
        let own = value(&world, key, web).await;
        assert_eq!((own.own, own.value), (true, SettingValue::Switch(false)));
        assert_eq!(own.without_database, SettingValue::Switch(true));
        assert!(!world.app.settings.destructive_actions(web));
        assert!(world.app.settings.destructive_actions(Some("other")));
        let back =
            reset(&world.app, &operator, key.name(), web, Expected::Version(own.version)).await.unwrap();
        assert_eq!((back.own, back.value), (false, SettingValue::Switch(true)));
        let event = world.events().await.pop().unwrap();
        assert_eq!(event.resource.app_name(), web);
    }
}
