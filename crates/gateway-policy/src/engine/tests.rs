use gateway_types::{Channel, Cicd, Class, CredentialKind, Grant, LowestRole, Role, RoleSet, StepUp};

use super::*;
use crate::sample::{
    ALICE, BOB, ENGINE, anonymous, critical_grant, engine, enrolled, operations, person, resource_of, role,
    row, stepped_up, token, word,
};

mod cookbook;
mod loading;

/// Asks about the row's usual resource.
fn decide(engine: &PolicyEngine, caller: &Caller, route: &str, facts: &Facts) -> Verdict {
    let operation = row(route);
    engine.decide(caller, &operation, &resource_of(&operation), facts)
}

fn check(caller: &Caller, route: &str, facts: &Facts, expected: &str) {
    let verdict = decide(&ENGINE, caller, route, facts);
    let policies = verdict.rules.join(",");
    assert_eq!(format!("{} by {policies}", word(&verdict)), expected, "{route}: {}", verdict.reason);
    assert_eq!(verdict.policy_version, ENGINE.version());
    assert!(!verdict.reason.contains('%') && verdict.reason.ends_with('.'), "{}", verdict.reason);
}

#[test]
fn people_by_role() {
    let none = Facts::default();
    check(&person(role(Role::Viewer)), "GET /apps", &none, "allow by viewer");
    check(&person(role(Role::Admin)), "GET /apps", &none, "allow by viewer");
    check(&person(RoleSet::EMPTY), "GET /apps", &none, "role by ");
    check(&person(role(Role::Auditor)), "GET /apps", &none, "role by ");
    check(&person(role(Role::Viewer)), "GET /apps/{app}/releases", &none, "role by ");
    check(&person(role(Role::Ops)), "GET /apps/{app}/releases", &none, "allow by ops");
    check(&person(role(Role::Admin)), "GET /audit", &none, "role by ");
    check(&person(role(Role::Admin).with(Role::Auditor)), "GET /audit", &none, "allow by auditor");
}

#[test]
fn cicd_is_nothing_to_a_person() {
    let approved = Facts { approval_matches: true, ..stepped_up() };
    check(&person(role(Role::Cicd)), "POST /apps/{app}/releases/{id}/promote", &approved, "role by ");
    check(&person(role(Role::Cicd)), "GET /apps", &approved, "role by ");
}

#[test]
fn nobody_without_a_credential_but_where_it_is_open() {
    check(&anonymous(), "GET /auth/login", &Facts::default(), "allow by public");
    check(&anonymous(), "GET /apps", &stepped_up(), "signin by sign-in-first");
    check(
        &anonymous(),
        "GET /me",
        &Facts { own_object: true, ..Facts::default() },
        "signin by sign-in-first",
    );
    let verdict = decide(&ENGINE, &anonymous(), "GET /apps", &Facts::default());
    assert_eq!(verdict.layer, Layer::Authentication);
    assert!(verdict.remedies.is_empty());
}

#[test]
fn step_up_within_the_window() {
    let (deployer, route) = (person(role(Role::Deployer)), "POST /apps/{app}/releases");
    check(&deployer, route, &enrolled(), "step_up by step-up");
    check(&deployer, route, &Facts::default(), "enrol by step-up");
    check(&deployer, route, &Facts { mfa_window: true, ..enrolled() }, "allow by deployer");
    check(&deployer, route, &Facts { mfa_bound: true, ..enrolled() }, "allow by deployer");
    check(&deployer, route, &Facts { mfa_off: true, ..Facts::default() }, "allow by deployer");
    assert_eq!(decide(&ENGINE, &deployer, route, &enrolled()).layer, Layer::Mfa);
    // A factor would not help a viewer, so none is asked for.
    check(&person(role(Role::Viewer)), route, &enrolled(), "role by ");
    let verdict = decide(&ENGINE, &person(role(Role::Viewer)), route, &enrolled());
    assert_eq!(verdict.layer, Layer::Authorization);
    assert_eq!(verdict.reason, "This needs the role deployer.");
}

#[test]
fn step_up_for_this_very_action() {
    let (admin, route) = (person(role(Role::Admin)), "POST /users");
    check(&admin, route, &enrolled(), "step_up_bound by step-up-bound");
    check(&admin, route, &Facts { mfa_window: true, ..enrolled() }, "step_up_bound by step-up-bound");
    check(&admin, route, &Facts::default(), "enrol by step-up-bound");
    check(&admin, route, &stepped_up(), "allow by admin");
    check(&admin, route, &Facts { mfa_off: true, ..Facts::default() }, "allow by admin");
    let verdict = decide(&ENGINE, &admin, route, &Facts::default());
    assert_eq!(
        verdict.reason,
        "This needs a second factor confirmed for this very action. You have no second factor yet: enrol one first."
    );
}

#[test]
fn the_first_factor_needs_no_factor() {
    let own = Facts { own_object: true, ..Facts::default() };
    let route = "POST /me/factors/{kind}";
    check(&person(RoleSet::EMPTY), route, &own, "allow by own");
    let second = Facts { mfa_enrolled: true, ..own.clone() };
    check(&person(RoleSet::EMPTY), route, &second, "step_up by step-up");
    check(&person(RoleSet::EMPTY), "PUT /me/factors/{id}", &own, "enrol by step-up");
}

#[test]
fn deleting_an_app_takes_a_factor_and_a_setting() {
    let (admin, route) = (person(role(Role::Admin)), "DELETE /apps/{app}");
    check(&admin, route, &enrolled(), "step_up_bound+setting by destructive,step-up-bound");
    check(&admin, route, &stepped_up(), "setting by destructive");
    let allowed = Facts { destructive_allowed: true, ..enrolled() };
    check(&admin, route, &allowed, "step_up_bound by step-up-bound");
    check(&admin, route, &Facts { destructive_allowed: true, ..stepped_up() }, "allow by admin");
    assert_eq!(decide(&ENGINE, &admin, route, &enrolled()).layer, Layer::Authorization);
    assert_eq!(
        decide(&ENGINE, &admin, route, &enrolled()).reason,
        "This needs a second factor confirmed for this very action; and destructive actions switched on in the settings of this app."
    );
    check(&person(role(Role::Deployer)), route, &stepped_up(), "role by ");
}

#[test]
fn parameters_that_ask_for_more() {
    let with = |name: &str| Facts { sensitive_parameters: [name.to_owned()].into(), ..stepped_up() };
    let admin = person(role(Role::Admin));
    let (build, start) = ("POST /apps/{app}/builds", "POST /apps/{app}/services/{service}/processes");
    check(&admin, build, &stepped_up(), "allow by deployer");
    check(&admin, build, &with("external"), "setting by external-build");
    let switched = Facts { external_builds_allowed: true, ..with("external") };
    check(&admin, build, &switched, "allow by deployer");
    check(&admin, build, &with("foreign-url"), "role by build-source");
    for name in ["image", "volumes", "privileged", "environment"] {
        check(&admin, start, &with(name), "role by process-start-parameters");
    }
    check(&admin, start, &with("somethingelse"), "allow by ops");
    check(&admin, "POST /apps/{app}/objects/{key*}", &with("public"), "role by object-public");
    let ci = token(role(Role::Cicd), &[Grant::everything()], role(Role::Admin));
    let approved = Facts { approval_matches: true, ..with("image") };
    check(&ci, start, &approved, "role by process-start-parameters");
}

#[test]
fn one_s_own_and_others() {
    let own = Facts { own_object: true, ..stepped_up() };
    let viewer = person(role(Role::Viewer));
    check(&viewer, "GET /me", &own, "allow by own");
    check(&viewer, "GET /me", &stepped_up(), "role by ");
    check(&person(RoleSet::EMPTY), "GET /me", &own, "allow by own");
    check(&viewer, "GET /tokens", &stepped_up(), "role by ");
    check(&person(role(Role::Admin)), "GET /tokens", &stepped_up(), "allow by admin-others");
    check(&viewer, "GET /audit", &own, "allow by own-records");
    check(&viewer, "GET /recordings", &own, "allow by own-records");
    check(&viewer, "GET /audit/{index}", &own, "role by ");
    check(
        &person(role(Role::Auditor)),
        "GET /policy/why/{request_id}",
        &stepped_up(),
        "allow by auditor-why",
    );
    check(&person(role(Role::Ops)), "POST /policy/can", &stepped_up(), "allow by ops-can");
    check(&viewer, "POST /policy/can", &stepped_up(), "role by ");
    check(&person(role(Role::Auditor)), "GET /log/checkpoint", &Facts::default(), "allow by signed-in");
    check(&person(role(Role::Deployer)), "POST /tokens", &own, "allow by deployer");
    check(&person(role(Role::Deployer)), "POST /tokens", &stepped_up(), "role by token-for-others");
    check(&person(role(Role::Admin)), "POST /tokens", &stepped_up(), "allow by deployer");
    let approve = "POST /approvals/{id}/approve";
    check(&person(role(Role::Admin)), approve, &own, "role by requester-is-not-approver");
    check(&person(role(Role::Admin)), approve, &stepped_up(), "allow by admin");
}

#[test]
fn tokens_end_where_their_grants_end() {
    let admin = role(Role::Admin);
    let limited = |grants: &[Grant]| token(admin, grants, admin);
    let on = |actions: &str, apps: &[&str]| Grant {
        actions: actions.to_owned(),
        apps: apps.iter().map(|app| (*app).to_owned()).collect(),
        critical: false,
    };
    let none = Facts::default();
    check(&limited(&[]), "GET /apps", &none, "role by token-grant");
    check(&limited(&[on("convox:app:list", &[])]), "GET /apps", &none, "allow by viewer");
    check(&limited(&[on("convox:app:*", &["myapp"])]), "GET /apps/{app}", &none, "allow by viewer");
    check(&limited(&[on("convox:app:*", &["other"])]), "GET /apps/{app}", &none, "role by token-grant");
    check(&limited(&[on("convox:app:*", &["myapp"])]), "GET /apps", &none, "role by token-grant");
    check(&limited(&[]), "GET /auth/login", &none, "allow by public");
    // Machines have no factor: a change takes a grant, and what is said about factors is not believed.
    check(&limited(&[Grant::everything()]), "POST /apps/{app}/releases", &none, "allow by deployer");
    let destructive = Facts { destructive_allowed: true, ..stepped_up() };
    let route = "DELETE /apps/{app}";
    check(&limited(&[Grant::everything()]), route, &destructive, "role by token-critical-grant");
    check(&limited(&[critical_grant()]), route, &destructive, "allow by admin");
    check(&limited(&[critical_grant()]), route, &none, "setting by destructive");
}

#[test]
fn tokens_end_where_their_creator_ends() {
    let all = [critical_grant()];
    let made_by = |creator| token(role(Role::Admin), &all, creator);
    let none = Facts::default();
    let route = "POST /apps/{app}/releases";
    check(&made_by(role(Role::Deployer)), route, &none, "allow by deployer");
    check(&made_by(role(Role::Ops)), route, &none, "role by token-within-creator");
    check(&made_by(RoleSet::EMPTY), "GET /apps", &none, "role by token-within-creator");
    check(&made_by(role(Role::Cicd)), "GET /apps", &none, "role by token-within-creator");
    check(&token(role(Role::Viewer), &all, role(Role::Admin)), route, &none, "role by ");
}

fn here(role: &str) -> Facts {
    Facts { roles_here: [role.to_owned()].into(), ..stepped_up() }
}

#[test]
fn what_is_held_for_a_while_or_at_a_place_does_not_set_the_gateway() {
    let viewer = person(role(Role::Viewer));
    let elevated = Facts { elevated: role(Role::Admin), ..stepped_up() };
    check(&viewer, "PUT /apps/{app}/settings", &elevated, "role by ");
    check(&viewer, "PUT /apps/{app}/settings", &here("admin"), "role by ");
    let destructive = |facts: Facts| Facts { destructive_allowed: true, ..facts };
    check(&viewer, "DELETE /apps/{app}", &destructive(elevated), "allow by elevated-admin");
    check(&viewer, "DELETE /apps/{app}", &destructive(here("admin")), "allow by granted-admin");
}

#[test]
fn a_token_falls_with_its_creators_roles_at_a_place_and_does_not_rise_with_them() {
    let machine = |roles, creator| token(roles, &[critical_grant()], creator);
    let (admin, viewer) = (role(Role::Admin), role(Role::Viewer));
    check(
        &machine(admin, viewer),
        "POST /apps/{app}/releases",
        &here("admin"),
        "role by token-within-creator",
    );
    check(&machine(viewer, admin), "POST /apps/{app}/releases", &here("admin"), "role by ");
    let frozen = engine(
        "@id(\"frozen\") forbid(principal is User, action in Action::\"class:change\", resource) \
         when { context.roles_here.contains(\"frozen\") };",
    );
    let route = "POST /apps/{app}/releases";
    assert_eq!(decide(&frozen, &person(admin), route, &here("frozen")).rules, ["frozen"]);
    let refused = decide(&frozen, &machine(admin, admin), route, &here("frozen"));
    assert_eq!(refused.rules, ["token-within-creator"]);
    assert!(decide(&frozen, &machine(admin, admin), route, &stepped_up()).is_allowed());
}

#[test]
fn what_is_observed_of_a_creator_is_observed_of_their_token_beside_what_fails() {
    let observing = engine(&format!(
        "@id(\"people\") @mode(\"observe\") forbid(principal is User, action in Action::\"convox:app:list\", resource);
         @id(\"all\") @mode(\"observe\") forbid(principal, action in Action::\"convox:app:list\", resource);
         @id(\"broken\") @mode(\"observe\") forbid(principal, action in Action::\"convox:app:list\", resource)
         when {{ {OVERFLOW} }};"
    ));
    let machine = token(role(Role::Admin), &[critical_grant()], role(Role::Admin));
    for caller in [machine, person(role(Role::Admin))] {
        let verdict = decide(&observing, &caller, "GET /apps", &stepped_up());
        assert!(verdict.is_allowed(), "{}", verdict.reason);
        assert_eq!(verdict.observed, ["all", "broken", "people"]);
    }
}

#[test]
fn cicd_tokens() {
    let ci = |creator| token(role(Role::Cicd), &[Grant::everything()], creator);
    let (none, approved) = (Facts::default(), Facts { approval_matches: true, ..Facts::default() });
    let promote = "POST /apps/{app}/releases/{id}/promote";
    let deployer = role(Role::Deployer);
    check(&ci(deployer), "GET /apps", &none, "allow by cicd");
    check(&ci(deployer), promote, &none, "approval by ");
    check(&ci(deployer), promote, &approved, "allow by cicd-approved");
    check(&ci(role(Role::Ops)), promote, &approved, "role by token-within-creator");
    check(&ci(role(Role::Viewer)), "GET /apps", &none, "allow by cicd");
    check(&ci(deployer), "POST /apps/{app}/releases", &approved, "role by ");
    check(&ci(deployer), "POST /approvals", &none, "allow by cicd");
    check(&ci(deployer), "GET /approvals/{id}", &none, "role by ");
    let own = Facts { own_object: true, ..Facts::default() };
    check(&ci(deployer), "GET /approvals/{id}", &own, "allow by own-records");
    let verdict = decide(&ENGINE, &ci(deployer), promote, &none);
    assert_eq!(verdict.reason, "This needs an approval of this deploy.");
    assert_eq!(verdict.layer, Layer::Authorization);
}

#[test]
fn some_things_are_for_people() {
    let machine = token(role(Role::Admin), &[critical_grant()], role(Role::Admin));
    let own = Facts { own_object: true, ..stepped_up() };
    check(&machine, "POST /tokens", &own, "role by people-only");
    let people = "role by approvers-are-people,people-only";
    check(&machine, "POST /approvals/{id}/approve", &stepped_up(), people);
    check(&machine, "POST /approvals/{id}/reject", &stepped_up(), "role by approvers-are-people");
    check(&machine, "POST /step-up/{id}", &own, "role by factors-are-for-people");
    for route in ["DELETE /me/factors/{id}", "POST /me/backup-codes", "DELETE /me/trusted-devices/{id}"] {
        check(&machine, route, &own, "role by factors-are-for-people");
    }
    check(&machine, "POST /tokens/{id}/rotate", &own, "allow by own");
    let everything = token(role(Role::Admin), &[Grant::everything()], role(Role::Admin));
    let reveal = "POST /apps/{app}/env/reveal";
    check(&everything, reveal, &stepped_up(), "role by token-critical-grant");
    check(&machine, reveal, &stepped_up(), "allow by admin");
}

#[test]
fn unknown_operations_are_refused() {
    let admin = person(role(Role::Admin));
    let known = row("GET /apps");
    let mut invented = vec![Operation { route: "GET /invented".into(), ..known.clone() }];
    // The row of another name, and a row of the right name that claims other properties.
    invented.push(Operation { action: ActionName::new("convox:app:invented"), ..known.clone() });
    invented.push(Operation { lowest_role: LowestRole::Public, class: Class::Open, ..known.clone() });
    invented.push(Operation { cicd: Cicd::No, ..known.clone() });
    invented.push(Operation { step_up: StepUp::Window, ..known });
    for operation in invented {
        let verdict = ENGINE.decide(&admin, &operation, &Resource::rack(), &stepped_up());
        assert!(!verdict.is_allowed(), "{operation:?}");
        assert_eq!(verdict.reason, reason::UNKNOWN);
    }
}

/// `9223372036854775807 + 1` overflows in Cedar when it is evaluated.
const OVERFLOW: &str = "9223372036854775807 + 1 > 0";

#[test]
fn a_policy_that_fails_refuses() {
    let facts = stepped_up();
    for effect in ["permit", "forbid"] {
        let broken = engine(&format!(
            "@id(\"broken\") {effect}(principal, action in Action::\"convox:app:list\", resource) when {{ {OVERFLOW} }};"
        ));
        for caller in [
            person(role(Role::Admin)),
            anonymous(),
            token(role(Role::Admin), &[critical_grant()], role(Role::Admin)),
        ] {
            let verdict = decide(&broken, &caller, "GET /apps", &facts);
            assert!(!verdict.is_allowed());
            assert_eq!((verdict.reason.as_str(), verdict.rules), (reason::FAILED, vec!["broken".to_owned()]));
        }
        // It is out of the slice of everything else.
        assert!(decide(&broken, &person(role(Role::Admin)), "GET /system", &facts).is_allowed());
    }
    // It fails only once a factor is given: the first verdict must not promise that a factor helps.
    let late = engine(&format!(
        "@id(\"late\") forbid(principal, action in Action::\"convox:release:create\", resource) when {{ context.mfa_window && {OVERFLOW} }};"
    ));
    let verdict = decide(&late, &person(role(Role::Admin)), "POST /apps/{app}/releases", &enrolled());
    assert_eq!((word(&verdict).as_str(), verdict.reason.as_str()), ("role", reason::FAILED));
    // A policy that fails for the creator fails the token.
    let creator = engine(&format!(
        "@id(\"creator\") forbid(principal == User::\"{BOB}\", action, resource) when {{ {OVERFLOW} }};"
    ));
    let machine = token(role(Role::Admin), &[critical_grant()], role(Role::Admin));
    assert_eq!(decide(&creator, &machine, "GET /apps", &facts).rules, ["creator"]);
    assert!(decide(&creator, &person(role(Role::Admin)), "GET /apps", &facts).is_allowed());
}

#[test]
fn a_forbid_for_one_person_beats_every_permit() {
    let denied = engine(&format!(
        "@id(\"deny-alice\") forbid(principal == User::\"{ALICE}\", action, resource);
         @id(\"more\") permit(principal, action, resource);"
    ));
    for operation in denied.operations() {
        let verdict =
            denied.decide(&person(role(Role::Admin)), operation, &resource_of(operation), &stepped_up());
        assert_eq!((word(&verdict).as_str(), verdict.rules), ("role", vec!["deny-alice".to_owned()]));
        assert_eq!(verdict.reason, "Forbidden by deny-alice.");
    }
    // And her tokens with her.
    let bob = engine(&format!("@id(\"deny-bob\") forbid(principal == User::\"{BOB}\", action, resource);"));
    let machine = token(role(Role::Admin), &[critical_grant()], role(Role::Admin));
    assert_eq!(decide(&bob, &machine, "GET /apps", &stepped_up()).rules, ["token-within-creator"]);
}

#[test]
fn extra_permits_and_forbids() {
    let more = engine(&format!(
        "@id(\"alice-promotes\")
         permit(principal == User::\"{ALICE}\", action in Action::\"convox:release:promote\", resource == App::\"myapp\");
         @id(\"frozen\") @remedy(\"approval\") @needs(\"an approval while the app is frozen\")
         forbid(principal, action in Action::\"class:change\", resource == App::\"frozen\")
         unless {{ context.approval_matches }};
         @id(\"no-web\") forbid(principal, action in Action::\"convox:process:exec\", resource)
         when {{ context.channel == \"web\" && principal is User && principal.email like \"*@example.com\" }};"
    ));
    let viewer = person(role(Role::Viewer));
    let promote = row("POST /apps/{app}/releases/{id}/promote");
    let ask = |app: &str, facts: &Facts| more.decide(&viewer, &promote, &Resource::app(app), facts);
    assert_eq!(ask("myapp", &stepped_up()).rules, ["alice-promotes"]);
    assert_eq!(word(&ask("myapp", &enrolled())), "step_up");
    assert_eq!(word(&ask("other", &stepped_up())), "role");

    let verdict = more.decide(&person(role(Role::Deployer)), &promote, &Resource::app("frozen"), &enrolled());
    assert_eq!((word(&verdict).as_str(), verdict.layer), ("step_up+approval", Layer::Authorization));
    assert_eq!(verdict.rules, ["frozen", "step-up"]);

    let mut ops = person(role(Role::Ops));
    let exec = "SOCKET /apps/{app}/processes/{pid}/exec";
    assert!(decide(&more, &ops, exec, &stepped_up()).is_allowed());
    ops.channel = Channel::Web;
    assert_eq!(decide(&more, &ops, exec, &stepped_up()).rules, ["no-web"]);
}

#[test]
fn a_remedy_is_only_promised_when_it_works() {
    // A forbid that a factor lifts, but that does not say so.
    let silent = engine(
        "@id(\"silent\") forbid(principal, action in Action::\"convox:app:list\", resource) unless { context.mfa_window };",
    );
    let verdict = decide(&silent, &person(role(Role::Admin)), "GET /apps", &enrolled());
    assert_eq!((word(&verdict).as_str(), verdict.rules), ("role", vec!["silent".to_owned()]));
    // A remedy that does not lift its forbid.
    let lying = engine(
        "@id(\"lying\") @remedy(\"step_up\") forbid(principal, action in Action::\"convox:app:list\", resource);",
    );
    assert_eq!(word(&decide(&lying, &person(role(Role::Admin)), "GET /apps", &enrolled())), "role");
}

#[test]
fn verdicts_are_kept_under_everything_they_saw() {
    let engine = PolicyEngine::new(operations(), &[]).unwrap();
    let route = "POST /apps/{app}/releases";
    let ask = |caller: &Caller, facts: &Facts| word(&decide(&engine, caller, route, facts));
    for _again in 0..2 {
        assert_eq!(ask(&person(role(Role::Deployer)), &stepped_up()), "allow");
        assert_eq!(ask(&person(role(Role::Deployer)), &enrolled()), "step_up");
        assert_eq!(ask(&person(role(Role::Viewer)), &stepped_up()), "role");
        let all = [Grant::everything()];
        assert_eq!(ask(&token(role(Role::Deployer), &all, role(Role::Admin)), &enrolled()), "allow");
        assert_eq!(ask(&token(role(Role::Deployer), &all, role(Role::Viewer)), &enrolled()), "role");
        assert_eq!(ask(&token(role(Role::Deployer), &[], role(Role::Admin)), &enrolled()), "role");
    }
    engine.verdicts.run_pending_tasks();
    assert_eq!(engine.verdicts.entry_count(), 6);
    // Neither the session nor the kind of credential nor the address is seen by policy.
    let mut elsewhere = crate::sample::person_with(CredentialKind::WebSession, role(Role::Deployer));
    elsewhere.source_ip = "192.0.2.1".parse().unwrap();
    assert_eq!(ask(&elsewhere, &stepped_up()), "allow");
    engine.verdicts.run_pending_tasks();
    assert_eq!(engine.verdicts.entry_count(), 6);
}
