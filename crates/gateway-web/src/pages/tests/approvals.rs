//! Approvals of deploys.

use gateway_app::approvals;
use gateway_types::wire::approvals::{Approval, RequestApproval};
use gateway_types::{Caller, OsEntropy, RequestId};

use super::bench::Bench;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a CI job, or a person, asks for.
async fn asked(bench: &Bench, caller: &Caller, app: &str) -> Approval {
    let gateway = &bench.sample.app;
    let operator = gateway.operator(caller, RequestId::new(gateway.clock.now(), &OsEntropy));
    let asked = RequestApproval {
        app: app.to_owned(),
        commit: COMMIT.to_owned(),
        branch: Some("main".to_owned()),
        message: Some("a <b>fix</b>\nand more".to_owned()),
        manifest: None,
        commands: vec!["bin/migrate".to_owned()],
        metadata: [
            ("link".to_owned(), "https://git.example.com/acme/shop/commit/1".to_owned()),
            ("actor".to_owned(), "<script>alert(1)</script>".to_owned()),
        ]
        .into(),
    };
    approvals::request(gateway, &operator, caller, asked).await.unwrap()
}

#[tokio::test]
async fn the_inbox_holds_what_waits() {
    let bench = Bench::new().await;
    let deployer = bench.signed_in("dee@example.com", "deployer").await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let nobody = bench.signed_in("no@example.com", "auditor").await;
    assert!(bench.get(&admin, "/app/approvals").await.body.contains("Nothing waits."));
    let shop = asked(&bench, &deployer, "shop").await;
    let bank = asked(&bench, &admin, "bank").await;
    let inbox = bench.get(&admin, "/app/approvals").await.body;
    for part in [&shop.id, &bank.id] {
        assert!(inbox.contains(&format!("href=\"/app/approvals/{part}\"")), "{inbox}");
    }
    assert!(inbox.contains("waits for approval") && inbox.contains("0 of 1"), "{inbox}");
    assert!(inbox.contains("a &#60;b&#62;fix") && !inbox.contains("and more"), "{inbox}");
    let of_shop = bench.get(&admin, "/app/approvals?app=shop").await.body;
    assert!(of_shop.contains(&shop.id) && !of_shop.contains(&bank.id), "{of_shop}");
    let mine = bench.get(&admin, "/app/approvals?mine=true").await.body;
    assert!(mine.contains(&bank.id) && !mine.contains(&shop.id), "{mine}");
    let withdraw = format!("/app/approvals/{}/withdraw", bank.id);
    assert_eq!(bench.post(&admin, &withdraw, &[]).await.status, 303);
    let inbox = bench.get(&admin, "/app/approvals").await.body;
    assert!(inbox.contains(&shop.id) && !inbox.contains(&bank.id), "{inbox}");
    assert!(bench.get(&admin, "/app/approvals?all=true").await.body.contains(&bank.id));
    let over = bench.get(&admin, "/app/approvals?state=withdrawn").await.body;
    assert!(over.contains(&bank.id) && !over.contains(&shop.id), "{over}");
    let unknown = bench.get(&admin, "/app/approvals?state=done").await.body;
    assert!(unknown.contains("an approval is pending, approved"), "{unknown}");
    assert_eq!(bench.get(&nobody, "/app/approvals").await.status, 403);
}

#[tokio::test]
async fn whoever_approves_sees_what_for() {
    let bench = Bench::new().await;
    let deployer = bench.signed_in("dee@example.com", "deployer").await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let other = bench.signed_in("other@example.com", "admin").await;
    let made = asked(&bench, &deployer, "shop").await;
    let target = format!("/app/approvals/{}", made.id);
    let page = bench.get(&admin, &target).await.body;
    for part in [
        "Deploy of shop",
        COMMIT,
        "bin/migrate",
        "dee@example.com",
        "https://git.example.com/acme/shop/commit/1",
        "No key changes.",
        "Nobody has approved it.",
        "the approval of one more person",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(
        !page.contains("<script>alert") && page.contains(&format!("action=\"{target}/approve\"")),
        "{page}"
    );
    assert!(!page.contains(&format!("action=\"{target}/withdraw\"")), "somebody else's is not taken back");
    let own = bench.get(&deployer, &target).await.body;
    assert!(!own.contains(&format!("action=\"{target}/approve\"")), "nobody approves their own: {own}");
    assert!(own.contains(&format!("action=\"{target}/withdraw\"")), "{own}");
    let approve = format!("{target}/approve");
    assert_eq!(bench.post(&deployer, &approve, &[("statement", &made.statement)]).await.status, 403);
    let done = bench.post(&admin, &approve, &[("reason", "seen"), ("statement", &made.statement)]).await;
    assert_eq!(done.location(), format!("{target}?done=approval-approved"), "{}", done.body);
    let page = bench.get(&other, &target).await.body;
    for part in ["root@example.com", "one-time code: weaker", "seen", "1 of 1 approvals", "Extend"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("&#34;purpose&#34;:&#34;approve&#34;"), "the exact text is there: {page}");
    let done = bench.post(&other, &format!("{target}/extend"), &[("statement", &made.statement)]).await;
    assert_eq!(done.location(), format!("{target}?done=approval-extended"), "{}", done.body);
    let reject = format!("{target}/reject");
    let done = bench.post(&other, &reject, &[("reason", "not on a Friday")]).await;
    assert_eq!(done.location(), format!("{target}?done=approval-rejected"), "{}", done.body);
    let page = bench.get(&deployer, &target).await.body;
    assert!(page.contains("By other@example.com: not on a Friday"), "{page}");
    assert!(!page.contains(&format!("action=\"{target}/")), "nothing can become of it: {page}");
    assert_eq!(bench.post(&other, &reject, &[]).await.status, 409);
}

#[tokio::test]
async fn an_approval_that_is_not_there_is_not_found() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    for id in ["018f0000-0000-7000-8000-000000000009", "7"] {
        assert_eq!(bench.get(&admin, &format!("/app/approvals/{id}")).await.status, 404, "{id}");
        assert_eq!(
            bench.post(&admin, &format!("/app/approvals/{id}/approve"), &[]).await.status,
            404,
            "{id}"
        );
    }
}
