use gateway_types::{ProblemKind, Role};

use super::{Bench, Call, nobody};

#[tokio::test]
async fn a_client_learns_what_it_needs_before_it_signs_in() {
    for bench in Bench::both().await {
        let found = bench.read(&nobody(), Call::get("/.well-known/rack-gateway")).await;
        assert_eq!(found["gateway_id"], bench.app.store.gateway_id().to_string());
        assert_eq!(found["rack_proxy"], "/api/v1/rack-proxy");
        assert_eq!(found["checkpoint_key"], bench.app.store.audit().verifier().to_string());
        assert_eq!(found["auth"]["token"], "/auth/token");
        assert_eq!(
            found["clients"]["convox_rack_url"],
            "https://convox:TOKEN@gateway.example/api/v1/rack-proxy"
        );
        let reply = bench.ask(&nobody(), Call::get("/problems/refused")).await.unwrap();
        assert!(String::from_utf8(reply.body).unwrap().contains("403 refused"));
        bench.refused(&nobody(), Call::get("/problems/nothing"), ProblemKind::NotFound).await;
        let reply = bench.ask(&nobody(), Call::get("/.well-known/security.txt")).await.unwrap();
        assert!(reply.body.starts_with(b"Contact: "));
    }
}

#[tokio::test]
async fn balancers_are_told_when_an_instance_stops() {
    let [bench, _] = Bench::both().await;
    let health = async || bench.ask(&nobody(), Call::get("/api/v1/health")).await.unwrap();
    assert_eq!((health().await.status, health().await.body.len()), (200, 0));
    bench.app.health.set_draining();
    assert_eq!((health().await.status, health().await.body.len()), (503, 0));
}

#[tokio::test]
async fn the_api_describes_itself() {
    let [bench, _] = Bench::both().await;
    let (_, ann) = bench.user("ann", &[Role::Viewer]).await;
    let document = bench.read(&ann, Call::get("/openapi.json")).await;
    assert_eq!(document["openapi"], "3.1.0");
    bench.refused(&nobody(), Call::get("/openapi.json"), ProblemKind::Refused).await;
    let reply = bench.ask(&ann, Call::get("/log/checkpoint")).await.unwrap();
    let note = String::from_utf8(reply.body).unwrap();
    assert!(bench.app.store.audit().verifier().verify(&note).is_ok());
}
