use gateway_types::{Cicd, Class, LowestRole, Role, StepUp};

use super::*;

fn table() -> OwnTable {
    OwnTable::builtin().unwrap()
}

fn check(method: &str, path: &str, expected: &str) {
    let found = match table().identify(method, path) {
        Ok(route) => {
            let parameters: String =
                route.parameters.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{}{parameters}", route.operation.action)
        }
        Err(OwnRouteError::Unknown) => "unknown".to_owned(),
        Err(OwnRouteError::MethodNotAllowed { allowed }) => format!("only {}", allowed.join(" ")),
    };
    assert_eq!(found, expected, "{method} {path}");
}

#[test]
fn paths_are_found_under_their_roots() {
    check("GET", "/api/v1/users", "gateway:user:list");
    check("GET", "/api/v1/users/018f-1", "gateway:user:read id=018f-1");
    check("GET", "/api/v1/health", "gateway:meta:health");
    check("POST", "/api/v1/apps/my_app/env/reveal", "gateway:secret:reveal app=my_app");
    check("GET", "/auth/callback/google", "gateway:auth:login provider=google");
    check("GET", "/.well-known/rack-gateway", "gateway:meta:discovery");
    check("GET", "/openapi.json", "gateway:meta:openapi");
    check("GET", "/login/u2f", "gateway:auth:step_up");
    check("POST", "/zone/enrol", "gateway:zone:enrol");
    check("POST", "/api/v1/zone/rotate", "gateway:zone:rotate");
    check("GET", "/log/tile/0/x001/067.p/5", "gateway:log:tile path=0/x001/067.p/5");
    check("DELETE", "/api/v1/users/a/sessions/b", "gateway:session:revoke_any id=a sid=b");
}

#[test]
fn a_row_of_an_app_is_about_the_app() {
    let about = |method, path| table().identify(method, path).unwrap().resource();
    assert_eq!(about("POST", "/api/v1/apps/web/env/reveal"), Resource::app("web"));
    assert_eq!(about("GET", "/api/v1/users/web"), Resource::gateway());
}

#[test]
fn literals_win_over_parameters() {
    check("POST", "/api/v1/me/sessions/revoke-others", "gateway:session:revoke");
    check("POST", "/api/v1/me/factors/totp", "gateway:factor:enrol kind=totp");
    check("POST", "/api/v1/integrations/slack/events", "gateway:integration:slack_event");
    check("POST", "/api/v1/integrations/slack/test", "gateway:integration:test kind=slack");
    check("POST", "/api/v1/approvals/a/approve", "gateway:approval:approve id=a");
    check("POST", "/api/v1/audit/export", "gateway:audit:export");
}

#[test]
fn rows_are_not_found_elsewhere() {
    for path in [
        "/users",
        "/api/v1/auth/login",
        "/api/v1/.well-known/jwks.json",
        "/zone/rotate",
        "/api/v1/zone/enrol",
        "/api/v2/users",
        "/api/v1",
        "//",
        "",
        "/app/",
        "/app/meta",
        "/drain",
        "/api/v1/drain",
        "/log/tile",
        "/authx/login",
    ] {
        check("GET", path, "unknown");
        check("POST", path, "unknown");
    }
}

#[test]
fn draining_is_on_the_second_listener_only() {
    let route = table().identify_on_second_listener("POST", "/drain").unwrap();
    assert_eq!(route.operation.action.as_str(), "gateway:mode:drain");
    let elsewhere = table().identify_on_second_listener("GET", "/api/v1/users");
    assert_eq!(elsewhere, Err(OwnRouteError::Unknown));
}

#[test]
fn other_methods_are_named() {
    check("PATCH", "/api/v1/users", "only GET POST");
    check("get", "/api/v1/users", "only GET POST");
    check("HEAD", "/api/v1/me", "only GET");
    check("GET", "/auth/logout", "only POST");
}

#[test]
fn only_plain_paths_are_found() {
    for path in [
        "/api/v1/users/",
        "//api/v1/users",
        "/api/v1//users",
        "/api/v1/./users",
        "/api/v1/users/..",
        "/api/v1/users/.",
        "/api/v1/users/%61",
        "/api/v1/users/a%2fb",
        "/api/v1/users/a b",
        "/api/v1/users/a;b",
        "/api/v1/users/a\\b",
        "/api/v1/users?x=1",
        "/api/v1/users#x",
        "/api/v1/users/\u{e9}",
        "/api/v1/users/a\n",
        "api/v1/users",
        "/API/v1/users",
        "/log/tile/0/../5",
        "/log/tile/",
    ] {
        check("GET", path, "unknown");
    }
    check("GET", &format!("/api/v1/users/{}", "a".repeat(201)), "unknown");
    let longest = "a".repeat(200);
    check("GET", &format!("/api/v1/users/{longest}"), &format!("gateway:user:read id={longest}"));
    check("GET", "/api/v1/users/a@b.example", "gateway:user:read id=a@b.example");
}

/// Every row is found by its own template, with each parameter filled in.
#[test]
fn every_row_is_reachable() {
    let table = table();
    for operation in table.operations() {
        let (method, template) = operation.route.split_once(' ').unwrap();
        let filled = template.replace("{path*}", "a/b").replace(['{', '}'], "");
        let found = [filled.clone(), format!("/api/v1{filled}")].into_iter().any(|path| {
            let everywhere = [
                table.identify(method, &path),
                table.identify_on_second_listener(method, &path),
                table.identify_at_service(method, &path),
            ];
            everywhere.into_iter().flatten().any(|route| *route.operation == operation)
        });
        assert!(found, "{} cannot be reached: another row hides it", operation.route);
    }
}

#[test]
fn rows_of_services_hosts_are_there_and_nowhere_else() {
    let table = table();
    let paths = [
        ("GET", "/.rack-gateway/callback"),
        ("GET", "/.rack-gateway/sign-out"),
        ("POST", "/.rack-gateway/sign-out"),
        ("GET", "/.rack-gateway/static/style.css"),
    ];
    for (method, path) in paths {
        assert!(table.identify_at_service(method, path).is_ok_and(|route| route.page.is_some()), "{path}");
        assert_eq!(table.identify(method, path), Err(OwnRouteError::Unknown), "{path}");
        assert_eq!(table.identify_on_second_listener(method, path), Err(OwnRouteError::Unknown), "{path}");
    }
    for (method, path) in
        [("GET", "/"), ("GET", "/app"), ("GET", "/api/v1/me"), ("GET", "/auth/login"), ("POST", "/drain")]
    {
        assert_eq!(table.identify_at_service(method, path), Err(OwnRouteError::Unknown), "{path}");
    }
}

fn properties(route: &str) -> (Class, LowestRole, Cicd, bool, StepUp) {
    let operation = table().operations().into_iter().find(|row| &*row.route == route).unwrap();
    (operation.class, operation.lowest_role, operation.cicd, operation.people_only, operation.step_up)
}

#[test]
fn columns_and_notes_are_read() {
    use Class::{Change, Critical, Open, Read, Reveal};
    use LowestRole::{Own, Public, Role as For};
    let (admin, auditor) = (For(Role::Admin), For(Role::Auditor));
    let (viewer, deployer) = (For(Role::Viewer), For(Role::Deployer));
    for (route, expected) in [
        ("GET /auth/login", (Open, Public, Cicd::No, false, StepUp::None)),
        ("POST /auth/logout", (Change, Own, Cicd::No, false, StepUp::None)),
        ("POST /device", (Change, Own, Cicd::No, true, StepUp::None)),
        ("POST /step-up/{id}", (Change, Own, Cicd::No, false, StepUp::None)),
        ("GET /me", (Read, Own, Cicd::No, false, StepUp::None)),
        ("POST /me/factors/{kind}", (Change, Own, Cicd::No, true, StepUp::Window)),
        ("DELETE /me/factors/{id}", (Critical, Own, Cicd::No, false, StepUp::Bound)),
        ("POST /users", (Critical, admin, Cicd::No, false, StepUp::Bound)),
        ("POST /tokens", (Critical, deployer, Cicd::No, true, StepUp::Bound)),
        ("GET /approvals", (Read, viewer, Cicd::Yes, false, StepUp::None)),
        ("POST /approvals", (Change, deployer, Cicd::Yes, false, StepUp::None)),
        ("GET /approvals/{id}", (Read, viewer, Cicd::No, false, StepUp::None)),
        ("POST /approvals/{id}/approve", (Critical, admin, Cicd::No, true, StepUp::Bound)),
        ("POST /apps/{app}/env/reveal", (Reveal, admin, Cicd::No, false, StepUp::Bound)),
        ("POST /audit/evidence", (Reveal, auditor, Cicd::No, false, StepUp::Window)),
        ("POST /audit/export", (Reveal, auditor, Cicd::No, false, StepUp::Window)),
        ("GET /log/checkpoint", (Read, viewer, Cicd::Yes, false, StepUp::None)),
        ("GET /audit", (Read, auditor, Cicd::No, false, StepUp::None)),
    ] {
        assert_eq!(properties(route), expected, "{route}");
    }
}

#[test]
fn malformed_tables_are_refused() {
    let refused = |line: &str| OwnTable::parse(line).unwrap_err();
    assert_eq!(refused("GET\t/a"), OwnTableError::Columns { line: 1, found: 2 });
    assert_eq!(
        refused("# x\nGET\t/a\ta:b\trefused\tadmin\t"),
        OwnTableError::UnknownClass { line: 2, class: "refused".to_owned() }
    );
    assert_eq!(
        refused("GET\t/a\ta:b\tread\troot\t"),
        OwnTableError::UnknownRole { line: 1, role: "root".to_owned() }
    );
    assert_eq!(refused("GET\t/a\ta:b\tread\tpublic\t"), OwnTableError::OpenIsPublic { line: 1 });
    for path in ["a", "/{a*}/b", "/a//b", "/{}", "/{A}", "/a/"] {
        let expected = OwnTableError::Path { line: 1, path: path.to_owned() };
        assert_eq!(refused(&format!("GET\t{path}\ta:b\tread\tadmin\t")), expected);
    }
    let twice = "GET\t/a\ta:b\tread\tadmin\t\nGET\t/a\ta:c\tread\tadmin\t";
    assert_eq!(refused(twice), OwnTableError::Duplicate { line: 2, route: "GET /a".to_owned() });
}

#[test]
fn pages_are_further_paths_to_operations() {
    let page = |method, path| {
        let route = table().identify(method, path).unwrap();
        format!("{} {:?}", route.operation.route, route.page.as_deref())
    };
    assert_eq!(page("GET", "/"), "GET / Some(\"GET /\")");
    assert_eq!(page("GET", "/app/users"), "GET /users Some(\"GET /app/users\")");
    assert_eq!(page("GET", "/api/v1/users"), "GET /users None");
    let removed = "DELETE /users/{id} Some(\"POST /app/users/{id}/remove\")";
    assert_eq!(page("POST", "/app/users/018f-1/remove"), removed);
    assert_eq!(page("GET", "/step-up/018f-1"), "GET /step-up/{id} Some(\"GET /step-up/{id}\")");
    check("DELETE", "/app/users/018f-1", "only GET POST");
    check("GET", "/app/account/factors/enrol/totp", "only POST");
}

#[test]
fn a_page_names_an_operation_with_its_parameters() {
    let fault = |line: &str| OwnTable::parse(BUILTIN).unwrap().with_pages(line).unwrap_err();
    let unknown = |operation: &str| OwnTableError::Page { line: 1, operation: operation.to_owned() };
    assert_eq!(fault("GET\t/app/x\tGET /nothing"), unknown("GET /nothing"));
    assert_eq!(fault("GET\t/app/x\tGET /users/{id}"), unknown("GET /users/{id}"));
    assert_eq!(fault("GET\t/app/{id}\tGET /users"), unknown("GET /users"));
    assert_eq!(fault("GET /app"), OwnTableError::Columns { line: 1, found: 1 });
    assert_eq!(fault("GET\t/app/x\track GET /apps/{app}"), unknown("rack GET /apps/{app}"));
    assert_eq!(fault("GET\t/app/x\track GET"), unknown("rack GET"));
    assert_eq!(fault("GET\t/app/{App}\track GET /apps"), unknown("rack GET /apps"));
}

#[test]
fn pages_of_the_rack_are_further_paths_to_its_operations() {
    let asked = |method, path, socket| {
        let found = table().rack_page(method, path, socket);
        found.map(|found| format!("{} {} for {}", found.method, found.path, found.page))
    };
    assert_eq!(asked("GET", "/app/apps", false).as_deref(), Some("GET /apps for GET /app/apps"));
    assert_eq!(
        asked("POST", "/app/apps/web/processes/web-1/stop", false).as_deref(),
        Some("DELETE /apps/web/processes/web-1 for POST /app/apps/{app}/processes/{pid}/stop")
    );
    // A socket's path is no page, and the other way about.
    let feed = "GET /apps/web/logs for GET /app/apps/{app}/logs/feed";
    assert_eq!(asked("GET", "/app/apps/web/logs/feed", true).as_deref(), Some(feed));
    assert_eq!(asked("GET", "/app/apps/web/logs/feed", false), None);
    assert_eq!(asked("GET", "/app/apps", true), None);
    for path in ["/app/apps/", "/app//apps", "/app/apps/..", "/app/apps/web%2fx", "/api/v1/apps", "/apps"] {
        assert_eq!(asked("GET", path, false), None, "{path}");
    }
    assert_eq!(asked("DELETE", "/app/apps/web", false), None);
}
