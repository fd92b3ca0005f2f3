//! API tokens.

use gateway_types::TokenKind;

use super::bench::{Bench, Shown};

/// The credentials on a page.
fn secrets(page: &Shown) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let words = page.body.split(|c| !is_part(c));
    words.filter(|word| TokenKind::of(word).is_some()).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_secret_is_in_the_one_reply_that_makes_it() {
    let bench = Bench::new().await;
    let deployer = bench.signed_in("dev@example.com", "deployer").await;
    let form = [("name", "ci"), ("role", "cicd"), ("grants", "convox:build:*@web\r\n"), ("expires", "30d")];
    let made = bench.post(&deployer, "/app/tokens", &form).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.header(&http::header::CACHE_CONTROL), "no-store");
    let found = secrets(&made);
    let secret = found.first().expect("the secret is shown").clone();
    assert!(found.iter().all(|other| *other == secret));
    assert!(made.body.contains(&format!("https://convox:{secret}@gateway.example.com/api/v1/rack-proxy")));
    assert!(made.body.contains("data-copy"));
    for target in ["/app/tokens", "/app/tokens?standing=all", "/app/audit?mine=true", "/app"] {
        let page = bench.get(&deployer, target).await;
        assert!(secrets(&page).is_empty() && !page.body.contains(&secret), "{target}");
    }
    let list = bench.get(&deployer, "/app/tokens").await.body;
    assert!(list.contains("<strong>ci</strong>") && list.contains("convox:build:*@web"));
}

#[tokio::test]
async fn what_is_wrong_stands_at_its_field() {
    let bench = Bench::new().await;
    let deployer = bench.signed_in("dev@example.com", "deployer").await;
    let check = async |form: &[(&str, &str)], fault: &str| {
        let page = bench.post(&deployer, "/app/tokens", form).await;
        assert_eq!(page.status, 400, "{form:?}");
        assert!(page.body.contains(fault), "{form:?}: {}", page.body);
        assert!(
            page.body.contains("value=\"ci!\"") || page.body.contains("value=\"ci\""),
            "{form:?}: name lost"
        );
        assert!(secrets(&page).is_empty());
    };
    check(&[("name", "ci!"), ("role", "viewer")], "id=\"token-name-fault\"").await;
    check(&[("name", "ci")], "id=\"token-roles-fault\"").await;
    // L6: no token above its owner.
    check(&[("name", "ci"), ("role", "admin")], "cannot be more than its owner").await;
    check(&[("name", "ci"), ("role", "viewer"), ("grants", "x y")], "id=\"token-grants-fault\"").await;
    check(&[("name", "ci"), ("role", "viewer"), ("grants", "no:such")], "id=\"token-grants-fault\"").await;
    check(&[("name", "ci"), ("role", "viewer"), ("expires", "soon")], "write when the token ends").await;
    let forever = [("name", "ci"), ("role", "viewer"), ("critical", "true"), ("expires", "never")];
    check(&forever, "must end").await;
}

#[tokio::test]
async fn a_token_is_narrowed_rotated_and_revoked() {
    let bench = Bench::new().await;
    let deployer = bench.signed_in("dev@example.com", "deployer").await;
    let form = [("name", "ci"), ("role", "deployer"), ("grants", "convox:app:*")];
    let made = bench.post(&deployer, "/app/tokens", &form).await;
    let first = secrets(&made).remove(0);
    let list = bench.get(&deployer, "/app/tokens").await;
    let id = list
        .body
        .split("id=\"token-")
        .find_map(|rest| rest.get(..36).filter(|id| id.contains('-') && !id.contains('"')))
        .unwrap()
        .to_owned();
    let (path, version) = (format!("/app/tokens/{id}"), list.hidden("version"));
    let wider = [("version", version.as_str()), ("role", "deployer"), ("grants", "*")];
    let refused = bench.post(&deployer, &path, &wider).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.body.contains("can only become smaller")
            && refused.body.contains("<details class=\"more\" open>")
    );
    let narrower = [("version", version.as_str()), ("role", "deployer"), ("grants", "convox:app:list")];
    assert_eq!(bench.post(&deployer, &path, &narrower).await.location(), "/app/tokens?done=token-changed");
    assert_eq!(bench.post(&deployer, &path, &narrower).await.status, 412, "stale");
    let rotated = bench.post(&deployer, &format!("{path}/rotate"), &[("overlap", "1h")]).await;
    let second = secrets(&rotated).remove(0);
    assert!(first != second && rotated.body.contains("The old secret works until"), "{}", rotated.body);
    let revoked = bench.post(&deployer, &format!("{path}/revoke"), &[]).await;
    assert_eq!(revoked.location(), "/app/tokens?done=token-revoked");
    assert!(bench.get(&deployer, "/app/tokens").await.body.contains("No token matches."));
    assert!(bench.get(&deployer, "/app/tokens?standing=all").await.body.contains(">revoked</span>"));
}

#[tokio::test]
async fn others_tokens_are_for_those_who_may_see_them() {
    let bench = Bench::new().await;
    let deployer = bench.signed_in("dev@example.com", "deployer").await;
    let viewer = bench.signed_in("viewer@example.com", "viewer").await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    bench.post(&deployer, "/app/tokens", &[("name", "of-dev"), ("role", "viewer")]).await;
    assert!(!bench.get(&admin, "/app/tokens").await.body.contains("of-dev"));
    assert!(bench.get(&admin, "/app/tokens?all=true").await.body.contains("of-dev"));
    assert_eq!(bench.get(&viewer, "/app/tokens?all=true").await.status, 403);
    let seen = bench.get(&viewer, "/app/tokens").await;
    assert_eq!(seen.status, 200);
    assert!(!seen.body.contains("of-dev") && !seen.body.contains("?all=true"));
    assert!(
        seen.body.contains("aria-disabled=\"true\"") && seen.body.contains("This needs the role deployer.")
    );
    // For somebody else only an admin makes one.
    let own = bench.get(&deployer, "/app/tokens").await.body;
    assert!(!own.contains("name=\"for\""));
    let form = [("name", "x"), ("role", "viewer"), ("for", "viewer@example.com")];
    assert_eq!(bench.post(&deployer, "/app/tokens", &form).await.status, 403);
    assert_eq!(bench.post(&admin, "/app/tokens", &form).await.status, 200);
}
