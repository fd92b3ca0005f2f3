//! Problem pages.

use gateway_types::{Layer, Problem, ProblemKind, Remedy, RemedyKind};
use http::Method;

use crate::sample::{HOSTILE, Sample, location, text};

#[tokio::test]
async fn every_kind_has_a_page() {
    let sample = Sample::new().await;
    let nobody = Sample::nobody();
    for kind in ProblemKind::ALL {
        let page = sample.get(&nobody, &format!("/problems/{}", kind.name())).await;
        let title = kind.title().replace('\'', "&#39;");
        assert!(page.contains(&title) && page.contains(kind.name()), "{page}");
    }
    let reply = sample.ask(sample.request("GET", "/problems/none", &nobody, &[])).await;
    assert_eq!(reply.status, 404);
}

fn missing_factor(kind: RemedyKind) -> Problem {
    let mut problem = Problem::new(
        ProblemKind::StepUpRequired,
        Layer::Mfa,
        "This needs a second factor confirmed for this very action.",
    );
    problem.rules = vec!["step-up-bound".to_owned()];
    problem.remedies = vec![Remedy::new(kind)];
    problem
}

/// A form that only wants a factor is offered again whole, with a field for the code.
#[tokio::test]
async fn a_missing_factor_is_asked_for_on_the_spot() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "admin").await;
    let form =
        [("name", HOSTILE), ("role", "ops"), ("role", "viewer"), ("_csrf", "of before"), ("_code", "000000")];
    let target = "/app/users/1/remove?a=%22%3E";
    let problem = missing_factor(RemedyKind::StepUpBound);
    let reply = sample.problem(&caller, Method::POST, target, &form, &problem);
    assert_eq!(reply.status, 401);
    let page = text(&reply);
    assert!(page.contains("action=\"/app/users/1/remove?a=%22%3E\""), "{page}");
    assert_eq!(page.matches("name=\"role\"").count(), 2);
    assert!(!page.contains("of before") && !page.contains("000000"));
    assert_eq!(page.matches("name=\"_code\"").count(), 1);
    assert!(page.contains("autocomplete=\"one-time-code\"") && page.contains("inputmode=\"numeric\""));
    // The value comes back as it was, its hidden characters as references.
    assert!(page.contains("&#60;script&#62;") && page.contains("&#8238;&#8203;&#27;[31m"), "{page}");
    assert!(page.contains("a second factor confirmed for this very action"), "the rule in words: {page}");
    assert!(page.contains("4 of 5, second factor"));
    assert!(page.contains("rack-gateway why "));
}

#[tokio::test]
async fn remedies_are_ways_to_go() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "viewer").await;
    let page = |method: Method, kind: RemedyKind| {
        text(&sample.problem(&caller, method, "/app/users", &[], &missing_factor(kind)))
    };
    assert!(page(Method::POST, RemedyKind::Enrol).contains("href=\"/app/account/factors\">Set up"));
    assert!(page(Method::GET, RemedyKind::StepUp).contains("href=\"/step-up/window\""));
    assert!(!page(Method::GET, RemedyKind::StepUp).contains("name=\"_code\""));
    assert!(page(Method::POST, RemedyKind::Role).contains("An admin of this gateway"));
    assert!(page(Method::POST, RemedyKind::Setting).contains("href=\"/app/settings\""));
}

/// A remedy's page is followed within this gateway only, and a form is never sent to another host.
#[tokio::test]
async fn nothing_leads_elsewhere() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "viewer").await;
    let mut problem = missing_factor(RemedyKind::Approval);
    for url in ["https://evil.example/x", "//evil.example/x", "javascript:alert(1)"] {
        problem.remedies[0].url = Some(url.to_owned());
        let page = text(&sample.problem(&caller, Method::POST, "/app/users", &[], &problem));
        assert!(!page.contains("evil.example") && !page.contains("javascript:"), "{page}");
    }
    let problem = missing_factor(RemedyKind::StepUp);
    for target in ["//evil.example/x", "https://evil.example/x"] {
        let page = text(&sample.problem(&caller, Method::POST, target, &[], &problem));
        assert!(!page.contains("evil.example"), "{page}");
    }
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_led_there() {
    let sample = Sample::new().await;
    let nobody = Sample::nobody();
    let problem = Problem::new(ProblemKind::Unauthenticated, Layer::Authentication, "Sign in first.");
    let reply = sample.problem(&nobody, Method::GET, "/app/audit?q=a b&c=%2F", &[], &problem);
    let to = "/auth/login?return_to=%2Fapp%2Faudit%3Fq%3Da+b%26c%3D%252F";
    assert_eq!((reply.status, location(&reply)), (303, to));
    let reply = sample.problem(&nobody, Method::POST, "/app/users", &[("email", "x")], &problem);
    assert_eq!(reply.status, 401);
    let page = text(&reply);
    assert!(page.contains("href=\"/auth/login?return_to=%2Fapp\"") && !page.contains("name=\"email\""));
}

/// E7: the sentence of a problem may hold what somebody sent.
#[tokio::test]
async fn a_problem_tells_text() {
    let sample = Sample::new().await;
    let caller = sample.person("ada@example.com", "viewer").await;
    let mut problem = Problem::new(ProblemKind::BadParameter, Layer::Network, HOSTILE);
    problem.rules = vec![HOSTILE.to_owned()];
    problem.retry_after_seconds = Some(12);
    let reply = sample.problem(&caller, Method::POST, "/app/users", &[], &problem);
    assert_eq!(reply.status, 400);
    let page = text(&reply);
    assert!(page.contains("[U+202E][U+200B]") && page.contains("Wait 12 seconds."), "{page}");
}
