//! The trust zone's page: without a zone too it shows what is seen past the gateway.

use gateway_app::vantage;
use gateway_types::wire::vantage::{Found, Sighting, VantageReport};

use super::bench::Bench;

#[tokio::test]
async fn vantage_points_are_shown_with_what_answers() {
    let bench = Bench::new().await;
    let ops = bench.signed_in("ops@example.com", "ops").await;
    let page = bench.get(&ops, "/app/zone").await.body;
    assert!(page.contains("There is no zone.") && page.contains("Nobody looks."), "{page}");
    let sighting = |target: &str, found| Sighting {
        target: target.to_owned(),
        meaning: "<b>it answers</b>".to_owned(),
        found,
    };
    let sightings =
        vec![sighting("wiki at 10.0.0.9:6754", Found::Open), sighting("10.0.0.5:22", Found::Unclear)];
    vantage::take_own(&bench.sample.app, &VantageReport { every_seconds: 300, sightings }).await.unwrap();
    let page = bench.get(&ops, "/app/zone").await.body;
    assert!(page.contains("wiki at 10.0.0.9:6754") && page.contains("not looked at: 10.0.0.5:22"), "{page}");
    assert!(!page.contains("<b>it answers"), "other people's text is escaped");
}
