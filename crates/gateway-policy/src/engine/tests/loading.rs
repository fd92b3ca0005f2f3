//! What an engine accepts, what it is made of, and how little of it a decision looks at.

use std::fmt::Write as _;

use super::*;
use crate::sample::{access_token, operations, source, workload};

fn refused(extra: &str) -> PolicyError {
    PolicyEngine::new(operations(), &[source(extra)]).unwrap_err()
}

#[test]
fn bad_policies_are_refused_with_a_reason() {
    for (extra, expected) in [
        ("permit(principal, action, resource);", "has no @id"),
        ("@id(\"a b\") permit(principal, action, resource);", "the @id `a b` must be"),
        ("@id(\"viewer\") permit(principal, action, resource);", "`viewer` is used in `default.cedar`"),
        (
            "@id(\"x\") permit(principal, action, resource); @id(\"x\") forbid(principal, action, resource);",
            "`x` is used in `extra.cedar` and again in `extra.cedar`",
        ),
        ("@id(\"x\") permit(principal, action, resource", "not well-formed Cedar"),
        ("@id(\"x\") permit(principal == ?principal, action, resource);", "template"),
        ("@id(\"x\") @remedy(\"wish\") permit(principal, action, resource);", "unknown @remedy `wish`"),
        ("@id(\"x\") @remedy(\"role\") permit(principal, action, resource);", "unknown @remedy `role`"),
        ("@id(\"x\") @needs(\"100%s\") permit(principal, action, resource);", "@needs must be"),
        ("@id(\"x\") @needs(\"a\\nb\") permit(principal, action, resource);", "@needs must be"),
        ("@id(\"x\") permit(principal, action == Action::\"convox:app:fly\", resource);", "no operation"),
        ("@id(\"x\") permit(principal, action in Action::\"for:king\", resource);", "no operation"),
        ("@id(\"x\") permit(principal, action == Action::\"convox:object:read\", resource);", "`action in`"),
        ("@id(\"x\") permit(principal, action == Action::\"class:read\", resource);", "`action in`"),
        (
            "@id(\"x\") permit(principal == Person::\"x\", action, resource);",
            "does not agree with the schema",
        ),
        ("@id(\"x\") permit(principal, action, resource) when { context.sudo };", "does not agree"),
        ("@id(\"x\") permit(principal, action, resource) when { context.channel };", "does not agree"),
        (
            "@id(\"x\") permit(principal is User, action, resource) when { principal.name == \"a\" };",
            "does not agree",
        ),
        ("@id(\"x\") forbid(principal, action, resource) when { principal is Rack };", "is not accepted"),
    ] {
        let error = refused(extra);
        assert!(error.to_string().contains(expected), "{extra}: {error}");
    }
}

#[test]
fn an_action_with_one_kind_of_row_can_be_named_outright() {
    let more = engine(
        "@id(\"x\") permit(principal, action == Action::\"convox:registry:list\", resource);
         @id(\"y\") permit(principal, action == Action::\"convox:object:read@HEAD /apps/{app}/objects/{key*}\", resource);",
    );
    let nobody = person(RoleSet::EMPTY);
    assert_eq!(decide(&more, &nobody, "GET /registries", &enrolled()).rules, ["x"]);
    assert_eq!(decide(&more, &nobody, "HEAD /apps/{app}/objects/{key*}", &enrolled()).rules, ["y"]);
    assert_eq!(word(&decide(&more, &nobody, "GET /apps/{app}/objects/{key*}", &enrolled())), "role");
}

#[test]
fn two_rows_may_not_claim_one_name() {
    let mut operations = operations();
    operations.push(operations[0].clone());
    assert!(PolicyEngine::new(operations.clone(), &[]).is_ok());
    operations.push(Operation { lowest_role: LowestRole::Public, ..operations[0].clone() });
    let error = PolicyEngine::new(operations, &[]).unwrap_err();
    assert!(matches!(error, PolicyError::DuplicateOperation { .. }), "{error}");
}

#[test]
fn the_version_is_of_the_content() {
    let base = PolicyEngine::new(operations(), &[]).unwrap();
    assert_eq!(base.version().len(), 16);
    assert_eq!(base.version(), ENGINE.version(), "an empty source is nothing");
    let mut reversed = operations();
    reversed.reverse();
    assert_eq!(PolicyEngine::new(reversed, &[]).unwrap().version(), base.version());
    let (x, y) = (
        "@id(\"x\") permit(principal, action, resource);",
        "@id(\"y\") forbid(principal, action, resource);",
    );
    assert_eq!(engine(&format!("{x}\n{y}")).version(), engine(&format!("{y}\n{x}")).version());
    let fewer = operations().into_iter().filter(|row| &*row.route != "GET /racks").collect();
    let others = [
        engine(x).version().to_owned(),
        engine(y).version().to_owned(),
        engine(&x.replace("permit", "forbid")).version().to_owned(),
        PolicyEngine::new(fewer, &[]).unwrap().version().to_owned(),
        base.version().to_owned(),
    ];
    let distinct: BTreeSet<&String> = others.iter().collect();
    assert_eq!(distinct.len(), others.len(), "{others:?}");
}

#[test]
fn ten_thousand_policies_about_others_cost_nothing() {
    let mut extra = String::new();
    for n in 0..2_500 {
        writeln!(
            extra,
            "@id(\"u{n}\") permit(principal == User::\"other-{n}\", action, resource);
             @id(\"a{n}\") forbid(principal, action in Action::\"class:change\", resource == App::\"other-{n}\");
             @id(\"b{n}\") permit(principal == User::\"{ALICE}\", action, resource == App::\"other-{n}\");
             @id(\"c{n}\") permit(principal is User in User::\"other-{n}\", action, resource in App::\"myapp\");"
        )
        .unwrap();
    }
    let many = engine(&extra);
    let considered = |engine: &PolicyEngine, app: &str| {
        let operation = row("POST /apps/{app}/releases");
        let (place, _) = engine.place(&operation).unwrap();
        let caller = person(role(Role::Deployer));
        let key = DecisionKey::new(&caller, place, &Resource::app(app), &Facts::default());
        engine.evaluator.policies(&key).count()
    };
    let base = considered(&ENGINE, "myapp");
    assert!(base <= 12, "{base} policies for one decision of the default set");
    assert_eq!(considered(&many, "myapp"), base);
    assert_eq!(considered(&many, "other-7"), base + 2);
    let caller = person(role(Role::Deployer));
    let verdict =
        many.decide(&caller, &row("POST /apps/{app}/releases"), &Resource::app("other-7"), &stepped_up());
    assert_eq!(verdict.rules, ["a7"]);
}

/// Cutting by scope must never change an answer: the slice and the uncut set say the same, for every row.
#[test]
fn slices_leave_out_nothing_that_matters() {
    let cut = engine(&format!(
        "@id(\"a\") permit(principal == User::\"{ALICE}\", action in Action::\"class:read\", resource);
         @id(\"b\") forbid(principal in User::\"{ALICE}\", action, resource == App::\"myapp\") unless {{ context.mfa_bound }};
         @id(\"c\") forbid(principal is User in Role::\"ops\", action in Action::\"convox:log:read\", resource in App::\"myapp\");
         @id(\"d\") permit(principal is ApiToken, action in Action::\"class:change\", resource is App in Rack::\"rack\");
         @id(\"e\") permit(principal, action in [Action::\"class:open\", Action::\"convox:rack:read\"], resource == Rack::\"rack\");"
    ));
    let whole = cedar_policy::PolicySet::from_policies(cut.rules().map(|rule| rule.policy.clone())).unwrap();
    let admin = role(Role::Admin);
    let callers = [
        anonymous(),
        person(admin),
        person(role(Role::Viewer)),
        token(admin, &[], admin),
        access_token(Role::Admin),
        workload(admin, &[]),
    ];
    let mut asked = BTreeSet::new();
    for (place, operation) in cut.operations().iter().enumerate() {
        for (caller, facts) in
            callers.iter().flat_map(|caller| [(caller, enrolled()), (caller, stepped_up())])
        {
            let key = DecisionKey::new(caller, place, &resource_of(operation), &facts);
            asked.extend(cut.evaluator.policies(&key).map(|policy| policy.id().to_string()));
            assert!(cut.evaluator.agrees_with(&key, &whole), "{} for {caller:?}", operation.route);
        }
    }
    let all: BTreeSet<String> = cut.rules().map(|rule| rule.id.clone()).collect();
    assert_eq!(asked, all, "each policy is in the slice of something");
}

/// What an engine was made of makes an engine of the same version, so that it can be made anew with more.
#[test]
fn sources_come_back() {
    let file = PolicySource {
        // Called like the one that is compiled in, and yet not it.
        name: "default.cedar".to_owned(),
        text:
            "// why\n@id(\"a\")\npermit (principal, action == Action::\"convox:registry:list\", resource);\n\
               @id(\"b\") @needs(\"more\") forbid (principal, action in Action::\"class:read\", resource)\n\
               when { context.channel == \"web\" };"
                .to_owned(),
    };
    let made = PolicyEngine::new(operations(), &[file, source("")]).unwrap();
    let again = PolicyEngine::new(operations(), &made.sources()).unwrap();
    assert_eq!(made.sources().len(), 1);
    assert_eq!(again.version(), made.version());
    assert!(made.rule("viewer").unwrap().is_built_in() && !made.rule("a").unwrap().is_built_in());
}

#[test]
fn faults_say_where() {
    let check = |text: &str, words: &str, at: Option<&str>| {
        let faults = refused(text).faults();
        assert!(faults[0].message.contains(words), "{faults:?}");
        assert_eq!(
            faults[0]
                .offset
                .map(|offset| &text[offset..])
                .map(|rest| at.is_some_and(|at| rest.starts_with(at))),
            at.map(|_| true),
            "{faults:?}"
        );
    };
    check("@id(\"x\") permit (principle, action, resource);", "principle", Some("principle"));
    check(
        "@id(\"x\")\npermit (principal, action, resource)\nwhen { context.sudo };",
        "policy `x`",
        Some("context.sudo"),
    );
    check("permit (principal, action, resource);", "no @id", None);
}

/// An access token of an issuer is good at the service that lists it, with its role, and nowhere else.
#[test]
fn f3_an_access_token_is_somebody_at_its_own_service_only() {
    let operation = |name: &str, class: Class, lowest: Role, step_up: StepUp| Operation {
        route: format!("POST {name}:/{}", class.name()).into(),
        action: ActionName::new(&format!("service:{name}:{}", class.name())),
        class,
        lowest_role: LowestRole::Role(lowest),
        cicd: Cicd::No,
        people_only: false,
        step_up,
    };
    let services = [
        operation("wiki", Class::Read, Role::Viewer, StepUp::None),
        operation("wiki", Class::Change, Role::Ops, StepUp::Window),
        operation("wiki", Class::Execute, Role::Admin, StepUp::None),
        operation("wiki", Class::Critical, Role::Viewer, StepUp::Bound),
        operation("wiki", Class::Reveal, Role::Viewer, StepUp::Bound),
        operation("shop", Class::Read, Role::Viewer, StepUp::None),
    ];
    let mut operations = ENGINE.operations().to_vec();
    operations.extend(services.clone());
    let engine = PolicyEngine::new(operations, &[]).unwrap();
    let allowed = |role: Role, operation: &Operation, service: &str| {
        let facts = Facts { own_object: true, ..stepped_up() };
        engine.decide(&access_token(role), operation, &Resource::service(service), &facts).is_allowed()
    };
    let told: Vec<bool> = services[..5].iter().map(|one| allowed(Role::Ops, one, "wiki")).collect();
    assert_eq!(told, [true, true, false, false, false]);
    assert!(allowed(Role::Admin, &services[2], "wiki"));
    assert!(!allowed(Role::Admin, &services[3], "wiki"), "critical is nobody's without a factor");
    assert!(!allowed(Role::Admin, &services[5], "shop"), "the neighbour's");
    assert!(!allowed(Role::Admin, &services[0], "shop"), "the neighbour's, by the resource");
    // Nothing of the rack or the gateway, also about what is called its own.
    for operation in ENGINE.operations() {
        let facts = Facts { own_object: true, approval_matches: true, ..stepped_up() };
        let verdict = engine.decide(&access_token(Role::Admin), operation, &resource_of(operation), &facts);
        assert!(!verdict.is_allowed(), "{}", operation.route);
    }
}

/// A forbid in observe mode refuses nothing and is told; while the operator's policies are observed, neither do the
/// others, and the built-in ones still do.
#[test]
fn observed_forbids_are_told_and_not_enforced() {
    let text = r#"@id("a") @mode("observe") forbid (principal, action in Action::"convox:app:list", resource);
        @id("b") forbid (principal, action in Action::"convox:app:read", resource);"#;
    let engine = engine(text);
    let ask = |route: &str, caller: &Caller, observing: bool| {
        let facts = Facts { observing, ..Facts::default() };
        engine.decide(caller, &row(route), &resource_of(&row(route)), &facts)
    };
    let viewer = person(role(Role::Viewer));
    let listed = ask("GET /apps", &viewer, false);
    assert!(listed.is_allowed() && listed.observed == ["a"], "{listed:?}");
    assert!(!ask("GET /apps/{app}", &viewer, false).is_allowed());
    let read = ask("GET /apps/{app}", &viewer, true);
    assert!(read.is_allowed() && read.observed == ["b"], "{read:?}");
    let nobody = person(RoleSet::EMPTY);
    assert!(!ask("GET /apps/{app}", &nobody, true).is_allowed());
    assert!(!ask("GET /apps/{app}", &anonymous(), true).is_allowed());
    let machine = token(role(Role::Viewer), &[], role(Role::Admin));
    assert!(!ask("GET /apps/{app}", &machine, true).is_allowed(), "a token keeps to its grants");
}

#[test]
fn only_a_forbid_can_be_observed() {
    for text in [
        r#"@id("a") @mode("observe") permit (principal, action, resource);"#,
        r#"@id("a") @mode("later") forbid (principal, action, resource);"#,
    ] {
        let refused = PolicyEngine::new(operations(), &[source(text)]);
        assert!(matches!(refused, Err(PolicyError::UnknownMode { .. })), "{text}");
    }
}
