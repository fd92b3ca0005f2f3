use gateway_types::{ProblemKind, RemedyKind};

use super::*;
use crate::notify::Notice;
use crate::tests::{Person, World, refused};

fn asked(role: Role, app: Option<&str>) -> Request {
    Request {
        role,
        app: app.map(str::to_owned),
        length: Duration::from_secs(3600),
        reason: "a fix".to_owned(),
    }
}

async fn ask(world: &World, person: &Person, asked: Request) -> Result<Elevation, ElevationError> {
    request(&world.app, &world.operator(&person.caller), &person.caller, asked).await
}

async fn approved(world: &World, by: &Person, id: ElevationId) -> Result<Elevation, ElevationError> {
    approve(&world.app, &world.operator(&by.caller), &by.caller, id).await
}

fn may_restart(world: &World, person: &Person, app: &str) -> bool {
    world.app.could(&person.caller, "convox:service:restart", &Resource::app(app), false)
}

#[tokio::test]
async fn it_is_asked_for_approved_by_another_and_over_by_itself() {
    for world in World::both().await {
        let vi = world.person("vi", &[Role::Viewer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let made = ask(&world, &vi, asked(Role::Ops, Some("web"))).await.unwrap();
        let (action, before, after) = world.last().await;
        assert_eq!((action.as_str(), before), ("gateway:elevation:request", Value::Null));
        assert_eq!(after["state"], "waiting");
        assert!(
            matches!(&world.told()[..], [Notice::ElevationAsked { email, .. }] if email == "vi@example.com")
        );
        assert!(!may_restart(&world, &vi, "web"));
        let live = approved(&world, &ann, made.id).await.unwrap();
        assert_eq!(live.state, ElevationState::Live);
        assert!(matches!(&world.told()[..], [Notice::ElevationDecided { approved: true, .. }]));
        assert!(may_restart(&world, &vi, "web") && !may_restart(&world, &vi, "api"));
        assert!(!world.app.could(&vi.caller, "gateway:user:list", &Resource::gateway(), false));
        world.clock.advance(Duration::from_secs(3600));
        assert!(!may_restart(&world, &vi, "web"), "by the clock, whoever read the database");
        tidy(&world.app.store, &Operator::system(&*world.app.clock, &*world.app.entropy)).await.unwrap();
        let (action, _, after) = world.last().await;
        assert_eq!((action.as_str(), &after["state"]), ("gateway:elevation:end", &json!("expired")));
    }
}

/// An approval counts as long as whoever gave it may give one.
#[tokio::test]
async fn approvals_of_who_was_demoted_do_not_count() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let bo = world.person("bo", &[Role::Admin]).await;
        let cy = world.person("cy", &[Role::Admin]).await;
        let vi = world.person("vi", &[Role::Viewer]).await;
        let global = gateway_store::SettingScope::Global;
        world.app.store.settings().set(&global, "elevation_quorum", "2", None, "bo").await.unwrap();
        world.app.settings.refresh(&world.app.store).await.unwrap();
        let made = ask(&world, &vi, asked(Role::Ops, None)).await.unwrap();
        approved(&world, &ann, made.id).await.unwrap();
        let viewer = gateway_types::RoleSet::of(Role::Viewer);
        world.app.store.users().set_roles(ann.user.id, viewer, ann.user.version).await.unwrap();
        let still = approved(&world, &bo, made.id).await.unwrap();
        assert_eq!((still.state, still.approved_by.len()), (ElevationState::Waiting, 1));
        assert_eq!(approved(&world, &cy, made.id).await.unwrap().state, ElevationState::Live);
    }
}

#[tokio::test]
async fn nobody_approves_their_own_and_the_quorum_counts() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Ops, Role::Admin]).await;
        let bo = world.person("bo", &[Role::Admin]).await;
        let vi = world.person("vi", &[Role::Viewer]).await;
        let made = ask(&world, &vi, asked(Role::Admin, None)).await.unwrap();
        refused(approved(&world, &vi, made.id).await, ProblemKind::Refused, "nobody approves their own");
        let settings = world.app.store.settings();
        let global = gateway_store::SettingScope::Global;
        settings.set(&global, "elevation_quorum", "2", None, "bo").await.unwrap();
        world.app.settings.refresh(&world.app.store).await.unwrap();
        assert_eq!(approved(&world, &ann, made.id).await.unwrap().state, ElevationState::Waiting);
        refused(approved(&world, &ann, made.id).await, ProblemKind::NotPossible, "already");
        assert_eq!(approved(&world, &bo, made.id).await.unwrap().state, ElevationState::Live);
        refused(approved(&world, &bo, made.id).await, ProblemKind::NotPossible, "live");
        let ended = end(&world.app, &world.operator(&vi.caller), made.id).await.unwrap();
        assert_eq!(ended.state, ElevationState::Ended);
        assert!(!may_restart(&world, &vi, "web"));
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for() {
    for world in World::both().await {
        let vi = world.person("vi", &[Role::Viewer]).await;
        let bad = ProblemKind::BadParameter;
        let of = |change: fn(&mut Request)| {
            let mut request = asked(Role::Ops, None);
            change(&mut request);
            request
        };
        refused(ask(&world, &vi, of(|r| r.role = Role::Cicd)).await, bad, "cannot be had");
        refused(ask(&world, &vi, of(|r| r.role = Role::Auditor)).await, bad, "cannot be had");
        refused(ask(&world, &vi, of(|r| r.app = Some("../x".to_owned()))).await, bad, "app's name");
        refused(ask(&world, &vi, of(|r| r.length = Duration::from_secs(5 * 3600))).await, bad, "at most 4h");
        refused(ask(&world, &vi, of(|r| r.length = Duration::ZERO)).await, bad, "at least");
        refused(ask(&world, &vi, of(|r| r.reason = " ".to_owned())).await, bad, "say why");
        refused(ask(&world, &vi, of(|r| r.reason = "a\u{202e}b".to_owned())).await, bad, "say why");
        refused(ask(&world, &vi, asked(Role::Viewer, None)).await, bad, "cannot be had");
        let ann = world.person("ann", &[Role::Deployer]).await;
        refused(ask(&world, &ann, asked(Role::Ops, None)).await, ProblemKind::NotPossible, "already");
        let (_, machine) = world.machine(&vi.user, &[Role::Viewer]).await;
        let by_machine =
            request(&world.app, &world.operator(&machine), &machine, asked(Role::Ops, None)).await;
        refused(by_machine, ProblemKind::Refused, "for people");
        for _open in 0..MOST_OPEN {
            ask(&world, &vi, asked(Role::Ops, None)).await.unwrap();
        }
        refused(ask(&world, &vi, asked(Role::Ops, None)).await, ProblemKind::NotPossible, "end one first");
    }
}

/// A creator's elevation is theirs: their tokens do not rise with them.
#[tokio::test]
async fn a_token_does_not_rise_with_its_creator() {
    for world in World::both().await {
        let vi = world.person("vi", &[Role::Viewer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let (_, machine) = world.machine(&vi.user, &[Role::Ops]).await;
        let made = ask(&world, &vi, asked(Role::Ops, None)).await.unwrap();
        approved(&world, &ann, made.id).await.unwrap();
        assert!(may_restart(&world, &vi, "web"));
        assert!(!world.app.could(&machine, "convox:service:restart", &Resource::app("web"), false));
    }
}

/// Who is demoted below viewer, or asks again and again.
#[tokio::test]
async fn an_elevation_falls_with_the_role_that_it_stands_on() {
    for world in World::both().await {
        let vi = world.person("vi", &[Role::Viewer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let made = ask(&world, &vi, asked(Role::Ops, None)).await.unwrap();
        approved(&world, &ann, made.id).await.unwrap();
        assert!(may_restart(&world, &vi, "web"));
        let users = world.app.store.users();
        users.set_roles(vi.user.id, gateway_types::RoleSet::EMPTY, vi.user.version).await.unwrap();
        let demoted = Person { caller: world.caller(&vi.secret).await.unwrap(), ..vi };
        assert!(!may_restart(&world, &demoted, "web"));
        let bo = world.person("bo", &[Role::Viewer]).await;
        for _again in 0..MOST_IN_AN_HOUR {
            let made = ask(&world, &bo, asked(Role::Ops, None)).await.unwrap();
            end(&world.app, &world.operator(&bo.caller), made.id).await.unwrap();
        }
        let again = ask(&world, &bo, asked(Role::Ops, None)).await;
        refused(again, ProblemKind::NotPossible, "within an hour");
        world.clock.advance(Duration::from_secs(3600));
        ask(&world, &bo, asked(Role::Ops, None)).await.unwrap();
    }
}

/// Switched off, they are no remedy, and those that are live give nothing.
#[tokio::test]
async fn elevations_can_be_switched_off() {
    for world in World::both().await {
        let vi = world.person("vi", &[Role::Viewer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let made = ask(&world, &vi, asked(Role::Ops, None)).await.unwrap();
        approved(&world, &ann, made.id).await.unwrap();
        let can = |world: &World| {
            let engine = world.app.policy();
            let (resource, facts) = (Resource::app("web"), gateway_types::Facts::default());
            let circumstances = world.app.circumstances();
            let action = "convox:app:update";
            crate::explain::can_i(&engine, circumstances, &vi.caller, action, &resource, &facts).unwrap().1
        };
        let offered = |world: &World| can(world).remedies.iter().any(|one| one.kind == RemedyKind::Elevation);
        assert!(offered(&world), "{:?}", can(&world));
        let global = gateway_store::SettingScope::Global;
        world.app.store.settings().set(&global, "elevations", "false", None, "bo").await.unwrap();
        world.app.settings.refresh(&world.app.store).await.unwrap();
        assert!(!may_restart(&world, &vi, "web") && !offered(&world));
        refused(ask(&world, &vi, asked(Role::Ops, None)).await, ProblemKind::NotPossible, "switched off");
    }
}
