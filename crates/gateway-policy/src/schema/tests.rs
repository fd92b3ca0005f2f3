use super::*;
use crate::rule::{PolicySource, read_all};
use crate::sample::operations;

/// Checking against representatives must say the same as checking against every action.
#[test]
fn representatives_stand_for_all() {
    let leaves = leaves(&operations());
    let full = read(schema_json(&leaves)).unwrap();
    let conditions = [
        "true",
        "context.mfa_window",
        "context.sudo",
        "principal.email == \"x\"",
        "principal is User && principal.email == \"x\"",
        "principal has email",
        "action in Action::\"class:open\" && context.sudo",
        "action == Action::\"convox:app:list\" && resource is Rack",
        "resource is Gateway",
        "action in Action::\"convox:object:read\"",
        "action == Action::\"convox:object:read@HEAD /apps/{app}/objects/{key*}\"",
        "action in Action::\"for:nobody\"",
        "principal is ApiToken && action in Action::\"people\"",
        "context.channel == 1",
        "resource == App::\"x\" && principal in Role::\"admin\"",
        "principal in Team::\"x\"",
    ];
    let scopes = [
        "principal, action, resource",
        "principal is User, action in Action::\"class:change\", resource is App",
        "principal == ApiToken::\"x\", action in Action::\"gateway:user:list\", resource",
        "principal, action in Action::\"convox:app:list\", resource is Gateway",
        "principal is Rack, action, resource",
        "principal, action in [Action::\"for:own\", Action::\"convox:log:read\"], resource == App::\"x\"",
    ];
    let mut refusals = 0;
    for (condition, scope) in conditions.iter().flat_map(|c| scopes.map(|scope| (c, scope))) {
        let text = format!("@id(\"x\") forbid({scope}) when {{ {condition} }};");
        let rules = read_all(&[PolicySource { name: "x".to_owned(), text: text.clone() }]).unwrap();
        let against_all = validate_against(full.clone(), vec![&rules["x"].policy]);
        let quick = validate(&leaves, &rules);
        assert_eq!(quick.is_ok(), against_all.is_ok(), "{text}: {quick:?} but {against_all:?}");
        refusals += usize::from(quick.is_err());
    }
    assert!((20..80).contains(&refusals), "{refusals}: both answers must occur");
}

#[test]
fn rows_that_differ_are_told_apart() {
    let operations = operations();
    let leaves = leaves(&operations);
    let named = |action: &str| -> BTreeSet<&str> {
        let mine = operations.iter().zip(&leaves).filter(|(row, _)| row.action.as_str() == action);
        mine.map(|(_, leaf)| leaf.name.as_str()).collect()
    };
    assert_eq!(named("convox:app:list"), BTreeSet::from(["convox:app:list"]));
    assert_eq!(named("gateway:auth:login"), BTreeSet::from(["gateway:auth:login"]), "two rows, alike");
    assert_eq!(
        named("convox:object:read"),
        BTreeSet::from([
            "convox:object:read@HEAD /apps/{app}/objects/{key*}",
            "convox:object:read@GET /apps/{app}/objects/{key*}",
        ])
    );
    // Every leaf has the groups of its own row.
    for (row, leaf) in operations.iter().zip(&leaves) {
        assert!(groups_of(row).is_subset(&leaf.groups), "{}", leaf.name);
        assert!(fixed_groups().is_superset(&groups_of(row)), "{}", leaf.name);
    }
}
