//! The queue of jobs.

use std::time::Duration;

use gateway_store::NewJob;

use super::bench::Bench;

#[tokio::test]
async fn a_job_is_paused_and_retried() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let ops = bench.signed_in("ops@example.com", "ops").await;
    assert!(bench.get(&admin, "/app/jobs").await.body.contains("The queue is empty."));
    bench.sample.app.health.rounds.expect("upkeep", Duration::from_secs(60));
    let made = bench.sample.app.store.jobs().enqueue(NewJob::now("mail", "{}".to_owned())).await;
    let id = made.unwrap().unwrap();

    let page = bench.get(&admin, "/app/jobs").await.body;
    assert!(page.contains("waiting") && page.contains(&format!("/app/jobs/{id}/pause")), "{page}");
    assert!(page.contains("upkeep") && page.contains("1 min") && page.contains("not yet"));
    let done = bench.post(&admin, &format!("/app/jobs/{id}/pause"), &[]).await;
    assert_eq!(done.location(), "/app/jobs?done=job-changed", "{}", done.body);
    let page = bench.get(&admin, "/app/jobs?state=paused").await.body;
    assert!(
        page.contains(&format!("/app/jobs/{id}/retry")) && !page.contains(&format!("/app/jobs/{id}/pause"))
    );
    assert!(bench.get(&admin, "/app/jobs?state=dead&kind=mail").await.body.contains("There is no such job."));
    assert_eq!(bench.post(&admin, &format!("/app/jobs/{id}/pause"), &[]).await.status, 409);
    assert_eq!(bench.post(&admin, &format!("/app/jobs/{id}/explode"), &[]).await.status, 404);

    let seen = bench.get(&ops, "/app/jobs").await.body;
    assert!(
        seen.contains("paused") && !seen.contains(&format!("/app/jobs/{id}/retry")),
        "who may not is not offered"
    );
}
