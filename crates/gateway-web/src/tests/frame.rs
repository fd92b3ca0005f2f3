//! Templates, files, navigation, banners.

use crate::sample::{Sample, location, text};

/// E6: nothing inline, nothing from elsewhere, and nobody switches escaping off.
#[test]
fn templates_have_nothing_inline() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let name = path.display();
        for forbidden in
            ["|safe", "| safe", "style=", "<style", "javascript:", "http://", "https://", "src=\"//"]
        {
            assert!(!source.contains(forbidden), "{name} has {forbidden}");
        }
        for tag in super::all_tags(&source) {
            let script = tag.starts_with("script");
            // Each is the address of a file of the program's own.
            let own =
                ["src=\"{{ frame.script }}\"", "src=\"{{ frame.factor_script }}\"", "src=\"{{ script }}\""];
            assert!(!script || own.iter().any(|own| tag.contains(own)), "{name}: <{tag}>");
            let handler = super::attributes(tag).into_iter().find(|name| name.starts_with("on"));
            assert_eq!(handler, None, "{name}: <{tag}>");
        }
        for form in source.split("<form").skip(1) {
            let (head, body) = form.split_once('>').unwrap();
            let body = body.split("</form>").next().unwrap();
            let carries = body.contains("parts::csrf(frame.csrf)") || body.contains("name=\"_csrf\"");
            // No session is there yet: what its address says is a secret of the one browser that began.
            let carries = carries || path.ends_with("sign_in_factor.html");
            // Nobody is signed in, and what is sent is the secret of the link itself.
            let carries = carries || path.ends_with("shared_open.html");
            assert!(!head.contains("method=\"post\"") || carries, "{name}: <form{head}>");
        }
        seen += 1;
    }
    assert!(seen > 10);
}

#[tokio::test]
async fn files_are_kept_by_their_content() {
    let sample = Sample::new().await;
    let nobody = Sample::nobody();
    let page = sample.web.problem_page(
        &gateway_app::control::PageAsked {
            at_service: false,
            method: http::Method::POST,
            target: "/app".to_owned(),
            form: Vec::new(),
            caller: None,
            csrf: None,
        },
        &crate::pages::no_such_page(),
        sample.request("GET", "/", &nobody, &[]).request_id,
    );
    let html = text(&page);
    let href = html.split("stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let cache = |reply: &gateway_app::control::OwnReply| reply.headers[0].1.to_str().unwrap().to_owned();
    let style = sample.ask(sample.request("GET", &href, &nobody, &[])).await;
    assert_eq!((style.status, style.content_type), (200, "text/css; charset=utf-8"));
    assert_eq!(cache(&style), "public, max-age=31536000, immutable");
    let old = sample.ask(sample.request("GET", "/app/static/style.css?v=old", &nobody, &[])).await;
    assert_eq!((old.status, cache(&old).as_str()), (200, "no-cache"));
    let none = sample.ask(sample.request("GET", "/app/static/none.css", &nobody, &[])).await;
    assert_eq!(none.status, 404);
    assert!(!text(&style).contains("@import") && !text(&style).contains("url("));
}

#[tokio::test]
async fn the_root_leads_to_the_pages() {
    let sample = Sample::new().await;
    let reply = sample.ask(sample.request("GET", "/", &Sample::nobody(), &[])).await;
    assert_eq!((reply.status, location(&reply)), (303, "/app"));
}

#[tokio::test]
async fn links_follow_verdicts() {
    let sample = Sample::new().await;
    let admin = sample.person("admin@example.com", "admin").await;
    let viewer = sample.person("viewer@example.com", "viewer").await;
    let page = sample.get(&admin, "/app").await;
    assert!(page.contains("href=\"/app\" aria-current=\"page\""), "{page}");
    for href in ["/app/users", "/app/settings", "/app/tokens", "/app/audit"] {
        assert!(page.contains(&format!("<li><a href=\"{href}")), "{href} for an admin: {page}");
    }
    let page = sample.get(&viewer, "/app").await;
    for href in ["/app/users", "/app/settings"] {
        assert!(!page.contains(&format!("<li><a href=\"{href}\"")), "{href} for a viewer: {page}");
    }
    assert!(page.contains("<li><a href=\"/app/account\""));
}

#[tokio::test]
async fn every_page_of_a_gateway_without_factors_says_so() {
    let without = Sample::new().await;
    without.switch_factors_off().await;
    let with = Sample::new().await;
    for target in ["/app", "/app/connect", "/app/account", "/app/account/sessions", "/app/account/factors"] {
        let caller = without.person("admin@example.com", "admin").await;
        let page = without.get(&caller, target).await;
        assert!(page.contains("Second factors are switched off."), "{target}: {page}");
        assert!(!page.contains("name=\"_code\""), "{target} asks for a code");
        let caller = with.person("admin@example.com", "admin").await;
        assert!(!with.get(&caller, target).await.contains("Second factors are switched off."));
    }
}

#[tokio::test]
async fn a_page_says_what_was_done_but_nothing_of_a_strangers() {
    let sample = Sample::new().await;
    let caller = sample.person("ops@example.com", "ops").await;
    let page = sample.get(&caller, "/app/account/sessions?done=others-revoked").await;
    assert!(page.contains("All your other sessions are ended."));
    let page = sample.get(&caller, "/app/account/sessions?done=You+won").await;
    assert!(!page.contains("You won") && !page.contains("role=\"status\""));
}

#[tokio::test]
async fn home_says_who_one_is_and_what_to_do_next() {
    let sample = Sample::new().await;
    let caller = sample.person("viewer@example.com", "viewer").await;
    let page = sample.get(&caller, "/app").await;
    assert!(page.contains("viewer@example.com") && page.contains("production"));
    assert!(page.contains("You have no second factor yet."));
    assert!(page.contains("rack-gateway login https://gateway.example.com"));
    assert!(page.contains("Yes: </span>See apps, processes and logs"), "{page}");
    assert!(page.contains("No: </span>Run commands in processes"), "{page}");
    sample.enrolled(&caller).await;
    let page = sample.get(&caller, "/app").await;
    assert!(!page.contains("You have no second factor yet.") && page.contains("one second factor"));
    assert!(page.contains("You have no backup codes left."));
}

#[tokio::test]
async fn connecting_is_copied_not_typed() {
    let sample = Sample::new().await;
    let caller = sample.person("deployer@example.com", "deployer").await;
    let page = sample.get(&caller, "/app/connect").await;
    for command in [
        "rack-gateway login https://gateway.example.com",
        "rack-gateway convox apps",
        "export RACK_URL=https://convox:TOKEN@gateway.example.com/api/v1/rack-proxy",
        "https://convox:TOKEN.totp.123456@gateway.example.com/api/v1/rack-proxy",
    ] {
        assert!(page.contains(command), "{command}: {page}");
    }
    assert!(page.contains("Make one"));
}
