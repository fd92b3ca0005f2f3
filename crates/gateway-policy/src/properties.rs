//! What must hold for every caller, row and set of facts.

use std::sync::LazyLock;

use gateway_types::{
    Caller, Facts, Grant, LowestRole, Operation, Principal, RemedyKind, Role, RoleSet, Verdict,
};
use proptest::prelude::*;

use crate::remedies::applied;
use crate::sample::{ENGINE, anonymous, operations, person, resource_of, source, token};
use crate::{PolicyEngine, PolicySource};

fn roles() -> impl Strategy<Value = RoleSet> {
    proptest::collection::vec(proptest::sample::select(Role::ALL.to_vec()), 0..3)
        .prop_map(|roles| roles.into_iter().collect())
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let actions = ["*", "convox:*", "convox:app:*", "convox:release:promote", "gateway:*", "gateway:me:read"];
    let apps = [vec![], vec!["myapp".to_owned()], vec!["other".to_owned()]];
    let grant =
        (proptest::sample::select(actions.to_vec()), proptest::sample::select(apps.to_vec()), any::<bool>())
            .prop_map(|(actions, apps, critical)| Grant { actions: actions.to_owned(), apps, critical });
    proptest::collection::vec(grant, 0..3)
}

fn callers() -> impl Strategy<Value = Caller> {
    prop_oneof![
        1 => Just(anonymous()),
        3 => roles().prop_map(person),
        4 => (roles(), grants(), roles()).prop_map(|(roles, grants, creator)| token(roles, &grants, creator)),
    ]
}

fn rows() -> impl Strategy<Value = Operation> {
    (0..ENGINE.operations().len()).prop_map(|place| ENGINE.operations()[place].clone())
}

fn facts() -> impl Strategy<Value = Facts> {
    let names = ["image", "external", "foreign-url", "public", "unheard-of"];
    let names = proptest::collection::btree_set(proptest::sample::select(names.to_vec()), 0..2);
    let held = proptest::collection::btree_set(
        proptest::sample::select(vec!["viewer", "ops", "deployer", "admin", "release-manager"]),
        0..2,
    );
    (any::<[bool; 11]>(), names, roles(), held).prop_map(|(bits, names, elevated, held)| Facts {
        mfa_window: bits[0],
        mfa_bound: bits[1],
        // Who has given a factor has one.
        mfa_enrolled: bits[2] || bits[0] || bits[1],
        mfa_off: bits[3],
        mfa_required: bits[10],
        own_object: bits[4],
        approval_matches: bits[5],
        destructive_allowed: bits[6],
        external_builds_allowed: bits[7],
        sensitive_parameters: names.into_iter().map(str::to_owned).collect(),
        networks: Default::default(),
        labels: Default::default(),
        hour: Some(13),
        weekday: Some(2),
        elevated: if bits[8] { elevated } else { RoleSet::EMPTY },
        roles_here: held.into_iter().map(str::to_owned).collect(),
        elevation_possible: bits[9],
        observing: false,
    })
}

fn decide(engine: &PolicyEngine, caller: &Caller, operation: &Operation, facts: &Facts) -> Verdict {
    engine.decide(caller, operation, &resource_of(operation), facts)
}

/// Every caller that has one role or grant less.
fn weaker(caller: &Caller) -> Vec<Caller> {
    let fewer = |roles: RoleSet| -> Vec<RoleSet> {
        roles.iter().map(|gone| roles.iter().filter(|role| *role != gone).collect()).collect()
    };
    let with = |principal| Caller { principal, ..caller.clone() };
    match &caller.principal {
        Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => Vec::new(),
        Principal::User { roles, .. } => fewer(*roles).into_iter().map(person).collect(),
        Principal::ApiToken { roles, grants, creator_roles, .. } => {
            let by_role = fewer(*roles).into_iter().map(|less| token(less, grants, *creator_roles));
            let by_creator = fewer(*creator_roles).into_iter().map(|less| token(*roles, grants, less));
            let by_grant = (0..grants.len()).map(|gone| {
                let kept: Vec<Grant> = [&grants[..gone], &grants[gone + 1..]].concat();
                token(*roles, &kept, *creator_roles)
            });
            by_role.chain(by_creator).chain(by_grant).map(|caller| with(caller.principal)).collect()
        }
    }
}

const EXTRA: [&str; 4] = [
    "@id(\"p\") permit(principal, action in Action::\"class:read\", resource == App::\"myapp\");",
    "@id(\"q\") forbid(principal is User, action in Action::\"class:execute\", resource) unless { context.mfa_bound };",
    "@id(\"r\") @remedy(\"approval\") forbid(principal, action in Action::\"convox:release:promote\", resource) unless { context.approval_matches };",
    "@id(\"s\") permit(principal in Role::\"viewer\", action in Action::\"class:change\", resource);",
];

fn with_extra(order: impl Iterator<Item = usize>) -> PolicyEngine {
    let sources: Vec<PolicySource> = order.map(|place| source(EXTRA[place])).collect();
    PolicyEngine::new(operations(), &sources).unwrap()
}

static FORWARDS: LazyLock<PolicyEngine> = LazyLock::new(|| with_extra(0..EXTRA.len()));
static BACKWARDS: LazyLock<PolicyEngine> = LazyLock::new(|| with_extra((0..EXTRA.len()).rev()));
/// The rows the other way round, too.
static SHUFFLED: LazyLock<PolicyEngine> = LazyLock::new(|| {
    let rows = operations().into_iter().rev().collect();
    PolicyEngine::new(rows, &[source(&EXTRA.concat())]).unwrap()
});

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn less_never_allows_more(caller in callers(), operation in rows(), facts in facts()) {
        if !decide(&ENGINE, &caller, &operation, &facts).is_allowed() {
            for less in weaker(&caller) {
                let verdict = decide(&ENGINE, &less, &operation, &facts);
                prop_assert!(!verdict.is_allowed(), "{} for {less:?}: {verdict:?}", operation.route);
            }
        }
    }

    /// No fact that a person, an approval or a setting adds ever takes something away, and nothing that
    /// a request asks for beyond the usual ever gives something.
    #[test]
    fn facts_only_help(caller in callers(), operation in rows(), facts in facts()) {
        let verdict = decide(&ENGINE, &caller, &operation, &facts);
        if verdict.is_allowed() {
            for kind in RemedyKind::ALL {
                prop_assert!(decide(&ENGINE, &caller, &operation, &applied(facts.clone(), kind)).is_allowed());
            }
        } else {
            for name in ["image", "external", "foreign-url", "public"] {
                let mut more = facts.clone();
                more.sensitive_parameters.insert(name.to_owned());
                prop_assert!(!decide(&ENGINE, &caller, &operation, &more).is_allowed());
            }
        }
    }

    #[test]
    fn a_token_is_never_more_than_its_creator(
        roles in roles(), grants in grants(), creator in roles(), operation in rows(), facts in facts()
    ) {
        let machine = token(roles, &grants, creator);
        if decide(&ENGINE, &machine, &operation, &facts).is_allowed() {
            let given = applied(facts, RemedyKind::StepUpBound);
            prop_assert!(decide(&ENGINE, &person(creator), &operation, &given).is_allowed());
        }
    }

    #[test]
    fn remedies_do_what_they_promise(caller in callers(), operation in rows(), facts in facts()) {
        for engine in [&*ENGINE, &*FORWARDS] {
            let verdict = decide(engine, &caller, &operation, &facts);
            if verdict.is_allowed() {
                prop_assert!(verdict.remedies.is_empty());
                continue;
            }
            let kinds: Vec<RemedyKind> = verdict.remedies.iter().map(|remedy| remedy.kind).collect();
            if kinds.is_empty() {
                prop_assert_eq!(verdict.layer, gateway_types::Layer::Authentication);
                continue;
            }
            // Enrolling gives a factor, which then can be given for this very action.
            let mended = kinds.iter().fold(facts.clone(), |facts, kind| match kind {
                RemedyKind::Enrol => applied(facts, RemedyKind::StepUpBound),
                // What the command of the refusal asks for: the very role that the operation takes.
                RemedyKind::Elevation => match operation.lowest_role {
                    LowestRole::Role(role) => Facts { elevated: facts.elevated.with(role), ..facts },
                    LowestRole::Public | LowestRole::Own => facts,
                },
                other => applied(facts, *other),
            });
            let after = decide(engine, &caller, &operation, &mended);
            let promised = kinds != [RemedyKind::Role];
            prop_assert_eq!(after.is_allowed(), promised, "{} {:?}", operation.route, verdict);
        }
    }

    #[test]
    fn order_does_not_matter(caller in callers(), operation in rows(), facts in facts()) {
        let forwards = decide(&FORWARDS, &caller, &operation, &facts);
        prop_assert_eq!(&decide(&BACKWARDS, &caller, &operation, &facts), &forwards);
        prop_assert_eq!(&decide(&SHUFFLED, &caller, &operation, &facts), &forwards);
    }
}
