//! The audit log and the story of a request.

use gateway_audit::{End, Phase, VerdictRecord};
use gateway_types::{ActionName, Decision, Facts, Layer, RemedyKind, Resource};
use serde_json::json;

use super::bench::Bench;
use crate::sample::text;

#[tokio::test]
async fn the_log_is_filtered_and_paged_by_the_address() {
    let bench = Bench::new().await;
    let auditor = bench.signed_in("auditor@example.com", "auditor").await;
    let other = bench.signed_in("dev@example.com", "deployer").await;
    for _ in 0..60 {
        bench.logged(&other, |event| event.resource = Resource::app("web")).await;
    }
    bench.logged(&auditor, |event| event.resource = Resource::app("api")).await;
    let first = bench.get(&auditor, "/app/audit?app=web").await.body;
    assert_eq!(first.matches("<td data-label=\"When\">").count(), 50);
    let next = first
        .split("href=\"")
        .find(|href| {
            href.starts_with("/app/audit?app=web&#38;cursor=")
                || href.starts_with("/app/audit?app=web&amp;cursor=")
        })
        .unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    assert_eq!(bench.get(&auditor, &next).await.body.matches("<td data-label=\"When\">").count(), 10);
    let one = bench.get(&auditor, "/app/audit?actor=auditor@example.com&app=api").await.body;
    assert_eq!(one.matches("<td data-label=\"When\">").count(), 1);
    assert!(one.contains("rack-gateway audit search --actor auditor@example.com --app api"));
    assert!(bench.get(&auditor, "/app/audit?app=none").await.body.contains("No event matches."));
    let wrong = bench.get(&auditor, "/app/audit?from=soon").await.body;
    assert!(wrong.contains("is no moment") && wrong.contains("value=\"soon\""));
    assert!(!wrong.contains("<td data-label=\"When\">"), "a filter that cannot be read shows nothing");
}

#[tokio::test]
async fn what_was_pruned_and_a_legal_hold_are_said() {
    let bench = Bench::new().await;
    let auditor = bench.signed_in("auditor@example.com", "auditor").await;
    for _ in 0..3 {
        bench.logged(&auditor, |event| event.resource = Resource::app("web")).await;
    }
    let store = &bench.sample.web.app().store;
    let whole = bench.get(&auditor, "/app/audit").await.body;
    assert!(!whole.contains("were pruned") && !whole.contains("Legal hold"));
    while store.audit_tallies().tend().await.unwrap() {}
    assert_eq!(store.audit_retention().prune(2).await.unwrap(), 2);
    store.audit_retention().hold("case 4711", "ann@example.com").await.unwrap();
    let page = bench.get(&auditor, "/app/audit").await.body;
    assert!(page.contains("Entries before #2 were pruned"), "{page}");
    assert!(page.contains("Legal hold: nothing is pruned. case 4711"), "{page}");
    assert!(!page.contains("/app/audit/1\"") && page.contains("/app/audit/2\""), "{page}");
}

#[tokio::test]
async fn a_deploy_is_one_line_and_opens() {
    let bench = Bench::new().await;
    let auditor = bench.signed_in("auditor@example.com", "auditor").await;
    let dev = bench.signed_in("dev@example.com", "deployer").await;
    let step = async |caller, action: &str, id: &str| {
        let set = |event: &mut gateway_audit::Event| {
            (event.resource, event.action) = (Resource::app("web"), ActionName::new(action));
            event.parameters.insert("id".to_owned(), id.to_owned());
            event.end = Some(End::Completed);
        };
        bench.logged(caller, set).await.0
    };
    let first = step(&dev, "convox:build:create", "").await;
    step(&dev, "convox:build:read", "BAAA").await;
    step(&dev, "convox:release:promote", "R<b>A").await;
    step(&auditor, "convox:release:create", "").await;
    let page = bench.get(&auditor, "/app/audit?view=story").await.body;
    assert_eq!(page.matches("<td data-label=\"When\">").count(), 2, "{page}");
    assert!(page.contains("build BAAA, release R&#60;b&#62;A") && page.contains("promoted"));
    assert!(page.contains(&format!("href=\"/app/audit/stories/{first}\"")));
    let of_dev = bench.get(&auditor, "/app/audit?view=story&actor=dev@example.com&app=web").await.body;
    assert_eq!(of_dev.matches("<td data-label=\"When\">").count(), 1);
    assert!(of_dev.contains("rack-gateway audit story --actor dev@example.com --app web"));
    let one = bench.get(&auditor, &format!("/app/audit/stories/{first}")).await.body;
    assert_eq!(one.matches("<td data-label=\"When\">").count(), 3);
    assert!(one.contains("convox:release:promote"));
    let mine = bench.get(&dev, "/app/audit?view=story&mine=true").await.body;
    assert_eq!(mine.matches("<td data-label=\"When\">").count(), 1);
    assert_eq!(bench.get(&dev, &format!("/app/audit/stories/{first}?mine=true")).await.status, 200);
    assert_eq!(bench.get(&dev, &format!("/app/audit/stories/{first}")).await.status, 403);
    assert_eq!(bench.get(&auditor, "/app/audit/stories/999999").await.status, 404);
    let wrong = bench.get(&auditor, "/app/audit?view=story&from=soon").await.body;
    assert!(wrong.contains("is no moment"));
}

#[tokio::test]
async fn the_log_is_drawn() {
    let bench = Bench::new().await;
    let auditor = bench.signed_in("auditor@example.com", "auditor").await;
    let dev = bench.signed_in("dev@example.com", "deployer").await;
    for app in ["web", "web", "api"] {
        let refused = |event: &mut gateway_audit::Event| {
            (event.resource, event.layer) = (Resource::app(app), Some(Layer::Authorization));
        };
        bench.logged(&dev, refused).await;
    }
    assert!(bench.get(&auditor, "/app/audit/charts").await.body.contains("Nothing was decided."));
    bench.count().await;
    let page = bench.get(&auditor, "/app/audit/charts").await.body;
    assert!(page.contains("0 allowed, 3 refused.") && page.contains("class=\"refused\""), "{page}");
    assert!(!page.contains("style="), "nothing that the content security policy forbids");
    let of_app = bench.get(&auditor, "/app/audit/charts?app=web").await.body;
    assert!(of_app.contains("0 allowed, 2 refused.") && of_app.contains("App web in numbers"));
    let of_dev = bench.get(&auditor, "/app/audit/charts?actor=dev@example.com").await.body;
    assert!(of_dev.contains("0 allowed, 3 refused."));
    assert!(bench.get(&auditor, "/app/audit/charts?from=soon").await.body.contains("is no moment"));
    assert_eq!(bench.get(&dev, "/app/audit/charts").await.status, 403);
    assert!(!bench.get(&dev, "/app/audit?mine=true").await.body.contains("/app/audit/charts"));
    assert!(bench.get(&auditor, "/app/audit?app=web").await.body.contains("/app/audit/charts?app=web"));
}

#[tokio::test]
async fn a_search_is_kept_and_opened_again() {
    let bench = Bench::new().await;
    let auditor = bench.signed_in("auditor@example.com", "auditor").await;
    let dev = bench.signed_in("dev@example.com", "deployer").await;
    let form = [
        ("name", "No <b>"),
        ("app", "web"),
        ("verdict", "refused"),
        ("from", "2026-11-22"),
        ("shared", "true"),
    ];
    let kept = bench.post(&auditor, "/app/audit/searches", &form).await;
    assert_eq!(kept.status, 303, "{}", kept.body);
    let page = bench.get(&auditor, "/app/audit").await.body;
    assert!(page.contains("No &#60;b&#62;"), "{page}");
    let href = "/app/audit?app=web&#38;verdict=refused&#38;from=2026-11-22T00%3A00%3A00.000000Z";
    assert!(page.contains(href) || page.contains(&href.replace("&#38;", "&amp;")), "{page}");
    let of_dev = bench.get(&dev, "/app/audit?mine=true").await.body;
    assert!(of_dev.contains("No &#60;b&#62;") && of_dev.contains("auditor@example.com"));
    assert!(!of_dev.contains("/remove"), "it is another person's");
    let id = page.split("/app/audit/searches/").nth(2).or_else(|| page.split("/app/audit/searches/").nth(1));
    let id = id.unwrap().split('/').next().unwrap().to_owned();
    let target = format!("/app/audit/searches/{id}/remove");
    assert_eq!(bench.post(&auditor, &target, &[]).await.status, 303);
    assert!(!bench.get(&auditor, "/app/audit").await.body.contains("No &#60;b&#62;"));
}

#[tokio::test]
async fn people_who_are_no_auditors_see_their_own() {
    let bench = Bench::new().await;
    let dev = bench.signed_in("dev@example.com", "deployer").await;
    let other = bench.signed_in("other@example.com", "deployer").await;
    let (own, _) = bench.logged(&dev, |event| event.resource = Resource::app("mine-alone")).await;
    bench.logged(&other, |event| event.resource = Resource::app("of-others")).await;
    assert_eq!(bench.get(&dev, "/app/audit").await.status, 403);
    let page = bench.get(&dev, "/app/audit?mine=true").await.body;
    assert!(page.contains("mine-alone") && !page.contains("of-others"), "{page}");
    assert!(page.contains("You see your own events.") && !page.contains(&format!("/app/audit/{own}\"")));
    let tricked = bench.get(&dev, "/app/audit?mine=true&actor=other@example.com").await.body;
    assert!(!tricked.contains("of-others"));
    assert_eq!(bench.get(&dev, &format!("/app/audit/{own}")).await.status, 403);
    let auditor = bench.signed_in("auditor@example.com", "auditor").await;
    let own = bench.get(&auditor, "/app/audit?mine=true").await.body;
    assert!(!own.contains("of-others") && own.contains("Everybody's events"));
}

#[tokio::test]
async fn an_event_says_everything() {
    let bench = Bench::new().await;
    let auditor = bench.signed_in("auditor@example.com", "auditor").await;
    let (index, request) = bench
        .logged(&auditor, |event| {
            event.before = Some(json!({"roles": "viewer", "name": "Anna"}));
            event.after = Some(json!({"roles": "admin", "name": "Anna"}));
            event.parameters.insert("email".to_owned(), "anna@example.com".to_owned());
            event.layer = Some(Layer::Mfa);
            event.verdict = Some(VerdictRecord {
                decision: Decision::Refuse,
                facts: Facts { mfa_enrolled: true, ..Facts::default() },
                observed: Vec::new(),
                policy_version: "0123456789abcdef".to_owned(),
                remedies: vec![RemedyKind::StepUpBound],
                rules: vec!["step-up-bound".to_owned(), "gone-since".to_owned()],
            });
        })
        .await;
    let page = bench.get(&auditor, &format!("/app/audit/{index}")).await.body;
    for text in [
        "<del><span class=\"unseen\">was </span>viewer</del>",
        "<ins><span class=\"unseen\">is </span>admin</ins>",
        "anna@example.com",
        "step-up-bound",
        "gone-since",
        "a second factor confirmed for this very action",
        "the person has a second factor",
        "Confirm with a second factor for this very action.",
        "the set in force now is another one",
        "Leaf hash",
        &format!("/app/why/{request}"),
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("<code>name</code>"), "what did not change is no difference");
    assert_eq!(bench.get(&auditor, "/app/audit/999999").await.status, 404);
    assert_eq!(bench.get(&auditor, "/app/audit/x").await.status, 404);
}

#[tokio::test]
async fn the_story_of_a_refusal() {
    let bench = Bench::new().await;
    let dev = bench.signed_in("dev@example.com", "deployer").await;
    let other = bench.signed_in("other@example.com", "deployer").await;
    let (_, request) = bench
        .logged(&dev, |event| {
            event.phase = Phase::Single;
            event.layer = Some(Layer::Authorization);
            event.end = Some(End::Refused);
            event.status = Some(403);
            event.reason = Some("This needs the role admin.".to_owned());
        })
        .await;
    let page = bench.get(&dev, &format!("/app/why/{request}")).await.body;
    assert!(
        page.contains("Why it was refused")
            && page.contains("The authorization layer refused it with status 403.")
    );
    assert!(page.contains("This needs the role admin.") && page.contains("stopped here"));
    assert!(page.contains(&format!("rack-gateway why {request}")));
    assert_eq!(bench.get(&other, &format!("/app/why/{request}")).await.status, 404, "somebody else's");
    assert_eq!(bench.get(&dev, "/app/why/no-id").await.status, 404);
}

/// What the script of a page asks for. That there is no proof is an answer: an error says nothing of the log.
#[tokio::test]
async fn the_log_answers_the_script_that_holds_it() {
    let bench = Bench::new().await;
    let viewer = bench.signed_in("viewer@example.com", "viewer").await;
    for _ in 0..3 {
        bench.logged(&viewer, |event| event.resource = Resource::app("web")).await;
    }
    let ask = async |target: &str| {
        let reply = bench.sample.ask(bench.sample.request("GET", target, &viewer, &[])).await;
        (reply.status, text(&reply))
    };
    let note = ask("/app/log/checkpoint").await.1;
    assert!(note.starts_with("rack-gateway/") && note.contains("\n\n\u{2014} rack-gateway/"), "{note}");
    let json =
        async |target: &str| -> serde_json::Value { serde_json::from_str(&ask(target).await.1).unwrap() };
    assert_eq!(json("/app/log/keys").await["keys"].as_array().unwrap().len(), 1);
    let proof = json("/app/log/proof/consistency?old=1&size=3").await;
    assert!(proof["size"] == 3 && !proof["path"].as_array().unwrap().is_empty(), "{proof}");
    for none in ["old=1&size=99999", "old=99999&size=99999", "old=3&size=2"] {
        let answer = json(&format!("/app/log/proof/consistency?{none}")).await;
        assert!(answer["path"].is_null() && answer["have"].is_u64(), "{none}: {answer}");
    }
    for (wrong, status) in [
        ("consistency", 400),
        ("consistency?old=x&size=3", 400),
        ("consistency?old=-1&size=3", 400),
        ("inclusion", 404),
    ] {
        let (answered, said) = ask(&format!("/app/log/proof/{wrong}")).await;
        assert_eq!(answered, status, "{wrong}: {said}");
    }
}
