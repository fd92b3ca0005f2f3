use gateway_types::{ProblemKind, Role};
use http::Method;
use serde_json::{Value, json};

use super::{Bench, Call, header};

const SETTINGS: &str = "/api/v1/settings";
const OF_WEB: &str = "/api/v1/apps/web/settings";

fn put<'a>(target: &'a str, version: &str, body: Value) -> Call<'a> {
    Call::new(Method::PUT, target).with("if-match", version).json(body)
}

fn found<'d>(listing: &'d Value, key: &str) -> &'d Value {
    listing["items"].as_array().unwrap().iter().find(|item| item["key"] == key).unwrap()
}

#[tokio::test]
async fn settings_are_listed_with_their_source_and_changed_by_version() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let (_, bo) = bench.user("bo", &[Role::Ops]).await;
        let listed = bench.read(&bo, Call::get(SETTINGS)).await;
        let window = found(&listed, "step_up_window");
        assert_eq!((&window["value"], &window["version"]), (&json!("10m"), &json!(0)));
        assert_eq!(window["source"], json!({ "kind": "default" }));
        assert_eq!(window["variable"], "RGW_SETTING_STEP_UP_WINDOW");
        let change = json!({ "key": "step_up_window", "value": "20m" });
        bench.refused(&bo, put(SETTINGS, "\"0\"", change.clone()), ProblemKind::Refused).await;

        let reply = bench.ask(&ann, put(SETTINGS, "\"0\"", change.clone())).await.unwrap();
        let etag = header(&reply, "etag").unwrap().to_owned();
        let set: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(etag, format!("\"{}\"", set["version"]));
        assert_eq!(set["source"]["by"], "ann@example.com");
        bench.refused(&ann, put(SETTINGS, "\"0\"", change), ProblemKind::Stale).await;

        let wrong = |body: Value| put(SETTINGS, "*", body);
        let bad = ProblemKind::BadParameter;
        bench.refused(&ann, wrong(json!({ "key": "step_up_window", "value": "1s" })), bad).await;
        bench.refused(&ann, wrong(json!({ "key": "rate_limits", "value": true })), bad).await;
        bench.refused(&ann, wrong(json!({ "key": "rate_limits", "value": "on", "app": "web" })), bad).await;
        let unknown = wrong(json!({ "key": "debug", "value": "on" }));
        bench.refused(&ann, unknown, ProblemKind::NotFound).await;
        let without = Call::new(Method::PUT, SETTINGS).json(json!({ "key": "rate_limits", "value": "on" }));
        bench.refused(&ann, without, ProblemKind::PreconditionRequired).await;

        let reset = || Call::new(Method::DELETE, "/api/v1/settings/step_up_window").with("if-match", &etag);
        let back = bench.read(&ann, reset()).await;
        assert_eq!((&back["value"], &back["version"]), (&json!("10m"), &json!(0)));
        bench.refused(&ann, reset(), ProblemKind::Stale).await;
    }
}

#[tokio::test]
async fn an_apps_setting_is_its_own_until_null() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let (_, viewer) = bench.user("vi", &[Role::Viewer]).await;
        let key = "external_builds";
        let set = bench.read(&ann, put(OF_WEB, "\"0\"", json!({ "key": key, "value": "on" }))).await;
        assert_eq!((&set["own"], &set["value"]), (&json!(true), &json!("true")));
        assert_eq!(set["variable"], "RGW_APP_WEB_SETTING_EXTERNAL_BUILDS");
        let listed = bench.read(&viewer, Call::get(OF_WEB)).await;
        assert_eq!(found(&listed, key)["version"], set["version"]);
        let missing = put(OF_WEB, "*", json!({ "key": "mfa_step_up", "value": "off" }));
        bench.refused(&ann, missing, ProblemKind::BadParameter).await;
        let etag = format!("\"{}\"", set["version"]);
        let back = bench.read(&ann, put(OF_WEB, &etag, json!({ "key": key, "value": null }))).await;
        assert_eq!((&back["own"], &back["value"]), (&json!(false), &json!("false")));
    }
}
