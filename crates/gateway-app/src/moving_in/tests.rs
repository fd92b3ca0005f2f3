mod whole;

use gateway_convox::RouteTable;
use gateway_policy::OwnTable;
use gateway_types::{Cicd, Class, LowestRole, Operation};

use super::permissions::{Reach, SAID, rights};
use super::*;

fn operations() -> Vec<Operation> {
    let own = OwnTable::builtin().unwrap().operations();
    let rack = RouteTable::builtin().unwrap();
    rack.rows().iter().map(|row| row.operation.clone()).chain(own).collect()
}

/// Every action that a token can get exists, needs no more than the role beside it, is never critical, and reaches as
/// far for `cicd` as is said.
#[test]
fn the_table_of_permissions_is_that_of_the_routes() {
    let operations = operations();
    for permission in SAID {
        let mut highest = None;
        for action in permission.ours {
            let of_it: Vec<_> =
                operations.iter().filter(|operation| operation.action.as_str() == *action).collect();
            assert!(!of_it.is_empty(), "{action} is the action of no route");
            for operation in of_it {
                assert!(operation.class != Class::Critical || *action == "gateway:approval:read", "{action}");
                if let LowestRole::Role(role) = operation.lowest_role {
                    highest = highest.max(Some(role));
                }
                match (permission.cicd, operation.cicd) {
                    (Reach::Never, Cicd::Yes) => panic!("{action} is something that cicd may"),
                    (Reach::Always, Cicd::Approval) => panic!("{action} is only within an approval"),
                    _ => {}
                }
            }
        }
        assert_eq!(highest, Some(permission.role), "{}", permission.theirs);
    }
}

fn named(permissions: &[&str]) -> super::permissions::Rights {
    rights(&permissions.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}

fn actions(rights: &super::permissions::Rights) -> Vec<&str> {
    rights.grants.iter().map(|grant| grant.actions.as_str()).collect()
}

#[test]
fn permissions_become_actions_one_by_one() {
    let one = named(&["convox:app:list"]);
    assert_eq!((actions(&one), one.roles), (vec!["convox:app:list"], RoleSet::of(Role::Viewer)));
    let some =
        named(&["convox:release:*", "convox:nothing:here", "gateway:user:create", "convox:app:delete"]);
    assert_eq!(some.roles, RoleSet::of(Role::Deployer));
    assert!(actions(&some).contains(&"convox:release:promote"));
    let refused: Vec<&str> = some.refused.keys().map(String::as_str).collect();
    assert_eq!(refused, ["convox:app:delete", "convox:nothing:here", "gateway:user:create"]);
    assert!(named(&["*"]).grants.is_empty(), "as many parts as a permission has");
    assert!(named(&["convox:*"]).grants.is_empty());
}

/// A wildcard stands for what it reached there; what only this gateway has is not in it.
#[test]
fn a_wildcard_is_no_wildcard_here() {
    let all = named(&["convox:*:*"]);
    assert_eq!(all.roles, RoleSet::of(Role::Admin));
    assert!(all.grants.iter().all(|grant| !grant.actions.contains('*') && !grant.critical));
    assert!(!actions(&all).iter().any(|action| action.starts_with("convox:registry")));
    assert!(all.refused.contains_key("convox:secret:read"), "{:?}", all.refused);
}

/// Beside another role, what is granted for approved deploys would be allowed without them.
#[test]
fn whoever_deploys_with_approvals_has_cicd_alone() {
    let ci = named(&[
        "convox:deploy:deploy_with_approval",
        "convox:app:list",
        "convox:release:list",
        "convox:env:set",
    ]);
    assert_eq!(ci.roles, RoleSet::of(Role::Cicd));
    assert!(actions(&ci).contains(&"convox:release:promote") && actions(&ci).contains(&"convox:app:list"));
    assert!(ci.refused.contains_key("convox:env:set"), "{:?}", ci.refused);
    assert_eq!(ci.narrower.len(), 1, "{:?}", ci.narrower);
}

fn translated(app: Option<&str>, key: &str, beside: Value) -> String {
    let beside = serde_json::from_value(beside).unwrap();
    match translation::translate(app, key, &beside) {
        Translation::To(key, value) => format!("{}={value}", key.name()),
        Translation::Left(why) => format!("left: {why}"),
    }
}

#[test]
fn settings_are_said_as_they_are_here() {
    let check = |app: Option<&str>, key: &str, value: Value, expected: &str| {
        let found = translated(app, key, json!({ key: value }));
        assert!(found.starts_with(expected), "{key}: {found}");
    };
    check(None, "mfa_require_all_users", json!(true), "mfa_required=true");
    check(None, "mfa_require_all_users", json!("yes"), "left: its value is of another type");
    check(None, "mfa_trusted_device_ttl_days", json!(30), "trusted_device=");
    check(None, "mfa_step_up_window_minutes", json!(100_000), "left: step_up_window does not take it");
    check(None, "session_timeout_minutes", json!(5), "web_session_idle=5m");
    check(Some("shop"), "session_timeout_minutes", json!(5), "left: it is one value");
    check(Some("shop"), "vcs_repo", json!("acme/shop"), "github_repository=acme/shop");
    check(Some("shop"), "protected_env_vars", json!(["B", "A"]), "env_protected=A,B");
    check(Some("shop"), "protected_env_vars", json!(["B", 1]), "left: its value");
    check(Some("shop"), "service_image_patterns", json!({"web": "r/x:.*"}), "service_images=web=r/x:.*");
    check(Some("shop"), "service_image_patterns", json!({"web": "a b"}), "left: ");
    check(Some("shop"), "approved_deploy_commands", json!(["ls"]), "left: ");
    check(None, "never_heard_of", json!(1), "left: nothing here is like it");
    let off = json!({ "vcs_repo": "acme/shop", "github_verification": false });
    assert!(translated(Some("shop"), "vcs_repo", off).starts_with("left: "));
    let open = json!({ "require_pr_for_branch": true });
    assert_eq!(translated(Some("shop"), "require_pr_for_branch", open), "github_place=open_pull_request");
    let any = json!({ "require_pr_for_branch": false, "allow_deploy_from_default_branch": true });
    assert!(translated(Some("shop"), "require_pr_for_branch", any).starts_with("left: "));
}

fn row(value: Value) -> RawRow {
    serde_json::from_value(value).unwrap()
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-23T12:00:00Z").unwrap()
}

const HASH: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn found() -> Found {
    let token = |name: &str, hash: &str, owner: i64, expires: Value| {
        row(
            json!({ "name": name, "token_hash": hash, "user_id": owner, "permissions": "[\"convox:app:list\"]",
            "created_at": "2026-01-01T00:00:00+00:00", "expires_at": expires }),
        )
    };
    Found {
        users: vec![
            row(
                json!({ "id": 1, "email": "Ann@example.com", "name": "Ann", "roles": "[\"admin\"]", "suspended": false }),
            ),
            row(
                json!({ "id": 2, "email": "bob@example.com", "name": "", "roles": ["deployer", "cicd"], "suspended": true }),
            ),
            row(json!({ "id": 3, "email": "cic@example.com", "name": "C", "roles": "[\"cicd\"]" })),
            row(json!({ "id": 4, "email": "nobody", "roles": "[]" })),
            row(
                json!({ "id": 5, "email": "dan@example.com", "roles": "[\"ops\"]", "locked_at": "2026-01-01T00:00:00Z" }),
            ),
        ],
        tokens: vec![
            token("ci main\u{202e}", HASH, 1, Value::Null),
            token("of bob", &HASH.replace('7', "8"), 2, Value::Null),
            token("ended", &HASH.replace('7', "9"), 1, json!("2026-11-23T11:00:00+00:00")),
            token("soon", &HASH.replace('7', "6"), 1, json!("2026-11-24T11:00:00")),
            token("odd", "x", 1, Value::Null),
        ],
        settings: vec![row(json!({ "app_name": null, "key": "session_timeout_minutes", "value": 5 }))],
    }
}

const LIFE: Duration = Duration::from_secs(90 * 86_400);

fn fates(lines: &[Line]) -> Vec<(&str, Fate)> {
    lines.iter().map(|line| (line.name.as_str(), line.fate)).collect()
}

#[test]
fn what_becomes_of_people_and_tokens_is_decided_and_said() {
    let lines = plan(&found(), &Present::default(), now(), LIFE);
    use Fate::{LeftOut, Taken};
    let expected = [Taken, Taken, LeftOut, LeftOut, Taken, Taken, LeftOut, LeftOut, Taken, LeftOut, Taken];
    assert_eq!(fates(&lines).iter().map(|(_, fate)| *fate).collect::<Vec<_>>(), expected, "{lines:#?}");
    let Some(Act::User(bob)) = &lines[1].act else { panic!("{:?}", lines[1]) };
    assert_eq!((bob.standing, bob.new.roles), (Standing::Locked, RoleSet::of(Role::Deployer)));
    assert_eq!(bob.new.name, "bob@example.com");
    assert!(lines[1].remarks.iter().any(|remark| remark.contains("cicd")), "{:?}", lines[1]);
    let Some(Act::Token(ci)) = &lines[5].act else { panic!("{:?}", lines[5]) };
    assert_eq!((ci.name.as_str(), ci.expires), ("imported:ci main-", now().saturating_add(LIFE)));
    assert!(is_token_name(&ci.name));
    let Some(Act::Token(soon)) = &lines[8].act else { panic!("{:?}", lines[8]) };
    assert_eq!(
        Some(soon.expires),
        Timestamp::parse_rfc3339("2026-11-24T11:00:00Z"),
        "never later than there"
    );
}

#[test]
fn what_is_here_stays_and_what_was_taken_does_not_come_back() {
    let mut present = Present::default();
    present.people.insert("ann@example.com".to_owned(), (RoleSet::of(Role::Viewer), Standing::Active));
    present.people.insert("dan@example.com".to_owned(), (RoleSet::of(Role::Ops), Standing::Active));
    present.settings.insert("global web_session_idle".to_owned(), "1h".to_owned());
    present.taken.insert(ImportKind::User, ["bob@example.com".to_owned()].into());
    present.taken.insert(ImportKind::Token, [HASH.to_owned()].into());
    let lines = plan(&found(), &present, now(), LIFE);
    assert!(
        lines[0].fate == Fate::Here && lines[0].remarks[1].contains("viewer here, admin there"),
        "{:?}",
        lines[0]
    );
    assert!(lines[1].fate == Fate::Here && lines[1].act.is_none(), "removed here");
    assert!(lines[4].remarks.iter().any(|remark| remark.contains("not here: lock them")), "{:?}", lines[4]);
    assert!(lines[5].fate == Fate::Here && lines[5].act.is_none(), "revoked here, perhaps");
    assert_eq!(lines[6].fate, Fate::LeftOut, "of somebody who was removed");
    let setting = lines.last().unwrap();
    assert!(setting.fate == Fate::Here && setting.act.is_none(), "{setting:?}");
}

#[test]
fn a_chain_is_never_said_to_be_proven() {
    let appendix = |breaks, gaps| Appendix {
        rows: 3,
        digest: String::new(),
        chain: gateway_store::predecessor::appendix::Chain {
            breaks,
            gaps,
            first_break: (breaks > 0).then_some(2),
            ..Default::default()
        },
    };
    assert!(chain_in_words(&appendix(0, 0)).contains("cannot be recomputed"));
    assert!(chain_in_words(&appendix(1, 4)).contains("first the one of index 2; 4 indexes are missing"));
}
