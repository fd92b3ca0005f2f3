use gateway_store::{UserChange, UserFilter};
use gateway_types::{CredentialKind, ProblemKind, Role};
use serde_json::json;

use super::{Person, World, refused, roles};
use crate::Notice;
use crate::rights::Expected;
use crate::users::{Invitation, find, invite, lock, read, remove, reset_factors, unlock, update};

fn invitation(email: &str, names: &str) -> Invitation {
    Invitation { email: email.to_owned(), name: None, roles: roles(names) }
}

fn to(names: &str) -> UserChange {
    UserChange { name: None, roles: Some(roles(names)) }
}

async fn admins(world: &World) -> (Person, Person) {
    (world.person("ann", &[Role::Admin]).await, world.person("bo", &[Role::Admin]).await)
}

#[tokio::test]
async fn an_invitation_adds_somebody_and_never_changes_somebody() {
    for world in World::both().await {
        let (ann, _) = admins(&world).await;
        let operator = world.operator(&ann.caller);
        let cy = invite(&world.app, &operator, &ann.caller, invitation(" Cy@Example.com", "ops,auditor"))
            .await
            .unwrap();
        assert_eq!((cy.email.as_str(), cy.name.as_str()), ("cy@example.com", "cy@example.com"));
        let after = json!({"email": "cy@example.com", "name": "cy@example.com", "roles": "ops,auditor", "locked": false});
        assert_eq!(world.last().await, ("gateway:user:invite".to_owned(), json!(null), after));
        assert!(matches!(&world.told()[..], [Notice::Invited { email, by, .. }]
            if email == "cy@example.com" && by == "ann@example.com"));

        let again = invite(&world.app, &operator, &ann.caller, invitation("CY@example.com", "admin")).await;
        refused(again, ProblemKind::NotPossible, "known already");
        assert_eq!(read(&world.app, cy.id).await.unwrap(), cy);
        for (email, names, words) in [
            ("a@b@example.com", "ops", "e-mail address"),
            ("аnn@example.com", "ops", "e-mail address"),
            ("dee@example.com", "", "at least one role"),
            ("dee@example.com", "cicd", "cicd"),
        ] {
            let bad = invite(&world.app, &operator, &ann.caller, invitation(email, names)).await;
            refused(bad, ProblemKind::BadParameter, words);
        }
        let steering =
            Invitation { name: Some("a\u{202e}b".to_owned()), ..invitation("e@example.com", "ops") };
        refused(
            invite(&world.app, &operator, &ann.caller, steering).await,
            ProblemKind::BadParameter,
            "name",
        );
        assert!(world.told().is_empty());
        assert_eq!(
            find(
                &world.app,
                &UserFilter { search: Some("CY".to_owned()), ..UserFilter::default() },
                None,
                10
            )
            .await
            .unwrap()
            .items,
            [cy]
        );
    }
}

/// L6: a role that somebody does not have they give to nobody, should a policy ever let them ask.
#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    for world in World::both().await {
        let ops = world.person("ops", &[Role::Ops]).await;
        let operator = world.operator(&ops.caller);
        for names in ["deployer", "admin", "auditor", "viewer,admin"] {
            let asked = invitation("x@example.com", names);
            let result = invite(&world.app, &operator, &ops.caller, asked).await;
            refused(result, ProblemKind::Refused, "what you do not have");
        }
        let result = invite(&world.app, &operator, &ops.caller, invitation("x@example.com", "viewer")).await;
        assert!(result.is_ok());
    }
}

#[tokio::test]
async fn changes_are_compared_recorded_and_told() {
    for world in World::both().await {
        let (ann, bo) = admins(&world).await;
        let operator = world.operator(&ann.caller);
        let web = world.signed_in(&bo.user, CredentialKind::WebSession).await;
        let version = Expected::Version(bo.user.version);
        let stale = Expected::Version(bo.user.version + 1);
        let by = &ann.caller;
        let result = update(&world.app, &operator, by, bo.user.id, stale, to("ops")).await;
        refused(result, ProblemKind::Stale, "changed by somebody else");
        let events = world.events().await.len();
        let same = update(&world.app, &operator, by, bo.user.id, version, to("admin")).await.unwrap();
        assert_eq!((same, world.events().await.len()), (bo.user.clone(), events), "nothing to do");

        let after = update(&world.app, &operator, by, bo.user.id, version, to("ops")).await.unwrap();
        assert_eq!((after.roles, after.version), (roles("ops"), bo.user.version + 1));
        let (action, was, is) = world.last().await;
        assert_eq!(
            (action.as_str(), &was["roles"], &is["roles"]),
            ("gateway:user:update", &json!("admin"), &json!("ops"))
        );
        assert!(
            matches!(&world.told()[..], [Notice::RolesChanged { email, .. }] if email == "bo@example.com")
        );
        assert!(world.caller(&web.secret).await.is_err(), "E1: the web session ends");
        assert!(world.caller(&bo.secret).await.is_ok(), "the CLI session goes on");

        let name = UserChange { name: Some("Bo B".to_owned()), roles: None };
        let named = update(&world.app, &operator, by, bo.user.id, Expected::Any, name).await.unwrap();
        assert_eq!((named.name.as_str(), world.told().len()), ("Bo B", 0));
        for bad in ["", "cicd"] {
            let result = update(&world.app, &operator, by, bo.user.id, Expected::Any, to(bad)).await;
            refused(result, ProblemKind::BadParameter, "role");
        }
    }
}

/// L6: not with one's own hands, and not with those of one's token.
#[tokio::test]
async fn nobody_does_it_to_themselves() {
    for world in World::both().await {
        let (ann, _) = admins(&world).await;
        let (_, machine) = world.machine(&ann.user, &[Role::Admin]).await;
        let id = ann.user.id;
        for by in [&ann.caller, &machine] {
            let operator = world.operator(by);
            let app = &world.app;
            let roles = update(app, &operator, by, id, Expected::Any, to("admin,auditor")).await;
            refused(roles, ProblemKind::NotPossible, "change your own roles");
            refused(lock(app, &operator, by, id, None).await, ProblemKind::NotPossible, "lock yourself");
            refused(remove(app, &operator, by, id).await, ProblemKind::NotPossible, "remove yourself");
            refused(reset_factors(app, &operator, by, id).await, ProblemKind::NotPossible, "reset your own");
        }
        assert_eq!(read(&world.app, id).await.unwrap(), ann.user);
        let name = UserChange { name: Some("Ann A".to_owned()), roles: None };
        let operator = world.operator(&ann.caller);
        let named = update(&world.app, &operator, &ann.caller, id, Expected::Any, name).await.unwrap();
        assert_eq!(named.name, "Ann A", "a name is no right");
    }
}

/// L6.
#[tokio::test]
async fn the_last_admin_stays() {
    for world in World::both().await {
        let (ann, bo) = admins(&world).await;
        let operator = world.operator(&ann.caller);
        lock(&world.app, &operator, &ann.caller, bo.user.id, None).await.unwrap();
        // Bo's request was let in before the lock; by now Ann is the last one.
        let (by, id) = (&bo.caller, ann.user.id);
        let operator = world.operator(by);
        let app = &world.app;
        let roles = update(app, &operator, by, id, Expected::Any, to("ops")).await;
        refused(roles, ProblemKind::NotPossible, "last unlocked admin");
        refused(lock(app, &operator, by, id, None).await, ProblemKind::NotPossible, "last unlocked admin");
        refused(remove(app, &operator, by, id).await, ProblemKind::NotPossible, "last unlocked admin");
        assert_eq!(read(app, id).await.unwrap(), ann.user);
    }
}

#[tokio::test]
async fn locking_ends_everything_at_once_and_unlocking_brings_nothing_back() {
    for world in World::both().await {
        let (ann, bo) = admins(&world).await;
        let (token, _) = world.machine(&bo.user, &[Role::Viewer]).await;
        let operator = world.operator(&ann.caller);
        let reason = Some("  laptop stolen ");
        let locked = lock(&world.app, &operator, &ann.caller, bo.user.id, reason).await.unwrap();
        assert!(locked.locked);
        let event = world.events().await.pop().unwrap();
        assert_eq!(event.reason.as_deref(), Some("laptop stolen"));
        assert_eq!(
            (&event.before.unwrap()["locked"], &event.after.unwrap()["locked"]),
            (&json!(false), &json!(true))
        );
        assert!(
            matches!(&world.told()[..], [Notice::Locked { reason: Some(reason), .. }] if reason == "laptop stolen")
        );
        assert!(world.caller(&bo.secret).await.is_err());
        lock(&world.app, &operator, &ann.caller, bo.user.id, None).await.unwrap();
        assert!(world.told().is_empty(), "nobody is told twice");
        assert!(!unlock(&world.app, &operator, bo.user.id).await.unwrap().locked);
        assert!(matches!(&world.told()[..], [Notice::Unlocked { .. }]));
        assert!(world.caller(&bo.secret).await.is_err());
        assert!(world.app.store.tokens().by_id(token.id).await.unwrap().unwrap().revoked.is_some());
    }
}

#[tokio::test]
async fn somebody_removed_is_gone() {
    for world in World::both().await {
        let (ann, bo) = admins(&world).await;
        let operator = world.operator(&ann.caller);
        remove(&world.app, &operator, &ann.caller, bo.user.id).await.unwrap();
        let (action, was, is) = world.last().await;
        assert_eq!(
            (action.as_str(), &was["email"], is),
            ("gateway:user:remove", &json!("bo@example.com"), json!(null))
        );
        assert!(matches!(&world.told()[..], [Notice::Removed { .. }]));
        assert!(world.caller(&bo.secret).await.is_err());
        let again = remove(&world.app, &operator, &ann.caller, bo.user.id).await;
        refused(again, ProblemKind::NotFound, "nobody with this id");
    }
}

/// No effect without its record.
#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    for world in World::both().await {
        let (ann, bo) = admins(&world).await;
        let operator = world.operator(&ann.caller);
        world.app.store.audit().close().await.unwrap();
        let (app, by, id) = (&world.app, &ann.caller, bo.user.id);
        let kind = ProblemKind::CannotRecord;
        refused(lock(app, &operator, by, id, None).await, kind, "store");
        refused(remove(app, &operator, by, id).await, kind, "store");
        refused(update(app, &operator, by, id, Expected::Any, to("ops")).await, kind, "store");
        refused(invite(app, &operator, by, invitation("cy@example.com", "ops")).await, kind, "store");
        assert_eq!(read(app, id).await.unwrap(), bo.user);
        assert_eq!(
            (find(app, &UserFilter::default(), None, 10).await.unwrap().items.len(), world.told().len()),
            (2, 0)
        );
    }
}
