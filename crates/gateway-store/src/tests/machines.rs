//! Trust rules, short tokens of workloads and what they stand for, on both databases.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_types::{Grant, Principal, Role, RoleSet, Timestamp, WorkloadOrigin};

use super::{Place, is_conflict};
use crate::{Access, CallerFault, NewTrustRule, NewWorkload, ResolveError, StoreError, TokenIdentity};

fn rule(name: &str, networks: &[&str]) -> NewTrustRule {
    NewTrustRule {
        name: name.to_owned(),
        kind: "github".to_owned(),
        issuer: "https://issuer.example.com".to_owned(),
        claims: BTreeMap::from([("repository_id".to_owned(), vec!["1".to_owned(), "2".to_owned()])]),
        authority: None,
        roles: RoleSet::of(Role::Cicd),
        grants: vec![Grant { actions: "convox:*".to_owned(), apps: vec!["web".to_owned()], critical: false }],
        networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
        lifetime: Duration::from_secs(900),
    }
}

#[tokio::test]
async fn rules_are_kept_as_they_are_written_and_by_version() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let rules = store.trust_rules();
        let first = rules.set(rule("a", &["192.0.2.0/24"]), None, "ann").await.unwrap();
        assert_eq!(rules.by_name("a").await.unwrap(), Some(first.clone()));
        assert_eq!(
            rules.of_issuer("https://issuer.example.com").await.unwrap(),
            std::slice::from_ref(&first)
        );
        assert!(rules.of_issuer("https://issuer.example.com/").await.unwrap().is_empty());
        assert!(is_conflict(rules.set(rule("a", &[]), None, "bo").await));
        let second = rules.set(rule("a", &[]), Some(first.version), "bo").await.unwrap();
        assert!(second.version > first.version && second.created == first.created);
        assert!(is_conflict(rules.set(rule("a", &[]), Some(first.version), "cy").await));
        assert!(is_conflict(rules.remove("a", first.version).await));
        rules.remove("a", second.version).await.unwrap();
        assert!(rules.list().await.unwrap().is_empty());
        assert!(rules.set(rule("nul\0", &[]), None, "ann").await.is_err());
    }
}

#[tokio::test]
async fn f6_a_short_token_is_its_rules_as_the_rule_was_and_no_longer() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let rule_a = store.trust_rules().set(rule("a", &["192.0.2.0/24"]), None, "ann").await.unwrap();
        let now = || gateway_types::Clock::now(&*place.clock);
        let new = |version: i64| NewWorkload {
            rule: "a".to_owned(),
            rule_version: version,
            subject: "repo:x".to_owned(),
            expires: now().saturating_add(Duration::from_secs(900)),
        };
        let workloads = store.workloads();
        assert!(is_conflict(workloads.create(workloads.new_id(), &new(rule_a.version + 1)).await));
        let id = workloads.new_id();
        let secret = workloads.create(id, &new(rule_a.version)).await.unwrap();
        let home = Some("192.0.2.9".parse().unwrap());
        let resolve = async |from| store.callers().resolve_from(secret.expose(), from, now()).await;
        let known = resolve(home).await.unwrap();
        let Principal::Workload { id: own, name, subject, origin, roles, .. } = &known.principal else {
            panic!("{known:?}")
        };
        assert_eq!((&**own, &**name, &**subject), (id.to_string().as_str(), "a", "repo:x"));
        assert_eq!((*origin, *roles), (WorkloadOrigin::Exchange, RoleSet::of(Role::Cicd)));
        for elsewhere in ["192.0.3.9", "::1"] {
            let refused = resolve(Some(elsewhere.parse().unwrap())).await;
            assert!(matches!(refused, Err(ResolveError::Refused(CallerFault::Network))), "{elsewhere}");
        }
        assert!(resolve(Some("::ffff:192.0.2.9".parse().unwrap())).await.is_ok(), "the same address");
        let changed = store.trust_rules().set(rule("a", &[]), Some(rule_a.version), "ann").await.unwrap();
        assert!(matches!(resolve(home).await, Err(ResolveError::Refused(CallerFault::Revoked))));
        store.trust_rules().remove("a", changed.version).await.unwrap();
        assert!(matches!(resolve(home).await, Err(ResolveError::Refused(CallerFault::Unknown))));
        // A rule of the same name gives nothing back.
        store.trust_rules().set(rule("a", &[]), None, "ann").await.unwrap();
        assert!(resolve(home).await.is_err());
    }
}

#[tokio::test]
async fn a_token_of_a_ci_system_is_spent_once_by_whoever_comes_first() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let token = |issuer: &str, id: &str| TokenIdentity {
            issuer: issuer.to_owned(),
            id: id.to_owned(),
            expires: Timestamp::from_micros(0),
        };
        let tries = (0..20).map(|n| {
            let workloads = if n % 2 == 0 { first.workloads() } else { second.workloads() };
            tokio::spawn(async move { workloads.spend(&token("https://a", "1")).await })
        });
        let mut spent = 0;
        for one in tries.collect::<Vec<_>>() {
            match one.await.unwrap() {
                Ok(()) => spent += 1,
                Err(StoreError::Exists) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(spent, 1);
        // No two pairs read the same.
        first.workloads().spend(&token("https://a 1", "")).await.unwrap();
        first.workloads().spend(&token("https://a", "1 ")).await.unwrap();
    }
}
