//! Settings.

use super::bench::Bench;

#[tokio::test]
async fn a_setting_is_changed_and_reset() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let page = bench.get(&admin, "/app/settings?q=step_up_window").await;
    assert!(
        page.body.contains("<strong>10m</strong>") && page.body.contains("<dd>default</dd>"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("rate_limits"), "the search narrows");
    let version = page.hidden("version");
    let form = [("key", "step_up_window"), ("version", version.as_str()), ("value", "30m")];
    let done = bench.post(&admin, "/app/settings", &form).await;
    assert_eq!(done.location(), "/app/settings?done=setting-changed", "{}", done.body);
    assert_eq!(bench.post(&admin, "/app/settings", &form).await.status, 412, "stale");
    let page = bench.get(&admin, "/app/settings?q=step_up_window").await;
    assert!(page.body.contains("<strong>30m</strong>") && page.body.contains("set here by root@example.com"));
    let version = page.hidden("version");
    let reset = "/app/settings/step_up_window/reset";
    let done = bench.post(&admin, reset, &[("version", version.as_str())]).await;
    assert_eq!(done.location(), "/app/settings?done=setting-reset");
    assert_eq!(bench.post(&admin, reset, &[("version", "0")]).await.status, 409, "there is nothing to reset");
}

#[tokio::test]
async fn what_is_no_value_stands_at_its_field() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let form = [("key", "step_up_window"), ("version", "0"), ("value", "99h")];
    let page = bench.post(&admin, "/app/settings", &form).await;
    assert_eq!(page.status, 400);
    assert!(page.body.contains("id=\"step_up_window-value-fault\"") && page.body.contains("value=\"99h\""));
    assert!(page.body.contains("<details class=\"more\" open>"));
}

#[tokio::test]
async fn an_app_has_its_own_value() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let elsewhere = [("key", "destructive_actions"), ("app", "web"), ("version", "0"), ("value", "true")];
    let refused = bench.post(&admin, "/app/settings", &elsewhere).await;
    assert_eq!(refused.status, 400, "what is decided about is what the path names");
    let form = [("key", "destructive_actions"), ("version", "0"), ("value", "true")];
    let done = bench.post(&admin, "/app/apps/web/settings", &form).await;
    assert_eq!(done.location(), "/app/settings?app=web&done=setting-changed");
    let page = bench.get(&admin, "/app/settings?app=web&q=destructive").await.body;
    assert!(
        page.contains("For the app web")
            && page.contains("<strong>on</strong>")
            && page.contains("<strong>off</strong>")
    );
    assert!(
        bench.get(&admin, "/app/settings").await.body.contains("<a href=\"/app/settings?app=web\">web</a>")
    );
    let other = bench.get(&admin, "/app/settings?app=api&q=destructive").await.body;
    assert!(other.contains("the app has none of its own") && !other.contains("<strong>on</strong>"));
    let slip = bench.get(&admin, "/app/settings?app=No%20App").await.body;
    assert!(slip.contains("id=\"settings-app-fault\""));
}

#[tokio::test]
async fn who_may_not_change_settings_is_told_why() {
    let bench = Bench::new().await;
    let ops = bench.signed_in("ops@example.com", "ops").await;
    let page = bench.get(&ops, "/app/settings").await.body;
    assert!(
        !page.contains("action=\"/app/settings\" method=\"post\"")
            && !page.contains("method=\"post\" action=\"/app")
    );
    assert!(page.contains("aria-disabled=\"true\"") && page.contains("This needs the role admin."));
}
