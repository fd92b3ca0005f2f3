use gateway_types::{ProblemKind, Role};
use http::Method;
use serde_json::json;

use super::{Bench, Call};

#[tokio::test]
async fn what_an_agent_reports_is_listed_until_it_is_removed() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let (_, ops) = bench.user("ops", &[Role::Ops]).await;
        let report = |found: &str| {
            let sighting = json!({ "target": "rack:443", "meaning": "the rack", "found": found });
            Call::new(Method::POST, "/api/v1/zone/vantage-points/office")
                .json(json!({ "every_seconds": 60, "sightings": [sighting] }))
        };
        let taken = bench.read(&ops, report("open")).await;
        assert_eq!(taken, json!({ "news": ["rack:443 answers: the rack"] }));
        let listed = bench.read(&ops, Call::get("/api/v1/zone/vantage-points")).await;
        let one = &listed["items"][0];
        assert_eq!(
            (&one["name"], &one["state"], &one["looked"]),
            (&json!("office"), &json!("open"), &json!(1))
        );
        assert_eq!(one["open"][0]["target"], "rack:443");
        bench.refused(&ann, report("closed"), ProblemKind::Refused).await;
        bench.refused(&ops, report("perhaps"), ProblemKind::BadParameter).await;
        let remove = || Call::new(Method::DELETE, "/api/v1/zone/vantage-points/office");
        assert_eq!(bench.ask(&ann, remove()).await.unwrap().status, 204);
        bench.refused(&ann, remove(), ProblemKind::NotFound).await;
    }
}
