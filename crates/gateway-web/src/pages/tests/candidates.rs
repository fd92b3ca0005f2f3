//! Candidates of a watched compose file.

use super::bench::Bench;

const LABELS: &str = "services:\n  web:\n    labels:\n      rack-gateway.service: wiki\n      rack-gateway.host: wiki.example.com\n      \
                      rack-gateway.port: 8080\n      rack-gateway.title: <b>Wiki</b>\n";

#[tokio::test]
async fn a_candidate_is_shown_and_approved_as_it_was_shown() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let viewer = bench.signed_in("eve@example.com", "viewer").await;
    let page = bench.get(&admin, "/app/service-candidates").await.body;
    assert!(page.contains("No labels ask for a service."), "{page}");
    bench.sample.write_compose_file(LABELS);
    assert_eq!(bench.get(&viewer, "/app/service-candidates").await.status, 403);
    let shown = bench.get(&admin, "/app/service-candidates").await;
    assert!(shown.body.contains("http://web:8080") && !shown.body.contains("<b>Wiki"), "{}", shown.body);
    let difference = shown.hidden("difference");
    let path = "/app/service-candidates/wiki";
    // The file is another one by now.
    bench.sample.write_compose_file(&LABELS.replace("8080", "9090"));
    let late = bench.post(&admin, path, &[("difference", &difference)]).await;
    assert_eq!(late.status, 412, "{}", late.body);
    let difference = bench.get(&admin, "/app/service-candidates").await.hidden("difference");
    assert_eq!(bench.post(&viewer, path, &[("difference", &difference)]).await.status, 403);
    let done = bench.post(&admin, path, &[("difference", &difference)]).await;
    assert_eq!(done.location(), "/app/service-candidates?done=candidate-approved", "{}", done.body);
    let page = bench.get(&admin, "/app/service-candidates").await.body;
    assert!(page.contains("same") && !page.contains("name=\"difference\""), "{page}");
    assert!(bench.get(&admin, "/app/services/wiki").await.body.contains("web:9090"));
}
