//! Which tokens fit which rules.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::Kind;
use super::matching::{in_words, is_near, mismatches};

type Claims = BTreeMap<String, Vec<String>>;

fn claims(pairs: &[(&str, &str)]) -> Claims {
    let one = |(name, values): &(&str, &str)| {
        ((*name).to_owned(), values.split('|').map(str::to_owned).collect::<Vec<_>>())
    };
    pairs.iter().map(one).collect()
}

const JOB: &[(&str, &str)] = &[
    ("repository", "acme/shop"),
    ("repository_id", "1"),
    ("ref", "refs/tags/v1"),
    ("workflow_ref", "acme/shop/.github/workflows/d.yml@refs/tags/v1"),
    ("job_workflow_ref", "acme/shop/.github/workflows/d.yml@refs/tags/v1"),
    ("groups", "a|b"),
];

fn check(rule: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(mismatches(Kind::Github, &claims(rule), &claims(JOB)), expected, "{rule:?}");
}

#[test]
fn l8_all_conditions_hold_each_with_one_of_its_values() {
    check(&[("repository_id", "1")], &[]);
    check(&[("repository_id", "2|1"), ("ref", "refs/tags/v1")], &[]);
    check(&[("repository_id", "1"), ("ref", "refs/heads/main")], &["ref"]);
    check(&[("repository_id", "2"), ("ref", "refs/heads/main")], &["ref", "repository_id"]);
    check(&[("environment", "prod")], &["environment"]);
    check(&[("groups", "b|c")], &[]);
    check(&[("groups", "c")], &["groups"]);
    check(&[], &["claims"]);
    // Compared as a whole, but for what may end in a star.
    check(&[("repository_id", "1*")], &["repository_id"]);
    check(&[("ref", "refs/tags/v*")], &[]);
    check(&[("ref", "refs/tags/w*")], &["ref"]);
    check(&[("repository", "acme/shop2")], &["repository"]);
    check(&[("repository", "ACME/shop")], &["repository"]);
}

#[test]
fn f4_a_workflow_of_another_repository_is_named() {
    let with = |name: &str, value: &str| {
        let mut said = claims(JOB);
        said.insert(name.to_owned(), vec![value.to_owned()]);
        said
    };
    let rule = claims(&[("repository_id", "1")]);
    let theirs = "evil/ci/.github/workflows/d.yml@refs/heads/main";
    let called = with("job_workflow_ref", theirs);
    assert_eq!(mismatches(Kind::Github, &rule, &called), ["job_workflow_ref"]);
    let mut named = rule.clone();
    named.insert("job_workflow_ref".to_owned(), vec![theirs.to_owned()]);
    assert!(mismatches(Kind::Github, &named, &called).is_empty(), "when it is meant");
    assert_eq!(mismatches(Kind::Github, &rule, &with("repository", "acme/sho")), ["workflow_ref"]);
}

#[test]
fn l8_what_stands_before_a_star_names_something() {
    let check = |claim: &str, beginning: &str, expected: bool| {
        assert_eq!(Kind::check_beginning(claim, beginning).is_ok(), expected, "{claim} {beginning}*");
    };
    for claim in ["ref", "ref_path", "oidc.circleci.com/vcs-ref"] {
        check(claim, "refs/heads/release-", true);
        check(claim, "refs/tags/v", true);
        for all in
            ["", "refs/", "refs/heads", "refs/heads/", "refs/tags/", "refs/pull/", "refs/pull/7/", "release-"]
        {
            check(claim, all, false);
        }
    }
    for claim in ["workflow_ref", "job_workflow_ref"] {
        check(claim, "acme/shop/.github/workflows/", true);
        check(claim, "acme/shop/.github/workflows/d.yml@refs/heads/", true);
        check(claim, "acme/shared", false);
        check(claim, "acme/shop/", false);
    }
    check("ci_config_ref_uri", "gitlab.com/acme/shop//.gitlab-ci.yml@", true);
    check("ci_config_ref_uri", "gitlab.com/acme/shop", false);
    check("build_branch", "release-", true);
    check("build_tag", "", false);
}

#[test]
fn f4_gitlab_takes_jobs_of_protected_refs() {
    let completed = Kind::Gitlab.completed(claims(&[("environment", "prod")]));
    assert_eq!(completed["ref_protected"], ["true"]);
    let said = Kind::Gitlab.completed(claims(&[("ref_protected", "true|false")]));
    assert_eq!(said["ref_protected"], ["true", "false"], "unless the rule says otherwise");
}

#[test]
fn only_those_of_the_repository_are_told() {
    let rule = claims(&[("repository_id", "1"), ("repository", "acme/shop"), ("ref", "refs/heads/main")]);
    assert!(is_near(Kind::Github, &rule, &claims(JOB)));
    assert!(is_near(Kind::Github, &rule, &claims(&[("repository", "acme/shop"), ("repository_id", "2")])));
    assert!(!is_near(Kind::Github, &rule, &claims(&[("ref", "refs/heads/main")])));
    let pipeline = claims(&[("organization_slug", "acme"), ("pipeline_slug", "shop"), ("pipeline_id", "p")]);
    assert!(
        !is_near(Kind::Buildkite, &pipeline, &claims(&[("pipeline_slug", "shop")])),
        "of another organization"
    );
}

#[test]
fn l8_a_rule_reads_as_it_is_meant() {
    let words = in_words(
        Kind::Github,
        "https://issuer",
        &claims(&[("ref", "refs/tags/v*|refs/heads/main"), ("a", "b")]),
    );
    assert_eq!(
        words,
        "A token of GitHub Actions (https://issuer) for this gateway signs a machine in when a is `b`, and ref is \
         anything that begins with `refs/tags/v` or `refs/heads/main`."
    );
}

proptest! {
    /// One more condition never lets more in.
    #[test]
    fn a_further_condition_never_widens(
        rule in proptest::collection::btree_map("[abc]", proptest::collection::vec("[xy]", 1..3), 1..3),
        said in proptest::collection::btree_map("[abc]", proptest::collection::vec("[xyz]", 0..3), 0..4),
        name in "[abc]", value in "[xyz]",
    ) {
        let mut narrower = rule.clone();
        narrower.entry(name).or_insert_with(|| vec![value]);
        let fits = |rule: &Claims| mismatches(Kind::Gitlab, rule, &said).is_empty();
        prop_assert!(fits(&rule) || !fits(&narrower));
    }
}
