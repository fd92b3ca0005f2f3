use std::sync::Arc;

use gateway_audit::VerdictRecord;
use gateway_policy::PolicySource;
use gateway_store::StoreError;
use gateway_types::{Channel, Facts, ProblemKind, Resource, Role, Timestamp};

use super::*;
use crate::rules::RulesInForce;
use crate::tests::{Person, World, refused};

const NO_RESTARTS: &str = r#"@id("no-restarts") @needs("a calm weekend")
forbid (principal, action == Action::"convox:service:restart", resource);"#;

/// Each test exchanges policies, so each has its own.
async fn worlds() -> [World; 2] {
    World::both().await.map(|mut world| {
        world.app.rules = Arc::new(RulesInForce::new((*world.app.rules.load()).clone()));
        world
    })
}

async fn put(world: &World, person: &Person, id: &str, text: &str) -> Result<Listed, PolicyChangeError> {
    write(&world.app, &world.operator(&person.caller), id, text, Expected::Any).await
}

fn may_restart(world: &World, person: &Person) -> bool {
    world.app.could(&person.caller, "convox:service:restart", &Resource::app("web"), false)
}

fn version_of(listed: &Listed) -> i64 {
    match &listed.place {
        Place::Database(document) => document.version,
        Place::BuiltIn | Place::File => panic!("{listed:?}"),
    }
}

#[tokio::test]
async fn a_document_is_in_force_once_written_and_out_of_it_once_removed() {
    for world in worlds().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        assert!(may_restart(&world, &ann));
        let at_first = world.app.policy().version().to_owned();
        let written = put(&world, &ann, "weekend", NO_RESTARTS).await.unwrap();
        assert_eq!(written.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["no-restarts"]);
        assert!(!may_restart(&world, &ann));
        let (action, before, after) = world.last().await;
        assert_eq!(
            (action.as_str(), before, after),
            ("gateway:policy:update", Value::Null, NO_RESTARTS.into())
        );

        let listed = list(&world.app).await.unwrap();
        assert_eq!(
            listed.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(),
            ["default.cedar", "weekend"]
        );
        let operator = world.operator(&ann.caller);
        let expected = Expected::Version(version_of(&written) + 1);
        let stale = remove(&world.app, &operator, "weekend", expected).await;
        assert!(matches!(stale, Err(PolicyChangeError::Store(StoreError::Conflict))));
        remove(&world.app, &operator, "weekend", Expected::Version(version_of(&written))).await.unwrap();
        assert!(may_restart(&world, &ann));
        assert_eq!(world.app.policy().version(), at_first);
        let (action, before, after) = world.last().await;
        assert_eq!(
            (action.as_str(), before, after),
            ("gateway:policy:remove", NO_RESTARTS.into(), Value::Null)
        );
        let gone = remove(&world.app, &operator, "weekend", Expected::Any).await;
        refused(gone, ProblemKind::NotFound, "`weekend`");
    }
}

/// Checklist L9: the whole set or none of it; a bad one keeps the old one in force.
#[tokio::test]
async fn l9_a_bad_document_changes_nothing() {
    for world in worlds().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        put(&world, &ann, "weekend", NO_RESTARTS).await.unwrap();
        let (version, events) = (world.app.policy().version().to_owned(), world.events().await.len());
        let bad = ProblemKind::BadParameter;
        for (id, text, words) in [
            ("a", "permit (principal, action", "well-formed"),
            ("a", r#"@id("x") permit (principal, action, resource) when { context.sudo };"#, "schema"),
            ("a", r#"@id("x") permit (principal, action == Action::"convox:app:fly", resource);"#, "fly"),
            ("a", NO_RESTARTS, "is used in"),
            ("a", "// nothing", "no policy"),
            ("A b", NO_RESTARTS, "id has"),
            ("..", NO_RESTARTS, "id has"),
        ] {
            refused(put(&world, &ann, id, text).await, bad, words);
        }
        let long = format!("{NO_RESTARTS}//{}", "x".repeat(LONGEST_TEXT));
        refused(put(&world, &ann, "weekend", &long).await, bad, "at most");
        assert_eq!(world.app.policy().version(), version);
        assert_eq!(world.events().await.len(), events, "what is not made is not recorded as made");
        assert!(!may_restart(&world, &ann));
    }
}

/// Checklist L9: a set that came into the database by another way is put in force whole, or not at all and
/// that is said.
#[tokio::test]
async fn l9_another_instances_change_is_put_in_force_or_the_fault_is_told() {
    for world in worlds().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        assert_eq!(reload(&world.app).await.unwrap(), Reloaded::Unchanged);
        let policies = world.app.store.policies();
        let good = policies.set("weekend", NO_RESTARTS, None, "bo").await.unwrap();
        assert_eq!(reload(&world.app).await.unwrap(), Reloaded::Exchanged);
        assert_eq!(reload(&world.app).await.unwrap(), Reloaded::Unchanged);
        assert!(!may_restart(&world, &ann));

        let bad = policies.set("weekend", "permit (", Some(good.version), "bo").await.unwrap();
        assert!(matches!(reload(&world.app).await, Err(ReloadError::NotLoadable(_))));
        assert!(!may_restart(&world, &ann), "the set before is in force");
        assert!(world.app.health.policy_fault().unwrap().contains("weekend"));
        assert_eq!(reload(&world.app).await.unwrap(), Reloaded::Unchanged, "it is not tried again and again");

        policies.remove("weekend", bad.version).await.unwrap();
        assert_eq!(reload(&world.app).await.unwrap(), Reloaded::Exchanged);
        assert!(may_restart(&world, &ann));
        assert_eq!(world.app.health.policy_fault(), None);
    }
}

#[tokio::test]
async fn a_set_that_no_admin_could_take_back_is_refused() {
    for world in worlds().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let not_possible = ProblemKind::NotPossible;
        for (text, words) in [
            (r#"@id("x") forbid (principal, action, resource);"#, "sign in"),
            (
                r#"@id("x") forbid (principal, action == Action::"gateway:policy:remove", resource);"#,
                "remove",
            ),
            (
                r#"@id("x") forbid (principal is User, action in Action::"class:critical", resource) when { context.channel == "api" };"#,
                "policy:update",
            ),
            (
                r#"@id("x") forbid (principal, action in Action::"gateway:auth:step_up", resource);"#,
                "step_up",
            ),
            (
                r#"@id("x") forbid (principal is User, action, resource) when { principal.email == "ann@example.com" };"#,
                "ann@example.com",
            ),
            (
                r#"@id("x") forbid (principal, action, resource) when { context.weekday >= 1 };"#,
                "at no hour of Monday",
            ),
            (
                r#"@id("x") forbid (principal is User, action, resource) when { context.weekday == 7 && context.hour >= 0 };"#,
                "at no hour of Sunday",
            ),
        ] {
            refused(put(&world, &ann, "trap", text).await, not_possible, words);
        }
        // A rule may close some hours.
        let evenings = r#"@id("evenings") forbid (principal, action, resource) when { context.hour >= 18 && context.hour < 24 };"#;
        put(&world, &ann, "evenings", evenings).await.unwrap();
        // With another admin who still can, it is nobody's trap.
        let bo = world.person("bo", &[Role::Admin]).await;
        let only_ann = r#"@id("x") forbid (principal is User, action, resource) when { principal.email == "ann@example.com" };"#;
        put(&world, &ann, "trap", only_ann).await.unwrap();
        assert!(!may_restart(&world, &ann) && may_restart(&world, &bo));
        // A locked admin does not count.
        world.app.store.users().lock(bo.user.id).await.unwrap();
        refused(put(&world, &ann, "weekend", NO_RESTARTS).await, not_possible, "ann@example.com");
    }
}

#[tokio::test]
async fn a_check_tells_faults_with_their_place_and_changes_nothing() {
    let [world, _] = worlds().await;
    let ann = world.person("ann", &[Role::Admin]).await;
    put(&world, &ann, "weekend", NO_RESTARTS).await.unwrap();
    let version = world.app.policy().version().to_owned();
    let faults = async |id: &str, text: Option<&str>| check(&world.app, id, text, 10).await.unwrap().faults;
    let syntax = faults("a", Some("// fine\n@id(\"x\") permit (principle, action, resource);")).await;
    assert_eq!(syntax[0].place.map(|(line, _)| line), Some(2), "{syntax:?}");
    let schema =
        faults("a", Some("@id(\"x\")\npermit (principal, action, resource)\nwhen { context.sudo };")).await;
    assert!(schema[0].message.contains("policy `x`") && schema[0].place.is_some(), "{schema:?}");
    assert!(faults("nothing", None).await[0].message.contains("`nothing`"));
    assert!(faults("A", Some(NO_RESTARTS)).await[0].message.contains("id has"));
    let trap = faults("trap", Some(r#"@id("x") forbid (principal, action, resource);"#)).await;
    assert!(trap[0].message.contains("undo"), "{trap:?}");
    // Each of what it takes to sign in, a factor at sign-in among it.
    for action in ["login", "factor", "token"] {
        let text =
            format!("@id(\"x\") forbid (principal, action == Action::\"gateway:auth:{action}\", resource);");
        let trap = faults("trap", Some(&text)).await;
        assert!(trap[0].message.contains("undo"), "{action}: {trap:?}");
    }
    assert_eq!(world.app.policy().version(), version);
}

#[tokio::test]
async fn a_check_tells_who_gains_and_who_loses() {
    let [world, other] = worlds().await;
    drop(other);
    let ann = world.person("ann", &[Role::Admin]).await;
    let bo = world.person("bo", &[Role::Ops]).await;
    // What bo did lately, twice, and what ann did.
    for (person, route, action) in [
        (&bo, "POST /apps/{app}/services/{service}/restart", "convox:service:restart"),
        (&bo, "POST /apps/{app}/services/{service}/restart", "convox:service:restart"),
        (&ann, "GET /apps", "convox:app:list"),
    ] {
        let engine = world.app.policy();
        let operation = engine.operations().iter().find(|one| &*one.route == route).unwrap();
        let resource = if route.contains("{app}") { Resource::app("web") } else { Resource::rack() };
        let facts = Facts { mfa_window: true, mfa_enrolled: true, ..Facts::default() };
        let verdict = engine.decide(&person.caller, operation, &resource, &facts);
        let mut event = world.operator(&person.caller).event(action);
        (event.route, event.resource) = (Some(route.to_owned()), resource);
        event.channel = Some(Channel::RackProxy);
        event.verdict = Some(VerdictRecord::new(&verdict, &facts));
        world.app.store.audit().append(event).await.unwrap();
    }
    let loses = check(&world.app, "weekend", Some(NO_RESTARTS), 1000).await.unwrap();
    assert!(loses.faults.is_empty(), "{:?}", loses.faults);
    assert_eq!((loses.replayed.replayed, loses.replayed.changes.len()), (3, 1));
    let change = &loses.replayed.changes[0];
    assert_eq!((change.actor.as_str(), change.seen.count), ("bo@example.com", 2));
    assert_eq!((change.before.as_str(), change.after.as_str()), ("yes", "role"));
    assert_eq!((change.effect, change.seen.examples.len()), (Effect::Loses, 2));
    // In pieces it is the same, and no piece reads the log twice.
    let mut period = Period { most: 2, ..Period::default() };
    let (mut pieces, mut replayed, mut lost) = (0, 0, 0);
    loop {
        let part = check(&world.app, "weekend", Some(NO_RESTARTS), period).await.unwrap();
        assert_eq!(part.roles.is_empty(), pieces > 0, "by role once");
        replayed += part.replayed.replayed;
        lost += part.replayed.changes.iter().map(|change| change.seen.count).sum::<u64>();
        pieces += 1;
        match part.replayed.reached.next {
            Some(next) => period.before = Some(next),
            None => break,
        }
    }
    assert_eq!((replayed, lost), (3, 2), "in {pieces} pieces");
    let later = Timestamp::from_micros(world.app.clock.now().micros() + 1);
    let none = Period { since: Some(later), most: 9, before: None };
    assert_eq!(check(&world.app, "weekend", Some(NO_RESTARTS), none).await.unwrap().replayed.replayed, 0);
    // What observing it would do: nobody loses anything, and what they would lose is told.
    let observed = NO_RESTARTS.replace("@needs", "@mode(\"observe\") @needs");
    let observed = check(&world.app, "weekend", Some(&observed), 1000).await.unwrap();
    let change = &observed.replayed.changes[0];
    assert_eq!((change.after.as_str(), change.effect), ("yes, observed", Effect::Changes));
    let of = |who: &str| loses.roles.iter().find(|change| change.who == who);
    assert!(loses.roles.iter().all(|change| change.action == "convox:service:restart"));
    assert_eq!(
        of("ops").map(|change| (change.before.as_str(), change.after.as_str())),
        Some(("step_up", "role"))
    );
    assert_eq!(of("viewer"), None, "who could not do it before loses nothing");
    let gains = r#"@id("x") permit (principal in Role::"viewer", action == Action::"convox:service:restart", resource);"#;
    let gains = check(&world.app, "more", Some(gains), 0).await.unwrap();
    assert!(gains.roles.iter().any(|change| change.who == "viewer" && change.before == "role"));
    assert!(gains.replayed.changes.is_empty());
}

/// What files say stays in force whatever the database says.
#[tokio::test]
async fn files_stay() {
    let [mut world, _] = worlds().await;
    let operations = world.app.policy().operations().to_vec();
    let file = PolicySource { name: "default.cedar".to_owned(), text: NO_RESTARTS.to_owned() };
    world.app.rules = Arc::new(RulesInForce::of_policy(PolicyEngine::new(operations, &[file]).unwrap()));
    let ann = world.person("ann", &[Role::Admin]).await;
    let version = world.app.policy().version().to_owned();
    let other = r#"@id("other") forbid (principal, action == Action::"convox:app:create", resource);"#;
    put(&world, &ann, "other", other).await.unwrap();
    assert!(!may_restart(&world, &ann), "also a file that is called like the built-in one");
    let places: Vec<_> = list(&world.app).await.unwrap().into_iter().map(|one| one.place).collect();
    assert!(matches!(places[..], [Place::BuiltIn, Place::File, Place::Database(_)]), "{places:?}");
    remove(&world.app, &world.operator(&ann.caller), "other", Expected::Any).await.unwrap();
    assert_eq!(world.app.policy().version(), version);
}
