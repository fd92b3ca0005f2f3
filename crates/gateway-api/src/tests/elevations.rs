use gateway_types::{Caller, Grant, OsEntropy, Principal, ProblemKind, Role, RoleSet, TokenId};
use http::Method;
use serde_json::json;

use super::{Bench, Call};

fn post(target: &str) -> Call<'_> {
    Call::new(Method::POST, target)
}

/// Checklist E: whoever asks is not who approves, also not by a token.
#[tokio::test]
async fn an_elevation_takes_somebody_else() {
    for bench in Bench::both().await {
        let (_, vi) = bench.user("vi", &[Role::Viewer]).await;
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let asked = || json!({ "role": "ops", "app": "web", "for": "1h", "reason": "a fix" });
        let made = bench.read(&vi, post("/api/v1/elevations").json(asked())).await;
        assert_eq!((&made["state"], &made["for"]), (&json!("waiting"), &json!("1h")));
        let id = made["id"].as_str().unwrap().to_owned();
        let approve = format!("/api/v1/elevations/{id}/approve");
        bench.refused(&vi, post(&approve), ProblemKind::Refused).await;
        // Made an admin meanwhile, and by a token of theirs: their own is not theirs to approve.
        let admin = RoleSet::of(Role::Viewer).with(Role::Admin);
        let Principal::User { id: own, email, session, kind, .. } = vi.principal.clone() else { panic!() };
        let principal = Principal::User { id: own, email: email.clone(), roles: admin, session, kind };
        bench.refused(&Caller { principal, ..vi.clone() }, post(&approve), ProblemKind::Refused).await;
        let token = Principal::ApiToken {
            id: TokenId::new(bench.app.clock.now(), &OsEntropy),
            name: "ci".into(),
            roles: admin,
            grants: [Grant { critical: true, ..Grant::everything() }].into(),
            creator: own,
            creator_email: email,
            creator_roles: admin,
        };
        bench.refused(&Caller { principal: token, ..vi.clone() }, post(&approve), ProblemKind::Refused).await;
        let others = bench.read(&ann, Call::get("/api/v1/elevations")).await;
        assert_eq!(others["items"], json!([]));
        let all = bench.read(&ann, Call::get("/api/v1/elevations?all=true&open=true")).await;
        assert_eq!(all["items"][0]["person"], "vi@example.com");
        bench.refused(&vi, Call::get("/api/v1/elevations?all=true"), ProblemKind::Refused).await;
        assert_eq!(bench.read(&ann, post(&approve)).await["state"], "live");
        bench.refused(&ann, post(&approve), ProblemKind::NotPossible).await;
        let bad = ProblemKind::BadParameter;
        for body in [
            json!({ "role": "king", "for": "1h", "reason": "x" }),
            json!({ "role": "ops", "for": "soon", "reason": "x" }),
            json!({ "role": "ops", "for": "1h", "reason": "" }),
            json!({ "role": "ops", "for": "1h", "reason": "x", "user": "ann" }),
        ] {
            bench.refused(&vi, post("/api/v1/elevations").json(body), bad).await;
        }
        let end = format!("/api/v1/elevations/{id}");
        assert_eq!(bench.ask(&vi, Call::new(Method::DELETE, &end)).await.unwrap().status, 204);
        let nothing = "/api/v1/elevations/018f0000-0000-7000-8000-000000000009";
        bench.refused(&ann, Call::new(Method::DELETE, nothing), ProblemKind::NotFound).await;
    }
}

#[tokio::test]
async fn the_review_is_json_or_comma_separated() {
    let [bench, _] = Bench::both().await;
    let (_, ann) = bench.user("ann", &[Role::Admin]).await;
    let (_, auditor) = bench.user("au", &[Role::Auditor]).await;
    let (_, ops) = bench.user("bo", &[Role::Ops]).await;
    let review = "/api/v1/access/review?limit=1";
    bench.refused(&ops, Call::get(review), ProblemKind::Refused).await;
    let page = bench.read(&auditor, Call::get(review)).await;
    assert_eq!(
        (&page["items"][0]["subject"], &page["items"][0]["kind"]),
        (&json!("ann@example.com"), &json!("person"))
    );
    assert!(page["items"][0]["actions"].as_array().unwrap().len() > 50);
    let mut next = page["next"].as_str().map(str::to_owned);
    let mut pages = 1;
    while let Some(cursor) = next {
        let target = format!("{review}&cursor={cursor}");
        let page = bench.read(&ann, Call::get(&target)).await;
        next = page["next"].as_str().map(str::to_owned);
        pages += 1;
        assert!(pages < 9, "it ends");
    }
    let csv = bench.ask(&ann, Call::get("/api/v1/access/review?format=csv")).await.unwrap();
    let text = String::from_utf8(csv.body).unwrap();
    assert!(
        text.starts_with("subject,kind,") && text.contains("bo@example.com,person,false,,ops,"),
        "{text}"
    );
    bench.refused(&ann, Call::get("/api/v1/access/review?format=xml"), ProblemKind::BadParameter).await;
}
