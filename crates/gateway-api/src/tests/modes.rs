use gateway_types::{ProblemKind, Role};
use http::Method;
use serde_json::json;

use super::{Bench, Call};

fn post() -> Call<'static> {
    Call::new(Method::POST, "/api/v1/mode")
}

#[tokio::test]
async fn an_admin_makes_all_instances_read_only_and_lets_them_work_again() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let (_, ops) = bench.user("ops", &[Role::Ops]).await;
        let asked = json!({ "mode": "read-only", "reason": "the rack moves" });
        bench.refused(&ops, post().json(asked.clone()), ProblemKind::Refused).await;
        let set = bench.read(&ann, post().json(asked)).await;
        assert_eq!((&set["mode"], &set["set_by"]), (&json!("read-only"), &json!("ann@example.com")));
        assert_eq!(bench.app.health.read_only().unwrap().reason, "the rack moves");
        for bad in [
            json!({ "mode": "read-only" }),
            json!({ "mode": "read-only", "reason": " " }),
            json!({ "mode": "read-only", "reason": "two\nlines" }),
            json!({ "mode": "normal", "reason": "done" }),
            json!({ "mode": "off" }),
        ] {
            bench.refused(&ann, post().json(bad), ProblemKind::BadParameter).await;
        }
        let normal = bench.read(&ann, post().json(json!({ "mode": "normal" }))).await;
        assert_eq!(normal, json!({ "mode": "normal" }));
        assert!(bench.app.health.read_only().is_none());
    }
}
