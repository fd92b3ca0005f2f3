//! People, groups and roles.

use gateway_types::Role;

use super::bench::Bench;

#[tokio::test]
async fn an_invited_person_is_on_the_list() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let form = [("email", " Anna@Example.com "), ("name", "Anna"), ("role", "ops"), ("role", "auditor")];
    let invited = bench.post(&admin, "/app/users", &form).await;
    assert_eq!(invited.status, 303, "{}", invited.body);
    let location = invited.location().to_owned();
    assert!(location.starts_with("/app/users/") && location.ends_with("?done=invited"), "{location}");
    let page = bench.get(&admin, &location).await;
    assert!(page.body.contains("anna@example.com") && page.body.contains("The person is invited"));
    let list = bench.get(&admin, "/app/users?q=ANNA").await;
    assert!(list.body.contains("anna@example.com") && !list.body.contains(">root@example.com</a></td>"));
    assert!(bench.get(&admin, "/app/users?q=nobody").await.body.contains("Nobody matches."));
}

#[tokio::test]
async fn what_is_wrong_stands_at_its_field_and_the_rest_is_kept() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let check = async |form: &[(&str, &str)], at: &str, kept: &str| {
        let page = bench.post(&admin, "/app/users", form).await;
        assert_eq!(page.status, 400, "{form:?}");
        assert!(page.body.contains(&format!("id=\"{at}-fault\"")), "{form:?}: no fault at {at}");
        assert!(page.body.contains(kept), "{form:?}: {kept} is lost");
    };
    check(&[("email", "not an address"), ("role", "ops")], "invite-email", "value=\"not an address\"").await;
    // L6: an invitation never changes somebody who is there.
    check(&[("email", "root@example.com"), ("role", "viewer")], "invite-email", "value=\"root@example.com\"")
        .await;
    check(&[("email", "a@example.com")], "invite-roles", "value=\"a@example.com\"").await;
    check(&[("email", "a@example.com"), ("role", "root")], "invite-roles", "value=\"a@example.com\"").await;
    check(&[("email", "a@example.com"), ("role", "cicd")], "invite-roles", "value=\"a@example.com\"").await;
}

#[tokio::test]
async fn roles_change_by_compare_and_set() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let anna = bench.person("anna@example.com", "Anna", "viewer").await;
    let path = format!("/app/users/{}", anna.id);
    let page = bench.get(&admin, &path).await;
    assert!(page.body.contains("name=\"name\" value=\"Anna\""), "{}", page.body);
    let version = page.hidden("version");
    let form = [("version", version.as_str()), ("name", "Anna"), ("role", "deployer")];
    assert_eq!(bench.post(&admin, &path, &form).await.location(), format!("{path}?done=saved"));
    assert!(bench.get(&admin, &path).await.body.contains("<span class=\"badge\">deployer</span>"));
    let stale = bench.post(&admin, &path, &form).await;
    assert_eq!(stale.status, 412);
    assert!(stale.body.contains("make the change anew") && stale.body.contains(&path), "{}", stale.body);
    assert_eq!(
        bench.post(&admin, &path, &[("name", "Anna"), ("role", "ops")]).await.status,
        403,
        "no version"
    );
}

#[tokio::test]
async fn a_person_is_locked_unlocked_and_removed() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let anna = bench.person("anna@example.com", "Anna", "viewer").await;
    let path = format!("/app/users/{}", anna.id);
    let done = bench.post(&admin, &format!("{path}/lock"), &[("reason", "left")]).await;
    assert_eq!(done.location(), format!("{path}?done=locked"));
    let locked = bench.get(&admin, &path).await.body;
    assert!(locked.contains(">locked</span>") && locked.contains(&format!("action=\"{path}/unlock\"")));
    assert!(!locked.contains(&format!("action=\"{path}/lock\"")));
    let others = bench.get(&admin, "/app/users?standing=active").await.body;
    assert!(!others.contains("anna@example.com</a>") && others.contains("root@example.com</a></td>"));
    let viewers = bench.get(&admin, "/app/users?role=viewer&standing=locked").await.body;
    assert!(viewers.contains("anna@example.com</a>") && !viewers.contains("root@example.com</a></td>"));
    bench.post(&admin, &format!("{path}/unlock"), &[]).await;
    assert!(bench.get(&admin, &path).await.body.contains(">active</span>"));
    assert_eq!(bench.post(&admin, &format!("{path}/reset-factors"), &[]).await.status, 303);
    let slip = bench.post(&admin, &format!("{path}/remove"), &[("confirm", "anna@example.org")]).await;
    assert_eq!(slip.status, 400);
    let gone = bench.post(&admin, &format!("{path}/remove"), &[("confirm", "anna@example.com")]).await;
    assert_eq!(gone.location(), "/app/users?done=removed");
    assert_eq!(bench.get(&admin, &path).await.status, 404);
}

#[tokio::test]
async fn sessions_of_somebody_else_are_seen_and_ended() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let anna = bench.person("anna@example.com", "Anna", "viewer").await;
    bench.sample.person_with("anna@example.com", "viewer", "Chrome on Linux").await;
    let path = format!("/app/users/{}/sessions", anna.id);
    let page = bench.get(&admin, &path).await;
    assert!(page.body.contains("Chrome on Linux") && page.body.contains("203.0.113.7"));
    let action = page.body.split("action=\"").find(|rest| rest.starts_with(&path)).unwrap();
    let action = action[..action.find('"').unwrap()].to_owned();
    assert_eq!(bench.post(&admin, &action, &[]).await.location(), format!("{path}?done=session-revoked"));
    assert!(bench.get(&admin, &path).await.body.contains("not signed in anywhere"));
    assert_eq!(bench.post(&admin, &action, &[]).await.status, 404, "ended already");
}

/// L1, as pages have it: what is offered is what policy allows.
#[tokio::test]
async fn what_policy_refuses_is_greyed_with_the_reason() {
    let bench = Bench::new().await;
    let ops = bench.signed_in("ops@example.com", "ops").await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let anna = bench.person("anna@example.com", "Anna", "viewer").await;
    let path = format!("/app/users/{}", anna.id);
    for target in [path.as_str(), "/app/users", "/app/groups"] {
        let seen = bench.get(&ops, target).await;
        assert_eq!(seen.status, 200);
        assert!(!seen.body.contains("method=\"post\" action=\"/app"), "{target} offers ops a change");
        assert!(
            seen.body.contains("aria-disabled=\"true\"") && seen.body.contains("This needs the role admin.")
        );
    }
    assert!(bench.get(&admin, &path).await.body.contains(&format!("action=\"{path}/lock\"")));
    let viewer = bench.signed_in("viewer@example.com", "viewer").await;
    assert_eq!(bench.get(&viewer, "/app/users").await.status, 403);
}

/// L6: not one's own roles, and the page says so before anybody tries.
#[tokio::test]
async fn nobody_is_offered_to_lock_themselves_out() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    let list = bench.get(&admin, "/app/users").await.body;
    let path = list.split('"').find(|text| text.starts_with("/app/users/")).unwrap().to_owned();
    let page = bench.get(&admin, &path).await;
    assert!(!page.body.contains(&format!("action=\"{path}")), "{}", page.body);
    assert!(page.body.contains("ask another admin"));
    let tried = bench.post(&admin, &format!("{path}/lock"), &[]).await;
    assert_eq!(tried.status, 409);
}

#[tokio::test]
async fn a_group_is_mapped() {
    let bench = Bench::new().await;
    let admin = bench.signed_in("root@example.com", "admin").await;
    assert!(bench.get(&admin, "/app/groups").await.body.contains("No group matches."));
    let page = bench.get(&admin, "/app/groups?group=engineers").await;
    assert!(page.body.contains("action=\"/app/groups/engineers\""), "{}", page.body);
    let version = page.hidden("version");
    let form = [("version", version.as_str()), ("role", "deployer")];
    let done = bench.post(&admin, "/app/groups/engineers", &form).await;
    assert_eq!(done.location(), "/app/groups?done=group-changed");
    assert!(bench.get(&admin, "/app/groups?q=ENG").await.body.contains("engineers"));
    assert_eq!(bench.post(&admin, "/app/groups/engineers", &form).await.status, 412, "stale");
    let odd = bench.get(&admin, "/app/groups?group=a%20group").await.body;
    assert!(odd.contains("cannot stand in an address"), "{odd}");
}

#[tokio::test]
async fn roles_say_what_the_engine_says() {
    let bench = Bench::new().await;
    let viewer = bench.signed_in("viewer@example.com", "viewer").await;
    let all = bench.get(&viewer, "/app/roles").await.body;
    for role in Role::ALL {
        assert!(all.contains(&format!("<h2>{role}</h2>")), "{role}");
    }
    let admin_only = bench.get(&viewer, "/app/roles?role=admin&q=gateway:user:invite").await.body;
    assert!(admin_only.contains(">fresh factor</span>"), "{admin_only}");
    assert!(
        bench
            .get(&viewer, "/app/roles?role=viewer&q=gateway:user:invite")
            .await
            .body
            .contains("No operation matches.")
    );
    let first = bench.get(&viewer, "/app/roles").await.body;
    assert!(first.contains("cursor=50"), "the list is paged");
}
