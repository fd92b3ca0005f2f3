use std::collections::BTreeSet;

use gateway_types::wire::settings::{Setting, SettingSource};
use serde_json::{Value, json};

use super::Kind;
use super::difference::{Planned, between};
use super::document::Document;
use super::present::Present;

fn read(text: &str) -> Result<Document, String> {
    let mut document = Document::default();
    document.add("a.toml", text).map_err(|fault| {
        let source = std::error::Error::source(&fault).map(ToString::to_string).unwrap_or_default();
        format!("{fault}: {source}")
    })?;
    Ok(document)
}

fn item<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn user(email: &str, roles: &[&str], locked: bool) -> Value {
    json!({ "id": format!("id-{email}"), "email": email, "name": email, "roles": roles, "locked": locked,
            "created": "", "updated": "", "version": 3 })
}

fn setting(key: &str, value: &str, source: &str, own: bool, version: i64) -> Setting {
    Setting {
        key: key.to_owned(),
        value: value.to_owned(),
        source: SettingSource { kind: source.to_owned(), place: None, by: None, at: None },
        default: String::new(),
        without_database: "true".to_owned(),
        range: String::new(),
        description: String::new(),
        per_app: true,
        own,
        variable: String::new(),
        version,
    }
}

/// A gateway with something of every kind; Ann asks.
fn present() -> Present {
    Present {
        me: item(
            json!({ "id": "1", "name": "ann@example.com", "credential": "cli_session", "roles": ["admin"],
                         "permissions": [], "rack": "prod", "gateway_id": "g" }),
        ),
        users: item(json!([
            user("ann@example.com", &["admin"], false),
            user("bob@example.com", &["ops"], true)
        ])),
        groups: item(json!([
            { "id": "eng", "roles": ["viewer"], "source": "database", "version": 4 },
            { "id": "file", "roles": ["ops"], "source": "configuration", "version": 0 },
        ])),
        grants: item(json!([
            { "id": "g1", "person": "bob@example.com", "role": "deployer", "app": "web", "granted_by": "a", "created": "" },
        ])),
        policies: item(json!([
            { "id": "built-in", "origin": "built_in", "rules": [] },
            { "id": "calm", "origin": "database", "version": 2, "text": "@id(\"a\")\nforbid (principal, action, resource);\n", "rules": [] },
        ])),
        services: item(json!([
            { "name": "wiki", "title": "Wiki", "source": "database", "version": 7, "in_force": true, "may_use": true,
              "operations": [], "declaration": { "name": "wiki", "prefix": "/wiki", "upstreams": [{ "url": "http://10.0.0.1:80" }] } },
            { "name": "old", "title": "Old", "source": "file", "in_force": true, "may_use": true, "operations": [],
              "declaration": { "name": "old", "prefix": "/old", "upstreams": [{ "url": "http://10.0.0.2:80" }] } },
        ])),
        trust_rules: item(json!([
            { "name": "ci", "kind": "github", "issuer": "https://token.actions.githubusercontent.com",
              "claims": { "repository_id": ["1"], "ref": ["refs/heads/main", "refs/heads/next"] }, "in_words": "",
              "roles": ["cicd"], "grants": [{ "actions": "*", "apps": ["web"], "critical": false }],
              "networks": ["10.0.0.1/32"], "lifetime": "15m", "created": "", "updated_by": "", "updated": "", "version": 5 },
        ])),
        settings: vec![
            setting("step_up_window", "10m", "database", false, 3),
            setting("mfa_required", "true", "environment", false, 0),
        ],
        apps: [(
            "web".to_owned(),
            vec![
                setting("destructive_actions", "true", "database", true, 2),
                setting("external_builds", "false", "default", false, 0),
            ],
        )]
        .into(),
    }
}

fn changes(text: &str, prune: &[Kind]) -> Result<Vec<Planned>, String> {
    let prune: BTreeSet<Kind> = prune.iter().copied().collect();
    between(&read(text).unwrap(), &present(), &prune).map_err(|failure| failure.sentence())
}

fn said(text: &str, prune: &[Kind]) -> Vec<String> {
    let found = changes(text, prune).unwrap();
    found
        .iter()
        .map(|one| format!("{} {} {}", json!(one.verb).as_str().unwrap(), one.kind, one.name))
        .collect()
}

#[test]
fn what_was_exported_differs_in_nothing_and_reads_back() {
    let text = present().document().unwrap().to_toml().unwrap();
    assert_eq!(said(&text, &Kind::ALL), Vec::<String>::new(), "{text}");
    assert_eq!(read(&text).unwrap().to_toml().unwrap(), text);
    assert!(!text.contains("old") && !text.contains("mfa_required"), "only of the database: {text}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    for (text, line, what) in [
        ("[[user]]\nemail = \"a@b.c\"\nroles = []\nrole = 1\n", 4, "role"),
        ("[settings]\nmfa_requird = true\n", 2, "mfa_requird"),
        ("[[service]]\nname = \"x\"\n\ncolour = \"red\"\n", 4, "colour"),
        ("\nversion = 2\n", 2, "of version 1, not of 2"),
        ("user = 1\n", 1, "user"),
        ("[[user]]\nemail = \"a@b.c\"\nroles = [\"root\"]\n", 3, "root"),
        ("nothing = true\n", 1, "nothing"),
    ] {
        let fault = read(text).unwrap_err();
        assert!(fault.contains(&format!("line {line},")) && fault.contains(what), "{text}: {fault}");
    }
}

#[test]
fn what_is_declared_wrongly_is_refused() {
    for (text, what) in [
        ("[settings]\nstep_up_window = \"soon\"\n", "step_up_window"),
        ("[app.web.settings]\nmfa_required = true\n", "cannot differ between apps"),
        (
            "[[user]]\nemail = \"a@b.c\"\nroles = []\n[[user]]\nemail = \"A@B.c\"\nroles = []\n",
            "declared before",
        ),
        ("[[grant]]\nrole = \"ops\"\n", "a person or a group"),
        ("[[grant]]\nrole = \"ops\"\nperson = \"a@b.c\"\ngroup = \"x\"\n", "a person or a group"),
        ("[[policy]]\nid = \"a\"\ntext = \"\"\n[[policy]]\nid = \"a\"\ntext = \"\"\n", "declared before"),
    ] {
        let fault = read(text).unwrap_err();
        assert!(fault.contains(what), "{text}: {fault}");
    }
    let mut two = read("[settings]\nmfa_required = true\n").unwrap();
    assert!(two.add("b.toml", "[settings]\nmfa_required = true\n").is_err(), "also in another file");
}

#[test]
fn the_same_in_other_words_is_no_difference() {
    let text = r#"
        [settings]
        step_up_window = "600s"
        mfa_required = true
        [[user]]
        email = "Ann@Example.com"
        roles = ["admin"]
        [[trust_rule]]
        name = "ci"
        kind = "github"
        roles = ["cicd"]
        networks = ["10.0.0.1"]
        claims = { repository_id = ["1"], ref = ["refs/heads/next", "refs/heads/main"] }
        grants = [{ actions = "*", apps = ["web"] }]
    "#;
    assert_eq!(said(text, &[]), Vec::<String>::new());
}

#[test]
fn what_adds_comes_first_and_what_takes_away_last() {
    let text = r#"
        [settings]
        mfa_required = false
        [app.web.settings]
        external_builds = true
        [[user]]
        email = "ann@example.com"
        roles = ["admin"]
        [[user]]
        email = "bob@example.com"
        roles = ["viewer"]
        locked = false
        [[user]]
        email = "cy@example.com"
        roles = ["ops"]
        locked = true
        [[policy]]
        id = "more"
        text = "x"
        [[service]]
        name = "new"
        prefix = "/new"
    "#;
    assert_eq!(
        said(text, &Kind::ALL),
        [
            "add service new",
            "change user bob@example.com", // unlocked
            "add user cy@example.com",
            "change setting mfa_required",
            "change setting external_builds of web",
            "add policy more",
            "remove policy calm",
            "remove setting step_up_window",
            "remove setting destructive_actions of web",
            "remove trust rule ci",
            "remove grant bob@example.com: deployer on web",
            "remove group eng",
            "change user bob@example.com", // loses ops
            "change user cy@example.com",  // locked
            "remove service wiki",
        ]
    );
    assert!(
        said(text, &[]).iter().all(|change| !change.starts_with("remove")),
        "only what is named is pruned"
    );
}

#[test]
fn nobody_is_locked_out_by_what_is_applied() {
    let ann = |roles: &str| format!("[[user]]\nemail = \"ann@example.com\"\nroles = [{roles}]\n");
    let bob = "[[user]]\nemail = \"bob@example.com\"\nroles = [\"admin\"]\n";
    for (text, prune, what) in [
        (ann("\"ops\""), false, "is you"),
        (format!("{}locked = true\n", ann("\"admin\"")), false, "is you"),
        (bob.to_owned(), true, "is you"),
        ("[[grant]]\nperson = \"Ann@example.com\"\nrole = \"ops\"\n".to_owned(), false, "to themselves"),
    ] {
        let prune: &[Kind] = if prune { &[Kind::Users] } else { &[] };
        let failure = changes(&text, prune).unwrap_err();
        assert!(failure.contains(what), "{text}: {failure}");
    }
    // A token of nobody in particular may remove everybody but the last admin.
    let mut present = present();
    present.me.name = "ci".to_owned();
    let declared = read("[[user]]\nemail = \"ann@example.com\"\nroles = [\"ops\"]\n").unwrap();
    let failure = between(&declared, &present, &BTreeSet::new()).unwrap_err();
    assert!(failure.sentence().contains("nobody would be an admin"), "{failure}");
}

#[test]
fn what_is_of_the_gateways_own_file_is_not_changed_from_here() {
    for (text, what) in [
        ("[[service]]\nname = \"old\"\nprefix = \"/other\"\n", "the service old"),
        ("[[policy]]\nid = \"built-in\"\ntext = \"x\"\n", "the policy document built-in"),
    ] {
        let failure = changes(text, &[]).unwrap_err();
        assert!(failure.contains(what), "{failure}");
    }
    assert_eq!(said("", &[Kind::Services]), ["remove service wiki"], "nor removed");
}

#[test]
fn changes_are_of_the_version_that_was_compared() {
    use super::difference::Change;
    let found =
        changes("[settings]\nstep_up_window = \"5m\"\n[[group]]\nname = \"eng\"\nroles = [\"ops\"]\n", &[]);
    let found: Vec<Change> = found.unwrap().into_iter().map(|planned| planned.change).collect();
    assert!(matches!(&found[0], Change::Group { version: 4, .. }), "{found:?}");
    assert!(matches!(&found[1], Change::Setting { version: 3, value, .. } if value == "5m"), "{found:?}");
}
