//! Groups: whatever the claim is, nobody gets more than the named groups give.

use serde_json::{Map, Value, json};

use super::idp::{Pair, settings};
use crate::oidc::{GroupsFault, Provider, ProviderConfig};

fn groups(claim: Value) -> (Vec<String>, Option<GroupsFault>) {
    let identity = Pair::new().sign_in(|claims| claims["groups"] = claim).unwrap();
    (identity.groups, identity.groups_fault)
}

fn is(claim: Value, expected: &[&str], fault: Option<GroupsFault>) {
    let (found, found_fault) = groups(claim.clone());
    assert_eq!(
        (found.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), found_fault),
        (expected, fault),
        "{claim}"
    );
}

#[test]
fn d7_a_list_or_one_name() {
    is(json!(["admins", "devs", "admins"]), &["admins", "devs"], None);
    is(json!([]), &[], None);
    is(json!(null), &[], None);
    is(json!("admins"), &["admins"], None);
    // One name with a comma or a blank is one name, and in no map.
    is(json!("devs,admins"), &["devs,admins"], None);
    is(json!("devs admins"), &["devs admins"], None);
    let identity = Pair::new().sign_in(|_| {}).unwrap();
    assert_eq!((identity.groups.len(), identity.groups_fault), (0, None), "absent");
}

#[test]
fn d7_what_is_no_list_of_names_gives_none() {
    for claim in [
        json!(7),
        json!(true),
        json!({"admins": true}),
        json!(["admins", 7]),
        json!(["admins", null]),
        json!([["admins"]]),
        json!(["admins", ""]),
        json!(["admins", "a".repeat(257)]),
        json!(["admins", "a\nb"]),
        json!(""),
    ] {
        is(claim, &[], Some(GroupsFault::Malformed));
    }
}

#[test]
fn d7_ten_thousand_groups_are_too_many() {
    let many = |count: usize| {
        let mut names: Vec<String> = (1..count).map(|number| format!("group-{number}")).collect();
        names.push("admins".to_owned());
        json!(names)
    };
    is(many(10_000), &[], Some(GroupsFault::TooMany { count: 10_000 }));
    assert_eq!(groups(many(1_000)).0.len(), 1_000);
}

#[test]
fn d7_groups_that_were_left_out_are_not_asked_for() {
    let overage = |further: Value| {
        let pair = Pair::new();
        let further: Map<String, Value> = further.as_object().cloned().unwrap();
        let identity = pair.sign_in(|claims| claims.as_object_mut().unwrap().extend(further)).unwrap();
        assert_eq!(pair.idp.asked().len(), 3, "discovery, keys, token: and no address from the token");
        (identity.groups.len(), identity.groups_fault)
    };
    let sources = json!({
        "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://evil.example.com/groups"}},
    });
    assert_eq!(overage(sources), (0, Some(GroupsFault::Overage)));
    assert_eq!(overage(json!({"hasgroups": true})), (0, Some(GroupsFault::Overage)));
    assert_eq!(overage(json!({"_claim_names": {"other": "src1"}})), (0, None));
}

#[test]
fn d7_roles_are_given_by_the_exact_name_only() {
    let provider = Provider::new(settings());
    let roles = |names: &[&str]| {
        provider.roles_of(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).to_string()
    };
    assert_eq!(roles(&["admins", "devs"]), "deployer,admin");
    for other in ["Admins", "admins ", "/admins", "admins,devs", "*", "", "admin"] {
        assert_eq!(roles(&[other]), "", "{other}");
    }
}

#[test]
fn d7_without_a_claim_no_group_is_looked_at() {
    let pair =
        Pair { provider: Provider::new(ProviderConfig { groups_claim: None, ..settings() }), ..Pair::new() };
    let identity = pair.sign_in(|claims| claims["groups"] = json!(["admins"])).unwrap();
    assert_eq!((identity.groups.len(), identity.groups_fault), (0, None));
    // A claim that has a meaning of its own is no list of groups.
    let pair = Pair {
        provider: Provider::new(ProviderConfig { groups_claim: Some("email".to_owned()), ..settings() }),
        ..Pair::new()
    };
    assert!(pair.sign_in(|claims| claims["email"] = json!("admins@example.com")).unwrap().groups.is_empty());
}
