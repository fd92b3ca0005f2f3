use gateway_types::{Grant, Role, RoleSet};

use super::*;
use crate::sample::{ENGINE, anonymous, enrolled, person, role, stepped_up, token, word};

fn check(caller: &Caller, action: &str, facts: &Facts, expected: &str) {
    let resource = if action.starts_with("convox:") { Resource::rack() } else { Resource::gateway() };
    let verdict = can(&ENGINE, caller, action, &resource, facts);
    assert_eq!(verdict.map(|verdict| word(&verdict)).as_deref(), Ok(expected), "{action}");
}

#[test]
fn can_is_answered_for_the_strictest_row() {
    check(&person(role(Role::Viewer)), "convox:app:list", &enrolled(), "allow");
    check(&person(role(Role::Viewer)), "convox:app:create", &enrolled(), "role");
    check(&person(role(Role::Deployer)), "convox:release:promote", &enrolled(), "step_up");
    // HEAD is for deployers, GET for admins.
    check(&person(role(Role::Deployer)), "convox:object:read", &stepped_up(), "role");
    check(&person(role(Role::Admin)), "convox:object:read", &enrolled(), "step_up");
    let head = "convox:object:read@HEAD /apps/{app}/objects/{key*}";
    check(&person(role(Role::Deployer)), head, &enrolled(), "allow");
    // Rejecting takes the window, approving a factor of its own.
    check(&person(role(Role::Admin)), "gateway:approval:approve", &enrolled(), "step_up_bound");
    check(&anonymous(), "gateway:me:read", &enrolled(), "signin");
}

#[test]
fn unknown_actions_are_said_to_be_unknown() {
    let unknown = can(&ENGINE, &anonymous(), "convox:app:fly", &Resource::rack(), &enrolled());
    assert_eq!(unknown, Err(UnknownAction { action: "convox:app:fly".to_owned() }));
    assert!(
        who_can(&ENGINE, &[person(role(Role::Admin))], "class:read", &Resource::rack(), &enrolled())
            .is_empty()
    );
}

#[test]
fn who_can_lists_those_who_may_now_or_after_a_factor() {
    let machine = |grants: &[Grant]| token(role(Role::Deployer), grants, role(Role::Deployer));
    let candidates = [
        person(role(Role::Viewer)),
        person(role(Role::Deployer)),
        anonymous(),
        machine(&[]),
        machine(&[Grant::everything()]),
        person(RoleSet::EMPTY),
        person(role(Role::Admin)),
    ];
    let ask = |action: &str| -> Vec<(usize, String)> {
        who_can(&ENGINE, &candidates, action, &Resource::app("myapp"), &enrolled())
            .iter()
            .map(|(place, verdict)| (*place, word(verdict)))
            .collect()
    };
    let expected = [(1, "step_up"), (4, "allow"), (6, "step_up")];
    assert_eq!(ask("convox:release:promote"), expected.map(|(place, word)| (place, word.to_owned())));
    // Deleting takes a setting too, so nobody can.
    assert_eq!(ask("convox:app:delete"), []);
}
