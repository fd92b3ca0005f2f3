//! The recipes of docs/policies.md: each is put in force, and each line below it is asked.

use std::path::Path;

use super::*;
use crate::sample::{source, stepped_up};

/// A recipe: its policies, and the lines of its table.
fn recipes(text: &str) -> Vec<(String, Vec<Vec<String>>)> {
    text.split("```cedar\n").skip(1).map(recipe).collect()
}

fn recipe(rest: &str) -> (String, Vec<Vec<String>>) {
    let (policies, after) = rest.split_once("```").unwrap();
    let table =
        after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    (policies.to_owned(), table.skip(2).map(cells).collect())
}

fn caller(who: &str) -> Caller {
    match who.strip_prefix("token of ") {
        Some(name) => {
            let roles = RoleSet::of(name.parse().unwrap());
            token(roles, &[Grant::everything()], roles)
        }
        None => person(RoleSet::of(who.parse().unwrap())),
    }
}

fn facts(when: &str) -> Facts {
    let mut facts = stepped_up();
    for word in when.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "hour" => facts.hour = Some(value.parse().unwrap()),
            "weekday" => facts.weekday = Some(value.parse().unwrap()),
            "network" => facts.networks.extend([value.to_owned()]),
            "label" => facts.labels.extend([value.to_owned()]),
            "here" => facts.roles_here.extend([value.to_owned()]),
            "window" => facts.mfa_bound = false,
            "bound" => facts.mfa_bound = true,
            other => panic!("{other} is no fact"),
        }
    }
    facts
}

#[test]
fn the_recipes_of_the_book_decide_as_they_say() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policies.md");
    let recipes = recipes(&std::fs::read_to_string(book).unwrap());
    assert!(recipes.len() >= 8, "{}", recipes.len());
    for (policies, lines) in recipes {
        let engine = PolicyEngine::new(operations(), &[source(&policies)])
            .unwrap_or_else(|e| panic!("{policies}: {e:?}"));
        let mut verdicts = std::collections::BTreeSet::new();
        for line in lines {
            let [who, action, app, when, then] = &line[..] else { panic!("{line:?}") };
            let operation = engine.operation(action.trim_matches('`')).unwrap_or_else(|| panic!("{line:?}"));
            let verdict = engine.decide(&caller(who), operation, &Resource::app(app), &facts(when));
            let word = if verdict.is_allowed() { "allowed" } else { "refused" };
            assert_eq!(word, then, "{line:?}: {}", verdict.reason);
            verdicts.insert(word);
        }
        assert_eq!(verdicts.len(), 2, "a recipe shows what it lets through and what not: {policies}");
    }
}
