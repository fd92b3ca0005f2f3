//! Elevations, grants of roles, policies and the access review.

use super::bench::Bench;
use crate::sample::{HOSTILE, Sample};

#[tokio::test]
async fn a_role_is_asked_for_approved_and_ended() {
    let bench = Bench::new().await;
    let viewer = bench.signed_in("vi@example.com", "viewer").await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let page = bench.get(&viewer, "/app/elevations").await;
    assert!(page.body.contains("Ask for a role") && page.body.contains("At most 4h"), "{}", page.body);
    let form = [("role", "ops"), ("app", "web"), ("for", "13h"), ("reason", "a <b>fix</b>")];
    let again = bench.post(&viewer, "/app/elevations", &form).await;
    assert_eq!(again.status, 400);
    assert!(again.body.contains("at most 4h") && again.body.contains("value=\"13h\""), "{}", again.body);
    let form = [("role", "ops"), ("app", "web"), ("for", "1h"), ("reason", "a <b>fix</b>")];
    let done = bench.post(&viewer, "/app/elevations", &form).await;
    assert_eq!(done.location(), "/app/elevations?done=elevation-asked", "{}", done.body);
    let own = bench.get(&viewer, "/app/elevations").await.body;
    assert!(own.contains("waits for approval") && !own.contains("/approve"), "{own}");
    let all = bench.get(&admin, "/app/elevations?all=true").await.body;
    assert!(all.contains("vi@example.com") && all.contains("a &#60;b&#62;fix"), "{all}");
    let action = all.split("action=\"").find(|part| part.contains("/approve\"")).unwrap();
    let approve = action.split('"').next().unwrap().to_owned();
    assert_eq!(bench.post(&viewer, &approve, &[]).await.status, 403, "nobody their own");
    let done = bench.post(&admin, &approve, &[]).await;
    assert_eq!(done.location(), "/app/elevations?all=true&done=elevation-approved", "{}", done.body);
    assert!(bench.get(&viewer, "/app/elevations").await.body.contains("approved by root@example.com"));
    let end = approve.replace("/approve", "/end");
    assert_eq!(bench.post(&viewer, &end, &[]).await.location(), "/app/elevations?done=elevation-ended");
    assert_eq!(bench.post(&viewer, &end, &[]).await.status, 409);
}

#[tokio::test]
async fn a_role_is_granted_reviewed_and_taken_back() {
    let bench = Bench::new().await;
    let viewer = bench.signed_in("vi@example.com", "viewer").await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    assert_eq!(bench.post(&viewer, "/app/grants", &[]).await.status, 403);
    let oneself = [("person", "root@example.com"), ("granted", "ops"), ("app", "web")];
    assert!(bench.post(&admin, "/app/grants", &oneself).await.body.contains("yourself"));
    let form = [("person", "vi@example.com"), ("granted", "ops"), ("app", "web")];
    let done = bench.post(&admin, "/app/grants", &form).await;
    assert_eq!(done.location(), "/app/grants?done=grant-made", "{}", done.body);
    let group = [("group", "devs"), ("granted", "release-manager")];
    assert_eq!(bench.post(&admin, "/app/grants", &group).await.status, 303);
    let page = bench.get(&admin, "/app/grants").await.body;
    assert!(page.contains("vi@example.com") && page.contains("group devs"), "{page}");
    let review = bench.get(&admin, "/app/access").await.body;
    assert!(review.contains("granted ops") && review.contains("convox:service:restart"), "{review}");
    let action = page.split("action=\"").find(|part| part.contains("/remove\"")).unwrap();
    let remove = action.split('"').next().unwrap().to_owned();
    assert_eq!(bench.post(&admin, &remove, &[]).await.location(), "/app/grants?done=grant-removed");
}

#[tokio::test]
async fn policies_are_planned_written_and_removed() {
    let bench = Bench::new().await;
    let ops = bench.signed_in("bo@example.com", "ops").await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let text =
        "@id(\"no-restarts\")\r\nforbid (principal, action == Action::\"convox:service:restart\", resource);";
    let bad = [("id", "weekend"), ("version", "0"), ("text", "\n permit (principle, action, resource);")];
    let told = bench.post(&admin, "/app/policies", &bad).await;
    assert_eq!(told.status, 400);
    assert!(told.body.contains("Line 2") && told.body.contains("principle"), "{}", told.body);
    let form = [("id", "weekend"), ("version", "0"), ("text", text)];
    let plan = bench.post(&ops, "/app/policies", &form).await;
    assert_eq!(plan.status, 200, "{}", plan.body);
    assert!(plan.body.contains("What this change would do") && plan.body.contains("convox:service:restart"));
    assert!(!plan.body.contains("action=\"/app/policies/weekend\""), "ops may look, not change");
    let plan = bench.post(&admin, "/app/policies", &form).await;
    assert!(plan.body.contains("action=\"/app/policies/weekend\""), "{}", plan.body);
    let write = [("version", "0"), ("text", text)];
    let done = bench.post(&admin, "/app/policies/weekend", &write).await;
    assert_eq!(done.location(), "/app/policies?done=policy-written", "{}", done.body);
    assert_eq!(bench.post(&admin, "/app/policies/weekend", &write).await.status, 412, "stale");
    let page = bench.get(&admin, "/app/policies?edit=weekend").await;
    assert!(page.body.contains("Change weekend") && page.body.contains("no-restarts"), "{}", page.body);
    let version = page.hidden("version");
    let trap = [("version", version.as_str()), ("text", "@id(\"x\") forbid (principal, action, resource);")];
    let told = bench.post(&admin, "/app/policies/weekend", &trap).await;
    assert!(told.status == 400 && told.body.contains("undo"), "{}", told.body);
    let removed = bench.post(&admin, "/app/policies/weekend/remove", &[("version", version.as_str())]).await;
    assert_eq!(removed.location(), "/app/policies?done=policy-removed", "{}", removed.body);
    let observed = bench.get(&ops, "/app/policies/observed").await.body;
    assert!(observed.contains("None would have been refused"), "{observed}");
}

#[tokio::test]
async fn who_can_names_everybody_and_says_when() {
    let sample = Sample::new().await;
    let ops = sample.person("ops@example.com", "ops").await;
    sample.person("deployer@example.com", "deployer").await;
    let viewer = sample.person("viewer@example.com", "viewer").await;
    let page = sample.get(&ops, "/app/who-can").await;
    assert!(page.contains("convox:release:promote") && !page.contains("in all."), "{page}");
    let page = sample.get(&ops, "/app/who-can?action=convox:release:promote&app=web").await;
    assert!(page.contains("Promote a release in web") && page.contains("with a second factor"), "{page}");
    assert!(page.contains("deployer@example.com") && !page.contains("viewer@example.com"), "{page}");
    let page = sample.get(&ops, "/app/who-can?action=convox:app:list").await;
    assert!(page.contains("viewer@example.com") && page.contains("at once"), "{page}");
    let page = sample.get(&ops, "/app/who-can?action=promote").await;
    assert!(page.contains("did you mean"), "{page}");
    let hostile: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    sample.get(&ops, &format!("/app/who-can?action={hostile}&app={hostile}")).await;
    // It is not in the navigation of those who may not ask.
    assert!(!sample.get(&viewer, "/app").await.contains("/app/who-can"));
}
