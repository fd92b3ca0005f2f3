use std::fmt::Write as _;
use std::sync::LazyLock;

use gateway_types::{Class, LowestRole, StepUp};

use super::*;
use crate::error::PathFault as F;

/// The built-in table, read once for all tests.
pub(crate) static BUILTIN: LazyLock<RouteTable> = LazyLock::new(|| RouteTable::builtin().unwrap());

/// The built-in table with every refused row switched on.
pub(crate) static ALL: LazyLock<RouteTable> = LazyLock::new(all_switched_on);

fn table() -> RouteTable {
    BUILTIN.clone()
}

fn route(table: &RouteTable, method: &str, path: &str, kind: RequestKind) -> Result<String, RouteError> {
    table.identify(method, path, kind).map(|identified| identified.operation().route.to_string())
}

fn found(method: &str, path: &str, expected: &str) {
    assert_eq!(route(&BUILTIN, method, path, RequestKind::Plain).as_deref(), Ok(expected), "{method} {path}");
}

fn found_socket(path: &str, expected: &str) {
    assert_eq!(route(&BUILTIN, "GET", path, RequestKind::Socket).as_deref(), Ok(expected), "{path}");
}

fn unknown(method: &str, path: &str, kind: RequestKind) {
    assert_eq!(
        route(&BUILTIN, method, path, kind),
        Err(RouteError::UnknownRoute),
        "{method} {path} {kind:?}"
    );
}

fn malformed(path: &str, reason: PathFault) {
    for method in ["GET", "POST", "DELETE"] {
        let error = route(&BUILTIN, method, path, RequestKind::Plain);
        assert_eq!(error, Err(RouteError::MalformedPath { reason }), "{method} {path}");
    }
}

fn bad_part(method: &str, path: &str, name: &str) {
    let error = route(&BUILTIN, method, path, RequestKind::Plain);
    assert_eq!(error, Err(RouteError::BadPathParameter { name: name.to_owned() }), "{method} {path}");
}

fn wrong_method(method: &str, path: &str, allowed: &[&str]) {
    let allowed = allowed.iter().map(|method| (*method).to_owned()).collect();
    let error = route(&BUILTIN, method, path, RequestKind::Plain);
    assert_eq!(error, Err(RouteError::MethodNotAllowed { allowed }), "{method} {path}");
}

#[test]
fn operations_of_the_builtin_table() {
    let mut text = String::new();
    for row in table().rows() {
        for operation in std::iter::once(&row.operation).chain(row.unlock.as_ref()) {
            writeln!(
                text,
                "{} | {} | {} | {:?} | cicd {:?} | step-up {:?} | body {:?}{}{}",
                operation.route,
                operation.action,
                operation.class,
                operation.lowest_role,
                operation.cicd,
                operation.step_up,
                row.body,
                if row.answered_here { " | answered here" } else { "" },
                if row.is_enabled() { "" } else { " | refused" },
            )
            .unwrap();
        }
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("operations", text) });
}

#[test]
fn derived_and_refused_operations() {
    let names = |table: &RouteTable| -> Vec<String> {
        table.operations().iter().map(|operation| operation.action.to_string()).collect()
    };
    assert!(names(&table()).contains(&"convox:app:unlock".to_owned()));
    assert!(!names(&table()).contains(&"convox:rack:mint_jwt".to_owned()));
    let switched = table().switched_on(&["rack:mint_jwt".to_owned()]).unwrap();
    let minting =
        switched.operations().into_iter().find(|o| o.action.as_str() == "convox:rack:mint_jwt").unwrap();
    assert_eq!((minting.class, minting.step_up), (Class::Critical, StepUp::Bound));
}

#[test]
fn rows_are_found_in_table_order() {
    found("GET", "/apps", "GET /apps");
    found("GET", "//apps", "GET /apps");
    found("GET", "/%61pps/my%61pp", "GET /apps/{app}");
    found("GET", "/apps/a/builds/B1.tgz", "GET /apps/{app}/builds/{id}.tgz");
    found("GET", "/apps/a/builds/B1", "GET /apps/{app}/builds/{id}");
    found("GET", "/apps/a/builds/import", "GET /apps/{app}/builds/{id}");
    found("POST", "/apps/a/builds/import", "POST /apps/{app}/builds/import");
    found("GET", "/apps/a/objects", "GET /apps/{app}/objects");
    found("POST", "/apps/a/objects/", "POST /apps/{app}/objects/{key*}");
    found("POST", "/apps/a/objects/tmp/x%20(1).tgz", "POST /apps/{app}/objects/{key*}");
    found("DELETE", "/registries/https://index.docker.io/v1/", "DELETE /registries/{server*}");
    found("OPTIONS", "/resources", "OPTIONS /resources");
    found("DELETE", "/check", "ANY /check");
    found_socket("/apps/a/processes/p/exec", "SOCKET /apps/{app}/processes/{pid}/exec");
    found_socket("/proxy/db.svc.test/5432", "SOCKET /proxy/{host}/{port}");
    found_socket("/proxy/%5B::1%5D/5432", "SOCKET /proxy/{host}/{port}");
}

#[test]
fn a1_a2_a3_path_spellings() {
    for path in
        ["/check/../apps", "/./apps", "/apps/.", "/apps/..", "/check/%2e%2e/apps", "/apps/a/objects/../x"]
    {
        malformed(path, F::DotSegment);
    }
    for path in ["/apps/", "///apps", "/apps//a", "/apps/a/", "/apps/a//builds"] {
        malformed(path, F::EmptySegment);
    }
    for path in ["/apps/a%2fbuilds", "/apps/a%2Fprocesses%2Fp%2Fexec", "/apps/a/objects/b%2fc"] {
        malformed(path, F::EncodedSeparator);
    }
    malformed("/apps/a%5c", F::Backslash);
    malformed("/apps/%252e%252e", F::DoubleEncoded);
    malformed("/apps;x=1", F::Semicolon);
    malformed("/apps/a%00", F::Control);
    for path in ["/apps/a/objects//b", "/apps/a/objects/b//c", "/apps/a/objects/b/"] {
        let error = route(&BUILTIN, "GET", path, RequestKind::Plain);
        assert_eq!(error, Err(RouteError::MalformedPath { reason: F::EmptySegment }), "{path}");
    }
}

#[test]
fn a8_a9_names_that_are_nearly_right() {
    for path in ["/Apps", "/APPS", "/appsx", "/apps..", "/apps%20", "/apps.", "/", "//", "/v2", "/metrics"] {
        unknown("GET", path, RequestKind::Plain);
    }
    bad_part("GET", "/apps/a.", "app");
    bad_part("GET", "/apps/a%20", "app");
    bad_part("PUT", "/apps/a/ssl/web/0443", "port");
    bad_part("PUT", "/apps/a/ssl/web/+443", "port");
    bad_part("PUT", "/apps/a/ssl/web/1e2", "port");
    bad_part("PUT", "/apps/a/ssl/web/65536", "port");
}

#[test]
fn a10_methods() {
    for method in ["get", "GETX", "M-SEARCH", "TRACE", "CONNECT", "PRI", "", "HEAD", "PATCH"] {
        wrong_method(method, "/apps", &["GET", "POST"]);
        unknown(method, "/nowhere", RequestKind::Plain);
    }
    wrong_method("POST", "/apps/a", &["DELETE", "GET", "PUT"]);
    wrong_method("POST", "/apps/a/objects", &["GET"]);
    wrong_method("POST", "/apps/a/logs", &["GET"]);
    wrong_method("POST", "/registries/a//b", &["DELETE"]);
    wrong_method("TRACE", "/check", &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]);
}

#[test]
fn a12_parts_of_the_path() {
    for app in ["-x", "--flag", "$(id)", "%7B%7Bx%7D%7D", "x-undefined-app-x", "a.b", "a%3fb", "a%23b"] {
        bad_part("GET", &format!("/apps/{app}"), "app");
    }
    bad_part("POST", "/apps/x-undefined-app-x/objects/k", "app");
    bad_part("POST", "/certificates/x-undefined-app-x/renew", "id");
    bad_part("GET", &format!("/apps/{}", "a".repeat(256)), "app");
    bad_part("GET", "/apps/a/objects/", "key");
    bad_part("DELETE", "/apps/a/objects/", "key");
    bad_part("DELETE", "/registries/", "server");
    bad_part("GET", "/apps/a/builds/.tgz", "id");
    bad_part("GET", "/apps/a/builds/-.tgz", "id");
}

#[test]
fn sockets_and_plain_requests_do_not_mix() {
    unknown("GET", "/apps/a/processes/p/exec", RequestKind::Plain);
    unknown("GET", "/apps/a/logs", RequestKind::Plain);
    unknown("GET", "/apps", RequestKind::Socket);
    unknown("GET", "/check", RequestKind::Socket);
    unknown("POST", "/apps/a/processes/p/exec", RequestKind::Socket);
    malformed("/apps/a%2fprocesses/p/exec", F::EncodedSeparator);
}

#[test]
fn refused_rows_do_not_exist_until_switched_on() {
    for (method, path) in [
        ("POST", "/system/jwt/token"),
        ("GET", "/system/jwt/token"),
        ("PUT", "/system/jwt/rotate"),
        ("GET", "/v2/library/x/manifests/1"),
        ("POST", "/custom/http/proxy/x"),
        ("GET", "/kubernetes/api"),
    ] {
        unknown(method, path, RequestKind::Plain);
    }
    let on = table().switched_on(&["rack:mint_jwt".to_owned(), "convox:kubernetes:any".to_owned()]).unwrap();
    let minting = on.identify("POST", "/system/jwt/token", RequestKind::Plain).unwrap();
    assert_eq!(minting.operation().class, Class::Critical);
    assert!(on.identify("PATCH", "/kubernetes/api/v1?".trim_end_matches('?'), RequestKind::Plain).is_ok());
    assert_eq!(route(&on, "PUT", "/system/jwt/rotate", RequestKind::Plain), Err(RouteError::UnknownRoute));
    let fault = |actions: &[&str]| {
        let actions: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
        table().switched_on(&actions).unwrap_err()
    };
    assert_eq!(fault(&["rack:mint"]), TableError::UnknownAction { action: "rack:mint".to_owned() });
    assert_eq!(fault(&["app:list"]), TableError::NotRefused { action: "app:list".to_owned() });
}

#[test]
fn special_rows() {
    let row = |path: &str, method: &str| {
        let identified = table().identify(method, path, RequestKind::Plain).unwrap();
        (identified.row().answered_here, identified.operation().lowest_role, identified.operation().step_up)
    };
    assert_eq!(row("/check", "GET"), (true, LowestRole::Public, StepUp::None));
    assert!(row("/machines", "GET").0);
    assert_eq!((row("/session", "POST").0, row("/session", "POST").2), (true, StepUp::None));
    assert_eq!((row("/apps", "POST").0, row("/apps", "POST").2), (false, StepUp::Window));
}

const EXTRA: &str = "GET\t/apps/{app}/extras\textra:list\tread\tviewer\tyes\t\tlimit@query:int\t\ta note";

#[test]
fn operator_rows_are_tried_last() {
    let header = "method\tpath\taction\tclass\trole\tcicd\tsecrets\tparams\trequest_secrets\tnotes";
    let extended = table().with_rows(&format!("# mine\n{header}\n\n{EXTRA}\n")).unwrap();
    let identified = extended.identify("GET", "/apps/a/extras", RequestKind::Plain).unwrap();
    assert_eq!(identified.operation().action.as_str(), "convox:extra:list");
    assert_eq!(identified.resource(), gateway_types::Resource::app("a"));
    assert_eq!(extended.rows().len(), table().rows().len() + 1);
}

fn fault_of(row: &str) -> String {
    table().with_rows(&format!("# a comment\n{row}")).unwrap_err().to_string()
}

#[test]
fn faults_of_operator_rows() {
    let swap = |from: &str, to: &str| fault_of(&EXTRA.replacen(from, to, 1));
    let faults = [
        fault_of("GET /x"),
        fault_of(&format!("{EXTRA}\n{EXTRA}")),
        swap("/apps/{app}/extras", "/apps/{app}"),
        swap("/apps/{app}/extras", "/v2/extras"),
        swap("GET", "get"),
        swap("{app}", "{tenant}"),
        swap("/apps", "apps"),
        swap("extra:list", "Extra:List"),
        swap("read", "safe"),
        swap("viewer", "root"),
        swap("viewer", "-"),
        swap("viewer", "cicd"),
        swap("read", "open"),
        swap("yes", "maybe"),
        swap("limit@query:int", "limit@query:float"),
        swap("limit@query:int", "limit@body:int"),
        swap("limit@query:int", "limit@query:int  x@query:int"),
        swap("limit@query:int", "limit@query:int limit@form:int"),
        swap("limit@query:int", "app@query:string"),
        swap("limit@query:int", "a@form:int body:bytes"),
        swap("limit@query:int", "body:xml"),
        swap("GET", "socket"),
        swap("\t\ta note", "\tother\ta note"),
        swap("\t\ta note", "\tlimit.*\ta note"),
        swap("a note", "answered here"),
        swap("a note", "needs no step-up"),
    ];
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!("operator_row_faults", faults.join("\n"));
    });
}

#[test]
fn every_row_is_found_by_a_path_of_its_own() {
    let all = &*ALL;
    for row in all.rows() {
        let path = row.template.expand(row.template.slots().map(|slot| match slot.name.as_str() {
            "port" => "443",
            _ => "abc",
        }));
        let kind = if row.is_socket() { RequestKind::Socket } else { RequestKind::Plain };
        let method = row.method.allowed()[0];
        let found = all.identify(method.name(), &path, kind).map(|found| found.operation().route.clone());
        assert_eq!(found.as_ref(), Ok(&row.operation.route));
    }
}

fn all_switched_on() -> RouteTable {
    let table = table();
    let refused: Vec<String> = table
        .rows()
        .iter()
        .filter(|row| row.is_refusable())
        .map(|row| row.operation.action.to_string())
        .collect();
    assert_eq!(refused.len(), 5, "{refused:?}");
    table.switched_on(&refused).unwrap()
}
