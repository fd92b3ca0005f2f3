//! E7: what others wrote into names, devices, groups and the log stays text.

use gateway_types::Resource;

use super::bench::Bench;
use crate::sample::HOSTILE;

fn is_harmless(body: &str, target: &str) {
    for bad in ["<script>alert", "<img src=x", "\u{202e}", "\u{1b}"] {
        assert!(!body.contains(bad), "{target} shows {bad:?}");
    }
}

#[tokio::test]
async fn what_others_wrote_stays_text() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin,auditor").await;
    let mallory = bench.person("m\"><script>alert(1)</script>@example.com", HOSTILE, "viewer").await;
    bench.sample.person_with(&mallory.email, "viewer", HOSTILE).await;
    let (index, request) = bench
        .logged(&admin, |event| {
            event.resource = Resource::app(HOSTILE);
            event.reason = Some(HOSTILE.to_owned());
            event.route = Some(HOSTILE.to_owned());
            event.parameters.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
            event.before = Some(serde_json::json!({ HOSTILE: HOSTILE }));
            event.after = Some(serde_json::json!(HOSTILE));
            event.actor.name = HOSTILE.to_owned();
        })
        .await;
    let person = format!("/app/users/{}", mallory.id);
    let query = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>();
    for target in [
        "/app/users".to_owned(),
        format!("/app/users?q={query}"),
        person.clone(),
        format!("{person}/sessions"),
        format!("/app/roles?q={query}&class={query}&role={query}"),
        format!("/app/groups?q={query}"),
        format!("/app/groups?group={query}"),
        format!("/app/tokens?all=true&q={query}&owner={query}"),
        format!("/app/settings?q={query}"),
        format!("/app/settings?app={query}"),
        format!("/app/approvals?app={query}&state={query}&cursor={query}"),
        "/app/audit".to_owned(),
        format!("/app/audit?actor={query}&action={query}&app={query}&from={query}&to={query}&q={query}"),
        format!("/app/audit/{index}"),
        format!("/app/why/{request}"),
    ] {
        let page = bench.get(&admin, &target).await;
        is_harmless(&page.body, &target);
    }
    let forms: [(&str, &[(&str, &str)]); 4] = [
        ("/app/users", &[("email", HOSTILE), ("name", HOSTILE), ("role", HOSTILE)]),
        ("/app/tokens", &[("name", HOSTILE), ("grants", HOSTILE), ("for", HOSTILE), ("role", "viewer")]),
        ("/app/settings", &[("key", "step_up_window"), ("version", "0"), ("value", HOSTILE)]),
        (&person, &[("version", "1"), ("name", "<script>alert(1)</script>\u{202e}"), ("role", "viewer")]),
    ];
    for (target, form) in forms {
        let page = bench.post(&admin, target, form).await;
        assert_eq!(page.status, 400, "{target}: {}", page.body);
        is_harmless(&page.body, target);
    }
}
