//! Which step of a deploy a request is.

use gateway_approvals::chain::Step;
use gateway_convox::{RackRequest, RequestKind, RouteTable};
use gateway_types::{Cicd, Layer, Problem, ProblemKind, Remedy, RemedyKind};

use super::{Approving, advise, step_of};

/// A request of this route, with whatever it must have.
fn request(table: &RouteTable, route: &str) -> RackRequest {
    let (method, template) = route.split_once(' ').unwrap();
    let path = ["app", "id", "pid", "key*", "service"].iter().fold(template.to_owned(), |path, name| {
        let value = if *name == "key*" { "tmp/x.tgz" } else { "x1" };
        path.replace(&format!("{{{name}}}"), value)
    });
    let (method, kind) = match method {
        "socket" | "SOCKET" => ("GET", RequestKind::Socket),
        plain => (plain, RequestKind::Plain),
    };
    let identified =
        table.identify(method, &path, kind).unwrap_or_else(|fault| panic!("{route} at {path}: {fault:?}"));
    let command: Vec<(&str, &[u8])> =
        if path.ends_with("/exec") { vec![("Command", b"bin/migrate")] } else { Vec::new() };
    identified
        .complete(None, command.into_iter(), None, None)
        .unwrap_or_else(|fault| panic!("{route}: {fault:?}"))
}

/// A route that machines may use inside of an approved deploy alone, and that is no step of one, could never be used.
#[test]
fn what_takes_an_approval_is_a_step_of_a_deploy() {
    let table = RouteTable::builtin().unwrap();
    let mut steps = 0;
    for operation in table.operations() {
        if operation.cicd == Cicd::Approval {
            let request = request(&table, &operation.route);
            assert!(step_of(&request).is_some(), "{} has no step", operation.route);
            steps += 1;
        }
    }
    assert!(steps >= 14, "{steps} routes take an approval");
}

/// A request with this form.
fn with_form(route: (&str, &str), form: &str) -> RackRequest {
    let table = RouteTable::builtin().unwrap();
    let identified = table.identify(route.0, route.1, RequestKind::Plain).unwrap();
    identified
        .complete(None, std::iter::empty(), Some("application/x-www-form-urlencoded"), Some(form.as_bytes()))
        .unwrap()
}

/// What changes a build or a promote and is in no statement is named, so that the chain can refuse it.
#[test]
fn parameters_that_nobody_signed_are_named() {
    let build = |form: &str| {
        let request = with_form(("POST", "/apps/a/builds"), form);
        match step_of(&request) {
            Some(Step::Build { url, commit, unsigned, .. }) => {
                (url.map(str::to_owned), commit.map(str::to_owned), unsigned)
            }
            other => panic!("{other:?}"),
        }
    };
    let url = Some("object://a/x.tgz".to_owned());
    assert_eq!(build("url=object%3A%2F%2Fa%2Fx.tgz"), (url.clone(), None, None));
    assert_eq!(build("url=object%3A%2F%2Fa%2Fx.tgz&git-sha=&development=false"), (url.clone(), None, None));
    assert_eq!(build("url=object%3A%2F%2Fa%2Fx.tgz&development=true").2, Some("development"));
    assert_eq!(build("url=object%3A%2F%2Fa%2Fx.tgz&build-args=A%3D1").2, Some("build-args"));
    let promote = |form: &str| match step_of(&with_form(("POST", "/apps/a/releases/R1/promote"), form)) {
        Some(Step::Promote { release: "R1", unsigned }) => unsigned,
        other => panic!("{other:?}"),
    };
    assert_eq!(promote("force=false"), None);
    assert_eq!(promote("idle=true"), Some("idle"));
}

#[test]
fn a_refusal_says_which_link_does_not_match_and_how_to_ask() {
    let refused = || {
        let mut problem = Problem::new(ProblemKind::Refused, Layer::Authorization, "It needs an approval.");
        problem.remedies.push(Remedy::new(RemedyKind::Approval));
        problem
    };
    let mut problem = refused();
    advise(&mut problem, &Approving::Broken("it is pending".to_owned()), Some("shop"), "/inbox".to_owned());
    assert_eq!(problem.detail, "It needs an approval: it is pending.");
    let remedy = &problem.remedies[0];
    assert_eq!(remedy.url.as_deref(), Some("/inbox"));
    assert_eq!(remedy.command.as_deref(), Some("rack-gateway approvals request --app shop"));
    let mut untouched = refused();
    advise(&mut untouched, &Approving::NotAsked, Some("shop"), "/inbox".to_owned());
    assert_eq!(untouched.remedies[0].url, None);
    assert_eq!(Approving::NotAsked.id(), None);
}
