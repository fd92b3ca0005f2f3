use std::time::Duration;

use gateway_store::NewJob;
use gateway_types::{ProblemKind, Role};
use http::Method;
use serde_json::json;

use super::{Bench, Call};

#[tokio::test]
async fn the_queue_is_listed_without_payloads_and_changed() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let (_, ops) = bench.user("ops", &[Role::Ops]).await;
        let jobs = bench.app.store.jobs();
        let id = jobs.enqueue(NewJob::now("mail", "{\"to\":\"secret\"}".to_owned())).await.unwrap().unwrap();
        bench.app.health.rounds.expect("upkeep", Duration::from_secs(60));

        let list = || Call::new(Method::GET, "/api/v1/jobs");
        let listed = bench.read(&ops, list()).await;
        assert_eq!(listed["items"][0]["id"], json!(id.to_string()));
        assert_eq!(
            (&listed["items"][0]["kind"], &listed["items"][0]["state"]),
            (&json!("mail"), &json!("waiting"))
        );
        assert!(!listed.to_string().contains("secret"), "{listed}");
        let upkeep = json!([{ "name": "upkeep", "every_seconds": 60, "done": 0, "running": false }]);
        assert_eq!(listed["periodic"], upkeep);
        let none = bench.read(&ops, Call::new(Method::GET, "/api/v1/jobs?state=dead")).await;
        assert_eq!(none["items"], json!([]));
        let wrong = Call::new(Method::GET, "/api/v1/jobs?state=asleep");
        bench.refused(&ops, wrong, ProblemKind::BadParameter).await;

        let post = |verb: &str| {
            let path = format!("/api/v1/jobs/{id}/{verb}");
            Call::new(Method::POST, Box::leak(path.into_boxed_str()))
        };
        assert_eq!(bench.read(&ann, post("pause")).await["state"], json!("paused"));
        assert_eq!(bench.read(&ann, post("retry")).await["state"], json!("waiting"));
        assert_eq!(bench.read(&ann, post("cancel")).await["state"], json!("cancelled"));
        bench.refused(&ann, post("pause"), ProblemKind::NotPossible).await;
        bench.refused(&ann, post("explode"), ProblemKind::BadParameter).await;
        let nobody = "/api/v1/jobs/0192f0c0-0000-7000-8000-000000000000/retry";
        bench.refused(&ann, Call::new(Method::POST, nobody), ProblemKind::NotFound).await;
    }
}
