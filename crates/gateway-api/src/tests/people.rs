use gateway_types::{ProblemKind, Role};
use http::Method;
use serde_json::{Value, json};

use super::{Bench, Call, header, nobody};

fn post(target: &str, body: Value) -> Call<'_> {
    Call::new(Method::POST, target).json(body)
}

fn put<'a>(target: &'a str, version: &str, body: Value) -> Call<'a> {
    Call::new(Method::PUT, target).with("if-match", version).json(body)
}

fn names<'v>(listing: &'v Value, member: &str) -> Vec<&'v str> {
    listing["items"].as_array().unwrap().iter().map(|item| item[member].as_str().unwrap()).collect()
}

#[tokio::test]
async fn people_are_invited_changed_and_removed() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let body = json!({ "email": "Bo@example.com", "name": "Bo", "roles": ["ops"] });
        let reply = bench.ask(&ann, post("/api/v1/users", body.clone())).await.unwrap();
        let bo: Value = serde_json::from_slice(&reply.body).unwrap();
        let path = format!("/api/v1/users/{}", bo["id"].as_str().unwrap());
        assert_eq!((reply.status, header(&reply, "location")), (201, Some(path.as_str())));
        assert_eq!((header(&reply, "etag"), &bo["email"]), (Some("\"1\""), &json!("bo@example.com")));
        let again = bench.refused(&ann, post("/api/v1/users", body), ProblemKind::NotPossible).await;
        assert!(again.contains("known already"), "{again}");
        assert_eq!(bench.read(&ann, Call::get(&path)).await, bo);

        let roles = json!({ "roles": ["viewer", "auditor"] });
        let bare = Call::new(Method::PUT, &path).json(roles.clone());
        bench.refused(&ann, bare, ProblemKind::PreconditionRequired).await;
        bench.refused(&ann, put(&path, "\"2\"", roles.clone()), ProblemKind::Stale).await;
        let reply = bench.ask(&ann, put(&path, "\"1\"", roles)).await.unwrap();
        assert_eq!(header(&reply, "etag"), Some("\"2\""));
        let unknown = put(&path, "*", json!({ "locked": true }));
        bench.refused(&ann, unknown, ProblemKind::BadParameter).await;
        let no_role = put(&path, "*", json!({ "roles": ["root"] }));
        bench.refused(&ann, no_role, ProblemKind::BadParameter).await;

        let lock = format!("{path}/lock");
        let locked = bench.read(&ann, post(&lock, json!({ "reason": "left" }))).await;
        assert_eq!(locked["locked"], true);
        let unlock = format!("{path}/unlock");
        let unlocked = bench.read(&ann, Call::new(Method::POST, &unlock)).await;
        assert_eq!(unlocked["locked"], false);
        bench.refused(&ann, post(&unlock, json!({})), ProblemKind::BadParameter).await;
        let gone = bench.ask(&ann, Call::new(Method::DELETE, &path)).await.unwrap();
        assert_eq!((gone.status, gone.body.len()), (204, 0));
        bench.refused(&ann, Call::get(&path), ProblemKind::NotFound).await;
        bench.refused(&ann, Call::get("/api/v1/users/x"), ProblemKind::NotFound).await;
    }
}

#[tokio::test]
async fn listings_are_paged_and_searched_and_take_nothing_else() {
    for bench in Bench::both().await {
        let (_, ops) = bench.user("ops", &[Role::Ops]).await;
        for name in ["ann", "bo", "cy"] {
            bench.user(name, &[Role::Viewer]).await;
        }
        let page = bench.read(&ops, Call::get("/api/v1/users?limit=2")).await;
        assert_eq!(names(&page, "email"), ["ann@example.com", "bo@example.com"]);
        let next = format!("/api/v1/users?cursor={}", page["next"].as_str().unwrap());
        let rest = bench.read(&ops, Call::get(&next)).await;
        assert_eq!(names(&rest, "email"), ["cy@example.com", "ops@example.com"]);
        assert!(rest.get("next").is_none());
        let found = bench.read(&ops, Call::get("/api/v1/users?q=BO")).await;
        assert_eq!(names(&found, "email"), ["bo@example.com"]);
        for wrong in ["limit=0", "limit=201", "limit=x", "search=bo", "q=a&q=b", "offset=1"] {
            let target = format!("/api/v1/users?{wrong}");
            bench.refused(&ops, Call::get(&target), ProblemKind::BadParameter).await;
        }
        for path in ["/api/v1/me?x=1", "/api/v1/roles?q=a", "/api/v1/me/factors?limit=1"] {
            bench.refused(&ops, Call::get(path), ProblemKind::BadParameter).await;
        }
    }
}

#[tokio::test]
async fn groups_are_compared_and_set() {
    for bench in Bench::both().await {
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let path = "/api/v1/groups/sre@example.com";
        let reply = bench.ask(&ann, put(path, "\"0\"", json!({ "roles": ["ops"] }))).await.unwrap();
        let etag = header(&reply, "etag").unwrap().to_owned();
        bench.refused(&ann, put(path, "\"0\"", json!({ "roles": [] })), ProblemKind::Stale).await;
        let listed = bench.read(&ann, Call::get("/api/v1/groups?q=SRE")).await;
        assert_eq!(names(&listed, "source"), ["database"]);
        let reply = bench.ask(&ann, put(path, &etag, json!({ "roles": [] }))).await.unwrap();
        let group: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((&group["roles"], &group["updated_by"]), (&json!([]), &json!("ann@example.com")));
    }
}

#[tokio::test]
async fn tokens_are_told_once() {
    for bench in Bench::both().await {
        let (bo, bos) = bench.user("bo", &[Role::Deployer]).await;
        let (_, ann) = bench.user("ann", &[Role::Admin]).await;
        let body = json!({ "name": "ci", "roles": ["cicd"], "grants": [{ "actions": "convox:build:*" }] });
        let reply = bench.ask(&bos, post("/api/v1/tokens", body)).await.unwrap();
        let made: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, header(&reply, "cache-control")), (201, Some("no-store")));
        let secret = made["secret"].as_str().unwrap();
        assert!(secret.starts_with("rgw_"));
        assert_eq!((&made["state"], &made["owner_email"]), (&json!("live"), &json!("bo@example.com")));
        let listed = bench.read(&bos, Call::get("/api/v1/tokens")).await;
        assert_eq!(names(&listed, "name"), ["ci"]);
        assert!(listed["items"][0].get("secret").is_none());

        let for_ann = json!({ "name": "x", "roles": ["viewer"], "for": "ann@example.com" });
        bench.refused(&bos, post("/api/v1/tokens", for_ann), ProblemKind::Refused).await;
        bench.refused(&bos, Call::get("/api/v1/tokens?all=true"), ProblemKind::Refused).await;
        bench.refused(&bos, Call::get("/api/v1/tokens?owner=x"), ProblemKind::BadParameter).await;
        let mine = format!("/api/v1/tokens?all=true&owner={}&live=true", bo.id);
        assert_eq!(names(&bench.read(&ann, Call::get(&mine)).await, "name"), ["ci"]);
        assert!(names(&bench.read(&ann, Call::get("/api/v1/tokens")).await, "name").is_empty());
        for (member, value) in
            [("expires", json!("soon")), ("expires", json!("400d")), ("grants", json!([{ "actions": "x" }]))]
        {
            let mut body = json!({ "name": "x", "roles": ["viewer"] });
            body[member] = value;
            bench.refused(&bos, post("/api/v1/tokens", body), ProblemKind::BadParameter).await;
        }

        let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
        bench.refused(&ann, put(&path, "*", json!({ "name": "mine" })), ProblemKind::Refused).await;
        let wider = put(&path, "*", json!({ "grants": [{ "actions": "*" }] }));
        bench.refused(&bos, wider, ProblemKind::Refused).await;
        let reply = bench.ask(&bos, put(&path, "\"1\"", json!({ "expires": "1h" }))).await.unwrap();
        assert_eq!(header(&reply, "etag"), Some("\"2\""));
        let rotate = format!("{path}/rotate");
        let rotated = bench.read(&bos, Call::new(Method::POST, &rotate)).await;
        assert!(rotated["overlap_ends"].is_string() && rotated["secret"] != made["secret"]);
        let at_once = bench.read(&bos, post(&rotate, json!({ "overlap": "0s" }))).await;
        assert!(at_once.get("overlap_ends").is_none());
        bench.refused(&bos, post(&rotate, json!({ "overlap": "2d" })), ProblemKind::BadParameter).await;
        assert_eq!(bench.ask(&ann, Call::new(Method::DELETE, &path)).await.unwrap().status, 204);
        let listed = bench.read(&bos, Call::get("/api/v1/tokens")).await;
        assert_eq!(names(&listed, "state"), ["revoked"]);
    }
}

#[tokio::test]
async fn somebody_reads_who_they_are() {
    let [bench, _] = Bench::both().await;
    let (vi, caller) = bench.user("vi", &[Role::Viewer]).await;
    let me = bench.read(&caller, Call::get("/api/v1/me")).await;
    assert_eq!((&me["id"], &me["name"]), (&json!(vi.id.to_string()), &json!("vi@example.com")));
    assert_eq!(
        (&me["credential"], &me["roles"], &me["rack"]),
        (&json!("cli_session"), &json!(["viewer"]), &json!("test"))
    );
    assert_eq!(
        (&me["second_factor"]["asked_for"], &me["second_factor"]["enrolled"]),
        (&json!(true), &json!(false))
    );
    let permissions = me["permissions"].as_array().unwrap();
    assert!(
        permissions.contains(&json!("gateway:me:read"))
            && !permissions.contains(&json!("gateway:user:invite"))
    );
    bench.refused(&nobody(), Call::get("/api/v1/me"), ProblemKind::Refused).await;
    let roles = bench.read(&caller, Call::get("/api/v1/roles")).await;
    assert_eq!(names(&roles, "role"), ["viewer", "ops", "deployer", "admin", "auditor", "cicd"]);
    assert_eq!(
        (&roles["items"][5]["machines_only"], &roles["items"][0]["machines_only"]),
        (&json!(true), &json!(false))
    );
}

#[tokio::test]
async fn an_enrolment_begins_and_ends_by_one_row() {
    for bench in Bench::both().await {
        let (_, vi) = bench.user("vi", &[Role::Viewer]).await;
        let target = "/api/v1/me/factors/totp";
        for bad in [
            json!({}),
            json!({ "name": "phone", "code": "123456" }),
            json!({ "id": "x" }),
            json!({ "id": "x", "code": "123456" }),
            json!({ "name": "phone", "kind": "totp" }),
        ] {
            bench.refused(&vi, post(target, bad), ProblemKind::BadParameter).await;
        }
        let other = post("/api/v1/me/factors/sms", json!({ "name": "phone" }));
        bench.refused(&vi, other, ProblemKind::NotFound).await;
        let reply = bench.ask(&vi, post(target, json!({ "name": "phone" }))).await.unwrap();
        let begun: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.status, 201);
        assert!(begun["url"].as_str().unwrap().starts_with("otpauth://totp/"));
        let listed = bench.read(&vi, Call::get("/api/v1/me/factors")).await;
        assert_eq!(
            (names(&listed, "id"), &listed["backup_codes_left"]),
            (vec![begun["id"].as_str().unwrap()], &json!(0))
        );
        assert!(listed["items"][0].get("confirmed").is_none());
        let path = format!("/api/v1/me/factors/{}", begun["id"].as_str().unwrap());
        let named = Call::new(Method::PUT, &path).json(json!({ "name": "tablet" }));
        assert_eq!(bench.read(&vi, named).await["name"], "tablet");
        let removed = bench.ask(&vi, Call::new(Method::DELETE, &path)).await.unwrap();
        assert_eq!(removed.status, 204);
        let codes = Call::new(Method::POST, "/api/v1/me/backup-codes");
        bench.refused(&vi, codes, ProblemKind::NotPossible).await;
    }
}
