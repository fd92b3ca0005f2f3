//! `authz-matrix.txt`: every operation × role × credential kind, as the engine answers it.
//!
//! The file is read by people in review; this test keeps it true.

use std::fmt::Write as _;
use std::path::Path;

use gateway_types::{
    Caller, Class, CredentialKind, Facts, Grant, LowestRole, Operation, Role, RoleSet, Verdict,
};

use crate::sample::{
    ENGINE, anonymous, critical_grant, enrolled, person_with, resource_of, row, stepped_up, token, word,
    workload,
};

const MATRIX: &str = include_str!("../authz-matrix.txt");

const HEAD: &str = "\
# Who may do what: every operation of both tables, by role and kind of credential.
# Made by the engine, checked by `cargo test -p gateway-policy`; never edited by hand.
#
# nobody = no credential; then people by role (web and CLI sessions: the same unless written web/cli);
# then API tokens by role (t-), made by an admin who is an auditor too, with the grant `*`.
# A person has a second factor and has not given it; settings are at their defaults; nothing is approved;
# the object is somebody else's. Workloads (CI jobs and certificates by trust rules) are as tokens.
#
#   yes        allowed
#   role       refused; another role or grant is needed
#   signin     refused; a credential is needed
#   step_up    allowed with a second factor within the window
#   bound      allowed with a second factor for this very action
#   approval   allowed inside an approved deploy
#   setting    allowed once a setting permits it; a+b = both are needed
#   critical   (tokens) allowed with a grant that reaches critical actions
#   people     (tokens) never: for people's sessions only
#   own:X      X when the object is the caller's own, else role;  X|own:Y = X, but Y on one's own
#
";

/// The rules that keep machines out.
const FOR_PEOPLE: [&str; 5] = [
    "people-only",
    "factors-are-for-people",
    "approvers-are-people",
    "workload-people-only",
    "workload-factors-are-for-people",
];

/// One column: its name and how it is asked.
enum Column {
    Nobody,
    Person(Option<Role>),
    Token(Option<Role>),
}

impl Column {
    fn all() -> Vec<Column> {
        let roles = || std::iter::once(None).chain(Role::ALL.into_iter().map(Some));
        let people = roles().map(Column::Person);
        std::iter::once(Column::Nobody).chain(people).chain(roles().map(Column::Token)).collect()
    }

    fn name(&self) -> String {
        let of = |role: &Option<Role>| role.map_or("none", Role::name);
        match self {
            Column::Nobody => "nobody".to_owned(),
            Column::Person(role) => of(role).to_owned(),
            Column::Token(role) => format!("t-{}", of(role)),
        }
    }

    fn cell(&self, operation: &Operation) -> String {
        let ask = |caller: &Caller| with_own(operation, caller, person_word);
        match self {
            Column::Nobody => ask(&anonymous()),
            Column::Person(role) => {
                let [web, cli] = [CredentialKind::WebSession, CredentialKind::CliSession]
                    .map(|kind| ask(&person_with(kind, roles(*role))));
                if web == cli { cli } else { format!("{web}/{cli}") }
            }
            Column::Token(role) => {
                let made =
                    |grant| token(roles(*role), &[grant], RoleSet::of(Role::Admin).with(Role::Auditor));
                let plain = with_own(operation, &made(Grant::everything()), token_word);
                let critical = with_own(operation, &made(critical_grant()), token_word);
                match plain == critical {
                    true => plain,
                    false => critical.replace("yes", "critical").replace("setting", "critical+setting"),
                }
            }
        }
    }
}

fn roles(role: Option<Role>) -> RoleSet {
    role.map_or(RoleSet::EMPTY, RoleSet::of)
}

fn with_own(operation: &Operation, caller: &Caller, word: fn(&Operation, &Caller, bool) -> String) -> String {
    let [others, own] = [false, true].map(|own_object| word(operation, caller, own_object));
    if others == own {
        others
    } else if others == "role" {
        format!("own:{own}")
    } else {
        format!("{others}|own:{own}")
    }
}

fn ask(operation: &Operation, caller: &Caller, facts: Facts, own_object: bool) -> Verdict {
    ENGINE.decide(caller, operation, &resource_of(operation), &Facts { own_object, ..facts })
}

/// The word without a factor. With one, exactly the factor must be gone from it.
fn person_word(operation: &Operation, caller: &Caller, own_object: bool) -> String {
    let without = word(&ask(operation, caller, enrolled(), own_object));
    let with = word(&ask(operation, caller, stepped_up(), own_object));
    let missing: Vec<&str> = without.split('+').filter(|kind| !kind.starts_with("step_up")).collect();
    let expected = if missing.is_empty() { "allow".to_owned() } else { missing.join("+") };
    assert_eq!(with, expected, "{} after a second factor", operation.route);
    short(&without)
}

fn token_word(operation: &Operation, caller: &Caller, own_object: bool) -> String {
    let verdict = ask(operation, caller, enrolled(), own_object);
    let for_people = verdict.rules.iter().any(|rule| FOR_PEOPLE.contains(&rule.as_str()));
    if for_people { "people".to_owned() } else { short(&word(&verdict)) }
}

fn short(word: &str) -> String {
    word.replace("step_up_bound", "bound").replace("allow", "yes")
}

/// The table: columns as wide as their widest cell.
fn matrix() -> String {
    let columns = Column::all();
    let mut lines: Vec<Vec<String>> = vec![
        ["operation".to_owned(), "action".to_owned(), "class".to_owned()]
            .into_iter()
            .chain(columns.iter().map(Column::name))
            .collect(),
    ];
    for operation in ENGINE.operations() {
        let first = [operation.route.to_string(), operation.action.to_string(), operation.class.to_string()];
        lines.push(first.into_iter().chain(columns.iter().map(|column| column.cell(operation))).collect());
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0))
        .collect();
    let mut text = HEAD.to_owned();
    for line in lines {
        let padded: Vec<String> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        writeln!(text, "{}", padded.join("  ").trim_end()).unwrap();
    }
    text
}

/// The lines without the blanks that align the columns, which change with the widest cell.
fn unaligned(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_matrix_is_as_reviewed() {
    let now = matrix();
    if now == MATRIX {
        return;
    }
    let proposed = Path::new(env!("CARGO_MANIFEST_DIR")).join("authz-matrix.txt.new");
    std::fs::write(&proposed, &now).unwrap();
    let [old, new] = [MATRIX, &now].map(unaligned);
    let gone = old.iter().filter(|line| !new.contains(*line)).map(|line| format!("- {line}"));
    let come = new.iter().filter(|line| !old.contains(*line)).map(|line| format!("+ {line}"));
    let changes: Vec<String> = gone.chain(come).collect();
    panic!(
        "who may do what has changed. Read every line below as an auditor would:\n\n{}\n\nIf each is meant, accept them:\n    mv {new} {old}\nand say in the commit who gains and who loses what. Otherwise look at policies/default.cedar and the two tables.",
        changes.join("\n"),
        new = proposed.display(),
        old = proposed.with_extension("").display(),
    );
}

/// What an operation without a row would mean: its author is told what to do.
#[test]
fn every_operation_has_a_row() {
    let missing: Vec<String> = ENGINE
        .operations()
        .iter()
        .filter(|operation| {
            let start = format!("{} ", operation.route);
            let action = format!(" {} ", operation.action);
            !MATRIX.lines().any(|line| line.starts_with(&start) && line.contains(&action))
        })
        .map(|operation| format!("{} ({})", operation.route, operation.action))
        .collect();
    assert!(
        missing.is_empty(),
        "these operations have no row in crates/gateway-policy/authz-matrix.txt:\n    {}\nYou added a route. Give it class, role, cicd and notes in its table (crates/gateway-convox/data/routes.tsv or crates/gateway-policy/data/gateway-routes.tsv), run `cargo test -p gateway-policy matrix`, read the new lines of authz-matrix.txt.new, and move it over authz-matrix.txt if they say who should be allowed.",
        missing.join("\n    ")
    );
}

/// A workload is a token whose creator may everything, so that the columns of tokens are its columns too.
#[test]
fn l1_ci_workloads_are_to_policy_as_tokens_are() {
    for operation in ENGINE.operations() {
        for role in std::iter::once(None).chain(Role::ALL.into_iter().map(Some)) {
            for grant in [Grant::everything(), critical_grant()] {
                let by_rule = workload(roles(role), std::slice::from_ref(&grant));
                let made = token(roles(role), &[grant], RoleSet::of(Role::Admin).with(Role::Auditor));
                let [workload, token] = [by_rule, made].map(|caller| token_word(operation, &caller, false));
                // A token is of somebody, who may see their own events; a workload is of nobody.
                assert_eq!(workload, token, "{} as {role:?}", operation.route);
            }
        }
    }
}

/// Without a credential, the open rows and nothing else.
#[test]
fn nobody_is_only_allowed_what_is_open() {
    for operation in ENGINE.operations() {
        let open = operation.class == Class::Open;
        assert_eq!(Column::Nobody.cell(operation) == "yes", open, "{}", operation.route);
    }
    assert_eq!(Column::Nobody.cell(&row("GET /apps")), "signin");
}

/// Rows about one's own objects never open others' objects to anyone but those the notes name.
#[test]
fn others_objects_are_for_those_the_notes_name() {
    let named = ["gateway:token:list", "gateway:token:revoke", "gateway:elevation:list"];
    let named = [&named[..], &["gateway:elevation:end", "gateway:policy:why", "gateway:policy:can"]].concat();
    let named = [&named[..], &["gateway:secret:list_reveals", "gateway:secret:end_reveal"]].concat();
    let named = [&named[..], &["gateway:audit:remove_search"]].concat();
    for operation in ENGINE.operations().iter().filter(|row| row.lowest_role == LowestRole::Own) {
        for column in Column::all() {
            let cell = column.cell(operation);
            let others = !cell.starts_with("own:") && !["signin", "people", "role"].contains(&cell.as_str());
            let may = named.contains(&operation.action.as_str())
                && ["admin", "auditor", "deployer", "ops"].contains(&column.name().trim_start_matches("t-"));
            assert!(!others || may, "{}: {} has {cell}", operation.route, column.name());
        }
    }
}
