//! Which step of a deploy a request is.

use gateway_convox::{RackRequest, RequestKind, RouteTable};
use gateway_types::Cicd;

use super::step_of;

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
