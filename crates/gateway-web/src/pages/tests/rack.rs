//! Pages of what is in the rack: whatever a rack answers, they are pages, and they offer what policy allows.

use gateway_app::control::RackForm;
use gateway_types::Caller;
use serde_json::{Value, json};

use crate::pages::rack::fault_of_form;
use crate::sample::{HOSTILE, Sample, location, text};

/// Each page that shows something, with what a rack may answer, every text of it written by somebody hostile.
fn hostile_replies() -> Vec<(&'static str, Value)> {
    let app = json!({"name": "web", "status": HOSTILE, "release": HOSTILE, "generation": HOSTILE, "router": HOSTILE,
        "locked": true, "parameters": {HOSTILE: HOSTILE}});
    let process = json!({"id": HOSTILE, "app": HOSTILE, "command": HOSTILE, "instance": HOSTILE, "name": HOSTILE,
        "release": HOSTILE, "started": HOSTILE, "status": HOSTILE});
    let release = json!({"id": HOSTILE, "build": HOSTILE, "created": "2026-11-20T10:00:00Z", "description": HOSTILE,
        "env": "A=1", "manifest": HOSTILE});
    let build = json!({"id": HOSTILE, "description": HOSTILE, "release": HOSTILE, "status": HOSTILE,
        "reason": HOSTILE, "started": HOSTILE, "ended": "0001-01-01T00:00:00Z", "manifest": HOSTILE});
    let service = json!({"name": HOSTILE, "count": -1, "cpu": 1, "memory": 1, "min": 1, "max": 3, "domain": HOSTILE,
        "ports": [{"balancer": 443, "container": 3000, "certificate": HOSTILE}]});
    let resource = json!({"name": HOSTILE, "type": HOSTILE, "status": HOSTILE, "url": HOSTILE});
    let system = json!({"name": HOSTILE, "provider": HOSTILE, "region": HOSTILE, "domain": HOSTILE,
        "status": HOSTILE, "version": HOSTILE, "count": 3, "type": HOSTILE, "parameters": {HOSTILE: HOSTILE}});
    let instance = json!({"id": HOSTILE, "status": HOSTILE, "started": HOSTILE, "processes": 3, "cpu": 0.5,
        "cpu-capacity": 1.0, "memory": 0.25, "memory-capacity": 0.0, "public-ip": HOSTILE, "private-ip": HOSTILE});
    let certificate = json!({"id": HOSTILE, "domain": HOSTILE, "expiration": HOSTILE, "status": HOSTILE});
    let registry = json!({"server": HOSTILE, "username": HOSTILE, "password": "rgw-hidden-aaaaaaaaaaaaaaaa"});
    let metric = json!({"name": HOSTILE, "values": [{"time": HOSTILE, "avg": 1.5, "min": -1e308, "max": 1e308, "sum": 3}]});
    vec![
        ("/app/apps/web/metrics?period=60", json!([metric])),
        ("/app/apps/web/services/api/metrics", json!([metric])),
        ("/app/rack/metrics", json!([metric])),
        ("/app/apps", json!([app])),
        ("/app/apps/web", app.clone()),
        ("/app/apps/web/services", json!([service])),
        ("/app/apps/web/processes", json!([process])),
        ("/app/apps/web/processes/web-1", process.clone()),
        ("/app/apps/web/releases", json!([release])),
        ("/app/apps/web/builds", json!([build])),
        ("/app/apps/web/builds/B1", build),
        ("/app/apps/web/resources", json!([resource])),
        ("/app/apps/web/logs", app),
        ("/app/rack", system),
        ("/app/rack/processes", json!([process])),
        ("/app/rack/resources", json!([resource])),
        ("/app/instances", json!([instance])),
        ("/app/certificates", json!([certificate])),
        ("/app/registries", json!([registry])),
    ]
}

async fn shown(sample: &Sample, caller: &Caller, target: &str, reply: &str) -> String {
    let reply = sample.ask(sample.rack_request("GET", target, caller, &[], reply)).await;
    assert_eq!(reply.status, 200, "{target}: {}", text(&reply));
    sample.checked(caller, target, &reply)
}

#[tokio::test]
async fn whatever_a_rack_says_is_text() {
    let sample = Sample::new().await;
    let admin = sample.person("admin@example.com", "admin").await;
    let viewer = sample.person("viewer@example.com", "viewer").await;
    for (target, reply) in hostile_replies() {
        for caller in [&admin, &viewer] {
            shown(&sample, caller, target, &reply.to_string()).await;
        }
        // Racks leave out what is empty, and what they do not know.
        let nothing = if reply.is_array() { "null" } else { "{}" };
        shown(&sample, &admin, target, nothing).await;
        for broken in ["", "ok", "[1]", "\"text\"", "{\"name\": 7, \"id\": 7}"] {
            let reply = sample.ask(sample.rack_request("GET", target, &admin, &[], broken)).await;
            // Of the pages of lines nothing is shown of the reply.
            let is_fine = reply.status == 502 || target.ends_with("/logs");
            assert!(is_fine, "{target} {broken}: {} {}", reply.status, text(&reply));
        }
    }
}

/// What browsers make of `..` in the address of a form would be another form of this gateway's, with its token.
#[tokio::test]
async fn no_name_of_a_racks_leads_elsewhere() {
    let sample = Sample::new().await;
    let admin = sample.person("admin@example.com", "admin").await;
    for name in ["..", "../../account/sessions/revoke-all?x=", "%2e%2e", "a/../../b", "a?b", "a#b", ""] {
        for (target, reply) in hostile_replies() {
            let reply = reply.to_string().replace(&json!(HOSTILE).to_string(), &json!(name).to_string());
            let page = shown(&sample, &admin, target, &reply).await;
            for attribute in ["href=\"", "action=\"", "data-exec=\""] {
                for address in page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                    let path = address.split(['?', '#']).next().unwrap_or_default();
                    let is_plain =
                        path.split('/').skip(1).all(gateway_policy::is_plain_segment) || path == "/";
                    assert!(is_plain || path.is_empty(), "{target} {name}: {address}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_a_person_may_not_do_says_why() {
    let sample = Sample::new().await;
    let admin = sample.person("admin@example.com", "admin").await;
    let viewer = sample.person("viewer@example.com", "viewer").await;
    let apps = json!([{"name": "web"}]).to_string();
    let app = json!({"name": "web", "status": "running"}).to_string();
    let process = json!({"id": "web-1", "status": "running"}).to_string();
    let form = "action=\"/app/apps\" class=\"card\"";
    assert!(shown(&sample, &admin, "/app/apps", &apps).await.contains(form));
    let refused = shown(&sample, &viewer, "/app/apps", &apps).await;
    assert!(!refused.contains(form) && refused.contains("aria-disabled=\"true\""), "{refused}");
    // A viewer sees neither a terminal nor the tabs of pages that are not theirs.
    let own = shown(&sample, &viewer, "/app/apps/web/processes/web-1", &process).await;
    assert!(!own.contains("data-exec") && !own.contains("terminal.js"), "{own}");
    assert!(!own.contains("/app/apps/web/releases\"") && own.contains("/app/apps/web/services\""), "{own}");
    // Deleting is switched off until a setting says otherwise, also for admins.
    let page = shown(&sample, &admin, "/app/apps/web", &app).await;
    assert!(!page.contains("/app/apps/web/delete"), "{page}");
}

#[tokio::test]
async fn listings_are_searched_and_cut() {
    let sample = Sample::new().await;
    let admin = sample.person("admin@example.com", "admin").await;
    let apps: Vec<Value> = (0..250).map(|number| json!({"name": format!("app-{number:03}")})).collect();
    let apps = json!(apps).to_string();
    let first = shown(&sample, &admin, "/app/apps", &apps).await;
    assert!(first.contains("app-000") && first.contains("app-099") && !first.contains("app-100"));
    assert!(
        first.contains("250 in all") && first.contains("/app/apps?page=2") && !first.contains("rel=\"prev\"")
    );
    let last = shown(&sample, &admin, "/app/apps?page=3", &apps).await;
    assert!(last.contains("app-249") && last.contains("/app/apps?page=2") && !last.contains("rel=\"next\""));
    let found = shown(&sample, &admin, "/app/apps?q=APP-24", &apps).await;
    assert!(
        found.contains("10 in all that match") && found.contains("app-249") && !found.contains("app-250")
    );
    for page in ["0", "-1", "x", "18446744073709551615"] {
        shown(&sample, &admin, &format!("/app/apps?page={page}"), &apps).await;
    }
}

#[tokio::test]
async fn a_name_is_typed_before_what_is_hard_to_undo() {
    let form = |page: &str, parameters: &[(&str, &str)], fields: &[(&str, &str)]| {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let (parameters, fields) = (owned(parameters), owned(fields));
        fault_of_form(RackForm { page, parameters: &parameters, fields: &fields }).is_some()
    };
    let delete = "POST /app/apps/{app}/delete";
    let app = [("app", "web")];
    assert!(form(delete, &app, &[]));
    assert!(form(delete, &app, &[("confirm", "other")]));
    assert!(form(delete, &app, &[("confirm", "web"), ("confirm", "web")]));
    assert!(form(delete, &[], &[("confirm", "")]));
    assert!(!form(delete, &app, &[("confirm", " web ")]));
    assert!(!form("POST /app/apps/{app}/cancel", &app, &[]));
    // Every page in the list is one, with that parameter.
    let sample = Sample::new().await;
    for (page, name) in crate::pages::rack::TYPED {
        let known = sample.app.own.rack_pages().any(|(known, _)| **known == **page);
        assert!(known && page.contains(&format!("{{{name}}}")), "{page}");
    }
    // No page does something at the rack and is then not there, and none names a row that there is not.
    let policy = sample.app.policy();
    for (page, route) in sample.app.own.rack_pages() {
        assert!(policy.operations().iter().any(|operation| *operation.route == *route), "{page}: {route}");
        assert_eq!(sample.web.serves(page), !route.starts_with("SOCKET "), "{page}");
    }
    let admin = sample.person("admin@example.com", "admin").await;
    let made = sample.rack_request("POST", "/app/apps", &admin, &[("name", "web")], "{\"name\": \"web\"}");
    let reply = sample.ask(made).await;
    assert_eq!((reply.status, location(&reply)), (303, "/app/apps/web?done=app-created"));
}
